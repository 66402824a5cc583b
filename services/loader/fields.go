package main

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"trackerdcs/pkg/wire"
)

func (p *point) takeTime(c *clock, v value) {
	switch v.token {
	case null:
		return
	case text:
		if ns, ok := c.read(v.raw); ok {
			p.time, p.timed = ns, true
			return
		}
	}
	p.complain("time %q is not a time of RFC 3339", wire.Echo(string(v.raw)))
	p.useless = true // when was it?
}

// takeSeq takes a message's number. One that is not whole, or too large for a
// float to hold, numbers nothing.
func (p *point) takeSeq(v value) {
	if v.token != number {
		return
	}
	p.hasSeq = true
	if isInteger(v.raw) {
		for _, c := range v.raw {
			p.seq = 10*p.seq + uint64(c-'0')
		}
		p.whole = true
		return
	}
	x, err := strconv.ParseFloat(string(v.raw), 64)
	if err == nil && x == math.Trunc(x) && x >= 0 && x < 1<<53 {
		p.seq, p.whole = uint64(x), true
	}
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

// isInteger reports whether raw is a whole number of at most nine digits
// without a sign.
func isInteger(raw []byte) bool {
	if len(raw) > 9 {
		return false
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// takeReading takes the value of a foreign sensor, as a number or as a text
// that holds one.
func (e *encoder) takeReading(p *point, c *column, v value) {
	if v.token != text {
		e.number(p, c, v)
		return
	}
	x, err := parseBare(v.raw)
	if err != nil {
		p.complain("value %w", err)
		return
	}
	e.fields = append(e.fields, c.field...)
	e.fields = strconv.AppendFloat(e.fields, x, 'g', -1, 64)
	p.numbers++
}

// number adds a numeric field. What is no number is left out, and so are
// infinities and an instrument's overflow code. Without a suffix a number is a
// float to InfluxDB.
func (e *encoder) number(p *point, c *column, v value) {
	switch {
	case v.token != number && v.token != boolean:
		return
	case v.token == number && (v.scaled || len(v.raw) > maxVerbatim) && e.large(p, c, v):
		return
	case c.err != nil:
		p.complain("key: %w", c.err)
		return
	}
	e.fields = append(e.fields, c.field...)
	p.numbers++
	if v.token == number {
		e.fields = append(e.fields, v.raw...)
	} else {
		e.fields = append(e.fields, "01"[b2i(v.raw[0] == 't')])
	}
}

// maxVerbatim is how long a number may be that is stored as it was written.
// One of that length without an exponent is far below an overflow code.
const maxVerbatim = 24

// large looks closer at a number that may be an overflow code or that has more
// digits than a float. It reports whether that settled it.
func (e *encoder) large(p *point, c *column, v value) bool {
	x, err := strconv.ParseFloat(string(v.raw), 64)
	if err != nil || math.Abs(x) >= wire.Overflow {
		return true
	}
	if len(v.raw) <= maxVerbatim || c.err != nil {
		return false
	}
	e.fields = append(e.fields, c.field...)
	e.fields = strconv.AppendFloat(e.fields, x, 'g', -1, 64)
	p.numbers++
	return true
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// boot adds the field that says which start of a driver this is. It stays the
// same for days: the topic keeps the last one, as it was written and as it is
// stored.
func (e *encoder) boot(p *point, t *target, c *column, v value) {
	if t.boot.field != "" && string(v.raw) == t.boot.raw {
		e.fields = append(e.fields, t.boot.field...)
		p.boot = t.boot.text
		return
	}
	begin := len(e.fields)
	e.text(c.field, v)
	if len(v.raw) > maxBoot {
		return // no driver's: stored, but numbers are not counted under it
	}
	name := string(v.raw)
	if v.escaped || !utf8.ValidString(name) {
		name = unquote(v)
	}
	t.boot = said{raw: string(v.raw), text: name, field: string(e.fields[begin:])}
	p.boot = name
}

// text adds a field that is a text, in one line: control characters become
// spaces.
func (e *encoder) text(field string, v value) {
	e.fields = append(append(e.fields, field...), '"')
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
