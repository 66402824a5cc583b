//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/wire"
)

// gatewayAnswers asks the running gateway for everything that its description
// promises; each answer is held against it.
func gatewayAnswers(t *testing.T, d *demo) {
	g, pass := d.door(), d.passwords()
	op := g.enter("operator", pass["operator"])

	for _, name := range []string{"hv", "lv", "sensor_1", "dht_room"} {
		eventually(t, name+" live", func() bool {
			status, all := op.call("GET", "/devices", nil)
			require.Equal(t, http.StatusOK, status)
			return slices.ContainsFunc(all["devices"].([]any), func(one any) bool {
				dev := one.(map[string]any)
				return dev["name"] == name && dev["freshness"] == "live"
			})
		})
	}

	// Accepted, and done while somebody waits for it.
	status, answer := op.answered("lv", map[string]any{"op": "setv", "channel": 2, "value": 3.3})
	require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, status, "%v", answer)
	assert.Equal(t, "done", op.settled(answer["id"].(string))["phase"])

	// A ramp is under way: accepted, and its end is told later.
	status, answer = op.answered("hv", map[string]any{"op": "setv", "channel": 3, "value": 0})
	require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, status, "%v", answer)
	status, answer = op.answered("hv", map[string]any{"op": "switch", "channel": 3, "value": "on"})
	require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, status, "%v", answer)
	op.settled(answer["id"].(string))
	// The machine is shared: the soonest of some answers counts. Each leaves the
	// supply far from where the next one wants it.
	soonest := time.Hour
	for far := 200; soonest >= 3*time.Second && far < 205; far++ {
		began := time.Now()
		status, answer = op.answered("hv", map[string]any{"op": "setv", "channel": 3, "value": far})
		soonest = min(soonest, time.Since(began))
	}
	assert.Less(t, soonest, 3*time.Second, "it waits at most 2 s")
	require.Equal(t, http.StatusAccepted, status, "%v", answer)
	first := answer["id"].(string)
	status, answer = op.answered("hv", map[string]any{"op": "setv", "channel": 3, "value": 40})
	require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, status, "%v", answer)
	assert.Equal(t, "superseded", op.settled(first)["phase"])
	assert.Equal(t, "done", op.settled(answer["id"].(string))["phase"])

	// Refused, with the closest value that would do.
	status, answer = op.answered("hv", map[string]any{"op": "setv", "channel": 3, "value": 1e6})
	assert.Equal(t, http.StatusConflict, status)
	assert.Equal(t, "OUT_OF_RANGE", answer["code"])
	assert.InDelta(t, 1000, answer["closest"], 0)
	for name, bad := range map[string]map[string]any{
		"unknown key": {"op": "setv", "channel": 3, "value": 1, "dri": true},
		"wrong type":  {"op": "setv", "channel": "three", "value": 1},
		"no op":       {"channel": 3},
	} {
		status, answer = op.answered("hv", bad)
		assert.Equal(t, http.StatusBadRequest, status, name)
		assert.NotEmpty(t, answer["detail"], name)
	}
	status, _ = op.answered("hv", map[string]any{"op": "setv", "channel": 3, "value": 10, "dry": true})
	assert.Equal(t, http.StatusOK, status)
	status, answer = op.command("nosuch", map[string]any{"op": "setv", "channel": 3, "value": 10})
	assert.Equal(t, http.StatusNotFound, status)
	assert.Contains(t, answer["detail"], "hv")

	// A lock names who locked; whoever else needs to be an expert to lift it.
	status, answer = op.command("hv", map[string]any{"op": "lock", "channel": 3, "reason": "hands inside"})
	require.Contains(t, []int{http.StatusOK, http.StatusAccepted, http.StatusGatewayTimeout}, status, "%v", answer)
	assert.Equal(t, "done", op.settled(answer["id"].(string))["phase"])
	eventually(t, "the lock's name", func() bool {
		_, dev := op.call("GET", "/devices/hv", nil)
		tag, ok := dev["locks"].(map[string]any)["3"].(map[string]any)
		return ok && tag["user"] == "operator" && tag["reason"] == "hands inside"
	})
	status, answer = op.answered("hv", map[string]any{"op": "setv", "channel": 3, "value": 10})
	assert.Equal(t, http.StatusConflict, status)
	assert.Equal(t, "LOCKED", answer["code"])
	status, answer = op.command("hv", map[string]any{"op": "unlock", "channel": 3})
	require.Contains(t, []int{http.StatusOK, http.StatusAccepted, http.StatusGatewayTimeout}, status, "%v", answer)
	assert.Equal(t, "done", op.settled(answer["id"].(string))["phase"])

	// What was.
	q := url.Values{"device": {"hv"}, "channel": {"0", "3"}, "field": {"vmon"}, "from": {"-15m"}, "points": {"100"}}
	var series map[string]any
	eventually(t, "history", func() bool {
		status, series = op.call("GET", "/history?"+q.Encode(), nil)
		return status == http.StatusOK && len(series["series"].([]any)) == 2
	})
	assert.NotEmpty(t, series["time"])
	assert.LessOrEqual(t, len(series["time"].([]any)), 101)
	assert.Equal(t, "V", series["unit"])

	// Values from outside go to the bus.
	l := bustest.Listen(t, d.broker(), "/sensor/labview/#")
	status, _ = op.call("POST", "/ingest/labview", []float64{1.5, 2.5})
	assert.Equal(t, http.StatusOK, status)
	l.Await(0, "the second value", func(m bus.Message) bool {
		return m.Topic == "/sensor/labview/meas2" && strings.Contains(string(m.Payload), "2.5")
	})
	status, _ = op.call("POST", "/ingest/labview", map[string]float64{"dewpoint": -40})
	assert.Equal(t, http.StatusOK, status)
	eventually(t, "the value in InfluxDB", func() bool {
		return d.count(`SELECT COUNT(value) FROM sensor WHERE "sensor" = 'labview' AND "measurement" = 'dewpoint'`) > 0
	})

	// A run.
	expert := g.enter("expert", pass["expert"])
	status, answer = expert.call("POST", "/runs", map[string]any{
		"procedure": "calibration", "parameters": map[string]any{"module": "G1", "duration": 4, "megabytes": 1},
	})
	require.Contains(t, []int{http.StatusAccepted, http.StatusGatewayTimeout}, status, "%v", answer) // numbers are written to disk, which may take its time
	end := expert.settled(answer["id"].(string))
	assert.Equal(t, "done", end["phase"])
	number := int64(end["run"].(float64))
	eventually(t, "the run's complete document", func() bool {
		status, doc := expert.call("GET", fmt.Sprintf("/runs/%d", number), nil)
		return status == http.StatusOK && doc["state"] == "finished" && doc["stored"] != nil
	})
	status, list := expert.call("GET", "/runs?module=G1", nil)
	assert.Equal(t, http.StatusOK, status)
	assert.Len(t, list["runs"], 1)
	status, files := expert.call("GET", fmt.Sprintf("/runs/%d/files", number), nil)
	assert.Equal(t, http.StatusOK, status)
	assert.Len(t, files["files"], 4)
	status, _ = expert.call("GET", fmt.Sprintf("/runs/%d/files/scurves.csv", number), nil)
	assert.Equal(t, http.StatusOK, status)
	status, answer = expert.call("POST", "/runs", map[string]any{"procedure": "calibration", "parameters": map[string]any{"module": "G1;ls"}})
	assert.Equal(t, http.StatusConflict, status, "%v", answer)
	status, _ = expert.call("GET", "/configurations", nil)
	assert.Equal(t, http.StatusOK, status)

	// All off.
	status, answer = op.call("POST", "/off", map[string]any{"devices": []string{"hv"}})
	require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, status, "%v", answer)
	hv := bustest.Listen(t, d.broker(), "/hv/status")
	hv.Await(0, "all off", func(m bus.Message) bool {
		var list []wire.Channel
		if json.Unmarshal(m.Payload, &list) != nil {
			return false
		}
		for _, c := range list {
			if c.On == wire.Yes {
				return false
			}
		}
		return true
	})
}

