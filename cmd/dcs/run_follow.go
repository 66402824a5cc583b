package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// Waiting for run control.
const (
	runAnswerTime = 15 * time.Second // it may fetch configurations and ask a driver first
	configureTime = time.Minute      // and wait so long for readings, before a run that needs some
	endGrace      = 3 * time.Second  // between the last ack and the record that says the same
)

var errNothingUnderWay = errors.New("no run is under way")

// follower follows a run: one that a command of ours is about, or the one under
// way.
type follower struct {
	flags *busFlags
	con   console
	s     *session
	view  *runView

	cmd    *wire.RunCommand // nil: only follow
	noWait bool

	run      int64 // that is followed; 0 while it is not known
	accepted bool
	final    *wire.Ack
	before   event // the last record before the command was accepted: topics may overtake each other
	control  *controller
	offers   offers
	away     bool             // the broker is
	lost     <-chan time.Time // runs while run control is lost
	ask      <-chan time.Time // when to ask again after a break of our own
	grace    <-chan time.Time // until the other half of the end must be there
}

// follower joins the bus to follow a run.
func (f *busFlags) follower(con console) (*follower, error) {
	r := f.Root
	s, err := f.join(r.RunAck(), r.RunState(), r.ServiceState("+"), r.Meta("+"), r.Log("+"))
	if err != nil {
		return nil, err
	}
	return &follower{flags: f, con: con, s: s, view: &runView{con: con, silent: f.json()}, offers: make(offers), control: newController(r)}, nil
}

// learn listens until a driver has described the procedure, or it must be
// supposed that none will.
func (f *follower) learn(ctx context.Context, procedure, device string) error {
	limit := time.NewTimer(f.flags.settles())
	defer limit.Stop()
	for {
		if _, ok, _ := f.offers.procedure(procedure, device); ok {
			return nil
		}
		select {
		case <-f.s.inbox.wake:
			events, _ := f.s.inbox.take()
			for _, e := range events {
				f.hear(e)
			}
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return exitInterrupted
		}
	}
}

// hear takes what is worth knowing before a command is sent, and reports
// whether that was it.
func (f *follower) hear(e event) bool {
	if f.control.hear(e.msg) {
		return true
	}
	levels, ok := f.flags.Root.Cut(e.msg.Topic)
	if !ok || len(levels) != 2 || levels[1] != wire.KindMeta {
		return false
	}
	var m wire.Meta
	if json.Unmarshal(e.msg.Payload, &m) == nil && m.Kind == wire.KindCalibration {
		f.offers[levels[0]] = m
	}
	return true
}

// follow sends the command, if there is one, and follows the run to its end.
func (f *follower) follow(ctx context.Context) error {
	defer f.view.clear()
	limit := f.flags.Timeout
	overall := time.NewTimer(limit)
	if limit <= 0 {
		overall.Stop() // the procedure has a time limit of its own
	}
	defer overall.Stop()
	patience, waited := answerTime, time.Duration(0)
	if f.cmd == nil {
		patience = f.flags.settles()
	}
	first := time.NewTimer(patience)
	defer first.Stop()
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	f.send()
	for {
		select {
		case <-f.s.inbox.wake:
			events, _ := f.s.inbox.take()
			for _, e := range events {
				if end, err := f.take(e); end {
					return err
				}
			}
			f.watchControl()
		case <-tick.C:
			if f.view.drawn {
				f.view.show(time.Now())
			}
		case <-first.C:
			waited += patience
			switch {
			case f.heardOf():
			case f.cmd != nil && f.mayAnswer() && waited < f.answerTime():
				patience = f.answerTime() - waited
				first.Reset(patience)
			default:
				return f.unanswered(waited)
			}
		case <-f.ask:
			if end, err := f.askAgain(); end {
				return err
			}
		case <-f.grace:
			return f.conclude()
		case <-f.lost:
			return f.noAnswer("run control has been lost for %v: what became of %s is not known; start run control, then dcs run watch", lostTime, f.what())
		case <-overall.C:
			return f.noAnswer("no end of %s within %v: it goes on", f.what(), limit)
		case <-ctx.Done():
			return f.interrupted()
		}
	}
}

