// Package physics models what hangs on a simulated instrument: the output of
// a power supply with its load, and the climate of a room.
//
// The models are pure: no goroutine, no clock. The owner calls Advance with
// the time that has passed, as often or as seldom as it likes; one step of an
// hour and 3600 steps of a second end in the same state. Voltages and
// currents are magnitudes; polarity is the instrument's business.
package physics

import (
	"math"
	"math/rand/v2"
	"time"
)

// rounding is the error in volts that summing up steps may make.
const rounding = 1e-9

// settled is how near to its target, in volts, an exponential settling counts as done.
const settled = 1e-5

// TripAction is what an overcurrent does once it has lasted for the trip delay.
type TripAction int

// The trip actions. Hold is constant current: the limit holds the voltage down.
const (
	Hold    TripAction = iota
	Flag               // report the trip, go on in constant current
	RampOff            // switch off with the ramp
	CutOff             // switch off at once
)

// Config describes an output and its load.
type Config struct {
	RampUp   float64       // V/s; 0: no ramp, the output settles with Settle
	RampDown float64       // V/s; 0: as RampUp
	Settle   time.Duration // time constant without ramp, and of a cut-off; default 5 ms
	Load     float64       // resistive load in ohm; 0 or infinite: none
	Leakage  float64       // leakage in A/sqrt(V), as of a depleted silicon sensor
	NoiseV   float64       // standard deviation of a measured voltage in V
	NoiseI   float64       // standard deviation of a measured current in A
	Seed     uint64        // of the noise
}

// State is a channel at one moment, without noise: V, A.
type State struct {
	Setpoint float64 // V
	Limit    float64 // current limit in A
	Voltage  float64 // V at the output
	Current  float64 // A through the load
	On       bool
	Ramping  bool // on its way to the setpoint, or to zero
	Limited  bool // the current limit holds the voltage down
	Tripped  bool // latched until ClearTrips
	OverV    bool // latched overvoltage trip
}

// Channel is one output. It is not safe for concurrent use.
type Channel struct {
	cfg      Config
	rng      *rand.Rand
	setpoint float64
	limit    float64
	ovp      float64 // V; +Inf: none
	drive    float64 // V that the regulator asks for; the limit may hold the output below
	on       bool
	cut      bool // falling without a ramp
	tripped  bool
	overV    bool
	action   TripAction
	delay    time.Duration
	over     time.Duration // how long the limit has been exceeded
}

// NewChannel returns an output that is off, with setpoint zero and no current limit.
func NewChannel(cfg Config) *Channel {
	if cfg.Settle <= 0 {
		cfg.Settle = 5 * time.Millisecond
	}
	if math.IsInf(cfg.Load, 1) {
		cfg.Load = 0
	}
	return &Channel{
		cfg:   cfg,
		rng:   rand.New(rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15)),
		limit: math.Inf(1),
		ovp:   math.Inf(1),
	}
}

// SetVoltage sets the setpoint in V; a channel that is on begins to go there.
func (c *Channel) SetVoltage(v float64) { c.setpoint = v }

// SetLimit sets the current limit in A.
func (c *Channel) SetLimit(i float64) { c.limit = i }

// SetOverVoltage sets the voltage in V above which the output is cut off.
func (c *Channel) SetOverVoltage(v float64) { c.ovp = v; c.protect() }

// SetRamp sets the speeds in V/s; they hold for a ramp under way too.
func (c *Channel) SetRamp(up, down float64) { c.cfg.RampUp, c.cfg.RampDown = up, down }

// Ramp returns the speeds in V/s.
func (c *Channel) Ramp() (up, down float64) {
	if c.cfg.RampDown == 0 {
		return c.cfg.RampUp, c.cfg.RampUp
	}
	return c.cfg.RampUp, c.cfg.RampDown
}

// SetLoad changes what hangs on the output: ohm (0 or infinite: nothing) and A/sqrt(V).
func (c *Channel) SetLoad(ohm, leakage float64) {
	if math.IsInf(ohm, 1) {
		ohm = 0
	}
	c.cfg.Load, c.cfg.Leakage = ohm, leakage
}

// SetTrip says what an overcurrent does after delay.
func (c *Channel) SetTrip(a TripAction, delay time.Duration) { c.action, c.delay = a, delay }

// SwitchOn starts towards the setpoint. It is for the instrument to refuse it while something is latched.
func (c *Channel) SwitchOn() {
	if !c.on {
		c.over = 0
	}
	c.on, c.cut = true, false
}

// SwitchOff ramps to zero.
func (c *Channel) SwitchOff() {
	if c.on {
		c.drive = math.Min(c.drive, c.hold()) // a held-down output falls from where it is
	}
	c.on = false
}

// Cut switches off without a ramp.
func (c *Channel) Cut() { c.SwitchOff(); c.cut = true }

