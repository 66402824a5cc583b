package record

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

const root = wire.Root("lab1")

// desk is a broker, the folder of a log, and somebody who publishes acks.
type desk struct {
	t   *testing.T
	url string
	dir string
	bus *bustest.Listener
	now time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	b := brokertest.New(t, mqttd.Options{AckWait: 3 * time.Second})
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "disk"), 0o700))
	require.NoError(t, os.Symlink("disk", filepath.Join(dir, "audit"))) // for block
	return &desk{
		t: t, url: b.URL(), dir: filepath.Join(dir, "audit"),
		bus: bustest.Listen(t, b.URL(), string(root)+"/service/#"), now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC),
	}
}

// running is a recorder at work.
type running struct {
	*Recorder
	t       *testing.T
	metrics *prometheus.Registry
	end     func() // of Run
	stop    func() // of it and the log
}

func (d *desk) start(change ...func(*Recorder)) *running {
	d.t.Helper()
	metrics := prometheus.NewRegistry()
	r, err := New(Config{
		Dir: d.dir, Root: root, Name: "gateway", Boot: "b00t", Options: bus.Options{Broker: d.url},
		Log: slog.New(slog.NewTextHandler(d.t.Output(), nil)), Metrics: metrics,
	})
	require.NoError(d.t, err)
	r.retry0 = 10 * time.Millisecond
	for _, f := range change {
		f(r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		assert.NoError(d.t, r.Run(ctx))
	}()
	x := &running{Recorder: r, t: d.t, metrics: metrics}
	x.end = func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(bustest.Patience):
			d.t.Error("Run does not end")
		}
	}
	stopped := false
	x.stop = func() {
		if stopped {
			return
		}
		stopped = true
		x.end()
		assert.NoError(d.t, r.Close())
	}
	d.t.Cleanup(x.stop)
	require.Eventually(d.t, r.bus.Connected, bustest.Patience, time.Millisecond)
	return x
}

// list is all of the log, the oldest first.
func (r *running) list() []auditlog.Entry {
	r.t.Helper()
	entries, _, err := r.List(context.Background(), auditlog.Filter{Limit: 1000})
	require.NoError(r.t, err)
	for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
		entries[i], entries[j] = entries[j], entries[i]
	}
	return entries
}

// await waits until the log has n entries.
func (r *running) await(n int) []auditlog.Entry {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return r.Head().Seq >= int64(n) }, bustest.Patience, time.Millisecond, "%d entries", n)
	entries := r.list()
	require.Len(r.t, entries, n)
	return entries
}

func (r *running) metric(name string) float64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	require.NoError(r.t, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func (r *running) awaitMetric(name string, least float64) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return r.metric(name) >= least }, bustest.Patience, time.Millisecond, name)
}

// ack is one of hv; each has a time of its own.
func (d *desk) ack(change ...func(*wire.Ack)) wire.Ack {
	d.now = d.now.Add(time.Second)
	a := wire.Ack{
		Time: d.now, Boot: "b1", ID: "gw-1", Op: wire.SetV, Channel: wire.One(0), Value: 100.0, User: "alice", Phase: wire.Done, Code: wire.OK,
	}
	for _, f := range change {
		f(&a)
	}
	return a
}

func (d *desk) say(device string, a wire.Ack) {
	d.t.Helper()
	d.bus.Say(root.Ack(device), string(wire.Encode(a)))
}

func sent() auditlog.Entry {
	return auditlog.Entry{
		Kind: auditlog.Command, User: "alice", Role: "operator", Verified: true, Via: "session", Address: "10.0.0.9",
		Device: "hv", Op: wire.SetV, Channel: "0", Value: 100.0, ID: "gw-1",
	}
}

