package history

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
)

// DayCount is what each field has on one day.
type DayCount struct {
	Day    time.Time // its beginning, UTC
	Values []int64   // how many, in the order of the fields
	// Sums of the values of each field, in the same order, zero for texts and
	// booleans. Nil if the server could not add them.
	Sums []float64
}

const oneDay = 24 * time.Hour

// Times that InfluxDB takes end in the middle of a day, and the beginning of that
// one, or its end, is no time for it: those days are asked for by themselves.
var (
	firstWhole = time.Unix(0, math.MinInt64).UTC().Truncate(oneDay).Add(2 * oneDay)
	lastWhole  = time.Unix(0, math.MaxInt64).UTC().Truncate(oneDay).Add(-oneDay)
)

// CountDays calls fn for each UTC day from ≤ time < to on which the measurement
// has points, in order.
func (c *Client) CountDays(ctx context.Context, measurement string, fields []Field, from, to time.Time, fn func(DayCount) error) error {
	for from.Before(to) {
		end, group := to, " GROUP BY time(1d) fill(none)"
		switch {
		case from.Before(firstWhole), !from.Before(lastWhole):
			group = ""
			if next := from.Truncate(oneDay).Add(oneDay); next.Before(end) {
				end = next
			}
		case lastWhole.Before(end):
			end = lastWhole
		}
		one := fn
		if group == "" {
			at := from.Truncate(oneDay)
			one = func(d DayCount) error { d.Day = at; return fn(d) }
		}
		if err := c.countDays(ctx, measurement, fields, " WHERE "+between(from, end)+group, one); err != nil {
			return err
		}
		from = end
	}
	return nil
}

// countDays counts and adds; where the sum of floats is none, which breaks the
// server's answer, it counts alone.
func (c *Client) countDays(ctx context.Context, measurement string, fields []Field, rest string, fn func(DayCount) error) error {
	var days []DayCount
	keep := func(d DayCount) error { days = append(days, d); return nil }
	err := c.counts(ctx, measurement, fields, rest, true, keep)
	if err != nil && ctx.Err() == nil {
		days = nil
		err = c.counts(ctx, measurement, fields, rest, false, keep)
	}
	if err != nil {
		return err
	}
	for _, d := range days {
		if err := fn(d); err != nil {
			return err
		}
	}
	return nil
}

// Count returns how many values each field of the measurement has.
func (c *Client) Count(ctx context.Context, measurement string, fields []Field) ([]int64, error) {
	values := make([]int64, len(fields))
	err := c.counts(ctx, measurement, fields, "", false, func(d DayCount) error {
		copy(values, d.Values)
		return nil
	})
	return values, err
}

func (c *Client) counts(ctx context.Context, measurement string, fields []Field, rest string, add bool, fn func(DayCount) error) error {
	if len(fields) == 0 {
		return nil
	}
	var asked []string
	for _, f := range fields {
		asked = append(asked, "COUNT("+f.column()+")")
	}
	if add {
		for _, f := range fields {
			if f.numeric() {
				asked = append(asked, "SUM("+f.column()+")")
			}
		}
	}
	return c.Query(ctx, "SELECT "+strings.Join(asked, ", ")+" FROM "+ident(measurement)+rest, func(r Row) error {
		if len(r.Values) != len(asked)+1 {
			return fmt.Errorf("InfluxDB at %s answers with %d columns for %s, not the %d asked for", c.cfg.URL, len(r.Values)-1, measurement, len(asked))
		}
		ns, _ := r.Values[0].Int()
		day := DayCount{Day: time.Unix(0, ns).UTC(), Values: make([]int64, len(fields))}
		some := false
		for i := range fields {
			n, _ := r.Values[i+1].Float() // 3 may give null for none
			day.Values[i] = int64(n)
			some = some || n > 0
		}
		if !some {
			return nil
		}
		if add {
			day.Sums = make([]float64, len(fields))
			sums := r.Values[len(fields)+1:]
			for i, f := range fields {
				if f.numeric() {
					day.Sums[i], _ = sums[0].Float()
					sums = sums[1:]
				}
			}
		}
		return fn(day)
	})
}
