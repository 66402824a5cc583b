package hmp4040

import (
	"fmt"
	"strconv"

	"trackerdcs/drivers/sim/internal/scpi"
)

// tree is the instrument's own part of the command tree.
func tree() []command {
	list := []command{
		voltage.command("[SOURce:]VOLTage[:LEVel][:IMMediate][:AMPLitude]"),
		voltageStep.command("[SOURce:]VOLTage[:LEVel][:IMMediate]:STEP[:INCRement]"),
		current.command("[SOURce:]CURRent[:LEVel][:IMMediate][:AMPLitude]"),
		currentStep.command("[SOURce:]CURRent[:LEVel][:IMMediate]:STEP[:INCRement]"),
		{pattern: scpi.Compile("APPLy"), set: setApply, get: getApply, args: 2, spare: 1, alters: 'c'},
		{pattern: scpi.Compile("MEASure[:SCALar][:VOLTage][:DC]"), get: func(in *Instrument, a call) (string, error) {
			v, _ := in.measure(a.channel)
			return fmt.Sprintf("%.3f", v), nil
		}},
		{pattern: scpi.Compile("MEASure[:SCALar]:CURRent[:DC]"), get: func(in *Instrument, a call) (string, error) {
			_, i := in.measure(a.channel)
			return fmt.Sprintf("%.4f", i), nil
		}},
	}
	list = append(list, selection()...)
	list = append(list, protection()...)
	return append(list, status()...)
}

// setApply is APPLy <voltage>[,<current>]: both, or nothing.
func setApply(_ *Instrument, a call) error {
	v, err := voltage.parse(a.channel, a.args[0])
	if err != nil {
		return err
	}
	if len(a.args) == 2 {
		i, err := current.parse(a.channel, a.args[1])
		if err != nil {
			return err
		}
		a.curr = i
	}
	a.volt = v
	return nil
}

func getApply(_ *Instrument, a call) (string, error) {
	return fmt.Sprintf("%.3f, %.4f", a.volt, a.curr), nil // the blank [?]
}

// selection is INSTrument and OUTPut.
func selection() []command {
	return []command{
		{
			pattern: scpi.Compile("INSTrument[:SELect]"), args: 1,
			set: func(in *Instrument, a call) (err error) {
				n, err := in.output(a.args[0])
				if err == nil {
					in.selected = n
				}
				return err
			},
			get: func(in *Instrument, _ call) (string, error) { // the form [?]
				return fmt.Sprintf("OUTP%d", in.selected+1), nil
			},
		},
		{
			pattern: scpi.Compile("INSTrument:NSELect"), args: 1,
			set: func(in *Instrument, a call) (err error) {
				n, err := in.number(a.args[0])
				if err == nil {
					in.selected = n
				}
				return err
			},
			get: func(in *Instrument, _ call) (string, error) { return strconv.Itoa(in.selected + 1), nil },
		},
		toggle("OUTPut:SELect", 'c',
			func(_ *Instrument, a call) bool { return a.armed },
			func(_ *Instrument, a call, on bool) error { return a.arm(on) }),
		toggle("OUTPut:GENeral", 'i',
			func(in *Instrument, _ call) bool { return in.master },
			func(in *Instrument, _ call, on bool) error { in.master = on; return nil }),
		// OUTP 1 arms the channel and turns the master on; OUTP 0 takes out the channel alone.
		toggle("OUTPut[:STATe]", 'c',
			func(in *Instrument, a call) bool { return a.armed && in.master },
			func(in *Instrument, a call, on bool) error {
				if err := a.arm(on); err != nil {
					return err
				}
				in.master = in.master || on
				return nil
			}),
	}
}

