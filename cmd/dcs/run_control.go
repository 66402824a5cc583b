package main

import (
	"encoding/json"
	"fmt"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// runControl is the usual name of run control.
const runControl = "runcontrol"

// controller is run control, as far as it has been heard of.
type controller struct {
	root     wire.Root
	state    wire.State            // its own; empty while it is not known
	name     string                // under which it says that
	services map[string]wire.State // by name
	spoke    bool                  // of runs: on some name it is or was there
	boot     string                // of who speaks of runs
}

func newController(root wire.Root) *controller {
	return &controller{root: root, name: runControl, services: make(map[string]wire.State)}
}

// hear takes a message, and reports whether it was the state of a service. Run
// control may have any name (DCS_NAME): the boot in what is said of runs tells
// which service it is.
func (c *controller) hear(m bus.Message) bool {
	levels, ok := c.root.Cut(m.Topic)
	service := ok && len(levels) == 3 && levels[0] == "service" && levels[2] == wire.KindState
	switch {
	case service:
		var s wire.State
		if json.Unmarshal(m.Payload, &s) == nil {
			c.services[levels[1]] = s
		}
	case m.Topic == c.root.RunState() || m.Topic == c.root.RunAck():
		var said struct{ Boot string }
		if json.Unmarshal(m.Payload, &said) == nil {
			c.spoke, c.boot = true, said.Boot
		}
	default:
		return false
	}
	for name, s := range c.services {
		if c.boot != "" && s.Boot == c.boot {
			c.name = name
		}
	}
	c.state = c.services[c.name]
	return service
}

// lives reports whether it may answer.
func (c *controller) lives() bool { return c.state.State != "" && !gone(c.state) }

// gone reports whether a program has ended, or has no connection.
func gone(s wire.State) bool { return s.State == wire.Lost || s.State == wire.Stopped }

// watchControl tells when run control is away: a run goes on without it, but
// nobody says how.
func (f *follower) watchControl() {
	switch {
	case f.control.lives():
		f.lost = nil
	case gone(f.control.state) && f.heardOf() && f.lost == nil:
		f.view.notef("run control is %s: waiting for it", f.control.state.State)
		f.lost = time.After(lostTime)
	}
}

// mayAnswer reports whether it is worth waiting longer for run control.
func (f *follower) mayAnswer() bool {
	return f.control.lives() || f.control.state.State == "" && f.control.spoke
}

// answerTime is how long run control may take to answer the command: it looks at
// readings first when that is what it is told to.
func (f *follower) answerTime() time.Duration {
	if _, ok := f.cmd.Configurations["configure"]; ok {
		return runAnswerTime + configureTime
	}
	return runAnswerTime
}

// unanswered ends the waiting for the first word.
func (f *follower) unanswered(waited time.Duration) error {
	if f.cmd == nil || f.cmd.Dry {
		return f.noAnswer("no answer to %s within %v: %s", f.what(), waited, f.silence())
	}
	return f.noAnswer("no answer to %s within %v, it may be executed all the same: %s", f.what(), waited, f.silence())
}

// silence says what is known of a run control that does not answer.
func (f *follower) silence() string {
	topic := f.flags.Root.ServiceState(f.control.name)
	switch f.control.state.State {
	case "":
		if f.control.spoke {
			return fmt.Sprintf("%s says how runs went, but no run control says that it is there (nothing on %s): start it", f.flags.Root.RunState(), topic)
		}
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
	return oneLine(fmt.Sprintf("run control is %s (%s): %s", f.control.state.State, topic, f.control.state.Error))
}
