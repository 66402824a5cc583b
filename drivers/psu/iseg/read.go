package iseg

import (
	"context"
	"fmt"
	"slices"

	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/scpi"
	"trackerdcs/pkg/wire"
)

// Read implements psu.Instrument: one query for each quantity, for all
// channels at once.
func (s *Supply) Read(ctx context.Context, channels []int) ([]psu.Reading, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range channels {
		if err := s.check(n); err != nil {
			return nil, err
		}
	}
	if len(channels) == 0 {
		return nil, nil
	}
	// An ascending list without repetition is read the same way by all firmware.
	asked := slices.Compact(slices.Sorted(slices.Values(channels)))
	readings, err := s.read(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("iseg: read channels %s: %w", list(asked), err)
	}
	out := make([]psu.Reading, len(channels))
	for i, n := range channels {
		at, _ := slices.BinarySearch(asked, n)
		out[i] = readings[at]
	}
	return out, nil
}

func (s *Supply) read(ctx context.Context, channels []int) ([]psu.Reading, error) {
	states, err := s.states(ctx, channels)
	if err != nil {
		return nil, err
	}
	negative, err := s.negative(ctx, channels)
	if err != nil {
		return nil, err
	}
	none := make([]wire.Value, len(channels)) // of what the module does not know
	vreq, ireq, vmon, imon, ramp, vlim, ilim := none, none, none, none, none, none, none
	for _, q := range []struct {
		ask          bool
		header, unit string
		values       *[]wire.Value
	}{
		{true, ":READ:VOLT?", "V", &vreq},
		{true, ":READ:CURR?", "A", &ireq},
		{true, ":MEAS:VOLT?", "V", &vmon},
		{true, ":MEAS:CURR?", "A", &imon},
		{s.knows.channelSpeed, ":READ:RAMP:VOLT?", "V/s", &ramp},
		{s.knows.voltLimit, ":READ:VOLT:LIM?", "V", &vlim},
		{s.knows.currLimit, ":READ:CURR:LIM?", "A", &ilim},
	} {
		if !q.ask {
			continue
		}
		if *q.values, err = s.numbers(ctx, q.header, q.unit, channels); err != nil {
			return nil, err
		}
	}
	if !s.knows.channelSpeed && s.knows.moduleSpeed {
		if ramp, err = s.moduleSpeed(ctx, channels); err != nil {
			return nil, err
		}
	}
	s.hold("V", channels, vlim)
	s.hold("A", channels, ilim)
	out := make([]psu.Reading, len(channels))
	for i, n := range channels {
		r := psu.Reading{Number: n, VReq: signed(vreq[i], negative[i]), IReq: ireq[i],
			VMon: signed(vmon[i], negative[i]), IMon: imon[i], Ramp: ramp[i], MaxAmps: ilim[i]}
		r.On, r.Ramping, r.Limited, r.Trip, r.Interlock = states[i].flags()
		if lim := vlim[i]; lim.Valid {
			r.Min, r.Max = wire.Known(0), lim
			if negative[i] {
				r.Min, r.Max = signed(lim, true), wire.Known(0)
			}
		}
		out[i] = r
	}
	return out, nil
}

// hold makes a limit 0 that was a number and is none now (NaN, an overflow):
// nothing but 0 is accepted then, where no limit would mean the nominal value.
func (s *Supply) hold(unit string, channels []int, limits []wire.Value) {
	for i, n := range channels {
		at := limitOf{n, unit}
		switch {
		case limits[i].Valid:
			if s.limits == nil {
				s.limits = make(map[limitOf]bool)
			}
			s.limits[at] = true
		case s.limits[at]:
			limits[i] = wire.Known(0)
		}
	}
}

// states reads the registers of channels and of the module.
func (s *Supply) states(ctx context.Context, channels []int) ([]state, error) {
	status, err := s.registers(ctx, ":READ:CHAN:STAT?", channels)
	if err != nil {
		return nil, err
	}
	event, err := s.registers(ctx, ":READ:CHAN:EV:STAT?", channels)
	if err != nil {
		return nil, err
	}
	mask := make([]uint32, len(channels))
	if s.knows.eventMask {
		if mask, err = s.registers(ctx, ":READ:CHAN:EV:MASK?", channels); err != nil {
			return nil, err
		}
	}
	var module, moduleEvent uint32
	if s.knows.module {
		if module, err = scpi.Ask(ctx, s.conn, ":READ:MOD:STAT?", scpi.Register); err != nil {
			return nil, err
		}
	}
	if s.knows.moduleEvent {
		if moduleEvent, err = scpi.Ask(ctx, s.conn, ":READ:MOD:EV:STAT?", scpi.Register); err != nil {
			return nil, err
		}
	}
	out := make([]state, len(channels))
	for i := range channels {
		out[i] = state{status: status[i], event: event[i], mask: mask[i],
			module: module, moduleEvent: moduleEvent, moduleKnown: s.knows.module}
	}
	return out, nil
}

// negative asks for the polarities, which can be changed at the module.
func (s *Supply) negative(ctx context.Context, channels []int) ([]bool, error) {
	if s.knows.polarity {
		return scpi.Ask(ctx, s.conn, ":CONF:OUTP:POL? "+list(channels), func(answer string) ([]bool, error) {
			return polarities(answer, len(channels))
		})
	}
	out := make([]bool, len(channels))
	for i, n := range channels {
		out[i] = s.info.Channels[n].Min < 0
	}
	return out, nil
}

// moduleSpeed gives the ramp speed of the module for each channel, V/s.
func (s *Supply) moduleSpeed(ctx context.Context, channels []int) ([]wire.Value, error) {
	p, err := scpi.Ask(ctx, s.conn, ":READ:RAMP:VOLT?", percent)
	if err != nil {
		return nil, err
	}
	out := make([]wire.Value, len(channels))
	for i, n := range channels {
		if p.Valid {
			out[i] = wire.Known(p.V / 100 * nominal(s.info.Channels[n]))
		}
	}
	return out, nil
}
