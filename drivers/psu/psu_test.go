package main

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	simhmp "trackerdcs/drivers/sim/hmp4040"
	simiseg "trackerdcs/drivers/sim/iseg"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/device"
	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
)

func TestREADME(t *testing.T) { servicetest.README(t, &config{}, "README.md") }

// bench is a supply, its driver and somebody who listens.
type bench struct {
	t testing.TB
	*bustest.Listener
	broker  *brokertest.Broker
	address string
	dataDir string
	cfg     config
	stop    func() // ends the driver
}

// server is what simulators have in common.
type server interface {
	Serve(ctx context.Context, l net.Listener) error
}

func serve(t testing.TB, s server) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return "tcp://" + l.Addr().String()
}

func newBench(t testing.TB, dev, model string, s server) *bench {
	broker := brokertest.New(t, brokerOptions)
	b := &bench{t: t, broker: broker, address: serve(t, s), dataDir: t.TempDir()}
	b.cfg = config{Instrument: device.Instrument{Model: model, Address: b.address}, Settings: device.Settings{
		Device: service.Device{Device: dev}, Bus: service.Bus{Broker: broker.URL()},
		Period: 100 * time.Millisecond, Backlog: time.Hour,
	}}
	b.Listener = bustest.Listen(t, broker.URL(), "/"+dev+"/#")
	return b
}

// start starts the driver and waits until it is ready.
func (b *bench) start() *service.Env {
	b.t.Helper()
	env := servicetest.Env(b.t, "psu", b.cfg.Device.Device)
	env.DataDir = b.dataDir
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	mark := b.Mark()
	go func() { ended <- run(ctx, env, &b.cfg) }()
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.NoError(b.t, <-ended)
	}
	b.t.Cleanup(b.stop)
	b.awaitState(mark, wire.Ready, env.Boot)
	return env
}

func (b *bench) awaitState(mark int, state, boot string) bus.Message {
	b.t.Helper()
	return b.Await(mark, "state "+state, func(m bus.Message) bool {
		var s wire.State
		return strings.HasSuffix(m.Topic, "/state") && json.Unmarshal(m.Payload, &s) == nil && s.State == state && s.Boot == boot
	})
}

// command sends a plain command and returns its acks, up to the final one.
func (b *bench) command(op, channel, payload string) []wire.Ack {
	b.t.Helper()
	mark := b.Mark()
	dev := b.cfg.Device.Device
	b.Say("/"+dev+"/cmd/"+op+"/"+channel, payload)
	var acks []wire.Ack
	id := ""
	b.Await(mark, "the final ack of "+op+" "+payload, func(m bus.Message) bool {
		var a wire.Ack
		if m.Topic != "/"+dev+"/ack" || json.Unmarshal(m.Payload, &a) != nil || id != "" && a.ID != id || a.Op != op {
			return false
		}
		id = a.ID
		acks = append(acks, a)
		return a.Final()
	})
	return acks
}

func (b *bench) awaitChannel(mark int, what string, n int, wanted func(wire.Channel) bool) wire.Channel {
	b.t.Helper()
	var found wire.Channel
	b.Await(mark, what, func(m bus.Message) bool {
		var list []wire.Channel
		if !strings.HasSuffix(m.Topic, "/status") || json.Unmarshal(m.Payload, &list) != nil {
			return false
		}
		for _, c := range list {
			if c.Number == n && wanted(c) {
				found = c
				return true
			}
		}
		return false
	})
	return found
}

func fastHV() *simiseg.Instrument { return simiseg.New(simiseg.Options{Ramp: 500}) }

func last(acks []wire.Ack) wire.Ack { return acks[len(acks)-1] }

func TestCommandsOverTheBus(t *testing.T) {
	hv := simiseg.New(simiseg.Options{Ramp: 20}) // V/s, so that it is seen on its way by a slow machine too
	b := newBench(t, "hv", "iseg", hv)
	env := b.start()

	acks := b.command("setv", "0", "100.")
	require.Len(t, acks, 2)
	assert.Equal(t, wire.Accepted, acks[0].Phase)
	assert.Equal(t, wire.Done, acks[1].Phase)
	assert.Equal(t, env.Boot, acks[1].Boot)
	assert.Equal(t, 100.0, acks[1].Value)

	mark := b.Mark()
	acks = b.command("switch", "0", "on")
	assert.Equal(t, wire.Done, last(acks).Phase)
	assert.Contains(t, acks[0].Message, "100 V", "the ack of switch on names the target")
	assert.InDelta(t, 100, last(acks).Readback.V, 1)
	b.awaitChannel(mark, "the voltage rising", 0, func(c wire.Channel) bool { return c.VMon.V > 5 && c.VMon.V < 95 })
	b.awaitChannel(mark, "the voltage there", 0, func(c wire.Channel) bool { return c.On == wire.Yes && c.VMon.V > 99 })

	a := last(b.command("setv", "0", "1e9"))
	assert.Equal(t, wire.OutOfRange, a.Code)
	assert.Equal(t, wire.Known(1000), a.Closest)
	assert.Equal(t, wire.NoChannel, last(b.command("setv", "7", "1")).Code)
	assert.Equal(t, wire.BadOp, last(b.command("explode", "0", "1")).Code)
	assert.Equal(t, wire.Done, last(b.command("switch", "all", "off")).Phase)
	assert.False(t, hv.Channel(0).On)
}

