package iseg

import (
	"bufio"
	"context"
	"io"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/drivers/sim/iseg"
	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/scpi"
	"trackerdcs/pkg/wire"
)

// patience is how long the slowest machine may take.
const patience = time.Minute

func serve(t *testing.T, sim *iseg.Instrument) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sim.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	return "tcp://" + l.Addr().String()
}

func connect(t *testing.T, address string) psu.Instrument {
	in, err := Open(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(func() { in.Close() })
	return in
}

func reading(t *testing.T, in psu.Instrument, n int) psu.Reading {
	rs, err := in.Read(t.Context(), []int{n})
	require.NoError(t, err)
	return rs[0]
}

func until(t *testing.T, in psu.Instrument, n int, fits func(psu.Reading) bool) psu.Reading {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		r := reading(t, in, n)
		if fits(r) {
			return r
		}
		if time.Now().After(end) {
			require.FailNow(t, "not reached", "%+v", r)
		}
	}
}

// Fault 24: the driver ends in the middle of a ramp. The hardware goes on, and
// the next driver reads and writes nothing.
func TestFault24KilledInARamp(t *testing.T) {
	sim := iseg.New(iseg.Options{Ramp: 100})
	address := serve(t, sim)
	in := connect(t, address)
	require.NoError(t, in.SetVoltage(t.Context(), 2, 1000))
	require.NoError(t, in.Switch(t.Context(), 2, true))
	until(t, in, 2, func(r psu.Reading) bool { return r.Ramping == wire.Yes && r.VMon.V > 1 })
	require.NoError(t, in.Close())
	before := sim.Writes()

	r := reading(t, connect(t, address), 2)
	assert.Equal(t, wire.Known(1000), r.VReq)
	assert.Equal(t, wire.Yes, r.On)
	assert.Equal(t, wire.Yes, r.Ramping)
	assert.Equal(t, before, sim.Writes())
}

// Fault 25: the safety loop opens. All channels fall, and stay off when it is
// closed again, until the trip is cleared and the channel is switched on.
func TestFault25Interlock(t *testing.T) {
	sim := iseg.New(iseg.Options{Ramp: 200, Speed: 1000})
	in := connect(t, serve(t, sim))
	require.NoError(t, in.SetVoltage(t.Context(), 0, 500))
	require.NoError(t, in.Switch(t.Context(), 0, true))
	until(t, in, 0, func(r psu.Reading) bool { return math.Abs(r.VMon.V-500) < 1 })

	sim.Interlock(true)
	r := reading(t, in, 0)
	assert.Equal(t, wire.Yes, r.Interlock)
	assert.Equal(t, wire.Yes, r.Trip)
	assert.Equal(t, wire.No, r.On)
	require.ErrorIs(t, in.Switch(t.Context(), 0, true), psu.ErrRefused)
	require.ErrorIs(t, in.(psu.TripClearer).ClearTrip(t.Context(), 0), psu.ErrRefused)

	sim.Interlock(false)
	r = reading(t, in, 0)
	assert.Equal(t, wire.No, r.Interlock)
	assert.Equal(t, wire.Yes, r.Trip, "latched")
	assert.Equal(t, wire.No, r.On)
	require.NoError(t, in.(psu.TripClearer).ClearTrip(t.Context(), 0))
	r = reading(t, in, 0)
	assert.Equal(t, wire.No, r.Trip)
	assert.Equal(t, wire.No, r.On, "clearing does not energise")
	require.NoError(t, in.Switch(t.Context(), 0, true))
}

func TestInhibit(t *testing.T) {
	sim := iseg.New(iseg.Options{Ramp: 200, Speed: 1000})
	in := connect(t, serve(t, sim))
	require.NoError(t, in.SetVoltage(t.Context(), 1, 500))
	require.NoError(t, in.Switch(t.Context(), 1, true))
	sim.Inhibit(1, true)
	r := reading(t, in, 1)
	assert.Equal(t, wire.Yes, r.Interlock)
	assert.Equal(t, wire.Yes, r.Trip)
	assert.Equal(t, wire.No, reading(t, in, 0).Interlock)
	sim.Inhibit(1, false)
	r = reading(t, in, 1)
	assert.Equal(t, wire.No, r.Interlock)
	assert.Equal(t, wire.Yes, r.Trip)
	require.NoError(t, in.(psu.TripClearer).ClearTrip(t.Context(), 1))
	assert.Equal(t, wire.No, reading(t, in, 1).Trip)
}

