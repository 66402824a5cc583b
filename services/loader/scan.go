package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// maxDepth is how deep objects and lists may stand in each other, as for
// encoding/json.
const maxDepth = 10000

var errDepth = errors.New("nested too deep")

// scanner walks once over a JSON text and allocates nothing. It accepts what
// encoding/json calls valid, and also NaN, Infinity and -Infinity, which
// Python's json writes: they stand for a value that could not be read.
type scanner struct {
	text []byte
	i    int
}

// token is what kind of value stands there.
type token uint8

const (
	null token = iota // null, NaN, Infinity, -Infinity
	boolean
	number
	text
	nested // an object or a list; the scanner is past it
)

// value is one value as it was written. It has four words and not more, so that
// it travels in registers.
type value struct {
	raw     []byte // a text's without its quotes
	token   token
	escaped bool // a text has backslashes in it
	scaled  bool // a number has an exponent that is not negative: it can be huge
}

func (s *scanner) fail(want string) error {
	if s.i >= len(s.text) {
		return fmt.Errorf("ends where %s should be", want)
	}
	return fmt.Errorf("%q at byte %d where %s should be", s.text[s.i], s.i, want)
}

// peek is the next byte that is not space, or 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.text) && s.text[s.i] > ' ' {
		return s.text[s.i]
	}
	return s.space()
}

