package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

// capsule prints what all devices measured and were told in the run.
func (p runPrinter) capsule(c *runs.Capsule) {
	p.section("devices from " + stamp(c.From) + " to " + stamp(c.To))
	for _, name := range slices.Sorted(maps.Keys(c.Devices)) {
		p.device(name, c.Devices[name])
	}
	if len(c.Refused) > 0 {
		p.section("refused and failed commands")
		t := &table{heads: []string{"", "", "", "", "", ""}}
		for _, r := range c.Refused {
			to := r.Device
			if r.Channel != "" {
				to += "/" + r.Channel
			}
			t.add(plain, stamp(r.Time), to, strings.TrimSpace(r.Op+" "+r.Value), by(r.User), r.Phase+" "+r.Code, r.Message)
		}
		t.print(p.con, "  ")
	}
	if c.More > 0 {
		fmt.Fprintf(p.con.out, "  … %d more refused commands and events are not listed\n", c.More)
	}
	fmt.Fprintln(p.con.out)
	switch {
	case c.Missing == 0 && c.Dropped == 0:
		fmt.Fprintln(p.con.out, "no status is known to be missing")
	default:
		fmt.Fprintln(p.con.out, p.con.paint(yellow, fmt.Sprintf("missing: %s; without room: %s; what they said is not in the numbers above",
			counted(uint64(c.Missing), "status", "statuses"), counted(uint64(c.Dropped), "message", "messages"))))
	}
}

func (p runPrinter) device(name string, d runs.Device) {
	what := strings.Join(slices.DeleteFunc([]string{d.Model, d.Serial, d.Firmware, d.Driver}, func(s string) bool { return s == "" }), ", ")
	line := name
	if what != "" {
		line += "  " + what
	}
	line += "  " + counted(uint64(d.Statuses), "status", "statuses")
	color := plain
	if d.Missing > 0 {
		line, color = line+fmt.Sprintf(", %d MISSING", d.Missing), yellow
	}
	if len(d.Boots) > 1 {
		line += fmt.Sprintf(", %d boots", len(d.Boots))
	}
	fmt.Fprintf(p.con.out, "\n  %s\n", p.con.paint(color, oneLine(line)))
	t := &table{heads: []string{">ch", "label", "field", ">at start", ">first", ">last", ">min", ">mean", ">max"}}
	var events []string
	for _, ch := range d.Channels {
		number := ""
		if ch.Number != nil {
			number = strconv.Itoa(*ch.Number)
		}
		for _, e := range ch.Trips {
			events = append(events, strings.TrimSpace(fmt.Sprintf("%s channel %s: %s", stamp(e.Time), number, e.What)))
		}
		label := ch.Label
		for _, field := range fieldsOf(ch) {
			t.add(plain, append([]string{number, label, field}, fieldCells(ch, field)...)...)
			number, label = "", "" // once for each channel
		}
	}
	t.print(p.con, "    ")
	for _, e := range d.States {
		events = append(events, stamp(e.Time)+" "+e.What)
	}
	slices.Sort(events)
	for _, e := range events {
		fmt.Fprintln(p.con.out, p.con.paint(yellow, "    "+oneLine(e)))
	}
}

// quiet reports whether a flag of a supply said nothing all the time.
func quiet(ch runs.Channel, field string) bool {
	f := ch.Fields[field]
	return ch.Number != nil && slices.Contains(supplyWords, field) && ch.Before[field] == 0 && f.Min == 0 && f.Max == 0
}

// fieldsOf are the fields of a channel, those of a supply in the usual order.
func fieldsOf(ch runs.Channel) []string {
	seen := make(map[string]bool)
	for f := range ch.Before {
		seen[f] = !notMeasured[f]
	}
	for f := range ch.Fields {
		seen[f] = !notMeasured[f]
	}
	maps.DeleteFunc(seen, func(field string, shown bool) bool { return !shown || quiet(ch, field) })
	place := func(f string) int {
		if i := slices.Index(supplyFields, f); i >= 0 {
			return i
		}
		return len(supplyFields)
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b string) int {
		return cmp.Or(place(a)-place(b), cmp.Compare(a, b))
	})
}

func fieldCells(ch runs.Channel, field string) []string {
	f, measured := ch.Fields[field]
	unit := cmp.Or(f.Unit, archiveUnits[field])
	text := func(x float64) string {
		if field == "on" && (x == 0 || x == 1) {
			return wire.FlagOf(x == 1).String()
		}
		return quantity(x, unit)
	}
	cells := make([]string, 6)
	if x, ok := ch.Before[field]; ok {
		cells[0] = text(x)
	}
	if !measured {
		return cells
	}
	cells[1], cells[2] = text(f.First), text(f.Last)
	if f.Min == f.Max && f.First == f.Last {
		return cells // it stood still
	}
	cells[3], cells[4], cells[5] = text(f.Min), quantity(f.Mean, unit), text(f.Max)
	return cells
}
