package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
	"trackerdcs/pkg/transfer"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

const patience = 2 * time.Minute

var root = wire.Root("")

// bench is a sink on a broker, and the test in the parts of run control and of
// the devices.
type bench struct {
	*bustest.Listener
	t    *testing.T
	url  string
	db   *fakeDB
	dir  string
	boot string // of the sink
	stop func()
	seq  uint64

	limits limits
}

func newBench(t *testing.T) *bench {
	url := brokertest.New(t, mqttd.Options{AckWait: time.Second}).URL()
	b := &bench{t: t, url: url, db: newFakeDB(), dir: t.TempDir(), limits: usual}
	b.Listener = bustest.Listen(t, url, "/service/#", "/ph2acf/#")
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// start runs a sink on the bench's data folder.
func (b *bench) start() {
	b.t.Helper()
	env := servicetest.Env(b.t, "calibration", "calibration")
	env.DataDir, b.boot = b.dir, env.Boot
	cfg := &config{
		Service: service.Service{Name: "calibration"}, Bus: service.Bus{Broker: b.url},
		Mongo: Mongo{URI: "mongodb://127.0.0.1:1"}, Bucket: "dcs", Journal: 1 << 30, Settle: 15 * time.Second,
	}
	require.NoError(b.t, cfg.Validate())
	s, err := newSink(env, cfg, b.db)
	require.NoError(b.t, err)
	s.limits = b.limits
	mark := b.Mark()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	var once sync.Once
	b.stop = func() {
		once.Do(func() {
			cancel()
			assert.NoError(b.t, <-ended)
		})
	}
	b.Await(mark, "the sink is on the bus", func(m bus.Message) bool {
		var st wire.State
		return m.Topic == root.ServiceState("calibration") && json.Unmarshal(m.Payload, &st) == nil && st.Boot == env.Boot
	})
}

// status says what the supply measures.
func (b *bench) status(at time.Time, vmon float64) {
	b.seq++
	b.Say("/hv/status", fmt.Sprintf(`[{"number":0,"on":1,"vreq":100,"vmon":%g,"trip":0,"time":%q,"seq":%d,"boot":"hv1"}]`, vmon, at.UTC().Format(time.RFC3339Nano), b.seq))
}

// record says what run control knows of a run.
func (b *bench) record(r wire.Run) {
	r.Time = time.Now().UTC()
	b.Say(root.RunRecord(), string(wire.Encode(r)))
}

func (b *bench) receipt(run int64, what string, wanted func(wire.RecordReceipt) bool) wire.RecordReceipt {
	b.t.Helper()
	var r wire.RecordReceipt
	b.Await(0, what, func(m bus.Message) bool {
		r = wire.RecordReceipt{}
		return m.Topic == root.RecordReceipts("calibration") && json.Unmarshal(m.Payload, &r) == nil && r.Run == run && wanted(r)
	})
	return r
}

// life is the record of a run after so many transitions.
func life(run int64, states ...string) wire.Run {
	r := wire.Run{
		Run: run, UID: fmt.Sprintf("uid%d", run), Procedure: "calibration", Device: "ph2acf", User: "alice", ID: "nr-1",
		Parameters: wire.Parameters{"module": "M12", "vcal": 200.0}, Asked: begun.Add(-time.Second), State: wire.RunIdle,
		Results: wire.ResultsExpected,
	}
	for i, s := range states {
		r.Transitions = append(r.Transitions, wire.Transition{Name: s, From: r.State, To: s, Time: begun.Add(time.Duration(i) * time.Second)})
		r.State, r.Since = s, begun.Add(time.Duration(i)*time.Second)
		switch {
		case s == wire.RunRunning:
			r.Start = begun
		case wire.RunEnded(s):
			r.End = begun.Add(10 * time.Second)
		}
	}
	return r
}

// begun is when the runs of this file began, some of them before the file did.
var begun = time.Now().UTC().Truncate(time.Second).Add(-20 * time.Second)

// offer are results of a run: a JSON file, a CSV file, a log and bytes.
func offer(t *testing.T, run int64, raw int) transfer.Offer {
	t.Helper()
	dir := t.TempDir()
	exit := 0
	m := wire.Manifest{
		Report: wire.Report{
			Run: run, UID: fmt.Sprintf("uid%d", run), State: wire.RunFinished, Procedure: "calibration", Exit: &exit,
			Parameters: wire.Parameters{"module": "M12", "vcal": 200.0, "events": 100.0},
			Start:      begun, End: begun.Add(10 * time.Second),
		},
		Program: "/opt/ph2acf", Arguments: []string{"--module", "M12"}, Versions: map[string]string{"ph2acf": "4.2"},
	}
	for _, f := range []struct{ name, read, content string }{
		{"summary.json", wire.ReadJSON, `{"threshold":{"mean":120.5},"chips":8}`},
		{"scurves.csv", wire.ReadCSV, "chip,threshold\n0,120\n1,121\n"},
		{"raw.bin", wire.ReadRaw, strings.Repeat("x", raw)},
		{"log.txt", wire.ReadLog, begun.Add(time.Second).Format(time.RFC3339) + "\tout\thello\n" + begun.Add(2*time.Second).Format(time.RFC3339) + "\terr\tworld\n"},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, f.name), []byte(f.content), 0o600))
		sum := sha256.Sum256([]byte(f.content))
		m.Files = append(m.Files, wire.File{Name: f.name, Size: int64(len(f.content)), SHA256: hex.EncodeToString(sum[:]), Read: f.read})
	}
	return transfer.Offer{Manifest: m, Open: func(i int) (transfer.File, error) { return os.Open(filepath.Join(dir, m.Files[i].Name)) }}
}

