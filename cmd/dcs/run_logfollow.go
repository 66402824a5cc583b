package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"trackerdcs/pkg/wire"
)

// follow prints the lines of the run under way until it has ended. It reports
// true when the run that was asked for has ended already: then its log is kept.
func (c *runLogCmd) follow(ctx context.Context, con console) (ended bool, err error) {
	s, err := c.join(c.Root.RunState(), c.Root.Log("+"), c.Root.ServiceState("+"), c.Root.State("+"))
	if err != nil {
		return false, err
	}
	defer s.leave()
	if err := s.arrive(ctx); err != nil {
		con.notef("%v", err)
		return false, noAnswerOr(ctx)
	}
	return c.newLogFollower(con).follow(ctx, s)
}

func (l *logFollower) follow(ctx context.Context, s *session) (ended bool, err error) {
	limit := time.NewTimer(l.cmd.settles())
	defer limit.Stop()
	for {
		select {
		case <-s.inbox.wake:
			events, dropped := s.inbox.take()
			if dropped > 0 {
				l.con.notef("%d messages left out: they came faster than they were read", dropped)
			}
			for _, e := range events {
				if end, kept, err := l.take(e); end || l.p.err != nil {
					if err == nil {
						err = l.p.err
					}
					return kept, err
				}
			}
			l.watch()
		case <-limit.C:
			if l.run == 0 {
				l.con.notef("no run control has said anything on %s: is it on this broker? A run that has ended is printed without --follow", l.cmd.Root.RunState())
				return false, exitNoAnswer
			}
		case <-l.lost:
			l.con.notef("%s, for %v now: how run %d goes on is not known; see dcs run watch", l.away(), lostTime, l.run)
			return false, exitNoAnswer
		case <-ctx.Done():
			return false, exitInterrupted
		}
	}
}

// logFollower prints what a run prints.
type logFollower struct {
	cmd     *runLogCmd
	con     console
	p       logPrinter
	run     int64
	next    int64  // number of the line that comes next; 0 before the first
	device  string // that executes the run
	control *controller
	drivers map[string]wire.State
	said    string           // who is away
	lost    <-chan time.Time // runs while somebody is
}

func (c *runLogCmd) newLogFollower(con console) *logFollower {
	return &logFollower{
		cmd: c, con: con, p: logPrinter{con: con, json: c.json()}, control: newController(c.Root), drivers: make(map[string]wire.State),
	}
}

// away says who of those without whom no lines come is away.
func (l *logFollower) away() string {
	switch d := l.drivers[l.device]; {
	case l.run == 0:
		return ""
	case gone(l.control.state):
		return "run control is " + l.control.state.State
	case gone(d):
		return l.device + " is " + d.State
	}
	return ""
}

// watch tells who is away: what is retained of a run says that it is running for as
// long as nobody says otherwise.
func (l *logFollower) watch() {
	away := l.away()
	switch {
	case away == "":
		l.lost = nil
	case l.lost == nil:
		l.lost = time.After(lostTime)
	}
	if away != "" && away != l.said {
		l.con.notef("%s: waiting for it", away)
	}
	l.said = away
}

// take takes an event. At the end kept says that the log is to be read from
// where it is kept.
func (l *logFollower) take(e event) (end, kept bool, err error) {
	switch {
	case e.lost != nil:
		l.con.notef("lost the broker (%v): waiting for it", e.lost)
	case e.msg.Topic == "":
	case l.control.hear(e.msg):
	case e.msg.Topic == l.cmd.Root.RunState():
		return l.takeRun(e.msg.Payload)
	default:
		if levels, ok := l.cmd.Root.Cut(e.msg.Topic); ok && len(levels) == 2 && levels[1] == wire.KindState {
			var s wire.State
			if json.Unmarshal(e.msg.Payload, &s) == nil {
				l.drivers[levels[0]] = s
			}
			break
		}
		var b wire.LogBatch
		if json.Unmarshal(e.msg.Payload, &b) == nil && b.Run == l.run && l.run != 0 {
			l.lines(b)
		}
	}
	return false, false, nil
}

func (l *logFollower) takeRun(payload []byte) (end, kept bool, err error) {
	var r wire.Run
	if json.Unmarshal(payload, &r) != nil {
		return false, false, nil
	}
	over := r.Run == 0 || wire.RunEnded(r.State)
	wanted := l.cmd.Number
	switch {
	case l.run != 0 && r.Run == l.run && over, l.run != 0 && r.Run > l.run:
		l.con.notef("run %d is %s: dcs run log %d prints all of its lines", l.run, r.State, l.run)
		return true, false, nil
	case l.run != 0:
	case wanted != 0 && r.Run >= wanted && (over || r.Run > wanted):
		return true, true, nil
	case wanted != 0 && r.Run < wanted:
		return true, false, fmt.Errorf("there is no run %d yet: the last one is run %d", wanted, r.Run)
	case over:
		l.con.notef("no run is under way: dcs run log %d prints the last one's", max(r.Run, 1))
		return true, false, nil
	default:
		l.run, l.device = r.Run, r.Device
	}
	return false, false, nil
}

// lines prints lines, and says which are missing. Before the first that we see
// there may have been more.
func (l *logFollower) lines(b wire.LogBatch) {
	switch {
	case l.next == 0 && b.First > 1:
		l.con.notef("run %d has printed %d lines before", l.run, b.First-1)
	case l.next != 0 && b.First > l.next:
		l.con.notef("%d lines are missing here: dcs run log %d has them when the run has ended", b.First-l.next, l.run)
	}
	for i, line := range b.Lines {
		if b.First+int64(i) >= l.next {
			l.p.line(line)
		}
	}
	l.next = max(l.next, b.First+int64(len(b.Lines)))
}
