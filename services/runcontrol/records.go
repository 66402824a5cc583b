package main

import (
	"fmt"
	"slices"
	"time"

	"trackerdcs/pkg/wire"
)

// burst is how many ended records are said without waiting for the sink.
const burst = 20

// record is the record of the run under way or else of the last, as it is said.
func (m *Machine) record() wire.Run {
	r := wire.Run{State: wire.RunIdle}
	if m.book.Life != nil {
		r = cloneRun(m.book.Life.Run)
	}
	r.Time, r.Boot = m.stamp(), m.cfg.Boot
	return r
}

// sayState says the record on the retained topic.
func (m *Machine) sayState() {
	r := m.record()
	payload := wire.Encode(r)
	m.said = append(m.said, payload)
	m.said = m.said[max(0, len(m.said)-maxSaid):]
	m.stale, m.saidAt = false, m.now
	m.emit(SayState{r, payload})
}

// sayRecord says the record to the sink.
func (m *Machine) sayRecord() {
	m.live.recorded = m.now
	m.emit(SayRecord{m.record()})
}

// annotate marks the run in the archive.
func (m *Machine) annotate(l *Life) {
	if l.Run.Start.IsZero() {
		return
	}
	m.emit(Annotate{wire.Annotation{
		Run: l.Run.Run, UID: l.Run.UID, Procedure: l.Run.Procedure, Module: l.Run.Module, User: l.Run.User,
		State: l.Run.State, Start: l.Run.Start, End: l.Run.End, Time: m.stamp(), Boot: m.cfg.Boot,
	}})
}

// sayAgain says in a new connection what stands.
func (m *Machine) sayAgain() {
	m.sayState()
	if l := m.book.Life; l != nil {
		m.annotate(l)
		if l.Step != stepEnded {
			m.sayRecord()
		}
	}
	m.sayAt = m.now
}

// keepRecord keeps an ended record on disk until the sink has it.
func (m *Machine) keepRecord(l *Life) {
	r := m.record()
	m.keep = append(m.keep, r)
	m.unconfirmed = append(m.unconfirmed, Ref{r.Run, r.UID, r.State})
	if n := len(m.unconfirmed) - maxKept; n > 0 {
		m.log("%d records of ended runs wait for a sink: the oldest is dropped", maxKept)
		m.dropped += n
		m.forget = append(m.forget, m.unconfirmed[:n]...)
		m.unconfirmed = slices.Clone(m.unconfirmed[n:])
	}
	m.sayAt = m.now.Add(recordEvery)
	m.touch()
}

// receipted takes what a sink says of a record.
func (m *Machine) receipted(ev Receipted) {
	r := ev.Receipt
	if s := m.sinks[ev.Sink]; !s.keeps(r.Boot) {
		return
	}
	if l := m.book.Life; l != nil && l.Run.Run == r.Run && l.Run.UID == r.UID {
		m.live.refusal = ""
		if r.Error != "" {
			m.live.refusal = "the sink " + ev.Sink + " says: " + r.Error
		} else {
			m.live.confirmed = r.State
		}
		m.takeResults(l, r.Results)
	}
	if r.Error != "" {
		return
	}
	i := slices.Index(m.unconfirmed, Ref{r.Run, r.UID, r.State})
	if i < 0 {
		return
	}
	m.forget = append(m.forget, m.unconfirmed[i])
	m.unconfirmed = slices.Delete(m.unconfirmed, i, i+1)
	m.next = max(0, m.next-1)
	m.touch()
	m.sayKept(1)
}

// keeps reports whether a sink is there, as the one that began with that boot.
// While its database is away it still keeps records, on its disk.
func (s *sink) keeps(boot string) bool {
	return s != nil && s.kept != nil && s.state.Boot == boot && (s.state.State == wire.Ready || s.state.State == wire.Unreachable)
}

