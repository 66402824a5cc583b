package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

// running is a world with a run whose program runs.
func running(t *testing.T, cfgs map[string]wire.ConfigurationOrName) *world {
	t.Helper()
	w := settled(t)
	w.start("a", cfgs)
	w.wait(3 * time.Second)
	require.Equal(t, wire.RunRunning, w.run().State, w.run().Error)
	return w
}

// What becomes of a run whose program runs, or has run.
func TestEnds(t *testing.T) {
	wait := func(d time.Duration) func(*world) { return func(w *world) { w.wait(d) } }
	ends := func(state string) func(*world) { return func(w *world) { w.programEnds(state); w.deliver() } }
	abort := func(w *world) { w.abort("ab") }
	kill := func(w *world) { w.killDriver(); w.deliver() }
	stuck := func(w *world) { w.driver.stuck = true }
	restart := func(w *world) { w.restart(); w.settle() }
	back := func(knows bool) func(*world) { return func(w *world) { w.startDriver(knows); w.deliver() } }
	sinkAway := func(w *world) { w.sink.slow, w.sink.state = true, wire.Lost; w.say(w.sinkState()); w.deliver() }
	for name, tt := range map[string]struct {
		steps   []func(*world)
		state   string // or the state in which it stays
		reason  string // part of the error
		results string
		final   string // the last ack of the start
		abort   []string
	}{
		"finished":       {[]func(*world){ends(wire.RunFinished)}, wire.RunFinished, "", wire.ResultsReceived, "done OK", nil},
		"failed":         {[]func(*world){ends(wire.RunFailed)}, wire.RunFailed, "the program failed", wire.ResultsReceived, "failed HARDWARE", nil},
		"aborted":        {[]func(*world){abort}, wire.RunAborted, "aborted by bob: wrong module", wire.ResultsReceived, "superseded OK", []string{"accepted OK", "done OK"}},
		"by the driver":  {[]func(*world){ends(wire.RunAborted)}, wire.RunAborted, "the program was aborted", wire.ResultsReceived, "superseded OK", nil},
		"driver lost":    {[]func(*world){kill, wait(time.Hour)}, wire.RunRunning, "ph2acf is lost: start its driver", wire.ResultsExpected, "", nil},
		"driver back":    {[]func(*world){kill, wait(time.Minute), back(true)}, wire.RunInterrupted, "the driver was killed", wire.ResultsReceived, "failed UNREACHABLE", nil},
		"driver new":     {[]func(*world){kill, wait(time.Minute), back(false), wait(11 * time.Second)}, wire.RunInterrupted, "ph2acf is back and does not know the run", wire.ResultsMissing, "failed UNREACHABLE", nil},
		"abort and lost": {[]func(*world){kill, abort, wait(31 * time.Second)}, wire.RunInterrupted, "aborted by bob: wrong module, while ph2acf is lost", wire.ResultsMissing, "failed UNREACHABLE", []string{"accepted OK", "done OK"}},
		"abort and mute": {[]func(*world){func(w *world) { w.driver.mute = true }, abort, wait(41 * time.Second)}, wire.RunInterrupted, "ph2acf was asked 4 times to end it, and did not answer", wire.ResultsMissing, "failed UNREACHABLE", []string{"accepted OK", "done OK"}},
		"abort waits":    {[]func(*world){stuck, abort, wait(time.Hour)}, wire.RunRunning, "", wire.ResultsExpected, "", []string{"accepted OK"}},
		"abort refused":  {[]func(*world){func(w *world) { w.driver.refuse = wire.Hardware }, abort}, wire.RunRunning, "", wire.ResultsExpected, "", []string{"accepted OK", "failed HARDWARE"}},
		"sink away":      {[]func(*world){sinkAway, ends(wire.RunFinished), wait(time.Hour)}, wire.RunFinishing, "waiting for the sink calibration, which is lost", wire.ResultsExpected, "", nil},
		"given up":       {[]func(*world){sinkAway, ends(wire.RunFinished), wait(time.Hour), abort}, wire.RunFinished, "the results were not waited for: aborted by bob", wire.ResultsMissing, "done OK", []string{"accepted OK", "done OK"}},
		"we restart":     {[]func(*world){restart, wait(time.Second), ends(wire.RunFinished)}, wire.RunFinished, "", wire.ResultsReceived, "done OK", nil},
		"both restart":   {[]func(*world){kill, restart, wait(time.Second), back(true)}, wire.RunInterrupted, "the driver was killed", wire.ResultsReceived, "failed UNREACHABLE", nil},
		"while away":     {[]func(*world){ends(wire.RunFinished), func(w *world) { w.restart(); w.settle() }}, wire.RunFinished, "", wire.ResultsReceived, "done OK", nil},
		"disk lost":      {[]func(*world){(*world).loseDisk, restart, wait(time.Second), ends(wire.RunFinished)}, wire.RunFinished, "", wire.ResultsReceived, "done OK", nil},
		"abort, restart": {[]func(*world){stuck, abort, restart, func(w *world) { w.driver.stuck = false; w.driver.ids = nil; w.driver.ids = newWorld().driver.ids }, wait(20 * time.Second)}, wire.RunRunning, "", wire.ResultsExpected, "", []string{"accepted OK"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := running(t, nil)
			for _, step := range tt.steps {
				step(w)
			}
			w.wait(6 * time.Second)
			r := w.run()
			assert.Equal(t, tt.state, r.State)
			assert.Contains(t, r.Error, tt.reason)
			assert.Equal(t, tt.results, r.Results)
			assert.Equal(t, tt.state, w.state.State)
			assert.Equal(t, r.Error, w.state.Error)
			if tt.final != "" {
				acks := slices.Compact(phases(w.acks("a"))) // after a restart the latest is said again
				assert.Equal(t, []string{"accepted OK", tt.final}, acks)
				assert.False(t, r.End.IsZero())
			} else {
				assert.Equal(t, []string{"accepted OK"}, slices.Compact(phases(w.acks("a"))))
			}
			assert.Equal(t, tt.abort, slices.Compact(phases(w.acks("ab"))))
			assert.Equal(t, 1, w.driver.started[1], "once")
		})
	}
}

