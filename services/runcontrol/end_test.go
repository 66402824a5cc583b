package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/ids"
	"trackerdcs/pkg/wire"
)

// down is a configuration that takes two channels down.
func down() map[string]wire.ConfigurationOrName {
	return inline(transEnd, wire.Configuration{Setpoints: []wire.Setpoint{
		{Device: "hv", Channel: 0., Op: wire.SetV, Value: 0.},
		{Device: "hv", Channel: 0., Op: wire.Switch, Value: wire.Off},
		{Device: "hv", Channel: 1., Op: wire.SetV, Value: 0.},
		{Device: "hv", Channel: 1., Op: wire.Switch, Value: wire.Off},
	}})
}

// ordered are the commands that came to the supply.
func (w *world) ordered() (out []string) {
	for _, o := range w.hv.orders {
		out = append(out, fmt.Sprintf("%s %s %v", o.Channel.String(), o.Op, o.Value()))
	}
	return out
}

var allDown = []string{"0 setv 0", "1 setv 0", "0 switch off", "1 switch off"}

// Nothing keeps supplies from being taken down at the end of a run.
func TestEndIsNotSkipped(t *testing.T) {
	lost := func(w *world) { w.hv.state = wire.Lost; w.say(w.hvState()); w.deliver() }
	for name, tt := range map[string]struct {
		before, after func(*world) // the end of the program
		orders        []string     // when other than allDown
	}{
		"abort just after the program": {
			func(w *world) { w.hv.slow = true },
			func(w *world) {
				w.abort("ab")
				w.abort("ab2")
				w.wait(time.Minute)
				w.hv.slow = false
				w.hvFinishes(wire.Done, wire.OK)
			}, nil,
		},
		"disk stalls": {
			func(w *world) { w.manual = true },
			func(w *world) { w.wait(11 * time.Minute); w.manual = false; w.finishSave() }, nil,
		},
		"supply away": {
			lost,
			func(w *world) { w.wait(9 * time.Minute); w.hv.state = wire.Ready; w.say(w.hvState()); w.deliver() }, nil,
		},
		"broker away": {
			func(w *world) { w.hv.slow = true },
			func(w *world) {
				w.disconnect()
				w.hv.slow = false
				w.hvFinishes(wire.Done, wire.OK)
				w.wait(time.Minute)
				w.connect()
			},
			[]string{"0 setv 0", "1 setv 0", "0 setv 0", "1 setv 0", "0 switch off", "1 switch off"},
		},
		"orders lost": {
			func(w *world) { w.hv.mute = true },
			func(w *world) { w.wait(4 * time.Minute); w.hv.mute = false }, nil,
		},
		"disk lost": {
			func(w *world) { w.hv.slow = true },
			func(w *world) {
				w.loseDisk()
				w.restart()
				w.hv.slow, w.hv.orders = false, nil
				w.hvFinishes(wire.Done, wire.OK)
				w.settle()
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := running(t, down())
			tt.before(w)
			w.programEnds(wire.RunFinished)
			w.deliver()
			tt.after(w)
			w.wait(10 * time.Second)
			if tt.orders == nil {
				tt.orders = allDown
			}
			assert.Equal(t, tt.orders, w.ordered())
			assert.Equal(t, wire.RunFinished, w.run().State, w.run().Error)
			assert.Empty(t, w.run().Error)
			if acks := w.acks("ab"); len(acks) > 0 {
				assert.Equal(t, []string{"accepted OK", "done OK"}, phases(acks))
				assert.Equal(t, []string{"accepted OK", "done OK"}, phases(w.acks("ab2")))
			}
		})
	}
}

// What of an end fails leaves the rest of it as it is, and is named.
func TestEndGoesOnAfterAFailure(t *testing.T) {
	w := running(t, inline(transEnd, wire.Configuration{Setpoints: []wire.Setpoint{
		{Device: "lv", Channel: 0., Op: wire.Switch, Value: wire.Off}, // whose driver is not there
		{Device: "hv", Channel: 0., Op: wire.SetV, Value: 0.},
		{Device: "hv", Channel: 0., Op: wire.Switch, Value: wire.Off},
	}}))
	w.hv.slow = true
	w.programEnds(wire.RunFinished)
	w.deliver()
	w.wait(20 * time.Second)
	w.hvFinishes(wire.Failed, wire.Tripped)
	w.wait(time.Second)
	assert.Equal(t, []string{"0 setv 0", "0 switch off"}, w.ordered())
	w.hvFinishes(wire.Done, wire.OK)
	w.wait(10 * time.Minute)
	assert.Equal(t, wire.RunFailed, w.run().State)
	assert.Contains(t, w.run().Error, "hv/0 setv 0: failed TRIPPED")
	assert.Contains(t, w.run().Error, "lv/0 switch off: not done within 600 s: lv is not known")
	assert.Equal(t, []string{"accepted OK", "failed TRIPPED"}, phases(w.acks("a")), "of what failed first")
}

// A ramp that takes too long does not keep the channel from being switched off.
func TestEndSwitchesOffInTheEnd(t *testing.T) {
	w := running(t, down())
	w.hv.slow = true
	w.programEnds(wire.RunFinished)
	w.deliver()
	w.wait(601 * time.Second)
	w.hv.slow = false
	w.wait(15 * time.Second)
	assert.Equal(t, allDown, w.ordered())
	assert.Equal(t, "what end needs was not reached: hv/0 setv 0: not done within 600 s; hv/1 setv 0: not done within 600 s; "+
		"hv/0 switch off: not done within 600 s; hv/1 switch off: not done within 600 s", w.run().Error)
}

// A setpoint of which nobody knows what became does not happen a second time.
func TestNoSetpointTwice(t *testing.T) {
	for name, tt := range map[string]struct {
		away   time.Duration
		boot   bool
		reason string
	}{
		"supply started anew": {5 * time.Second, true, "hv/0 switch on: the driver was started anew"},
		"supply forgets":      {11 * time.Minute, false, "hv/0 switch on: it was sent 11m1s ago, and what became of it is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			w := settled(t)
			w.hv.slow = true
			w.start("a", inline(transRun, wire.Configuration{Timeout: 3600, Setpoints: []wire.Setpoint{{Device: "hv", Channel: 0., Op: wire.Switch, Value: wire.On}}}))
			w.wait(time.Second)
			w.disconnect()
			w.hvFinishes(wire.Done, wire.OK) // which nobody hears
			w.wait(tt.away)
			if tt.boot {
				w.hv.boot++
				w.hv.ids = ids.New()
			}
			w.connect()
			w.handle(Tick{}) // before it has heard anything
			w.deliver()
			w.wait(time.Second)
			assert.Equal(t, []string{"0 switch on"}, w.ordered())
			assert.Equal(t, wire.RunFailed, w.run().State)
			assert.Contains(t, w.run().Error, tt.reason)
		})
	}
}

// A setpoint that is lost on its way is sent again, with one id.
func TestSetpointIsRepeated(t *testing.T) {
	w := settled(t)
	w.hv.mute = true
	w.start("a", inline(transRun, setpoints(100)))
	sent := make(map[string]int)
	for _, o := range w.outs {
		if o, is := o.(Order); is {
			sent[o.Command.ID]++
		}
	}
	require.Equal(t, map[string]int{"runu1-1": 1, "runu1-3": 1}, sent)
	w.hv.mute = false
	w.wait(4 * time.Second)
	assert.Equal(t, wire.RunRunning, w.run().State, w.run().Error)
}
