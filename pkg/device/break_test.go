package device_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/device"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

// driver is a driver that publishes when it is told to.
type driver struct {
	*device.Device
	t   *testing.T
	env *service.Env
	seq atomic.Uint64 // what it has published last
	up  atomic.Bool   // its connection stands, and what is done for a new one is done
	end func()
}

type status struct {
	Seq  uint64    `json:"seq"`
	Boot string    `json:"boot"`
	Time time.Time `json:"time"`
}

func settings(url string) *device.Settings {
	return &device.Settings{
		Device: service.Device{Device: "hv"}, Bus: service.Bus{Broker: url},
		Period: time.Second, Backlog: time.Hour,
	}
}

// launch begins a driver; so many statuses are made before it has a connection.
func launch(t *testing.T, s *device.Settings, before int) *driver {
	t.Helper()
	d := &driver{t: t, env: servicetest.Env(t, "test", "hv")}
	dev, err := device.New(d.env, s)
	require.NoError(t, err)
	d.Device = dev
	dev.OnConnect(func() { d.up.Store(true) })
	dev.OnLost(func(error) { d.up.Store(false) })
	d.publish(before)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		assert.NoError(t, dev.Run(ctx, func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		}))
	}()
	d.end = func() {
		cancel()
		<-ended
	}
	t.Cleanup(d.end)
	return d
}

func (d *driver) connected() *driver {
	d.t.Helper()
	require.Eventually(d.t, d.up.Load, bustest.Patience, time.Millisecond)
	return d
}

func (d *driver) publish(n int) {
	for range n {
		now := time.Now()
		at := d.Stamp(now)
		d.Publish(now, func(seq uint64) []byte {
			d.seq.Store(seq)
			return wire.Encode(status{Seq: seq, Boot: d.env.Boot, Time: at})
		})
	}
}

