package capsule

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/runs"
)

// capsule is what has come of the messages.
func (m *maker) capsule() runs.Capsule {
	c := runs.Capsule{From: at(m.from), To: at(m.to), Devices: make(map[string]runs.Device), More: m.more, Dropped: m.dropped}
	for _, name := range slices.Sorted(maps.Keys(m.devices)) {
		d, more, ok := m.result(m.devices[name])
		if !ok {
			continue
		}
		c.Devices[safeKey(name)] = d
		c.Missing += d.Missing
		c.More += more
	}
	slices.SortStableFunc(m.refused, func(a, b runs.Refusal) int { return a.Time.Compare(b.Time) })
	c.Refused = m.refused
	return c
}

func at(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// result is what has come of a device; not ok if it had no part in the run.
func (m *maker) result(d *device) (out runs.Device, more int64, ok bool) {
	m.order(d)
	missing := m.missing(d) + d.over
	out = runs.Device{
		Kind: cut(d.meta.Kind), Model: cut(d.meta.Model), Serial: cut(d.meta.Serial),
		Firmware: cut(d.meta.Firmware), Driver: cut(d.meta.Driver),
		Statuses: d.statuses, Missing: missing, States: d.states, Channels: []runs.Channel{},
	}
	if d.statuses > 0 {
		out.First, out.Last = at(d.first), at(d.last)
	}
	slices.SortStableFunc(out.States, byTime)
	more = d.moreState
	for _, b := range d.boots {
		if b.inside && len(out.Boots) < maxEvents {
			out.Boots = append(out.Boots, clean(b.name))
		}
	}
	channels := slices.Clone(d.channels) // the flags know them by their place
	slices.SortFunc(channels, func(a, b *channel) int { return cmp.Compare(a.number, b.number) })
	for _, c := range channels {
		ch, n := m.channel(d, c)
		more += n
		if len(ch.Before) > 0 || len(ch.Fields) > 0 || len(ch.Trips) > 0 {
			out.Channels = append(out.Channels, ch)
		}
	}
	return out, more, len(out.Channels) > 0 || len(out.States) > 0 || missing > 0 || out.Statuses > 0
}

// order puts a device's boots in the order of their first statuses. Those of
// which there is none come first.
func (m *maker) order(d *device) {
	slices.SortStableFunc(d.boots, func(a, b *boot) int {
		_, x, _ := a.seen.First()
		_, y, _ := b.seen.First()
		return cmp.Compare(x, y)
	})
}

func byTime(a, b runs.Event) int { return a.Time.Compare(b.Time) }

func (m *maker) channel(d *device, c *channel) (out runs.Channel, more int64) {
	if c.numbered {
		out.Number = &c.number
		for _, l := range d.meta.Channels {
			if l.Number == c.number {
				out.Label = cut(l.Label)
			}
		}
	}
	out.Fields = make(map[string]runs.Field, len(c.series))
	for i := range c.series {
		s := &c.series[i]
		if s.n == 0 {
			continue
		}
		out.Fields[safeKey(s.key)] = runs.Field{
			First: s.first, Last: s.last, Min: s.min, Max: s.max, Mean: s.mean(), Count: s.n, Unit: cut(d.meta.Fields[s.key].Unit),
		}
	}
	if d.foreign {
		atStartForeign(c, &out)
	} else {
		atStart(c, &out)
	}
	out.Trips, more = m.trips(d, c)
	return out, more
}

// atStart takes the last reading before the window, or else the first in it.
func atStart(c *channel, out *runs.Channel) {
	out.Before = make(map[string]float64)
	switch {
	case c.beforeAt != never:
		out.At = at(c.beforeAt)
		for i := range c.series {
			if s := &c.series[i]; s.beforeAt == c.beforeAt {
				out.Before[safeKey(s.key)] = s.before
			}
		}
	case c.firstAt != never:
		out.At = at(c.firstAt)
		for i := range c.series {
			if s := &c.series[i]; s.n > 0 && s.firstAt == c.firstAt {
				out.Before[safeKey(s.key)] = s.first
			}
		}
	}
}

// atStartForeign does the same for each measurement of a foreign sensor: they
// come one by one. The time is that of the latest.
func atStartForeign(c *channel, out *runs.Channel) {
	out.Before = make(map[string]float64)
	latest := int64(never)
	for i := range c.series {
		s := &c.series[i]
		switch {
		case s.beforeAt != never:
			out.Before[safeKey(s.key)] = s.before
			latest = max(latest, s.beforeAt)
		case s.n > 0:
			out.Before[safeKey(s.key)] = s.first
			latest = max(latest, s.firstAt)
		}
	}
	if latest != never {
		out.At = at(latest)
	}
}

// trips collects the rises of a channel's flags over all boots.
func (m *maker) trips(d *device, c *channel) (events []runs.Event, more int64) {
	for which := range flagNames {
		was, known := false, false
		for _, b := range d.boots {
			i := c.index*len(flagNames) + which
			if i >= len(b.flags) || b.flags[i] == nil {
				continue
			}
			rises, n := b.flags[i].all(was, known)
			more += n
			for _, t := range rises {
				events = append(events, runs.Event{Time: at(t), What: flagNames[which].what})
			}
			was, known = b.flags[i].last()
		}
	}
	slices.SortStableFunc(events, byTime)
	if n := len(events) - maxEvents; n > 0 {
		more += int64(n)
		events = slices.Clip(events[:maxEvents])
	}
	return events, more
}

// missing counts the statuses that are known to lack in the window; see the
// package comment. The boots are in order.
func (m *maker) missing(d *device) (n int64) {
	earlier := int64(never) // the last status of the boots before
	for _, b := range d.boots {
		first, firstAt, ok := b.seen.First()
		if !ok {
			continue
		}
		for g := range b.seen.Gaps() {
			n += m.share(g.Len(), g.After, g.Before)
		}
		n += m.forgotten(b)
		if earlier != never && earlier < firstAt && first > 1 {
			n += m.share(first-1, earlier, firstAt)
		}
		last, lastAt, _ := b.seen.Last()
		if b.last > last {
			n += m.share(b.last-last, lastAt, max(b.lastAt, lastAt))
		}
		earlier = max(earlier, lastAt)
	}
	return n
}

// forgotten are the numbers of which it is only known that they lie between the
// first and the last: where there are so many holes, nobody asks for the edge.
func (m *maker) forgotten(b *boot) int64 {
	_, firstAt, _ := b.seen.First()
	_, lastAt, _ := b.seen.Last()
	return m.share(b.seen.Forgotten(), firstAt, lastAt)
}

// share is how many of count statuses that were due between two times were due
// in the window, rounded up.
func (m *maker) share(count uint64, after, before int64) int64 {
	after, before = min(after, before), max(after, before)
	if count == 0 || before < m.from || after > m.to {
		return 0
	}
	lo, hi := max(after, m.from), min(before, m.to)
	total := min(count, math.MaxInt32)
	if lo == after && hi == before {
		return int64(total)
	}
	return int64(math.Ceil(float64(total) * (float64(hi) - float64(lo)) / (float64(before) - float64(after))))
}

// clean makes text fit for a document.
func clean(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "�") }

// safeKey makes the key of a document of a name that strangers have chosen: dots
// and dollars mean something else in MongoDB.
func safeKey(s string) string {
	s = strings.ReplaceAll(clean(s), ".", "%2E")
	if strings.HasPrefix(s, "$") {
		s = "%24" + s[1:]
	}
	return s
}
