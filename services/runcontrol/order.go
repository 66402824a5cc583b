package main

import (
	"fmt"
	"time"

	"trackerdcs/pkg/wire"
)

// order is one setpoint on its way.
type order struct {
	wire.Setpoint
	cmd      wire.Command
	step     orderStep
	turn     time.Time // since when it waits for no other
	first    time.Time // when it was sent first
	sent     time.Time // when it was sent last
	since    time.Time // since when an answer is awaited
	boot     string    // of the driver that it was sent to
	awayFrom time.Time // since when the device is not there
}

type orderStep uint8

const (
	orderWaits orderStep = iota
	orderSent
	orderAccepted
	orderDone // from here on nothing is done for it
	orderLost
)

// text names an order as its sender would.
func (o *order) text() string {
	s := o.Device + "/" + o.cmd.Channel.String() + " " + o.Op
	if o.Value != nil {
		s += fmt.Sprintf(" %v", o.Value)
	}
	return s
}

// before reports whether an order must be done before another one begins:
// those of one channel, and all has a part in each.
func (o *order) before(next *order) bool {
	return o.Device == next.Device &&
		(o.cmd.Channel == next.cmd.Channel || o.cmd.Channel.Kind == wire.AllChannels || next.cmd.Channel.Kind == wire.AllChannels)
}

// away says why a supply cannot be commanded, and how long that may last. After
// a break its boot is not known: it may have been started anew.
func (m *Machine) away(name string) (why string, patience time.Duration) {
	d := m.devices[name]
	switch {
	case !d.ready():
		return notReady(name, d), flapTime
	case !d.heard:
		return name + " has not said its state since the connection was lost", silentTime
	}
	return "", 0
}

// why says what keeps an order from being done, as the end of a sentence.
func (o *order) why(m *Machine) string {
	if why, _ := m.away(o.Device); why != "" {
		return ": " + why
	}
	return ""
}

// press sends an order whose turn it is, and again until it is answered, or
// sees that its end comes. It waits until the disk has what was decided before.
func (p *plan) press(m *Machine, o *order) *failure {
	if why, patience := m.away(o.Device); why != "" {
		if o.awayFrom.IsZero() {
			o.awayFrom = m.now
		}
		o.since, p.trouble = m.now, why
		if m.now.Sub(o.awayFrom) >= patience && !p.persists() {
			return failed(wire.CodeUnreachable, "%s: %s", o.text(), why)
		}
		return nil
	}
	o.awayFrom = time.Time{}
	boot := m.devices[o.Device].state.Boot
	switch {
	case o.boot != "" && o.boot != boot:
		return failed(wire.CodeUnreachable, "%s: the driver was started anew, and what became of the command is not known", o.text())
	case o.step == orderWaits && (m.notes(o.Device, boot) || m.behind()):
		return nil
	case o.step == orderWaits:
		o.step, o.boot, o.since = orderSent, boot, m.now
		return p.send(m, o)
	case o.step != orderSent:
		return nil
	}
	patience := askTime
	if p.persists() {
		patience = resendTime
	}
	switch {
	case m.now.Sub(o.since) >= patience:
		return failed(wire.Timeout, "%s: no answer within %v", o.text(), patience)
	case m.now.Sub(o.sent) >= resendEvery:
		return p.send(m, o)
	}
	return nil
}

// send sends an order, always with one id: a driver that knows it answers it and
// does not execute it again. It forgets ids, and so an old order is not sent.
func (p *plan) send(m *Machine, o *order) *failure {
	if o.first.IsZero() {
		o.first = m.now
	}
	if m.now.Sub(o.first).Abs() >= resendTime {
		return failed(wire.CodeUnreachable, "%s: it was sent %v ago, and what became of it is not known", o.text(), m.now.Sub(o.first).Abs().Round(time.Second))
	}
	o.sent = m.now
	c := o.cmd
	c.Expires = m.now.Add(expiry)
	m.atOnce(Order{o.Device, c})
	return nil
}

// notes puts the boot of a supply that is to be commanded into the book, unless
// it is there: a run control that is started anew has to know it.
func (m *Machine) notes(device, boot string) bool {
	l := m.book.Life
	if l.Boots[device] != "" {
		return false
	}
	if l.Boots == nil {
		l.Boots = make(map[string]string)
	}
	l.Boots[device] = boot
	m.touch()
	return true
}

// resume takes into account that a run control before a restart may have sent
// the same: what switches on is not sent to another driver, nor hours later. What
// takes supplies down is.
func (p *plan) resume(l *Life) {
	for i := range p.orders {
		o := &p.orders[i]
		boot := l.Boots[o.Device]
		if boot == "" || p.persists() && (o.Op != wire.Switch || o.cmd.Word != wire.On) {
			continue
		}
		o.boot, o.first = boot, l.StepAt
	}
}

// again sends what had no last answer before the connection was lost.
func (p *plan) again() {
	for i := range p.orders {
		if o := &p.orders[i]; o.step == orderSent || o.step == orderAccepted {
			o.step = orderWaits
		}
		p.orders[i].awayFrom = time.Time{}
	}
}

// acked takes the answer to an order.
func (p *plan) acked(now time.Time, device string, a wire.Ack) *failure {
	for i := range p.orders {
		o := &p.orders[i]
		if o.cmd.ID != a.ID || o.Device != device || o.step >= orderDone {
			continue
		}
		switch a.Phase {
		case wire.Accepted:
			o.step, o.since = orderAccepted, now
		case wire.Done:
			o.step = orderDone
		default:
			return p.lose(o, failed(a.Code, "%s: %s %s: %s", o.text(), a.Phase, a.Code, a.Message))
		}
		return nil
	}
	return nil
}
