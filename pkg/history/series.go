package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What is asked for and is not in the archive in this form.
var (
	// ErrNotNumbers is that the field has texts, boot for instance.
	ErrNotNumbers = errors.New("the field has no numbers")
	// ErrTooMuch is that the answer would have more than MaxValues.
	ErrTooMuch = errors.New("too many values")
)

// MaxValues is how many points a Series has at most, those of all channels
// together: 64 channels of 5000.
const MaxValues = 64 * 5000

// SeriesQuery asks for one quantity over time.
type SeriesQuery struct {
	Device   string // or, with Sensor, the name of an outside sensor
	Sensor   bool   // Device is an outside sensor, Field its measurement
	Channels []int  // of a supply; all when empty
	Field    string
	From, To time.Time // From ≤ time < To, in the years 1678 to 2261
	Points   int       // how many each channel has at most, from 2
}

// Series is one quantity of all channels on one axis of time.
type Series struct {
	Interval time.Duration // of one point; 0 when the points are as measured
	Time     []int64       // ms since 1970, the beginning of each interval, ascending
	Channels []ChannelSeries
}

// ChannelSeries is the quantity of one channel, as long as the axis; NaN where
// nothing was measured. Of points as measured all three are the value.
type ChannelSeries struct {
	Channel        string // the tag number; empty for what has no channels
	Min, Mean, Max []float64
}

// Series returns a quantity as it was measured when that makes at most
// q.Points different times (to the ms, the last of several in one), else its minimum, mean and maximum in intervals
// that make at most as many, which begin at multiples of their length since
// 1970. Channels are in order of their numbers; one that has nothing in that
// time is not there. It needs memory for the answer alone, at most MaxValues of
// each; what would be more is ErrTooMuch.
func (c *Client) Series(ctx context.Context, q SeriesQuery) (Series, error) {
	if err := q.check(); err != nil {
		return Series{}, err
	}
	found, whole, err := c.measured(ctx, q)
	if err == nil && !whole {
		found, err = c.sampled(ctx, q)
	}
	return found, err
}

func (q SeriesQuery) check() error {
	switch {
	case q.Device == "" || q.Field == "":
		return errors.New("a series needs the names of a device and of a field")
	case q.Field == "time" && !q.Sensor:
		return fmt.Errorf("%w: time is what all of them are measured at", ErrNotNumbers)
	case q.Points < 2:
		return fmt.Errorf("a series has 2 points or more, not %d", q.Points)
	case !q.From.Before(q.To):
		return fmt.Errorf("a series ends after it begins, and %v is not after %v", q.To, q.From)
	case q.Points*max(len(q.Channels), 1) > MaxValues:
		return q.tooMuch(len(q.Channels))
	}
	return nil
}

func (q SeriesQuery) tooMuch(channels int) error {
	return fmt.Errorf("%w: %d channels or more with %d points each, of %d altogether: name channels, or ask for fewer points", ErrTooMuch, channels, q.Points, MaxValues)
}

// from is what follows the selected columns, up to the conditions.
func (q SeriesQuery) from() string {
	if q.Sensor {
		return ` FROM "sensor" WHERE "sensor" = ` + literal(q.Device) + ` AND "measurement" = ` + literal(q.Field) + " AND " + between(q.From, q.To)
	}
	s := " FROM " + ident(q.Device) + " WHERE " + between(q.From, q.To)
	if len(q.Channels) == 0 {
		return s
	}
	numbers := make([]string, len(q.Channels))
	for i, n := range q.Channels {
		numbers[i] = `"number" = ` + literal(strconv.Itoa(n))
	}
	return s + " AND (" + strings.Join(numbers, " OR ") + ")"
}

func (q SeriesQuery) field() string {
	if q.Sensor {
		return ident("value")
	}
	return ident(q.Field)
}

// errMore ends the reading of points that turn out to be too many.
var errMore = errors.New("more than was asked for")

