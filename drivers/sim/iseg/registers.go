package iseg

import "math"

// The channel status, section 8.2 of the manual. The event register has the same
// bits, except that 4 is the end of a ramp and 3 the change from on to off.
const (
	bitVoltageLimit  = 1 << 15
	bitCurrentLimit  = 1 << 14
	bitTrip          = 1 << 13
	bitInhibit       = 1 << 12
	bitVoltageBounds = 1 << 11
	bitCurrentBounds = 1 << 10
	bitCV            = 1 << 7
	bitCC            = 1 << 6
	bitEmergency     = 1 << 5
	bitRamp          = 1 << 4
	bitOn            = 1 << 3
	bitInputError    = 1 << 2
	// NHR and SHR have these too.
	bitRampDown = 1 << 20
	bitRampUp   = 1 << 19
	bitPositive = 1 << 0

	newBits = bitRampDown | bitRampUp | bitPositive
)

// blocking are the events that keep a channel from being energised [?: which ones].
const blocking = bitVoltageLimit | bitCurrentLimit | bitTrip | bitInhibit

// direct are the status bits whose being set sets the event of the same place.
const direct = bitVoltageLimit | bitCurrentLimit | bitTrip | bitInhibit | bitVoltageBounds | bitCurrentBounds |
	bitCV | bitCC | bitEmergency | bitInputError | bitRampDown | bitRampUp

// sumError are the conditions behind the module's "no sum error".
const sumError = bitVoltageLimit | bitCurrentLimit | bitTrip | bitInhibit | bitVoltageBounds | bitCurrentBounds

// The module status; in the event register, 14, 13 and 10 mean "not good".
const (
	modKill       = 1 << 15
	modTempGood   = 1 << 14
	modSupplyGood = 1 << 13
	modGood       = 1 << 12
	modEvent      = 1 << 11
	modSafetyLoop = 1 << 10
	modNoRamp     = 1 << 9
	modNoSumError = 1 << 8
	modInputError = 1 << 6 // [?: the place]
	modHighVolt   = 1 << 3 // [?: the place]
	modAdjust     = 1 << 0
)

// highVoltage is the measured voltage above which "high voltage on" is set, in V.
const highVoltage = 60

// status returns the status register of a channel.
func (in *Instrument) status(c *channel) (bits uint32) {
	s := c.State()
	set := func(on bool, bit uint32) {
		if on {
			bits |= bit
		}
	}
	steady := s.On && !s.Ramping
	set(s.Tripped, bitTrip)
	set(c.inhibit && c.inhibitAction != actDisabled, bitInhibit)
	set(steady && c.boundV > 0 && math.Abs(s.Voltage-s.Setpoint) > c.boundV, bitVoltageBounds)
	set(steady && c.boundI > 0 && math.Abs(s.Current-s.Limit) > c.boundI, bitCurrentBounds)
	set(s.On && !s.Limited, bitCV)
	set(s.On && s.Limited, bitCC)
	set(c.emergency, bitEmergency)
	set(s.Ramping, bitRamp)
	set(s.On, bitOn)
	set(c.inputErr, bitInputError)
	up := s.Ramping && s.On && s.Voltage < s.Setpoint
	set(up, bitRampUp)
	set(s.Ramping && !up, bitRampDown)
	set(!in.opts.Negative, bitPositive)
	if in.opts.Registers16 {
		bits &^= newBits
	}
	return bits
}

// latch lets the events follow what the channels do.
func (in *Instrument) latch() {
	for _, c := range in.chans {
		s := c.State()
		c.events |= in.status(c) & direct
		if c.wasOn && !s.On {
			c.events |= bitOn
		}
		if c.wasRamp && !s.Ramping && !s.Tripped && !c.emergency {
			c.events |= bitRamp
		}
		c.wasOn, c.wasRamp = s.On, s.Ramping
	}
	if in.loopOpen {
		in.events |= modSafetyLoop
	}
}

// channelEvents returns which channels have an event under their mask, one bit each.
func (in *Instrument) channelEvents() (bits uint32) {
	for n, c := range in.chans {
		if c.events&c.mask != 0 {
			bits |= 1 << n
		}
	}
	return bits
}

// moduleStatus returns the module's status register.
func (in *Instrument) moduleStatus() uint32 {
	bits := uint32(modTempGood | modSupplyGood | modSafetyLoop | modNoRamp | modNoSumError)
	for _, c := range in.chans {
		st := in.status(c)
		if st&bitRamp != 0 {
			bits &^= modNoRamp
		}
		if st&sumError != 0 {
			bits &^= modNoSumError
		}
		if s := c.State(); s.On || s.Voltage > highVoltage {
			bits |= modHighVolt
		}
	}
	if in.loopOpen {
		bits &^= modSafetyLoop
	}
	if bits&modNoSumError != 0 && in.events&modSafetyLoop == 0 {
		bits |= modGood
	}
	if in.channelEvents()&in.chanMask != 0 || in.events&in.mask != 0 {
		bits |= modEvent
	}
	if in.kill {
		bits |= modKill
	}
	if in.inputErr {
		bits |= modInputError
	}
	if in.adjust {
		bits |= modAdjust
	}
	return bits
}
