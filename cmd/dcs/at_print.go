package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"trackerdcs/pkg/history"
	"trackerdcs/pkg/wire"
)

// Fields of a supply: those with a column, in this order, and those that are a
// word when they are 1.
var (
	supplyFields = []string{"on", "vreq", "vmon", "ireq", "imon", "ramp"}
	supplyWords  = []string{"trip", "interlock", "limited", "ramping", "locked"}
)

func (p *picture) print(con console) {
	fmt.Fprintln(con.out, con.paint(bold, stamp(p.at))+p.runText())
	for _, d := range p.devices {
		if len(d.rows) == 0 && d.newest.IsZero() && !p.one {
			continue // it had said nothing yet
		}
		fmt.Fprintln(con.out)
		fmt.Fprintln(con.out, con.paint(bold, oneLine(d.name))+p.stateText(con, d.name))
		switch {
		case len(d.rows) > 0:
			t := d.table(p.at)
			t.print(con, "  ")
		case d.newest.IsZero():
			fmt.Fprintln(con.out, con.paint(yellow, "  the archive has no value of it from before"))
		default:
			fmt.Fprintln(con.out, con.paint(yellow, fmt.Sprintf("  no value: the last one is of %s, %s before", stamp(d.newest), ageText(p.at.Sub(d.newest)))))
		}
	}
	if rest := p.others(); rest != "" {
		fmt.Fprintf(con.out, "\n%s\n", con.paint(dim, rest))
	}
}

func (p *picture) runText() string {
	if p.run == nil {
		return "  in no run"
	}
	if p.unsure() {
		return oneLine(fmt.Sprintf("  run %d (%s) began at %s; its end is not in the archive", p.run.Number, p.run.Procedure, stamp(p.run.Start)))
	}
	return oneLine(fmt.Sprintf("  in run %d (%s, %s)", p.run.Number, p.run.Procedure, cmp.Or(p.run.State, wire.RunRunning)))
}

func (p *picture) stateText(con console, name string) string {
	s, ok := p.states[name]
	if !ok {
		return ""
	}
	text := "  " + s.State + " since " + stamp(time.Unix(0, s.Time))
	if s.Error != "" {
		text += ": " + s.Error
	}
	color := plain
	if s.State != wire.Ready {
		color = yellow
	}
	return con.paint(color, oneLine(text))
}

