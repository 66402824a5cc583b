//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// All programs with an account each, on the broker of production: all that they
// are there for works, none tries what it may not, and none listens to what it
// would not be told.
func TestBrokerAccessSuffices(t *testing.T) {
	for _, root := range []string{"", "lab1"} {
		t.Run("root "+root, func(t *testing.T) { accessSuffices(t, root) })
	}
}

func accessSuffices(t *testing.T, topicRoot string) {
	l := newLab(t)
	l.access.root = topicRoot
	l.access.save()
	sensor := l.own("sensor_1", "sensor", filepath.Join(l.dir, "sensor_1"), "DCS_DEVICE=sensor_1", "DCS_MODEL=sine")
	loader := l.loader("loader", filepath.Join(l.dir, "loader"))
	port := freePort(t)
	g := &gatewayLab{stack: l.stack, gatewayDir: filepath.Join(l.dir, "gateway"), url: fmt.Sprintf("https://localhost:%d", port)}
	g.gateway = l.own("gateway", "gateway", g.gatewayDir, fmt.Sprintf("DCS_LISTEN=127.0.0.1:%d", port),
		"DCS_INFLUX_URL="+l.archive.url, "DCS_INFLUX_BUCKET=dcs/autogen", "DCS_MONGO_URI="+l.uri)
	g.addUsers()
	conf, err := os.OpenFile(l.access.file("mosquitto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = conf.WriteString("log_type debug\nlog_type subscribe\n") // what is denied, and who listens to what
	require.NoError(t, err)
	require.NoError(t, conf.Close())

	for _, p := range []*part{l.broker, l.mongo, l.sim, l.influx} {
		p.start()
	}
	w := l.watch("#")
	w.bus.Send(bus.Message{Topic: topicRoot + "/hv/cmd/setv/1", Payload: []byte("200"), QoS: 1, Retained: true}, nil)
	within(t, patience, "a command is left behind", func() bool { return w.last(0, topicRoot+"/hv/cmd/setv/1", func([]byte) bool { return true }) })
	programs := []*part{l.hv, sensor, l.driver, l.sink, l.control, loader, g.gateway}
	for _, p := range programs {
		p.env = append(p.env, "DCS_TOPIC_ROOT="+topicRoot)
		p.launch()
	}
	for _, p := range programs {
		p.awaitReady()
	}

	within(t, patience, "the refusal of what was left behind", func() bool {
		return w.last(0, topicRoot+"/hv/ack", func(b []byte) bool { return strings.Contains(string(b), `"code":"RETAINED"`) })
	})
	within(t, patience, "its clearing", func() bool {
		return w.last(0, topicRoot+"/hv/cmd/setv/1", func(b []byte) bool { return len(b) == 0 })
	})

	// A command, a value from outside, a run, through the gateway.
	op := g.door().enter("operator", "correct horse battery o")
	status, answer := op.command("hv", map[string]any{"op": "setv", "channel": 0, "value": 20})
	require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, status, "%v", answer)
	setv := answer["id"].(string)
	assert.Equal(t, "done", op.settled(setv)["phase"])
	status, _ = op.call("POST", "/ingest/labview", map[string]float64{"dewpoint": -40})
	assert.Equal(t, http.StatusOK, status)
	expert := g.door().enter("expert", "correct horse battery e")
	require.NoError(t, l.db.PutConfiguration(t.Context(), "bias", wire.Configuration{Setpoints: []wire.Setpoint{{Device: "hv", Channel: 1, Op: wire.SetV, Value: 10.0}}}, "e2e"))
	status, answer = expert.call("POST", "/runs", map[string]any{
		"procedure": "calibration", "parameters": map[string]any{"module": "G1", "duration": 2, "megabytes": 1},
		"configurations": map[string]string{"run": "bias"},
	})
	require.Equal(t, http.StatusAccepted, status, "%v", answer)
	assert.Equal(t, "done", expert.settled(answer["id"].(string))["phase"])
	d := stored(t, l.db, int64(answer["run"].(float64)), 2*patience)
	assert.Equal(t, wire.RunFinished, d.State, d.Error)
	assert.Positive(t, filesAreRight(t, l.db, d))
	_, hv := d.Capsule.Devices["hv"]
	assert.True(t, hv, "what the supply said during the run: %v", d.Capsule.Devices)

	// What is in the archives afterwards.
	for name, q := range map[string]string{
		"supply":     `SELECT COUNT(vmon) FROM hv`,
		"sensor":     `SELECT COUNT(meas1) FROM sensor_1`,
		"ack":        `SELECT COUNT(readback) FROM ack WHERE device = 'hv'`,
		"value":      `SELECT COUNT(value) FROM sensor WHERE "sensor" = 'labview'`,
		"run":        `SELECT COUNT("duration") FROM "run"`,
		"program":    `SELECT COUNT(boot) FROM state WHERE device = 'runcontrol'`,
		"executions": `SELECT COUNT(boot) FROM state WHERE device = 'ph2acf'`,
	} {
		within(t, patience, name+" in InfluxDB", func() bool {
			rows, err := l.ask(q)
			return err == nil && len(rows) == 1 && rows[0][1] != "0"
		})
	}
	within(t, patience, "the ack in the audit log", func() bool {
		_, a := op.call("GET", "/audit?limit=100&device=hv", nil)
		return slices.ContainsFunc(a["entries"].([]any), func(e any) bool {
			m := e.(map[string]any)
			return m["id"] == setv && m["phase"] == "done" && m["verified"] == true
		})
	})
	for _, topic := range []string{"/service/gateway/audit", "/service/loader/ledger/hv", "/service/calibration/runs", "/ph2acf/log", "/ph2acf/run"} {
		// The gateway says the head of its audit log once a minute at most.
		within(t, 2*patience, topic, func() bool { return w.last(0, topicRoot+topic, func([]byte) bool { return true }) })
	}

	// People with an account: who commands, and who only looks.
	out, code := person(l, topicRoot, "alice", "set", "hv/2", "5")
	assert.Zero(t, code, out)
	nothingDenied(t, l, programs)
	out, code = person(l, topicRoot, "bob", "get", "hv/2/vreq")
	assert.Zero(t, code, out)
	assert.Contains(t, out, "5")
	out, code = person(l, topicRoot, "bob", "set", "hv/2", "7", "--timeout=3s")
	assert.Equal(t, 5, code, "no answer: %s", out)
	out, code = person(l, topicRoot, "bob", "get", "hv/2/vreq")
	assert.Zero(t, code, out)
	assert.NotContains(t, out, "7")
}

// person types dcs with an account at the broker.
func person(l *lab, topicRoot, account string, args ...string) (string, int) {
	l.t.Helper()
	b := l.bus(account, l.address())
	cmd := exec.Command(filepath.Join(root(l.t), "bin", "dcs"), args...)
	cmd.Env = append(os.Environ(), "DCS_BROKER="+b.Broker, "DCS_BROKER_USER="+b.BrokerUser, "DCS_BROKER_PASSWORD_FILE="+b.PasswordFile, "DCS_TOPIC_ROOT="+topicRoot)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(l.t, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// What Mosquitto says of who connects and of subscriptions, and what the access
// list grants.
var (
	connectedAs = regexp.MustCompile(`New client connected from \S+ as (\S+) \(.*u'([^']+)'\)`)
	subscribed  = regexp.MustCompile(`(?m)^\d+: (\S+) [012] (\S.*)$`)
	granted     = regexp.MustCompile(`^topic (read|readwrite) (.*)$`)
)

// nothingDenied reads the broker's log: no message was dropped, and every
// subscription is to what its account may read. A broker would not say that.
func nothingDenied(t *testing.T, l *lab, programs []*part) {
	t.Helper()
	log, err := os.ReadFile(l.broker.log)
	require.NoError(t, err)
	assert.NotContains(t, string(log), "Denied")

	list, err := os.ReadFile(l.access.file("mosquitto_acl"))
	require.NoError(t, err)
	readable := map[string][]string{}
	account := ""
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "user "); ok {
			account = name
		}
		if m := granted.FindStringSubmatch(line); m != nil {
			readable[account] = append(readable[account], m[2])
		}
	}
	accountOf := map[string]string{}
	for _, m := range connectedAs.FindAllStringSubmatch(string(log), -1) {
		accountOf[m[1]] = m[2]
	}
	count := map[string]int{}
	for _, m := range subscribed.FindAllStringSubmatch(string(log), -1) {
		account := accountOf[m[1]]
		count[account]++
		assert.True(t, slices.ContainsFunc(readable[account], func(g string) bool { return covers(g, m[2]) }), "%s (%s) listens to %s, which it may not read", m[1], account, m[2])
	}
	for _, p := range programs {
		assert.Positive(t, count[p.name], "subscriptions of %s", p.name)
	}
	t.Logf("subscriptions: %v", count)
}

// covers reports whether all that filter matches is matched by grant.
func covers(grant, filter string) bool {
	g, f := strings.Split(grant, "/"), strings.Split(filter, "/")
	for i, level := range g {
		switch {
		case level == "#":
			return true
		case i >= len(f) || f[i] == "#" || level != "+" && level != f[i]:
			return false
		}
	}
	return len(f) == len(g)
}
