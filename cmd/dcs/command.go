package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// How commands end, next to done and exitNoAnswer.
const (
	exitRejected    = exitCode(3)
	exitFailed      = exitCode(4)
	exitInterrupted = exitCode(130) // as shells say it: SIGINT
)

// Waiting for answers.
const (
	answerTime  = 5 * time.Second  // until anything is said of a command
	waitTime    = time.Hour        // until the last word: the driver has a deadline of its own
	lostTime    = time.Minute      // for a driver that was lost on the way to come back
	expiryTime  = 10 * time.Second // how long a command counts
	expirySlack = time.Second      // until a driver agrees that it has expired
)

// commandFlags are those of every command to a device.
type commandFlags struct {
	busFlags
	NoWait bool `help:"Return when it has been accepted."`
	Dry    bool `help:"Only ask whether it would be accepted."`
}

type setCmd struct {
	commandFlags
	Target target `arg:"" name:"device/channel" help:"Which channel, as in hv/0."`
	Volts  string `arg:"" name:"volts" help:"The voltage in V, signed as at the terminals."`
}

// Run sets a voltage.
func (c *setCmd) Run(ctx context.Context) error {
	return c.order(ctx, terminal(), c.Target, wire.SetV, c.Volts, "")
}

type switchCmd struct {
	commandFlags
	Target target `arg:"" name:"device/channel" help:"Which channel, as in hv/0, or hv/all."`
	To     string `arg:"" name:"on|off" enum:"on,off" help:"on, or off."`
}

// Run switches a channel.
func (c *switchCmd) Run(ctx context.Context) error {
	return c.order(ctx, terminal(), c.Target, wire.Switch, c.To, "")
}

type sendCmd struct {
	commandFlags
	Reason string `help:"Why a channel is locked."`
	Target target `arg:"" name:"device/channel" help:"Which channel, as in hv/0, or hv/all."`
	Op     opName `arg:"" name:"op" help:"setv, seti, switch, ramp, clear, lock or unlock."`
	Value  string `arg:"" optional:"" name:"value" help:"V, A, V/s, on or off."`
}

// Run sends any command.
func (c *sendCmd) Run(ctx context.Context) error {
	return c.order(ctx, terminal(), c.Target, string(c.Op), c.Value, c.Reason)
}

// order sends a command and tells what becomes of it.
func (f *commandFlags) order(ctx context.Context, con console, to target, op, value, reason string) error {
	cmd, err := newCommand(to, op, value, reason)
	if err != nil {
		return err
	}
	cmd.ID, cmd.User, cmd.Dry = "dcs-"+rand.Text()[:16], userName(), f.Dry
	s, err := f.join(f.Root.Ack(to.device), f.Root.State(to.device))
	if err != nil {
		return err
	}
	defer s.leave()
	if err := s.arrive(ctx); err != nil {
		con.notef("%s was not sent: %v", describe(to, cmd), err)
		return noAnswerOr(ctx)
	}
	cmd.Expires = time.Now().Add(expiryTime)
	w := &waiter{flags: f, con: con, to: to, cmd: cmd, s: s}
	return w.wait(ctx)
}

// newCommand checks the form of a command as the driver will: what cannot be
// right is not sent.
func newCommand(to target, op, value, reason string) (wire.Command, error) {
	var payload []byte
	switch op {
	case wire.Lock:
		if reason == "" {
			return wire.Command{}, fmt.Errorf("lock needs a reason: add --reason")
		}
		payload = wire.Command{Op: op, Reason: reason}.Payload()
	case wire.Clear, wire.Unlock:
		payload = []byte("{}")
	case wire.SetV, wire.SetI, wire.Ramp, wire.Switch:
		if value == "" {
			return wire.Command{}, fmt.Errorf("%s needs a value", op)
		}
		payload, value = []byte(value), ""
	default:
		return wire.Command{}, fmt.Errorf("%q is not an op: choose setv, seti, switch, ramp, clear, lock or unlock", op)
	}
	if value != "" {
		return wire.Command{}, fmt.Errorf("%s takes no value", op)
	}
	if reason != "" && op != wire.Lock {
		return wire.Command{}, fmt.Errorf("%s takes no reason", op)
	}
	return wire.ParseCommand(op, to.channel, payload)
}

// waiter waits for the answers to one command.
type waiter struct {
	flags *commandFlags
	con   console
	to    target
	cmd   wire.Command
	s     *session

	accepted bool
	boot     string // of the driver that accepted
	state    string // the device's, empty while it has said none
	problem  string
	away     bool             // the broker is
	lost     <-chan time.Time // runs while the driver is lost
	ask      <-chan time.Time // when to ask again after a break of our own
}

func (w *waiter) wait(ctx context.Context) error {
	limit := w.flags.Timeout
	if limit <= 0 {
		limit = waitTime
	}
	first, overall := time.NewTimer(min(answerTime, limit)), time.NewTimer(limit)
	defer first.Stop()
	defer overall.Stop()
	w.send()
	for {
		select {
		case <-w.s.inbox.wake:
			events, _ := w.s.inbox.take()
			for _, e := range events {
				if end, err := w.take(e); end {
					return err
				}
			}
		case <-w.ask:
			if end, err := w.askAgain(); end {
				return err
			}
		case <-first.C:
			if !w.accepted {
				return w.noAnswer("no answer to %s within %v: %s", describe(w.to, w.cmd), min(answerTime, limit), w.silence())
			}
		case <-overall.C:
			return w.noAnswer("no last word on %s within %v: it goes on", describe(w.to, w.cmd), limit)
		case <-w.lost:
			return w.noAnswer("%s has been lost for %v: what became of %s is not known", w.to.device, lostTime, describe(w.to, w.cmd))
		case <-ctx.Done():
			if w.accepted {
				w.con.notef("not waiting any longer: %s goes on", describe(w.to, w.cmd))
			} else {
				w.con.notef("not waiting any longer: %s was sent and may be executed", describe(w.to, w.cmd))
			}
			return exitInterrupted
		}
	}
}

