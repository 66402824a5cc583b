// Package psutest is the contract suite that every power supply passes against
// its simulator, over a real TCP connection.
package psutest

import (
	"context"
	"math"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/wire"
)

// Simulator is a simulated supply, with the faults of its wire.
type Simulator interface {
	Serve(ctx context.Context, l net.Listener) error
	Silence(on bool)     // it takes what is sent and answers nothing
	Refuse(on bool)      // it closes new connections at once
	Drop()               // it closes all connections
	Writes() []string    // what altered the hardware, "<channel> <command>"
	ResetLog()           // forget the writes
	Delay(time.Duration) // what a line takes
}

// Harness is what the suite has to know of a supply.
type Harness struct {
	// New makes a simulator that is switched on, with all channels off. It
	// should ramp fast, and its meters have no noise.
	New func() Simulator
	// Open is the driver's opener, with the time-out of an exchange.
	Open func(ctx context.Context, address string, timeout time.Duration) (psu.Instrument, error)
	// Volts and Amps are setpoints for the channels, distinct, in the order of
	// Info.Channels and good for the loads of the simulator.
	Volts, Amps []float64
	// Speed is a ramp that is not the one after power-on, V/s; 0 without ramp.
	Speed float64
	// TooHigh is a setpoint that the instrument refuses, V.
	TooHigh float64
	// NoChannel is a channel number that it does not have.
	NoChannel int
	// Trip makes a channel trip; nil for an instrument that does not latch.
	Trip func(sim Simulator, channel int)
}

// patience is how long the slowest machine may take for what is not a time-out;
// timeout is that of connections on which one is to be seen.
const (
	patience = time.Minute
	timeout  = 500 * time.Millisecond
)

// bench is one simulator and how to reach it.
type bench struct {
	Harness
	sim     Simulator
	address string // of the simulator, host:port
}

func (h Harness) bench(t testing.TB) *bench {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := &bench{Harness: h, sim: h.New(), address: l.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.sim.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	return b
}

func (b *bench) open(t testing.TB, address string) psu.Instrument {
	t.Helper()
	in, err := b.Open(t.Context(), address, patience)
	require.NoError(t, err)
	t.Cleanup(func() { in.Close() })
	return in
}

// impatient opens a connection with a short time-out, again where the machine
// was too slow for that.
func (b *bench) impatient(t testing.TB) psu.Instrument {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		in, err := b.Open(t.Context(), "tcp://"+b.address, timeout)
		if err == nil {
			t.Cleanup(func() { in.Close() })
			return in
		}
		require.True(t, time.Now().Before(end), "not opened: %v", err)
	}
}

func (b *bench) direct(t testing.TB) psu.Instrument { return b.open(t, "tcp://"+b.address) }

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for name, test := range map[string]func(*testing.T, *bench){
		"opening and reading alter nothing": opensQuietly,
		"info":                              tellsInfo,
		"readings in order":                 readsInOrder,
		"setpoints read back":               setsVoltage,
		"current limits read back":          setsCurrent,
		"ramp reads back":                   setsRamp,
		"on and off":                        switches,
		"unknown channel":                   refusesChannel,
		"refused setpoint":                  refusesSetpoint,
		"trip":                              trips,
		"silence":                           noticesSilence,
		"dropped connection":                noticesDrop,
		"refused connection":                noticesRefusal,
		"cancelled":                         isCancelled,
		"fault 23, reading":                 fault23Read,
		"fault 23, writing":                 fault23Write,
	} {
		t.Run(name, func(t *testing.T) { test(t, h.bench(t)) })
	}
}

// RunTrip runs the part about trips alone, for an instrument with several kinds.
func RunTrip(t *testing.T, h Harness) { trips(t, h.bench(t)) }