func TestLimited(t *testing.T) {
	sim := iseg.New(iseg.Options{Ramp: 200, Speed: 1000, Load: map[int]float64{1: 1e6}})
	in := connect(t, serve(t, sim))
	require.NoError(t, in.SetVoltage(t.Context(), 1, 500))
	require.NoError(t, in.(psu.CurrentLimiter).SetCurrent(t.Context(), 1, 1e-4)) // 100 V
	require.NoError(t, in.Switch(t.Context(), 1, true))
	r := until(t, in, 1, func(r psu.Reading) bool { return r.Limited == wire.Yes })
	assert.Equal(t, wire.Known(500), r.VReq, "the requested voltage is not the measured one")
	assert.Less(t, r.VMon.V, 400.)
}

func TestHardwareLimit(t *testing.T) {
	sim := iseg.New(iseg.Options{Limit: 600})
	in := connect(t, serve(t, sim))
	r := reading(t, in, 1)
	assert.Equal(t, wire.Known(600), r.Max, "the potentiometer's")
	assert.Equal(t, 1000., in.Info().Channels[1].Max)
	err := in.SetVoltage(t.Context(), 1, 700)
	require.ErrorIs(t, err, psu.ErrRefused)
}

// The way of older modules, which the simulated one has as well.
func TestCommonRamp(t *testing.T) {
	sim := iseg.New(iseg.Options{})
	in := connect(t, serve(t, sim))
	common := commonRamp{in.(channelRamp).Supply}
	require.NoError(t, common.SetCommonRamp(t.Context(), 12.5))
	assert.Equal(t, []string{"- :CONF:RAMP:VOLT 1.25"}, sim.Writes())
	for _, channelSpeed := range []bool{true, false} {
		common.knows.channelSpeed, common.knows.moduleSpeed = channelSpeed, true
		rs, err := common.Read(t.Context(), []int{0, 3})
		require.NoError(t, err)
		for _, r := range rs {
			assert.InDelta(t, 12.5, r.Ramp.V, common.info.Resolution.Ramp)
		}
	}
	require.ErrorIs(t, common.SetCommonRamp(t.Context(), 201), psu.ErrRefused)
}

// A serial line: the module echoes what it is sent, and the cable is pulled out.
func TestFault22SerialWithEcho(t *testing.T) {
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Fatalf("no pseudo-terminal: %v", err)
	}
	defer tty.Close()
	sim := iseg.New(iseg.Options{})
	sim.SetVoltage(3, 333)
	var unplug atomic.Bool
	go func() {
		defer ptmx.Close()
		in := bufio.NewScanner(ptmx)
		for in.Scan() && !unplug.Load() {
			cmd := strings.TrimRight(in.Text(), "\r")
			out := cmd + "\r\n"
			if a := sim.Execute(cmd); a != "" {
				out += a + "\r\n"
			}
			if _, err := io.WriteString(ptmx, out); err != nil {
				return
			}
		}
	}()
	in := connect(t, "serial://"+tty.Name()+"?baud=9600")
	require.NoError(t, in.SetVoltage(t.Context(), 1, 250))
	rs, err := in.Read(t.Context(), []int{1, 3})
	require.NoError(t, err)
	assert.Equal(t, wire.Known(250), rs[0].VReq)
	assert.Equal(t, wire.Known(333), rs[1].VReq)

	tty.Close()
	unplug.Store(true)
	start := time.Now()
	_, err = in.Read(t.Context(), []int{1})
	require.Error(t, err)
	assert.NotErrorIs(t, err, psu.ErrRefused)
	assert.NotErrorIs(t, err, scpi.ErrTimeout, "noticed at once, after %v", time.Since(start))
}

// A limit that is no number any more does not give the nominal range back.
func TestLimitThatIsNoNumberAnyMore(t *testing.T) {
	s := &Supply{}
	got := func(x ...wire.Value) []wire.Value {
		s.hold("V", []int{0, 1}, x)
		return x
	}
	none := wire.Value{}
	assert.Equal(t, []wire.Value{none, wire.Known(1500)}, got(none, wire.Known(1500)), "never a number: unknown")
	assert.Equal(t, []wire.Value{none, wire.Known(0)}, got(none, none))
	assert.Equal(t, []wire.Value{wire.Known(2000), wire.Known(1500)}, got(wire.Known(2000), wire.Known(1500)))
	current := []wire.Value{none}
	s.hold("A", []int{1}, current)
	assert.Equal(t, []wire.Value{none}, current, "another quantity")
}