func TestStatusCarriesSeqAndTime(t *testing.T) {
	b := newBench(t, "hv", "iseg", fastHV())
	b.start()
	b.awaitChannel(0, "the fifth status", 0, func(c wire.Channel) bool { return c.Seq >= 5 })
	var before wire.Channel
	for i, m := range b.Heard("/hv/status") {
		var list []wire.Channel
		require.NoError(t, json.Unmarshal(m.Payload, &list))
		require.Len(t, list, 4)
		if i > 0 {
			assert.Equal(t, before.Seq+1, list[0].Seq)
			assert.True(t, list[0].Time.After(before.Time))
		}
		before = list[0]
	}
	var meta wire.Meta
	require.NoError(t, json.Unmarshal(b.Heard("/hv/meta")[0].Payload, &meta))
	assert.Equal(t, wire.KindPSU, meta.Kind)
	assert.Len(t, meta.Channels, 4)
}

// The original reported a channel 0 that an HMP4040 has not.
func TestChannelsAreTheInstrumentsOwn(t *testing.T) {
	b := newBench(t, "lv", "hmp4040", simhmp.New(simhmp.Options{}))
	b.cfg.PadChannels = true
	b.start()
	m := b.Await(0, "a status", func(m bus.Message) bool { return m.Topic == "/lv/status" })
	var list []map[string]any
	require.NoError(t, json.Unmarshal(m.Payload, &list))
	require.Len(t, list, 5)
	assert.Equal(t, map[string]any{"number": 0.0, "on": 0.0, "vreq": 0.0}, list[0], "padded and inert")
	assert.Equal(t, 1.0, list[1]["number"])
	assert.Contains(t, list[1], "imon", "the original threw the measured current away")
	assert.Equal(t, wire.NoChannel, last(b.command("setv", "0", "1")).Code)
	assert.Equal(t, wire.BadOp, last(b.command("ramp", "1", "1")).Code, "an HMP4040 has no ramp")
}

func TestReplayAfterABreak(t *testing.T) {
	b := newBench(t, "hv", "iseg", fastHV())
	env := b.start()
	b.awaitChannel(0, "some statuses", 0, func(c wire.Channel) bool { return c.Seq >= 3 })
	mark := b.Mark()
	b.broker.DropClients()
	b.Say("/service/loader/state", `{"state":"ready","boot":"a"}`) // who listens may be back after the driver
	b.Await(mark, "a replay", func(m bus.Message) bool { return m.Topic == "/hv/replay" })
	b.awaitChannel(mark, "a status after the break", 0, func(c wire.Channel) bool { return c.Boot == env.Boot })
	b.Await(mark, "the replay of all that was said", func(bus.Message) bool { return b.complete(env.Boot) })
}

// complete reports whether no seq is missing between the first and the last.
func (b *bench) complete(boot string) bool {
	seen := make(map[uint64]bool)
	top := uint64(0)
	for _, m := range append(b.Heard("/hv/status"), b.Heard("/hv/replay")...) {
		var list []wire.Channel
		if json.Unmarshal(m.Payload, &list) == nil && list[0].Boot == boot {
			seen[list[0].Seq] = true
			top = max(top, list[0].Seq)
		}
	}
	return uint64(len(seen)) == top
}

// A typing error in the limits leaves a channel without the limit that was
// meant: the state says so.
func TestLimitOfNoChannelIsSeen(t *testing.T) {
	b := newBench(t, "hv", "iseg", fastHV())
	require.NoError(t, b.cfg.Limits.UnmarshalText([]byte("7=0:500")))
	env := b.start()
	m := b.awaitState(0, wire.Ready, env.Boot)
	assert.Contains(t, string(m.Payload), "DCS_LIMITS names channel 7")
}

func TestLocksOutliveARestart(t *testing.T) {
	hv := fastHV()
	b := newBench(t, "hv", "iseg", hv)
	b.start()
	said := bustest.Listen(t, b.broker.URL(), "/hv/locks")
	assert.Equal(t, wire.Done, last(b.command("lock", "1", `{"reason":"hands inside","user":"alice"}`)).Phase)
	said.Await(0, "who locked what", func(m bus.Message) bool {
		var locks map[string]wire.LockTag
		return json.Unmarshal(m.Payload, &locks) == nil && locks["1"].User == "alice" && locks["1"].Reason == "hands inside"
	})
	b.stop()
	b.start()
	bustest.Listen(t, b.broker.URL(), "/hv/locks").Await(0, "the lock, retained", func(m bus.Message) bool { return strings.Contains(string(m.Payload), "alice") })
	a := last(b.command("setv", "1", "10"))
	assert.Equal(t, wire.Locked, a.Code)
	assert.Contains(t, a.Message, "alice")
	assert.Equal(t, wire.Done, last(b.command("switch", "1", "off")).Phase, "off is never locked")
	b.awaitChannel(0, "the lock in the status", 1, func(c wire.Channel) bool { return c.Locked == wire.Yes })
	assert.Equal(t, wire.Done, last(b.command("unlock", "1", "{}")).Phase)
	assert.Equal(t, wire.Done, last(b.command("setv", "1", "10")).Phase)
}

