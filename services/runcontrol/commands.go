package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"trackerdcs/pkg/ids"
	"trackerdcs/pkg/wire"
)

// command is what an ack needs of a command.
type command struct {
	op, id, user string
	value        any
	content      ids.Content
	run          int64
	unnoted      bool // the id's own ack stays the one that is repeated
}

const waitsText = "the disk does not answer, and too much waits for it: try again"

const retainedText = "the command was left on the broker from before: commands are sent without the retain flag"

// received judges a command about runs.
func (m *Machine) received(ev Received) {
	if len(ev.Payload) == 0 {
		return // what clearing a retained message looks like
	}
	c := ev.Command
	cmd := command{op: c.Op, id: c.ID, user: c.User, content: ids.ContentOfRun(c, ev.Err, ev.Payload)}
	switch {
	case c.Echo != "":
		cmd.value = c.Echo
	case c.Procedure != "":
		cmd.value = c.Procedure
	}
	if cmd.id == "" {
		cmd.id = m.makeID()
	} else if m.repeated(cmd, ev.Retained) {
		return
	}
	switch {
	case ev.Retained:
		m.refuse(cmd, wire.Retained, retainedText)
	case c.Op != wire.Start && c.Op != wire.Abort:
		m.refuse(cmd, wire.BadOp, fmt.Sprintf("%q is not a command about runs: send to /run/cmd/start or /run/cmd/abort", wire.Echo(c.Op)))
	case ev.Err != nil:
		m.refuse(cmd, wire.BadValue, ev.Err.Error())
	case len(m.held) >= maxHeld && (c.Op == wire.Start || c.Dry): // aborts have a bound of their own
		m.refuse(cmd, wire.Busy, waitsText)
	case c.Op == wire.Abort:
		m.abort(cmd, &c)
	default:
		m.start(cmd, &c)
	}
}

// repeated answers a command whose id is known.
func (m *Machine) repeated(cmd command, retained bool) bool {
	cmd.unnoted = true
	old, content, known := m.ids.Find(m.now, cmd.id)
	if !known && m.check != nil && m.check.cmd.id == cmd.id {
		content, known = m.check.cmd.content, true
	}
	switch {
	case !known:
		return false
	case retained:
		m.refuse(cmd, wire.Retained, retainedText)
	case content != cmd.content:
		m.refuse(cmd, wire.Duplicate, "this id was another command's: choose a new one")
	case old.Phase == wire.Rejected:
		m.atOnce(Answer{old})
	case old.ID == "" || m.holds(old): // its answer will be this one's too
	case len(m.held) >= maxHeld:
		m.refuse(cmd, wire.Busy, waitsText)
	default:
		m.emit(Answer{old})
	}
	return true
}

// holds reports whether an answer waits for the disk.
func (m *Machine) holds(a wire.Ack) bool {
	return slices.ContainsFunc(m.held, func(h heldOut) bool {
		o, is := h.out.(Answer)
		return is && o.Ack.ID == a.ID && o.Ack.Phase == a.Phase
	})
}

// makeID makes an id up for a command that came without, one that no sender
// has used.
func (m *Machine) makeID() string {
	for {
		m.made++
		if id := m.cfg.Boot + "-" + strconv.Itoa(m.made); !m.ids.Used(id) {
			return id
		}
	}
}

// ack makes an answer.
func (m *Machine) ack(cmd command, phase string, code wire.Code, message string) wire.Ack {
	return wire.Ack{
		Time: m.stamp(), Boot: m.cfg.Boot, ID: cmd.id, Op: cmd.op, Value: cmd.value, User: cmd.user,
		Phase: phase, Code: code, Message: message, Run: cmd.run,
	}
}

// refuse answers a command of which nothing comes, at once.
func (m *Machine) refuse(cmd command, code wire.Code, message string) {
	a := m.ack(cmd, wire.Rejected, code, message)
	if !cmd.unnoted {
		m.ids.Note(m.now, cmd.id, cmd.content, a)
	}
	m.atOnce(Answer{a})
}

// answer answers a command when the book is on disk.
func (m *Machine) answer(cmd command, phase string, code wire.Code, message string) wire.Ack {
	a := m.ack(cmd, phase, code, message)
	m.ids.Note(m.now, cmd.id, cmd.content, a)
	m.emit(Answer{a})
	return a
}