// Trip latches an overcurrent trip and cuts the output off.
func (c *Channel) Trip() { c.Cut(); c.tripped = true }

// ClearTrips releases the latches and energises nothing.
func (c *Channel) ClearTrips() { c.tripped, c.overV, c.over = false, false, 0 }

// Advance lets time pass.
func (c *Channel) Advance(d time.Duration) {
	left := d.Seconds()
	// Every turn ends at the next thing that changes how the output moves.
	// There are few of them; the bound guards against rounding.
	for range 16 {
		if left <= 0 {
			break
		}
		step, target := left, c.target()
		if c.drive != target {
			step = math.Min(step, c.timeTo(target))
			if h := c.hold(); c.drive < h-rounding && h < target {
				step = math.Min(step, math.Max(c.timeTo(h), 1e-9))
			}
		}
		exceeded := c.exceeded()
		watched := exceeded && c.action != Hold && !c.tripped
		if watched {
			step = math.Min(step, math.Max((c.delay-c.over).Seconds(), 0))
		}
		c.move(step)
		left -= step
		switch {
		case !exceeded || !c.exceeded():
			c.over = 0
		case c.over < math.MaxInt64/2:
			c.over += time.Duration(math.Round(step * 1e9))
		}
		if watched && c.exceeded() && c.over >= c.delay {
			c.trip()
		}
		c.protect()
	}
}

func (c *Channel) trip() {
	c.tripped = true
	switch c.action {
	case RampOff:
		c.SwitchOff()
	case CutOff:
		c.Cut()
	}
}

func (c *Channel) protect() {
	if c.on && c.output() > c.ovp {
		c.overV = true
		c.Cut()
	}
}

func (c *Channel) target() float64 {
	if c.on {
		return c.setpoint
	}
	return 0
}

// speed returns the ramp in V/s towards the target; 0: exponential settling.
func (c *Channel) speed() float64 {
	up, down := c.Ramp()
	switch {
	case c.cut:
		return 0
	case c.target() > c.drive:
		return up
	default:
		return down
	}
}

// timeTo returns the seconds until the drive, on its way to the target, passes v.
func (c *Channel) timeTo(v float64) float64 {
	if s := c.speed(); s > 0 {
		return math.Abs(v-c.drive) / s
	}
	rest := math.Max(math.Abs(v-c.target()), settled)
	return math.Max(c.cfg.Settle.Seconds()*math.Log(math.Abs(c.drive-c.target())/rest), 0)
}

func (c *Channel) move(seconds float64) {
	target := c.target()
	if s := c.speed(); s > 0 {
		way := s * seconds
		if math.Abs(target-c.drive) <= way+1e-9 {
			c.drive = target
		} else {
			c.drive += math.Copysign(way, target-c.drive)
		}
		return
	}
	c.drive = target + (c.drive-target)*math.Exp(-seconds/c.cfg.Settle.Seconds())
	if math.Abs(c.drive-target) <= settled*1.01 {
		c.drive = target
	}
}

// hold returns the voltage at which the load draws the limit.
// With s = sqrt(V): s*s/R + I0*s = limit.
func (c *Channel) hold() float64 {
	r, i0 := c.cfg.Load, c.cfg.Leakage
	switch {
	case math.IsInf(c.limit, 1) || r <= 0 && i0 <= 0:
		return math.Inf(1)
	case r <= 0:
		return (c.limit / i0) * (c.limit / i0)
	}
	s := (math.Sqrt(i0*i0+4*c.limit/r) - i0) * r / 2
	return s * s
}

// exceeded says whether the load wants more than the limit now, or from now on.
func (c *Channel) exceeded() bool {
	h := c.hold()
	return c.on && (c.drive > h || c.drive >= h-rounding && c.target() > h)
}

func (c *Channel) output() float64 {
	if c.on {
		return math.Min(c.drive, c.hold())
	}
	return c.drive
}

func (c *Channel) current(v float64) float64 {
	i := c.cfg.Leakage * math.Sqrt(math.Max(v, 0))
	if c.cfg.Load > 0 {
		i += v / c.cfg.Load
	}
	return i
}

// State returns what the output does now.
func (c *Channel) State() State {
	v := c.output()
	return State{
		Setpoint: c.setpoint, Limit: c.limit, Voltage: v, Current: c.current(v),
		On: c.on, Limited: c.exceeded(), Tripped: c.tripped, OverV: c.overV,
		Ramping: c.drive != c.target() && c.speed() > 0,
	}
}

// Measure returns voltage in V and current in A as a meter with noise shows them.
func (c *Channel) Measure() (v, i float64) {
	s := c.State()
	return s.Voltage + c.cfg.NoiseV*c.rng.NormFloat64(), s.Current + c.cfg.NoiseI*c.rng.NormFloat64()
}