// heardOf reports whether anything was said of what we wait for.
func (f *follower) heardOf() bool { return f.accepted || f.cmd == nil && f.run != 0 }

func (f *follower) interrupted() error {
	switch {
	case f.cmd != nil && !f.accepted:
		f.view.notef("not waiting any longer: %s was sent and may be executed", f.what())
	case f.run != 0:
		f.view.notef("run %d goes on: dcs run watch follows it, dcs run abort %d ends it", f.run, f.run)
	}
	return exitInterrupted
}

// what names what is waited for.
func (f *follower) what() string {
	switch {
	case f.run != 0 && (f.cmd == nil || f.accepted && f.cmd.Op == wire.Start):
		return fmt.Sprintf("run %d", f.run)
	case f.cmd == nil:
		return "dcs run watch"
	case f.cmd.Op == wire.Start:
		return "the start of " + f.cmd.Procedure
	case f.run != 0:
		return fmt.Sprintf("the abort of run %d", f.run)
	}
	return "the abort"
}

func (f *follower) noAnswer(format string, args ...any) error {
	f.view.notef(format, args...)
	return exitNoAnswer
}

func (f *follower) send() {
	f.ask = nil
	if f.cmd != nil {
		f.s.Send(bus.Message{Topic: f.flags.Root.RunCommand(f.cmd.Op), Payload: f.cmd.Payload(), QoS: 1}, nil)
	}
}

// askAgain sends the command once more for its latest answer: by now it has
// expired and cannot be executed a second time. An abort does not expire, and
// one without a number could end the next run.
func (f *follower) askAgain() (end bool, err error) {
	switch {
	case f.accepted:
		f.ask = nil // the retained state tells how the run goes on
	case f.cmd.Op == wire.Abort && f.cmd.Run == 0:
		return true, f.noAnswer("an answer to the abort may have passed while the broker was away: see dcs run watch whether a run is under way")
	default:
		f.send()
	}
	return false, nil
}

// take takes an event, and reports whether it was the last one and how dcs ends
// then.
func (f *follower) take(e event) (end bool, err error) {
	switch {
	case e.lost != nil:
		if !f.away {
			f.view.notef("lost the broker (%v): waiting for it", e.lost)
		}
		f.away = true
	case e.msg.Topic == "":
		f.away = false
		if f.cmd != nil && !f.accepted {
			f.ask = time.After(max(time.Until(f.cmd.Expires.Add(expirySlack)), expirySlack))
		}
	case f.hear(e):
	case e.msg.Topic == f.flags.Root.RunAck():
		return f.takeAck(e)
	case e.msg.Topic == f.flags.Root.RunState():
		return f.takeRun(e)
	default:
		var b wire.LogBatch
		if json.Unmarshal(e.msg.Payload, &b) == nil {
			f.view.ofLog(b, e.at)
		}
	}
	return false, nil
}

func (f *follower) takeAck(e event) (end bool, err error) {
	var a wire.Ack
	if f.cmd == nil || json.Unmarshal(e.msg.Payload, &a) != nil || a.ID != f.cmd.ID {
		return false, nil
	}
	if a.Phase == wire.Accepted && f.accepted {
		return false, nil // QoS 1 may deliver twice
	}
	if a.Phase == wire.Rejected && f.accepted {
		return true, f.noAnswer("%s was accepted and is not known any more: see dcs run watch and dcs run list", f.what())
	}
	if f.flags.json() {
		fmt.Fprintf(f.con.out, "%s\n", wire.Encode(json.RawMessage(e.msg.Payload)))
	}
	if a.Phase == wire.Rejected || a.Code == wire.Dry {
		f.answer(a)
		return true, ending(a.Phase)
	}
	if !f.accepted {
		f.accepted, f.run = true, a.Run
		if a.Phase == wire.Accepted {
			f.answer(a)
			if f.noWait {
				return true, nil
			}
		}
		f.view.run.Run = f.run
	}
	if a.Final() {
		f.final = &a
	}
	if early := f.before; early.msg.Topic != "" {
		f.before = event{}
		if end, err := f.takeRun(early); end {
			return end, err
		}
	}
	if f.final == nil {
		return false, nil
	}
	return f.halfway()
}