// protection is overvoltage and electronic fuse.
func protection() []command {
	return []command{
		overVoltage.command("[SOURce:]VOLTage:PROTection[:LEVel]"),
		{pattern: scpi.Compile("[SOURce:]VOLTage:PROTection:TRIPped"), get: func(_ *Instrument, a call) (string, error) {
			return scpi.Digit(a.ovpTripped), nil
		}},
		{
			pattern: scpi.Compile("[SOURce:]VOLTage:PROTection:CLEar"), alters: 'c',
			set: func(_ *Instrument, a call) error { a.clearOVP(); return nil },
		},
		{
			pattern: scpi.Compile("[SOURce:]VOLTage:PROTection:MODE"), args: 1, alters: 'c',
			set: func(_ *Instrument, a call) error {
				switch {
				case scpi.Word(a.args[0], "MEASured"):
					a.ovpProtected = false
				case scpi.Word(a.args[0], "PROTected"):
					a.ovpProtected = true
				default:
					return scpi.IllegalValue
				}
				return nil
			},
			get: func(_ *Instrument, a call) (string, error) {
				if a.ovpProtected {
					return "PROT", nil
				}
				return "MEAS", nil
			},
		},
		toggle("FUSE[:STATe]", 'c',
			func(_ *Instrument, a call) bool { return a.fuse },
			func(_ *Instrument, a call, on bool) error { a.fuse = on; return nil }),
		{pattern: scpi.Compile("FUSE:TRIPped"), get: func(_ *Instrument, a call) (string, error) {
			return scpi.Digit(a.fuseTripped), nil
		}},
		{
			pattern: scpi.Compile("FUSE:DELay"), args: 1, alters: 'c', // 0 to 250 ms
			set: func(_ *Instrument, a call) error {
				v, err := scpi.Number(a.args[0])
				switch {
				case scpi.Word(a.args[0], "MINimum"):
					v, err = 0, nil
				case scpi.Word(a.args[0], "MAXimum"):
					v, err = 250, nil
				}
				if err == nil && (v < 0 || v > 250) {
					err = scpi.OutOfRange
				}
				if err == nil {
					a.fuseDelay = int(v)
				}
				return err
			},
			get: func(_ *Instrument, a call) (string, error) { return strconv.Itoa(a.fuseDelay), nil },
		},
		link("FUSE:LINK", true),
		link("FUSE:UNLink", false),
	}
}

// link joins the selected channel's fuse to another channel: when the first trips, the other goes out too.
func link(pattern string, on bool) command {
	c := command{
		pattern: scpi.Compile(pattern), args: 1, alters: 'c',
		set: func(in *Instrument, a call) error {
			n, err := in.number(a.args[0])
			switch {
			case err != nil:
			case n == in.selected:
				err = scpi.Conflict
			case on:
				a.links[n] = true
			default:
				delete(a.links, n)
			}
			return err
		},
	}
	if on {
		c.asks = 1
		c.get = func(in *Instrument, a call) (string, error) {
			if len(a.args) == 0 {
				return "", scpi.ParameterMissing
			}
			n, err := in.number(a.args[0])
			return scpi.Digit(a.links[n]), err
		}
	}
	return c
}

func toggle(pattern string, alters byte, get func(*Instrument, call) bool, set func(*Instrument, call, bool) error) command {
	return command{
		pattern: scpi.Compile(pattern), args: 1, alters: alters,
		get: func(in *Instrument, a call) (string, error) { return scpi.Digit(get(in, a)), nil },
		set: func(in *Instrument, a call) error {
			on, err := scpi.Bool(a.args[0])
			if err != nil {
				return err
			}
			return set(in, a, on)
		},
	}
}

// status is the questionable register with its summary of each channel.
func status() []command {
	const summary = "STATus:QUEStionable:INSTrument:ISUMmary#"
	// The channel is the number in the header here, whatever is selected.
	of := func(in *Instrument, a call) (n int, err error) {
		if a.number < 1 || a.number > len(in.chans) {
			return 0, scpi.SuffixRange
		}
		return a.number - 1, nil
	}
	return []command{
		{pattern: scpi.Compile(summary + ":CONDition"), get: func(in *Instrument, a call) (string, error) {
			n, err := of(in, a)
			if err != nil {
				return "", err
			}
			return strconv.Itoa(in.condition(n)), nil
		}},
		{pattern: scpi.Compile(summary + "[:EVENt]"), get: func(in *Instrument, a call) (string, error) {
			n, err := of(in, a)
			if err != nil {
				return "", err
			}
			event := in.chans[n].event
			in.chans[n].event = 0
			return strconv.Itoa(event), nil
		}},
		{
			pattern: scpi.Compile(summary + ":ENABle"), args: 1,
			get: func(in *Instrument, a call) (string, error) {
				n, err := of(in, a)
				if err != nil {
					return "", err
				}
				return strconv.Itoa(in.chans[n].enable), nil
			},
			set: func(in *Instrument, a call) error {
				n, err := of(in, a)
				if err != nil {
					return err
				}
				v, err := scpi.Number(a.args[0])
				if err == nil && (v < 0 || v > 65535) {
					err = scpi.OutOfRange
				}
				if err == nil {
					in.chans[n].enable = int(v)
				}
				return err
			},
		},
	}
}
