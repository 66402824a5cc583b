package main

import (
	"errors"
	"fmt"
	"math"

	"trackerdcs/pkg/wire"
)

// Bounds of a configuration, as run control has them.
const (
	maxSetpoints = 100
	maxSensors   = 100
	maxTimeout   = 24 * 3600 // s
	maxWait      = 3600      // s
)

// checkConfiguration reports what of a configuration cannot be for any
// transition.
func checkConfiguration(c wire.Configuration) error {
	switch {
	case len(c.Setpoints) == 0 && len(c.Sensors) == 0:
		return errors.New("it has neither setpoints nor sensors: nothing would be configured")
	case len(c.Setpoints) > maxSetpoints || len(c.Sensors) > maxSensors:
		return fmt.Errorf("it has %d setpoints and %d sensors: at most %d and %d", len(c.Setpoints), len(c.Sensors), maxSetpoints, maxSensors)
	case !within(c.Timeout, maxTimeout):
		return fmt.Errorf("timeout is %g s: choose 0 to %d", c.Timeout, maxTimeout)
	case !within(c.Wait, maxWait):
		return fmt.Errorf("wait is %g s: choose 0 to %d", c.Wait, maxWait)
	}
	for i, s := range c.Setpoints {
		if err := checkSetpoint(s); err != nil {
			return fmt.Errorf("setpoint %d: %w", i+1, err)
		}
	}
	for i, s := range c.Sensors {
		if err := checkRequire(s); err != nil {
			return fmt.Errorf("sensor %d: %w", i+1, err)
		}
	}
	return nil
}

func within(x, most float64) bool { return x >= 0 && x <= most }

func checkSetpoint(s wire.Setpoint) error {
	if err := wire.CheckDevice(s.Device); err != nil {
		return err
	}
	channel, one := s.Channel.(float64) // it comes out of JSON
	switch {
	case one && (channel != math.Trunc(channel) || !within(channel, math.MaxUint16)), !one && s.Channel != "all":
		return fmt.Errorf(`channel is %v: want its number, or "all"`, s.Channel)
	}
	switch s.Op {
	case wire.SetV, wire.SetI, wire.Ramp:
		if _, is := s.Value.(float64); !is {
			return fmt.Errorf("value of %s is %v: want a number", s.Op, s.Value)
		}
		if !one && s.Op != wire.Ramp {
			return fmt.Errorf("%s is for one channel at a time", s.Op)
		}
	case wire.Switch:
		if s.Value != wire.On && s.Value != wire.Off {
			return fmt.Errorf("value of switch is %v: want on or off", s.Value)
		}
		if !one && s.Value == wire.On {
			return errors.New("all is for switch off: switch channels on one by one")
		}
	case wire.Clear:
		if s.Value != nil {
			return errors.New("clear takes no value")
		}
	default:
		return fmt.Errorf("op is %q: choose setv, seti, ramp, switch or clear", s.Op)
	}
	return nil
}

func checkRequire(r wire.Require) error {
	if err := wire.CheckDevice(r.Device); err != nil {
		return err
	}
	switch {
	case r.Field == "" || len(r.Field) > wire.MaxID:
		return errors.New("field is missing: name what is measured, as in the device's status")
	case r.Channel != nil && !within(float64(*r.Channel), math.MaxUint16):
		return fmt.Errorf("channel is %d", *r.Channel)
	case r.Min != nil && r.Max != nil && *r.Min > *r.Max:
		return fmt.Errorf("min %g is above max %g", *r.Min, *r.Max)
	case !within(r.MaxAge, maxTimeout):
		return fmt.Errorf("max_age is %g s: choose 0 to %d", r.MaxAge, maxTimeout)
	}
	return nil
}
