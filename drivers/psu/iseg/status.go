package iseg

import "trackerdcs/pkg/wire"

// Bits of a channel's status, and of its events, which latch. Registers have
// 16 bits on older modules and 32 on newer; these stand in both.
const (
	bitOn        = 1 << 3
	bitRamping   = 1 << 4
	bitEmergency = 1 << 5 // off without ramp, until :VOLT EMCY CLR
	bitCC        = 1 << 6 // the current is controlled; certain when no ramp runs
	bitArc       = 1 << 9
	bitCurrBound = 1 << 10
	bitVoltBound = 1 << 11
	bitInhibit   = 1 << 12 // the external inhibit
	bitTrip      = 1 << 13
	bitCurrLimit = 1 << 14
	bitVoltLimit = 1 << 15

	// Events that keep a channel off when they stand in the event mask too.
	blocking = bitEmergency | bitArc | bitCurrBound | bitVoltBound | bitInhibit | bitTrip | bitCurrLimit | bitVoltLimit
	// Events that took a channel's voltage away, whatever the mask says.
	taken = bitEmergency | bitArc | bitInhibit | bitTrip
)

// Bit of a channel's control register.
const setOn = 1 << 3

// Bit of the module's status (closed) and of its events (has been open).
const bitSafetyLoop = 1 << 10

// state is the registers of one channel and of its module.
type state struct {
	status, event, mask uint32
	module              uint32
	moduleEvent         uint32
	moduleKnown         bool
}

func (s state) on() bool { return s.status&bitOn != 0 }

func (s state) ramping() bool { return s.status&bitRamping != 0 }

// limited: the limit of the hardware, or the controlled current, holds the
// voltage of a channel that is on.
func (s state) limited() bool { return s.on() && s.status&(bitCurrLimit|bitCC) != 0 }

// trip: something is latched that an operator has to clear before the channel
// is switched on again.
func (s state) trip() bool {
	return s.status&(bitTrip|bitArc|bitEmergency) != 0 || s.event&taken != 0 || s.event&s.mask&blocking != 0 ||
		s.moduleEvent&bitSafetyLoop != 0
}

// interlock: the external inhibit of the channel, or the safety loop of the
// module, is open now.
func (s state) interlock() bool {
	return s.status&bitInhibit != 0 || s.moduleKnown && s.module&bitSafetyLoop == 0
}

func (s state) flags() (on, ramping, limited, trip, interlock wire.Flag) {
	return wire.FlagOf(s.on()), wire.FlagOf(s.ramping()), wire.FlagOf(s.limited()), wire.FlagOf(s.trip()), wire.FlagOf(s.interlock())
}
