//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// archive is a real InfluxDB with the database dcs.
type archive struct {
	t   *testing.T
	url string
}

// newArchive starts InfluxDB for the length of the test.
func newArchive(t *testing.T) archive {
	t.Helper()
	addr, dir := freeAddr(t), t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, filepath.Join(root(t), "bin", "influxd"), "run", "-config", filepath.Join(root(t), "tools", "influxd", "influxd.conf"))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), "INFLUXDB_HTTP_BIND_ADDRESS="+addr, "INFLUXDB_HTTP_FLUX_ENABLED=false",
		"INFLUXDB_META_DIR="+filepath.Join(dir, "meta"), "INFLUXDB_DATA_DIR="+filepath.Join(dir, "data"), "INFLUXDB_DATA_WAL_DIR="+filepath.Join(dir, "wal"))
	cmd.Stderr = t.Output()
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	a := archive{t, "http://" + addr}
	eventually(t, "InfluxDB", func() bool {
		_, err := a.post("/query", url.Values{"q": {`CREATE DATABASE "dcs" WITH NAME "autogen"`}}, "")
		return err == nil
	})
	return a
}

func (a archive) post(path string, query url.Values, body string) (string, error) {
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, a.url+path+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = errors.New(res.Status)
	}
	return string(b), err
}

// write stores lines of the line protocol as the loader does.
func (a archive) write(lines ...string) {
	a.t.Helper()
	out, err := a.post("/api/v2/write", url.Values{"org": {"dcs"}, "bucket": {"dcs"}}, strings.Join(lines, "\n"))
	require.NoError(a.t, err, out)
}

// audit is what a person types; it returns what is printed and the exit code.
func (a archive) audit(args ...string) (string, int) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root(a.t), "bin", "dcs"), append([]string{"audit", "--influx", a.url}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(a.t, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// statuses are the lines of a four-channel supply, one a second from begin on.
func statuses(device, boot string, begin time.Time, from, to int, lost func(seq, channel int) bool) []string {
	var lines []string
	for seq := from; seq <= to; seq++ {
		for channel := range 4 {
			if lost == nil || !lost(seq, channel) {
				lines = append(lines, fmt.Sprintf(`%s,number=%d vmon=99.9,seq=%d,boot=%q %d`, device, channel, seq, boot, begin.Add(time.Duration(seq-from)*time.Second).UnixNano()))
			}
		}
	}
	return lines
}

// dcs audit on a real InfluxDB: what it says of an archive that is whole, of
// one that is not, and of one that is not there.
func TestAudit(t *testing.T) {
	a := newArchive(t)
	out, code := a.audit()
	assert.Equal(t, 1, code, out)
	assert.Contains(t, out, "Nothing can be proved")

	// 30 000 points: several pieces of InfluxDB's answer.
	begin := time.Now().Add(-3 * time.Hour).Truncate(time.Second)
	const n = 7500
	a.write(statuses("hv", "a", begin, 1, n, nil)...)
	a.write(
		fmt.Sprintf(`state,device=hv state="ready",boot="a",error="" %d`, begin.UnixNano()),
		fmt.Sprintf(`ack,device=hv value=1,op="setv" %d`, begin.UnixNano()),
		fmt.Sprintf(`sensor,sensor=s,measurement=m value=1 %d`, begin.UnixNano()),
		fmt.Sprintf(`foreign\ topic value=1 %d`, begin.UnixNano()),
	)
	var lines []string
	for seq := 1; seq <= n; seq++ {
		lines = append(lines, fmt.Sprintf(`room temperature=21.3,seq=%d,boot="r" %d`, seq, begin.Add(time.Duration(seq)*time.Second).UnixNano()))
	}
	a.write(lines...)
	out, code = a.audit()
	assert.Equal(t, 0, code, out)
	assert.Contains(t, out, "Nothing is missing: 15 000 statuses of 2 devices between")
	assert.Contains(t, out, "foreign topic  not numbered: nothing can be proved")

	// The window begins in the middle of a boot.
	out, code = a.audit("hv", "--since", begin.Add(time.Hour).Format(time.RFC3339), "--until", begin.Add(2*time.Hour).Format(time.RFC3339))
	assert.Equal(t, 0, code, out)
	assert.Contains(t, out, "Nothing is missing: 3 600 statuses of 1 device between")

	out, code = a.audit("vh")
	assert.Equal(t, 1, code, out)
	assert.Contains(t, out, "no device vh in the archive: there are foreign topic, hv, room")

	// Another boot, of which something is missing.
	again := begin.Add((n + 5) * time.Second)
	a.write(statuses("hv", "b", again, 3, 40, func(seq, channel int) bool { return seq >= 10 && seq <= 12 || seq == 20 && channel == 3 })...)
	a.write(
		fmt.Sprintf(`state,device=hv state="stopped",boot="b",error="",seq=42 %d`, again.Add(time.Minute).UnixNano()),
		fmt.Sprintf(`service,service=loader,record=dead_letter,device=hv topic="/hv/status",reason="field type conflict",boot="b",seq=11 %d`, again.UnixNano()),
		fmt.Sprintf(`service,service=loader,record=ledger,device=hv boot="b",first=3,last=40,seen=35,missing=3,gaps=1,duplicates=7,skew=-2.5 %d`, again.UnixNano()),
	)
	out, code = a.audit("hv")
	assert.Equal(t, 4, code, out)
	for _, want := range []string{
		"2 boots  7 535 statuses", "7 duplicates  skew -2.500 s  8 MISSING",
		"boot b, numbers 1 to 2: 2 statuses missing, from its start to ",
		"boot b, numbers 10 to 12: 3 statuses missing between ", "; 1 of them put aside in the dead-letter file: field type conflict",
		"boot b, number 20: channel 3 of 1 status missing between ",
		"boot b, numbers 41 to 42: 2 statuses missing between ",
		fmt.Sprintf("boot a ended without a word (killed or lost): statuses after number %d at ", n),
		"its clock is 2.5 s behind the loader's",
		"Missing: 8 statuses in 4 gaps between ",
	} {
		assert.Contains(t, out, want)
	}
	_, code = a.audit("room", "-o", "json")
	assert.Equal(t, 0, code)

	// What was lost comes after all.
	a.write(statuses("hv", "b", again.Add(-2*time.Second), 1, 42, nil)...)
	out, code = a.audit("hv")
	assert.Equal(t, 0, code, out)

	out, code = a.audit("--bucket", "other")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "no such database: other at "+a.url)
	out, code = archive{t, "http://" + freeAddr(t)}.audit()
	assert.Equal(t, 5, code)
	assert.Contains(t, out, "InfluxDB does not answer at ")
}
