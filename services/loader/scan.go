package main

import (
	"errors"
	"fmt"
)

// maxDepth is how deep objects and lists may stand in each other.
const maxDepth = 64

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

// value is one value as it was written.
type value struct {
	token   token
	raw     []byte // a text's without its quotes
	escaped bool   // a text has backslashes in it
}

func (s *scanner) fail(want string) error {
	if s.i >= len(s.text) {
		return fmt.Errorf("ends where %s should be", want)
	}
	return fmt.Errorf("%q at byte %d where %s should be", s.text[s.i], s.i, want)
}

// peek is the next byte that is not space, or 0 at the end.
func (s *scanner) peek() byte {
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

// eat takes c if it comes next.
func (s *scanner) eat(c byte) bool {
	if s.peek() != c || s.i >= len(s.text) {
		return false
	}
	s.i++
	return true
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
	if s.eat(closing) {
		return false, nil
	}
	if !first && !s.eat(',') {
		return false, s.fail("a comma or the closing " + string(rune(closing)))
	}
	return true, nil
}

// key takes a key and its colon.
func (s *scanner) key() (value, error) {
	if s.peek() != '"' {
		return value{}, s.fail("a key")
	}
	k, err := s.string()
	if err == nil && !s.eat(':') {
		err = s.fail("a colon")
	}
	return k, err
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
		if s.i < len(s.text) && (s.text[s.i] == '+' || s.text[s.i] == '-') {
			s.i++
		}
		if !s.digits() {
			return value{}, s.fail("a digit")
		}
	}
	return value{token: number, raw: s.text[begin:s.i]}, nil
}

// digits takes digits and reports whether there were any.
func (s *scanner) digits() bool {
	begin := s.i
	for s.i < len(s.text) && s.text[s.i]-'0' <= 9 {
		s.i++
	}
	return s.i > begin
}

func (s *scanner) string() (value, error) {
	s.i++ // the quote
	v := value{token: text}
	for begin := s.i; s.i < len(s.text); s.i++ {
		switch c := s.text[s.i]; {
		case c == '"':
			v.raw = s.text[begin:s.i]
			s.i++
			return v, nil
		case c < ' ':
			return value{}, s.fail("a printable character")
		case c == '\\':
			v.escaped = true
			if err := s.escape(); err != nil {
				return value{}, err
			}
		}
	}
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

// skip takes a whole object or list.
func (s *scanner) skip(depth int) error {
	if depth >= maxDepth {
		return errDepth
	}
	closing := byte(']')
	object := s.text[s.i] == '{'
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
