package iseg

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"trackerdcs/drivers/sim/internal/scpi"
)

// command is one row of the manual. A channel command takes a channel list as
// its last parameter, a module command takes none.
type command struct {
	pattern scpi.Pattern
	channel bool
	args    int // of set, without the list
	set     func(in *Instrument, c *channel, arg string) error
	get     func(in *Instrument, c *channel) string
	quiet   bool // set alters no output, setpoint, limit, ramp or latch
}

// run executes one unit, or says why not.
func (in *Instrument) run(u scpi.Unit) (answer string, err error) {
	args, chans, listed, err := in.list(u.Args)
	if err != nil {
		return "", err
	}
	failure := scpi.UndefinedHeader
	for _, cmd := range commands {
		if _, ok := cmd.pattern.Match(u.Header); !ok || u.Query && cmd.get == nil || !u.Query && cmd.set == nil {
			continue
		}
		switch {
		case cmd.channel && !listed:
			failure = scpi.ParameterMissing
			continue
		case !cmd.channel && listed:
			failure = scpi.ParameterExtra
			continue
		}
		if u.Query {
			return in.query(cmd, chans, args)
		}
		return "", in.order(cmd, chans, args, u.Text)
	}
	return "", failure
}

func (in *Instrument) query(cmd command, chans []*channel, args []string) (string, error) {
	if len(args) > 0 {
		return "", scpi.ParameterExtra
	}
	answers := make([]string, len(chans))
	for i, c := range chans {
		answers[i] = cmd.get(in, c)
	}
	return strings.Join(answers, ","), nil
}

// order goes on with the other channels when one of them refuses, as they do not know of each other.
func (in *Instrument) order(cmd command, chans []*channel, args []string, text string) (failure error) {
	arg := ""
	switch {
	case len(args) < cmd.args:
		return scpi.ParameterMissing
	case len(args) > cmd.args:
		return scpi.ParameterExtra
	case len(args) == 1:
		arg = args[0]
	}
	for _, c := range chans {
		err := cmd.set(in, c, arg)
		number := -1
		if c != nil {
			c.inputErr = err != nil
			number = c.number
		}
		if err != nil {
			failure = err
			continue
		}
		if !cmd.quiet {
			in.Altered(number, text)
		}
	}
	if failure == nil {
		in.inputErr = false
	}
	return failure
}

// list takes a channel list off the end of the parameters. Without one, the
// channels are a single nil: the module.
func (in *Instrument) list(args []string) (rest []string, chans []*channel, listed bool, err error) {
	if len(args) == 0 || !strings.HasPrefix(args[len(args)-1], "(") {
		return args, []*channel{nil}, false, nil
	}
	text, rest := args[len(args)-1], args[:len(args)-1]
	text, open := strings.CutPrefix(text, "(@")
	text, closed := strings.CutSuffix(text, ")")
	if !open || !closed {
		return nil, nil, false, scpi.SyntaxError
	}
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		a, errA := strconv.ParseUint(from, 10, 16)
		b, errB := strconv.ParseUint(to, 10, 16)
		if errA != nil || errB != nil {
			return nil, nil, false, scpi.SyntaxError
		}
		if a > b || b >= uint64(len(in.chans)) {
			return nil, nil, false, scpi.OutOfRange
		}
		if len(chans) > 1000 {
			return nil, nil, false, scpi.ParameterExtra
		}
		chans = append(chans, in.chans[a:b+1]...)
	}
	return rest, chans, true, nil
}

// engineering writes a number as the instrument does: 100.000E0, 1.1234E-3.
func engineering(v float64, digits int) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprintf("%.*fE0", digits-1, 0.0)
	}
	// Rounding to the digits first, as it may carry into the next power of ten.
	mantissa, power, _ := strings.Cut(fmt.Sprintf("%.*e", digits-1, v), "e")
	m, _ := strconv.ParseFloat(mantissa, 64)
	e, _ := strconv.Atoi(power)
	shift := ((e % 3) + 3) % 3
	return fmt.Sprintf("%.*fE%d", max(digits-1-shift, 0), m*math.Pow10(shift), e-shift)
}

func volts(v float64) string { return engineering(v, 6) + "V" }
func amps(i float64) string  { return engineering(i, 5) + "A" }
func speed(s float64) string { return engineering(s, 6) + "V/s" }
func bits(b uint32) string   { return strconv.FormatUint(uint64(b), 10) }

// word reads an unsigned register value.
func word(arg string) (uint32, error) {
	v, err := strconv.ParseUint(arg, 10, 32)
	if err != nil {
		return 0, scpi.NotNumeric
	}
	return uint32(v), nil
}

// integer reads a number between min and max.
func integer(arg string, low, high int) (int, error) {
	v, err := strconv.Atoi(arg)
	if err != nil {
		return 0, scpi.NotNumeric
	}
	if v < low || v > high {
		return 0, scpi.OutOfRange
	}
	return v, nil
}

var commands = append(append(common(), channelCommands()...), append(rampCommands(), moduleCommands()...)...)

func common() []command {
	row := func(pattern string, set func(in *Instrument), get func(in *Instrument) string) command {
		c := command{pattern: scpi.Compile(pattern), quiet: true}
		if set != nil {
			c.set = func(in *Instrument, _ *channel, _ string) error { set(in); return nil }
		}
		if get != nil {
			c.get = func(in *Instrument, _ *channel) string { return get(in) }
		}
		return c
	}
	nothing := func(*Instrument) {}
	reset := row("*RST", (*Instrument).reset, nil)
	reset.quiet = false
	clear := row("*CLS", (*Instrument).clearAll, nil)
	clear.quiet = false // it clears latches
	return []command{
		row("*IDN", nil, func(in *Instrument) string { return in.opts.IDN }),
		reset, clear,
		row("*OPC", func(in *Instrument) { in.esr |= 1 }, func(*Instrument) string { return "1" }),
		row("*ESR", nil, func(in *Instrument) string {
			esr := in.esr
			in.esr = 0
			return strconv.Itoa(esr)
		}),
		row("*INSTR", nil, func(*Instrument) string { return "EDCP" }),
		row("*LLO", nothing, nil),
		row("*GTL", nothing, nil),
		row("SYSTem:ERRor[:NEXT]", nil, func(in *Instrument) string { return in.errors.Next().Error() }),
	}
}

// reset is *RST: high voltage off with ramp, voltages to zero, currents to nominal.
func (in *Instrument) reset() {
	for _, c := range in.chans {
		c.SwitchOff()
		c.volt, c.curr = 0, in.opts.Current
	}
}

// clearAll is *CLS: all events of module and channels.
func (in *Instrument) clearAll() {
	in.errors.Clear()
	in.events, in.esr, in.inputErr = 0, 0, false
	for _, c := range in.chans {
		in.clearEvents(c, math.MaxUint32)
	}
}
