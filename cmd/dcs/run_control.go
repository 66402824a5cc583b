package main

import (
	"fmt"
	"time"

	"trackerdcs/pkg/wire"
)

// runControl is the usual name of run control.
const runControl = "runcontrol"

// takeControl watches run control: a run goes on without it, but nobody says
// how.
func (f *follower) takeControl(s wire.State) {
	before := f.control.State
	f.control = s
	switch {
	case f.controlLives():
		f.lost = nil
	case !f.heardOf() || before == s.State:
	default:
		f.view.notef("run control is %s: waiting for it", s.State)
		if f.lost == nil {
			f.lost = time.After(lostTime)
		}
	}
}

// controlLives reports whether run control may answer.
func (f *follower) controlLives() bool {
	switch f.control.State {
	case "", wire.Lost, wire.Stopped:
		return false
	}
	return true
}

// silence says what is known of a run control that does not answer.
func (f *follower) silence() string {
	topic := f.flags.Root.ServiceState(runControl)
	switch f.control.State {
	case "":
		return fmt.Sprintf("no run control is on this broker (nothing on %s): start it, or compare the broker", topic)
	case wire.Lost:
		return "run control is lost: its program has died, or has no connection to the broker"
	case wire.Stopped:
		return "run control is stopped: start it"
	case wire.Ready:
		if f.cmd == nil {
			return "run control is ready and says no state: does the broker's access list let us read " + f.flags.Root.RunState() + "?"
		}
		return fmt.Sprintf("run control is ready: does the broker's access list let us send to %s, and read %s?", f.flags.Root.RunCommand(f.cmd.Op), f.flags.Root.RunAck())
	}
	return oneLine(fmt.Sprintf("run control is %s (%s): %s", f.control.State, topic, f.control.Error))
}