// deliver sends results as a driver does; the channel is closed when the sink
// has them in the database.
func (b *bench) deliver(o transfer.Offer) (stored chan struct{}) {
	b.t.Helper()
	stored = make(chan struct{})
	s, err := transfer.New(transfer.Options{
		Bus: bus.Options{Broker: b.url, ClientID: "dcs-ph2acf-results"}, Device: "ph2acf", Sink: "calibration", Log: slog.New(slog.DiscardHandler),
		Stored: func(int64, string) { close(stored) },
	})
	require.NoError(b.t, err)
	s.Offer(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx)
	}()
	b.t.Cleanup(func() {
		cancel()
		<-ended
	})
	return stored
}

func (b *bench) await(what string, c <-chan struct{}) {
	b.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		b.t.Fatal("never: ", what)
	}
}

// stored waits for the document in its last state.
func (b *bench) stored(run int64) runs.Run {
	b.t.Helper()
	var d runs.Run
	require.Eventually(b.t, func() bool {
		var ok bool
		d, ok = b.db.doc(run)
		return ok && !d.Stored.IsZero()
	}, patience, 5*time.Millisecond, "the document of run %d", run)
	return d
}

// live takes a run from its number to the end of its program, with statuses.
func (b *bench) live(run int64) {
	b.t.Helper()
	b.status(begun.Add(-500*time.Millisecond), 99)
	b.record(life(run, wire.RunConfiguring))
	b.receipt(run, "the record is kept", func(r wire.RecordReceipt) bool { return r.State == wire.RunConfiguring })
	b.record(life(run, wire.RunConfiguring, wire.RunRunning))
	for i := range 13 {
		b.status(begun.Add(time.Duration(i)*time.Second+500*time.Millisecond), 100+float64(i))
	}
	b.record(life(run, wire.RunConfiguring, wire.RunRunning, wire.RunFinishing))
}

var wholeLife = []string{wire.RunConfiguring, wire.RunRunning, wire.RunFinishing, wire.RunFinished}

