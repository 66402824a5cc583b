package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

// A start that was lost on its way is not asked for again when run control, or
// the broker, come back hours later.
func TestNoStartTheNextMorning(t *testing.T) {
	for _, how := range []string{"restart", "broker"} {
		for _, took := range []bool{false, true} {
			w := settled(t)
			w.manual = true
			w.start("a", nil)
			w.finishSave() // the number
			w.deliver()
			for range 5 {
				if w.m.book.Life.Step != stepAsking {
					w.wait(tickPeriod)
				}
			}
			require.Equal(t, stepAsking, w.m.book.Life.Step)
			if took { // and its answer is lost
				w.driver.program = true
				w.driver.started[1]++
				w.driver.report = &wire.Report{Run: 1, UID: w.run().UID, State: wire.RunRunning, Boot: boot("d", 1), Start: w.now}
			}
			w.driver.mute = true
			w.finishSave()
			w.deliver()
			w.manual, w.driver.mute = false, false
			if how == "restart" {
				w.restart()
			} else {
				w.disconnect()
			}
			w.now = w.now.Add(8 * time.Hour)
			w.settle()
			if took {
				assert.Equal(t, wire.RunRunning, w.run().State, w.run().Error)
				assert.Equal(t, 1, w.driver.started[1])
				continue
			}
			assert.Equal(t, wire.RunInterrupted, w.run().State, how)
			assert.Contains(t, w.run().Error, "ph2acf was asked to start 8h0m")
			assert.Empty(t, w.driver.started)
			assert.Equal(t, "failed UNREACHABLE", phases(w.acks("a"))[len(w.acks("a"))-1])
		}
	}
}

// Setpoints of finish are not sent again by a run control that comes back hours
// later.
func TestNoFinishTheNextMorning(t *testing.T) {
	w := running(t, inline(transFinish, setpoints(100)))
	w.hv.slow = true
	w.programEnds(wire.RunFinished)
	w.deliver()
	n := len(w.hv.orders)
	require.Equal(t, 2, n)
	w.restart()
	w.now = w.now.Add(8 * time.Hour)
	w.settle()
	w.wait(10 * time.Second)
	assert.Len(t, w.hv.orders, n)
	assert.Equal(t, wire.RunFailed, w.run().State)
	assert.Contains(t, w.run().Error, "hv/0 setv 100: it was sent 8h0m")
}

// A reading that came before the setpoints were reached says nothing of them,
// nor does one of a device that is lost.
func TestReadingsThatDoNotCount(t *testing.T) {
	up := wire.Configuration{Sensors: []wire.Require{{Device: "hv", Channel: new(int), Field: "vmon", Min: at(95), MaxAge: 60}}}
	w := settled(t)
	w.measures(100)
	w.deliver()
	up.Setpoints = []wire.Setpoint{{Device: "hv", Channel: 0., Op: wire.Switch, Value: wire.Off}}
	w.start("a", inline(transRun, up))
	w.wait(5 * time.Second)
	assert.Equal(t, wire.RunConfiguring, w.run().State)
	assert.Equal(t, "hv/0 vmon: no status of hv has come since the setpoints were reached", w.run().Error)
	w.measures(0)
	w.wait(time.Second)
	assert.Contains(t, w.run().Error, "hv/0 vmon is 0, below 95")
	w.measures(96)
	w.wait(time.Second)
	assert.Equal(t, wire.RunRunning, w.run().State)

	w = settled(t)
	w.measures(100)
	w.hv.state = wire.Lost
	w.say(w.hvState())
	w.deliver()
	up.Setpoints = nil
	w.start("a", inline(transRun, up))
	w.wait(11 * time.Second)
	assert.Equal(t, wire.RunFailed, w.run().State)
	assert.Contains(t, w.run().Error, "hv/0 vmon: hv is lost: start its driver")
}

// An abort without an end says which ramps it leaves.
func TestAbortNamesRamps(t *testing.T) {
	w := settled(t)
	w.hv.slow = true
	w.start("a", inline(transRun, setpoints(500)))
	w.wait(time.Second)
	w.abort("ab")
	assert.Equal(t, "aborted by bob: wrong module; the setpoints stay as they are; hv/0 ramps on to 500 V; hv/1 ramps on to 500 V", w.run().Error)
}

// A record that somebody has left on the bus commands nothing that a start could
// not.
func TestStrangersRecordIsChecked(t *testing.T) {
	w := newWorld()
	w.state = &wire.Run{
		Run: 7, UID: "x", State: wire.RunRunning, Device: "ph2acf", Procedure: "calibration", Asked: epoch,
		Configurations: map[string]wire.Configuration{
			"end":    {Setpoints: []wire.Setpoint{{Device: "hv/cmd", Channel: 0., Op: "lock/#", Value: 1.}}},
			"finish": {Timeout: 1e9},
			"#":      {},
			"run":    {Timeout: 60},
		},
	}
	w.settle()
	assert.Len(t, w.run().Configurations, 1)
	for _, what := range []string{`hv/cmd`, `"timeout" is 1e+09 s`, `"#" is no transition`} {
		assert.Contains(t, w.run().Error, what)
	}
	w.wait(time.Minute)
	assert.Equal(t, wire.RunInterrupted, w.run().State)
	assert.Contains(t, w.run().Error, "the run was taken over from the bus without what end needs, which cannot be")
	assert.Contains(t, w.run().Error, "ph2acf is back and does not know the run")
	assert.Empty(t, w.hv.orders)
}
