package history

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Snapshot is what the archive knows of one channel at a time: the last value
// of each field, and of when it is.
type Snapshot struct {
	Tags   map[string]string // number of a supply's channel; none of a sensor
	Time   time.Time         // of the last point
	Fields map[string]Sample
	Period time.Duration // between points around that time; 0 if it cannot be told
}

// Channel is the tag number; empty for a device without channels.
func (s Snapshot) Channel() string { return s.Tags["number"] }

// Sample is the last value of a field.
type Sample struct {
	Value float64
	Text  string // of a field that has texts
	Time  time.Time
}

// snapshotPoints are how many points before a time are looked at: enough to
// tell the period, and to find fields that not every point has.
const snapshotPoints = 12

// At returns the last values of each channel of the device with t - within ≤
// time ≤ t, in order of their numbers. A field that the last point lacks is
// there with the time at which it was said last. A channel that has no point in
// that time is not there.
func (c *Client) At(ctx context.Context, device string, t time.Time, within time.Duration) ([]Snapshot, error) {
	where := " WHERE time >= " + instant(t.Add(-within)) + " AND time <= " + instant(t) + " GROUP BY *"
	all := make(map[string]*series)
	question := "SELECT * FROM " + ident(device) + where + " ORDER BY time DESC LIMIT " + strconv.Itoa(snapshotPoints)
	err := c.Query(ctx, question, func(r Row) error {
		s := all[tagKey(r.Tags)]
		if s == nil {
			s = &series{Snapshot: Snapshot{Tags: maps.Clone(r.Tags), Fields: make(map[string]Sample)}}
			all[tagKey(r.Tags)] = s
		}
		s.add(r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, field := range lacking(all) {
		if err := c.lastOf(ctx, device, field, where, all); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(slices.Collect(maps.Values(all)), func(s *series) bool { return len(s.gaps) < 2 }) {
		if err := c.following(ctx, device, t, within, all); err != nil {
			return nil, err
		}
	}
	found := make([]Snapshot, 0, len(all))
	for _, s := range all {
		s.Period = median(s.gaps)
		found = append(found, s.Snapshot)
	}
	slices.SortFunc(found, func(a, b Snapshot) int {
		x, errX := strconv.Atoi(a.Channel())
		y, errY := strconv.Atoi(b.Channel())
		if errX == nil && errY == nil && x != y {
			return x - y
		}
		return cmp.Compare(tagKey(a.Tags), tagKey(b.Tags))
	})
	return found, nil
}

// series is a Snapshot in the making.
type series struct {
	Snapshot
	columns []string // that the measurement has
	newer   point    // the one before in the answer
	gaps    []time.Duration
}

type point struct {
	time int64
	boot string
}

// gap is the time between two points of one boot.
func (p point) gap(other point) (time.Duration, bool) {
	d := time.Duration(p.time - other.time).Abs()
	return d, p.time != 0 && d > 0 && p.boot == other.boot
}

// add takes a point that is older than those before it.
func (s *series) add(r Row) {
	at := pointOf(r)
	if s.Time.IsZero() {
		s.Time, s.columns = time.Unix(0, at.time).UTC(), r.Columns
	}
	if d, ok := s.newer.gap(at); ok {
		s.gaps = append(s.gaps, d)
	}
	s.newer = at
	for i, column := range r.Columns {
		if _, has := s.Fields[column]; has || column == "time" || i >= len(r.Values) {
			continue
		}
		if sample, ok := sampleOf(r.Values[i], at.time); ok {
			s.Fields[column] = sample
		}
	}
}

func pointOf(r Row) point {
	ns, _ := r.Int("time")
	return point{ns, r.Text("boot")}
}

func sampleOf(v Value, ns int64) (Sample, bool) {
	s := Sample{Time: time.Unix(0, ns).UTC()}
	if x, ok := v.Float(); ok {
		s.Value = x
		return s, true
	}
	s.Text = string(v.Text())
	return s, s.Text != ""
}

// lacking are the fields that the measurement has and no point showed of some
// channel, in order.
func lacking(all map[string]*series) []string {
	var names []string
	for _, s := range all {
		for _, column := range s.columns {
			if _, has := s.Fields[column]; !has && column != "time" {
				names = append(names, column)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// lastOf looks for the last value of one field in all of the window.
func (c *Client) lastOf(ctx context.Context, device, field, where string, all map[string]*series) error {
	return c.Query(ctx, "SELECT LAST("+ident(field)+") FROM "+ident(device)+where, func(r Row) error {
		s := all[tagKey(r.Tags)]
		if s == nil {
			return nil // it came between the questions
		}
		ns, _ := r.Int("time")
		if sample, ok := sampleOf(r.value("last"), ns); ok {
			if _, has := s.Fields[field]; !has {
				s.Fields[field] = sample
			}
		}
		return nil
	})
}

// following learns the period from the points after t. What lies between the
// last point before t and the first one after it is no period: it may be the
// break because of which somebody asks.
func (c *Client) following(ctx context.Context, device string, t time.Time, within time.Duration, all map[string]*series) error {
	question := "SELECT * FROM " + ident(device) + " WHERE time > " + instant(t) + " AND time <= " + instant(t.Add(within)) +
		" GROUP BY * ORDER BY time ASC LIMIT 3"
	before := make(map[*series]point)
	return c.Query(ctx, question, func(r Row) error {
		s := all[tagKey(r.Tags)]
		if s == nil {
			return nil
		}
		at := pointOf(r)
		if d, ok := before[s].gap(at); ok {
			s.gaps = append(s.gaps, d)
		}
		before[s] = at
		return nil
	})
}

// median is the one in the middle, the shorter of two; 0 of none.
func median(gaps []time.Duration) time.Duration {
	if len(gaps) == 0 {
		return 0
	}
	slices.Sort(gaps)
	return gaps[(len(gaps)-1)/2]
}

// tagKey tells series apart.
func tagKey(tags map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		b.WriteString(k + "\x00" + tags[k] + "\x00")
	}
	return b.String()
}