// measured reads the points themselves, up to the one that is too many: then
// whole is false.
func (c *Client) measured(ctx context.Context, q SeriesQuery) (found Series, whole bool, err error) {
	times := make(map[int64]struct{})
	values := make(map[string]map[int64]float64) // by channel and time
	question := "SELECT " + q.field() + ` AS "value"` + q.from() + q.grouped() + " ORDER BY time ASC LIMIT " + strconv.Itoa(q.Points+1)
	err = c.Query(ctx, question, func(r Row) error {
		v := r.value("value")
		x, ok := v.Float()
		if !ok {
			if v.Text() != nil || v.kind == boolean {
				return fmt.Errorf("%w: %s of %s", ErrNotNumbers, q.Field, q.Device)
			}
			return nil
		}
		ns, _ := r.Int("time")
		at := floor(ns, int64(time.Millisecond)) / int64(time.Millisecond)
		times[at] = struct{}{}
		number := r.Tags["number"]
		if values[number] == nil {
			values[number] = make(map[int64]float64)
		}
		values[number][at] = x
		switch {
		case len(values)*q.Points > MaxValues:
			return q.tooMuch(len(values))
		case len(times) > q.Points:
			return errMore
		}
		return nil
	})
	if errors.Is(err, errMore) {
		return Series{}, false, nil
	}
	if err != nil {
		return Series{}, false, err
	}
	found.Time = slices.Sorted(maps.Keys(times))
	for number, of := range values {
		s := ChannelSeries{Channel: number, Mean: make([]float64, len(found.Time))}
		for i, at := range found.Time {
			if x, ok := of[at]; ok {
				s.Mean[i] = x
			} else {
				s.Mean[i] = math.NaN()
			}
		}
		s.Min, s.Max = s.Mean, s.Mean
		found.Channels = append(found.Channels, s)
	}
	found.sort()
	return found, true, nil
}

// grouped splits the answer into channels; an outside sensor has none.
func (q SeriesQuery) grouped() string {
	if q.Sensor {
		return ""
	}
	return ` GROUP BY "number"`
}

// sampled has the database sum the points up. Empty intervals are left out of
// its answer and put in here: so the axis is the same for all channels, and no
// longer than it should be whatever the answer is.
func (c *Client) sampled(ctx context.Context, q SeriesQuery) (Series, error) {
	found := Series{Interval: q.interval()}
	step := int64(found.Interval)
	begin := floor(q.From.UnixNano(), step)
	for at := begin; at < q.To.UnixNano(); at += step {
		found.Time = append(found.Time, at/int64(time.Millisecond)) // a step is whole ms
	}
	by := make(map[string]int)
	groups := "time(" + strconv.FormatInt(found.Interval.Milliseconds(), 10) + "ms)"
	if !q.Sensor {
		groups += `, "number"`
	}
	field := q.field()
	question := "SELECT MIN(" + field + `) AS "min", MEAN(` + field + `) AS "mean", MAX(` + field + `) AS "max"` + q.from() + " GROUP BY " + groups + " fill(none)"
	err := c.Query(ctx, question, func(r Row) error {
		mean, ok := r.Float("mean")
		if !ok {
			return nil // an empty interval, of a database that says them all the same
		}
		at, _ := r.Int("time")
		i := (floor(at, step) - begin) / step
		if i < 0 || i >= int64(len(found.Time)) {
			return fmt.Errorf("InfluxDB answers with %v, which was not asked for", time.Unix(0, at).UTC())
		}
		number := r.Tags["number"]
		n, known := by[number]
		if !known {
			n, by[number] = len(by), len(by)
			if len(by)*q.Points > MaxValues {
				return q.tooMuch(len(by))
			}
			length := len(found.Time)
			found.Channels = append(found.Channels, ChannelSeries{number, nothing(length), nothing(length), nothing(length)})
		}
		s := &found.Channels[n]
		s.Mean[i], s.Min[i], s.Max[i] = mean, mean, mean
		if x, ok := r.Float("min"); ok {
			s.Min[i] = x
		}
		if x, ok := r.Float("max"); ok {
			s.Max[i] = x
		}
		return nil
	})
	if err != nil {
		return Series{}, err
	}
	found.sort()
	return found, nil
}

// interval is the shortest in whole ms of which Points cover the time, though
// neither end of it is at a multiple.
func (q SeriesQuery) interval() time.Duration {
	d := q.To.Sub(q.From)
	parts := time.Duration(q.Points - 1)
	d = (d + parts - 1) / parts
	return max((d+time.Millisecond-1)/time.Millisecond*time.Millisecond, time.Millisecond)
}

// floor is the multiple of step at or below at.
func floor(at, step int64) int64 {
	rest := at % step
	if rest < 0 {
		rest += step
	}
	return at - rest
}

// nothing are n values that were not measured.
func nothing(n int) []float64 {
	none := make([]float64, n)
	for i := range none {
		none[i] = math.NaN()
	}
	return none
}

// sort puts the channels in order of their numbers.
func (s *Series) sort() {
	slices.SortFunc(s.Channels, func(a, b ChannelSeries) int {
		x, errX := strconv.Atoi(a.Channel)
		y, errY := strconv.Atoi(b.Channel)
		if errX == nil && errY == nil && x != y {
			return cmp.Compare(x, y)
		}
		return cmp.Compare(a.Channel, b.Channel)
	})
}
