// Package iseg simulates a high-voltage supply of iseg's SHR/NHR/NHS family:
// several channels, SCPI with CR LF, channel lists.
//
// It follows iseg's "SCPI protocol common instruction set" (2020) as far as its
// author knows it; facts not checked against the manual carry [?]. Over TCP there
// is no echo. A command that is wrong or out of range changes nothing, is not
// answered, sets the input error bits and leaves an error for :SYST:ERR? [?].
//
// Event bits latch. As long as a blocking event (limits, trip, external inhibit)
// and its mask bit are set, a channel that is off stays off and one that is on
// cannot be set higher.
package iseg

import (
	"errors"
	"math"
	"strings"
	"sync"
	"time"

	"trackerdcs/drivers/sim/internal/line"
	"trackerdcs/drivers/sim/internal/scpi"
	"trackerdcs/drivers/sim/physics"
)

// Options is how a simulated instrument is made; the zero value works.
type Options struct {
	IDN         string           // answer to *IDN?; default "iseg Spezialelektronik GmbH,NR042060r4050000200,680041,1.74"
	Channels    int              // numbered from 0; default 4
	Nominal     float64          // V; default 1000
	Current     float64          // nominal current in A; default 8 mA
	Limit       float64          // hardware voltage limit in V; default Nominal
	Negative    bool             // polarity of all channels
	Ramp        float64          // V/s after power-on; default 1 % of Nominal
	Registers16 bool             // the older channel registers without the bits 0 and 16 to 23
	Load        map[int]float64  // ohm by channel; default 1 GOhm
	Leakage     float64          // A/sqrt(V) on every channel
	Settle      time.Duration    // time constant of an output cut off without ramp; default 5 ms
	Delay       time.Duration    // what a line takes
	NoiseV      float64          // standard deviation of measured voltages in V
	NoiseI      float64          // of measured currents in A
	Seed        uint64           // of the noise
	Now         func() time.Time // default time.Now
	Speed       float64          // how much faster than Now simulated time goes; default 1
}

func (o *Options) complete() {
	if o.IDN == "" {
		o.IDN = "iseg Spezialelektronik GmbH,NR042060r4050000200,680041,1.74"
	}
	if o.Channels <= 0 {
		o.Channels = 4
	}
	if o.Nominal <= 0 {
		o.Nominal = 1000
	}
	if o.Current <= 0 {
		o.Current = 8e-3
	}
	if o.Limit <= 0 || o.Limit > o.Nominal {
		o.Limit = o.Nominal
	}
	if o.Ramp <= 0 {
		o.Ramp = o.Nominal / 100
	}
}

// State is one channel for a test to look at. Voltages are magnitudes.
type State struct {
	physics.State
	Status    uint32 // :READ:CHAN:STAT?
	Events    uint32 // :READ:CHAN:EVENT:STAT?
	Emergency bool   // switched off by EMCY OFF, until EMCY CLR
	Inhibited bool   // the external inhibit signal is active now
	Ramp      float64
}

// Instrument is a simulated iseg module. All methods are safe for concurrent use.
type Instrument struct {
	*line.Server // Serve, and the faults
	line.Journal // Log, Writes, ResetLog

	mu       sync.Mutex
	opts     Options
	clock    *line.Clock
	chans    []*channel
	ramp     float64 // %/s, as last set for the module
	kill     bool
	average  int
	adjust   bool
	loopOpen bool
	frozen   bool
	inputErr bool
	events   uint32
	mask     uint32
	chanMask uint32
	errors   scpi.Queue
	esr      int
}

type channel struct {
	*physics.Channel
	number         int
	volt, curr     float64 // setpoints, magnitudes
	boundV, boundI float64 // 0: not watched
	emergency      bool
	inhibit        bool
	inputErr       bool
	inhibitAction  int
	tripAction     int
	tripTime       int // ms
	events, mask   uint32
	wasOn, wasRamp bool
	shownV, shownI float64 // what a frozen meter shows
}

