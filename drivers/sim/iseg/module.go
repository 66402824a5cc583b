package iseg

import (
	"math"
	"strconv"
	"strings"

	"trackerdcs/drivers/sim/internal/scpi"
)

// The speeds that a module takes, in % of the nominal voltage a second [?].
const (
	minRamp = 0.001
	maxRamp = 20
)

// rampCommands is the speed in %/s for the module, and in V/s for each channel of newer modules.
func rampCommands() []command {
	limit := func(percent float64) getter {
		return func(in *Instrument, _ *channel) string { return speed(percent / 100 * in.opts.Nominal) }
	}
	up := func(_ *Instrument, c *channel) string { up, _ := c.Ramp(); return speed(up) }
	down := func(_ *Instrument, c *channel) string { _, down := c.Ramp(); return speed(down) }
	return []command{
		module("CONFigure:RAMP:VOLTage", func(in *Instrument, arg string) error {
			v, err := scpi.Quantity(arg, "%/s")
			if err == nil && (v < minRamp || v > maxRamp) {
				err = scpi.OutOfRange
			}
			if err != nil {
				return err
			}
			in.ramp = v
			for _, c := range in.chans {
				c.SetRamp(v/100*in.opts.Nominal, v/100*in.opts.Nominal)
			}
			return nil
		}, func(in *Instrument) string { return engineering(in.ramp, 6) + "%/s" }),
		set("CONFigure:RAMP:VOLTage", channelRamp(true, true)),
		get("CONFigure:RAMP:VOLTage", up),
		set("CONFigure:RAMP:VOLTage:UP", channelRamp(true, false)),
		get("CONFigure:RAMP:VOLTage:UP", up),
		set("CONFigure:RAMP:VOLTage:DOWN", channelRamp(false, true)),
		get("CONFigure:RAMP:VOLTage:DOWN", down),
		module("READ:RAMP:VOLTage", nil, func(in *Instrument) string { return engineering(in.ramp, 6) + "%/s" }),
		get("READ:RAMP:VOLTage", up),
		get("READ:RAMP:VOLTage:MINimum", limit(minRamp)),
		get("READ:RAMP:VOLTage:MAXimum", limit(maxRamp)),
	}
}

func channelRamp(setUp, setDown bool) setter {
	return func(in *Instrument, c *channel, arg string) error {
		v, err := scpi.Quantity(arg, "V/s")
		if percent := v / in.opts.Nominal * 100; err == nil && (percent < minRamp*(1-1e-9) || percent > maxRamp*(1+1e-9)) {
			err = scpi.OutOfRange
		}
		if err != nil {
			return err
		}
		up, down := c.Ramp()
		if setUp {
			up = v
		}
		if setDown {
			down = v
		}
		c.SetRamp(up, down)
		return nil
	}
}

func module(pattern string, set func(in *Instrument, arg string) error, get func(in *Instrument) string) command {
	c := command{pattern: scpi.Compile(pattern), args: 1}
	if set != nil {
		c.set = func(in *Instrument, _ *channel, arg string) error { return set(in, arg) }
	}
	if get != nil {
		c.get = func(in *Instrument, _ *channel) string { return get(in) }
	}
	return c
}

func moduleCommands() []command {
	read := func(pattern string, get func(in *Instrument) string) command { return module(pattern, nil, get) }
	fixed := func(pattern, text string) command { return read(pattern, func(*Instrument) string { return text }) }
	return []command{
		read("READ:MODule:STATus", func(in *Instrument) string { return bits(in.moduleStatus()) }),
		read("READ:MODule:EVent:STATus", func(in *Instrument) string { return bits(in.events) }),
		read("READ:MODule:EVent:MASK", func(in *Instrument) string { return bits(in.mask) }),
		read("READ:MODule:EVent:CHANSTATus", func(in *Instrument) string { return bits(in.channelEvents()) }),
		read("READ:MODule:EVent:CHANMASK", func(in *Instrument) string { return bits(in.chanMask) }),
		read("READ:MODule:CHANnelnumber", func(in *Instrument) string { return strconv.Itoa(len(in.chans)) }),
		fixed("READ:MODule:TEMPerature", "34.500E0C"),
		fixed("READ:FIRMware:NAME", "N04R6"), // [?]
		fixed("READ:FIRMware:RELease", "1.74"),
		module("CONFigure:EVent", func(in *Instrument, arg string) error {
			b := uint32(math.MaxUint32)
			if !strings.EqualFold(arg, "CLEAR") {
				var err error
				if b, err = word(arg); err != nil {
					return err
				}
			}
			in.events &^= b
			return nil
		}, nil),
		mask("CONFigure:EVent:MASK", func(in *Instrument) *uint32 { return &in.mask }),
		mask("CONFigure:EVent:CHANMASK", func(in *Instrument) *uint32 { return &in.chanMask }),
		module("CONFigure:KILL", func(in *Instrument, arg string) error {
			on, err := scpi.Bool(arg)
			if err == nil {
				in.kill = on
			}
			return err
		}, func(in *Instrument) string { return scpi.Digit(in.kill) }),
		module("CONFigure:ADJUST", func(in *Instrument, arg string) error {
			on, err := scpi.Bool(arg)
			if err == nil {
				in.adjust = on
			}
			return err
		}, func(in *Instrument) string { return scpi.Digit(in.adjust) }),
		module("CONFigure:AVERage", func(in *Instrument, arg string) error {
			n, err := integer(arg, 1, 1024)
			if err == nil && n&(n-1) != 0 {
				err = scpi.OutOfRange
			}
			if err == nil {
				in.average = n
			}
			return err
		}, func(in *Instrument) string { return strconv.Itoa(in.average) }),
	}
}

func mask(pattern string, of func(*Instrument) *uint32) command {
	return module(pattern, func(in *Instrument, arg string) error {
		b, err := word(arg)
		if err == nil {
			*of(in) = b
		}
		return err
	}, func(in *Instrument) string { return bits(*of(in)) })
}
