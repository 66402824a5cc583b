package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"trackerdcs/pkg/wire"
)

// line is one line of the picture and its colour.
type line struct{ text, color string }

// columns of the table of channels.
var columns = []struct {
	head  string
	right bool
}{{"ch", true}, {"label", false}, {"on", false}, {"vmon", true}, {"vreq", true}, {"imon", true}, {"ireq", true}, {"ramp", true}, {"", false}}

// render draws what is known as text of at most width characters a line; a
// width of 0 cuts nothing.
func (m *model) render(now time.Time, width int) string {
	var b strings.Builder
	for _, l := range m.lines(now, width) {
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	return b.String()
}

func (m *model) lines(now time.Time, width int) []line {
	var out []line
	widths := m.widths(now)
	for i, name := range m.names() {
		if i > 0 {
			out = append(out, line{})
		}
		out = append(out, m.devices[name].lines(now, widths)...)
	}
	if len(m.services) > 0 {
		out = append(out, line{}, m.serviceLine())
	}
	for i := range out {
		out[i].text = cut(strings.TrimRight(oneLine(out[i].text), " "), width)
	}
	return out
}

// widths are those of the columns, over all devices, so that they stand below
// each other. A column that nobody fills has none.
func (m *model) widths(now time.Time) []int {
	w := make([]int, len(columns))
	for _, d := range m.devices {
		for _, r := range d.rows {
			if r.channel == nil {
				continue
			}
			for i, c := range d.cells(r, now) {
				w[i] = max(w[i], utf8.RuneCountInString(c))
			}
		}
	}
	for i, c := range columns {
		if w[i] > 0 {
			w[i] = max(w[i], len(c.head))
		}
	}
	return w
}

func (d *device) cells(r row, now time.Time) []string {
	c := r.channel
	on := ""
	if c.On != wire.Unknown {
		on = c.On.String()
	}
	cells := []string{
		strconv.Itoa(c.Number), d.label(c.Number), on,
		value(c.VMon, "V"), value(c.VReq, "V"), value(c.IMon, "A"), value(c.IReq, "A"), value(c.Ramp, "V/s"), notes(c),
	}
	if d.freshness(now) == invalid {
		for i := 2; i < len(cells); i++ {
			cells[i] = doubted(cells[i])
		}
	}
	return cells
}

// doubted marks a value that was and need not be.
func doubted(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

func (d *device) lines(now time.Time, widths []int) []line {
	out := []line{d.head(now)}
	age := plain
	if d.status != nil && d.freshness(now) != fresh {
		age = dim
	}
	if len(d.rows) > 0 && d.rows[0].channel != nil {
		heads := make([]string, len(columns))
		for i, c := range columns {
			heads[i] = c.head
		}
		out = append(out, line{aligned(heads, widths), dim})
	}
	for _, r := range d.rows {
		if r.channel == nil {
			out = append(out, d.fieldLines(r, now, age)...)
			continue
		}
		l := line{aligned(d.cells(r, now), widths), age}
		switch c := r.channel; {
		case age != plain:
		case c.Trip == wire.Yes || c.Interlock == wire.Yes:
			l.color = red
		case c.Limited == wire.Yes || c.Ramping == wire.Yes:
			l.color = yellow
		case c.On == wire.Yes:
			l.color = green
		}
		out = append(out, l)
	}
	return out
}

// head is the line of a device: its name, state, what it is, and how old what
// it said is.
func (d *device) head(now time.Time) line {
	l := line{color: bold}
	parts := []string{d.name}
	switch s := d.state; s.State {
	case "":
		if !strings.HasPrefix(d.name, "sensor/") {
			parts = append(parts, "state unknown")
		}
	case wire.Ready:
		parts = append(parts, s.State)
	default:
		l.color = yellow
		if d.gone() {
			l.color = red
		}
		text := s.State
		if !s.Since.IsZero() && s.State != wire.Starting {
			text += " since " + s.Since.Local().Format("2006-01-02 15:04:05")
		}
		if s.Error != "" {
			text += ": " + s.Error
		}
		parts = append(parts, text)
	}
	if d.meta != nil && d.meta.Model != "" {
		parts = append(parts, strings.TrimSpace(d.meta.Model+" "+d.meta.Serial))
	}
	old := ageText(now.Sub(d.arrived))
	switch {
	case d.status == nil:
		if !d.gone() {
			parts = append(parts, "no status yet")
		}
	case d.freshness(now) == invalid:
		parts = append(parts, "INVALID: the last status came "+old+" ago")
		l.color = red
	case d.freshness(now) == stale:
		parts = append(parts, "stale: the last status came "+old+" ago")
		if l.color == bold {
			l.color = yellow
		}
	case d.period() == 0:
		parts = append(parts, old+" ago")
	}
	if d.problem != "" {
		parts = append(parts, d.problem)
		l.color = red
	}
	l.text = strings.Join(parts, "  ")
	return l
}

// notMeasured are the fields of a status that say about it and measure
// nothing.
var notMeasured = map[string]bool{"time": true, "seq": true, "boot": true}

// fieldLines are the measurements of a sensor.
func (d *device) fieldLines(r row, now time.Time, color string) []line {
	widest := 0
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(r.fields)), func(n string) bool { return notMeasured[n] })
	for _, n := range names {
		widest = max(widest, utf8.RuneCountInString(n))
	}
	var out []line
	for _, n := range names {
		text := d.fieldText(r, n)
		if d.freshness(now) == invalid {
			text = doubted(text)
		}
		out = append(out, line{"  " + n + strings.Repeat(" ", widest-utf8.RuneCountInString(n)+2) + text, color})
	}
	return out
}

// fieldText is one field for people.
func (d *device) fieldText(r row, field string) string {
	raw := r.fields[field]
	if x, ok := number(raw); ok {
		return quantity(x, d.unit(field))
	}
	return string(raw)
}

func (m *model) serviceLine() line {
	l := line{color: dim}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m.services)) {
		s := m.services[name]
		text := name + " " + s.State
		if s.Error != "" && s.State != wire.Ready {
			text += " (" + s.Error + ")"
		}
		if s.State != wire.Ready && s.State != wire.Stopped {
			l.color = yellow
		}
		parts = append(parts, text)
	}
	l.text = "services: " + strings.Join(parts, ", ")
	return l
}

// aligned puts cells below their heads.
func aligned(cells []string, widths []int) string {
	var b strings.Builder
	for i, c := range cells {
		if widths[i] == 0 {
			continue
		}
		pad := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(c)))
		b.WriteString("  ")
		if columns[i].right {
			b.WriteString(pad + c)
		} else {
			b.WriteString(c + pad)
		}
	}
	return b.String()
}