// takeResults notes how far the results of a run have come.
func (m *Machine) takeResults(l *Life, results string) {
	rank := func(s string) int {
		return slices.Index([]string{wire.ResultsMissing, wire.ResultsExpected, wire.ResultsReceiving, wire.ResultsReceived, wire.ResultsStored}, s)
	}
	if l.Run.Results == wire.ResultsNone || rank(results) <= rank(l.Run.Results) || results == wire.ResultsExpected {
		return
	}
	if l.Run.Results == wire.ResultsMissing && results == wire.ResultsReceiving {
		return // they were given up, and are not there yet
	}
	l.Run.Results = results
	m.stale = true
	m.touch()
}

// sayKept says some of the ended records that the sink has not confirmed, in
// turns.
func (m *Machine) sayKept(n int) {
	for range min(n, len(m.unconfirmed)) {
		if m.next >= len(m.unconfirmed) {
			m.next = 0
		}
		m.emit(SayKept{m.unconfirmed[m.next]})
		m.next++
	}
}

// serviceState takes what a service says of itself. A sink that turns ready is
// told at once.
func (m *Machine) serviceState(ev ServiceState) {
	s := m.sink(ev.Service)
	if s == nil {
		return
	}
	before := s.state
	s.state = ev.State
	if ev.State.State == wire.Ready && (before.State != wire.Ready || before.Boot != ev.State.Boot) {
		m.sayAt = m.now
		m.live.confirmed = ""
	}
}

// look sees what is wrong at the moment.
func (m *Machine) look() {
	l := m.life()
	if l == nil || m.numbering != 0 || !m.settled {
		return
	}
	if text := add(l.Reason, m.trouble(l)); text != l.Run.Error {
		l.Run.Error = text
		m.stale = true
	}
}

// trouble is what keeps a run from going on.
func (m *Machine) trouble(l *Life) string {
	d := m.devices[l.Run.Device]
	switch l.Step {
	case stepReaching, stepWrapping, stepEnding:
		if m.live.plan != nil {
			return m.live.plan.trouble
		}
	case stepAsking, stepRunning:
		if !d.ready() {
			return notReady(l.Run.Device, d)
		}
		if !m.live.absentSince.IsZero() {
			return l.Run.Device + " is back and has not said what became of the run"
		}
	case stepDelivering:
		return m.awaits(l, d)
	}
	return ""
}

// awaits says for what a run waits whose results are on their way.
func (m *Machine) awaits(l *Life, d *device) string {
	if m.live.refusal != "" {
		return m.live.refusal
	}
	names := m.sinkNames()
	text := ""
	for _, name := range names {
		if s := m.sinks[name]; s.state.State == wire.Ready {
			text = ""
			break
		} else if text == "" {
			text = fmt.Sprintf("waiting for the sink %s, which is %s", name, stateText(s.state))
		}
	}
	switch {
	case len(names) == 0:
		text = "waiting for a sink: none has reported, start services/calibration"
	case text != "":
	case !d.ready():
		text = "waiting for the results: " + notReady(l.Run.Device, d)
	case !m.live.absentSince.IsZero():
		text = "waiting for the results: " + l.Run.Device + " is back and has not said that it has them"
	case m.now.Sub(m.live.delivering) >= goneTime:
		text = fmt.Sprintf("waiting for the results, which are %s", l.Run.Results)
	}
	return text
}

// speak says again what is due.
func (m *Machine) speak() {
	if !m.settled || !m.connected || len(m.held) > 0 {
		return // what is said while the disk is slow would only wait as well
	}
	if l := m.life(); l != nil && m.numbering == 0 && m.now.Sub(m.live.recorded) >= recordEvery &&
		(l.Step == stepDelivering || m.live.confirmed != l.Run.State) {
		m.sayRecord()
	}
	if !m.now.Before(m.sayAt) {
		m.sayAt = m.now.Add(recordEvery)
		m.sayKept(burst)
	}
	if m.stale && m.numbering == 0 && m.now.Sub(m.saidAt) >= m.gap() {
		m.sayState()
	}
}

// gap is how long the state waits to be said once more: a program's progress
// needs less haste than a stranger's word.
func (m *Machine) gap() (d time.Duration) {
	if l := m.life(); l != nil && l.Step == stepRunning && l.Run.Error == "" {
		return sayEvery
	}
	return putRight
}
