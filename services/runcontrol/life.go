package main

import (
	"strings"
	"time"

	"trackerdcs/pkg/wire"
)

// live is what is known of the run under way and is not kept on disk: after a
// restart it is found out again.
type live struct {
	plan *plan

	asked    time.Time // when the driver was asked to start, last
	askTries int
	taken    bool      // it said that it did
	takenAt  time.Time // and when
	endAck   *wire.Ack // its last ack, when that says that the program has ended

	abortSince time.Time // of the wish
	abortAsked time.Time // when the driver was asked, last
	abortTries int
	abortTaken bool

	abortRefused *wire.Ack // by the driver
	refusedAt    time.Time

	absentSince time.Time // since when the driver does not know the run

	delivering time.Time // since when
	refusal    string    // what the sink says against the record or the results

	recorded  time.Time // when the record was said last
	confirmed string    // the state in which the sink has it
}

// resume counts time anew after a break in which nothing could be heard.
func (l *live) resume() {
	if l.plan != nil {
		l.plan.again()
	}
	if !l.taken {
		l.asked = time.Time{}
		l.askTries = max(0, l.askTries-1)
	}
	if !l.abortTaken {
		l.abortAsked = time.Time{}
		l.abortTries = max(0, l.abortTries-1)
	}
	l.absentSince, l.recorded = time.Time{}, time.Time{}
}

// enter is a transition.
func (m *Machine) enter(name, to, reason string) {
	l := m.book.Life
	t := m.stamp()
	l.Run.Transitions = append(l.Run.Transitions, wire.Transition{Name: name, From: l.Run.State, To: to, Time: t, Reason: reason})
	l.Run.State, l.Run.Since, l.Run.Error = to, t, l.Reason
	m.touch()
	m.sayState()
	m.sayRecord()
}

// advance does what can be done now, step by step.
func (m *Machine) advance() {
	if m.check != nil {
		m.advanceCheck()
	}
	for range 10 { // a life has fewer steps
		l := m.life()
		if l == nil || !m.settled || m.numbering != 0 {
			return
		}
		step := l.Step
		switch step {
		case stepReaching:
			m.reach(l)
		case stepAsking:
			m.askDriver(l)
		case stepRunning:
			m.follow(l)
		case stepWrapping:
			m.wrap(l)
		case stepEnding:
			m.endUp(l)
		case stepDelivering:
			m.deliver(l)
		}
		if l.Step == step {
			return
		}
	}
}

// planned goes on with the configuration of a transition.
func (m *Machine) planned(l *Life, transition string) (done bool, fail *failure) {
	cfg, needed := l.Run.Configurations[transition]
	if !needed {
		return true, nil
	}
	if m.live.plan == nil {
		m.live.plan = newPlan(m.now, transition, cfg, l.Run.UID, orderUser(l.Run.Run, l.Run.User))
		m.live.plan.resume(l)
	}
	done, fail = m.live.plan.step(m)
	phase := ""
	if !done && fail == nil {
		phase = m.live.plan.phase()
	}
	if l.Run.State == wire.RunConfiguring && phase != l.Run.Phase {
		l.Run.Phase = phase
		m.stale = true
	}
	if done || fail != nil {
		m.live.plan = nil
	}
	return done, fail
}

// reach brings about what the run needs.
func (m *Machine) reach(l *Life) {
	if len(l.Aborts) > 0 {
		m.conclude(l, wire.RunAborted, wire.OK, l.Aborts[0].text()+m.left(l))
		return
	}
	done, fail := m.planned(l, transRun)
	switch {
	case fail != nil:
		m.conclude(l, wire.RunFailed, fail.code, fail.text)
	case done:
		l.Step, l.StepAt = stepAsking, m.now
		m.touch()
	}
}

// left says that setpoints stay as they are, where nothing takes them back, and
// which ramps go on.
func (m *Machine) left(l *Life) string {
	_, back := l.Run.Configurations[transEnd]
	if len(l.Run.Configurations[transRun].Setpoints) > 0 && !back {
		return "; the setpoints stay as they are" + m.live.plan.ramps()
	}
	return ""
}

// wrap brings about what is needed after the program, before the run is
// finishing.
func (m *Machine) wrap(l *Life) {
	if a := l.gaveUp(stepWrapping); a != nil {
		m.conclude(l, wire.RunAborted, wire.OK, "the program ended well, and what finish needs was given up: "+a.text())
		return
	}
	done, fail := m.planned(l, transFinish)
	switch {
	case fail != nil:
		m.finishFailed(l, fail)
	case done:
		m.finishing(l)
	}
}

func (m *Machine) finishFailed(l *Life, fail *failure) {
	m.conclude(l, wire.RunFailed, fail.code, "the program ended well, and what finish needs was not reached: "+fail.text)
}

// conclude says how a run ends, as far as program and driver are concerned.
func (m *Machine) conclude(l *Life, outcome string, code wire.Code, reason string) {
	l.Outcome, l.Code, l.Reason = outcome, code, add(l.Doubt, reason)
	m.dropOrders()
	if outcome != wire.RunFinished {
		m.log("run %d: %s: %s", l.Run.Run, outcome, reason)
	}
	m.finishing(l)
}