// gatewayKeepsOut tries the doors that must not open on the running gateway;
// the tables of all routes and roles are in services/gateway.
func gatewayKeepsOut(t *testing.T, d *demo) {
	g, pass := d.door(), d.passwords()
	nobody := g.visitor()
	for _, path := range []string{"/devices", "/runs", "/audit", "/me", "/history?device=hv&field=vmon&from=-1m", "/stream"} {
		status, _ := nobody.call("GET", path, nil)
		assert.Equal(t, http.StatusUnauthorized, status, path)
	}
	status, _ := nobody.command("hv", map[string]any{"op": "switch", "channel": 0, "value": "on"})
	assert.Equal(t, http.StatusUnauthorized, status)

	viewer := g.enter("viewer", pass["viewer"])
	l := bustest.Listen(t, d.broker(), "/+/cmd/#")
	for _, body := range []map[string]any{
		{"op": "switch", "channel": 0, "value": "on"}, {"op": "setv", "channel": 0, "value": 1}, {"op": "lock", "channel": 0, "reason": "x"},
	} {
		status, _ = viewer.command("hv", body)
		assert.Equal(t, http.StatusForbidden, status, "%v", body)
	}
	status, _ = viewer.call("POST", "/off", nil)
	assert.Equal(t, http.StatusForbidden, status)
	status, _ = viewer.call("POST", "/runs", map[string]any{"procedure": "calibration"})
	assert.Equal(t, http.StatusForbidden, status)
	assert.Zero(t, l.Mark(), "nothing was sent")
	status, _ = g.enter("operator", pass["operator"]).command("hv", map[string]any{"op": "seti", "channel": 0, "value": 1e-3})
	assert.Equal(t, http.StatusForbidden, status, "a current limit protects the detector")

	type seen struct {
		StatusCode int
		Header     http.Header
	}
	get := func(v *visitor, address string, header ...string) seen {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+address, nil)
		require.NoError(t, err)
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := v.client.Do(req)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return seen{res.StatusCode, res.Header}
	}
	// Pages: nobody is sent to the login, the viewer is told.
	res := get(nobody, "/nodered/", "Accept", "text/html")
	assert.Equal(t, http.StatusSeeOther, res.StatusCode)
	assert.Equal(t, "/login?next=%2Fnodered%2F", res.Header.Get("Location"))
	for _, p := range []string{"/nodered/", "/nodered/flows", "/nodered/dashboard/power", "/nodered/comms"} {
		assert.Equal(t, http.StatusForbidden, get(viewer, p).StatusCode, p)
	}
	op := g.enter("operator", pass["operator"])
	assert.Equal(t, http.StatusOK, get(op, "/nodered/dashboard/power").StatusCode)
	for _, p := range []string{"/nodered/", "/nodered/flows", "/nodered/settings", "/nodered/dashboard/..%2fflows", "/nodered/dashboard/%2e%2e/flows"} {
		assert.NotEqual(t, http.StatusOK, get(op, p).StatusCode, p)
	}
	expert := g.enter("expert", pass["expert"])
	assert.Equal(t, http.StatusOK, get(expert, "/nodered/").StatusCode)
	assert.Equal(t, http.StatusServiceUnavailable, get(viewer, "/grafana/", "Accept", "text/html").StatusCode, "the demonstrator has no Grafana, and says so")

	// What a scanner looks at.
	res = get(nobody, "/login")
	require.Equal(t, http.StatusOK, res.StatusCode)
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
	} {
		assert.Contains(t, res.Header.Get(name), want)
	}
	assert.Empty(t, res.Header.Get("Strict-Transport-Security"), "on localhost it would break the other ports")
	assert.Empty(t, res.Header.Get("Server"))
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c := g.tls.Clone()
		c.MinVersion, c.MaxVersion = version, version
		conn, err := (&tls.Dialer{Config: c}).DialContext(t.Context(), "tcp", strings.TrimPrefix(g.url, "https://"))
		assert.Equal(t, ok, err == nil, "%s: %v", tls.VersionName(version), err)
		if err == nil {
			_ = conn.Close()
		}
	}

	// A session that has ended is worth nothing, its stream ends with it.
	stream, hello := make(chan string, 1), make(chan struct{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/api/v1/stream", nil)
	require.NoError(t, err)
	live, err := viewer.client.Do(req) //nolint:bodyclose // the reader below closes it
	require.NoError(t, err)
	go func() {
		defer live.Body.Close()
		lines := bufio.NewReader(live.Body)
		var failed error
		for line := ""; failed == nil && line != "event: hello\n"; line, failed = lines.ReadString('\n') {
		}
		close(hello)
		b, _ := io.ReadAll(lines)
		stream <- string(b)
	}()
	<-hello
	status, _ = viewer.call("POST", "/logout", map[string]any{})
	require.Equal(t, http.StatusNoContent, status)
	select {
	case said := <-stream:
		assert.Contains(t, said, "event: bye")
	case <-time.After(patience):
		t.Error("the stream goes on")
	}
	status, _ = viewer.call("GET", "/me", nil)
	assert.Equal(t, http.StatusUnauthorized, status)
}

// gatewayRecords looks for every command in the audit log, whoever has sent it.
func gatewayRecords(t *testing.T, d *demo) {
	g, pass := d.door(), d.passwords()
	op, admin := g.enter("operator", pass["operator"]), g.enter("admin", pass["admin"])
	_, answer := op.answered("lv", map[string]any{"op": "setv", "channel": 4, "value": 1.5})
	id := answer["id"].(string)
	op.settled(id)
	l := bustest.Listen(t, d.broker(), "/lv/ack")
	l.Say("/lv/cmd/setv/4", `{"value":1.25,"id":"script-1","user":"mallory"}`)
	l.Await(0, "the script's ack", func(m bus.Message) bool {
		return strings.Contains(string(m.Payload), `"done"`) && strings.Contains(string(m.Payload), "script-1")
	})

	find := func(kind, id, phase string) (entry map[string]any) {
		eventually(t, kind+" "+id+" "+phase, func() bool {
			_, a := admin.call("GET", "/audit?limit=200&device=lv", nil)
			for _, e := range a["entries"].([]any) {
				e := e.(map[string]any)
				if e["kind"] == kind && e["id"] == id && (phase == "" || e["phase"] == phase) {
					entry = e
					return true
				}
			}
			return false
		})
		return entry
	}
	sent := find("command", id, "")
	assert.Equal(t, "operator", sent["user"])
	assert.Equal(t, true, sent["verified"])
	assert.Equal(t, "127.0.0.1", sent["address"])
	done := find("outcome", id, "done")
	assert.Equal(t, true, done["verified"])
	script := find("outcome", "script-1", "done")
	assert.Equal(t, "mallory", script["user"])
	assert.Equal(t, false, script["verified"], "nobody has checked that it is mallory")

	_, a := op.call("GET", "/audit?kind=login", nil)
	assert.Empty(t, a["entries"], "who logs in is for admins")
	_, a = admin.call("GET", "/audit?kind=login", nil)
	assert.NotEmpty(t, a["entries"])

	out, code := d.dcs("audit-log", "verify", "--dir", filepath.Join(d.dir(), "gateway", "audit"))
	assert.Zero(t, code, out)
	t.Log(out)
}

// consolePages drives the console in Chromium.
func consolePages(t *testing.T, d *demo) {
	shots := os.Getenv("SCREENSHOT_DIR")
	if shots == "" {
		shots = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "--test", "--test-reporter=spec", "--test-concurrency=1")
	cmd.Dir = filepath.Join(root(t), "e2e", "console")
	cmd.Env = append(os.Environ(), fmt.Sprintf("GATEWAY_URL=https://localhost:%d", d.port(8443)), "LOGINS="+filepath.Join(d.dir(), "logins.json"),
		"SCREENSHOT_DIR="+shots)
	out, err := cmd.CombinedOutput()
	t.Log(string(out))
	require.NoError(t, err)
	assert.Contains(t, string(out), "skipped 0")
}