// BenchmarkRead times a reading of all channels.
func BenchmarkRead(b *testing.B, h Harness) {
	bench := h.bench(b)
	in := bench.direct(b)
	all := numbers(in)
	for b.Loop() {
		if _, err := in.Read(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
}

func numbers(in psu.Instrument) []int {
	var all []int
	for _, c := range in.Info().Channels {
		all = append(all, c.Number)
	}
	return all
}

func read(t testing.TB, in psu.Instrument) []psu.Reading {
	t.Helper()
	got, err := in.Read(t.Context(), numbers(in))
	require.NoError(t, err)
	require.Len(t, got, len(in.Info().Channels))
	return got
}

func opensQuietly(t *testing.T, b *bench) {
	in := b.direct(t)
	read(t, in)
	require.NoError(t, in.Close())
	read(t, b.direct(t))
	assert.Empty(t, b.sim.Writes())
}

func tellsInfo(t *testing.T, b *bench) {
	info := b.direct(t).Info()
	assert.NotEmpty(t, info.Model)
	assert.NotEmpty(t, info.Serial)
	assert.NotEmpty(t, info.Firmware)
	require.Len(t, info.Channels, len(b.Volts))
	assert.Positive(t, info.Tolerance)
	assert.Positive(t, info.Resolution.Volts)
	assert.LessOrEqual(t, info.Resolution.Volts, info.Tolerance)
	last := -1
	for i, c := range info.Channels {
		assert.Greater(t, c.Number, last, "in order of number")
		last = c.Number
		assert.Less(t, c.Min, c.Max)
		assert.GreaterOrEqual(t, b.Volts[i], c.Min)
		assert.LessOrEqual(t, b.Volts[i], c.Max)
		assert.LessOrEqual(t, c.MinRamp, c.MaxRamp)
	}
}

func readsInOrder(t *testing.T, b *bench) {
	in := b.direct(t)
	b.setAll(t, in)
	all := numbers(in)
	last := len(all) - 1
	order := append([]int{all[last]}, all[:last]...)
	got, err := in.Read(t.Context(), order)
	require.NoError(t, err)
	require.Len(t, got, len(order))
	for i, r := range got {
		assert.Equal(t, order[i], r.Number)
		b.agrees(t, in, r)
	}
	got, err = in.Read(t.Context(), all[1:2])
	require.NoError(t, err)
	require.Len(t, got, 1)
	b.agrees(t, in, got[0])
}

// setAll writes the distinct setpoints of all channels.
func (b *bench) setAll(t testing.TB, in psu.Instrument) {
	t.Helper()
	for i, n := range numbers(in) {
		require.NoError(t, in.SetVoltage(t.Context(), n, b.Volts[i]))
		if lim, ok := in.(psu.CurrentLimiter); ok {
			require.NoError(t, lim.SetCurrent(t.Context(), n, b.Amps[i]))
		}
	}
}

// agrees checks a reading against what setAll wrote.
func (b *bench) agrees(t testing.TB, in psu.Instrument, r psu.Reading) {
	t.Helper()
	b.agreesAt(t, in, r, b.index(in, r.Number))
}

func (b *bench) index(in psu.Instrument, number int) int {
	for i, c := range in.Info().Channels {
		if c.Number == number {
			return i
		}
	}
	return -1
}

func (b *bench) agreesAt(t testing.TB, in psu.Instrument, r psu.Reading, i int) {
	t.Helper()
	res := in.Info().Resolution
	near(t, b.Volts[i], r.VReq, res.Volts, "vreq of channel %d", r.Number)
	if _, ok := in.(psu.CurrentLimiter); ok {
		near(t, b.Amps[i], r.IReq, res.Amps, "ireq of channel %d", r.Number)
	}
}

func near(t testing.TB, want float64, got wire.Value, tolerance float64, what string, args ...any) {
	t.Helper()
	if assert.True(t, got.Valid, append([]any{what + " is not known"}, args...)...) {
		assert.InDelta(t, want, got.V, tolerance*1.001, append([]any{what}, args...)...)
	}
}

func setsVoltage(t *testing.T, b *bench) {
	in := b.direct(t)
	b.setAll(t, in)
	for _, r := range read(t, in) {
		b.agrees(t, in, r)
		near(t, 0, r.VMon, in.Info().Tolerance, "a setpoint does not energise: vmon of channel %d", r.Number)
		assert.Equal(t, wire.No, r.On)
	}
	first := numbers(in)[0]
	require.NoError(t, in.SetVoltage(t.Context(), first, 0))
	got := read(t, in)
	near(t, 0, got[0].VReq, in.Info().Resolution.Volts, "vreq")
	for _, r := range got[1:] {
		b.agrees(t, in, r)
	}
}

func setsCurrent(t *testing.T, b *bench) {
	in := b.direct(t)
	lim, ok := in.(psu.CurrentLimiter)
	if !ok {
		t.Skip("it has no current limit")
	}
	before := read(t, in)
	require.NoError(t, lim.SetCurrent(t.Context(), before[1].Number, b.Amps[1]))
	after := read(t, in)
	near(t, b.Amps[1], after[1].IReq, in.Info().Resolution.Amps, "ireq")
	assert.Equal(t, before[0].IReq, after[0].IReq)
	assert.Equal(t, before[1].VReq, after[1].VReq)
}

func setsRamp(t *testing.T, b *bench) {
	in := b.direct(t)
	each, isEach := in.(psu.Ramper)
	common, isCommon := in.(psu.CommonRamper)
	if !isEach && !isCommon {
		assert.Zero(t, b.Speed, "the harness has a ramp and the instrument none")
		t.Skip("it does not ramp")
	}
	assert.False(t, isEach && isCommon, "one or the other")
	before := read(t, in)
	if isEach {
		require.NoError(t, each.SetRamp(t.Context(), before[1].Number, b.Speed))
	} else {
		require.NoError(t, common.SetCommonRamp(t.Context(), b.Speed))
	}
	after := read(t, in)
	for i, r := range after {
		if isEach && i != 1 {
			assert.Equal(t, before[i].Ramp, r.Ramp)
			continue
		}
		near(t, b.Speed, r.Ramp, in.Info().Resolution.Ramp, "ramp of channel %d", r.Number)
	}
}

// settle reads until fits, and fails when it does not within the patience.
func settle(t testing.TB, in psu.Instrument, what string, fits func([]psu.Reading) bool) []psu.Reading {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		got := read(t, in)
		if fits(got) {
			return got
		}
		if time.Now().After(end) {
			require.FailNow(t, "not reached: "+what, "%+v", got)
		}
	}
}

func switches(t *testing.T, b *bench) {
	in := b.direct(t)
	b.setAll(t, in)
	tol := in.Info().Tolerance
	n := numbers(in)[1]
	b.sim.ResetLog()
	require.NoError(t, in.Switch(t.Context(), n, true))
	got := settle(t, in, "on", func(r []psu.Reading) bool { return math.Abs(r[1].VMon.V-b.Volts[1]) <= tol })
	for i, r := range got {
		if i == 1 {
			assert.Equal(t, wire.Yes, r.On)
			assert.NotEqual(t, wire.Yes, r.Trip)
			near(t, b.Volts[1], r.VMon, tol, "vmon")
			assert.True(t, r.IMon.Valid, "the measured current is kept")
			b.agrees(t, in, r) // the requested voltage is not the measured one
			continue
		}
		assert.Equal(t, wire.No, r.On, "channel %d", r.Number)
		near(t, 0, r.VMon, tol, "vmon of channel %d", r.Number)
	}
	require.NoError(t, in.Switch(t.Context(), n, false))
	settle(t, in, "off", func(r []psu.Reading) bool {
		return r[1].On == wire.No && math.Abs(r[1].VMon.V) <= max(tol, in.Info().Residual)
	})
}

func refusesChannel(t *testing.T, b *bench) {
	in := b.direct(t)
	_, err := in.Read(t.Context(), []int{b.NoChannel})
	require.ErrorIs(t, err, psu.ErrRefused)
	require.ErrorIs(t, in.SetVoltage(t.Context(), b.NoChannel, 1), psu.ErrRefused)
	require.ErrorIs(t, in.Switch(t.Context(), b.NoChannel, true), psu.ErrRefused)
	require.ErrorIs(t, in.Switch(t.Context(), b.NoChannel, false), psu.ErrRefused)
	if lim, ok := in.(psu.CurrentLimiter); ok {
		require.ErrorIs(t, lim.SetCurrent(t.Context(), b.NoChannel, b.Amps[0]), psu.ErrRefused)
	}
	if c, ok := in.(psu.TripClearer); ok {
		require.ErrorIs(t, c.ClearTrip(t.Context(), b.NoChannel), psu.ErrRefused)
	}
	assert.Empty(t, b.sim.Writes())
	read(t, in)
}

func refusesSetpoint(t *testing.T, b *bench) {
	in := b.direct(t)
	b.setAll(t, in)
	b.sim.ResetLog()
	n := numbers(in)[1]
	for _, v := range []float64{b.TooHigh, math.NaN(), math.Inf(1), math.Inf(-1), 1e38} {
		err := in.SetVoltage(t.Context(), n, v)
		require.ErrorIs(t, err, psu.ErrRefused, "%v V", v)
		assert.NotEqual(t, psu.ErrRefused.Error(), err.Error(), "it says why")
		if lim, ok := in.(psu.CurrentLimiter); ok && v != b.TooHigh {
			require.ErrorIs(t, lim.SetCurrent(t.Context(), n, v), psu.ErrRefused, "%v A", v)
		}
	}
	assert.Empty(t, b.sim.Writes())
	for _, r := range read(t, in) {
		b.agrees(t, in, r)
	}
	require.NoError(t, in.SetVoltage(t.Context(), n, b.Volts[1]), "the connection is good")
}

func trips(t *testing.T, b *bench) {
	in := b.direct(t)
	clearer, ok := in.(psu.TripClearer)
	if !ok || b.Trip == nil {
		t.Skip("it does not latch trips")
	}
	b.setAll(t, in)
	n := numbers(in)[1]
	require.NoError(t, clearer.ClearTrip(t.Context(), n), "nothing to clear is no error")
	require.NoError(t, in.Switch(t.Context(), n, true))
	b.Trip(b.sim, n)
	got := read(t, in)
	assert.Equal(t, wire.Yes, got[1].Trip)
	assert.Equal(t, wire.No, got[1].On)
	assert.NotEqual(t, wire.Yes, got[0].Trip)
	got = read(t, in)
	assert.Equal(t, wire.Yes, got[1].Trip, "it is latched: reading does not clear it")

	require.NoError(t, clearer.ClearTrip(t.Context(), n))
	got = read(t, in)
	assert.Equal(t, wire.No, got[1].Trip)
	assert.Equal(t, wire.No, got[1].On, "clearing does not energise")
	b.agrees(t, in, got[1])
	require.NoError(t, in.Switch(t.Context(), n, true))
	assert.Equal(t, wire.Yes, read(t, in)[1].On)
}

// lost checks an error after which a connection is of no use.
func lost(t testing.TB, in psu.Instrument, err error) {
	t.Helper()
	require.Error(t, err)
	assert.NotErrorIs(t, err, psu.ErrRefused)
	_, err = in.Read(t.Context(), numbers(in)[:1])
	require.Error(t, err, "it stays unusable")
	assert.NotErrorIs(t, err, psu.ErrRefused)
	require.Error(t, in.SetVoltage(t.Context(), numbers(in)[0], 0))
}

func noticesSilence(t *testing.T, b *bench) {
	for name, call := range map[string]func(psu.Instrument) error{
		"read":   func(in psu.Instrument) error { _, err := in.Read(t.Context(), numbers(in)); return err },
		"set":    func(in psu.Instrument) error { return in.SetVoltage(t.Context(), numbers(in)[0], b.Volts[0]) },
		"switch": func(in psu.Instrument) error { return in.Switch(t.Context(), numbers(in)[0], false) },
	} {
		in := b.impatient(t)
		b.sim.Silence(true)
		start := time.Now()
		err := call(in)
		took := time.Since(start)
		lost(t, in, err)
		assert.GreaterOrEqual(t, took, timeout, name)
		assert.Less(t, took, timeout+patience/2, name)
		_, err = b.Open(t.Context(), "tcp://"+b.address, timeout)
		require.Error(t, err, "nobody answers")
		b.sim.Silence(false)
		require.NoError(t, in.Close())
	}
	read(t, b.direct(t))
}

func noticesDrop(t *testing.T, b *bench) {
	in := b.direct(t)
	b.setAll(t, in)
	b.sim.Drop()
	_, err := in.Read(t.Context(), numbers(in))
	lost(t, in, err)
	in = b.direct(t)
	for _, r := range read(t, in) {
		b.agrees(t, in, r)
	}
}

func noticesRefusal(t *testing.T, b *bench) {
	b.sim.Refuse(true)
	start := time.Now()
	_, err := b.Open(t.Context(), "tcp://"+b.address, patience)
	require.ErrorContains(t, err, b.address)
	assert.Less(t, time.Since(start), patience)
	b.sim.Refuse(false)
	read(t, b.direct(t))

	_, err = b.Open(t.Context(), b.address, patience)
	require.ErrorContains(t, err, "tcp://", "an address without scheme")
}

func isCancelled(t *testing.T, b *bench) {
	in := b.direct(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := in.Read(ctx, numbers(in))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, in.SetVoltage(ctx, numbers(in)[0], b.Volts[0]), context.Canceled)
	_, err = b.Open(ctx, "tcp://"+b.address, patience)
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, b.sim.Writes())

	in = b.direct(t)
	b.sim.Silence(true)
	ctx, cancel = context.WithTimeout(t.Context(), timeout/10)
	defer cancel()
	_, err = in.Read(ctx, numbers(in))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