// others are the states of what has no values.
func (p *picture) others() string {
	if p.one {
		return ""
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(p.states)) {
		if !slices.ContainsFunc(p.devices, func(d deviceAt) bool { return d.name == name }) {
			parts = append(parts, name+" "+p.states[name].State)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return oneLine("others: " + strings.Join(parts, ", "))
}

// table has a line for each channel.
func (d deviceAt) table(at time.Time) *table {
	fields := d.fields()
	t := &table{heads: []string{">ch", ""}}
	for _, f := range fields {
		t.heads = append(t.heads, ">"+f)
	}
	t.heads = append(t.heads, "", "")
	for _, r := range d.rows {
		age := at.Sub(r.Time)
		cells, color := []string{r.Channel(), tagText(r.Tags)}, plain
		for _, f := range fields {
			cells = append(cells, cellText(r, f, at))
		}
		note := agedText(age) + " before"
		switch currencyOf(age, r.Period) {
		case staleThen:
			note, color = "STALE: "+note, yellow
		case unknowable:
			note, color = "not known to be current: "+note, yellow
		}
		words := wordsOf(r)
		if color != plain {
			words = doubted(words)
		}
		t.add(color, append(cells, words, note)...)
	}
	return t
}

// fields are those with a column.
func (d deviceAt) fields() []string {
	has := make(map[string]bool)
	for _, r := range d.rows {
		for f := range r.Fields {
			has[f] = !notMeasured[f] && (r.Channel() == "" || !slices.Contains(supplyWords, f))
		}
	}
	maps.DeleteFunc(has, func(_ string, shown bool) bool { return !shown })
	var names []string
	for _, f := range supplyFields {
		if has[f] {
			names = append(names, f)
			delete(has, f)
		}
	}
	return append(names, slices.Sorted(maps.Keys(has))...)
}

// cellText is a value; one that is not current stands in parentheses, and one
// that is older than the channel's last point has its own age with it.
func cellText(r history.Snapshot, field string, at time.Time) string {
	s, ok := r.Fields[field]
	if !ok {
		return ""
	}
	text := sampleText(field, s)
	if s.Time.Before(r.Time) {
		text += ", " + agedText(at.Sub(s.Time)) + " before"
	}
	if currencyOf(at.Sub(s.Time), r.Period) != current {
		return doubted(text)
	}
	return text
}

// wordsOf are the flags of a supply's channel that were 1.
func wordsOf(r history.Snapshot) string {
	var words []string
	for _, w := range supplyWords {
		if r.Channel() == "" || r.Fields[w].Value != 1 {
			continue
		}
		if w == "trip" || w == "interlock" {
			w = strings.ToUpper(w)
		}
		words = append(words, w)
	}
	return strings.Join(words, ", ")
}

// tagText are the tags beside the number: of a sensor outside the stack as in
// its topic.
func tagText(tags map[string]string) string {
	if tags["sensor"] != "" && tags["measurement"] != "" {
		return tags["sensor"] + "/" + tags["measurement"]
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		if k != "number" {
			parts = append(parts, tags[k])
		}
	}
	return strings.Join(parts, "/")
}

// Lines of JSON: one for the moment, and one for each channel.
type (
	momentJSON struct {
		Time   time.Time            `json:"time"`
		Run    int64                `json:"run,omitzero"`
		Before int64                `json:"run_before,omitzero"` // the last one that began; its end is not in the archive
		States map[string]stateJSON `json:"states"`
	}
	stateJSON struct {
		State string    `json:"state"`
		Since time.Time `json:"since"`
		Error string    `json:"error,omitzero"`
	}
	channelAtJSON struct {
		Device  string                `json:"device"`
		Channel *int                  `json:"channel,omitzero"`
		Tags    map[string]string     `json:"tags,omitzero"`
		Time    time.Time             `json:"time"`
		Age     float64               `json:"age"`              // s
		Period  float64               `json:"period,omitzero"`  // s
		Judged  currency              `json:"currency"`         // current, stale, unknown
		Fields  map[string]sampleJSON `json:"fields,omitempty"` // by name
	}
	sampleJSON struct {
		Value  any      `json:"value"`
		Age    float64  `json:"age"` // s
		Judged currency `json:"currency"`
	}
)

func (p *picture) printJSON(con console) error {
	m := momentJSON{Time: p.at.UTC(), States: make(map[string]stateJSON)}
	switch {
	case p.unsure():
		m.Before = p.run.Number
	case p.run != nil:
		m.Run = p.run.Number
	}
	for name, s := range p.states {
		m.States[name] = stateJSON{s.State, time.Unix(0, s.Time).UTC(), s.Error}
	}
	if _, err := fmt.Fprintf(con.out, "%s\n", wire.Encode(m)); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	for _, d := range p.devices {
		for _, r := range d.rows {
			if _, err := fmt.Fprintf(con.out, "%s\n", wire.Encode(channelJSON(d.name, r, p.at))); err != nil {
				return fmt.Errorf("printing: %w", err)
			}
		}
	}
	return nil
}

func channelJSON(device string, r history.Snapshot, at time.Time) channelAtJSON {
	age := at.Sub(r.Time)
	o := channelAtJSON{
		Device: device, Time: r.Time, Age: age.Seconds(), Period: r.Period.Seconds(), Judged: currencyOf(age, r.Period),
		Tags: maps.Clone(r.Tags), Fields: make(map[string]sampleJSON),
	}
	if n, err := strconv.Atoi(r.Channel()); err == nil {
		o.Channel = &n
		delete(o.Tags, "number")
	}
	if len(o.Tags) == 0 {
		o.Tags = nil
	}
	for name, s := range r.Fields {
		j := sampleJSON{Value: s.Value, Age: at.Sub(s.Time).Seconds(), Judged: currencyOf(at.Sub(s.Time), r.Period)}
		if s.Text != "" {
			j.Value = s.Text
		}
		o.Fields[name] = j
	}
	return o
}