func TestAbortWhileConfiguring(t *testing.T) {
	for _, withEnd := range []bool{false, true} {
		w := settled(t)
		w.hv.slow = true
		cfgs := inline("run", setpoints(100))
		if withEnd {
			c := setpoints(0)
			cfgs["end"] = wire.ConfigurationOrName{Inline: &c}
		}
		w.start("a", cfgs)
		require.Equal(t, wire.RunConfiguring, w.run().State)
		w.abort("ab")
		if withEnd {
			assert.Equal(t, wire.RunFinishing, w.run().State)
			for range 3 {
				w.hvFinishes(wire.Done, wire.OK)
				w.wait(time.Second)
			}
			assert.Equal(t, []string{"configure:configuring", "finish:finishing", "abort:aborted"}, path(w.run()))
		} else {
			assert.Contains(t, w.run().Error, "the setpoints stay as they are")
		}
		assert.Equal(t, wire.RunAborted, w.run().State)
		assert.Equal(t, wire.ResultsNone, w.run().Results)
		assert.Equal(t, []string{"accepted OK", "superseded OK"}, phases(w.acks("a")))
		assert.Equal(t, []string{"accepted OK", "done OK"}, phases(w.acks("ab")))
		assert.Empty(t, w.driver.started)
	}
}

func TestAbortRefused(t *testing.T) {
	w := settled(t)
	w.abort("x")
	assert.Contains(t, w.acks("x")[0].Message, "no run is under way")
	w.start("a", nil)
	w.command(wire.RunCommand{Op: wire.Abort, Run: 2, ID: "y"})
	assert.Contains(t, w.acks("y")[0].Message, "run 2 is not under way: run 1 is")
	w.wait(time.Second)
	w.command(wire.RunCommand{Op: wire.Abort, Run: 1, ID: "z", Expires: epoch}) // an abort does not expire
	w.wait(6 * time.Second)
	assert.Equal(t, wire.RunAborted, w.run().State)
	w.command(wire.RunCommand{Op: wire.Abort, Run: 1, ID: "w"})
	assert.Contains(t, w.acks("w")[0].Message, "run 1 has ended: it is aborted")
}

// A driver that does not answer is asked four times with one id; when it turns
// up with the run, it is told to end it.
func TestDriverTurnsUpLate(t *testing.T) {
	w := settled(t)
	w.start("a", nil) // the dry question is answered
	w = settled(t)
	orders := 0
	w.check = func(_ any, e Effects) {
		for _, o := range e.Out {
			if c, is := o.(OrderRun); is && c.Command.Op == wire.Start && !c.Command.Dry {
				orders++
				assert.Equal(t, "runu1", c.Command.ID)
				w.driver.mute = true
			}
		}
	}
	w.start("a", nil)
	w.wait(41 * time.Second)
	assert.Equal(t, 4, orders)
	assert.Equal(t, wire.RunFailed, w.run().State)
	assert.Contains(t, w.run().Error, "ph2acf was asked 4 times to start, and did not answer")
	assert.Equal(t, []string{"accepted OK", "failed TIMEOUT"}, phases(w.acks("a")))
	w.driver.mute = false
	w.driver.program = true
	w.driver.report = &wire.Report{Run: 1, UID: "u1", State: wire.RunRunning, Boot: boot("d", 1)}
	w.say(Reported{"ph2acf", *w.driver.report})
	w.wait(time.Second)
	assert.False(t, w.driver.program, "it was told to end it")
	assert.Equal(t, wire.RunFailed, w.run().State)
}

