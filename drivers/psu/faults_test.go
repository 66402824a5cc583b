package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	simhmp "trackerdcs/drivers/sim/hmp4040"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/mqttd"
)

// The tests of this file are named after the numbers of the faults that the
// stack lives through (docs/faults.md).

var brokerOptions = mqttd.Options{}

// The instrument is cut off: state unreachable, no value sent as fresh,
// commands refused and not kept, and back by itself.
func TestFault22InstrumentCutOffAndBack(t *testing.T) {
	hv := fastHV()
	b := newBench(t, "hv", "iseg", hv)
	env := b.start()
	b.awaitChannel(0, "a status", 0, func(wire.Channel) bool { return true })
	mark := b.Mark()
	hv.Refuse(true)
	hv.Drop()
	b.awaitState(mark, wire.Unreachable, env.Boot)
	silent := b.Mark()
	a := last(b.command("setv", "0", "50"))
	assert.Equal(t, wire.CodeUnreachable, a.Code)
	assert.Equal(t, wire.Rejected, a.Phase)
	require.Equal(t, wire.CodeUnreachable, last(b.command("switch", "0", "off")).Code)
	said := b.Heard("/hv/status")
	count := len(said)
	var before []wire.Channel
	require.NoError(t, json.Unmarshal(said[count-1].Payload, &before))
	hv.ResetLog()
	hv.Refuse(false)
	b.awaitState(silent, wire.Ready, env.Boot)
	b.Await(mark, "the status after it", func(m bus.Message) bool {
		return m.Topic == "/hv/status" && len(b.Heard("/hv/status")) > count
	})
	first := b.Heard("/hv/status")[count]
	assert.Contains(t, string(first.Payload), fmt.Sprintf(`"seq":%d,`, before[0].Seq+1), "nothing was said while it was away")
	b.awaitChannel(silent, "a status", 0, func(wire.Channel) bool { return true })
	assert.Empty(t, hv.Writes(), "what was refused is not kept for later")
	assert.Equal(t, wire.Done, last(b.command("setv", "0", "50")).Phase)
}

// An instrument that accepts and never answers is unreachable too.
func TestFault22SilentInstrument(t *testing.T) {
	lv := simhmp.New(simhmp.Options{})
	b := newBench(t, "lv", "hmp4040", lv)
	env := b.start()
	mark := b.Mark()
	lv.Silence(true)
	b.awaitState(mark, wire.Unreachable, env.Boot)
	count := len(b.Heard("/lv/status"))
	assert.Equal(t, wire.CodeUnreachable, last(b.command("setv", "1", "5")).Code)
	assert.Equal(t, count, len(b.Heard("/lv/status")), "no stale value is sent as fresh")
	lv.Silence(false)
	b.awaitState(mark, wire.Ready, env.Boot)
}

// Garbage, half and late answers: never the value of another channel.
func TestFault23GarbageHalfAndLateAnswers(t *testing.T) {
	lv := simhmp.New(simhmp.Options{})
	b := newBench(t, "lv", "hmp4040", lv)
	b.start()
	want := map[int]float64{1: 1.5, 2: 2.5, 3: 3.5, 4: 4.5}
	for n, v := range want {
		lv.SetVoltage(n, v)
	}
	mark := b.Mark()
	b.awaitChannel(mark, "the setpoints", 4, func(c wire.Channel) bool { return c.VReq.V == 4.5 })
	for _, disturb := range []func(){
		func() { lv.Garble(3) }, func() { lv.Truncate(2) }, func() { lv.Late(2, 30*time.Millisecond) }, lv.Drop,
	} {
		mark = b.Mark()
		disturb()
		for range 2 {
			b.awaitChannel(mark, "a status after the disturbance", 4, func(c wire.Channel) bool { return c.VReq.Valid })
		}
	}
	b.Await(mark, "any status", func(m bus.Message) bool {
		for n := range want {
			b.awaitChannel(mark, "the channel's own value", n, func(c wire.Channel) bool {
				assert.Equal(t, want[c.Number], c.VReq.V, "channel %d", c.Number)
				return true
			})
		}
		return true
	})
}

// The driver ends in a ramp: the hardware goes on to its setpoint, and the
// next driver reads and writes nothing.
func TestFault24DriverEndsInARamp(t *testing.T) {
	hv := fastHV()
	b := newBench(t, "hv", "iseg", hv)
	b.start()
	b.command("setv", "0", "400")
	mark := b.Mark()
	b.Say("/hv/cmd/switch/0", "on")
	b.awaitChannel(mark, "the ramp", 0, func(c wire.Channel) bool { return c.VMon.V > 50 })
	b.stop()
	hv.ResetLog()
	mark = b.Mark()
	b.start()
	b.awaitChannel(mark, "the setpoint reached", 0, func(c wire.Channel) bool { return c.VMon.V > 399 })
	assert.Empty(t, hv.Writes())
	assert.Equal(t, 400.0, hv.Channel(0).Setpoint)
}

