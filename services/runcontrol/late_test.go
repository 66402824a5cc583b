package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

// A driver that comes back with an empty disk has lost the results: nobody waits
// for them for ever.
func TestDriverLosesResults(t *testing.T) {
	for _, knows := range []bool{false, true} {
		w := running(t, nil)
		w.sink.slow = true
		w.programEnds(wire.RunFinished)
		w.deliver()
		w.wait(time.Second)
		w.killDriver()
		w.wait(time.Hour)
		require.Equal(t, wire.RunFinishing, w.run().State)
		w.startDriver(knows)
		w.wait(time.Second)
		if !knows {
			assert.Contains(t, w.run().Error, "ph2acf is back and has not said that it has them")
		}
		w.wait(time.Minute)
		if knows {
			assert.Equal(t, wire.RunFinishing, w.run().State)
			continue
		}
		assert.Equal(t, wire.RunFinished, w.run().State)
		assert.Equal(t, wire.ResultsMissing, w.run().Results)
		assert.Equal(t, "ph2acf is back and does not know the run: its results are lost", w.run().Error)
	}
}

// An abort ends a start that is still being checked.
func TestAbortWhileChecking(t *testing.T) {
	w := settled(t)
	w.start("a", inline(transConfigure, wire.Configuration{Wait: 60, Sensors: []wire.Require{{Device: "hv", Channel: new(int), Field: "vmon"}}}))
	w.wait(5 * time.Second)
	w.command(wire.RunCommand{Op: wire.Abort, ID: "other", Run: 7})
	assert.Equal(t, []string{"rejected BAD_VALUE"}, phases(w.acks("other")))
	w.command(wire.RunCommand{Op: wire.Abort, ID: "dry", Dry: true})
	assert.Equal(t, []string{"accepted DRY"}, phases(w.acks("dry")))
	assert.Empty(t, w.acks("a"))
	w.abort("ab")
	w.measures(1)
	w.wait(3 * time.Second)
	assert.Equal(t, []string{"accepted OK", "done OK"}, phases(w.acks("ab")))
	assert.Equal(t, []string{"rejected BUSY"}, phases(w.acks("a")))
	assert.Equal(t, "aborted by bob: wrong module, while it was checked", w.acks("a")[0].Message)
	assert.Equal(t, wire.RunIdle, w.run().State)
}

// A driver whose clock is ahead makes no run that ends before its start.
func TestNoEndBeforeTheStart(t *testing.T) {
	w := settled(t)
	w.start("a", nil)
	w.m.book.Life.Run.Start = w.now.Add(time.Hour)
	w.killDriver()
	w.abort("ab")
	w.wait(40 * time.Second)
	assert.Equal(t, wire.RunInterrupted, w.run().State)
	assert.Equal(t, w.run().Start, w.run().End)
}

func TestModuleIsText(t *testing.T) {
	w := settled(t)
	w.command(wire.RunCommand{Op: wire.Start, Procedure: "calibration", ID: "a", Parameters: wire.Parameters{"module": 20231101.}})
	assert.Equal(t, "20231101", w.run().Module)
	assert.Equal(t, "true", moduleName(true))
}
