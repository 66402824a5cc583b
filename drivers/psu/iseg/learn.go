package iseg

import (
	"context"
	"errors"
	"math"

	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/scpi"
	"trackerdcs/pkg/wire"
)

// Where a module does not tell: the fastest ramp, %/s of the nominal voltage.
const fastest = 20

// probe asks what a module may not know; ok says whether its answer is one.
func probe[T any](ctx context.Context, s *Supply, query string, parse func(string) (T, error)) (v T, ok bool, err error) {
	answer, known, err := s.conn.Probe(ctx, query, "*IDN?", scpi.IsIdentity)
	if err != nil || !known {
		return v, false, err
	}
	v, bad := parse(answer)
	return v, bad == nil, nil
}

// learnChannels asks for ratings and polarities, and for what the module knows.
func (s *Supply) learnChannels(ctx context.Context, all []int) error {
	n := len(all)
	at := list(all)
	number := func(unit string) func(string) ([]wire.Value, error) {
		return func(answer string) ([]wire.Value, error) { return scpi.Numbers(answer, n, unit) }
	}
	register := func(answer string) ([]uint32, error) { return scpi.Registers(answer, n) }

	volts, err := scpi.Ask(ctx, s.conn, ":READ:VOLT:NOM? "+at, number("V"))
	if err != nil {
		return err
	}
	amps, ok, err := probe(ctx, s, ":READ:CURR:NOM? "+at, number("A"))
	if err != nil {
		return err
	}
	if !ok {
		amps = make([]wire.Value, n)
	}
	negative, ok, err := probe(ctx, s, ":CONF:OUTP:POL? "+at, func(a string) ([]bool, error) { return polarities(a, n) })
	if err != nil {
		return err
	}
	s.knows.polarity = ok
	if !ok {
		negative = make([]bool, n)
		for i, v := range volts {
			negative[i] = v.V < 0 // [?] a module of fixed negative polarity
		}
	}
	s.info.Channels = make([]psu.ChannelInfo, n)
	for i := range all {
		nominal := math.Abs(volts[i].V)
		if nominal == 0 {
			return errors.New("a channel without nominal voltage")
		}
		c := psu.ChannelInfo{Number: i, Max: nominal, MaxAmps: math.Abs(amps[i].V)}
		if negative[i] {
			c.Min, c.Max = -nominal, 0
		}
		s.info.Channels[i] = c
	}
	s.learnAccuracy()

	for _, q := range []struct {
		query string
		known *bool
		fits  func(string) error
	}{
		{":READ:VOLT:LIM? " + at, &s.knows.voltLimit, fits(number("V"))},
		{":READ:CURR:LIM? " + at, &s.knows.currLimit, fits(number("A"))},
		{":READ:RAMP:VOLT? " + at, &s.knows.channelSpeed, fits(number("V/s"))},
		{":READ:RAMP:VOLT?", &s.knows.moduleSpeed, fits(percent)},
		{":READ:CHAN:EV:MASK? " + at, &s.knows.eventMask, fits(register)},
		{":READ:CHAN:CONT? " + at, &s.knows.control, fits(register)},
		{":READ:MOD:STAT?", &s.knows.module, fits(scpi.Register)},
		{":READ:MOD:EV:STAT?", &s.knows.moduleEvent, fits(scpi.Register)},
	} {
		_, ok, err := probe(ctx, s, q.query, func(a string) (struct{}, error) { return struct{}{}, q.fits(a) })
		if err != nil {
			return err
		}
		*q.known = ok
	}
	return nil
}

// fits forgets what was parsed.
func fits[T any](parse func(string) (T, error)) func(string) error {
	return func(answer string) error { _, err := parse(answer); return err }
}

// percent reads a ramp speed of the module.
func percent(answer string) (wire.Value, error) { return scpi.Number(answer, "%/s") }

// learnAccuracy derives from the ratings how well values agree. Answers have
// six digits for volts and five for amps; the accuracy is that of the NHS, the
// least accurate: 0.02 % of the nominal and 0.02 % of the value, rounded up.
func (s *Supply) learnAccuracy() {
	var volts, amps float64
	for _, c := range s.info.Channels {
		volts, amps = max(volts, nominal(c)), max(amps, c.MaxAmps)
	}
	s.info.Resolution = psu.Resolution{Volts: 1e-5 * volts, Amps: 1e-4 * amps, Ramp: 1e-5 * volts}
	s.info.Tolerance = 5e-4 * volts
	s.info.Residual = 2e-3 * volts
}

// nominal is the rated voltage of a channel, V, a magnitude.
func nominal(c psu.ChannelInfo) float64 { return max(c.Max, -c.Min) }

// learnRamp finds out which way of setting a ramp speed the module has.
func (s *Supply) learnRamp(ctx context.Context, all []int) (psu.Instrument, error) {
	n, at := len(all), list(all)
	speeds := func(answer string) ([]wire.Value, error) { return scpi.Numbers(answer, n, "V/s") }
	_, each, err := probe(ctx, s, ":CONF:RAMP:VOLT:UP? "+at, speeds)
	if err != nil {
		return nil, err
	}
	common := false
	if !each {
		if _, common, err = probe(ctx, s, ":CONF:RAMP:VOLT?", percent); err != nil {
			return nil, err
		}
	}
	if !each && !common {
		return s, nil
	}
	slowest, ok, err := probe(ctx, s, ":READ:RAMP:VOLT:MIN? "+at, speeds)
	if err != nil {
		return nil, err
	}
	if !ok {
		slowest = make([]wire.Value, n)
	}
	top, ok, err := probe(ctx, s, ":READ:RAMP:VOLT:MAX? "+at, speeds)
	if err != nil {
		return nil, err
	}
	if !ok {
		top = make([]wire.Value, n)
	}
	for i := range s.info.Channels {
		c := &s.info.Channels[i]
		c.MinRamp, c.MaxRamp = slowest[i].V, top[i].V
		if c.MaxRamp <= 0 {
			c.MaxRamp = fastest / 100.0 * nominal(*c)
		}
	}
	if each {
		return channelRamp{s}, nil
	}
	return commonRamp{s}, nil
}