// resent is how many replayed statuses the broker has confirmed.
func (d *driver) resent() float64 {
	families, err := d.env.Metrics.Gather()
	require.NoError(d.t, err)
	for _, f := range families {
		if f.GetName() == "dcs_statuses_replayed_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return 0
}

// heard are the seqs of a boot that came on a topic, in order.
func heard(t *testing.T, l *bustest.Listener, topic, boot string) (out []uint64) {
	t.Helper()
	for _, m := range l.Heard(topic) {
		var s status
		require.NoError(t, json.Unmarshal(m.Payload, &s))
		if s.Boot == boot {
			out = append(out, s.Seq)
		}
	}
	return out
}

// awaitComplete waits until every status of the driver has come, live or again.
func (d *driver) awaitComplete(l *bustest.Listener) {
	d.t.Helper()
	seen := make(map[uint64]bool)
	l.Await(0, "every status", func(m bus.Message) bool {
		var s status
		if m.Topic == "/hv/status" || m.Topic == "/hv/replay" {
			require.NoError(d.t, json.Unmarshal(m.Payload, &s))
		}
		if s.Boot == d.env.Boot {
			seen[s.Seq] = true
		}
		return uint64(len(seen)) == d.seq.Load() // they are numbered from 1
	})
}

func increasing(t *testing.T, seqs []uint64) {
	t.Helper()
	for i := 1; i < len(seqs); i++ {
		require.Greater(t, seqs[i], seqs[i-1])
	}
}

// replays waits for a replay that has the given status.
func replays(t *testing.T, l *bustest.Listener, mark int, seq uint64) {
	t.Helper()
	l.Await(mark, "a replay", func(m bus.Message) bool {
		var s status
		return m.Topic == "/hv/replay" && json.Unmarshal(m.Payload, &s) == nil && s.Seq == seq
	})
}

// Faults 5 and 6: what was said while the broker was away comes on /replay,
// and on /status nothing of the past.
func TestSeqIsCompleteOverABreak(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	l := bustest.Listen(t, b.URL(), "/hv/#")
	d := launch(t, settings(b.URL()), 0).connected()
	d.publish(50)
	for i, fault := range []func(){b.DropClients, func() { b.Stop(); d.publish(100); b.Start() }} {
		before := d.seq.Load()
		fault()
		d.publish(50)
		d.connected().publish(50)
		l.Say("/service/loader/state", fmt.Sprintf(`{"state":"ready","boot":"%d"}`, i)) // who listens may be back after the driver
		d.awaitComplete(l)
		require.Greater(t, d.seq.Load(), before)
	}
	increasing(t, heard(t, l, "/hv/status", d.env.Boot))
}

// Statuses from before the first connection are not lost either.
func TestStatusesBeforeTheBroker(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	b.Stop()
	d := launch(t, settings(b.URL()), 100)
	b.Start()
	l := bustest.Listen(t, b.URL(), "/hv/#", "/service/#")
	d.connected()
	l.Say("/service/loader/state", `{"state":"starting","boot":"a"}`)
	l.Say("/service/loader/state", `{"state":"ready","boot":"a"}`)
	d.awaitComplete(l)
}

// A broker that was killed has forgotten what it had confirmed: the last 30 s
// are said again, whether confirmed or not.
func TestFault06BrokerComesBackEmpty(t *testing.T) {
	o := mqttd.Options{DataDir: filepath.Join(t.TempDir(), "data")}
	b := brokertest.New(t, o)
	d := launch(t, settings(b.URL()), 0).connected()
	first := bustest.Listen(t, b.URL(), "/hv/#")
	meta := wire.Meta{Kind: wire.KindSensor, Model: "test", Fields: map[string]wire.MetaField{}}
	d.Describe(meta)
	d.Set(wire.Ready, "")
	d.publish(20)
	d.awaitComplete(first)
	b.Stop()
	require.NoError(t, os.RemoveAll(o.DataDir))
	d.publish(20)
	b.Start()
	l := bustest.Listen(t, b.URL(), "/hv/#", "/service/#")
	d.connected()
	l.Await(0, "the state", func(m bus.Message) bool { return m.Topic == "/hv/state" })
	l.Await(0, "the description", func(m bus.Message) bool { return m.Topic == "/hv/meta" })
	l.Say("/service/loader/state", `{"state":"ready","boot":"a"}`) // the archive may have come after the driver
	d.awaitComplete(l)
}

// Fault 8, where the drivers are back before the archive: what they said again
// to nobody, they say once more when the archive's state says ready, though it
// is the same archive that was ready before.
func TestFault08TheArchiveComesBackLast(t *testing.T) {
	o := mqttd.Options{DataDir: filepath.Join(t.TempDir(), "data")}
	b := brokertest.New(t, o)
	first := bustest.Listen(t, b.URL(), "/hv/#")
	d := launch(t, settings(b.URL()), 0).connected()
	ready := `{"state":"ready","boot":"a"}`
	first.Say("/service/loader/state", ready)
	d.publish(20)
	d.awaitComplete(first)
	b.Stop()
	require.NoError(t, os.RemoveAll(o.DataDir))
	d.publish(20)
	b.Start()
	early := bustest.Listen(t, b.URL(), "/hv/replay")
	d.connected()
	replays(t, early, 0, d.seq.Load()) // they are confirmed now, and in no archive
	l := bustest.Listen(t, b.URL(), "/hv/#")
	l.Say("/service/loader/state", ready)
	d.awaitComplete(l)
}

// A service that is heard of for the first time when it turns ready counts,
// one that was ready before us does not; nor does what is no state.
func TestReplayForServicesThatAreNewOrBack(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	l := bustest.Listen(t, b.URL(), "/hv/#", "/service/#")
	l.Leave("/service/loader/state", `{"state":"ready","boot":"a"}`)
	bustest.AwaitRetained(t, b.URL(), "/service/loader/state")
	d := launch(t, settings(b.URL()), 1).connected()
	replays(t, l, 0, 1) // of the new connection
	require.Eventually(t, func() bool { return d.resent() == 1 }, bustest.Patience, time.Millisecond, "and confirmed")
	for i, turn := range []struct {
		say    string
		replay bool
	}{
		{`{"state":"ready","boot":"a","error":""}`, false},
		{`{"state":"ready","boot":"b"}`, true}, // a restart that was too quick to be seen
		{"rubbish", false},
		{`[]`, false},
		{`{"state":1}`, false},
		{"", false},
		{`{"state":"lost","boot":"b"}`, false},
		{`{"state":"ready","boot":"b"}`, true},
	} {
		d.publish(1)
		seq := d.seq.Load()
		d.awaitComplete(l)
		mark, before := l.Mark(), len(l.Heard("/hv/replay"))
		l.Say("/service/loader/state", turn.say)
		if !turn.replay { // then the one that is new is the only reason for one
			l.Say(fmt.Sprintf("/service/new%d/state", i), `{"state":"ready","boot":"x"}`)
		}
		replays(t, l, mark, 1) // the oldest comes last
		assert.Equal(t, before+int(seq), len(l.Heard("/hv/replay")), "one replay of all: %s", turn.say)
	}
}

func TestMetaIsSaidWhenItChangesAndAfterAReconnect(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	l := bustest.Listen(t, b.URL(), "/hv/#")
	d := launch(t, settings(b.URL()), 0).connected()
	meta := wire.Meta{Kind: wire.KindSensor, Model: "one", Fields: map[string]wire.MetaField{}}
	d.Describe(meta)
	d.Describe(meta)
	meta.Model = "two"
	d.Describe(meta)
	d.Describe(meta)
	models := func() (out []string) { // each is said once more, sooner or later
		for _, m := range l.Heard("/hv/meta") {
			var meta wire.Meta
			require.NoError(t, json.Unmarshal(m.Payload, &meta))
			out = append(out, meta.Model)
		}
		return out
	}
	d.publish(1)
	l.Await(0, "a status", func(m bus.Message) bool { return m.Topic == "/hv/status" })
	assert.Equal(t, []string{"one", "two"}, slices.Compact(models()))
	said := len(models())
	b.DropClients()
	l.Await(0, "the description again", func(bus.Message) bool { return len(models()) > said })
	assert.Equal(t, "two", models()[said])
	bustest.AwaitRetained(t, b.URL(), "/hv/meta")
}

// An answer that cannot be sent goes out after the reconnect.
func TestAnswersAreKept(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	d := launch(t, settings(b.URL()), 0).connected()
	acks := make(chan string, 100)
	archive, err := bus.New(bus.Options{Broker: b.URL(), ClientID: "archive", Persistent: true})
	require.NoError(t, err)
	archive.Subscribe("/hv/ack", 1, func(m bus.Message) {
		var a wire.Ack
		assert.NoError(t, json.Unmarshal(m.Payload, &a))
		acks <- a.ID
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- archive.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	require.Eventually(t, archive.Connected, bustest.Patience, time.Millisecond)

	b.Stop()
	require.Eventually(t, func() bool { return !d.Connected() }, bustest.Patience, time.Millisecond)
	for _, id := range []string{"1", "2", "3"} {
		d.Answer(wire.Ack{ID: id, Op: "setv", Phase: wire.Accepted, Code: wire.OK})
	}
	b.Start()
	for _, want := range []string{"1", "2", "3"} {
		select {
		case id := <-acks:
			assert.Equal(t, want, id)
		case <-time.After(bustest.Patience):
			t.Fatal("no answer ", want)
		}
	}
	assert.Zero(t, d.Dropped())
}

func TestSettingsThatAreWrong(t *testing.T) {
	for want, change := range map[string]func(*device.Settings){
		"DCS_PERIOD: 1ms: choose 10ms to 1h":  func(s *device.Settings) { s.Period = time.Millisecond },
		"DCS_PERIOD: 2h0m0s":                  func(s *device.Settings) { s.Period = 2 * time.Hour },
		"DCS_BACKLOG: -1s: choose 0 to 168h":  func(s *device.Settings) { s.Backlog = -time.Second },
		"DCS_BACKLOG: 200h0m0s":               func(s *device.Settings) { s.Backlog = 200 * time.Hour },
		"DCS_BROKER: broker address":          func(s *device.Settings) { s.Broker = "x" },
		"DCS_TOPIC_ROOT: topic root":          func(s *device.Settings) { s.Bus.Root = "#" },
		"DCS_BROKER_PASSWORD_FILE: needs DCS": func(s *device.Settings) { s.PasswordFile = "device.go" },
	} {
		s := settings("tcp://127.0.0.1")
		require.NoError(t, s.Check())
		change(s)
		assert.ErrorContains(t, s.Check(), want)
	}
}