// answer prints an answer that is not the last one of an accepted command.
func (f *follower) answer(a wire.Ack) {
	if f.flags.json() {
		return
	}
	f.view.clear()
	name := f.cmd.Procedure
	if f.cmd.Op == wire.Abort {
		name = "abort"
	}
	line := name + ": " + a.Phase
	if a.Phase == wire.Rejected {
		line = name + ": " + f.con.paint(red, a.Phase)
	}
	if a.Code != wire.OK && a.Code != "" {
		line += " " + string(a.Code)
	}
	if a.Message != "" {
		line += ": " + oneLine(a.Message)
	}
	if a.Phase == wire.Accepted && a.Code != wire.Dry && a.Run != 0 {
		if f.cmd.Op == wire.Start {
			line += fmt.Sprintf(": run %d has its number", a.Run)
		} else {
			line += fmt.Sprintf(": run %d is being ended", a.Run)
		}
	}
	fmt.Fprintln(f.con.out, line)
}

// halfway ends the following when ack and record agree that the run has ended,
// and waits a moment for the other one when only one does.
func (f *follower) halfway() (end bool, err error) {
	ended := wire.RunEnded(f.view.run.State)
	if ended && (f.cmd == nil || f.final != nil) {
		return true, f.conclude()
	}
	if f.grace == nil {
		f.grace = time.After(endGrace)
	}
	return false, nil
}

func (f *follower) takeRun(e event) (end bool, err error) {
	var r wire.Run
	if json.Unmarshal(e.msg.Payload, &r) != nil {
		return false, nil
	}
	if f.cmd == nil && f.run == 0 {
		if r.State == "" || r.Run == 0 || wire.RunEnded(r.State) {
			return true, f.nothing(r, e)
		}
		f.run = r.Run
	}
	if f.cmd != nil && !f.accepted {
		if f.cmd.Op != wire.Start || r.ID != f.cmd.ID {
			f.before = e
			return false, nil
		}
		f.accepted, f.run = true, r.Run // the ack has passed while the broker was away
		if f.noWait {
			f.answer(wire.Ack{Phase: wire.Accepted, Run: r.Run})
			return true, nil
		}
	}
	switch {
	case r.Run < f.run:
		return false, nil // the one before
	case r.Run > f.run:
		return true, f.noAnswer("run %d has ended meanwhile, and run %d is %s: see dcs run show %d", f.run, r.Run, r.State, f.run)
	}
	f.printRecord(e)
	f.view.ofRun(r, e.at)
	if wire.RunEnded(r.State) {
		return f.halfway()
	}
	return false, nil
}

// nothing says that there is no run to follow.
func (f *follower) nothing(r wire.Run, e event) error {
	f.printRecord(e)
	switch {
	case f.flags.json():
	case r.Run == 0:
		f.con.notef("there has been no run yet")
	default:
		f.con.notef("no run is under way: the last one, run %d, is %s since %s", r.Run, r.State, stamp(r.Since))
	}
	return errNothingUnderWay
}

// printRecord prints a record for programs, where no acks are printed.
func (f *follower) printRecord(e event) {
	if f.cmd == nil && f.flags.json() {
		fmt.Fprintf(f.con.out, "%s\n", wire.Encode(json.RawMessage(e.msg.Payload)))
	}
}

// conclude says how it ended.
func (f *follower) conclude() error {
	state := f.view.run.State
	if wire.RunEnded(state) {
		f.view.end()
	} else if !f.flags.json() { // only the ack has come
		f.view.clear()
		fmt.Fprintf(f.con.out, "run %d: %s %s %s\n", f.run, f.final.Phase, f.final.Code, oneLine(f.final.Message))
	}
	switch {
	case f.final != nil:
		return ending(f.final.Phase)
	case f.cmd != nil && f.cmd.Op == wire.Abort, state == wire.RunFinished:
		return nil
	}
	return exitFailed
}