func TestRestartWhileConfiguring(t *testing.T) {
	w := settled(t)
	w.hv.slow = true
	w.start("a", inline("run", setpoints(100)))
	w.restart()
	w.settle()
	assert.Equal(t, wire.RunInterrupted, w.run().State)
	assert.Contains(t, w.run().Error, "run control was restarted while configuring")
	assert.Equal(t, []string{"accepted OK", "failed UNREACHABLE"}, slices.Compact(phases(w.acks("a"))))
	w.start("a", inline("run", setpoints(100)))
	assert.Equal(t, "failed UNREACHABLE", phases(w.acks("a"))[3], "the id is known after a restart too")
}

func TestRestartWhileAsking(t *testing.T) {
	w := settled(t)
	w.start("a", nil)
	w = settled(t)
	w.check = func(_ any, e Effects) {
		for _, o := range e.Out {
			if c, is := o.(OrderRun); is && !c.Command.Dry {
				w.driver.mute = true
			}
		}
	}
	w.start("a", nil)
	w.wait(time.Second)
	w.check, w.driver.mute = nil, false
	w.restart()
	w.settle()
	assert.Equal(t, wire.RunRunning, w.run().State)
	assert.Equal(t, map[int64]int{1: 1}, w.driver.started)
}

func TestNumbers(t *testing.T) {
	w := newWorld()
	w.sink.known = false
	w.sink.highest = 41
	w.settle()
	state, why := w.m.Standing()
	assert.Equal(t, wire.Unreachable, state)
	assert.Equal(t, "the highest number is not known yet: nothing on disk, and the sink calibration has not asked its database yet", why)
	w.start("x", nil)
	assert.Equal(t, []string{"rejected UNREACHABLE"}, phases(w.acks("x")))
	w.sink.known = true
	w.say(w.keeps())
	w.deliver()
	w.start("a", nil)
	w.wait(time.Second)
	assert.EqualValues(t, 42, w.run().Run)
	w.programEnds(wire.RunFinished)
	w.wait(6 * time.Second)

	w.sink.known, w.sink.highest = false, 0 // the sink may be away: the disk suffices
	w.restart()
	w.settle()
	w.start("b", nil)
	w.wait(time.Second)
	assert.EqualValues(t, 43, w.run().Run)
	w.abort("ab")
	w.wait(6 * time.Second)

	w.loseDisk() // the driver and the bus know it still, but who knows whether that is all
	w.restart()
	w.settle()
	w.start("c", nil)
	assert.Equal(t, []string{"rejected UNREACHABLE"}, phases(w.acks("c")))
	assert.EqualValues(t, 43, w.state.Run, "the last run is taken over from the bus")
	w.sink.known, w.sink.highest = true, 50
	w.say(w.keeps())
	w.deliver()
	w.start("d", nil)
	assert.EqualValues(t, 51, w.run().Run)
}

func TestStrangersStateIsPutRight(t *testing.T) {
	w := settled(t)
	said := func() (n int) {
		for _, o := range w.outs {
			if _, is := o.(SayState); is {
				n++
			}
		}
		return n
	}
	w.wait(time.Second)
	n := said()
	w.wait(10 * time.Second)
	assert.Equal(t, n, said(), "an echo is no stranger's")
	for _, bad := range []string{"", "?", `{"run":7,"uid":"x","state":"finished","device":"d"}`} {
		w.handle(Stands{[]byte(bad)})
	}
	w.wait(time.Second)
	assert.Equal(t, n+2, said(), "at once, and then not more than twice a second")
}

func TestRecordsWaitForTheSink(t *testing.T) {
	w := running(t, nil)
	w.programEnds(wire.RunFinished)
	w.wait(6 * time.Second)
	w.sink.state = wire.Lost
	w.say(w.sinkState())
	w.deliver()
	for i := range 25 {
		w.sink.slow = false
		w.start(fmt.Sprint("a", i), nil)
		w.wait(time.Second)
		w.programEnds(wire.RunFinished)
		w.wait(time.Second)
		w.abort(fmt.Sprint("b", i)) // the results are not waited for
		w.deliver()
	}
	assert.Len(t, w.kept, 25)
	w.restart()
	w.settle()
	assert.Len(t, w.kept, 25)
	w.sink.state = wire.Ready
	w.say(w.sinkState())
	w.wait(time.Second)
	assert.Empty(t, w.kept)
	assert.Len(t, w.sink.records, 26)
}

// A disk that fails in a run holds back what is said, and not the abort.
func TestDiskFails(t *testing.T) {
	w := running(t, nil)
	w.diskFull = true
	w.abort("ab")
	w.wait(10 * time.Second)
	assert.False(t, w.driver.program)
	assert.Equal(t, wire.RunRunning, w.state.State)
	state, why := w.m.Standing()
	assert.Equal(t, wire.Unreachable, state)
	assert.Contains(t, why, "no space left on device")
	w.diskFull = false
	w.wait(10 * time.Second)
	assert.Equal(t, wire.RunAborted, w.state.State)
	assert.Equal(t, []string{"accepted OK", "done OK"}, phases(w.acks("ab")))
}
