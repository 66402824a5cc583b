package capsule

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	"trackerdcs/pkg/wire"
)

// maxDepth is how deep objects and lists may stand in each other.
const maxDepth = 32

var (
	errJSON  = errors.New("not JSON")
	errDepth = errors.New("nested too deep")
)

// scanner walks once over a JSON text and allocates nothing. It takes what
// encoding/json takes, and also NaN and Infinity, which Python's json writes:
// they stand for what could not be read.
type scanner struct {
	b []byte
	i int
}

// kind is what stands at a place.
type kind uint8

const (
	other kind = iota // true, false, null, NaN, Infinity, an object, a list
	number
	text
)

// value is a value as it was written; a text without its quotes.
type value struct {
	raw     []byte
	kind    kind
	escaped bool // a text has backslashes
}

// peek is the next byte that is not space, or 0 at the end.
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// take takes the next byte if it is c.
func (s *scanner) take(c byte) bool {
	if s.peek() != c || s.i >= len(s.b) {
		return false
	}
	s.i++
	return true
}

// end reports whether nothing follows.
func (s *scanner) end() bool { s.peek(); return s.i >= len(s.b) }

// more goes to the next element of what is open, or takes its closing byte.
func (s *scanner) more(first bool, closing byte) (bool, error) {
	switch {
	case s.take(closing):
		return false, nil
	case first || s.take(','):
		return true, nil
	}
	return false, errJSON
}

// key takes a key and its colon.
func (s *scanner) key() (value, error) {
	if s.peek() != '"' {
		return value{}, errJSON
	}
	k, err := s.text()
	if err == nil && !s.take(':') {
		err = errJSON
	}
	return k, err
}

// value takes what comes; depth is how many objects and lists are open.
func (s *scanner) value(depth int) (value, error) {
	switch c := s.peek(); {
	case c == '"':
		return s.text()
	case c == '-' || c-'0' <= 9:
		return s.number()
	case c == '{' || c == '[':
		return value{}, s.skip(c == '{', depth)
	}
	for _, w := range [...]string{"true", "false", "null", "NaN", "Infinity"} {
		if s.word(w) {
			return value{}, nil
		}
	}
	return value{}, errJSON
}

func (s *scanner) word(w string) bool {
	if end := s.i + len(w); end <= len(s.b) && string(s.b[s.i:end]) == w {
		s.i = end
		return true
	}
	return false
}

func (s *scanner) digits() bool {
	begin := s.i
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		s.i++
	}
	return s.i > begin
}

func (s *scanner) number() (value, error) {
	begin := s.i
	if s.b[s.i] == '-' {
		s.i++
		if s.word("Infinity") {
			return value{}, nil
		}
	}
	whole := s.i
	if !s.digits() || s.b[whole] == '0' && s.i > whole+1 {
		return value{}, errJSON
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if !s.digits() {
			return value{}, errJSON
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if !s.digits() {
			return value{}, errJSON
		}
	}
	return value{raw: s.b[begin:s.i], kind: number}, nil
}

func (s *scanner) text() (value, error) {
	v := value{kind: text}
	begin := s.i + 1
	for i := begin; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			v.raw, s.i = s.b[begin:i], i+1
			return v, nil
		case c < ' ':
			return v, errJSON
		case c == '\\':
			v.escaped = true
			n := escape(s.b[i+1:])
			if n == 0 {
				return v, errJSON
			}
			i += n
		}
	}
	return v, errJSON
}

// escape is how many bytes follow a backslash and belong to it, 0 for none.
func escape(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(b) < 5 {
			return 0
		}
		for _, c := range b[1:5] {
			if c-'0' > 9 && (c|0x20)-'a' > 5 {
				return 0
			}
		}
		return 5
	}
	return 0
}

