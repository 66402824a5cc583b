//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

func (d *demo) database() *runs.Client {
	c, err := runs.New(runs.Config{URI: fmt.Sprintf("mongodb://127.0.0.1:%d", d.port(27017)), Database: "dcs"})
	require.NoError(d.t, err)
	d.t.Cleanup(func() { _ = c.Close(d.t.Context()) })
	return c
}

// runAck waits for the next ack of run control, or the final one.
func runAck(l *bustest.Listener, mark int, final bool) (a wire.Ack) {
	l.Await(mark, "an ack of run control", func(m bus.Message) bool {
		a = wire.Ack{}
		return m.Topic == "/run/ack" && json.Unmarshal(m.Payload, &a) == nil && (a.Final() || !final)
	})
	return a
}

// What a person types starts a calibration, and one document has all of it.
func calibrationRun(t *testing.T, d *demo) {
	l := bustest.Listen(t, d.broker(), "/run/#", "/ph2acf/#")
	db := d.database()
	mark := l.Mark()
	d.publish("/run/cmd/start", `{"procedure":"calibration","parameters":{"module":"M12"}}`)
	a := runAck(l, mark, false)
	require.Equal(t, wire.Accepted, a.Phase, a.Message)
	run := a.Run
	require.Positive(t, run)
	began := time.Now()
	a = runAck(l, mark, true)
	assert.Equal(t, wire.Done, a.Phase, a.Message)
	took := time.Since(began)

	var doc runs.Run
	eventually(t, "the complete document", func() bool {
		var err error
		doc, err = db.Get(t.Context(), run)
		return err == nil && !doc.Stored.IsZero()
	})
	t.Logf("run %d: accepted to done %.1f s, complete %.1f s after its end; %d files", run, took.Seconds(), doc.Stored.Sub(doc.End).Seconds(), len(doc.Files))
	assert.Equal(t, wire.RunFinished, doc.State)
	assert.Equal(t, "M12", doc.Module)
	assert.Equal(t, wire.ResultsStored, doc.Outcome)
	require.NotNil(t, doc.Exit)
	assert.Zero(t, *doc.Exit)
	assert.NotEmpty(t, doc.Log)
	assert.NotEmpty(t, doc.Versions)
	assert.Contains(t, doc.Results, "summary")
	assert.Contains(t, doc.Results, "scurves")
	require.Len(t, doc.Files, 4)
	assert.Greater(t, demoFiles(t, db, doc), int64(20_000_000))
	require.NotNil(t, doc.Capsule)
	assert.Zero(t, doc.Capsule.Missing)
	for _, dev := range []string{"hv", "lv", "dht_room", "sensor_1"} {
		require.Contains(t, doc.Capsule.Devices, dev)
		assert.Positive(t, doc.Capsule.Devices[dev].Statuses, dev)
	}
	hv := doc.Capsule.Devices["hv"].Channels
	require.Len(t, hv, 4)
	assert.Contains(t, hv[0].Before, "vreq", "the setpoint at the start")
	assert.Positive(t, hv[0].Fields["vmon"].Count)
	require.NotNil(t, doc.Influx)

	var phases []string
	for _, m := range l.Heard("/run/state") {
		var r wire.Run
		if json.Unmarshal(m.Payload, &r) == nil && r.Run == run && (len(phases) == 0 || phases[len(phases)-1] != r.State) {
			phases = append(phases, r.State)
		}
	}
	assert.Equal(t, []string{wire.RunConfiguring, wire.RunRunning, wire.RunFinishing, wire.RunFinished}, phases)
	assert.NotEmpty(t, l.Heard("/ph2acf/log"), "lines while it runs")
	eventually(t, "the annotation in InfluxDB", func() bool {
		v, err := d.query(fmt.Sprintf(`SELECT "number", state, end_ms FROM run WHERE "number" = %d`, run))
		return err == nil && len(v) == 1 && fmt.Sprint(v[0][2]) == wire.RunFinished && v[0][3] != nil
	})
}

func demoFiles(t *testing.T, db *runs.Client, doc runs.Run) (bytes int64) {
	t.Helper()
	for _, f := range doc.Files {
		r, _, err := db.OpenFile(t.Context(), doc.Number, f.Name)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, r) // the end is an error where the sum is wrong
		require.NoError(t, err, f.Name)
		assert.Equal(t, f.Size, n, f.Name)
		bytes += n
	}
	return bytes
}

