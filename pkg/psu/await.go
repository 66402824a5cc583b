package psu

import (
	"fmt"
	"math"
	"slices"
	"time"

	"trackerdcs/pkg/wire"
)

// grace is how long an effect may take on top of one and a half times its ramp.
const grace = 10 * time.Second

// await waits until a written task has had its effect on all of its channels.
func (m *Machine) await(now time.Time, t *task) {
	t.open = make(map[int]bool)
	for _, n := range t.channels {
		t.open[n] = true
		t.live = t.live || m.channels[n].On == wire.Yes
	}
	t.deadline = now.Add(m.timeFor(t))
	m.awaiting = append(m.awaiting, t)
}

// timeFor is how long a task may take: 1.5 · Δ/ramp + 10 s.
func (m *Machine) timeFor(t *task) time.Duration {
	longest := 0.0
	for _, n := range t.channels {
		c := m.channels[n]
		var goal float64
		switch {
		case t.cmd.Op == wire.SetV && c.On != wire.No:
			goal = t.cmd.Number
		case t.isOn():
			goal = setpoint(c).V
		case t.isOff():
		default:
			continue // what reads back at once
		}
		if c.paced.Valid && c.paced.V > 0 && c.VMon.Valid {
			longest = max(longest, math.Abs(goal-c.VMon.V)/c.paced.V)
		}
	}
	return time.Duration(1.5*min(longest, 1e6)*float64(time.Second)) + grace
}

// renewDeadlines gives what is awaited on a channel the time that its new ramp
// speed needs: the old deadline was reckoned with the old one.
func (m *Machine) renewDeadlines(now time.Time, c *channel) {
	for _, t := range m.awaiting {
		if t.open[c.ChannelInfo.Number] {
			t.deadline = now.Add(m.timeFor(t))
		}
	}
}

// settle looks whether a reading of c ends what is awaited on it.
func (m *Machine) settle(now time.Time, e *Effects, c *channel) {
	n := c.ChannelInfo.Number
	for _, t := range slices.Clone(m.awaiting) {
		if !t.open[n] {
			continue
		}
		reached, code, why := m.effect(t, c)
		switch {
		case reached:
			delete(t.open, n)
		case code != wire.OK:
			delete(t.open, n)
			t.trouble, t.troubled = why, code
		}
		if len(t.open) > 0 {
			continue
		}
		m.awaiting = slices.DeleteFunc(m.awaiting, func(o *task) bool { return o == t })
		if t.trouble != "" {
			m.end(now, e, t, wire.Failed, t.troubled, t.trouble)
		} else {
			m.end(now, e, t, wire.Done, wire.OK, t.ceded)
		}
	}
}

// effect says whether the task has had its effect on c, or cannot have it any
// more and why.
func (m *Machine) effect(t *task, c *channel) (reached bool, code wire.Code, why string) {
	n := c.ChannelInfo.Number
	switch t.cmd.Op {
	case wire.SetV:
		back := near(c.VReq, t.cmd.Number, m.info.Resolution.Volts)
		if t.isUnsure(n) && !back {
			return m.notReadBack(t, c.VReq, "V")
		}
		code = wire.OK
		if t.live || c.On == wire.Yes { // a ramp that a trip ended is not done, though the channel is off now
			code, why = stopped(c)
		}
		if back && c.On != wire.Yes && code == wire.OK || back && c.On == wire.Yes && near(c.VMon, t.cmd.Number, m.info.Tolerance) {
			return true, wire.OK, ""
		}
		return false, code, why
	case wire.SetI:
		if near(c.IReq, t.cmd.Number, m.info.Resolution.Amps) {
			return true, wire.OK, ""
		}
		return m.notReadBack(t, c.IReq, "A")
	case wire.Ramp:
		if near(c.Reading.Ramp, t.cmd.Number, m.info.Resolution.Ramp) {
			return true, wire.OK, ""
		}
		return m.notReadBack(t, c.Reading.Ramp, "V/s")
	case wire.Clear:
		return c.Trip != wire.Yes, wire.OK, ""
	}
	if t.isOff() {
		if c.On == wire.No && near(c.VMon, 0, m.residual()) {
			return true, wire.OK, ""
		}
		if t.isUnsure(n) && c.On == wire.Yes {
			return false, wire.CodeUnreachable, fmt.Sprintf("the connection was lost and channel %d is on: send it again", n)
		}
		return false, wire.OK, ""
	}
	if c.On == wire.Yes && c.VReq.Valid && near(c.VMon, c.VReq.V, m.info.Tolerance) {
		return true, wire.OK, ""
	}
	code, why = stopped(c)
	if code == wire.OK && t.isUnsure(n) && c.On == wire.No {
		return false, wire.CodeUnreachable, fmt.Sprintf("the connection was lost and channel %d is off: it was not executed", n)
	}
	return false, code, why
}

func (m *Machine) residual() float64 {
	if m.info.Residual > 0 {
		return m.info.Residual
	}
	return m.info.Tolerance
}

func near(v wire.Value, x, slack float64) bool {
	return v.Valid && math.Abs(v.V-x) <= slack*(1+1e-9)+1e-12
}

// notReadBack waits for a readback that may be late, but not for one that was
// lost with the connection.
func (m *Machine) notReadBack(t *task, got wire.Value, unit string) (bool, wire.Code, string) {
	if len(t.unsure) > 0 {
		return false, wire.CodeUnreachable, fmt.Sprintf("the connection was lost and %s %s reads back: it was not executed", got, unit)
	}
	return false, wire.OK, ""
}

