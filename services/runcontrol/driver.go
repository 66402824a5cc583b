package main

import (
	"fmt"
	"strconv"
	"time"

	"trackerdcs/pkg/wire"
)

// startID is the id of the command with which a driver is asked to start: the
// same after a restart, so that it starts a run once.
func startID(l *Life) string { return "run" + l.Run.UID }

func abortID(l *Life) string { return "run" + l.Run.UID + "-abort-" + strconv.Itoa(l.Round) }

// reportOf is what its driver says of a run, or nil.
func (m *Machine) reportOf(l *Life) *wire.Report {
	d := m.devices[l.Run.Device]
	if d == nil || d.report == nil || d.report.UID != l.Run.UID || d.report.Run != l.Run.Run {
		return nil
	}
	return d.report
}

// acked takes what became of a command of ours.
func (m *Machine) acked(ev Acked) {
	if m.answered(ev.Device, ev.Ack) {
		return
	}
	l := m.life()
	if l == nil {
		return
	}
	if m.live.plan != nil {
		if fail := m.live.plan.acked(m.now, ev.Device, ev.Ack); fail != nil {
			m.planFailed(l, fail)
		}
	}
	if ev.Device != l.Run.Device {
		return
	}
	switch ev.Ack.ID {
	case startID(l):
		m.startAcked(l, ev.Ack)
	case abortID(l):
		m.abortAcked(l, ev.Ack)
	}
}

// planFailed ends the plan under way with what became of one of its commands.
func (m *Machine) planFailed(l *Life, fail *failure) {
	switch m.live.plan = nil; l.Step {
	case stepReaching:
		m.conclude(l, wire.RunFailed, fail.code, fail.text)
	case stepWrapping:
		m.finishFailed(l, fail)
	case stepEnding:
		m.endFailed(l, fail)
	}
}

// askDriver asks the driver to start the program, with the same id until it
// answers.
func (m *Machine) askDriver(l *Life) {
	if m.reportOf(l) != nil {
		m.begin(l)
		return
	}
	if m.live.taken && m.live.endAck == nil {
		if m.now.Sub(m.live.takenAt) >= reportTime {
			m.begin(l)
		}
		return
	}
	if a := m.live.endAck; a != nil && m.now.Sub(m.live.takenAt) >= goneTime {
		m.conclude(l, wire.RunFailed, a.Code, fmt.Sprintf("%s: %s %s", l.Run.Device, a.Phase, a.Message))
		return
	}
	if len(l.Aborts) > 0 {
		if m.dropOrders() && m.live.askTries == 1 {
			m.conclude(l, wire.RunAborted, wire.OK, l.Aborts[0].text()+m.left(l)) // the driver has not heard of it
			return
		}
		m.askAbort(l)
		return
	}
	if m.live.endAck != nil || !m.connected || m.asked(m.live.asked) {
		return
	}
	if m.live.askTries >= askTimes {
		m.giveUp(l)
		d := m.devices[l.Run.Device]
		text := fmt.Sprintf("%s was asked %d times to start, and did not answer", l.Run.Device, askTimes)
		if !d.ready() {
			text += ": " + notReady(l.Run.Device, d)
		}
		m.conclude(l, wire.RunFailed, wire.Timeout, text)
		return
	}
	if age, past := m.askedLongAgo(l); past { // who wanted it does not reckon with it any more
		if m.now.Sub(m.connectedAt) >= reportTime { // it would have said by now that it has taken it
			m.giveUp(l)
			m.conclude(l, wire.RunInterrupted, wire.CodeUnreachable, fmt.Sprintf("%s was asked to start %v ago, and what became of that is not known: it is not asked again%s",
				l.Run.Device, age.Round(time.Second), m.left(l)))
		}
		return
	}
	m.live.askTries++
	m.live.asked = m.now
	m.emit(OrderRun{l.Run.Device, wire.RunCommand{
		Op: wire.Start, Run: l.Run.Run, UID: l.Run.UID, Procedure: l.Run.Procedure, Parameters: l.Run.Parameters,
		ID: startID(l), User: orderUser(l.Run.Run, l.Run.User), Expires: m.now.Add(expiry),
	}})
}

// askedLongAgo reports whether a start is too old to be asked for again: run
// control or the broker were away. By the clock on the wall, as it counts over a
// restart; a clock that was set back tells nothing.
func (m *Machine) askedLongAgo(l *Life) (age time.Duration, past bool) {
	age = m.age(l)
	return age, age.Abs() > askTimes*askTime
}

// age is how long ago the step began.
func (m *Machine) age(l *Life) time.Duration { return m.now.Round(0).Sub(l.StepAt.Round(0)) }

// asked reports whether an answer to what was asked then may still come.
func (m *Machine) asked(t time.Time) bool { return !t.IsZero() && m.now.Sub(t) < askTime }

