package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"trackerdcs/pkg/wire"
)

// Bounds of a configuration.
const (
	maxSetpoints = 100
	maxSensors   = 100
	maxTimeout   = 24 * 3600 // s
	maxWait      = 3600      // s
	maxFirstWait = 60        // s, of configure: somebody waits for the answer

	defaultTimeout = 600 // s
	defaultWait    = 10  // s
)

var transitions = []string{transConfigure, transRun, transFinish, transEnd}

func checkTransition(name string) error {
	if !slices.Contains(transitions, name) {
		return fmt.Errorf("%q is no transition that takes a configuration: there are %s", wire.Echo(name), strings.Join(transitions, ", "))
	}
	return nil
}

// checkConfiguration reports what of a configuration cannot be, and returns it
// with numbers as they are in JSON.
func checkConfiguration(transition string, c wire.Configuration) (wire.Configuration, error) {
	most := float64(maxWait)
	if transition == transConfigure {
		most = maxFirstWait
		if len(c.Setpoints) > 0 {
			return c, errors.New("it takes sensors only: before it there is no run that could answer for a setpoint")
		}
	}
	switch {
	case len(c.Setpoints) > maxSetpoints:
		return c, fmt.Errorf("it has %d setpoints: at most %d", len(c.Setpoints), maxSetpoints)
	case len(c.Sensors) > maxSensors:
		return c, fmt.Errorf("it has %d sensors: at most %d", len(c.Sensors), maxSensors)
	case !(c.Timeout >= 0 && c.Timeout <= maxTimeout):
		return c, fmt.Errorf(`"timeout" is %g s: choose 0 to %d`, c.Timeout, maxTimeout)
	case !(c.Wait >= 0 && c.Wait <= most):
		return c, fmt.Errorf(`"wait" is %g s: choose 0 to %g`, c.Wait, most)
	}
	c.Setpoints = slices.Clone(c.Setpoints)
	c.Sensors = slices.Clone(c.Sensors)
	for i := range c.Setpoints {
		if err := checkSetpoint(&c.Setpoints[i]); err != nil {
			return c, fmt.Errorf("setpoint %d: %w", i+1, err)
		}
	}
	for i := range c.Sensors {
		if err := checkRequire(&c.Sensors[i]); err != nil {
			return c, fmt.Errorf("sensor %d: %w", i+1, err)
		}
	}
	return c, nil
}

// checkSetpoint reports what of a setpoint cannot be. Whether the supply takes
// it is the supply's to say.
func checkSetpoint(s *wire.Setpoint) error {
	if err := wire.CheckDevice(s.Device); err != nil {
		return err
	}
	if n, is := number(s.Channel); is {
		if n != math.Trunc(n) || n < 0 || n > math.MaxUint16 {
			return fmt.Errorf(`"channel" is %g: it is a number of a channel, or "all"`, n)
		}
		s.Channel = n
	} else if s.Channel != "all" {
		return fmt.Errorf(`"channel" is %v: it is a number of a channel, or "all"`, s.Channel)
	}
	all := s.Channel == "all"
	switch s.Op {
	case wire.SetV, wire.SetI, wire.Ramp:
		n, is := number(s.Value)
		if !is || math.IsNaN(n) || math.IsInf(n, 0) {
			return fmt.Errorf(`"value" of %s is not a number`, s.Op)
		}
		if all && s.Op != wire.Ramp {
			return fmt.Errorf("%s is for one channel at a time", s.Op)
		}
		s.Value = n
	case wire.Switch:
		if s.Value != wire.On && s.Value != wire.Off {
			return errors.New(`"value" of switch is neither "on" nor "off"`)
		}
		if all && s.Value == wire.On {
			return errors.New("all is for switch off: switch channels on one by one")
		}
	case wire.Clear:
		if s.Value != nil {
			return errors.New("clear takes no value")
		}
	default:
		return fmt.Errorf("%q cannot be a setpoint: setv, seti, ramp, switch and clear can", wire.Echo(s.Op))
	}
	return nil
}

func checkRequire(r *wire.Require) error {
	if err := wire.CheckDevice(r.Device); err != nil {
		return err
	}
	bad := func(x *float64) bool { return x != nil && (math.IsNaN(*x) || math.IsInf(*x, 0)) }
	switch {
	case r.Field == "" || len(r.Field) > wire.MaxID:
		return fmt.Errorf(`"field" has %d bytes: name what is measured, as in the device's status`, len(r.Field))
	case r.Channel != nil && (*r.Channel < 0 || *r.Channel > math.MaxUint16):
		return fmt.Errorf(`"channel" is %d`, *r.Channel)
	case bad(r.Min) || bad(r.Max):
		return errors.New(`"min" and "max" are finite numbers`)
	case r.Min != nil && r.Max != nil && *r.Min > *r.Max:
		return fmt.Errorf(`"min" %g is above "max" %g`, *r.Min, *r.Max)
	case !(r.MaxAge >= 0 && r.MaxAge <= maxTimeout):
		return fmt.Errorf(`"max_age" is %g s: choose 0 to %d`, r.MaxAge, maxTimeout)
	}
	return nil
}

// number is a number of JSON or of MongoDB.
func number(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case int:
		return float64(x), true
	case int32:
		return float64(x), true
	case int64:
		return float64(x), true
	}
	return 0, false
}