func TestAckIsRecorded(t *testing.T) {
	d := newDesk(t)
	r := d.start()
	require.NoError(t, r.Append(t.Context(), sent()))
	d.say("hv", d.ack(func(a *wire.Ack) { a.Phase = wire.Accepted }))
	rejected := d.ack(func(a *wire.Ack) {
		a.ID, a.User, a.Phase, a.Code, a.Message, a.Closest = "nr-1", "node-red", wire.Rejected, wire.OutOfRange, "too much", wire.Known(50)
	})
	d.say("hv", rejected)
	d.say("run", d.ack(func(a *wire.Ack) {
		a.ID, a.Op, a.Channel, a.Value, a.Run = "cli-1", wire.Start, wire.ChannelID{}, nil, 42
	}))
	list := r.await(4)

	assert.Equal(t, "b00t", list[0].Boot)
	own := list[1]
	assert.True(t, own.Verified)
	assert.Equal(t, "session 10.0.0.9 operator alice hv setv 0 100 gw-1 b1 accepted OK",
		fmt.Sprint(own.Via, " ", own.Address, " ", own.Role, " ", own.User, " ", own.Device, " ", own.Op, " ", own.Channel, " ", own.Value, " ", own.ID, " ", own.Boot, " ", own.Phase, " ", own.Code))
	other := list[2]
	assert.Equal(t, auditlog.Outcome, other.Kind)
	assert.False(t, other.Verified)
	assert.Equal(t, "bus  node-red rejected OUT_OF_RANGE too much", fmt.Sprint(other.Via, " ", other.Role, " ", other.User, " ", other.Phase, " ", other.Code, " ", other.Message))
	assert.InDelta(t, 50, *other.Closest, 0)
	assert.Equal(t, rejected.Time, other.Said)
	assert.WithinDuration(t, time.Now(), other.Time, time.Minute)
	assert.Equal(t, "run start 42", fmt.Sprint(list[3].Device, " ", list[3].Op, " ", list[3].Run))
	assert.InDelta(t, 4, r.metric("dcs_audit_head_seq"), 0)
	assert.InDelta(t, 4, r.metric("dcs_audit_entries_total"), 0)
	rep, err := auditlog.Verify(t.Context(), d.dir, r.Head())
	require.NoError(t, err)
	assert.True(t, rep.OK(), rep.Problems)
}

// Whoever is on the bus sees ids. An ack that differs from what the gateway sent
// is not that of its command.
func TestForgedAcks(t *testing.T) {
	d := newDesk(t)
	r := d.start()
	require.NoError(t, r.Append(t.Context(), sent()))
	forged := []struct {
		device string
		change func(*wire.Ack)
	}{
		{"lv", func(*wire.Ack) {}},
		{"run", func(*wire.Ack) {}},
		{"hv", func(a *wire.Ack) { a.Op = wire.SetI }},
		{"hv", func(a *wire.Ack) { a.Channel = wire.One(1) }},
		{"hv", func(a *wire.Ack) { a.Channel = wire.All() }},
		{"hv", func(a *wire.Ack) { a.Value = 101.0 }},
		{"hv", func(a *wire.Ack) { a.Value = "100" }},
		{"hv", func(a *wire.Ack) { a.User = "bob" }},
		{"hv", func(a *wire.Ack) { a.ID = "gw-2" }},
		{"hv", func(a *wire.Ack) { a.ID = "" }},
	}
	for _, f := range forged {
		d.say(f.device, d.ack(f.change))
	}
	d.say("hv", d.ack())
	list := r.await(len(forged) + 2)
	for i, e := range list[1 : len(list)-1] {
		assert.False(t, e.Verified, "%d: %+v", i, e)
		assert.Equal(t, "bus", e.Via)
		assert.Empty(t, e.Address+e.Role)
	}
	assert.True(t, list[len(list)-1].Verified)
}

// What comes while the gateway is away is recorded when it is back, and whose it
// is, is still known.
func TestAckAfterARestart(t *testing.T) {
	d := newDesk(t)
	r := d.start()
	require.NoError(t, r.Append(t.Context(), sent()))
	twice := d.ack(func(a *wire.Ack) { a.Phase = wire.Accepted })
	d.say("hv", twice)
	r.await(2)
	r.stop()

	d.say("hv", d.ack())
	d.say("hv", twice)
	r = d.start()
	list := r.await(3)
	assert.True(t, list[2].Verified)
	assert.Equal(t, wire.Done, list[2].Phase)
	r.awaitMetric("dcs_audit_duplicates_total", 1)
	d.say("hv", twice)
	r.awaitMetric("dcs_audit_duplicates_total", 2)
	r.await(3)
	r.stop()
	r = d.start() // nothing waits at the broker any more
	d.say("hv", d.ack(func(a *wire.Ack) { a.ID = "last" }))
	r.await(4)
	assert.Zero(t, r.metric("dcs_audit_duplicates_total"))
}

func TestMalformedAcks(t *testing.T) {
	d := newDesk(t)
	r := d.start()
	bad := []string{"", "x", "[]", "{}", `{"phase":"other"}`, `{"phase":"done","time":"yesterday"}`, `{"phase":"done","value":1e999}`, `{"phase":"done","message":"` + string(make([]byte, wire.MaxCommand)) + `"}`}
	for _, payload := range bad {
		d.bus.Say(root.Ack("hv"), payload)
	}
	d.bus.Say(root.Ack("sensor"), string(wire.Encode(d.ack())))
	d.bus.Say(root.Ack("alarm"), string(wire.Encode(d.ack())))
	r.awaitMetric("dcs_audit_malformed_total", float64(len(bad)+2))
	assert.Empty(t, r.list())
	r.stop()
	r = d.start() // they were confirmed
	d.say("hv", d.ack())
	r.await(1)
	assert.Zero(t, r.metric("dcs_audit_malformed_total"))
}

