package iseg

import (
	"context"
	"fmt"
	"math"

	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/scpi"
	"trackerdcs/pkg/wire"
)

// A module answers no command and has no error queue: what it refuses it
// leaves as it was. So each write is read back.

// SetVoltage implements psu.Instrument. A sign that is not the polarity of the
// output is refused.
func (s *Supply) SetVoltage(ctx context.Context, channel int, volts float64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(channel); err != nil {
		return err
	}
	if math.IsNaN(volts) || math.IsInf(volts, 0) {
		return psu.Refused("channel %d: %v V is not a voltage", channel, volts)
	}
	negative, err := s.negative(ctx, []int{channel})
	if err != nil {
		return fmt.Errorf("iseg: polarity of channel %d: %w", channel, err)
	}
	if negative[0] && volts > 0 || !negative[0] && volts < 0 {
		return psu.Refused("channel %d: %g V against the polarity of the output", channel, volts)
	}
	volts = math.Abs(volts) // -0 too
	return s.set(ctx, channel, ":VOLT", ":READ:VOLT?", "V", volts, s.info.Resolution.Volts)
}

// SetCurrent implements psu.CurrentLimiter.
func (s *Supply) SetCurrent(ctx context.Context, channel int, amps float64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(channel); err != nil {
		return err
	}
	return s.set(ctx, channel, ":CURR", ":READ:CURR?", "A", amps, s.info.Resolution.Amps)
}

// set writes a quantity of a channel and reads it back.
func (s *Supply) set(ctx context.Context, channel int, header, query, unit string, x, resolution float64) error {
	if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
		return psu.Refused("channel %d: %v %s cannot be set", channel, x, unit)
	}
	if err := s.conn.Write(ctx, fmt.Sprintf("%s %s,%s", header, format(x), one(channel))); err != nil {
		return fmt.Errorf("iseg: channel %d: %w", channel, err)
	}
	got, err := s.numbers(ctx, query, unit, []int{channel})
	if err != nil {
		return fmt.Errorf("iseg: channel %d: %s %s may or may not be set: %w", channel, header, format(x), err)
	}
	if !agree(got[0], x, resolution) {
		return psu.Refused("channel %d: set to %s %s, it stays at %s %s", channel, format(x), unit, got[0], unit)
	}
	return nil
}

func agree(got wire.Value, want, resolution float64) bool {
	return got.Valid && math.Abs(math.Abs(got.V)-want) <= resolution+1e-4*want
}

// Switch implements psu.Instrument: with the ramp of the module, both ways.
func (s *Supply) Switch(ctx context.Context, channel int, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(channel); err != nil {
		return err
	}
	cmd := ":VOLT OFF"
	if on {
		cmd = ":VOLT ON"
	}
	if err := s.order(ctx, channel, cmd); err != nil {
		return err
	}
	if !s.knows.control {
		return nil
	}
	control, err := s.registers(ctx, ":READ:CHAN:CONT?", []int{channel})
	if err != nil {
		return fmt.Errorf("iseg: channel %d: after %s: %w", channel, cmd, err)
	}
	if control[0]&setOn != 0 == on {
		return nil
	}
	st, err := s.states(ctx, []int{channel})
	if err != nil {
		return fmt.Errorf("iseg: channel %d: after %s: %w", channel, cmd, err)
	}
	return psu.Refused("channel %d: %s has no effect (status %#x, events %#x)", channel, cmd, st[0].status, st[0].event)
}

// order executes a command on a channel and waits until it is executed.
func (s *Supply) order(ctx context.Context, channel int, cmd string) error {
	if err := s.conn.Write(ctx, cmd+","+one(channel)); err != nil {
		return fmt.Errorf("iseg: channel %d: %w", channel, err)
	}
	if _, err := scpi.Ask(ctx, s.conn, "*OPC?", scpi.Bool); err != nil {
		return fmt.Errorf("iseg: channel %d: %s may or may not be executed: %w", channel, cmd, err)
	}
	return nil
}

// ClearTrip implements psu.TripClearer: the events of the channel, its state
// of emergency off, and the event of the module's safety loop, which is one
// for all channels. A channel that is off is ordered off before, so that
// clearing cannot bring it back.
func (s *Supply) ClearTrip(ctx context.Context, channel int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(channel); err != nil {
		return err
	}
	st, err := s.states(ctx, []int{channel})
	if err != nil {
		return fmt.Errorf("iseg: channel %d: %w", channel, err)
	}
	if !st[0].trip() {
		return nil
	}
	var orders []string
	if !st[0].on() {
		orders = append(orders, ":VOLT OFF")
	}
	if (st[0].status|st[0].event)&bitEmergency != 0 {
		orders = append(orders, ":VOLT EMCY CLR")
	}
	for _, cmd := range append(orders, ":EVENT CLEAR") {
		if err := s.order(ctx, channel, cmd); err != nil {
			return err
		}
	}
	if st[0].moduleEvent&bitSafetyLoop != 0 {
		if err := s.conn.Write(ctx, fmt.Sprintf(":CONF:EVENT %d", bitSafetyLoop)); err != nil {
			return fmt.Errorf("iseg: %w", err)
		}
	}
	if st, err = s.states(ctx, []int{channel}); err != nil {
		return fmt.Errorf("iseg: channel %d: %w", channel, err)
	}
	switch {
	case st[0].trip() && st[0].interlock():
		return psu.Refused("channel %d: the trip stays while the interlock is open", channel)
	case st[0].trip():
		return psu.Refused("channel %d: the trip stays (status %#x, events %#x)", channel, st[0].status, st[0].event)
	}
	return nil
}

// channelRamp is a module with a ramp speed for each channel (NHR, SHR).
type channelRamp struct{ *Supply }

// SetRamp implements psu.Ramper, for both directions.
func (r channelRamp) SetRamp(ctx context.Context, channel int, speed float64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.check(channel); err != nil {
		return err
	}
	return r.set(ctx, channel, ":CONF:RAMP:VOLT", ":CONF:RAMP:VOLT:UP?", "V/s", speed, r.info.Resolution.Ramp)
}

// commonRamp is a module with one ramp speed for all channels (NHS and older),
// in percent of the nominal voltage.
type commonRamp struct{ *Supply }

// SetCommonRamp implements psu.CommonRamper. When the channels differ in
// their nominal voltage, speed is that of the highest one and none is faster.
func (r commonRamp) SetCommonRamp(ctx context.Context, speed float64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if math.IsNaN(speed) || math.IsInf(speed, 0) || speed <= 0 {
		return psu.Refused("a ramp of %v V/s", speed)
	}
	var highest float64
	for _, c := range r.info.Channels {
		highest = max(highest, nominal(c))
	}
	want := speed / highest * 100
	if err := r.conn.Write(ctx, ":CONF:RAMP:VOLT "+format(want)); err != nil {
		return fmt.Errorf("iseg: %w", err)
	}
	got, err := scpi.Ask(ctx, r.conn, ":CONF:RAMP:VOLT?", percent)
	if err != nil {
		return fmt.Errorf("iseg: a ramp of %g V/s may or may not be set: %w", speed, err)
	}
	if !agree(got, want, 1e-3) {
		return psu.Refused("set to a ramp of %s %%/s (%g V/s), it stays at %s %%/s", format(want), speed, got)
	}
	return nil
}