func (w *waiter) noAnswer(format string, args ...any) error {
	w.con.notef(format, args...)
	return exitNoAnswer
}

func (w *waiter) send() {
	w.ask = nil
	w.s.Send(bus.Message{
		Topic:   w.flags.Root.Command(w.to.device, w.cmd.Op, w.to.channel),
		Payload: w.cmd.Payload(), QoS: 1,
	}, nil)
}

// askAgain sends the command once more for its latest answer. An off is not
// asked for: it is executed expired or not, by a driver that does not know its
// id a second time.
func (w *waiter) askAgain() (end bool, err error) {
	if w.cmd.Op == wire.Switch && w.cmd.Word == wire.Off && !w.cmd.Dry {
		return true, w.noAnswer("an answer to %s may have passed while the broker was away: what became of it is not known", describe(w.to, w.cmd))
	}
	w.send()
	return false, nil
}

// take takes an event, and reports whether it was the last one and how dcs
// ends then.
func (w *waiter) take(e event) (end bool, err error) {
	switch {
	case e.lost != nil:
		if !w.away {
			w.con.notef("lost the broker (%v): waiting for it", e.lost)
		}
		w.away = true
	case e.msg.Topic == "":
		// Answers may have passed while the broker was away. The same id gets its
		// latest answer again. Asked once the command has expired, a driver that
		// does not know the id cannot execute it a second time. Until then the
		// answer may come by itself.
		w.away = false
		w.ask = time.After(max(time.Until(w.cmd.Expires.Add(expirySlack)), expirySlack))
	case e.msg.Topic == w.flags.Root.State(w.to.device):
		return w.takeState(e.msg.Payload)
	default:
		return w.takeAck(e.msg.Payload)
	}
	return false, nil
}

func (w *waiter) takeAck(payload []byte) (end bool, err error) {
	var a wire.Ack
	if json.Unmarshal(payload, &a) != nil || a.ID != w.cmd.ID {
		return false, nil
	}
	if w.accepted && a.Phase == wire.Accepted {
		return false, nil // QoS 1 may deliver twice
	}
	if w.accepted && a.Phase == wire.Rejected {
		w.con.notef("%s was accepted and is not known any more: what became of it is not known", describe(w.to, w.cmd))
		return true, exitNoAnswer
	}
	if w.flags.json() {
		fmt.Fprintf(w.con.out, "%s\n", wire.Encode(json.RawMessage(payload)))
	} else {
		fmt.Fprintln(w.con.out, ackLine(w.con, w.to, w.cmd, a))
	}
	if a.Final() {
		return true, ending(a.Phase)
	}
	w.accepted, w.boot = true, a.Boot
	return w.flags.NoWait, nil
}

// ending is how dcs ends after a last word.
func ending(phase string) error {
	switch phase {
	case wire.Rejected:
		return exitRejected
	case wire.Failed, wire.Superseded:
		return exitFailed
	}
	return nil
}

// takeState watches the driver that has accepted the command: another boot
// knows nothing of it.
func (w *waiter) takeState(payload []byte) (end bool, err error) {
	var s wire.State
	if json.Unmarshal(payload, &s) != nil {
		return false, nil
	}
	before := w.state
	w.state, w.problem = s.State, s.Error
	gone := s.State == wire.Lost || s.State == wire.Stopped
	switch {
	case !w.accepted:
	case !gone && s.Boot != w.boot:
		return true, w.noAnswer("the driver of %s has started anew: what became of %s is not known", w.to.device, describe(w.to, w.cmd))
	case s.State == wire.Stopped && s.Boot == w.boot:
		return true, w.noAnswer("the driver of %s has been stopped: what becomes of %s is not known", w.to.device, describe(w.to, w.cmd))
	case s.State == wire.Lost && s.Boot == w.boot && before != wire.Lost:
		w.con.notef("%s is lost: waiting for it", w.to.device)
		w.lost = time.After(lostTime)
	case s.State == wire.Unreachable && before != wire.Unreachable:
		w.con.notef("%s does not reach its instrument (%s): waiting", w.to.device, s.Error)
	case !gone:
		w.lost = nil
	}
	return false, nil
}

// silence says what is known of a device that does not answer.
func (w *waiter) silence() string {
	switch w.state {
	case "":
		return fmt.Sprintf("nobody on this broker has ever been %s: compare the name with dcs get, and the broker", w.to.device)
	case wire.Lost:
		return fmt.Sprintf("%s is lost: its driver has died, or has no connection to the broker", w.to.device)
	case wire.Stopped:
		return fmt.Sprintf("%s is stopped: start its driver", w.to.device)
	case wire.Unreachable:
		return fmt.Sprintf("%s does not reach its instrument: %s", w.to.device, w.problem)
	}
	return fmt.Sprintf("%s is %s: does the broker's access list let us send commands, and read the answers?", w.to.device, w.state)
}
