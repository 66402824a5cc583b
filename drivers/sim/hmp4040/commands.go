package hmp4040

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"trackerdcs/drivers/sim/internal/scpi"
)

// command is one row of the manual: set and get are nil where there is no such form.
type command struct {
	pattern scpi.Pattern
	set     func(in *Instrument, a call) error
	get     func(in *Instrument, a call) (string, error)
	args    int  // how many parameters set takes
	asks    int  // how many get takes, all of which may be left out
	spare   int  // how many of these may be left out
	alters  byte // 'c' if set alters the selected channel, 'i' the instrument
}

// call is what a command is called with.
type call struct {
	*channel          // the selected one
	args     []string //
	number   int      // of a numbered node
}

// run executes one unit, or says why not.
func (in *Instrument) run(u scpi.Unit) (answer string, err error) {
	for _, c := range commands {
		numbers, ok := c.pattern.Match(u.Header)
		if !ok || u.Query && c.get == nil || !u.Query && c.set == nil {
			continue
		}
		a := call{channel: in.chans[in.selected], args: u.Args}
		if len(numbers) > 0 {
			a.number = numbers[0]
		}
		if u.Query {
			if len(u.Args) > c.asks {
				return "", scpi.ParameterExtra
			}
			return c.get(in, a)
		}
		if len(u.Args) > c.args {
			return "", scpi.ParameterExtra
		}
		if len(u.Args) < c.args-c.spare {
			return "", scpi.ParameterMissing
		}
		selected := in.selected
		if err := c.set(in, a); err != nil {
			return "", err
		}
		switch c.alters {
		case 'c':
			in.Altered(selected+1, u.Text)
		case 'i':
			in.Altered(-1, u.Text)
		}
		return "", nil
	}
	return "", scpi.UndefinedHeader
}

var commands = append(common(), tree()...)

func common() []command {
	nothing := func(*Instrument, call) error { return nil }
	return []command{
		{pattern: scpi.Compile("*IDN"), get: func(in *Instrument, _ call) (string, error) { return in.opts.IDN, nil }},
		{pattern: scpi.Compile("*RST"), set: func(in *Instrument, _ call) error { in.reset(); return nil }, alters: 'i'},
		{pattern: scpi.Compile("*CLS"), set: func(in *Instrument, _ call) error {
			in.errors.Clear()
			in.esr = 0
			for _, c := range in.chans {
				c.event = 0
			}
			return nil
		}},
		{pattern: scpi.Compile("*ESR"), get: func(in *Instrument, _ call) (string, error) {
			esr := in.esr
			in.esr = 0
			return strconv.Itoa(esr), nil
		}},
		register("*ESE", func(in *Instrument) *int { return &in.ese }),
		register("*SRE", func(in *Instrument) *int { return &in.sre }),
		{pattern: scpi.Compile("*STB"), get: func(in *Instrument, _ call) (string, error) {
			stb := 0
			if in.esr&in.ese != 0 {
				stb |= 1 << 5
			}
			if stb&in.sre != 0 {
				stb |= 1 << 6
			}
			return strconv.Itoa(stb), nil
		}},
		{
			pattern: scpi.Compile("*OPC"), get: answer("1"),
			set: func(in *Instrument, _ call) error { in.esr |= 1; return nil },
		},
		{pattern: scpi.Compile("*TST"), get: answer("0")},
		{pattern: scpi.Compile("*WAI"), set: nothing},
		{pattern: scpi.Compile("SYSTem:ERRor[:NEXT]"), get: func(in *Instrument, _ call) (string, error) {
			return in.errors.Next().Error(), nil
		}},
		{pattern: scpi.Compile("SYSTem:VERSion"), get: answer("1999.0")},
		{pattern: scpi.Compile("SYSTem:REMote"), set: nothing},
		{pattern: scpi.Compile("SYSTem:LOCal"), set: nothing},
		{pattern: scpi.Compile("SYSTem:RWLock"), set: nothing},
		{pattern: scpi.Compile("SYSTem:MIX"), set: nothing},
		{pattern: scpi.Compile("SYSTem:BEEPer[:IMMediate]"), set: nothing},
	}
}

func answer(text string) func(*Instrument, call) (string, error) {
	return func(*Instrument, call) (string, error) { return text, nil }
}

