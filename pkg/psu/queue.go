package psu

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"trackerdcs/pkg/ids"
	"trackerdcs/pkg/wire"
)

// task is a command on its way.
type task struct {
	cmd      wire.Command
	content  ids.Content
	unnamed  bool // its id was made up: nobody can repeat it
	channels []int
	received time.Time

	writes    []Write // not yet begun
	begun     bool
	joined    []*task // commands for the same target, which end as this one does
	supersede *task   // came while the write was under way
	unsure    []int   // channels whose write was lost on the way: read back, not repeated
	ceded     string  // what was left to another command, of several channels
	trouble   string  // what the instrument refused, of several channels
	troubled  wire.Code
	open      map[int]bool // channels whose effect has not been seen
	live      bool         // the channel was on when the write was done
	target    float64      // of a switch on: the setpoint that its sender was told
	deadline  time.Time
}

func (t *task) isUnsure(n int) bool { return slices.Contains(t.unsure, n) }

func (t *task) isOff() bool { return t.cmd.Op == wire.Switch && t.cmd.Word == wire.Off }
func (t *task) isOn() bool  { return t.cmd.Op == wire.Switch && t.cmd.Word == wire.On }
func (t *task) isAll() bool { return t.cmd.Channel.Kind == wire.AllChannels }

func (t *task) touches(n int) bool { return slices.Contains(t.channels, n) }

func (t *task) overlaps(o *task) bool { return slices.ContainsFunc(t.channels, o.touches) }

// lockable reports whether a lock forbids the command.
func (t *task) lockable() bool {
	return !t.isOff() && t.cmd.Op != wire.Clear && t.cmd.Op != wire.Unlock
}

// unsureOf adds the channels of a write of which nobody knows whether it was
// executed.
func (t *task) unsureOf(w Write) []int {
	if w.Channel.Kind == wire.OneChannel {
		return append(t.unsure, w.Channel.Number)
	}
	return t.channels
}

// cede leaves the channels of another command to that one, where t is a clear
// of all channels that is still to be written, and reports whether any is left.
func (t *task) cede(to *task) bool {
	if !t.isAll() || t.cmd.Op != wire.Clear {
		return false
	}
	var left []int
	for _, n := range t.channels {
		if !to.touches(n) {
			left = append(left, n)
		}
	}
	if len(left) == 0 {
		return false
	}
	t.channels = left
	t.writes = slices.DeleteFunc(t.writes, func(w Write) bool { return to.touches(w.Channel.Number) })
	t.ceded = "but for what was superseded by " + to.name()
	return true
}

func (t *task) name() string { return t.cmd.Op + " " + t.cmd.ID }

// accept takes a command that was judged good.
func (m *Machine) accept(now time.Time, e *Effects, t *task) {
	message := ""
	if t.isOn() {
		t.target = m.standing(m.channels[t.channels[0]]).V
		message = fmt.Sprintf("the target is %g V", t.target)
	}
	m.say(now, e, t, m.ack(now, t, wire.Accepted, wire.OK, message))
	switch t.cmd.Op {
	case wire.Lock, wire.Unlock:
		m.lock(now, e, t)
		return
	case wire.SetV:
		if m.join(now, e, t) {
			return
		}
		m.replace(now, e, t)
		return
	case wire.Switch:
		if t.isOff() {
			m.cutIn(now, e, t)
			return
		}
	}
	t.plan()
	m.queue = append(m.queue, t)
}

// plan lists the writes of a task.
func (t *task) plan() {
	w := Write{Op: t.cmd.Op, Channel: t.cmd.Channel, Value: t.cmd.Number, On: t.isOn()}
	if !t.isAll() || t.cmd.Op == wire.Ramp {
		t.writes = []Write{w}
		return
	}
	for _, n := range t.channels {
		w.Channel = wire.One(n)
		t.writes = append(t.writes, w)
	}
}

// replace queues a setv and supersedes the one that waits on its channel. Where
// a switch on waits behind that one it takes its place: the channel must not
// come up at the voltage from before both. Else it goes to the end, after a
// current limit that was sent before it.
func (m *Machine) replace(now time.Time, e *Effects, t *task) {
	t.plan()
	i := m.lastSetV(t.channels[0])
	if i < 0 {
		m.queue = append(m.queue, t)
		return
	}
	old := m.queue[i]
	energises := false
	for _, o := range m.queue[i:] {
		if o.isOn() && o.overlaps(t) {
			energises = true
			o.target = t.cmd.Number
		}
	}
	if energises {
		m.queue[i] = t
	} else {
		m.queue = append(slices.Delete(m.queue, i, i+1), t)
	}
	m.superseded(now, e, []*task{old}, t)
}

