package scpi

import (
	"fmt"
	"strconv"
	"strings"

	"trackerdcs/pkg/wire"
)

// Number reads an answer such as 1.1234E-3A when the unit is "A"; the unit has
// to be there, because an answer without its end may be half a number. An
// empty unit means a plain number. Overflow codes (9.9E37 and more, NAN, INF;
// SCPI-99, 7.2.1) give a missing value and no error.
func Number(s, unit string) (wire.Value, error) {
	text := strings.TrimSpace(s)
	switch strings.ToUpper(text) {
	case "NAN", "INF", "NINF", "+INF", "-INF", "INFINITY", "-INFINITY":
		return wire.Value{}, nil
	}
	n := numberLen(text)
	if n == 0 || strings.TrimSpace(text[n:]) != unit {
		if unit == "" {
			return wire.Value{}, fmt.Errorf("answer %.40q is not a number", s)
		}
		return wire.Value{}, fmt.Errorf("answer %.40q is not a number in %s", s, unit)
	}
	x, err := strconv.ParseFloat(text[:n], 64)
	if err != nil { // its form is right, so it is too large: an overflow too
		return wire.Value{}, nil
	}
	return wire.Known(x), nil
}

// numberLen returns how many bytes of s are a decimal number (SCPI's NRf), 0
// if it does not begin with one.
func numberLen(s string) int {
	i, digits := 0, 0
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	for ; i < len(s) && isDigit(s[i]); i++ {
		digits++
	}
	if i < len(s) && s[i] == '.' {
		i++
		for ; i < len(s) && isDigit(s[i]); i++ {
			digits++
		}
	}
	if digits == 0 {
		return 0
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		if j < len(s) && isDigit(s[j]) {
			for ; j < len(s) && isDigit(s[j]); j++ {
			}
			i = j
		}
	}
	return i
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// List splits an answer at its commas and makes sure that it has n items: an
// answer of another length would give one channel's value to another.
func List(s string, n int) ([]string, error) {
	items := strings.Split(s, ",")
	if len(items) != n {
		return nil, fmt.Errorf("answer %.60q has %d items, want %d", s, len(items), n)
	}
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items, nil
}

// Numbers reads a list of n numbers with the same unit, as Number does.
func Numbers(s string, n int, unit string) ([]wire.Value, error) {
	items, err := List(s, n)
	if err != nil {
		return nil, err
	}
	out := make([]wire.Value, n)
	for i, item := range items {
		if out[i], err = Number(item, unit); err != nil {
			return nil, fmt.Errorf("item %d of %.60q: %w", i+1, s, err)
		}
	}
	return out, nil
}

// Register reads a status register of at most 32 bits, in decimal.
func Register(s string) (uint32, error) {
	x, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(s), "+"), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("answer %.40q is not a register", s)
	}
	return uint32(x), nil
}

// Registers reads a list of n registers.
func Registers(s string, n int) ([]uint32, error) {
	items, err := List(s, n)
	if err != nil {
		return nil, err
	}
	out := make([]uint32, n)
	for i, item := range items {
		if out[i], err = Register(item); err != nil {
			return nil, fmt.Errorf("item %d of %.60q: %w", i+1, s, err)
		}
	}
	return out, nil
}

// Bool reads 0 or 1.
func Bool(s string) (bool, error) {
	switch strings.TrimSpace(s) {
	case "0":
		return false, nil
	case "1":
		return true, nil
	}
	return false, fmt.Errorf("answer %.40q is neither 0 nor 1", s)
}

// Identity is the answer to *IDN? (IEEE 488.2, 10.14).
type Identity struct{ Maker, Model, Serial, Firmware string }

// ParseIdentity reads the four fields; a comma in the last one is kept.
func ParseIdentity(s string) (Identity, error) {
	f := strings.SplitN(s, ",", 4)
	if len(f) != 4 {
		return Identity{}, fmt.Errorf("answer %.60q is not an identity: maker, model, serial number, firmware", s)
	}
	for i := range f {
		f[i] = strings.TrimSpace(f[i])
	}
	return Identity{Maker: f[0], Model: f[1], Serial: f[2], Firmware: f[3]}, nil
}

// ParseError reads an answer to SYST:ERR?, such as -222,"Data out of range".
// Code 0 is no error.
func ParseError(s string) (code int, text string, err error) {
	number, text, ok := strings.Cut(strings.TrimSpace(s), ",")
	code, err = strconv.Atoi(strings.TrimSpace(number))
	if err != nil || !ok {
		return 0, "", fmt.Errorf("answer %.60q is not an entry of the error queue", s)
	}
	return code, strings.Trim(strings.TrimSpace(text), `"`), nil
}

// IsIdentity says whether an answer can be to *IDN? and to nothing else: four
// fields, the first of them a name. It is what Sync waits for.
func IsIdentity(s string) bool {
	id, err := ParseIdentity(s)
	if err != nil || !printable(s) || len(id.Maker) < 3 || id.Model == "" {
		return false
	}
	c := id.Maker[0] | 0x20
	return 'a' <= c && c <= 'z'
}