// A trip is latched, published within a second, and switches nothing on again.
func TestFault25TripAndInterlock(t *testing.T) {
	hv := fastHV()
	b := newBench(t, "hv", "iseg", hv)
	b.cfg.Period = 5 * time.Second // a trip does not wait for the next status
	b.start()
	b.command("setv", "0", "50")
	require.Equal(t, wire.Done, last(b.command("switch", "0", "on")).Phase)

	withinASecond(t, func() time.Duration {
		mark, at := b.Mark(), time.Now()
		hv.Trip(0)
		b.awaitChannel(mark, "the trip", 0, func(c wire.Channel) bool { return c.Trip == wire.Yes })
		took := time.Since(at)
		a := last(b.command("switch", "0", "on"))
		assert.Equal(t, wire.Tripped, a.Code)
		assert.Contains(t, a.Message, "50 V")
		assert.Equal(t, wire.Done, last(b.command("clear", "0", "{}")).Phase)
		assert.False(t, hv.Channel(0).On, "clear never energises")
		require.Equal(t, wire.Done, last(b.command("switch", "0", "on")).Phase)
		return took
	})

	withinASecond(t, func() time.Duration {
		mark, at := b.Mark(), time.Now()
		hv.Interlock(true)
		b.awaitChannel(mark, "the interlock", 0, func(c wire.Channel) bool { return c.Interlock == wire.Yes })
		took := time.Since(at)
		assert.Equal(t, wire.Interlocked, last(b.command("switch", "0", "on")).Code)
		closed := b.Mark()
		hv.Interlock(false)
		b.awaitChannel(mark, "the channel off", 0, func(c wire.Channel) bool { return c.On == wire.No })
		assert.False(t, hv.Channel(0).On)
		b.awaitChannel(closed, "the interlock closed", 0, func(c wire.Channel) bool { return c.Interlock == wire.No })
		assert.False(t, hv.Channel(0).On)
		assert.Equal(t, wire.Done, last(b.command("clear", "0", "{}")).Phase)
		require.Equal(t, wire.Done, last(b.command("switch", "0", "on")).Phase)
		return took
	})
}

// withinASecond wants three of five: a busy machine may be slow in some, and a
// driver that looks too seldom is quick in some.
func withinASecond(t *testing.T, published func() time.Duration) {
	t.Helper()
	var all []time.Duration
	for quick, slow := 0, 0; quick < 3; {
		all = append(all, published())
		if all[len(all)-1] < time.Second {
			quick++
		} else {
			slow++
		}
		require.Less(t, slow, 3, "%v", all)
	}
}

// A command left on the broker is refused when the driver comes, and taken
// off the broker.
func TestFault26RetainedAndExpiredCommands(t *testing.T) {
	hv := fastHV()
	b := newBench(t, "hv", "iseg", hv)
	b.Leave("/hv/cmd/setv/0", `{"value":300,"id":"old"}`)
	bustest.AwaitRetained(t, b.broker.URL(), "/hv/cmd/setv/0")
	b.start()
	m := b.Await(0, "the refusal", func(m bus.Message) bool { return m.Topic == "/hv/ack" })
	assert.Contains(t, string(m.Payload), `"code":"RETAINED"`)
	assert.Contains(t, string(m.Payload), `"id":"old"`)
	b.Await(0, "the clearing", func(m bus.Message) bool { return m.Topic == "/hv/cmd/setv/0" && len(m.Payload) == 0 })
	assert.Empty(t, hv.Writes())

	a := last(b.command("setv", "0", `{"value":1,"expires":"2020-01-01T00:00:00Z"}`))
	assert.Equal(t, wire.Expired, a.Code)
	assert.Equal(t, wire.Done, last(b.command("switch", "0", `{"value":"off","expires":"2020-01-01T00:00:00Z"}`)).Phase)
}

// What is past a limit or no number is refused in the driver.
func TestFault27ValuesThatAreRefused(t *testing.T) {
	hv := fastHV()
	b := newBench(t, "hv", "iseg", hv)
	require.NoError(t, b.cfg.Limits.UnmarshalText([]byte("0=0:500")))
	b.start()
	hv.ResetLog()
	for payload, code := range map[string]wire.Code{
		"501": wire.OutOfRange, "-1": wire.OutOfRange, "1e9": wire.OutOfRange,
		"nan": wire.BadValue, "Inf": wire.BadValue, "0x10": wire.BadValue, "100 V": wire.BadValue, "100mV": wire.BadValue,
		`{"value":1,"dri":1}`: wire.BadValue, "\xff": wire.BadValue,
	} {
		a := last(b.command("setv", "0", payload))
		assert.Equal(t, code, a.Code, payload)
		assert.Equal(t, wire.Rejected, a.Phase, payload)
	}
	assert.Equal(t, wire.Known(500), last(b.command("setv", "0", "600")).Closest)
	assert.Empty(t, hv.Writes())
}