// finishing goes on to what a run needs at its end, and its results.
func (m *Machine) finishing(l *Life) {
	m.live.plan = nil
	l.Run.Phase = ""
	_, wind := l.Run.Configurations[transEnd]
	switch {
	case wind:
		l.Step, l.StepAt, l.Boots = stepEnding, m.now, nil
	case l.Run.Results != wire.ResultsNone && l.Run.Results != wire.ResultsMissing:
		l.Step = stepDelivering
	case l.Run.State == wire.RunConfiguring:
		m.finalize(l)
		return
	default:
		l.Step = stepDelivering // which has nothing to wait for
	}
	m.live.delivering = m.now
	m.enter(transFinish, wire.RunFinishing, l.Reason)
}

// endUp brings about what the end needs, whoever wants to wait no more: it takes
// supplies down. A run that failed takes note when that fails too; one that
// ended well has failed then.
func (m *Machine) endUp(l *Life) {
	done, fail := m.planned(l, transEnd)
	switch {
	case fail != nil:
		m.endFailed(l, fail)
	case done:
		m.toDelivery(l)
	}
}

func (m *Machine) endFailed(l *Life, fail *failure) {
	text := "what end needs was not reached: " + fail.text
	if l.Outcome == wire.RunFinished {
		l.Outcome, l.Code = wire.RunFailed, fail.code
	}
	l.Reason = add(l.Reason, text)
	m.log("run %d: %s", l.Run.Run, text)
	m.dropOrders()
	m.toDelivery(l)
}

func (m *Machine) toDelivery(l *Life) {
	l.Step = stepDelivering
	m.live.plan = nil
	m.live.delivering = m.now
	m.stale = true
	m.touch()
}

// gaveUp is the abort that came in a step: somebody wants to wait no more. One
// that came before has ended the program, or came too late to.
func (l *Life) gaveUp(step string) *Asker {
	for i := range l.Aborts {
		if l.Aborts[i].Step == step {
			return &l.Aborts[i]
		}
	}
	return nil
}

func add(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return a + "; " + b
}

// deliver waits until the sink has the results.
func (m *Machine) deliver(l *Life) {
	switch l.Run.Results {
	case wire.ResultsNone, wire.ResultsMissing, wire.ResultsReceived, wire.ResultsStored:
		m.finalize(l)
		return
	}
	if a := l.gaveUp(stepDelivering); a != nil {
		l.Run.Results = wire.ResultsMissing
		l.Reason = add(l.Reason, "the results were not waited for: "+a.text())
		m.finalize(l)
		return
	}
	switch {
	case !m.connected:
	case !m.forgot(l):
		m.live.absentSince = time.Time{}
	case m.live.absentSince.IsZero():
		m.live.absentSince = m.now
	case m.now.Sub(m.live.absentSince) >= goneTime:
		l.Run.Results = wire.ResultsMissing
		l.Reason = add(l.Reason, l.Run.Device+" is back and does not know the run: its results are lost")
		m.finalize(l)
	}
}

// finalize ends a run.
func (m *Machine) finalize(l *Life) {
	name := map[string]string{
		wire.RunFinished: transEnd, wire.RunFailed: "fail", wire.RunAborted: "abort", wire.RunInterrupted: "interrupt",
	}[l.Outcome]
	if !l.Run.Start.IsZero() && l.Run.End.IsZero() {
		l.Run.End = m.stamp() // when it ended is not known: not later than now
	}
	l.closes()
	l.Step = stepEnded
	l.Run.Phase = ""
	m.live.confirmed = ""
	m.enter(name, l.Outcome, l.Reason)
	m.keepRecord(l)
	m.annotate(l)
	m.answerAll(l)
	m.log("run %d: %s %s, results %s", l.Run.Run, l.Outcome, l.Reason, l.Run.Results)
}

// closes sees that a run does not end before its start, as clocks may say.
func (l *Life) closes() {
	if !l.Run.End.IsZero() && l.Run.End.Before(l.Run.Start) {
		l.Run.End = l.Run.Start
	}
}

// answerAll gives the last acks of a run.
func (m *Machine) answerAll(l *Life) {
	if l.Ack.ID != "" {
		a := l.Ack
		a.Time, a.Boot = m.stamp(), m.cfg.Boot
		a.Phase, a.Code, a.Message = finalAck(l.Outcome, l.Code, l.Reason)
		l.Ack = a
		m.noteAck(l)
		m.emit(Answer{a})
	}
	m.tell(l, wire.Done, wire.OK, "the run is "+l.Outcome)
}

// finalAck is what the sender of a start is told at the end.
func finalAck(outcome string, code wire.Code, reason string) (phase string, c wire.Code, message string) {
	switch outcome {
	case wire.RunFinished:
		return wire.Done, wire.OK, reason
	case wire.RunAborted:
		return wire.Superseded, wire.OK, reason
	case wire.RunInterrupted:
		code = wire.CodeUnreachable
	}
	if code == "" || code == wire.OK {
		code = wire.Hardware
	}
	return wire.Failed, code, strings.TrimSpace(reason)
}
