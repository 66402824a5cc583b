package main

import (
	"fmt"

	"trackerdcs/pkg/wire"
)

// askAbort asks the driver to end the program, with the same id until it
// answers, and then waits for its report.
func (m *Machine) askAbort(l *Life) {
	m.abortFailed(l)
	if !m.connected || len(l.Aborts) == 0 || m.live.abortRefused != nil {
		return
	}
	d := m.devices[l.Run.Device]
	if d.ready() {
		m.live.abortSince = m.now
	} else if m.now.Sub(m.live.abortSince) >= silentTime {
		m.lose(l, fmt.Sprintf("%s, while %s", l.Aborts[0].text(), notReady(l.Run.Device, d)))
		return
	}
	if m.live.abortTaken || m.asked(m.live.abortAsked) {
		return
	}
	if m.live.abortTries >= askTimes {
		m.lose(l, fmt.Sprintf("%s; %s was asked %d times to end it, and did not answer", l.Aborts[0].text(), l.Run.Device, askTimes))
		return
	}
	m.live.abortTries++
	m.live.abortAsked = m.now
	m.sendAbort(l.Run.Device, l.Run.Run, l.Run.UID, abortID(l), l.Aborts[0].Reason, orderUser(l.Run.Run, l.Aborts[0].Ack.User))
}

// sendAbort does not wait for the disk: to end a program is never wrong.
func (m *Machine) sendAbort(device string, run int64, uid, id, reason, user string) {
	m.atOnce(OrderRun{device, wire.RunCommand{
		Op: wire.Abort, Run: run, UID: uid, ID: id, Reason: reason, User: user, Expires: m.now.Add(expiry),
	}})
}

// abortAcked takes the driver's answer.
func (m *Machine) abortAcked(l *Life, a wire.Ack) {
	if len(l.Aborts) == 0 || l.Step != stepAsking && l.Step != stepRunning {
		return
	}
	switch {
	case a.Phase != wire.Rejected:
		m.live.abortTaken = true
	case l.Step == stepAsking: // it does not know the run; should it hear of it yet, it is told again
		m.giveUp(l)
		m.conclude(l, wire.RunAborted, wire.OK, l.Aborts[0].text()+m.left(l))
	case m.live.abortRefused == nil:
		m.live.abortRefused, m.live.refusedAt = &a, m.now
	}
}

// abortFailed tells who asked for an abort that the driver refuses it, unless
// its report says meanwhile that the program has ended.
func (m *Machine) abortFailed(l *Life) {
	a := m.live.abortRefused
	if a == nil || m.now.Sub(m.live.refusedAt) < reportTime {
		return
	}
	m.touch()
	m.tell(l, wire.Failed, a.Code, l.Run.Device+": "+a.Message)
	m.live.abortRefused = nil
}

// endStray tells a driver to end a run that has ended for us.
func (m *Machine) endStray(device string, r *wire.Report) {
	if !m.settled || r.State != wire.RunRunning || !m.strays(device, r) {
		return
	}
	if m.strayAt.IsZero() || m.now.Sub(m.strayAt) >= askTime {
		m.strayAt = m.now
		m.asks++
		m.sendAbort(device, r.Run, r.UID, fmt.Sprintf("stray%s-%d", m.cfg.Boot, m.asks), "run control has given this run up", orderUser(r.Run, ""))
		m.log("run %d: %s still executes it although it has ended: told to end it", r.Run, device)
	}
}

func (m *Machine) strays(device string, r *wire.Report) bool {
	if l := m.book.Life; l != nil && l.Run.UID == r.UID {
		return l.Step == stepEnded || l.Step == stepEnding || l.Step == stepDelivering
	}
	for _, g := range m.book.GivenUp {
		if g.UID == r.UID && g.Run == r.Run && g.Device == device {
			return true
		}
	}
	return false
}

// endStrays asks again: a driver that says nothing new would not be heard.
func (m *Machine) endStrays() {
	if !m.connected || !m.strayAt.IsZero() && m.now.Sub(m.strayAt) < askTime {
		return
	}
	for name, d := range m.devices {
		if d.report != nil && d.ready() && d.report.Boot == d.state.Boot {
			m.endStray(name, d.report)
		}
	}
}

// resumeLife goes on with a run after a restart.
func (m *Machine) resumeLife(l *Life) {
	m.live = live{abortSince: m.now, delivering: m.now, takenAt: m.now}
	m.log("run %d: going on with it, %s", l.Run.Run, l.Run.State)
	if l.Step == stepReaching {
		m.conclude(l, wire.RunInterrupted, wire.CodeUnreachable, "run control was restarted while configuring"+m.left(l))
	}
}
