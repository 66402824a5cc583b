package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// appendMapped appends the lines of a message that a rule takes. Whatever fits
// is stored; the error says what the first thing was that does not.
func (e *encoder) appendMapped(dst []byte, s *scanner, t *target, m *message, out outcome) ([]byte, outcome, error) {
	looks := formNumber
	switch s.peek() {
	case '{':
		looks = formObject
	case '[':
		looks = formList
	}
	if t.rule.form != auto && t.rule.form != looks {
		return dst, out, t.rule.wrap(fmt.Errorf("payload is to be %s, and this is %s", t.rule.form.article(), looks.article()))
	}
	var problem, err error
	begin := len(dst)
	switch {
	case looks == formNumber:
		dst, problem = e.appendNumber(dst, t, m)
	case looks == formList && s.holdsObjects():
		dst, problem, err = e.appendObjects(dst, s, t, m, &out)
	default:
		var p point
		if p, err = e.readForeign(s, t, 1); err == nil {
			dst, problem = e.finishForeign(dst, t, m, &p, &out)
		}
	}
	if err == nil && looks != formNumber {
		err = s.end()
	}
	if err != nil {
		return dst[:begin], outcome{kind: t.kind}, t.rule.wrap(fmt.Errorf("not JSON: %w", err))
	}
	if problem != nil {
		problem = t.rule.wrap(problem)
	}
	return dst, out, problem
}

func (f form) article() string {
	if f == formObject {
		return "an object"
	}
	return "a " + string(f)
}

// holdsObjects reports whether the first thing in a list is an object, or there
// is none.
func (s *scanner) holdsObjects() bool {
	ahead := scanner{text: s.text, i: s.i + 1}
	c := ahead.peek()
	return c == '{' || c == ']'
}

// appendNumber appends the line of a number that stands alone. true and false
// are 1 and 0.
func (e *encoder) appendNumber(dst []byte, t *target, m *message) ([]byte, error) {
	var x float64
	switch word := bytes.TrimSpace(m.Payload); string(word) {
	case "true":
		x = 1
	case "false":
	default:
		var err error
		if x, err = parseBare(m.Payload); err != nil {
			return dst, err
		}
	}
	e.tags = e.tags[:0]
	e.fields = append(e.fields[:0], t.rule.bare.field...)
	e.fields = strconv.AppendFloat(e.fields, x, 'g', -1, 64)
	return e.foreignLine(dst, t, m, new(point)), nil
}

// appendObjects appends a line for each object in a list.
func (e *encoder) appendObjects(dst []byte, s *scanner, t *target, m *message, out *outcome) (_ []byte, problem, err error) {
	begin := len(dst)
	s.i++ // the bracket
	for first := true; ; first = false {
		more, err := s.more(first, ']')
		if err != nil || !more {
			return dst, problem, err
		}
		var bad error
		if s.peek() != '{' {
			bad = errors.New("something else in a list of objects")
			_, err = s.value(1)
		} else {
			var p point
			if p, err = e.readForeign(s, t, 2); err != nil {
				return dst, nil, err
			}
			if !p.timed && t.rule.tagBits() == 0 && len(dst) > begin {
				p.complain("objects of a list without a time or tag_keys would all be one point")
				p.useless = true
			}
			dst, bad = e.finishForeign(dst, t, m, &p, out)
		}
		if err != nil {
			return dst, nil, err
		}
		if problem == nil {
			problem = bad
		}
	}
}

// readForeign takes an object, or a list of numbers, and finds in it what the
// rule wants.
func (e *encoder) readForeign(s *scanner, t *target, depth int) (p point, err error) {
	e.fields, e.tags, e.path = e.fields[:0], e.tags[:0], e.path[:0]
	return p, e.walk(s, t.rule, &p, depth)
}

// maxWalk is how deep a rule may look.
const maxWalk = 64

// walk goes through what is open at depth. e.path is where that stands.
func (e *encoder) walk(s *scanner, r *rule, p *point, depth int) error {
	object, closing := s.text[s.i] == '{', byte(']')
	if object {
		closing = '}'
	}
	s.i++
	here := len(e.path)
	for n := 0; ; n++ {
		more, err := s.more(n == 0, closing)
		if err != nil || !more {
			return err
		}
		e.path = e.path[:here]
		if here > 0 {
			e.path = append(e.path, '.')
		}
		if object {
			key, err := s.key()
			if err != nil {
				return err
			}
			if key.escaped {
				key.raw = []byte(unquote(key))
			}
			e.path = append(e.path, key.raw...)
		} else {
			e.path = strconv.AppendInt(e.path, int64(n), 10)
		}
		if c := s.peek(); (c == '{' || c == '[') && r.below(e.path) {
			if depth >= maxWalk {
				return errDepth
			}
			if err := e.walk(s, r, p, depth+1); err != nil {
				return err
			}
			continue
		}
		v, err := s.value(depth)
		if err != nil {
			return err
		}
		known := e.offer(r, p, v)
		if r.all && !known && here == 0 {
			e.takeUnnamed(r, p, object, v)
		}
	}
}