// space goes over what peek does not want to see.
func (s *scanner) space() byte {
	for s.i < len(s.text) {
		switch c := s.text[s.i]; c {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.peek(); s.i < len(s.text) {
		return s.fail("the end")
	}
	return nil
}

// more is asked before each element of an object or list that is open, and
// takes its comma, or the closing byte. first is true before the first.
func (s *scanner) more(first bool, closing byte) (bool, error) {
	switch c := s.peek(); {
	case c == closing:
		s.i++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.i++
		return true, nil
	}
	return false, s.fail("a comma or the closing " + string(rune(closing)))
}

// key takes a key and its colon.
func (s *scanner) key() (value, error) {
	if s.peek() != '"' {
		return value{}, s.fail("a key")
	}
	k, err := s.string()
	if err == nil {
		err = s.colon()
	}
	return k, err
}

// known takes a key if it is the one that is expected, given with its quotes.
// If not, it takes nothing.
func (s *scanner) known(quoted string) bool {
	end := s.i + len(quoted)
	if end > len(s.text) || string(s.text[s.i:end]) != quoted { // does not allocate
		return false
	}
	s.i = end
	return true
}

func (s *scanner) colon() error {
	if s.peek() != ':' {
		return s.fail("a colon")
	}
	s.i++
	return nil
}

// value takes the next value; depth is how many objects and lists are open.
func (s *scanner) value(depth int) (value, error) {
	switch c := s.peek(); {
	case c == '"':
		return s.string()
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == '{' || c == '[':
		return value{token: nested}, s.skip(depth)
	case c == 't':
		return s.word("true", boolean)
	case c == 'f':
		return s.word("false", boolean)
	case c == 'n':
		return s.word("null", null)
	case c == 'N':
		return s.word("NaN", null)
	case c == 'I':
		return s.word("Infinity", null)
	}
	return value{}, s.fail("a value")
}

func (s *scanner) word(word string, t token) (value, error) {
	if end := s.i + len(word); end <= len(s.text) && string(s.text[s.i:end]) == word {
		v := value{token: t, raw: s.text[s.i:end]}
		s.i = end
		return v, nil
	}
	return value{}, s.fail(word)
}

func (s *scanner) number() (value, error) {
	v := value{token: number}
	begin := s.i
	if s.text[s.i] == '-' {
		s.i++
		if s.i < len(s.text) && s.text[s.i] == 'I' {
			return s.word("Infinity", null)
		}
	}
	whole := s.i
	if !s.digits() {
		return value{}, s.fail("a digit")
	}
	if s.text[whole] == '0' && s.i > whole+1 {
		return value{}, fmt.Errorf("number at byte %d begins with 0", whole)
	}
	if s.i < len(s.text) && s.text[s.i] == '.' {
		s.i++
		if !s.digits() {
			return value{}, s.fail("a digit")
		}
	}
	if s.i < len(s.text) && s.text[s.i]|0x20 == 'e' {
		s.i++
		v.scaled = true
		if s.i < len(s.text) && (s.text[s.i] == '+' || s.text[s.i] == '-') {
			v.scaled = s.text[s.i] == '+'
			s.i++
		}
		if !s.digits() {
			return value{}, s.fail("a digit")
		}
	}
	v.raw = s.text[begin:s.i]
	return v, nil
}

// digits takes digits and reports whether there were any.
func (s *scanner) digits() bool {
	i := s.i
	for i < len(s.text) && s.text[i]-'0' <= 9 {
		i++
	}
	found := i > s.i
	s.i = i
	return found
}

func (s *scanner) string() (value, error) {
	v := value{token: text}
	begin := s.i + 1 // behind the quote
	for i := begin; i < len(s.text); i++ {
		c := s.text[i]
		if c > '"' && c != '\\' { // nearly all of them
			continue
		}
		s.i = i
		switch {
		case c == '"':
			v.raw = s.text[begin:i]
			s.i++
			return v, nil
		case c < ' ':
			return value{}, s.fail("a printable character")
		case c == '\\':
			v.escaped = true
			if err := s.escape(); err != nil {
				return value{}, err
			}
			i = s.i
		}
	}
	s.i = len(s.text)
	return value{}, s.fail("a closing quote")
}

// escape takes an escape but its last byte.
func (s *scanner) escape() error {
	s.i++
	if s.i >= len(s.text) {
		return s.fail("an escape")
	}
	switch s.text[s.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			s.i++
			if s.i >= len(s.text) || !isHex(s.text[s.i]) {
				return s.fail("a hexadecimal digit")
			}
		}
		return nil
	}
	return s.fail("an escape")
}

func isHex(c byte) bool {
	return c-'0' <= 9 || (c|0x20)-'a' <= 5
}

// skip takes a whole object or list, however much stands in it. It does not call
// itself, and keeps a bit of each level.
func (s *scanner) skip(depth int) error {
	var levels [maxDepth/64 + 1]uint64 // 1: an object
	for open := 0; ; {
		if depth+open >= maxDepth {
			return errDepth
		}
		levels[open/64] &^= 1 << (open % 64)
		levels[open/64] |= uint64(b2i(s.text[s.i] == '{')) << (open % 64)
		open++
		s.i++
		for first := true; ; first = false {
			object, closing := levels[(open-1)/64]>>((open-1)%64)&1 == 1, byte(']')
			if object {
				closing = '}'
			}
			more, err := s.more(first, closing)
			if err != nil {
				return err
			}
			if !more {
				if open--; open == 0 {
					return nil
				}
				continue
			}
			if object {
				if _, err := s.key(); err != nil {
					return err
				}
			}
			if c := s.peek(); c == '{' || c == '[' {
				break
			}
			if _, err := s.value(depth + open); err != nil {
				return err
			}
		}
	}
}

// clock reads times. The channels of a status carry the same one, so it keeps
// the last.
type clock struct {
	text []byte
	ns   int64
}

// maxTimeText is the longest time that is kept, in bytes: any number of digits may
// follow the point.
const maxTimeText = 64

// read gives a time of RFC 3339 in ns since 1970, if that can hold it.
func (c *clock) read(text []byte) (ns int64, ok bool) {
	if len(text) > 0 && bytes.Equal(text, c.text) {
		return c.ns, true
	}
	if ns, ok = parseUTC(text); !ok {
		t, err := time.Parse(time.RFC3339Nano, string(text))
		if err != nil || t.Year() < minYear || t.Year() > maxYear {
			return 0, false
		}
		ns = t.UnixNano()
	}
	if len(text) <= maxTimeText {
		c.text, c.ns = append(c.text[:0], text...), ns
	}
	return ns, true
}

// The years that ns since 1970 in 64 bits hold in full.
const (
	minYear = 1678
	maxYear = 2261
)

// parseUTC reads what all of ours write, 2026-11-20T19:25:49.920528Z, in a
// fraction of the time that time.Parse takes. What it does not know it leaves
// to that: ok is false.
func parseUTC(b []byte) (ns int64, ok bool) {
	const form = "0000-00-00T00:00:00Z"
	if len(b) < len(form) || len(b) > len(form)+10 || b[len(b)-1] != 'Z' {
		return 0, false
	}
	for i := range len(form) - 1 {
		if c := b[i]; form[i] == '0' && c-'0' > 9 || form[i] != '0' && c != form[i] {
			return 0, false
		}
	}
	two := func(i int) int { return 10*int(b[i]-'0') + int(b[i+1]-'0') }
	year, month, day := 100*two(0)+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	if year < 1970 || year > maxYear || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) ||
		hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	if fraction := b[len(form)-1 : len(b)-1]; len(fraction) > 0 {
		if fraction[0] != '.' || len(fraction) == 1 {
			return 0, false
		}
		scale := int64(1e9)
		for _, c := range fraction[1:] {
			if c-'0' > 9 {
				return 0, false
			}
			scale /= 10
			ns += int64(c-'0') * scale
		}
	}
	return ns + 1e9*(86400*days(year, month, day)+int64(3600*hour+60*minute+second)), true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// days counts the days since 1970. A year begins in March here, so that the
// day that some years have more is its last.
func days(year, month, day int) int64 {
	if month < 3 {
		year, month = year-1, month+12
	}
	return int64(365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 719469)
}
