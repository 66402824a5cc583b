package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

// Nobody uses the numbers up with one message.
func TestNumbersAreNotUsedUp(t *testing.T) {
	w := running(t, nil)
	w.programEnds(wire.RunFinished)
	w.wait(6 * time.Second)
	w.say(Keeps{"stranger", wire.Kept{Highest: maxNumber - 1}})
	w.say(Reported{"hv", wire.Report{Run: 77, UID: "x"}}) // a supply has no runs
	w.say(Keeps{"other", wire.Kept{Highest: 1000}})
	w.deliver()
	w.start("b", nil)
	assert.EqualValues(t, 1001, w.run().Run)

	// with nothing on disk it cannot be told from a number that was given
	w = newWorld()
	w.settle()
	w.say(Keeps{"stranger", wire.Kept{Highest: maxNumber - 1}})
	w.deliver()
	w.start("c", nil)
	require.Equal(t, []string{"rejected UNREACHABLE"}, phases(w.acks("c")))
	assert.Contains(t, w.acks("c")[0].Message, "the highest number is 9007199254740991, and there is none above it")
}

// A stranger's receipt does not make a record forgotten.
func TestStrangersReceipt(t *testing.T) {
	w := running(t, nil)
	w.sink.slow, w.sink.state = true, wire.Lost
	w.say(w.sinkState())
	w.deliver()
	w.programEnds(wire.RunFinished)
	w.deliver()
	r := w.run()
	receipt := func(sink, boot string) {
		w.say(Receipted{sink, wire.RecordReceipt{Run: r.Run, UID: r.UID, Boot: boot, State: wire.RunFinished, Results: wire.ResultsStored}})
		w.deliver()
	}
	receipt("x", "k1")
	receipt("calibration", "k1") // which is lost
	w.sink.state = wire.Unreachable
	w.say(w.sinkState())
	w.deliver()
	receipt("calibration", "k0")
	assert.Equal(t, wire.RunFinishing, w.run().State)
	receipt("calibration", "k1") // its database is away, and it keeps what it gets
	assert.Equal(t, wire.RunFinished, w.run().State)
	assert.Len(t, w.kept, 1)
	receipt("calibration", "k1")
	assert.Empty(t, w.kept)
}

// Made-up devices give way to real ones.
func TestMadeUpDevices(t *testing.T) {
	w := newWorld()
	w.connected = true
	w.handle(Connected{})
	for i := range maxDevices {
		w.say(DeviceState{fmt.Sprint("x", i), wire.State{State: wire.Ready}})
	}
	w.deliver()
	w.settle()
	w.start("a", nil)
	assert.Equal(t, []string{"accepted OK"}, phases(w.acks("a")))
	for i := range 2 * maxDevices {
		w.say(Measured{fmt.Sprint("y", i), []byte("{}")})
	}
	w.say(Measured{"hv", []byte(`{"x":"` + strings.Repeat("x", maxStatus) + `"}`)})
	w.deliver()
	assert.Len(t, w.m.devices, maxDevices)
	assert.True(t, w.m.devices["hv"].ready())
	assert.Nil(t, w.m.devices["hv"].status)
}

// What waits for a disk that hangs is bounded.
func TestWaitingIsBounded(t *testing.T) {
	w := running(t, nil)
	w.manual = true
	w.abort("ab0")
	n := len(w.m.held)
	for range 500 {
		w.abort("ab0")
	}
	assert.Len(t, w.m.held, n, "the same does not wait twice")
	for i := range 2 * maxHeld {
		w.command(wire.RunCommand{Op: wire.Abort, ID: fmt.Sprint("d", i), Dry: true})
	}
	assert.LessOrEqual(t, len(w.m.held), maxHeld+maxAborts)
	last := fmt.Sprint("d", 2*maxHeld-1)
	assert.Equal(t, []string{"rejected BUSY"}, phases(w.acks(last)))
	w.abort("ab1") // is taken all the same
	w.manual = false
	w.finishSave()
	w.wait(10 * time.Second)
	assert.Equal(t, []string{"accepted OK", "done OK"}, phases(w.acks("ab0")))
	assert.Equal(t, []string{"accepted OK", "done OK"}, phases(w.acks("ab1")))
}
