package scpi

import (
	"fmt"
	"strconv"
	"strings"
)

// Number reads decimal numeric program data (IEEE 488.2, 7.7.2): 5, 5., .5,
// -1.5E3. NaN, infinities, hexadecimal and digits with underscores are none.
func Number(text string) (float64, error) {
	for i := range len(text) {
		if !strings.ContainsRune("0123456789+-.eE", rune(text[i])) {
			return 0, NotNumeric
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, NotNumeric
	}
	return v, nil
}

// Quantity reads a number with an optional unit, as "5", "5V" or "500 mV" for the unit V.
func Quantity(text, unit string) (float64, error) {
	upper, unit := strings.ToUpper(strings.TrimSpace(text)), strings.ToUpper(unit)
	number, found := strings.CutSuffix(upper, unit)
	scale := 1.0
	if found && unit != "" {
		number = strings.TrimSpace(number)
		if milli, ok := strings.CutSuffix(number, "M"); ok {
			number, scale = strings.TrimSpace(milli), 1e-3
		}
	}
	v, err := Number(number)
	return v * scale, err
}

// Bool reads a boolean: 0, 1, ON, OFF.
func Bool(text string) (bool, error) {
	switch strings.ToUpper(text) {
	case "1", "ON":
		return true, nil
	case "0", "OFF":
		return false, nil
	}
	return false, IllegalValue
}

// Word says whether text is a keyword in its short or its long form, as "MINimum".
func Word(text, keyword string) bool {
	_, ok := Compile(keyword).Match([]string{text})
	return ok
}

// Digit is "1" or "0".
func Digit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// Error is an entry of the error queue (SCPI-99 vol. 2, 21.8).
type Error struct {
	Code int
	Text string
}

// The errors that the simulated instruments know.
var (
	NoError          = &Error{0, "No error"}
	SyntaxError      = &Error{-102, "Syntax error"}
	DataType         = &Error{-104, "Data type error"}
	ParameterExtra   = &Error{-108, "Parameter not allowed"}
	ParameterMissing = &Error{-109, "Missing parameter"}
	UndefinedHeader  = &Error{-113, "Undefined header"}
	SuffixRange      = &Error{-114, "Header suffix out of range"}
	NotNumeric       = &Error{-120, "Numeric data error"}
	Conflict         = &Error{-221, "Settings conflict"}
	OutOfRange       = &Error{-222, "Data out of range"}
	IllegalValue     = &Error{-224, "Illegal parameter value"}
	Overflow         = &Error{-350, "Queue overflow"}
)

// Error makes it an error; the text is what SYST:ERR? answers.
func (e *Error) Error() string { return fmt.Sprintf("%d,%q", e.Code, e.Text) }

// queueSize is how many errors an instrument remembers.
const queueSize = 20

// Queue is an error queue: first in, first out.
type Queue struct{ list []*Error }

// Add appends an error; in a full queue the last one becomes an overflow.
func (q *Queue) Add(e *Error) {
	if len(q.list) >= queueSize {
		q.list[queueSize-1] = Overflow
		return
	}
	q.list = append(q.list, e)
}

// Next removes and returns the oldest error, NoError if there is none.
func (q *Queue) Next() *Error {
	if len(q.list) == 0 {
		return NoError
	}
	e := q.list[0]
	q.list = q.list[1:]
	return e
}

// Clear empties the queue.
func (q *Queue) Clear() { q.list = nil }
