package procedure

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"trackerdcs/pkg/wire"
)

// maxWhole is the largest whole number that JSON's numbers hold without a gap.
const maxWhole = 1 << 53

// Check holds what a sender gave against the parameters, and fills defaults in.
// The error says parameter, rule and value.
func (p *Procedure) Check(given wire.Parameters) (wire.Parameters, error) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if p.Parameters[name] == nil {
			return nil, fmt.Errorf("parameter %q is unknown: %s takes %s", wire.Echo(name), p.Name, p.takes())
		}
	}
	out := make(wire.Parameters, len(p.Parameters))
	for _, name := range slices.Sorted(maps.Keys(p.Parameters)) {
		q := p.Parameters[name]
		v, ok := given[name]
		if !ok {
			if q.Required {
				return nil, fmt.Errorf("parameter %s is missing: %s", name, q.wants())
			}
			v = q.Default
		}
		if err := q.check(v); err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
		if s, is := v.(string); is && strings.HasPrefix(s, "-") && !q.AllowDash && p.leads(name) {
			return nil, fmt.Errorf("parameter %s: %q begins with -, and the program would take it for an option", name, wire.Echo(s))
		}
		out[name] = v
	}
	return out, nil
}

func (p *Procedure) takes() string {
	if len(p.Parameters) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(p.Parameters)), ", ")
}

// check holds one value against its parameter.
func (q *Parameter) check(v any) error {
	switch q.Type {
	case wire.TypeString:
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("%v is not a string", v)
		}
		return q.checkString(s)
	case wire.TypeBool:
		if _, ok := v.(bool); !ok {
			return fmt.Errorf("%s is neither true nor false", show(v))
		}
		return nil
	}
	x, ok := v.(float64)
	if !ok {
		return fmt.Errorf("%s is not a number", show(v))
	}
	return q.checkNumber(x)
}

func show(v any) string {
	if s, ok := v.(string); ok {
		return strconv.Quote(wire.Echo(s))
	}
	return fmt.Sprint(v)
}

func (q *Parameter) checkNumber(x float64) error {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return fmt.Errorf("%v is not a finite number", x)
	case q.Type == wire.TypeInt && (x != math.Trunc(x) || math.Abs(x) > maxWhole):
		return fmt.Errorf("%s is not a whole number up to 2^53", number(x))
	case q.Min.Valid && x < q.Min.V:
		return fmt.Errorf("%s is below the minimum, %s", number(x), number(q.Min.V))
	case q.Max.Valid && x > q.Max.V:
		return fmt.Errorf("%s is above the maximum, %s", number(x), number(q.Max.V))
	case len(q.Values) > 0 && !slices.Contains(q.Values, any(x)):
		return fmt.Errorf("%s is none of %s", number(x), list(q.Values))
	}
	return nil
}

func (q *Parameter) checkString(s string) error {
	switch {
	case len(s) > q.Length:
		return fmt.Errorf("%d bytes (%q…): at most %d are allowed", len(s), wire.Echo(s), q.Length)
	case !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError):
		return fmt.Errorf("%q is not UTF-8", wire.Echo(s))
	}
	if i := strings.IndexFunc(s, hidden); i >= 0 {
		r, _ := utf8.DecodeRuneInString(s[i:])
		return fmt.Errorf("%q has the character %U, and control characters, line ends and invisible ones are never allowed", wire.Echo(s), r)
	}
	switch {
	case climbs(s):
		return fmt.Errorf("%q has .. in it, which leads out of a folder and is never allowed", wire.Echo(s))
	case len(q.Values) > 0 && !slices.Contains(q.Values, any(s)):
		return fmt.Errorf("%q is none of %s", wire.Echo(s), list(q.Values))
	case q.whole != nil && !q.whole.MatchString(s):
		return fmt.Errorf("%q does not fit the pattern %s", wire.Echo(s), q.Pattern)
	}
	return nil
}

// hidden reports whether a character cannot be seen or changes how others are:
// control characters, line and paragraph ends, writing directions, characters
// of no width.
func hidden(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs)
}

// climbs reports whether a path element is "..".
func climbs(s string) bool {
	return slices.Contains(strings.FieldsFunc(s, func(r rune) bool { return r == '/' || r == '\\' }), "..") ||
		strings.Contains(s, "../") || strings.Contains(s, "/..")
}

func (q *Parameter) wants() string {
	what := map[string]string{wire.TypeString: "a string", wire.TypeInt: "a whole number", wire.TypeFloat: "a number", wire.TypeBool: "true or false"}[q.Type]
	switch {
	case len(q.Values) > 0:
		return "one of " + list(q.Values)
	case q.Pattern != "":
		return "a string that fits " + q.Pattern
	case q.Min.Valid && q.Max.Valid:
		return fmt.Sprintf("%s from %s to %s", what, number(q.Min.V), number(q.Max.V))
	}
	return what
}

func list(values []any) string {
	var out []string
	for _, v := range values {
		out = append(out, word(v))
	}
	return strings.Join(out, ", ")
}

// word writes a value as it stands in an argument.
func word(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return number(v)
	}
	return ""
}

// number writes whole numbers as such, and others with the digits that they
// need, without an exponent as far as one can, which not every program reads.
func number(x float64) string {
	if x == math.Trunc(x) && math.Abs(x) <= maxWhole {
		return strconv.FormatInt(int64(x), 10)
	}
	if s := strconv.FormatFloat(x, 'f', -1, 64); len(s) <= 32 {
		return s
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

// complete reports what a parameter of the file lacks or has too much of. It
// compiles the pattern.
func (q *Parameter) complete() error {
	if q.Length == 0 {
		q.Length = DefaultLength
	}
	isNumber := q.Type == wire.TypeInt || q.Type == wire.TypeFloat
	switch {
	case q.Type == wire.TypeString && q.Pattern == "" && len(q.Values) == 0:
		return errors.New(`a string needs a pattern, as pattern: "M[0-9]{1,4}", or values: give one`)
	case q.Type != wire.TypeString && (q.Pattern != "" || q.AllowDash || q.Length != DefaultLength):
		return errors.New("pattern, max_length and allow_dash are for strings: leave them out")
	case !isNumber && (q.Min.Valid || q.Max.Valid):
		return errors.New("min and max are for int and float: leave them out")
	case q.Type == wire.TypeBool && len(q.Values) > 0:
		return errors.New("a bool is true or false: leave values out")
	case q.Min.Valid && q.Max.Valid && q.Min.V > q.Max.V:
		return fmt.Errorf("min %s is above max %s", number(q.Min.V), number(q.Max.V))
	case q.Required && q.Default != nil:
		return errors.New("required and default: keep one of them")
	case !q.Required && q.Default == nil:
		return errors.New("without a value there is no argument: say required: true, or give a default")
	}
	for _, v := range q.Values {
		if err := q.check(v); err != nil {
			return fmt.Errorf("values: %w", err)
		}
	}
	if q.Default != nil {
		if err := q.check(q.Default); err != nil {
			return fmt.Errorf("default: %w", err)
		}
	}
	return nil
}