// cutIn puts a switch off before all but the offs that came earlier. What
// waits or ramps on its channels is superseded; an off of all channels is not,
// as it is still needed for the others.
func (m *Machine) cutIn(now time.Time, e *Effects, t *task) {
	stays := func(o *task) bool { return o.isOff() && o.isAll() && !t.isAll() }
	old := m.takeWaiting(func(o *task) bool { return o.overlaps(t) && !stays(o) && !o.cede(t) })
	m.superseded(now, e, old, t)
	if c := m.current; c != nil && c.overlaps(t) && !stays(c) && !c.cede(t) {
		c.supersede = t
		c.writes = nil
	}
	m.supersedeAwaited(now, e, t, func(o *task) bool { return !stays(o) && (o.cmd.Op == wire.SetV || o.cmd.Op == wire.Switch) })
	t.plan()
	at := 0
	for at < len(m.queue) && m.queue[at].isOff() {
		at++
	}
	m.queue = slices.Insert(m.queue, at, t)
}

// join lets a setv for the standing target share the end of the one under way.
func (m *Machine) join(now time.Time, e *Effects, t *task) bool {
	c := m.channels[t.channels[0]]
	same := func(o *task) bool {
		return o.cmd.Op == wire.SetV && o.overlaps(t) && o.cmd.Number == t.cmd.Number && o.supersede == nil
	}
	if i := m.lastSetV(c.ChannelInfo.Number); i >= 0 {
		if !same(m.queue[i]) {
			return false
		}
		m.queue[i].joined = append(m.queue[i].joined, t)
		return true
	}
	if m.current != nil && m.current.cmd.Op == wire.SetV && m.current.overlaps(t) {
		if !same(m.current) {
			return false
		}
		m.current.joined = append(m.current.joined, t)
		return true
	}
	if target := m.standing(c); !target.Valid || math.Abs(target.V-t.cmd.Number) > m.info.Resolution.Volts {
		return false
	}
	for _, o := range m.awaiting {
		if o.cmd.Op == wire.SetV && o.overlaps(t) && math.Abs(o.cmd.Number-t.cmd.Number) <= m.info.Resolution.Volts {
			o.joined = append(o.joined, t)
			return true
		}
	}
	// The setpoint stands already: what is left is to see the voltage there.
	t.begun = true
	m.await(now, t)
	if c.fresh && !c.written {
		m.settle(now, e, c)
	}
	return true
}

// lastSetV is the place in the queue of the setv waiting for a channel, or -1.
func (m *Machine) lastSetV(n int) int {
	for i := len(m.queue) - 1; i >= 0; i-- {
		if m.queue[i].cmd.Op == wire.SetV && m.queue[i].touches(n) {
			return i
		}
	}
	return -1
}

// standing is the target that a channel has, or will have once what waits and
// what is under way is written.
func (m *Machine) standing(c *channel) wire.Value {
	n := c.ChannelInfo.Number
	if i := m.lastSetV(n); i >= 0 {
		return wire.Known(m.queue[i].cmd.Number)
	}
	if m.current != nil && m.current.cmd.Op == wire.SetV && m.current.touches(n) {
		return wire.Known(m.current.cmd.Number)
	}
	return setpoint(c)
}

// setpoint is the target that a channel has now, whatever waits.
func setpoint(c *channel) wire.Value {
	switch {
	case c.target.Valid:
		return c.target
	case c.fresh:
		return c.VReq
	}
	return wire.Value{}
}

// waiting counts the commands that wait to be written, and those that wait
// with another for its end.
func (m *Machine) waiting() int {
	n := len(m.queue)
	for _, list := range [][]*task{m.queue, m.awaiting, {m.current}} {
		for _, t := range list {
			if t != nil {
				n += len(t.joined)
			}
		}
	}
	return n
}

// replacesWaiting reports whether a command takes the place of one that waits.
func (m *Machine) replacesWaiting(t *task) bool {
	if t.cmd.Op == wire.Lock || t.cmd.Op == wire.Unlock {
		return true // executed at once
	}
	if t.cmd.Op != wire.SetV {
		return false
	}
	i := m.lastSetV(t.channels[0])
	return i >= 0 && m.queue[i].cmd.Number != t.cmd.Number
}

// takeWaiting takes tasks out of the queue.
func (m *Machine) takeWaiting(which func(*task) bool) []*task {
	var taken, left []*task
	for _, t := range m.queue {
		if which(t) {
			taken = append(taken, t)
		} else {
			left = append(left, t)
		}
	}
	m.queue = left
	return taken
}

func (m *Machine) superseded(now time.Time, e *Effects, old []*task, by *task) {
	for _, t := range old {
		m.end(now, e, t, wire.Superseded, wire.OK, "superseded by "+by.name())
	}
}

// supersedeAwaited ends the awaited tasks on the channels of by.
func (m *Machine) supersedeAwaited(now time.Time, e *Effects, by *task, which func(*task) bool) {
	var old, left []*task
	for _, t := range m.awaiting {
		if t != by && t.overlaps(by) && which(t) {
			old = append(old, t)
		} else {
			left = append(left, t)
		}
	}
	m.awaiting = left
	m.superseded(now, e, old, by)
}

