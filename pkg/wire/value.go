package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Overflow is where instruments' codes for "no value" begin: SCPI answers
// 9.9E37 for infinity and 9.91E37 for not-a-number (SCPI-99, 7.2.1.4).
const Overflow = 9.9e37

// Value is a number that may be missing. The zero Value is missing and is
// left out of payloads (with the omitzero option).
type Value struct {
	V     float64
	Valid bool
}

// Known makes a Value of x; NaN, infinities and overflow codes give a missing one.
func Known(x float64) Value {
	if math.IsNaN(x) || math.Abs(x) >= Overflow {
		return Value{}
	}
	return Value{V: x, Valid: true}
}

// IsZero reports whether the value is missing.
func (v Value) IsZero() bool { return !v.Valid }

// String writes the number, or "-" for a missing one.
func (v Value) String() string {
	if !v.Valid {
		return "-"
	}
	return strconv.FormatFloat(v.V, 'g', -1, 64)
}

// MarshalJSON writes the number, or null for a missing one.
func (v Value) MarshalJSON() ([]byte, error) {
	if !v.Valid {
		return []byte("null"), nil
	}
	return json.Marshal(v.V)
}

// UnmarshalJSON reads a number; null gives a missing value.
func (v *Value) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*v = Value{}
		return nil
	}
	var x float64
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	*v = Known(x)
	return nil
}

// Flag is a yes or no that may be unknown; on the bus it is 1, 0 or left out.
type Flag uint8

// The three things a Flag can say.
const (
	Unknown Flag = iota
	No
	Yes
)

// FlagOf turns a bool that is known into a Flag.
func FlagOf(b bool) Flag {
	if b {
		return Yes
	}
	return No
}

// IsZero reports whether the flag is unknown.
func (f Flag) IsZero() bool { return f == Unknown }

// String writes "on", "off" or "-".
func (f Flag) String() string {
	switch f {
	case Yes:
		return "on"
	case No:
		return "off"
	}
	return "-"
}

// MarshalJSON writes 1 or 0, or null when unknown.
func (f Flag) MarshalJSON() ([]byte, error) {
	switch f {
	case Yes:
		return []byte("1"), nil
	case No:
		return []byte("0"), nil
	}
	return []byte("null"), nil
}

// UnmarshalJSON reads 1, 0 or null.
func (f *Flag) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "1", "1.0", "true":
		*f = Yes
	case "0", "0.0", "false":
		*f = No
	case "null":
		*f = Unknown
	default:
		return fmt.Errorf("flag %.20q: want 0 or 1", b)
	}
	return nil
}