// stopped says why a channel will not reach its voltage.
func stopped(c *channel) (wire.Code, string) {
	n := c.ChannelInfo.Number
	switch {
	case c.Trip == wire.Yes:
		return wire.Tripped, fmt.Sprintf("channel %d has tripped", n)
	case c.Interlock == wire.Yes:
		return wire.Interlocked, fmt.Sprintf("the interlock of channel %d is open", n)
	}
	return wire.OK, ""
}

// timeouts ends what has taken too long. The setpoint stays, nothing is undone.
func (m *Machine) timeouts(now time.Time, e *Effects) {
	for _, t := range slices.Clone(m.awaiting) {
		if now.Before(t.deadline) {
			continue
		}
		m.awaiting = slices.DeleteFunc(m.awaiting, func(o *task) bool { return o == t })
		if !m.linked {
			m.end(now, e, t, wire.Failed, wire.CodeUnreachable, "the instrument does not answer: the outcome is unknown")
			continue
		}
		if t.trouble != "" {
			m.end(now, e, t, wire.Failed, t.troubled, t.trouble)
			continue
		}
		m.end(now, e, t, wire.Failed, wire.Timeout, m.whyLate(t))
	}
}

func (m *Machine) whyLate(t *task) string {
	for _, n := range m.numbers {
		if !t.open[n] {
			continue
		}
		c := m.channels[n]
		switch {
		case t.cmd.Op == wire.Clear:
			return fmt.Sprintf("the trip of channel %d is still latched", n)
		case t.cmd.Op == wire.SetV && !near(c.VReq, t.cmd.Number, m.info.Resolution.Volts):
			return fmt.Sprintf("channel %d reads back a setpoint of %s V", n, c.VReq)
		case t.cmd.Op == wire.SetI:
			return fmt.Sprintf("channel %d reads back a current limit of %s A", n, c.IReq)
		case t.cmd.Op == wire.Ramp:
			return fmt.Sprintf("channel %d reads back a ramp of %s V/s", n, c.Reading.Ramp)
		case c.Limited == wire.Yes:
			return fmt.Sprintf("channel %d is at %s V, held by its current limit", n, c.VMon)
		default:
			return fmt.Sprintf("channel %d is %s at %s V", n, c.On, c.VMon)
		}
	}
	return "not seen in time"
}

// lock tags channels out or lets them go. It counts at once; the answer waits
// until it is on disk.
func (m *Machine) lock(now time.Time, e *Effects, t *task) {
	for _, n := range t.channels {
		l, locked := m.locks[n]
		switch {
		case t.cmd.Op == wire.Unlock:
			delete(m.locks, n)
		case locked:
			t.trouble, t.troubled = m.lockText(n, l), wire.Locked
		default:
			m.locks[n] = wire.LockTag{User: t.cmd.User, Reason: t.cmd.Reason, Time: now.UTC().Round(0)}
		}
	}
	if t.cmd.Op == wire.Lock {
		for _, o := range m.takeWaiting(func(o *task) bool { return o.lockable() && o.overlaps(t) }) {
			m.end(now, e, o, wire.Failed, wire.Locked, "locked by "+t.name()+" while it waited")
		}
	}
	m.saving = append(m.saving, t)
	e.Status = true
}

// startSaving has the locks kept, one state of them at a time: a flood of locks
// must not hold up what an off waits for.
func (m *Machine) startSaving(e *Effects) {
	if len(m.kept) == 0 && len(m.saving) > 0 {
		m.kept, m.saving = m.saving, nil
		e.Save = true
	}
}

// saved answers the locks that are on disk now. One that could not be kept
// stands until the program ends, and its sender is told.
func (m *Machine) saved(now time.Time, e *Effects, err error) {
	for _, t := range m.kept {
		switch {
		case err != nil:
			m.end(now, e, t, wire.Failed, wire.Hardware, "it counts now and will not outlive a restart: "+err.Error())
		case t.trouble != "":
			m.end(now, e, t, wire.Failed, t.troubled, t.trouble)
		default:
			m.end(now, e, t, wire.Done, wire.OK, "")
		}
	}
	m.kept = nil
}

// end says the last word on a task and on those that joined it.
func (m *Machine) end(now time.Time, e *Effects, t *task, phase string, code wire.Code, message string) {
	m.endClosest(now, e, t, phase, code, message, wire.Value{})
}

func (m *Machine) endClosest(now time.Time, e *Effects, t *task, phase string, code wire.Code, message string, closest wire.Value) {
	for _, o := range append([]*task{t}, t.joined...) {
		a := m.ack(now, o, phase, code, message)
		a.Closest = closest
		a.Readback = m.readback(o)
		m.say(now, e, o, a)
	}
	t.joined = nil
}

// readback is vmon, for seti ireq and for ramp the speed, of one channel.
func (m *Machine) readback(t *task) wire.Value {
	if t.isAll() || len(t.channels) != 1 {
		return wire.Value{}
	}
	c := m.channels[t.channels[0]]
	switch {
	case c == nil || !c.fresh:
		return wire.Value{}
	case t.cmd.Op == wire.SetI:
		return c.IReq
	case t.cmd.Op == wire.Ramp:
		return c.Reading.Ramp
	}
	return c.VMon
}

func (m *Machine) ack(now time.Time, t *task, phase string, code wire.Code, message string) wire.Ack {
	return wire.Ack{
		Time: m.ackTimes.Next(now), Boot: m.cfg.Boot,
		ID: t.cmd.ID, Op: wire.Echo(t.cmd.Op), Channel: t.cmd.Channel, Value: t.cmd.Value(), User: t.cmd.User,
		Phase: phase, Code: code, Message: message,
	}
}

// say sends an ack and remembers it as the latest of its id.
func (m *Machine) say(now time.Time, e *Effects, t *task, a wire.Ack) {
	if !t.unnamed {
		m.ids.Note(now, t.cmd.ID, t.content, a)
	}
	e.Acks = append(e.Acks, a)
}