// register is an enable register of 8 bits.
func register(pattern string, of func(*Instrument) *int) command {
	return command{
		pattern: scpi.Compile(pattern), args: 1,
		get: func(in *Instrument, _ call) (string, error) { return strconv.Itoa(*of(in)), nil },
		set: func(in *Instrument, a call) error {
			v, err := scpi.Number(a.args[0])
			if err == nil && (v < 0 || v > 255) {
				err = scpi.OutOfRange
			}
			if err == nil {
				*of(in) = int(v)
			}
			return err
		},
	}
}

// level is a quantity with a range: how it is set, asked for and stepped.
type level struct {
	unit     string
	min, max float64
	reset    float64 // DEFault
	format   string
	round    func(float64) float64
	of       func(*channel) *float64
	step     func(*channel) *float64 // nil: no UP and DOWN
}

func millivolts(v float64) float64 { return math.Round(v*1e3) / 1e3 }

// milliamps rounds to the steps of the current: 0.2 mA below 1 A, 1 mA above.
func milliamps(i float64) float64 {
	if i < 1 {
		return math.Round(i*5e3) / 5e3
	}
	return math.Round(i*1e3) / 1e3
}

var (
	voltage = level{
		unit: "V", max: MaxVoltage, format: "%.3f", round: millivolts,
		of: func(c *channel) *float64 { return &c.volt }, step: func(c *channel) *float64 { return &c.voltStep },
	}
	current = level{
		unit: "A", max: MaxCurrent, reset: resetCurrent, format: "%.4f", round: milliamps,
		of: func(c *channel) *float64 { return &c.curr }, step: func(c *channel) *float64 { return &c.currStep },
	}
	overVoltage = level{
		unit: "V", max: maxOVP, reset: maxOVP, format: "%.3f", round: millivolts,
		of: func(c *channel) *float64 { return &c.ovp },
	}
	voltageStep = level{
		unit: "V", max: MaxVoltage, reset: 1, format: "%.3f", round: millivolts,
		of: func(c *channel) *float64 { return &c.voltStep },
	}
	currentStep = level{
		unit: "A", max: MaxCurrent, reset: 0.1, format: "%.4f", round: milliamps,
		of: func(c *channel) *float64 { return &c.currStep },
	}
)

// parse returns the value that text asks for, without setting it.
func (l level) parse(c *channel, text string) (v float64, err error) {
	switch {
	case scpi.Word(text, "MINimum"):
		v = l.min
	case scpi.Word(text, "MAXimum"):
		v = l.max
	case scpi.Word(text, "DEFault"):
		v = l.reset
	case l.step != nil && scpi.Word(text, "UP"):
		v = *l.of(c) + *l.step(c)
	case l.step != nil && scpi.Word(text, "DOWN"):
		v = *l.of(c) - *l.step(c)
	default:
		if v, err = scpi.Quantity(text, l.unit); err != nil {
			return 0, err
		}
	}
	if v = l.round(v); v < l.min || v > l.max+1e-9 {
		return 0, scpi.OutOfRange
	}
	return v, nil
}

func (l level) set(_ *Instrument, a call) error {
	v, err := l.parse(a.channel, a.args[0])
	if err == nil {
		*l.of(a.channel) = v
	}
	return err
}

func (l level) get(_ *Instrument, a call) (string, error) {
	v := *l.of(a.channel)
	if len(a.args) == 1 {
		switch {
		case scpi.Word(a.args[0], "MINimum"):
			v = l.min
		case scpi.Word(a.args[0], "MAXimum"):
			v = l.max
		default:
			return "", scpi.IllegalValue
		}
	}
	return fmt.Sprintf(l.format, v), nil
}

func (l level) command(pattern string) command {
	return command{pattern: scpi.Compile(pattern), set: l.set, get: l.get, args: 1, asks: 1, alters: 'c'}
}

// output reads a channel's name: OUT1, OUTP1, OUTPut1.
func (in *Instrument) output(text string) (index int, err error) {
	upper := strings.ToUpper(text)
	for i, n := range in.numbers() {
		if upper == "OUT"+n || upper == "OUTP"+n || upper == "OUTPUT"+n {
			return i, nil
		}
	}
	return 0, scpi.IllegalValue
}

// number reads a channel's number.
func (in *Instrument) number(text string) (index int, err error) {
	v, err := scpi.Number(text)
	if err != nil {
		return 0, err
	}
	if v != math.Trunc(v) || v < 1 || v > float64(len(in.chans)) {
		return 0, scpi.OutOfRange
	}
	return int(v) - 1, nil
}
