// Package hmp4040 simulates a Rohde & Schwarz HMP4040: four channels of
// 32.05 V and 10 A, 384 W together, SCPI with a line feed at the end.
//
// It follows the HMP series SCPI Programmers Manual (R&S 5800576002) as far as
// its author knows it; facts not checked against the manual carry [?]. The
// instrument is stateful: INST:NSEL selects a channel for every connection
// alike, and what follows goes to that channel. A command that is wrong or out
// of range changes nothing, is not answered, and leaves an error for SYST:ERR?.
package hmp4040

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"trackerdcs/drivers/sim/internal/line"
	"trackerdcs/drivers/sim/internal/scpi"
	"trackerdcs/drivers/sim/physics"
)

// The ratings, V, A and W. 160 W a channel is what 32 V at 5 A and 16 V at 10 A come to.
const (
	MaxVoltage   = 32.05
	MaxCurrent   = 10.0
	maxOVP       = 32.5 // [?]
	channelPower = 160.0
	totalPower   = 384.0
	resetCurrent = 1.0 // A, current limit after power-on and *RST [?]
)

// Options is how a simulated instrument is made; the zero value works.
type Options struct {
	IDN      string           // answer to *IDN?; default "ROHDE&SCHWARZ,HMP4040,103221,HW50020003/SW2.70"
	Channels int              // 1 to 4; default 4, more than an HMP4040 has are not
	Load     map[int]float64  // ohm by channel; default 10
	Leakage  float64          // A/sqrt(V) on every channel
	Settle   time.Duration    // time constant of an output; default 5 ms
	Delay    time.Duration    // what a line takes; about 0.1 s on the real instrument
	NoiseV   float64          // standard deviation of measured voltages in V
	NoiseI   float64          // of measured currents in A
	Seed     uint64           // of the noise
	Now      func() time.Time // default time.Now
	Speed    float64          // how much faster than Now simulated time goes; default 1
}

// State is one channel for a test to look at.
type State struct {
	physics.State
	Armed       bool    // OUTP:SEL; On is armed and master together
	FuseTripped bool    // FUSE:TRIP?
	OVPTripped  bool    // VOLT:PROT:TRIP?
	OVP         float64 // V
}

// Instrument is a simulated HMP4040. All methods are safe for concurrent use.
type Instrument struct {
	*line.Server // Serve, and the faults
	line.Journal // Log, Writes, ResetLog

	mu       sync.Mutex
	opts     Options
	clock    *line.Clock
	chans    []*channel
	selected int // index
	master   bool
	frozen   bool
	errors   scpi.Queue
	esr, ese int
	sre      int
}

type channel struct {
	*physics.Channel
	volt, curr         float64 // setpoints
	voltStep, currStep float64
	armed              bool
	ovp                float64
	ovpProtected       bool // VOLT:PROT:MODE PROTected
	fuse               bool
	fuseDelay          int // ms
	links              map[int]bool
	fuseTripped        bool
	ovpTripped         bool
	shownV, shownI     float64 // what a frozen meter shows
	event, enable      int     // questionable status
}

// New returns an instrument that is switched on, with all outputs off.
func New(opts Options) *Instrument {
	if opts.IDN == "" {
		opts.IDN = "ROHDE&SCHWARZ,HMP4040,103221,HW50020003/SW2.70"
	}
	if opts.Channels < 1 || opts.Channels > 4 {
		opts.Channels = 4
	}
	in := &Instrument{opts: opts, clock: line.NewClock(opts.Now, opts.Speed)}
	for n := 1; n <= opts.Channels; n++ {
		load, ok := opts.Load[n]
		if !ok {
			load = 10
		}
		in.chans = append(in.chans, &channel{Channel: physics.NewChannel(physics.Config{
			Settle: opts.Settle, Load: load, Leakage: opts.Leakage,
			NoiseV: opts.NoiseV, NoiseI: opts.NoiseI, Seed: opts.Seed + uint64(n),
		})})
	}
	in.reset()
	in.Server = line.NewServer("\n", in.Execute)
	in.Delay(opts.Delay)
	return in
}

// reset is *RST: outputs off, setpoints and protections as delivered.
func (in *Instrument) reset() {
	in.master, in.selected = false, 0
	for _, c := range in.chans {
		c.volt, c.curr, c.voltStep, c.currStep = 0, resetCurrent, 1, 0.1
		c.ovp, c.ovpProtected, c.fuse, c.fuseDelay = maxOVP, false, false, 0
		c.armed, c.fuseTripped, c.ovpTripped = false, false, false
		c.links = map[int]bool{}
		c.ClearTrips()
	}
	in.apply()
}