// New returns a module that is switched on, with all channels off and at zero.
func New(opts Options) *Instrument {
	opts.complete()
	in := &Instrument{
		opts: opts, clock: line.NewClock(opts.Now, opts.Speed), average: 64, adjust: true,
		ramp: opts.Ramp / opts.Nominal * 100,
	}
	for n := range opts.Channels {
		load, ok := opts.Load[n]
		if !ok {
			load = 1e9
		}
		c := &channel{
			Channel: physics.NewChannel(physics.Config{
				RampUp: opts.Ramp, RampDown: opts.Ramp, Settle: opts.Settle, Load: load, Leakage: opts.Leakage,
				NoiseV: opts.NoiseV, NoiseI: opts.NoiseI, Seed: opts.Seed + uint64(n),
			}),
			number: n, curr: opts.Current, mask: blocking,
			inhibitAction: actCut, tripAction: actDisabled, tripTime: 100, // factory settings [?]
		}
		in.chans = append(in.chans, c)
	}
	in.apply()
	in.Server = line.NewServer("\r\n", in.Execute)
	in.Delay(opts.Delay)
	return in
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
		in.latch()
		if err != nil {
			in.fail(err)
			break
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
	in.inputErr = true
	in.events |= modInputError
	if e.Code <= -200 {
		in.esr |= 1 << 4
	} else {
		in.esr |= 1 << 5
	}
}

// The actions of :CONF:TRIP:ACTION and :CONF:INHP:ACTION.
const (
	actFlag     = 0 // set the flag only
	actRamp     = 1 // turn off the channel with a ramp
	actCut      = 2 // shut down the channel without ramp
	actModule   = 3 // shut down the module without ramp
	actDisabled = 4
)

// apply makes the outputs follow the settings.
func (in *Instrument) apply() {
	for _, c := range in.chans {
		c.Channel.SetVoltage(c.volt)
		c.SetLimit(c.curr)
		delay := time.Duration(c.tripTime) * time.Millisecond
		switch {
		case in.kill:
			c.SetTrip(physics.CutOff, 0)
		case c.tripAction == actFlag:
			c.SetTrip(physics.Flag, delay)
		case c.tripAction == actRamp:
			c.SetTrip(physics.RampOff, delay)
		case c.tripAction == actCut || c.tripAction == actModule:
			c.SetTrip(physics.CutOff, delay)
		default:
			c.SetTrip(physics.Hold, 0)
		}
	}
}

// advance lets the time since the last access pass.
func (in *Instrument) advance() {
	d := in.clock.Lap()
	cut := false
	for _, c := range in.chans {
		tripped := c.State().Tripped
		c.Advance(d)
		cut = cut || !tripped && c.State().Tripped && c.tripAction == actModule && !in.kill
	}
	if cut {
		in.cutAll()
	}
	in.latch()
}

func (in *Instrument) cutAll() {
	for _, c := range in.chans {
		c.Cut()
	}
}

// blocked says whether a latched event keeps the channel from being energised further.
func (c *channel) blocked() bool { return c.events&c.mask&blocking != 0 }

func (in *Instrument) switchOn(c *channel) error {
	inhibited := c.inhibit && c.inhibitAction != actFlag && c.inhibitAction != actDisabled
	if c.emergency || c.blocked() || inhibited || in.loopOpen || in.events&modSafetyLoop != 0 {
		return scpi.Conflict
	}
	c.SwitchOn()
	return nil
}

// setVoltage takes a magnitude, or a value with the sign of the polarity.
func (in *Instrument) setVoltage(c *channel, v float64) error {
	if in.opts.Negative && v < 0 {
		v = -v
	}
	switch {
	case v < 0 || v > in.opts.Limit || math.IsNaN(v):
		return scpi.OutOfRange
	case v > c.volt && c.State().On && c.blocked():
		return scpi.Conflict
	}
	c.volt = v
	return nil
}

// signed gives a magnitude the polarity of the module.
func (in *Instrument) signed(v float64) float64 {
	if in.opts.Negative && v != 0 {
		return -v
	}
	return v
}

// measure returns what the meters show: V as a magnitude, A.
func (in *Instrument) measure(c *channel) (v, i float64) {
	if !in.frozen {
		c.shownV, c.shownI = c.Measure()
	}
	return c.shownV, c.shownI
}

// clearEvents clears the given bits, except those whose condition still holds.
func (in *Instrument) clearEvents(c *channel, bits uint32) {
	if bits&bitTrip != 0 {
		c.ClearTrips()
	}
	c.inputErr = false
	c.events &^= bits
}
