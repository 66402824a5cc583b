package device

import (
	"context"
	"encoding/json"
	"fmt"
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

// run puts a device on the bus until the test ends.
func run(t *testing.T, url string) *Device {
	t.Helper()
	d, err := New(servicetest.Env(t, "psu", "hv"), &Settings{Bus: service.Bus{Broker: url}, Backlog: time.Hour})
	require.NoError(t, err)
	up := make(chan struct{}, 100)
	d.OnConnect(func() { up <- struct{}{} })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, func(ctx context.Context) error { <-ctx.Done(); return nil }) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	select {
	case <-up:
	case <-time.After(bustest.Patience):
		t.Fatal("no connection")
	}
	return d
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
	l.Say("/service/loader/state", `{"state":"unreachable","boot":"a"}`)
	d := run(t, url)
	publish(d, 5)
	awaitSeq(l, 0, "/hv/status", 5)
	mark := l.Mark()
	l.Say("/service/loader/state", `{"state":"unreachable","boot":"a"}`)
	l.Say("/service/loader/state", `{"state":"ready","boot":"a"}`)
	for seq := uint64(1); seq <= 5; seq++ {
		awaitSeq(l, mark, "/hv/replay", seq)
	}
	before := len(l.Heard("/hv/replay"))
	l.Say("/service/loader/state", `{"state":"ready","boot":"a"}`)
	publish(d, 1)
	awaitSeq(l, mark, "/hv/status", 6)
	assert.Len(t, l.Heard("/hv/replay"), before, "it stayed ready")
	l.Say("/service/loader/state", `{"state":"ready","boot":"b"}`)
	awaitSeq(l, mark, "/hv/replay", 6)
}

// What is published while the broker is away is not live when it is back: it
// comes on /replay, and acks come late but come.
func TestNothingIsLostWhileTheBrokerIsAway(t *testing.T) {
	broker := brokertest.New(t, mqttd.Options{})
	d := run(t, broker.URL())
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
	require.Eventually(t, d.Connected, bustest.Patience, 10*time.Millisecond)
	publish(d, 1)
	awaitSeq(again, 0, "/hv/status", 8)
	for _, m := range again.Heard("/hv/status") {
		assert.EqualValues(t, 8, seqOf(m), "a status from before is not live")
	}
	require.Eventually(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, e := range d.kept.entries {
			if !e.confirmed {
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
	d := run(t, url)
	for _, period := range []float64{1, 1, 2, 2} {
		d.Describe(wire.Meta{Kind: wire.KindPSU, Period: period})
	}
	publish(d, 1)
	awaitSeq(l, 0, "/hv/status", 1)
	assert.Len(t, l.Heard("/hv/meta"), 2)
}

func TestSettings(t *testing.T) {
	s := &Settings{Bus: service.Bus{Broker: "tcp://x:1"}, Period: 0, Backlog: -1}
	assert.ErrorContains(t, s.Check(), "DCS_PERIOD")
	assert.ErrorContains(t, s.Check(), "DCS_BACKLOG")
}
