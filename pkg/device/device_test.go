package device

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

// run puts a device on the bus until the test ends; so many statuses are made
// before it is connected. It can be waited for to be connected again.
func run(t *testing.T, url string, waiting int) (d *Device, again func()) {
	t.Helper()
	d, err := New(servicetest.Env(t, "psu", "hv"), &Settings{Bus: service.Bus{Broker: url}, Backlog: time.Hour})
	require.NoError(t, err)
	publish(d, waiting)
	up := make(chan struct{}, 100)
	d.OnConnect(func() { up <- struct{}{} })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, func(ctx context.Context) error { <-ctx.Done(); return nil }) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	again = func() { // not by Connected, which says so a moment before anything can be sent
		t.Helper()
		select {
		case <-up:
		case <-time.After(bustest.Patience):
			t.Fatal("no connection")
		}
	}
	again()
	return d, again
}

func publish(d *Device, n int) {
	for range n {
		d.Publish(time.Now(), func(seq uint64) []byte { return fmt.Appendf(nil, `{"seq":%d}`, seq) })
	}
}

func seqOf(m bus.Message) uint64 {
	var s struct{ Seq uint64 }
	_ = json.Unmarshal(m.Payload, &s)
	return s.Seq
}

func awaitSeq(l *bustest.Listener, mark int, topic string, seq uint64) {
	l.Await(mark, fmt.Sprintf("seq %d on %s", seq, topic), func(m bus.Message) bool { return m.Topic == topic && seqOf(m) == seq })
}

// A loader that was away may lack what a killed broker has forgotten: when any
// service turns ready the last 30 s are sent again, when it stays so they are not.
func TestReplayWhenAServiceTurnsReady(t *testing.T) {
	url := brokertest.Start(t)
	l := bustest.Listen(t, url, "/hv/#", "/mark")
	d, _ := run(t, url, 5) // five statuses wait: they go out on /replay at once
	replays := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool { return count(l, "/hv/replay", 5) == n }, bustest.Patience, 10*time.Millisecond, "%d replays", n)
	}
	replays(1)
	for _, say := range []struct {
		state   string
		replays int
	}{
		{`{"state":"unreachable","boot":"a"}`, 1},
		{`{"state":"ready","boot":"a"}`, 2},
		{`{"state":"ready","boot":"a"}`, 2}, // it stays ready
		{`{"state":"stopped","boot":"a"}`, 2},
		{`{"state":"ready","boot":"b"}`, 3},
	} {
		l.Say("/service/loader/state", say.state)
		replays(say.replays)
	}
	publish(d, 1)
	awaitSeq(l, 0, "/hv/status", 6)
	assert.Equal(t, 3, count(l, "/hv/replay", 5))
}

func count(l *bustest.Listener, topic string, seq uint64) (n int) {
	for _, m := range l.Heard(topic) {
		if seqOf(m) == seq {
			n++
		}
	}
	return n
}

// What is published while the broker is away is not live when it is back: it
// comes on /replay, and acks come late but come.
func TestNothingIsLostWhileTheBrokerIsAway(t *testing.T) {
	broker := brokertest.New(t, mqttd.Options{})
	d, connected := run(t, broker.URL(), 0)
	l := bustest.Listen(t, broker.URL(), "/hv/#")
	d.Describe(wire.Meta{Kind: wire.KindPSU})
	publish(d, 3)
	awaitSeq(l, 0, "/hv/status", 3)
	broker.Stop()
	require.Eventually(t, func() bool { return !d.Connected() }, bustest.Patience, 10*time.Millisecond)
	publish(d, 4)
	d.Answer(wire.Ack{ID: "late", Phase: wire.Done})
	broker.Start()
	again := bustest.Listen(t, broker.URL(), "/hv/#")
	again.Await(0, "the meta, published again", func(m bus.Message) bool { return m.Topic == "/hv/meta" })
	connected()
	publish(d, 1)
	awaitSeq(again, 0, "/hv/status", 8)
	for _, m := range again.Heard("/hv/status") {
		assert.EqualValues(t, 8, seqOf(m), "a status from before is not live")
	}
	require.Eventually(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, e := range d.kept.entries {
			if !e.once {
				return false
			}
		}
		return true
	}, bustest.Patience, 10*time.Millisecond, "all is confirmed, on /status or on /replay")
	assert.Zero(t, d.kept.dropped)
}

func TestDescribeSaysNothingTwice(t *testing.T) {
	url := brokertest.Start(t)
	l := bustest.Listen(t, url, "/hv/#")
	d, _ := run(t, url, 0)
	for i := range 200 {
		d.Describe(wire.Meta{Kind: wire.KindPSU, Period: float64(1 + i/100)})
	}
	publish(d, 1)
	awaitSeq(l, 0, "/hv/status", 1)
	var periods []float64
	for _, m := range l.Heard("/hv/meta") {
		var meta wire.Meta
		require.NoError(t, json.Unmarshal(m.Payload, &meta))
		periods = append(periods, meta.Period)
	}
	// Each once, and once more half a second after it and after the connection,
	// which on a slow machine may be by now.
	assert.LessOrEqual(t, len(periods), 5)
	assert.Equal(t, []float64{1, 2}, slices.Compact(periods))
}

func TestSettings(t *testing.T) {
	s := &Settings{Bus: service.Bus{Broker: "tcp://x:1"}, Period: 0, Backlog: -1}
	assert.ErrorContains(t, s.Check(), "DCS_PERIOD")
	assert.ErrorContains(t, s.Check(), "DCS_BACKLOG")
}
