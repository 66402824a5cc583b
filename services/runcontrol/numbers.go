package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/wire"
)

// highest is the highest number that anything knows, or why it is not known.
func (m *Machine) highest() (n int64, why string) {
	if !m.settled {
		return 0, "run control has just started and listens for what stands on the bus: try again in a moment"
	}
	n = m.book.Highest
	count := func(source string, said int64) {
		if said > n && m.believable(source, said) {
			n = said
		}
	}
	if m.found != nil {
		count("the state of runs on the bus", m.found.Run)
	}
	for _, r := range m.unconfirmed {
		n = max(n, r.Run)
	}
	for name, d := range m.devices {
		if d.report != nil && d.meta != nil && d.meta.Kind == wire.KindCalibration {
			count(name, d.report.Run)
		}
	}
	sure := m.book.Sure
	for name, s := range m.sinks {
		if s.kept == nil {
			continue
		}
		count(name, s.kept.Highest)
		if s.kept.Known && s.state.State == wire.Ready && s.state.Boot == s.kept.Boot {
			sure = true
		}
	}
	if !sure {
		return 0, "the highest number is not known yet: " + m.noBook() + ", and " + m.noSink()
	}
	if n+1 >= maxNumber {
		return 0, fmt.Sprintf("the highest number is %d, and there is none above it: see who says so on /run/state, /service/+/runs and /+/run, and correct it there", n)
	}
	return n, ""
}

// believable reports whether a number can be one that was given: not one far
// above what is on disk, which would use the others up.
func (m *Machine) believable(source string, n int64) bool {
	if n >= maxNumber {
		return false
	}
	if m.book.Highest == 0 || n-m.book.Highest <= maxJump {
		return true
	}
	if m.e != nil && !m.jumped {
		m.jumped = true
		m.log("%s says that there is a run %d: it is ignored, as the highest number on disk is %d", source, n, m.book.Highest)
	}
	return false
}

func (m *Machine) noBook() string {
	if m.cfg.NoBook != "" {
		return m.cfg.NoBook
	}
	return "nothing on disk"
}

// noSink says why no sink has told the highest number.
func (m *Machine) noSink() string {
	names := m.sinkNames()
	if len(names) == 0 {
		return "no sink has reported: start services/calibration"
	}
	var each []string
	for _, name := range names {
		s := m.sinks[name]
		switch {
		case s.state.State != wire.Ready:
			each = append(each, fmt.Sprintf("the sink %s is %s", name, stateText(s.state)))
		case s.state.Boot != s.kept.Boot:
			each = append(each, fmt.Sprintf("the sink %s has not reported", name))
		default:
			each = append(each, fmt.Sprintf("the sink %s has not asked its database yet", name))
		}
	}
	return strings.Join(each, ", ")
}