func TestRun(t *testing.T) {
	b := newBench(t)
	b.live(42)
	stored := b.deliver(offer(t, 42, 1_000_000))
	b.receipt(42, "the results are received", func(r wire.RecordReceipt) bool { return r.Results == wire.ResultsReceived })
	require.Eventually(t, func() bool {
		d, ok := b.db.doc(42)
		return ok && d.State == wire.RunFinishing
	}, patience, time.Millisecond, "a run that lives has a document")

	b.record(life(42, wholeLife...))
	d := b.stored(42)
	b.await("the driver is told", stored)
	b.receipt(42, "run control is told", func(r wire.RecordReceipt) bool {
		return r.State == wire.RunFinished && r.Results == wire.ResultsStored
	})

	assert.Equal(t, wire.RunFinished, d.State)
	assert.Equal(t, "M12", d.Module)
	assert.Equal(t, "alice", d.User)
	assert.Equal(t, wire.ResultsStored, d.Outcome)
	assert.InDelta(t, 10, d.Duration, 1e-9)
	assert.Equal(t, map[string]any{"module": "M12", "vcal": 200.0, "events": 100.0}, d.Parameters, "with the driver's defaults")
	assert.Equal(t, "4.2", d.Versions["ph2acf"])
	assert.Len(t, d.Transitions, 4)
	assert.Equal(t, []runs.LogLine{
		{Time: begun.Add(time.Second), Stream: "out", Text: "hello"}, {Time: begun.Add(2 * time.Second), Stream: "err", Text: "world"},
	}, d.Log)
	assert.Contains(t, d.Results, "summary")
	assert.Contains(t, d.Results, "scurves")
	require.Len(t, d.Files, 4)
	for _, f := range d.Files {
		assert.Empty(t, f.Error)
		assert.Equal(t, f.SHA256, b.db.files[f.ID])
	}
	require.NotNil(t, d.Capsule)
	assert.Equal(t, &runs.Range{Bucket: "dcs", From: begun, To: begun.Add(10 * time.Second)}, d.Influx)
	hv := d.Capsule.Devices["hv"]
	require.Len(t, hv.Channels, 1)
	vmon := hv.Channels[0].Fields["vmon"]
	assert.Equal(t, runs.Field{First: 100, Last: 109, Min: 100, Max: 109, Mean: 104.5, Count: 10, Unit: vmon.Unit}, vmon)
	assert.InDelta(t, 99, hv.Channels[0].Before["vmon"], 0)
	require.Eventually(t, func() bool {
		left, err := os.ReadDir(filepath.Join(b.dir, "runs"))
		return err == nil && len(left) == 0
	}, patience, time.Millisecond, "nothing is left on the disk")
	k := b.kept(func(k wire.Kept) bool { return k.Highest == 42 && k.Waiting == 0 })
	assert.True(t, k.Known)
}

func (b *bench) kept(wanted func(wire.Kept) bool) (k wire.Kept) {
	b.t.Helper()
	b.Await(0, "what the sink says it has", func(m bus.Message) bool {
		k = wire.Kept{}
		return m.Topic == root.Kept("calibration") && json.Unmarshal(m.Payload, &k) == nil && wanted(k)
	})
	return k
}

// Fault 31: the database is away at the end of a run, and the sink is killed too.
func TestDatabaseAwayAtTheEnd(t *testing.T) {
	b := newBench(t)
	b.kept(func(k wire.Kept) bool { return k.Known })
	b.db.setAway(true)
	b.live(42)
	stored := b.deliver(offer(t, 42, 300_000))
	b.receipt(42, "the results are received", func(r wire.RecordReceipt) bool { return r.Results == wire.ResultsReceived })
	b.record(life(42, wholeLife...))
	b.receipt(42, "the end is on the disk", func(r wire.RecordReceipt) bool { return r.State == wire.RunFinished })
	b.Await(0, "the sink says what is wrong", func(m bus.Message) bool {
		return m.Topic == root.ServiceState("calibration") && strings.Contains(string(m.Payload), "runs that wait on the disk: 1")
	})
	b.stop()
	b.start()
	b.db.setAway(false)
	d := b.stored(42)
	b.await("the driver is told", stored)
	assert.Equal(t, wire.RunFinished, d.State)
	_, sent := b.db.written()
	assert.Equal(t, 4, sent, "each file once")
	require.NotNil(t, d.Capsule)
	assert.EqualValues(t, 10, d.Capsule.Devices["hv"].Statuses)
	assert.Zero(t, d.Capsule.Missing)
}

