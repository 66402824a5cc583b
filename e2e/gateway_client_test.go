//go:build e2e

package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"trackerdcs/services/gateway/api/apitest"
)

// door is a gateway that runs.
type door struct {
	t    *testing.T
	url  string // https://127.0.0.1:8443
	tls  *tls.Config
	spec *apitest.Spec
}

// newDoor trusts a gateway's own CA, and nothing else.
func newDoor(t *testing.T, url, caFile string) *door {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	spec, err := apitest.Load()
	require.NoError(t, err)
	return &door{t: t, url: url, tls: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, spec: spec}
}

// door is the demonstrator's.
func (d *demo) door() *door {
	d.t.Helper()
	return newDoor(d.t, fmt.Sprintf("https://127.0.0.1:%d", d.port(8443)), filepath.Join(d.dir(), "gateway", "tls", "ca.pem"))
}

func (d *demo) dir() string {
	return filepath.Join(root(d.t), "data", fmt.Sprintf("demo+%d", d.offset))
}

// passwords are those of the demonstrator's users, who are named after their roles.
func (d *demo) passwords() map[string]string {
	d.t.Helper()
	b, err := os.ReadFile(filepath.Join(d.dir(), "logins.json"))
	require.NoError(d.t, err)
	var logins []struct{ Name, Password string }
	require.NoError(d.t, json.Unmarshal(b, &logins))
	m := make(map[string]string)
	for _, l := range logins {
		m[l.Name] = l.Password
	}
	return m
}

// visitor is somebody at the door, with a cookie jar or a token.
type visitor struct {
	*door
	client *http.Client
	token  string
}

// visitor comes without a login.
func (d *door) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	require.NoError(d.t, err)
	return &visitor{door: d, client: &http.Client{
		Jar: jar, Timeout: patience,
		Transport:     &http.Transport{TLSClientConfig: d.tls.Clone(), ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// enter logs somebody in.
func (d *door) enter(user, password string) *visitor {
	d.t.Helper()
	v := d.visitor()
	status, body := v.call("POST", "/login", map[string]string{"user": user, "password": password})
	require.Equal(d.t, http.StatusOK, status, "%v", body)
	return v
}

// call asks the API and holds the answer against its description.
func (v *visitor) call(method, address string, body any) (int, map[string]any) {
	v.t.Helper()
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		require.NoError(v.t, err)
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.url+"/api/v1"+address, send)
	require.NoError(v.t, err)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if v.token != "" {
		req.Header.Set("Authorization", "Bearer "+v.token)
	}
	res, err := v.client.Do(req)
	require.NoError(v.t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(v.t, err)
	require.NoError(v.t, v.spec.Check(method, "/api/v1"+address, res.StatusCode, res.Header, got), "%s %s: %d %s", method, address, res.StatusCode, got)
	var m map[string]any
	if strings.Contains(res.Header.Get("Content-Type"), "json") {
		require.NoError(v.t, json.Unmarshal(got, &m))
	}
	return res.StatusCode, m
}

// command commands a device.
func (v *visitor) command(device string, body map[string]any) (int, map[string]any) {
	v.t.Helper()
	return v.call("POST", "/devices/"+device+"/commands", body)
}

// answered commands a device whose driver answers within the gateway's two seconds,
// and tries again on a machine that has had no time for it. What is not true of a
// command that was given twice is not asked for with it.
func (v *visitor) answered(device string, body map[string]any) (status int, answer map[string]any) {
	v.t.Helper()
	eventually(v.t, "an answer of "+device, func() bool {
		status, answer = v.command(device, body)
		return status != http.StatusGatewayTimeout
	})
	return status, answer
}

// settled waits until a command of the gateway's has ended; its driver may answer
// after the gateway has given it up.
func (v *visitor) settled(id string) map[string]any {
	v.t.Helper()
	var last map[string]any
	eventually(v.t, "the command's end", func() bool {
		_, last = v.call("GET", "/commands/"+id, nil)
		return last["phase"] != "accepted" && last["phase"] != "sent" && last["phase"] != "unanswered"
	})
	return last
}
