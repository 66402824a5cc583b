package main

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"trackerdcs/pkg/wire"
)

// prefixes of currents: from that size on, and what is left of the number.
var prefixes = []struct {
	from, unit float64
	name       string
}{{1, 1, ""}, {1e-3, 1e-3, "m"}, {1e-6, 1e-6, "µ"}, {1e-9, 1e-9, "n"}, {0, 1e-12, "p"}}

// quantity writes a number with its unit: volts with decimals that do not
// jump, currents with a prefix, anything else with at most six digits.
func quantity(x float64, unit string) string {
	switch unit {
	case "V":
		digits := 3
		if math.Abs(x) >= 100 {
			digits = 2
		}
		return positiveZero(strconv.FormatFloat(x, 'f', digits, 64)) + " V"
	case "A":
		if x == 0 {
			return "0 A"
		}
		for _, p := range prefixes {
			if size := math.Abs(x) * (1 + 5e-5); size >= p.from { // 0.99999 mA is 1.000 mA
				return fixed(x/p.unit, 4) + " " + p.name + "A"
			}
		}
	}
	s := strconv.FormatFloat(x, 'g', 6, 64)
	if unit == "" {
		return s
	}
	return s + " " + unit
}

// fixed writes a number below 1000 with that many digits in all.
func fixed(x float64, digits int) string {
	whole := 1
	if a := math.Abs(x); a >= 10 {
		whole = int(math.Log10(a)) + 1
	}
	return positiveZero(strconv.FormatFloat(x, 'f', max(0, digits-whole), 64))
}

// positiveZero takes the sign off what rounds to nothing.
func positiveZero(s string) string {
	if t, ok := strings.CutPrefix(s, "-"); ok && strings.Trim(t, "0.") == "" {
		return t
	}
	return s
}

// value writes a value that may be missing.
func value(v wire.Value, unit string) string {
	if !v.Valid {
		return ""
	}
	return quantity(v.V, unit)
}

// number reads a field as a number.
func number(raw json.RawMessage) (float64, bool) {
	x, err := strconv.ParseFloat(string(raw), 64)
	return x, err == nil
}

// notes are what a channel has to say beyond its values, the worst first.
func notes(c *wire.Channel) string {
	var words []string
	for _, n := range []struct {
		flag wire.Flag
		word string
	}{
		{c.Trip, "TRIP"}, {c.Interlock, "INTERLOCK"}, {c.Limited, "limited"}, {c.Ramping, "ramping"}, {c.Locked, "locked"},
	} {
		if n.flag == wire.Yes {
			words = append(words, n.word)
		}
	}
	return strings.Join(words, ", ")
}

// ageText is how old something is, as coarse as people need it.
func ageText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	}
	return strconv.Itoa(int(d.Hours())) + " h"
}

// cut shortens text to width characters.
func cut(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