// The sink is killed while results come and while devices speak: the broker has
// what it missed, and the driver goes on where it was.
func TestSinkKilledInARun(t *testing.T) {
	b := newBench(t)
	b.status(begun.Add(-500*time.Millisecond), 99)
	b.record(life(42, wire.RunConfiguring, wire.RunRunning))
	b.receipt(42, "the record is kept", func(r wire.RecordReceipt) bool { return r.State == wire.RunRunning })
	for i := range 4 {
		b.status(begun.Add(time.Duration(i)*time.Second+500*time.Millisecond), 100+float64(i))
	}
	b.stop()
	for i := 4; i < 13; i++ {
		b.status(begun.Add(time.Duration(i)*time.Second+500*time.Millisecond), 100+float64(i))
	}
	stored := b.deliver(offer(t, 42, 20_000_000))
	b.start()
	for range 2 {
		b.Await(b.Mark(), "a receipt", func(m bus.Message) bool { return m.Topic == root.Receipts("calibration", "ph2acf") })
		b.stop()
		b.start()
	}
	b.record(life(42, wholeLife...))
	b.await("the driver is told", stored)
	d := b.stored(42)
	assert.EqualValues(t, 10, d.Capsule.Devices["hv"].Statuses)
	assert.Zero(t, d.Capsule.Missing)
	_, sent := b.db.written()
	assert.Equal(t, 4, sent)
}

func TestRunThatNeverRan(t *testing.T) {
	b := newBench(t)
	r := life(7, wire.RunConfiguring, wire.RunFailed)
	r.End, r.Results, r.Error = time.Time{}, wire.ResultsNone, "hv/0 setv 100: rejected LOCKED"
	b.record(r)
	d := b.stored(7)
	assert.Equal(t, wire.RunFailed, d.State)
	assert.Equal(t, r.Error, d.Error)
	assert.Equal(t, wire.ResultsNone, d.Outcome)
	assert.NotNil(t, d.Capsule)
	assert.Empty(t, d.Files)
}

// Results that were given up come after all.
func TestLateResults(t *testing.T) {
	b := newBench(t)
	b.live(42)
	r := life(42, wire.RunConfiguring, wire.RunRunning, wire.RunInterrupted)
	r.Results, r.Error = wire.ResultsMissing, "ph2acf is lost"
	b.record(r)
	r.Transitions = append(r.Transitions, r.Transitions[2]) // later than finishing
	b.record(r)
	d := b.stored(42)
	assert.Equal(t, wire.ResultsMissing, d.Outcome)
	assert.Empty(t, d.Files)
	b.stop()
	b.limits.record = 0
	b.start()
	b.await("the driver is told", b.deliver(offer(t, 42, 1000)))
	d = b.stored(42)
	assert.Equal(t, wire.ResultsStored, d.Outcome)
	assert.Equal(t, wire.RunInterrupted, d.State, "what run control has said stands")
	assert.Equal(t, "alice", d.User)
	assert.Len(t, d.Files, 4)
	assert.EqualValues(t, 10, d.Capsule.Devices["hv"].Statuses, "the capsule that was made in time")
}

// A run that somebody had a driver execute without run control.
func TestRunWithoutRunControl(t *testing.T) {
	b := newBench(t)
	b.stop()
	b.limits.record = 0
	b.start()
	b.await("the driver is told", b.deliver(offer(t, 3, 1000)))
	d := b.stored(3)
	assert.Equal(t, wire.RunFinished, d.State)
	assert.Equal(t, "ph2acf", d.Device)
	assert.Equal(t, "M12", d.Module)
}

func TestSecondRunWithANumber(t *testing.T) {
	b := newBench(t)
	r := life(7, wire.RunConfiguring, wire.RunFailed)
	r.Results = wire.ResultsNone
	b.record(r)
	b.stored(7)
	r.UID = "another"
	b.record(r)
	got := b.receipt(7, "a refusal", func(r wire.RecordReceipt) bool { return r.UID == "another" && r.Error != "" })
	assert.Contains(t, got.Error, "a number was used twice")
	d, _ := b.db.doc(7)
	assert.Equal(t, "uid7", d.UID)
}