// Two drivers on one folder would each forget the other's locks.
func TestSecondDriverOnTheSameFolderWaits(t *testing.T) {
	b := newBench(t, "hv", "iseg", fastHV())
	b.start()
	env := servicetest.Env(t, "psu", "hv2")
	env.DataDir = b.dataDir
	second := b.cfg
	second.Device.Device = "hv2"
	l := bustest.Listen(t, b.broker.URL(), "/hv2/state")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, env, &second) }()
	assert.Equal(t, wire.Done, last(b.command("lock", "1", `{"reason":"hands inside"}`)).Phase)
	assert.Empty(t, l.Heard("/hv2/state"))
	b.stop()
	l.Await(0, "the second", func(m bus.Message) bool { return strings.Contains(string(m.Payload), `"ready"`) })
	cancel()
	require.NoError(t, <-ended)
	b.start()
	assert.Equal(t, wire.Locked, last(b.command("setv", "1", "10")).Code)
}

// awaitBehind waits for the final ack of an id, and for so many others of the
// op, however long it takes the bus to bring thousands of acks. left is how many
// of them were still to come when that ack came.
func (b *bench) awaitBehind(mark int, what, id, op string, others int) (final wire.Ack, left int) {
	b.t.Helper()
	for end := time.Now().Add(5 * time.Minute); final.ID == "" || others > 0; {
		require.True(b.t, time.Now().Before(end), "waited in vain for %s", what)
		next := b.Mark()
		b.Await(mark, what, func(m bus.Message) bool { // at least one more
			var a wire.Ack
			if mark++; m.Topic == "/hv/ack" && json.Unmarshal(m.Payload, &a) == nil {
				switch {
				case a.ID == id && a.Final():
					final, left = a, others
				case a.Op == op && a.Final():
					others--
				}
			}
			return mark >= next || final.ID != "" && others == 0
		})
	}
	return final, left
}

// A flood does not hold up what an off waits for, nor fill the memory.
func TestFlood(t *testing.T) {
	hv := fastHV()
	b := newBench(t, "hv", "iseg", hv)
	b.start()
	hv.SetVoltage(0, 100)
	mark := b.Mark()
	hv.SetOn(0, true)
	b.awaitChannel(mark, "the channel on", 0, func(c wire.Channel) bool { return c.On == wire.Yes })
	for range 1000 {
		b.SayUnconfirmed("/hv/cmd/lock/1", `{"reason":"x"}`)
		b.SayUnconfirmed("/hv/cmd/unlock/1", "{}")
	}
	at := time.Now()
	b.Say("/hv/cmd/switch/0", `{"value":"off","id":"off"}`)
	off, left := b.awaitBehind(mark, "the off and the last unlock", "off", wire.Unlock, 1000)
	assert.Equal(t, wire.Done, off.Phase)
	took := off.Time.Sub(at) // when the driver knew: the answers of the flood are on the bus before
	t.Logf("off after %v, before %d of 1000", took, left)
	assert.True(t, took < 3*time.Second || left > 0, "off after %v, behind all that came before it", took)
	assert.Equal(t, wire.BadValue, last(b.command("setv", "0", strings.Repeat("x", 200<<10))).Code)
}

func TestSecondDriverWithTheSameNameIsToldAway(t *testing.T) {
	b := newBench(t, "hv", "iseg", fastHV())
	env := b.start()
	mark := b.Mark()
	b.Say("/hv/state", `{"state":"lost","boot":"old"}`)
	b.awaitState(mark, wire.Ready, env.Boot)
}

func TestConfigNamesEveryWrongSetting(t *testing.T) {
	c := config{Instrument: device.Instrument{Model: "hmp"}, Settings: device.Settings{Period: time.Nanosecond, Bus: service.Bus{Broker: "localhost"}}}
	err := c.Validate()
	for _, want := range []string{"DCS_MODEL", "hmp4040, iseg", "DCS_PERIOD", "DCS_BROKER", "DCS_ADDRESS"} {
		assert.ErrorContains(t, err, want)
	}
	c.Address = "10.0.0.7:5025"
	assert.ErrorContains(t, c.Validate(), "does not begin with tcp://")
	c.Address = "tcp://10.0.0.7:5025"
	assert.NotContains(t, c.Validate().Error(), "DCS_ADDRESS")
	for text, want := range map[string]string{"x=1:2": "not a channel", "1=5": "channel=min:max", "1=5:1": "above", "1=0:1,1=0:2": "already", "1=a:b": "not a voltage"} {
		var l psu.Limits
		assert.ErrorContains(t, l.UnmarshalText([]byte(text)), want, text)
	}
}
