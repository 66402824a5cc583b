package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"

	"trackerdcs/pkg/wire"
)

// maxText is how much of a text is stored, in bytes.
const maxText = 1024

// encoder turns messages into lines of InfluxDB's line protocol. It is for one
// goroutine: it keeps its scratch space, so that the same topics and keys cost
// no allocation.
type encoder struct {
	root    wire.Root
	rules   *mapping // for foreign topics, or nil
	targets map[string]*target
	fields  []byte // of the point at hand, each with a comma in front
	other   column // the last key that no table has
	clock   clock
	path    []byte // of a value in a foreign payload
	tags    []byte // that a foreign payload gives
}

func newEncoder(root wire.Root) *encoder {
	return &encoder{root: root, targets: make(map[string]*target)}
}

// outcome is what became of a message besides its lines. In a list of channels
// the first one that is not padding counts.
type outcome struct {
	kind     kind
	device   string // whose topic it is, if a device's
	boot     string
	seq      uint64
	numbered bool  // boot, seq and a time were all found and can be read
	mixed    bool  // another channel has another boot or seq
	time     int64 // the message's own time in ns, or 0
	skipped  int   // padded channels

	begun bool // an object was found that counts
}

// take takes over what an object says of the message as a whole.
func (o *outcome) take(p *point) {
	if o.begun {
		o.mixed = o.mixed || p.seq != o.seq || p.boot != o.boot
		return
	}
	o.begun, o.boot, o.seq = true, p.boot, p.seq
	if p.timed {
		o.time = p.time
	}
	o.numbered = p.whole && p.boot != "" && p.timed && !p.useless
}

// point is what is found in one object beside its fields.
type point struct {
	number   []byte // of a channel
	boot     string
	seq      uint64
	hasSeq   bool
	whole    bool  // seq is a whole number that a float holds exactly
	time     int64 // ns since 1970, if timed
	timed    bool
	numbers  int    // how many of the fields are numbers
	tags     uint64 // of a foreign payload: the bits of those that were found
	accepted bool   // the phase of an ack
	useless  bool   // nothing of it can be stored
	problem  error  // the first thing that could not be stored
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
	out := outcome{kind: t.kind, device: t.device}
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
	if t.kind == own {
		return append(dst, m.Payload...), out, nil
	}
	if t.kind == mapped {
		return e.appendMapped(dst, &s, t, m, out)
	}
	if t.kind == annotation {
		return e.appendAnnotation(dst, t, m, out)
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
		return dst[:begin], outcome{kind: t.kind, device: t.device}, fmt.Errorf("not JSON: %w", err)
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
	t.next = 0
	for first := true; ; first = false {
		more, err := s.more(first, '}')
		if err != nil {
			return dst, nil, err
		}
		if !more {
			break
		}
		c, err := e.column(s, t)
		if err != nil {
			return dst, nil, err
		}
		v, err := s.value(depth)
		if err != nil {
			return dst, nil, err
		}
		e.take(&p, t, c, channel, v)
	}
	return e.finish(dst, t, m, channel, &p, out), p.problem, nil
}

// column takes a key and finds what is done with its values. A device sends
// the same keys in the same order each time, so the one that is expected is
// tried first.
func (e *encoder) column(s *scanner, t *target) (*column, error) {
	s.peek()
	for range t.columns {
		if t.next >= len(t.columns) {
			t.next = 0
		}
		c := &t.columns[t.next]
		t.next++
		if s.known(c.quoted) {
			return c, s.colon()
		}
	}
	key, err := s.key()
	if err != nil {
		return nil, err
	}
	name := string(key.raw)
	if key.escaped {
		name = unquote(key)
	}
	e.other = newColumn(t.kind, name)
	if key.escaped || len(t.columns) == maxColumns || len(name) > maxColumnName {
		return &e.other, nil
	}
	e.other.quoted = `"` + name + `"`
	t.columns = append(t.columns, e.other)
	t.next = len(t.columns)
	return &e.other, nil
}

// take sorts a value into the point.
func (e *encoder) take(p *point, t *target, c *column, channel bool, v value) {
	switch c.role {
	case aNumber:
		e.number(p, c, v)
	case aTime:
		p.takeTime(&e.clock, v)
	case theChannel:
		if channel {
			p.takeNumber(v)
		} else {
			e.number(p, c, v)
		}
	case theSeq:
		p.takeSeq(v)
		e.number(p, c, v)
	case theBoot:
		if v.token == text {
			e.boot(p, t, c, v)
		}
	case aText:
		if v.token == text {
			e.text(c.field, v)
			p.accepted = p.accepted || c.field == phaseField && string(v.raw) == wire.Accepted
		}
	case aWord:
		if v.token == number || v.token == text {
			e.text(c.field, v)
		}
	case aValue:
		if v.token == text {
			e.text(valueText, v)
		} else {
			e.number(p, c, v)
		}
	case aReading:
		e.takeReading(p, c, v)
	}
}

// finish appends the line of a point, if it makes one.
func (e *encoder) finish(dst []byte, t *target, m *message, channel bool, p *point, out *outcome) []byte {
	if !channel || p.hasSeq {
		out.take(p)
	}
	switch {
	case channel && !p.hasSeq && p.problem == nil:
		out.skipped++ // a padded channel: it stands for no output
		return dst
	case channel && p.number == nil:
		p.complain("a channel without its number")
		return dst
	case p.useless:
		return dst
	case p.numbers == 0 && (len(e.fields) == 0 || t.kind != ack && t.kind != state && t.kind != runState):
		p.complain("nothing in it that is a number")
		return dst
	}
	if (t.kind == state || t.kind == runState) && e.repeats(t, p) {
		return dst
	}
	dst = append(dst, t.prefix...)
	if channel {
		dst = append(dst, ",number="...)
		dst = append(dst, p.number...)
	}
	dst = append(dst, ' ')
	dst = append(dst, e.fields[1:]...) // without the first comma
	dst = append(dst, ' ')
	when := m.arrived
	if p.timed {
		when = p.time
		if t.kind == ack {
			when += spread(p, m.Payload)
		}
	}
	dst = strconv.AppendInt(dst, when, 10)
	return append(dst, '\n')
}

// repeats reports whether a state without a time, as the last will is, says
// only what was last said on its topic. Retained, it comes again with every
// subscription, and each time it would be stored as something new. The state of
// a run comes with each step of its progress, so there the time does not count.
func (e *encoder) repeats(t *target, p *point) bool {
	said := hash(e.fields)
	again := said == t.state
	t.state = said
	return again && (!p.timed || t.kind == runState)
}

// elsewhere is called where what follows does not follow on what was: what a
// run's state was in between is not known here.
func (e *encoder) elsewhere() {
	if t := e.targets[e.root.RunState()]; t != nil {
		t.state = 0
	}
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
