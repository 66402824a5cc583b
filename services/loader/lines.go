package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"trackerdcs/pkg/wire"
)

// maxText is how much of a text is stored, in bytes.
const maxText = 1024

// encoder turns messages into lines of InfluxDB's line protocol. It is for one
// goroutine: it keeps its scratch space, so that the same topics and keys cost
// no allocation.
type encoder struct {
	root    wire.Root
	targets map[string]*target
	fields  []byte // of the point at hand
}

func newEncoder(root wire.Root) *encoder {
	return &encoder{root: root, targets: make(map[string]*target)}
}

// outcome is what became of a message besides its lines.
type outcome struct {
	kind    kind
	time    int64 // the last point's own time in ns, or 0
	skipped int   // padded channels

	device   string
	boot     string
	seq      uint64
	numbered bool
	mixed    bool
}

// point is what is found in one object beside its fields.
type point struct {
	number   []byte // of a channel
	seq      bool
	time     int64 // ns since 1970, if timed
	timed    bool
	numbers  int   // how many of the fields are numbers
	accepted bool  // the phase of an ack
	useless  bool  // nothing of it can be stored
	problem  error // the first thing that could not be stored
}

func (p *point) complain(format string, args ...any) {
	if p.problem == nil {
		p.problem = fmt.Errorf(format, args...)
	}
}

// appendLines appends the lines of m to dst, each with its line feed.
//
// A payload that is not JSON gives no lines and an error. In one that is,
// whatever can be stored is, and the error says what the first thing was that
// could not. An empty payload is what clearing a retained message looks like
// and gives nothing.
func (e *encoder) appendLines(dst []byte, m *message) ([]byte, outcome, error) {
	t := e.target(m.Topic)
	out := outcome{kind: t.kind}
	switch {
	case t.err != nil:
		return dst, out, t.err
	case m.length > maxPayload:
		return dst, out, fmt.Errorf("%d bytes: more than a message may have", m.length)
	}
	s := scanner{text: m.Payload}
	first := s.peek()
	if first == 0 && s.i == len(s.text) {
		return dst, out, nil
	}
	if t.kind == sensor && first != '{' {
		return e.appendBare(dst, t, m, out)
	}
	begin := len(dst)
	dst, problem, err := e.appendAll(dst, &s, t, m, &out)
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return dst[:begin], outcome{kind: t.kind}, fmt.Errorf("not JSON: %w", err)
	}
	return dst, out, problem
}

// appendAll appends the points of an object, or of a list of channels.
func (e *encoder) appendAll(dst []byte, s *scanner, t *target, m *message, out *outcome) (_ []byte, problem, err error) {
	if s.peek() == '{' {
		return e.appendObject(dst, s, t, m, false, out)
	}
	if s.peek() != '[' || t.kind != status && t.kind != replay {
		_, err := s.value(0)
		return dst, fmt.Errorf("a %s has to be an object", t.kind), err
	}
	s.i++
	for first := true; ; first = false {
		more, err := s.more(first, ']')
		if err != nil || !more {
			return dst, problem, err
		}
		var bad error
		if s.peek() == '{' {
			dst, bad, err = e.appendObject(dst, s, t, m, true, out)
		} else {
			bad = errors.New("a channel has to be an object")
			_, err = s.value(1)
		}
		if err != nil {
			return dst, nil, err
		}
		if problem == nil {
			problem = bad
		}
	}
}

// appendObject appends the line of one object.
func (e *encoder) appendObject(dst []byte, s *scanner, t *target, m *message, channel bool, out *outcome) (_ []byte, problem, err error) {
	var p point
	e.fields = e.fields[:0]
	depth := 1
	if channel {
		depth = 2
	}
	s.i++ // the brace
	for first := true; ; first = false {
		more, err := s.more(first, '}')
		if err != nil {
			return dst, nil, err
		}
		if !more {
			break
		}
		key, err := s.key()
		if err != nil {
			return dst, nil, err
		}
		v, err := s.value(depth)
		if err != nil {
			return dst, nil, err
		}
		if key.escaped {
			key.raw = []byte(unquote(key))
		}
		e.take(&p, t.kind, channel, key.raw, v)
	}
	return e.finish(dst, t, m, channel, &p, out), p.problem, nil
}

