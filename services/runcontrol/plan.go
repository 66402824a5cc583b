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
	looked     time.Time // at it, last
	orders     []order
	lost       []*failure // what of its orders has failed, where that does not end it
	sensing    time.Time  // since when the setpoints are reached
	trouble    string
}

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
	p := &plan{transition: transition, cfg: cfg, began: now, looked: now}
	base := map[string]int{transRun: 0, transFinish: maxSetpoints, transEnd: 2 * maxSetpoints}[transition]
	for i, s := range cfg.Setpoints {
		c := wire.Command{Op: s.Op, ID: "run" + uid + "-" + strconv.Itoa(base+i+1), User: user, Channel: wire.All()}
		if n, is := number(s.Channel); is {
			c.Channel = wire.One(int(n))
		}
		c.Number, _ = number(s.Value)
		c.Word, _ = s.Value.(string)
		p.orders = append(p.orders, order{Setpoint: s, cmd: c, turn: now})
	}
	return p
}

// persists reports whether a plan goes on although a part of it has failed: what
// takes supplies down at the end of a run leaves no channel out for another's
// sake, and waits for a supply that is away.
func (p *plan) persists() bool { return p.transition == transEnd }

// step goes on with what can be done now. It reports when all is reached, or
// why that will not be.
func (p *plan) step(m *Machine) (done bool, fail *failure) {
	limit := p.cfg.Timeout
	if limit == 0 {
		limit = defaultTimeout
	}
	if m.behind() || p.persists() && !m.connected { // nothing can be sent: time does not count
		p.began = p.began.Add(m.now.Sub(p.looked))
	}
	p.looked = m.now
	late := m.now.Sub(p.began).Seconds() > limit
	if late && !p.persists() {
		return false, failed(wire.Timeout, "not reached within %g s: %s", limit, p.awaited(m))
	}
	p.trouble = ""
	if !m.connected {
		return false, nil
	}
	left := 0
	for i := range p.orders {
		o := &p.orders[i]
		if o.step >= orderDone {
			continue
		}
		left++
		if p.blocked(i) {
			o.turn = m.now
			continue
		}
		if late && m.now.Sub(o.turn) >= askTime { // one that waited for another has still its chance
			fail = failed(wire.Timeout, "%s: not done within %g s%s", o.text(), limit, o.why(m))
		} else {
			fail = p.press(m, o)
		}
		if fail = p.lose(o, fail); fail != nil {
			return false, fail
		}
	}
	switch {
	case left > 0:
		return false, nil
	case len(p.lost) > 0:
		return false, p.allLost()
	}
	if p.sensing.IsZero() {
		p.sensing = m.now
	}
	if done, fail = p.sense(m); !done && fail == nil && late {
		fail = failed(wire.Timeout, "not reached within %g s: %s", limit, p.awaited(m))
	}
	return done, fail
}

// ramps are the voltages that channels go on to although nobody waits for them,
// as the end of a sentence.
func (p *plan) ramps() string {
	if p == nil {
		return ""
	}
	text := ""
	for i := range p.orders {
		if o := &p.orders[i]; o.Op == wire.SetV && !o.first.IsZero() && o.step < orderDone {
			text += fmt.Sprintf("; %s/%s ramps on to %g V", o.Device, o.cmd.Channel.String(), o.cmd.Number)
		}
	}
	return text
}

func (p *plan) blocked(i int) bool {
	for j := range i {
		if p.orders[j].step < orderDone && p.orders[j].before(&p.orders[i]) {
			return true
		}
	}
	return false
}

// lose notes that an order has failed. It reports what ends the plan.
func (p *plan) lose(o *order, fail *failure) *failure {
	if fail == nil || !p.persists() {
		return fail
	}
	o.step = orderLost
	p.lost = append(p.lost, fail)
	return nil
}

// allLost is what of a plan was not reached.
func (p *plan) allLost() *failure {
	all := *p.lost[0]
	for _, f := range p.lost[1:] {
		all.text += "; " + f.text
	}
	return &all
}

// reached is when the setpoints were reached, or zero where there are none:
// what was read before says nothing of them.
func (p *plan) reached() time.Time {
	if len(p.orders) == 0 {
		return time.Time{}
	}
	return p.sensing
}

// sense reports whether all readings are as they have to be.
func (p *plan) sense(m *Machine) (done bool, fail *failure) {
	wait := p.cfg.Wait
	if wait == 0 {
		wait = defaultWait
	}
	for i := range p.cfg.Sensors {
		if fail := m.reading(&p.cfg.Sensors[i], p.reached()); fail != nil {
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
		if o := &p.orders[i]; o.step < orderDone {
			return "waiting for " + o.text()
		}
	}
	for i := range p.cfg.Sensors {
		if fail := m.reading(&p.cfg.Sensors[i], p.reached()); fail != nil {
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
		case p.orders[i].step >= orderDone:
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