// The command line starts runs, follows them and reads them again.
func runsFromTheCommandLine(t *testing.T, d *demo) {
	out, code := d.dcs("run", "start", "calibration", "--module", "M13", "--set", "vcal=150", "--set", "duration=1", "--set", "megabytes=2")
	require.Zero(t, code, out)
	assert.Contains(t, out, wire.RunFinished)
	db := d.database()
	n, err := db.Highest(t.Context())
	require.NoError(t, err)
	number := fmt.Sprint(n)
	stored(t, db, n, patience)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "list"}, "M13"},
		{[]string{"run", "show", number}, "vcal"},
		{[]string{"run", "log", number}, "scurves"},
		{[]string{"run", "compare", fmt.Sprint(n - 1), number}, "vcal"},
	} {
		out, code := d.dcs(c.args...)
		assert.Zero(t, code, out)
		assert.Contains(t, out, c.want, strings.Join(c.args, " "))
	}
	dir := t.TempDir()
	out, code = d.dcs("run", "files", number, "--to", dir)
	require.Zero(t, code, out)
	for _, name := range []string{"summary.json", "scurves.csv", "raw.bin", "log.txt"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err, out)
		assert.Positive(t, info.Size(), name)
	}
	doc, err := db.Get(t.Context(), n)
	require.NoError(t, err)
	out, code = d.dcs("at", doc.Start.Add(time.Second).UTC().Format(time.RFC3339))
	assert.Zero(t, code, out)
	assert.Contains(t, out, "hv")
	assert.Contains(t, out, "vreq")

	out, code = d.dcs("run", "start", "calibration", "--module", "M13; rm -rf /")
	assert.Equal(t, 3, code, out)
	assert.Contains(t, out, "module")
	out, code = d.dcs("run", "start", "ls", "--module", "M13")
	assert.Equal(t, 1, code, out)
	assert.Contains(t, out, "calibration", "what there is")
}

// A transition that cannot have its configuration does not happen and says why;
// one that can ramps the supply first.
func configuredRun(t *testing.T, d *demo) {
	l := bustest.Listen(t, d.broker(), "/run/#", "/hv/ack")
	db := d.database()
	for _, tt := range []struct{ configuration, state, why string }{
		{`{"setpoints":[{"device":"hv","channel":2,"op":"setv","value":1e6}]}`, wire.RunFailed, "OUT_OF_RANGE"},
		{`{"sensors":[{"device":"dht_room","field":"temperature","min":200,"max":300}],"wait":1}`, wire.RunFailed, "temperature"},
		{`{"setpoints":[{"device":"hv","channel":2,"op":"setv","value":20},{"device":"hv","channel":2,"op":"switch","value":"on"}],
		   "sensors":[{"device":"hv","channel":2,"field":"vmon","min":18,"max":22}]}`, wire.RunFinished, ""},
	} {
		mark := l.Mark()
		d.publish("/run/cmd/start", `{"procedure":"calibration","parameters":{"module":"M14","duration":1,"megabytes":0},"configuration":`+tt.configuration+`}`)
		a := runAck(l, mark, true)
		doc := stored(t, db, a.Run, patience)
		assert.Equal(t, tt.state, doc.State, doc.Error)
		assert.Contains(t, doc.Error, tt.why)
		assert.Contains(t, doc.Configurations, wire.RunTransition)
	}
	out, code := d.dcs("switch", "hv/2", "off")
	assert.Zero(t, code, out)
}

// What tries to break out is refused with the reason, and nothing runs.
func runsThatBreakOut(t *testing.T, d *demo) {
	l := bustest.Listen(t, d.broker(), "/run/#")
	before, err := d.database().Highest(t.Context())
	require.NoError(t, err)
	mark := l.Mark()
	d.publish("/run/cmd/start", `{"procedure":"ls -l /"}`)
	a := runAck(l, mark, false)
	assert.Equal(t, wire.Rejected, a.Phase)
	assert.Contains(t, a.Message, "calibration", "what there is")
	for _, module := range []string{
		"; rm -rf /", "$(touch /tmp/x)", "`id`", "../../etc/passwd", "M12\nM13", "M12\x00", "-rf", "|cat", "M12 --fault crash", "ｍ１２", strings.Repeat("M", 5000),
		strings.Repeat("M", 1_000_000),
	} {
		payload, err := json.Marshal(map[string]any{"procedure": "calibration", "parameters": map[string]any{"module": module}})
		require.NoError(t, err)
		mark := l.Mark()
		l.Say("/run/cmd/start", string(payload))
		a := runAck(l, mark, false)
		assert.Equal(t, wire.Rejected, a.Phase, wire.Echo(module))
		assert.Equal(t, wire.BadValue, a.Code, a.Message)
		assert.NotEmpty(t, a.Message)
	}
	after, err := d.database().Highest(t.Context())
	require.NoError(t, err)
	assert.Equal(t, before, after, "no number was used")
}