// startNext begins the next write, when none is under way. What was good when
// it came is judged again: it may have waited.
func (m *Machine) startNext(now time.Time, e *Effects) {
	for m.current == nil && m.linked && len(m.queue) > 0 {
		t := m.queue[0]
		if !t.isOff() && !m.fresh(t) {
			return // after a break: what it is judged by has to be read first
		}
		m.queue = m.queue[1:]
		if !t.isOff() && !t.begun {
			if expired(now, &t.cmd) {
				m.outlived(now, e, t)
				continue
			}
			code, message, closest := m.judgeValue(t, setpoint)
			if code == wire.OK && t.isOn() {
				code, message = m.sameTarget(t)
			}
			if code != wire.OK {
				m.endClosest(now, e, t, wire.Failed, code, message, closest)
				continue
			}
		}
		m.begin(now, e, t)
	}
}

// outlived ends a command that has expired. Those that joined it and have time
// left take its place.
func (m *Machine) outlived(now time.Time, e *Effects, t *task) {
	var live []*task
	ended := []*task{t}
	for _, o := range t.joined {
		if expired(now, &o.cmd) {
			ended = append(ended, o)
		} else {
			live = append(live, o)
		}
	}
	t.joined = nil
	for _, o := range ended {
		m.end(now, e, o, wire.Failed, wire.Expired, "it expired while it waited")
	}
	if len(live) > 0 {
		heir := live[0]
		heir.joined = live[1:]
		heir.plan()
		m.queue = slices.Insert(m.queue, 0, heir)
	}
}

func (m *Machine) fresh(t *task) bool {
	for _, n := range t.channels {
		if !m.channels[n].fresh {
			return false
		}
	}
	return true
}

// sameTarget refuses to switch on at another voltage than the sender was told:
// a setv before it may have failed, or somebody turned the knob.
func (m *Machine) sameTarget(t *task) (wire.Code, string) {
	v := setpoint(m.channels[t.channels[0]])
	if v.Valid && math.Abs(v.V-t.target) <= m.info.Resolution.Volts {
		return wire.OK, ""
	}
	return wire.Hardware, fmt.Sprintf("the target is %s V, and was to be %g V when this was accepted: not switched on", v, t.target)
}

// begin starts the next write of a task.
func (m *Machine) begin(now time.Time, e *Effects, t *task) {
	w := t.writes[0]
	t.writes = t.writes[1:]
	if !t.begun {
		t.begun = true
		if t.isOn() {
			m.takeOver(now, e, t)
		}
		m.supersedeAwaited(now, e, t, func(o *task) bool {
			switch t.cmd.Op {
			case wire.SetV: // the ramp under way, be it of a setpoint or of a switch on
				return o.cmd.Op == wire.SetV || o.isOn()
			case wire.Switch: // an off has cut in when it came
				return t.isOn() && o.cmd.Op == wire.Switch
			}
			return o.cmd.Op == t.cmd.Op
		})
	}
	for _, n := range t.channels {
		m.channels[n].written = true
	}
	m.current, m.writing = t, w
	e.Write = &w
}

// takeOver takes the channel of a switch on out of an off of all channels that
// is still awaited on others.
func (m *Machine) takeOver(now time.Time, e *Effects, on *task) {
	n := on.channels[0]
	for _, t := range slices.Clone(m.awaiting) {
		if !t.isOff() || !t.isAll() || !t.open[n] || len(t.open) == 1 {
			continue
		}
		delete(t.open, n)
		t.ceded = "but for what was superseded by " + on.name()
		t.channels = slices.DeleteFunc(slices.Clone(t.channels), func(c int) bool { return c == n })
	}
}

// written goes on after a write.
func (m *Machine) written(now time.Time, e *Effects, err error) {
	t := m.current
	m.current = nil
	if t == nil {
		return
	}
	e.Status = true
	if err == nil {
		m.stands(now, t)
	}
	switch {
	case errors.Is(err, ErrRefused):
		t.trouble, t.troubled = err.Error(), wire.Hardware
		if !t.isAll() {
			m.end(now, e, t, wire.Failed, wire.Hardware, err.Error())
			return
		}
	case err != nil:
		// What was never begun is still written where that is an off: no other
		// command is, since an off may be refused before the connection is back.
		t.unsure = t.unsureOf(m.writing)
		if !t.isOff() {
			t.unsure, t.writes = t.channels, nil
		}
		m.broken(now, e)
	}
	switch {
	case t.supersede != nil:
		m.superseded(now, e, []*task{t}, t.supersede)
	case len(t.writes) > 0 && t.isOff():
		m.queue = slices.Insert(m.queue, 0, t) // nothing comes between its writes
	case len(t.writes) > 0:
		at := 0
		for at < len(m.queue) && m.queue[at].isOff() {
			at++
		}
		m.queue = slices.Insert(m.queue, at, t)
	default:
		m.await(now, t)
	}
}

// stands notes what a write that ended well has set, until it is read back.
func (m *Machine) stands(now time.Time, t *task) {
	for _, n := range t.channels {
		c := m.channels[n]
		switch t.cmd.Op {
		case wire.SetV:
			c.target = wire.Known(t.cmd.Number)
		case wire.Ramp:
			c.paced = wire.Known(t.cmd.Number)
			m.renewDeadlines(now, c)
		}
	}
}
