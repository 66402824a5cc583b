package psu

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"trackerdcs/pkg/wire"
)

// Limits is the operator's ranges of volts by channel.
type Limits map[int]Limit

// UnmarshalText reads the form of DCS_LIMITS: "0=0:500,1=-300:0".
func (l *Limits) UnmarshalText(b []byte) error {
	out := make(Limits)
	for part := range strings.SplitSeq(string(b), ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		number, limit, err := parseLimit(part)
		if err != nil {
			return fmt.Errorf("%q: %w, as in 0=0:500,1=-300:0", part, err)
		}
		if _, twice := out[number]; twice {
			return fmt.Errorf("%q: channel %d has a limit already", part, number)
		}
		out[number] = limit
	}
	*l = out
	return nil
}

func parseLimit(s string) (int, Limit, error) {
	ch, bounds, ok := strings.Cut(s, "=")
	lo, hi, ok2 := strings.Cut(bounds, ":")
	if !ok || !ok2 {
		return 0, Limit{}, fmt.Errorf("want channel=min:max")
	}
	number, err := strconv.ParseUint(strings.TrimSpace(ch), 10, 16)
	if err != nil {
		return 0, Limit{}, fmt.Errorf("%q is not a channel number", ch)
	}
	var l Limit
	for _, b := range []struct {
		s string
		v *float64
	}{{lo, &l.Min}, {hi, &l.Max}} {
		x, err := strconv.ParseFloat(strings.TrimSpace(b.s), 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) || strings.ContainsAny(b.s, "xX") {
			return 0, Limit{}, fmt.Errorf("%q is not a voltage", b.s)
		}
		*b.v = x
	}
	if l.Min > l.Max {
		return 0, Limit{}, fmt.Errorf("the minimum %g is above the maximum %g", l.Min, l.Max)
	}
	return int(number), l, nil
}

// limit is the effective range of a channel's voltage: the narrowest of model,
// the instrument's own limit and the operator's.
func (m *Machine) limit(c *channel) Limit {
	l := Limit{c.ChannelInfo.Min, c.ChannelInfo.Max}
	if c.Reading.Min.Valid {
		l.Min = max(l.Min, c.Reading.Min.V)
	}
	if c.Reading.Max.Valid {
		l.Max = min(l.Max, c.Reading.Max.V)
	}
	if o, ok := m.cfg.Limits[c.ChannelInfo.Number]; ok {
		l.Min, l.Max = max(l.Min, o.Min), min(l.Max, o.Max)
	}
	return l
}

// rangeOf is what a number for op on a channel must lie in.
func (m *Machine) rangeOf(op string, c *channel) (Limit, string) {
	switch op {
	case wire.SetI:
		top := c.ChannelInfo.MaxAmps
		if top == 0 {
			top = math.Inf(1)
		}
		if c.Reading.MaxAmps.Valid {
			top = min(top, c.Reading.MaxAmps.V)
		}
		return Limit{0, top}, "A"
	case wire.Ramp:
		return Limit{c.MinRamp, c.MaxRamp}, "V/s"
	}
	return m.limit(c), "V"
}

// closest is the valid value nearest to x; missing when none is valid.
func (l Limit) closest(x float64) wire.Value {
	if l.Min > l.Max {
		return wire.Value{}
	}
	return wire.Known(min(max(x, l.Min), l.Max))
}

// has reports whether x lies in the range, slack counted in.
func (l Limit) has(x, slack float64) bool { return x >= l.Min-slack && x <= l.Max+slack }

func (l Limit) text(unit string) string {
	if l.Min > l.Max {
		return "no value is allowed: the limits leave none"
	}
	return fmt.Sprintf("allowed are %g to %g %s", l.Min, l.Max, unit)
}

// Meta is the description of the instrument with its effective limits. Driver
// and period are the caller's to fill in. It reports false while the
// instrument has not been seen.
func (m *Machine) Meta() (wire.Meta, bool) {
	if !m.known {
		return wire.Meta{}, false
	}
	meta := wire.Meta{
		Kind: wire.KindPSU, Model: m.info.Model, Serial: m.info.Serial, Firmware: m.info.Firmware,
		Fields: map[string]wire.MetaField{
			"vmon": {Unit: "V", Tolerance: wire.Known(m.info.Tolerance)},
			"imon": {Unit: "A"},
		},
		Commands: map[string]wire.MetaOp{
			wire.Switch: {Values: []string{wire.On, wire.Off}}, wire.Lock: {}, wire.Unlock: {},
		},
	}
	for _, n := range m.numbers {
		l := m.limit(m.channels[n])
		meta.Channels = append(meta.Channels, wire.MetaChannel{Number: n, Min: wire.Known(l.Min), Max: wire.Known(l.Max)})
	}
	for op, f := range map[string]string{wire.SetV: "vreq", wire.SetI: "ireq", wire.Ramp: "ramp"} {
		if !m.ops[op] {
			continue
		}
		l, unit := m.widest(op)
		meta.Fields[f] = wire.MetaField{Unit: unit, Min: wire.Known(l.Min), Max: wire.Known(l.Max)}
		meta.Commands[op] = wire.MetaOp{Unit: unit, Min: wire.Known(l.Min), Max: wire.Known(l.Max)}
	}
	if m.ops[wire.Clear] {
		meta.Commands[wire.Clear] = wire.MetaOp{}
	}
	return meta, true
}

// widest is the range of op over all channels; a channel's own wins.
func (m *Machine) widest(op string) (Limit, string) {
	var lows, highs []float64
	unit := ""
	for _, n := range m.numbers {
		l, u := m.rangeOf(op, m.channels[n])
		lows, highs, unit = append(lows, l.Min), append(highs, l.Max), u
	}
	if len(lows) == 0 {
		return Limit{}, unit
	}
	return Limit{slices.Min(lows), slices.Max(highs)}, unit
}
