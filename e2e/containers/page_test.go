//go:build e2e && linux

package containers

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	operator = "operator"
	password = "a quiet night shift"
)

// commandFromThePage: through the gateway's door and Node-RED's page to the
// simulated supply, and what it then measures is in the archive.
func commandFromThePage(t *testing.T, s *stack) {
	_, err := s.try(password+"\n", "run", "--rm", "-T", "dcs", "user", "add", operator, "--role", "operator", "--password-file", "-")
	require.NoError(t, err)
	logins, err := json.Marshal([]map[string]string{{"name": operator, "password": password}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "logins.json")
	require.NoError(t, os.WriteFile(file, logins, 0o600))

	out, err := output(t, ".", []string{"GATEWAY_URL=" + s.url(), "LOGINS=" + file}, "", "node", "--test", "--test-reporter=spec", "page.test.js")
	t.Log(out)
	require.NoError(t, err)

	begin := time.Now()
	var hv channel
	within(t, func() bool {
		hv = s.archived("hv", 2)
		return hv.Fields["on"].Value == 1.0 && math.Abs(number(hv.Fields["vmon"].Value)-25) < 1 && number(hv.Fields["vreq"].Value) == 25
	}, tick, "not in the archive: %+v", &hv)
	t.Logf("25 V are in the archive %v after the page had shown them", time.Since(begin).Round(time.Millisecond))
}

// channel is what the archive has of one at some time.
type channel struct {
	Device  string
	Channel *int
	Fields  map[string]struct{ Value any }
}

// archived is a channel as it was a moment ago, from InfluxDB.
func (s *stack) archived(device string, number int) channel {
	s.t.Helper()
	for _, c := range lines[channel](s.t, s.dcs("at", "now", device, "-o", "json")) {
		if c.Device == device && c.Channel != nil && *c.Channel == number {
			return c
		}
	}
	return channel{}
}

func number(v any) float64 {
	f, ok := v.(float64)
	if !ok {
		return math.NaN()
	}
	return f
}