// sinkNames are those of the services that keep runs.
func (m *Machine) sinkNames() []string {
	var names []string
	for name, s := range m.sinks {
		if s.kept != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func stateText(s wire.State) string {
	switch {
	case s.State == "":
		return "not known"
	case s.State == wire.Unreachable && s.Error != "":
		return s.State + " (" + s.Error + ")"
	}
	return s.State
}

// stands takes what is on the state topic: at first what a former run control
// has left there, then our own echoes, and what somebody else writes, which is
// put right.
func (m *Machine) stands(payload []byte) {
	if m.settled {
		if !slices.ContainsFunc(m.said, func(p []byte) bool { return string(p) == string(payload) }) {
			m.stale = true
		}
		return
	}
	var r wire.Run
	if json.Unmarshal(payload, &r) == nil && plausible(&r) {
		m.found = &r
	}
}

// plausible reports whether a record can be one of ours.
func plausible(r *wire.Run) bool {
	switch r.State {
	case wire.RunConfiguring, wire.RunRunning, wire.RunFinishing:
	default:
		if !wire.RunEnded(r.State) {
			return false
		}
	}
	return r.Run > 0 && r.Run < maxNumber && len(r.UID) <= wire.MaxID && wire.CheckName(r.UID) == nil && wire.CheckDevice(r.Device) == nil
}

// settle begins the work, once what is retained on the bus has come.
func (m *Machine) settle() {
	if m.settled || m.settleAt.IsZero() || m.now.Before(m.settleAt) || !m.connected {
		return
	}
	m.settled = true
	if m.found != nil && m.found.Run > m.book.Highest && m.believable("the state of runs on the bus", m.found.Run) {
		m.adopt(*m.found)
	}
	if l := m.book.Life; l != nil {
		if l.Ack.ID != "" {
			m.noteAck(l)
		}
		if l.Step != stepEnded || m.now.Sub(l.Ack.Time) < againTime {
			m.answerAgain(l)
		}
		if l.Step != stepEnded {
			m.resumeLife(l)
		}
	}
	m.sayAgain()
}

// adopt takes over a run that the disk knows nothing of from what stands on
// the bus.
func (m *Machine) adopt(r wire.Run) {
	m.log("run %d is taken over from %s as it stands on the bus: the disk has nothing of it", r.Run, "/run/state")
	configs, doubt := trusted(r.Configurations)
	r.Configurations = configs
	l := &Life{Run: r, Doubt: doubt, StepAt: r.Asked, Ack: wire.Ack{
		Time: r.Asked, Boot: r.Boot, ID: r.ID, Op: wire.Start, Value: r.Procedure, User: r.User,
		Phase: wire.Accepted, Code: wire.OK, Run: r.Run,
	}}
	report := m.reportOf(l)
	switch {
	case wire.RunEnded(r.State):
		l.Step = stepEnded
		l.Ack.Phase, l.Ack.Code, l.Ack.Message = finalAck(r.State, "", r.Error)
		l.Ack.Time = time.Time{} // it has been said; this is not its text
	case r.State == wire.RunFinishing:
		l.Step = stepDelivering
		l.Outcome, l.Reason = wire.RunInterrupted, "run control has lost its disk in it, and its driver does not tell how it ended"
		if report != nil && wire.RunEnded(report.State) {
			l.Outcome, l.Reason = report.State, report.Error
		}
		if _, has := r.Configurations[transEnd]; has {
			l.Step = stepEnding
			m.log("run %d: what its end needs is brought about again: it is not known how far that had come, and supplies do not execute a known id twice", r.Run)
		}
	case r.State == wire.RunRunning || report != nil:
		l.Step = stepRunning
		if r.State == wire.RunConfiguring {
			l.Step = stepAsking
		}
	default:
		l.Step = stepReaching
		m.giveUp(l) // it may have been asked for: nobody knows
	}
	if l.Step != stepEnded {
		l.Reason = add(doubt, l.Reason)
	}
	m.book.Life, m.book.Highest = l, r.Run
	m.live = live{}
	m.touch()
}

// trusted are the configurations of a record from the bus that could be in one
// of ours. Who wrote it is not known.
func trusted(from map[string]wire.Configuration) (configs map[string]wire.Configuration, doubt string) {
	for _, t := range slices.Sorted(maps.Keys(from)) {
		err := checkTransition(t)
		var cfg wire.Configuration
		if err == nil {
			cfg, err = checkConfiguration(t, from[t])
		}
		if err != nil {
			doubt = add(doubt, fmt.Sprintf("the run was taken over from the bus without what %.20s needs, which cannot be: %v", wire.Echo(t), err))
			continue
		}
		if configs == nil {
			configs = make(map[string]wire.Configuration)
		}
		configs[t] = cfg
	}
	return configs, doubt
}

// giveUp remembers a run that its driver may still execute.
func (m *Machine) giveUp(l *Life) {
	m.book.GivenUp = append(m.book.GivenUp, GivenUp{l.Run.Run, l.Run.UID, l.Run.Device})
	m.book.GivenUp = m.book.GivenUp[max(0, len(m.book.GivenUp)-maxGivenUp):]
	m.touch()
}