// startAcked takes the driver's answer.
func (m *Machine) startAcked(l *Life, a wire.Ack) {
	if l.Step != stepAsking {
		return
	}
	switch {
	case a.Phase == wire.Rejected:
		if len(l.Aborts) > 0 {
			m.conclude(l, wire.RunAborted, wire.OK, l.Aborts[0].text()+m.left(l))
			return
		}
		m.conclude(l, wire.RunFailed, a.Code, fmt.Sprintf("%s: %s %s: %s", l.Run.Device, a.Phase, a.Code, a.Message))
	default:
		if !m.live.taken {
			m.live.taken, m.live.takenAt = true, m.now
			l.DriverBoot = a.Boot
			m.touch()
		}
		if a.Final() {
			m.live.endAck = &a // its report says more, if there is one
		}
	}
}

// begin is the transition to running.
func (m *Machine) begin(l *Life) {
	l.Step = stepRunning
	l.Run.Results = wire.ResultsExpected
	l.Run.Start = m.stamp()
	l.Run.Phase = ""
	if r := m.reportOf(l); r != nil {
		m.takeReport(l, r)
		if l.DriverBoot == "" {
			l.DriverBoot = r.Boot
		}
	}
	m.live.takenAt = m.now
	m.enter(transRun, wire.RunRunning, "")
	m.annotate(l)
}

// takeReport copies into the record what the driver says of the run.
func (m *Machine) takeReport(l *Life, r *wire.Report) {
	if !r.Start.IsZero() && l.Run.State == wire.RunConfiguring { // said once: the archive knows a run by it
		l.Run.Start = r.Start
	}
	if len(r.Parameters) > 0 {
		l.Run.Parameters = r.Parameters
		if v, has := r.Parameters["module"]; has {
			l.Run.Module = moduleName(v)
		}
	}
	if l.Run.Progress != r.Progress || l.Run.Phase != r.Phase {
		l.Run.Progress, l.Run.Phase = r.Progress, r.Phase
		m.stale = true
	}
}

// moduleName is the parameter "module" as text: one that is a number has no
// exponent.
func moduleName(v any) string {
	if x, is := v.(float64); is {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// follow sees what becomes of the program.
func (m *Machine) follow(l *Life) {
	if r := m.reportOf(l); r != nil {
		m.takeReport(l, r)
		if wire.RunEnded(r.State) {
			m.programEnded(l, r)
			return
		}
		if l.DriverBoot == "" && r.Boot != "" {
			l.DriverBoot = r.Boot
			m.touch()
		}
	}
	if !m.connected {
		return
	}
	if m.absent(l) {
		if m.live.absentSince.IsZero() {
			m.live.absentSince = m.now
		}
		if m.now.Sub(m.live.absentSince) >= goneTime {
			m.lose(l, l.Run.Device+" is back and does not know the run: what became of its program is not known")
			return
		}
	} else {
		m.live.absentSince = time.Time{}
	}
	if len(l.Aborts) > 0 {
		m.askAbort(l)
	}
}

// absent reports whether the driver is there and speaks of our run no more.
func (m *Machine) absent(l *Life) bool {
	d := m.devices[l.Run.Device]
	if !d.ready() || d.runningRun() == l.Run.Run {
		return false
	}
	r := d.report
	switch {
	case m.reportOf(l) != nil:
		return r.Boot != d.state.Boot
	case r != nil && r.Run > l.Run.Run:
		return true
	}
	return l.DriverBoot != d.state.Boot
}

// forgot reports whether the driver was started anew and has nothing of a run
// whose results it has not delivered.
func (m *Machine) forgot(l *Life) bool {
	d := m.devices[l.Run.Device]
	switch {
	case !d.ready():
		return false
	case m.reportOf(l) != nil:
		return d.report.Boot != d.state.Boot
	case d.report != nil && d.report.Run > l.Run.Run: // it speaks of its latest only
		return false
	}
	return l.DriverBoot != d.state.Boot
}

// programEnded takes the driver's word of how the program ended.
func (m *Machine) programEnded(l *Life, r *wire.Report) {
	l.Run.End, l.Run.Exit, l.Run.Phase = r.End, r.Exit, ""
	if l.Run.End.IsZero() {
		l.Run.End = m.stamp()
	}
	l.closes()
	if r.State == wire.RunFinished {
		l.Run.Progress = wire.Known(1)
		l.Outcome, l.Code, l.Reason = wire.RunFinished, wire.OK, l.Doubt
		l.Step, l.StepAt, l.Boots = stepWrapping, m.now, nil
		m.live.plan = nil
		m.touch()
		return
	}
	reason := r.Error
	if reason == "" {
		reason = "the program was " + r.State
		if r.State == wire.RunFailed {
			reason = "the program failed"
		}
	}
	if r.State == wire.RunAborted && len(l.Aborts) > 0 {
		reason = l.Aborts[0].text()
	}
	m.conclude(l, r.State, wire.Hardware, reason)
}

// lose ends a run of which nobody knows what became.
func (m *Machine) lose(l *Life, reason string) {
	m.giveUp(l)
	l.Run.Results = wire.ResultsMissing
	m.conclude(l, wire.RunInterrupted, wire.CodeUnreachable, reason)
}