// take sorts one key of an object into the point.
func (e *encoder) take(p *point, k kind, channel bool, key []byte, v value) {
	switch name := string(key); { // does not leave this function: no allocation
	case name == "time":
		p.takeTime(v)
	case k == sensor:
		if name == "value" {
			e.takeReading(p, v)
		}
	case channel && name == "number":
		p.takeNumber(v)
	case k == ack && name == "channel":
		if v.token == number || v.token == text {
			e.text("channel", v) // always a text: it can be "all"
		}
	case k == ack && name == "value" && v.token == text:
		e.text("value_text", v) // a field has one type, and value is a number
	case isText(k, name):
		if v.token == text {
			e.text(name, v)
			p.accepted = p.accepted || name == "phase" && string(v.raw) == wire.Accepted
		}
	default:
		p.seq = p.seq || name == "seq" && v.token == number
		e.number(p, key, v)
	}
}

// isText reports whether key is one of the texts that are kept of a kind. All
// other texts are dropped: in an archive of measurements they are noise, or a
// number whose driver has changed its mind.
func isText(k kind, key string) bool {
	switch key {
	case "boot":
		return true
	case "op", "phase", "code", "id", "user", "message":
		return k == ack
	case "state", "error":
		return k == state
	}
	return false
}

func (p *point) takeTime(v value) {
	switch v.token {
	case null:
		return
	case text:
		if t, err := time.Parse(time.RFC3339Nano, string(v.raw)); err == nil && t.Year() > 1677 && t.Year() < 2262 {
			p.time, p.timed = t.UnixNano(), true
			return
		}
	}
	p.complain("time %q is not a time of RFC 3339", wire.Echo(string(v.raw)))
	p.useless = true // when was it?
}

func (p *point) takeNumber(v value) {
	if v.token == number {
		if isInteger(v.raw) {
			p.number = v.raw
			return
		}
		if x, err := strconv.ParseFloat(string(v.raw), 64); err == nil && x == math.Trunc(x) && math.Abs(x) < 1e9 {
			p.number = strconv.AppendInt(nil, int64(x), 10)
			return
		}
	}
	p.complain("channel number %q is not a whole number", wire.Echo(string(v.raw)))
}

func isInteger(raw []byte) bool {
	return len(raw) < 10 && raw[0] != '-' && !bytes.ContainsAny(raw, ".eE")
}

// takeReading takes the value of a foreign sensor, as a number or as a text
// that holds one.
func (e *encoder) takeReading(p *point, v value) {
	if v.token != text {
		e.number(p, []byte("value"), v)
		return
	}
	x, err := parseBare(v.raw)
	if err != nil {
		p.complain("value %w", err)
		return
	}
	e.name("value")
	p.numbers++
	e.fields = strconv.AppendFloat(e.fields, x, 'g', -1, 64)
}