// offer gives a value to whoever wants what stands at e.path.
func (e *encoder) offer(r *rule, p *point, v value) (known bool) {
	for i := range r.wants {
		w := &r.wants[i]
		if w.path != string(e.path) {
			continue
		}
		known = true
		switch w.use {
		case asField:
			e.takeNamed(p, w, v)
		case asTag:
			e.takeTag(p, w, v)
		case asTime:
			p.takeForeignTime(&e.clock, r.format, v)
		}
	}
	return known
}

// takeNamed takes a field that the rule names: a number, or a text that holds
// one.
func (e *encoder) takeNamed(p *point, w *want, v value) {
	switch v.token {
	case nested:
		p.complain("field %s: there is an object or a list at %q", w.name, w.path)
	case text:
		x, err := parseBare(v.raw)
		if err != nil {
			p.complain("field %s: %w", w.name, err)
			return
		}
		e.fields = append(e.fields, w.column.field...)
		e.fields = strconv.AppendFloat(e.fields, x, 'g', -1, 64)
		p.numbers++
	default:
		e.number(p, &w.column, v)
	}
}

// takeUnnamed takes a field under its own name, where the rule names none.
// What is no number is left out, and so is what is a tag already.
func (e *encoder) takeUnnamed(r *rule, p *point, object bool, v value) {
	switch {
	case !object && v.token == nested:
		p.complain("something else in a list of numbers")
	case v.token != number && v.token != boolean:
	case !object:
		c := newColumn(mapped, "value"+string(e.path))
		e.number(p, &c, v)
	case string(e.path) == "time" || r.hasTag(string(e.path)):
		// InfluxDB has no field of that name.
	default:
		c := newColumn(mapped, string(e.path))
		e.number(p, &c, v)
	}
}

// takeTag takes a tag's value.
func (e *encoder) takeTag(p *point, w *want, v value) {
	if v.token == null || p.tags&w.bit != 0 {
		return
	}
	var word string
	switch v.token {
	case text:
		word = unquote(v)
	case number:
		x, err := strconv.ParseFloat(string(v.raw), 64)
		if err != nil {
			return
		}
		word = strconv.FormatFloat(x, 'f', -1, 64) // 3 and 3.0 are the same
	case boolean:
		word = "01"[b2i(v.raw[0] == 't'):][:1]
	case nested:
		p.complain("tag %s: there is an object or a list at %q", w.name, w.path)
		return
	}
	err := checkWord(word)
	if err == nil && len(word) > maxText {
		err = fmt.Errorf("%d bytes: at most %d", len(word), maxText)
	}
	if err != nil {
		p.complain("tag %s: %w", w.name, err)
		return
	}
	e.tags = append(append(e.tags, w.prefix...), escaped(word)...)
	p.tags |= w.bit
}

// finishForeign appends the line of a point, if it makes one.
func (e *encoder) finishForeign(dst []byte, t *target, m *message, p *point, out *outcome) ([]byte, error) {
	switch missing := t.rule.tagBits() &^ p.tags; {
	case p.useless:
		return dst, p.problem
	case missing != 0:
		p.complain("no %q for the tag %s", t.rule.tagOf(missing).path, t.rule.tagOf(missing).name)
		return dst, p.problem
	case p.numbers == 0:
		p.complain("nothing in it that is a number and that the rule wants")
		return dst, p.problem
	}
	if p.timed && out.time == 0 {
		out.time = p.time
	}
	return e.foreignLine(dst, t, m, p), p.problem
}

// foreignLine appends the line of a point. A retained message comes again with
// each subscription: without a time of its own it would be an old value that
// looks like a new one, so it is left out.
func (e *encoder) foreignLine(dst []byte, t *target, m *message, p *point) []byte {
	when := m.arrived
	switch {
	case p.timed:
		when = p.time
	case m.Retained:
		return dst
	}
	dst = append(append(dst, t.prefix...), e.tags...)
	dst = append(append(dst, ' '), e.fields[1:]...) // without the first comma
	dst = strconv.AppendInt(append(dst, ' '), when, 10)
	return append(dst, '\n')
}
