package main

import (
	"fmt"
	"strconv"
	"time"

	"trackerdcs/pkg/wire"
)

// plan is a configuration that is being reached: its setpoints by commands,
// those of one channel in their order, then its sensors.
type plan struct {
	transition string
	cfg        wire.Configuration
	began      time.Time
	orders     []order
	sensing    time.Time // since when the setpoints are reached
	trouble    string
}

// order is one setpoint on its way.
type order struct {
	wire.Setpoint
	cmd      wire.Command
	step     orderStep
	since    time.Time // of the step, or of its turn
	boot     string    // of the driver that it was sent to
	awayFrom time.Time // since when the device is not ready
}

type orderStep uint8

const (
	orderWaits orderStep = iota
	orderSent
	orderAccepted
	orderDone
)

// failure is why a transition does not happen.
type failure struct {
	code wire.Code
	text string
}

func failed(code wire.Code, format string, a ...any) *failure {
	return &failure{code, fmt.Sprintf(format, a...)}
}

// newPlan makes the commands of a configuration. Their ids come from the run's
// uid, so that they are the same ones after a restart.
func newPlan(now time.Time, transition string, cfg wire.Configuration, uid, user string) *plan {
	p := &plan{transition: transition, cfg: cfg, began: now}
	base := map[string]int{transRun: 0, transFinish: maxSetpoints, transEnd: 2 * maxSetpoints}[transition]
	for i, s := range cfg.Setpoints {
		c := wire.Command{Op: s.Op, ID: "run" + uid + "-" + strconv.Itoa(base+i+1), User: user, Channel: wire.All()}
		if n, is := number(s.Channel); is {
			c.Channel = wire.One(int(n))
		}
		c.Number, _ = number(s.Value)
		c.Word, _ = s.Value.(string)
		p.orders = append(p.orders, order{Setpoint: s, cmd: c, since: now})
	}
	return p
}

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

// step goes on with what can be done now. It reports when all is reached, or
// why that will not be.
func (p *plan) step(m *Machine) (done bool, fail *failure) {
	limit := p.cfg.Timeout
	if limit == 0 {
		limit = defaultTimeout
	}
	if m.now.Sub(p.began).Seconds() > limit {
		return false, failed(wire.Timeout, "not reached within %g s: %s", limit, p.awaited(m))
	}
	p.trouble = ""
	if !m.connected {
		return false, nil
	}
	left := 0
	for i := range p.orders {
		o := &p.orders[i]
		if o.step == orderDone {
			continue
		}
		left++
		if p.blocked(i) {
			o.since = m.now
			continue
		}
		if fail := p.press(m, o); fail != nil {
			return false, fail
		}
	}
	if left > 0 {
		return false, nil
	}
	if p.sensing.IsZero() {
		p.sensing = m.now
	}
	return p.sense(m)
}

func (p *plan) blocked(i int) bool {
	for j := range i {
		if p.orders[j].step != orderDone && p.orders[j].before(&p.orders[i]) {
			return true
		}
	}
	return false
}

// press sends an order whose turn it is, or sees that its answer comes.
func (p *plan) press(m *Machine, o *order) *failure {
	d := m.devices[o.Device]
	if d.ready() {
		o.awayFrom = time.Time{}
	} else {
		if o.awayFrom.IsZero() {
			o.awayFrom = m.now
		}
		p.trouble = notReady(o.Device, d)
		if m.now.Sub(o.awayFrom) >= flapTime {
			return failed(wire.CodeUnreachable, "%s: %s", o.text(), p.trouble)
		}
		return nil
	}
	switch {
	case o.step == orderWaits:
		o.step, o.boot = orderSent, d.state.Boot
		p.send(m, o)
	case o.boot != d.state.Boot:
		return failed(wire.CodeUnreachable, "%s: the driver was started anew, and what became of the command is not known", o.text())
	case o.step == orderSent && m.now.Sub(o.since) >= askTime:
		return failed(wire.Timeout, "%s: no answer within %v", o.text(), askTime)
	}
	return nil
}

func (p *plan) send(m *Machine, o *order) {
	o.since = m.now
	c := o.cmd
	c.Expires = m.now.Add(expiry)
	m.emit(Order{o.Device, c})
}

// again sends what had no last answer before the connection was lost. A
// driver answers an id that it knows and does not execute it again.
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
		if o.cmd.ID != a.ID || o.Device != device || o.step == orderDone {
			continue
		}
		switch a.Phase {
		case wire.Accepted:
			o.step, o.since = orderAccepted, now
		case wire.Done:
			o.step = orderDone
		default:
			return failed(a.Code, "%s: %s %s: %s", o.text(), a.Phase, a.Code, a.Message)
		}
		return nil
	}
	return nil
}

// sense reports whether all readings are as they have to be.
func (p *plan) sense(m *Machine) (done bool, fail *failure) {
	wait := p.cfg.Wait
	if wait == 0 {
		wait = defaultWait
	}
	for i := range p.cfg.Sensors {
		if fail := m.reading(&p.cfg.Sensors[i]); fail != nil {
			if m.now.Sub(p.sensing).Seconds() >= wait {
				return false, fail
			}
			p.trouble = fail.text
			return false, nil
		}
	}
	return true, nil
}

// awaited says what a plan waits for.
func (p *plan) awaited(m *Machine) string {
	for i := range p.orders {
		if o := &p.orders[i]; o.step != orderDone {
			return "waiting for " + o.text()
		}
	}
	for i := range p.cfg.Sensors {
		if fail := m.reading(&p.cfg.Sensors[i]); fail != nil {
			return fail.text
		}
	}
	return "all was reached just then"
}

// phase says how far it has come.
func (p *plan) phase() string {
	n := 0
	next := ""
	for i := range p.orders {
		switch {
		case p.orders[i].step == orderDone:
			n++
		case next == "":
			next = p.orders[i].text()
		}
	}
	if n < len(p.orders) {
		return fmt.Sprintf("setpoint %d of %d: %s", n+1, len(p.orders), next)
	}
	return "checking sensors"
}