// number adds a numeric field. What is no number is left out, and so are
// infinities and an instrument's overflow code.
func (e *encoder) number(p *point, key []byte, v value) {
	switch v.token {
	case number:
		verbatim := len(v.raw) <= 24
		if !verbatim || bytes.ContainsAny(v.raw, "eE") {
			x, err := strconv.ParseFloat(string(v.raw), 64)
			if err != nil || math.Abs(x) >= wire.Overflow {
				return
			}
			if !verbatim {
				if e.key(p, key) {
					e.fields = strconv.AppendFloat(e.fields, x, 'g', -1, 64)
				}
				return
			}
		}
		if e.key(p, key) {
			e.fields = append(e.fields, v.raw...) // without a suffix it is a float to InfluxDB
		}
	case boolean:
		if e.key(p, key) {
			e.fields = append(e.fields, "01"[b2i(v.raw[0] == 't')])
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// key begins a numeric field whose name comes from outside, if line protocol can write
// the name.
func (e *encoder) key(p *point, key []byte) bool {
	plain := len(key) > 0
	for _, c := range key {
		plain = plain && (c >= '0' && c <= '9' || c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z')
	}
	if plain {
		e.name(string(key))
		p.numbers++
		return true
	}
	name := string(key)
	if err := checkWord(name); err != nil {
		p.complain("key: %w", err)
		return false
	}
	e.name(escaped(name))
	p.numbers++
	return true
}

// name begins a field.
func (e *encoder) name(name string) {
	if len(e.fields) > 0 {
		e.fields = append(e.fields, ',')
	}
	e.fields = append(append(e.fields, name...), '=')
}

// text adds a field that is a text, in one line: control characters become
// spaces.
func (e *encoder) text(name string, v value) {
	e.name(name)
	e.fields = append(e.fields, '"')
	raw := v.raw
	if v.escaped || !utf8.Valid(raw) {
		raw = []byte(unquote(v))
	}
	if len(raw) > maxText {
		raw = cut(raw, maxText)
	}
	for _, c := range raw {
		switch {
		case c == '"' || c == '\\':
			e.fields = append(e.fields, '\\', c)
		case c < ' ' || c == 0x7f:
			e.fields = append(e.fields, ' ')
		default:
			e.fields = append(e.fields, c)
		}
	}
	e.fields = append(e.fields, '"')
}

// cut shortens text to at most n bytes without breaking a rune.
func cut(text []byte, n int) []byte {
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// unquote takes the escapes out of a text, and what is not UTF-8 with them.
func unquote(v value) string {
	var s string
	quoted := append(append([]byte{'"'}, v.raw...), '"')
	_ = json.Unmarshal(quoted, &s) // the scanner has found it valid
	return strings.ToValidUTF8(s, "\uFFFD")
}

// finish appends the line of a point, if it makes one.
func (e *encoder) finish(dst []byte, t *target, m *message, channel bool, p *point, out *outcome) []byte {
	switch {
	case channel && !p.seq && p.problem == nil:
		out.skipped++ // a padded channel: it stands for no output
		return dst
	case channel && p.number == nil:
		p.complain("a channel without its number")
		return dst
	case p.useless:
		return dst
	case p.numbers == 0 && (len(e.fields) == 0 || t.kind != ack && t.kind != state):
		p.complain("nothing in it that is a number")
		return dst
	}
	if t.kind == state && e.repeats(t, p) {
		return dst
	}
	dst = append(dst, t.prefix...)
	if channel {
		dst = append(dst, ",number="...)
		dst = append(dst, p.number...)
	}
	dst = append(dst, ' ')
	dst = append(dst, e.fields...)
	dst = append(dst, ' ')
	when := m.arrived
	if p.timed {
		when, out.time = p.time, p.time
		if t.kind == ack {
			when += spread(p, m.Payload)
		}
	}
	dst = strconv.AppendInt(dst, when, 10)
	return append(dst, '\n')
}

// repeats reports whether a state without a time, as the last will is, says
// only what was last said on its topic. Retained, it comes again with every
// subscription, and each time it would be stored as something new.
func (e *encoder) repeats(t *target, p *point) bool {
	said := hash(e.fields)
	again := said == t.said
	t.said = said
	return again && !p.timed
}

// spread keeps acks apart that a driver wrote at the same time, which to
// InfluxDB would be one point. Times of ours are whole microseconds, so the
// nanoseconds are free: they are made from what the ack says, so that the same
// ack is always the same point, and accepted comes before what ends a command.
func spread(p *point, payload []byte) int64 {
	if p.time%1000 != 0 {
		return 0
	}
	ns := int64(hash(payload) % 500)
	if !p.accepted {
		ns += 500
	}
	return ns
}

// hash is FNV-1a, 64 bits: the same in every process.
func hash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// appendBare appends the line of a foreign sensor that sends a number alone.
func (e *encoder) appendBare(dst []byte, t *target, m *message, out outcome) ([]byte, outcome, error) {
	x, err := parseBare(m.Payload)
	if err != nil {
		return dst, out, err
	}
	dst = append(dst, t.prefix...)
	dst = append(dst, " value="...)
	dst = strconv.AppendFloat(dst, x, 'g', -1, 64)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, m.arrived, 10)
	return append(dst, '\n'), out, nil
}

// parseBare reads a decimal number as small devices write it: "100.", "+.5"
// and spaces around it are fine; hexadecimal, "nan" and "inf" are not.
func parseBare(raw []byte) (float64, error) {
	word := bytes.TrimSpace(raw)
	if len(word) == 0 || len(word) > 64 || len(bytes.Trim(word, "0123456789+-.eE")) > 0 {
		return 0, fmt.Errorf("%q is not a number", wire.Echo(string(raw)))
	}
	x, err := strconv.ParseFloat(string(word), 64)
	if err != nil || math.Abs(x) >= wire.Overflow {
		return 0, fmt.Errorf("%q is not a number", wire.Echo(string(raw)))
	}
	return x, nil
}
