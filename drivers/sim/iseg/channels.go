package iseg

import (
	"math"
	"strconv"
	"strings"

	"trackerdcs/drivers/sim/internal/scpi"
)

type (
	setter = func(in *Instrument, c *channel, arg string) error
	getter = func(in *Instrument, c *channel) string
)

func set(pattern string, do setter) command {
	return command{pattern: scpi.Compile(pattern), channel: true, args: 1, set: do}
}

func get(pattern string, answer getter) command {
	return command{pattern: scpi.Compile(pattern), channel: true, get: answer}
}

// channelCommands is :VOLTage, :CURRent, :EVent, :MEASure, :READ and :CONFigure for channels.
func channelCommands() []command {
	list := []command{
		set("VOLTage", setVoltage),
		set("VOLTage:EMCY", func(in *Instrument, c *channel, arg string) error {
			return emergency(c, strings.ToUpper(arg))
		}),
		get("[READ:]VOLTage", func(in *Instrument, c *channel) string { return volts(in.signed(c.volt)) }),
		get("[READ:]VOLTage:LIMit", func(in *Instrument, _ *channel) string { return volts(in.opts.Limit) }),
		get("[READ:]VOLTage:NOMinal", func(in *Instrument, _ *channel) string { return volts(in.opts.Nominal) }),
		get("[READ:]VOLTage:MODE", func(in *Instrument, _ *channel) string { return volts(in.signed(in.opts.Nominal)) }),
		set("VOLTage:BOUnds", bounds(func(in *Instrument, c *channel) (*float64, float64) { return &c.boundV, in.opts.Nominal }, "V")),
		get("[READ:]VOLTage:BOUnds", func(_ *Instrument, c *channel) string { return volts(c.boundV) }),
		get("[READ:]VOLTage:ON", func(_ *Instrument, c *channel) string { return scpi.Digit(c.State().On) }),
		get("[READ:]VOLTage:EMCY", func(_ *Instrument, c *channel) string { return scpi.Digit(c.emergency) }),
		set("CURRent", func(in *Instrument, c *channel, arg string) error {
			i, err := scpi.Quantity(arg, "A")
			if err == nil && (i < 0 || i > in.opts.Current) {
				err = scpi.OutOfRange
			}
			if err == nil {
				c.curr = i
			}
			return err
		}),
		get("[READ:]CURRent", func(_ *Instrument, c *channel) string { return amps(c.curr) }),
		get("[READ:]CURRent:LIMit", func(in *Instrument, _ *channel) string { return amps(in.opts.Current) }),
		get("[READ:]CURRent:NOMinal", func(in *Instrument, _ *channel) string { return amps(in.opts.Current) }),
		get("[READ:]CURRent:MODE", func(in *Instrument, _ *channel) string { return amps(in.opts.Current) }),
		set("CURRent:BOUnds", bounds(func(in *Instrument, c *channel) (*float64, float64) { return &c.boundI, in.opts.Current }, "A")),
		get("[READ:]CURRent:BOUnds", func(_ *Instrument, c *channel) string { return amps(c.boundI) }),
		get("MEASure:VOLTage", func(in *Instrument, c *channel) string {
			v, _ := in.measure(c)
			return volts(in.signed(v))
		}),
		get("MEASure:CURRent", func(in *Instrument, c *channel) string {
			_, i := in.measure(c)
			return amps(i)
		}),
		get("READ:CHANnel:STATus", func(in *Instrument, c *channel) string { return bits(in.status(c)) }),
		get("READ:CHANnel:EVent:STATus", func(_ *Instrument, c *channel) string { return bits(c.events) }),
		get("READ:CHANnel:EVent:MASK", func(_ *Instrument, c *channel) string { return bits(c.mask) }),
		get("READ:CHANnel:CONTrol", func(_ *Instrument, c *channel) string {
			var b uint32
			if c.State().On {
				b |= 1 << 3
			}
			if c.emergency {
				b |= 1 << 5
			}
			return bits(b)
		}),
		set("EVent", func(in *Instrument, c *channel, arg string) error {
			if strings.EqualFold(arg, "CLEAR") {
				in.clearEvents(c, math.MaxUint32)
				return nil
			}
			b, err := word(arg)
			if err == nil {
				in.clearEvents(c, b)
			}
			return err
		}),
		set("EVent:MASK", func(_ *Instrument, c *channel, arg string) error {
			b, err := word(arg)
			if err == nil {
				c.mask = b
			}
			return err
		}),
		set("CONFigure:TRIP:TIME", number(1, 4095, func(c *channel) *int { return &c.tripTime })),
		get("CONFigure:TRIP:TIME", func(_ *Instrument, c *channel) string { return strconv.Itoa(c.tripTime) + "ms" }),
		set("CONFigure:TRIP:ACTion", number(0, 4, func(c *channel) *int { return &c.tripAction })),
		get("CONFigure:TRIP:ACTion", func(_ *Instrument, c *channel) string { return strconv.Itoa(c.tripAction) }),
		get("CONFigure:OUTPut:POLarity", func(in *Instrument, _ *channel) string { return in.polarity() }),
		get("CONFigure:OUTPut:POLarity:LIST", func(in *Instrument, _ *channel) string { return in.polarity() }),
		get("CONFigure:OUTPut:MODE", func(*Instrument, *channel) string { return "1" }),
		get("CONFigure:OUTPut:MODE:LIST", func(*Instrument, *channel) string { return "1" }),
	}
	// Both spellings are in use; which module has which [?].
	for _, name := range []string{"INHP", "INHibit"} {
		list = append(list,
			set("CONFigure:"+name+":ACTion", number(0, 4, func(c *channel) *int { return &c.inhibitAction })),
			get("CONFigure:"+name+":ACTion", func(_ *Instrument, c *channel) string { return strconv.Itoa(c.inhibitAction) }))
	}
	return list
}

func (in *Instrument) polarity() string {
	if in.opts.Negative {
		return "n"
	}
	return "p"
}

// setVoltage is :VOLT <value> | ON | OFF | EMCY OFF | EMCY CLR.
func setVoltage(in *Instrument, c *channel, arg string) error {
	switch words := strings.Fields(strings.ToUpper(arg)); {
	case len(words) == 1 && words[0] == "ON":
		return in.switchOn(c)
	case len(words) == 1 && words[0] == "OFF":
		c.SwitchOff()
		return nil
	case len(words) == 2 && words[0] == "EMCY":
		return emergency(c, words[1])
	}
	v, err := scpi.Quantity(arg, "V")
	if err != nil {
		return err
	}
	return in.setVoltage(c, v)
}

// emergency shuts the channel down without ramp, until it is cleared to the state off.
func emergency(c *channel, arg string) error {
	switch arg {
	case "OFF":
		c.Cut()
		c.emergency = true
	case "CLR":
		c.emergency = false
	default:
		return scpi.IllegalValue
	}
	return nil
}

func bounds(of func(*Instrument, *channel) (value *float64, high float64), unit string) setter {
	return func(in *Instrument, c *channel, arg string) error {
		value, high := of(in, c)
		v, err := scpi.Quantity(arg, unit)
		if err == nil && (v < 0 || v > high) {
			err = scpi.OutOfRange
		}
		if err == nil {
			*value = v
		}
		return err
	}
}

func number(low, high int, of func(*channel) *int) setter {
	return func(_ *Instrument, c *channel, arg string) error {
		v, err := integer(arg, low, high)
		if err == nil {
			*of(c) = v
		}
		return err
	}
}