// A sink that has lost its disk knows from the database what there is.
func TestLostDisk(t *testing.T) {
	b := newBench(t)
	r := life(7, wire.RunConfiguring, wire.RunFailed)
	r.Results = wire.ResultsNone
	b.record(r)
	b.stored(7)
	b.stop()
	b.dir = t.TempDir()
	mark := b.Mark()
	b.start()
	b.Await(mark, "the highest number", func(m bus.Message) bool {
		var k wire.Kept
		return m.Topic == root.Kept("calibration") && json.Unmarshal(m.Payload, &k) == nil && k.Highest == 7 && k.Known
	})
	puts, _ := b.db.written()
	mark = b.Mark()
	b.record(r)
	b.Await(mark, "run control is told that it is there", func(m bus.Message) bool {
		var rr wire.RecordReceipt
		return m.Topic == root.RecordReceipts("calibration") && json.Unmarshal(m.Payload, &rr) == nil && rr.State == wire.RunFailed
	})
	require.Eventually(t, func() bool {
		left, err := os.ReadDir(filepath.Join(b.dir, "runs"))
		return err == nil && len(left) == 0
	}, patience, time.Millisecond)
	now, _ := b.db.written()
	assert.Equal(t, puts, now, "the document is not written again")
	b.kept(func(k wire.Kept) bool { return k.Boot == b.boot && k.Waiting == 0 })
}

func TestUnreadableResultIsStoredAllTheSame(t *testing.T) {
	d := runs.Run{Number: 1}
	budget := 1000
	err := interpret(&d, runs.File{Name: "a.json", Read: wire.ReadJSON}, strings.NewReader(`{"a":`), &budget)
	require.Error(t, err)
	assert.Empty(t, d.Results)
	require.NoError(t, interpret(&d, runs.File{Name: "a.json", Read: wire.ReadJSON}, strings.NewReader(`{"a":1}`), &budget))
	require.NoError(t, interpret(&d, runs.File{Name: "a.csv", Read: wire.ReadCSV}, strings.NewReader("x\n1\n"), &budget))
	assert.Contains(t, d.Results, "a")
	assert.Contains(t, d.Results, "a_csv")
}

func TestReadLogKeepsBothEnds(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "2026-11-21T10:00:00Z\tout\tline %d\n", i)
	}
	b.WriteString("no newline, and " + strings.Repeat("long ", 2000))
	lines, cut, err := readLog(strings.NewReader(b.String()))
	require.NoError(t, err)
	assert.Len(t, lines, logLines)
	assert.EqualValues(t, 5001-logLines, cut)
	assert.Equal(t, "line 0", lines[0].Text)
	assert.Equal(t, "line 4999", lines[logLines-2].Text)
	assert.True(t, strings.HasSuffix(lines[logLines-1].Text, " …"))
	_, _, err = readLog(io.MultiReader(strings.NewReader("a"), failing{}))
	require.Error(t, err)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestLedgerOutlivesATornLine(t *testing.T) {
	dir := t.TempDir()
	l, err := openLedger(dir, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, l.add(entry{Run: 5, UID: "u", Results: wire.ResultsNone}))
	f, err := os.OpenFile(l.name, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"run":6,`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	l, err = openLedger(dir, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	highest, known := l.kept()
	assert.EqualValues(t, 5, highest)
	assert.False(t, known)
	require.NoError(t, l.add(entry{Run: 6, Known: true}))
	l, err = openLedger(dir, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	highest, known = l.kept()
	assert.EqualValues(t, 6, highest)
	assert.True(t, known)
	_, ok := l.find(6)
	assert.False(t, ok, "a number that was heard is not a run that is stored")
}

func TestREADME(t *testing.T) { servicetest.README(t, new(config), "README.md") }