// answerAgain repeats the latest ack of a life's commands: it may not have left
// before we ended.
func (m *Machine) answerAgain(l *Life) {
	if l.Ack.ID == "" || l.Ack.Time.IsZero() {
		return
	}
	m.emit(Answer{l.Ack})
	for _, a := range slices.Concat(l.Told, l.Aborts) {
		m.ids.Note(m.now, a.Ack.ID, a.command().content, a.Ack)
		m.emit(Answer{a.Ack})
	}
}

// tell gives all who wanted the end of a run their last ack.
func (m *Machine) tell(l *Life, phase string, code wire.Code, message string) {
	for _, a := range l.Aborts {
		a.Ack = m.answer(a.command(), phase, code, message)
		l.Told = append(l.Told, a)
	}
	l.Told = l.Told[max(0, len(l.Told)-maxAborts):]
	l.Aborts = nil
}

// noteAck puts the start of a life into the book of ids.
func (m *Machine) noteAck(l *Life) {
	var content ids.Content
	copy(content[:], l.Content)
	m.ids.Note(m.now, l.Ack.ID, content, l.Ack)
}

// expired reports whether a command is past its time.
func (m *Machine) expired(t time.Time) bool { return !t.IsZero() && m.now.Round(0).After(t) }

// abort takes the wish that a run shall end. It is executed whatever it says of
// its expiry.
func (m *Machine) abort(cmd command, c *wire.RunCommand) {
	l := m.life()
	switch {
	case l == nil && m.check != nil && c.Run == 0 && c.UID == "":
		m.abortCheck(cmd, c)
		return
	case l == nil && c.Run != 0 && m.book.Life != nil && m.book.Life.Run.Run == c.Run:
		m.refuse(cmd, wire.BadValue, fmt.Sprintf("run %d has ended: it is %s", c.Run, m.book.Life.Run.State))
		return
	case l == nil:
		m.refuse(cmd, wire.BadValue, "no run is under way")
		return
	case c.Run != 0 && c.Run != l.Run.Run:
		m.refuse(cmd, wire.BadValue, fmt.Sprintf("run %d is not under way: run %d is", c.Run, l.Run.Run))
		return
	case c.UID != "" && c.UID != l.Run.UID:
		m.refuse(cmd, wire.BadValue, fmt.Sprintf("run %d with uid %s is not under way: its uid is %s", l.Run.Run, wire.Echo(c.UID), l.Run.UID))
		return
	case m.numbering != 0:
		m.refuse(cmd, wire.Busy, "a run is being given its number: try again")
		return
	case len(l.Aborts) >= maxAborts:
		m.refuse(cmd, wire.Busy, fmt.Sprintf("%d wait for the end of run %d already", maxAborts, l.Run.Run))
		return
	}
	cmd.run = l.Run.Run
	if c.Dry {
		m.answer(cmd, wire.Accepted, wire.Dry, "checked and not executed")
		return
	}
	if len(l.Aborts) == 0 {
		l.Round++
		m.live.abortTries, m.live.abortTaken = 0, false
		m.live.abortSince = m.now
	}
	m.touch()
	a := Asker{Ack: m.answer(cmd, wire.Accepted, wire.OK, ""), Reason: c.Reason, Content: slices.Clone(cmd.content[:]), Step: l.Step}
	l.Aborts = append(l.Aborts, a)
	m.log("abort of run %d: %s", l.Run.Run, a.text())
}

// abortCheck ends a start that is being checked: there is no run yet.
func (m *Machine) abortCheck(cmd command, c *wire.RunCommand) {
	if c.Dry {
		m.answer(cmd, wire.Accepted, wire.Dry, "checked and not executed")
		return
	}
	a := Asker{Ack: m.answer(cmd, wire.Accepted, wire.OK, ""), Reason: c.Reason}
	m.failCheck(wire.Busy, a.text()+", while it was checked")
	m.answer(cmd, wire.Done, wire.OK, "the start that was being checked was rejected: there was no run yet")
}

// command is what the ack of its end needs.
func (a Asker) command() command {
	c := command{op: wire.Abort, id: a.Ack.ID, user: a.Ack.User, run: a.Ack.Run}
	copy(c.content[:], a.Content)
	return c
}

// text says who wanted it and why.
func (a Asker) text() string {
	s := "aborted"
	if a.Ack.User != "" {
		s += " by " + a.Ack.User
	}
	if a.Reason != "" {
		s += ": " + a.Reason
	}
	return s
}