// skip takes a whole object or list.
func (s *scanner) skip(object bool, depth int) error {
	if depth >= maxDepth {
		return errDepth
	}
	closing := byte(']')
	if object {
		closing = '}'
	}
	s.i++
	for first := true; ; first = false {
		more, err := s.more(first, closing)
		if err != nil || !more {
			return err
		}
		if object {
			if _, err := s.key(); err != nil {
				return err
			}
		}
		if _, err := s.value(depth + 1); err != nil {
			return err
		}
	}
}

// bytes is what a text says.
func (v value) bytes() []byte {
	if !v.escaped {
		return v.raw
	}
	var s string
	quoted := append(append([]byte{'"'}, v.raw...), '"')
	if json.Unmarshal(quoted, &s) != nil {
		return nil
	}
	return []byte(s)
}

// float is the number; not ok for what the contract knows as no value.
func (v value) float() (x float64, ok bool) {
	if v.kind != number {
		return 0, false
	}
	k := wire.Known(parseFloat(v.raw))
	return k.V, k.Valid
}

// tens are the powers of ten that a float64 has exactly.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// parseFloat reads a number of JSON, NaN if it is too large. Numbers of up to
// 15 digits without an exponent, nearly all, are one division: mantissa and
// power of ten are exact, so the result is rounded once.
func parseFloat(b []byte) float64 {
	var mantissa uint64
	digits, fraction, point := 0, 0, false
	neg := b[0] == '-'
	rest := b
	if neg {
		rest = b[1:]
	}
	for _, c := range rest {
		switch {
		case c == '.':
			point = true
			continue
		case c-'0' > 9 || digits == len(tens)-1:
			x, err := strconv.ParseFloat(string(b), 64) // does not allocate
			if err != nil {
				return math.NaN()
			}
			return x
		}
		mantissa = 10*mantissa + uint64(c-'0')
		digits++
		if point {
			fraction++
		}
	}
	x := float64(mantissa) / tens[fraction]
	if neg {
		return -x
	}
	return x
}

// clock reads times. The channels of a status carry the same one, so it keeps
// the last.
type clock struct {
	text []byte
	ns   int64
}

// The years that ns since 1970 in 64 bits hold in full.
const minYear, maxYear = 1678, 2261

// read gives a time of RFC 3339 in ns since 1970, if that can hold it.
func (c *clock) read(b []byte) (ns int64, ok bool) {
	if len(b) > 0 && string(b) == string(c.text) {
		return c.ns, true
	}
	t, ok := parseUTC(b)
	if !ok {
		var err error
		if t, err = time.Parse(time.RFC3339Nano, string(b)); err != nil || t.Year() < minYear || t.Year() > maxYear {
			return 0, false
		}
	}
	if len(b) <= 64 {
		c.text = append(c.text[:0], b...)
		c.ns = t.UnixNano()
	}
	return t.UnixNano(), true
}

// parseUTC reads what ours write, 2026-11-20T19:25:49.920528Z, faster than
// time.Parse; it leaves all else to that.
func parseUTC(b []byte) (t time.Time, ok bool) {
	const form = "0000-00-00T00:00:00"
	n := len(b) - 1
	if n < len(form) || n > len(form)+10 || b[n] != 'Z' {
		return t, false
	}
	for i := range len(form) {
		if form[i] == '0' && b[i]-'0' > 9 || form[i] != '0' && b[i] != form[i] {
			return t, false
		}
	}
	ns, scale := 0, 1_000_000_000
	if fraction := b[len(form):n]; len(fraction) > 0 {
		if fraction[0] != '.' || len(fraction) == 1 {
			return t, false
		}
		for _, c := range fraction[1:] {
			if c-'0' > 9 {
				return t, false
			}
			scale /= 10
			ns += int(c-'0') * scale
		}
	}
	two := func(i int) int { return 10*int(b[i]-'0') + int(b[i+1]-'0') }
	year, month, day := 100*two(0)+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	if year < minYear+1 || year > maxYear || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return t, false
	}
	t = time.Date(year, time.Month(month), day, hour, minute, second, ns, time.UTC)
	return t, t.Day() == day // no 31st of April
}