// An ack is never retained: one that was left on the topic was heard when it was
// said, and is not heard again by each new session.
func TestRetainedAck(t *testing.T) {
	d := newDesk(t)
	d.leave(root.Ack("hv"), string(wire.Encode(d.ack())))
	r := d.start()
	d.say("hv", d.ack(func(a *wire.Ack) { a.ID = "new" }))
	assert.Equal(t, "new", r.await(1)[0].ID)
}

// block takes the folder away, so that nothing can be written, until the
// returned function brings it back. Each is one step, since a recorder that tries
// in between would make a folder of its own.
func (d *desk) block() (unblock func()) {
	d.t.Helper()
	lead := func(to string) {
		require.NoError(d.t, os.Symlink(to, d.dir+".new"))
		require.NoError(d.t, os.Rename(d.dir+".new", d.dir))
	}
	require.NoError(d.t, os.WriteFile(filepath.Join(filepath.Dir(d.dir), "file"), nil, 0o600))
	lead("file")
	return func() { lead("disk") }
}

func TestDiskThatRefuses(t *testing.T) {
	d := newDesk(t)
	r := d.start()
	require.NoError(t, r.Append(t.Context(), sent()))
	unblock := d.block()
	require.ErrorContains(t, r.Append(t.Context(), sent()), "audit log")
	assert.Contains(t, r.Problem(), "the audit log cannot be written: ")
	d.say("hv", d.ack())
	r.awaitMetric("dcs_audit_failures_total", 4) // it tries again and again
	unblock()
	list := r.await(3)
	assert.Equal(t, auditlog.Gap, list[1].Kind, "the file was gone for a while: that is said")
	assert.True(t, list[2].Verified)
	assert.Empty(t, r.Problem())
}

// What was not written was not confirmed: the broker still has it when the
// gateway is killed.
func TestKilledWhileTheDiskRefuses(t *testing.T) {
	d := newDesk(t)
	r := d.start()
	unblock := d.block()
	d.say("hv", d.ack())
	r.awaitMetric("dcs_audit_failures_total", 2)
	r.stop()
	unblock()
	r = d.start()
	assert.Equal(t, "gw-1", r.await(1)[0].ID)
}

// More acks than there is room for come again.
func TestMoreAcksThanRoom(t *testing.T) {
	d := newDesk(t)
	r := d.start(func(r *Recorder) { r.inbox.max = 5 })
	unblock := d.block()
	const n = 30
	for i := range n {
		d.say("hv", d.ack(func(a *wire.Ack) { a.ID = fmt.Sprint(i) }))
	}
	r.awaitMetric("dcs_audit_failures_total", 1)
	unblock()
	require.Eventually(t, func() bool {
		ids := map[string]bool{}
		for _, e := range r.list() {
			if e.Kind == auditlog.Outcome {
				assert.False(t, ids[e.ID], "twice")
				ids[e.ID] = true
			}
		}
		return len(ids) == n
	}, bustest.Patience, 10*time.Millisecond)
}

// Once a minute is enough, however much is written.

// A broker that comes back without its memory has lost acks that nobody can name:
// the log says so, and says it once.
func TestABrokerThatForgetsLeavesAGap(t *testing.T) {
	d := newDesk(t)
	r := d.start()
	require.NoError(t, r.Append(t.Context(), auditlog.Entry{Kind: auditlog.Start}))
	r.stop()
	r = d.start()
	require.Eventually(t, r.bus.Resumed, bustest.Patience, time.Millisecond)
	assert.Len(t, r.list(), 1, "the session was kept: no gap")
	r.stop()

	d.url = brokertest.New(t, mqttd.Options{}).URL() // another broker: it knows nothing
	r = d.start()
	entries := r.await(2)
	assert.Equal(t, auditlog.Gap, entries[1].Kind)
	assert.Contains(t, entries[1].Message, "may be missing")
	r.stop()
	r = d.start()
	require.Eventually(t, r.bus.Resumed, bustest.Patience, time.Millisecond)
	assert.Len(t, r.list(), 2)
}

// The last of the disk is for commands: without an entry they are not sent.
func TestTheLastOfTheDiskIsForCommands(t *testing.T) {
	r := newDesk(t).start(func(r *Recorder) { r.free = func(string) (int64, error) { return 10 << 20, nil } })
	assert.ErrorContains(t, r.Append(t.Context(), auditlog.Entry{Kind: auditlog.Denied}), "10 MB left")
	assert.Error(t, r.Append(t.Context(), auditlog.Entry{Kind: auditlog.Download}))
	require.NoError(t, r.Append(t.Context(), auditlog.Entry{Kind: auditlog.Command}))
	assert.Len(t, r.list(), 1)
}