// Execute runs one line and returns its answer, empty if there is none. Serve
// calls it for what comes over a connection; it is also a door without one.
func (in *Instrument) Execute(text string) string {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.Heard(text)
	var answers []string
	for _, unit := range scpi.Split(text) {
		in.advance()
		answer, err := in.run(unit)
		in.apply()
		if err != nil {
			in.fail(err)
			break // the parser drops the rest of the message
		}
		if unit.Query {
			answers = append(answers, answer)
		}
	}
	return strings.Join(answers, ";")
}

func (in *Instrument) fail(err error) {
	e := scpi.SyntaxError
	errors.As(err, &e)
	in.errors.Add(e)
	if e.Code <= -200 {
		in.esr |= 1 << 4 // execution error
	} else {
		in.esr |= 1 << 5 // command error
	}
}

// apply makes the outputs follow the settings.
func (in *Instrument) apply() {
	left := totalPower
	for _, c := range in.chans {
		c.SetVoltage(c.volt)
		limit := c.curr
		if c.armed && in.master && c.volt > 0 {
			power := math.Min(channelPower, left)
			limit = math.Min(limit, power/c.volt)
			left -= math.Min(c.State().Voltage*c.State().Current, power)
		}
		c.SetLimit(limit)
		if c.fuse {
			c.SetTrip(physics.CutOff, time.Duration(c.fuseDelay)*time.Millisecond)
		} else {
			c.SetTrip(physics.Hold, 0)
		}
		switch on := c.armed && in.master; {
		case on && !c.State().On:
			c.SwitchOn()
		case !on && c.State().On:
			c.Cut()
		}
		c.SetOverVoltage(c.ovp)
		if c.ovpProtected && c.armed && in.master && c.volt > c.ovp {
			c.SetOverVoltage(-1) // this mode does not wait for the measured voltage
		}
	}
	in.drop()
}

// advance lets the time since the last access pass.
func (in *Instrument) advance() {
	d := in.clock.Lap()
	for _, c := range in.chans {
		c.Advance(d)
	}
	in.drop()
	in.apply() // the power that is left depends on what the others draw now
	for n, c := range in.chans {
		c.event |= in.condition(n)
	}
}

// drop takes out the channels that have tripped, and what their fuses are linked to.
func (in *Instrument) drop() {
	for _, c := range in.chans {
		s := c.State()
		if s.OverV && !c.ovpTripped {
			c.ovpTripped, c.armed = true, false
		}
		if !s.Tripped || c.fuseTripped {
			continue
		}
		c.fuseTripped, c.armed = true, false
		for n := range c.links {
			if other := in.chans[n]; other.armed {
				other.armed = false
				other.Cut()
			}
		}
	}
}

// arm is OUTP:SEL: a tripped fuse is reset by operating the channel's key [?],
// a tripped overvoltage protection only by VOLT:PROT:CLE.
func (c *channel) arm(on bool) error {
	if on && c.ovpTripped {
		return scpi.Conflict
	}
	if c.fuseTripped {
		c.fuseTripped = false
		c.ClearTrips()
	}
	c.armed = on
	return nil
}

func (c *channel) clearOVP() {
	if c.ovpTripped {
		tripped := c.fuseTripped
		c.ClearTrips()
		c.ovpTripped = false
		if tripped {
			c.Trip()
		}
	}
}

// measure returns what the display shows, V and A.
func (in *Instrument) measure(c *channel) (v, i float64) {
	if !in.frozen {
		v, i = c.Measure()
		c.shownV, c.shownI = math.Max(v, 0), math.Max(i, 0)
	}
	return c.shownV, c.shownI
}

// condition is the questionable instrument summary of a channel: CC 0, CV 1, OVP 9, fuse 10 [?].
func (in *Instrument) condition(n int) (bits int) {
	c := in.chans[n]
	s := c.State()
	switch {
	case s.On && s.Limited:
		bits = 1
	case s.On:
		bits = 2
	}
	if c.ovpTripped {
		bits |= 1 << 9
	}
	if c.fuseTripped {
		bits |= 1 << 10
	}
	return bits
}

func (in *Instrument) numbers() []string {
	return slices.Clone([]string{"1", "2", "3", "4"}[:len(in.chans)])
}
