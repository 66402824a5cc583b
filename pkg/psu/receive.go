package psu

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"trackerdcs/pkg/ids"
	"trackerdcs/pkg/wire"
)

// received judges a command and rejects it, executes it at once, or queues it.
func (m *Machine) received(now time.Time, e *Effects, ev Received) {
	if len(ev.Payload) == 0 {
		return // what clearing a retained message looks like
	}
	cmd := ev.Command
	t := &task{cmd: cmd, content: content(ev), received: now}
	if cmd.ID == "" {
		t.cmd.ID, t.unnamed = m.makeID(), true
	} else if latest, said, known := m.ids.Find(now, cmd.ID); known && !ev.Retained {
		if said == t.content {
			e.Acks = append(e.Acks, latest)
			return
		}
		// Not noted: the id's own ack stays the one that is repeated.
		e.Acks = append(e.Acks, m.ack(now, t, wire.Rejected, wire.Duplicate, "this id was another command's: choose a new one"))
		return
	} else if known {
		e.Acks = append(e.Acks, m.ack(now, t, wire.Rejected, wire.Retained, retainedText))
		return
	}
	code, message, closest := m.judge(now, t, ev)
	switch {
	case code != wire.OK:
		a := m.ack(now, t, wire.Rejected, code, message)
		a.Closest = closest
		m.say(now, e, t, a)
	case t.cmd.Dry:
		m.say(now, e, t, m.ack(now, t, wire.Accepted, wire.Dry, "checked and not executed"))
	default:
		m.accept(now, e, t)
	}
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

const retainedText = "the command was left on the broker from before: commands are sent without the retain flag"

// content is what makes two commands with one id the same: all but when they
// expire.
func content(ev Received) ids.Content {
	c := ev.Command
	head := c.Op + "/" + c.Channel.String() + "\x00"
	if ev.Err != nil {
		return ids.ContentOf(append([]byte(head), ev.Payload...))
	}
	return ids.ContentOf(fmt.Append([]byte(head), c.Value(), "\x00", c.Reason, "\x00", c.User, "\x00", c.Dry))
}

// judge says whether a command may be executed, and if not, why.
func (m *Machine) judge(now time.Time, t *task, ev Received) (wire.Code, string, wire.Value) {
	none := wire.Value{}
	c := &t.cmd
	if ev.Retained {
		return wire.Retained, retainedText, none
	}
	if !isOp(c.Op) || m.known && !m.ops[c.Op] {
		if c.Value() == nil {
			c.Echo = wire.Echo(strings.TrimSpace(string(ev.Payload)))
		}
		return wire.BadOp, m.badOp(c.Op), none
	}
	if code, message := m.judgeChannel(c); code != wire.OK {
		return code, message, none
	}
	isOff := c.Op == wire.Switch && c.Word == wire.Off
	switch {
	case ev.Err != nil:
		return wire.BadValue, ev.Err.Error(), none
	case c.Channel.Kind == wire.AllChannels && c.Op == wire.Switch && !isOff:
		return wire.NoChannel, "all is for switch off: switch channels on one by one", none
	case !isOff && expired(now, c):
		return wire.Expired, "it expired at " + c.Expires.Format(time.RFC3339Nano) + ": compare the clocks", none
	case !m.linked || !m.known:
		return wire.CodeUnreachable, "the instrument does not answer", none
	}
	t.channels = m.touched(c.Channel)
	if !isOff && !m.fresh(t) { // an off is judged by nothing that has to be read
		return wire.CodeUnreachable, "the instrument has not been read since it was connected: try again in a moment", none
	}
	if code, message := m.judgeLocks(t); code != wire.OK {
		return code, message, none
	}
	if code, message, closest := m.judgeValue(t, m.standing); code != wire.OK {
		return code, message, closest
	}
	if !isOff && m.waiting() >= MaxWaiting && !m.replacesWaiting(t) {
		return wire.Busy, fmt.Sprintf("%d commands wait already", MaxWaiting), none
	}
	return wire.OK, "", none
}

func isOp(op string) bool {
	switch op {
	case wire.SetV, wire.SetI, wire.Switch, wire.Ramp, wire.Clear, wire.Lock, wire.Unlock:
		return true
	}
	return false
}

func (m *Machine) badOp(op string) string {
	var have []string
	for _, o := range []string{wire.SetV, wire.SetI, wire.Switch, wire.Ramp, wire.Clear, wire.Lock, wire.Unlock} {
		if !m.known || m.ops[o] {
			have = append(have, o)
		}
	}
	return fmt.Sprintf("%q is not a command of this instrument: it takes %s", wire.Echo(op), strings.Join(have, ", "))
}

func (m *Machine) judgeChannel(c *wire.Command) (wire.Code, string) {
	switch c.Channel.Kind {
	case wire.OneChannel:
		switch {
		case !m.known:
		case m.channels[c.Channel.Number] == nil:
			return wire.NoChannel, fmt.Sprintf("there is no channel %d: there are %v", c.Channel.Number, m.numbers)
		case c.Op == wire.Ramp && m.common:
			return wire.NoChannel, "the instrument has one ramp speed: send it to ramp/all"
		}
		return wire.OK, ""
	case wire.AllChannels:
		if c.Op == wire.SetV || c.Op == wire.SetI || c.Op == wire.Ramp && m.known && !m.common {
			return wire.NoChannel, c.Op + " is for one channel at a time"
		}
		return wire.OK, ""
	}
	return wire.NoChannel, fmt.Sprintf("the topic names no channel (%q): it ends in cmd/<op>/<number>, or all", c.Channel.Text)
}

func expired(now time.Time, c *wire.Command) bool {
	return !c.Expires.IsZero() && now.Round(0).After(c.Expires)
}

// touched are the channels that a command is about.
func (m *Machine) touched(id wire.ChannelID) []int {
	if id.Kind == wire.AllChannels {
		return m.numbers
	}
	return []int{id.Number}
}

// judgeLocks refuses what a lock forbids. A lock of all channels goes on with
// those that are not locked.
func (m *Machine) judgeLocks(t *task) (wire.Code, string) {
	if !t.lockable() || t.cmd.Op == wire.Lock && t.cmd.Channel.Kind == wire.AllChannels {
		return wire.OK, ""
	}
	for _, n := range t.channels {
		if l, ok := m.locks[n]; ok {
			return wire.Locked, m.lockText(n, l)
		}
	}
	return wire.OK, ""
}

func (m *Machine) lockText(n int, l wire.LockTag) string {
	by := ""
	if l.User != "" {
		by = " by " + l.User
	}
	return fmt.Sprintf("channel %d is locked%s: %s", n, by, l.Reason)
}

// judgeValue holds a number against its range, and a switch on against what
// must be so for it, the channel's target among that. It is asked again when
// the command's turn comes: what waits behind it does not count then.
func (m *Machine) judgeValue(t *task, target func(*channel) wire.Value) (wire.Code, string, wire.Value) {
	switch t.cmd.Op {
	case wire.SetV, wire.SetI, wire.Ramp:
		for _, n := range t.channels {
			l, unit := m.rangeOf(t.cmd.Op, m.channels[n])
			if !l.has(t.cmd.Number, 0) {
				return wire.OutOfRange, fmt.Sprintf("%g %s is out of range: %s", t.cmd.Number, unit, l.text(unit)), l.closest(t.cmd.Number)
			}
		}
	case wire.Switch:
		if t.cmd.Word == wire.On {
			c := m.channels[t.channels[0]]
			return m.judgeOn(c, target(c))
		}
	}
	return wire.OK, "", wire.Value{}
}

func (m *Machine) judgeOn(c *channel, target wire.Value) (wire.Code, string, wire.Value) {
	n := c.ChannelInfo.Number
	switch {
	case !target.Valid:
		return wire.CodeUnreachable, fmt.Sprintf("the instrument does not tell the setpoint of channel %d", n), wire.Value{}
	case c.Interlock == wire.Yes:
		return wire.Interlocked, fmt.Sprintf("the interlock of channel %d is open (its target is %g V)", n, target.V), wire.Value{}
	case c.Trip == wire.Yes:
		return wire.Tripped, fmt.Sprintf("channel %d has tripped (its target is %g V): clear the trip first", n, target.V), wire.Value{}
	}
	if l := m.limit(c); !l.has(target.V, m.info.Resolution.Volts) {
		return wire.OutOfRange, fmt.Sprintf("the target %g V of channel %d is out of range: %s", target.V, n, l.text("V")), l.closest(target.V)
	}
	return wire.OK, "", wire.Value{}
}
