package history

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ask asks for vmon of hv, as little as possible.
func ask(more func(*SeriesQuery)) SeriesQuery {
	q := SeriesQuery{Device: "hv", Field: "vmon", From: at(100), To: at(200), Points: 3}
	if more != nil {
		more(&q)
	}
	return q
}

// same compares with NaN equal to itself.
func same(t *testing.T, want, got Series) {
	t.Helper()
	assert.Equal(t, fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got))
}

var nan = math.NaN()

// Few points come as they were measured, on one axis.
func TestSeriesAsMeasured(t *testing.T) {
	a := &answers{by: [][2]string{{"SELECT", results(
		seriesOf(`"number":"10"`, `"time","value"`, `[110000000000,1],[120000000000,2.5]`),
		seriesOf(`"number":"2"`, `"time","value"`, `[110000000000,-1],[110000900000,-2],[130000000000,null]`),
		seriesOf(`"number":"x"`, `"time","value"`, `[190000999999,7]`),
	)}}}
	got, err := scripted(t, a.ServeHTTP).Series(t.Context(), ask(nil))
	require.NoError(t, err)
	two, ten, other := []float64{-2, nan, nan}, []float64{1, 2.5, nan}, []float64{nan, nan, 7}
	same(t, Series{Time: []int64{110000, 120000, 190000}, Channels: []ChannelSeries{
		{"2", two, two, two}, {"10", ten, ten, ten}, {"x", other, other, other},
	}}, got)
	assert.Equal(t, []string{
		`SELECT "vmon" AS "value" FROM "hv" WHERE time >= 100000000000 AND time < 200000000000 GROUP BY "number" ORDER BY time ASC LIMIT 4`,
	}, a.asked)
}

// More are summed up by the database; its buckets begin at multiples of their
// length, so that a plot that moves on does not tremble.
func TestSeriesSampled(t *testing.T) {
	a := &answers{by: [][2]string{
		{"LIMIT", results(seriesOf(`"number":"0"`, `"time","value"`, `[100000000000,1],[101000000000,1],[102000000000,1],[103000000000,1]`))},
		{"MEAN", results(
			seriesOf(`"number":"1"`, `"time","min","mean","max"`, `[150000000000,1,2,3]`),
			seriesOf(`"number":"0"`, `"time","min","mean","max"`, `[100000000000,-1,0.5,4],[150000000000,null,null,null]`))},
	}}
	got, err := scripted(t, a.ServeHTTP).Series(t.Context(), ask(func(q *SeriesQuery) { q.Channels = []int{0, 1} }))
	require.NoError(t, err)
	same(t, Series{Interval: 50 * time.Second, Time: []int64{100000, 150000}, Channels: []ChannelSeries{
		{"0", []float64{-1, nan}, []float64{0.5, nan}, []float64{4, nan}},
		{"1", []float64{nan, 1}, []float64{nan, 2}, []float64{nan, 3}},
	}}, got)
	assert.Equal(t, `SELECT MIN("vmon") AS "min", MEAN("vmon") AS "mean", MAX("vmon") AS "max" FROM "hv" WHERE time >= 100000000000 AND time < 200000000000`+
		` AND ("number" = '0' OR "number" = '1') GROUP BY time(50000ms), "number" fill(none)`, a.asked[1])
}

func TestSeriesOfSensor(t *testing.T) {
	a := &answers{by: [][2]string{
		{"LIMIT", results(seriesOf(``, `"time","value"`, `[100000000000,1],[101000000000,1],[102000000000,1],[103000000000,1]`))},
		{"MEAN", results(seriesOf(``, `"time","min","mean","max"`, `[100000000000,-1,0.5,4]`))},
	}}
	got, err := scripted(t, a.ServeHTTP).Series(t.Context(), SeriesQuery{Device: `room'`, Sensor: true, Field: `t"x`, From: at(100), To: at(200), Points: 2})
	require.NoError(t, err)
	same(t, Series{Interval: 100 * time.Second, Time: []int64{100000}, Channels: []ChannelSeries{{"", []float64{-1}, []float64{0.5}, []float64{4}}}}, got)
	const where = ` FROM "sensor" WHERE "sensor" = 'room\'' AND "measurement" = 't"x' AND time >= 100000000000 AND time < 200000000000`
	assert.Equal(t, []string{
		`SELECT "value" AS "value"` + where + ` ORDER BY time ASC LIMIT 3`,
		`SELECT MIN("value") AS "min", MEAN("value") AS "mean", MAX("value") AS "max"` + where + ` GROUP BY time(100000ms) fill(none)`,
	}, a.asked)
}

// Names are quoted, keywords and harm included.
func TestSeriesQuotes(t *testing.T) {
	a := &answers{}
	c := scripted(t, a.ServeHTTP)
	for _, q := range []SeriesQuery{
		ask(func(q *SeriesQuery) { q.Field = "on" }),
		ask(func(q *SeriesQuery) { q.Device, q.Field = `h"v\`, "a\"; DROP\n" }),
	} {
		got, err := c.Series(t.Context(), q)
		require.NoError(t, err)
		same(t, Series{}, got)
	}
	assert.Contains(t, a.asked[0], `SELECT "on" AS "value"`)
	assert.Contains(t, a.asked[1], `SELECT "a\"; DROP\n" AS "value" FROM "h\"v\\" WHERE`)
}

func TestSeriesRefuses(t *testing.T) {
	c := scripted(t, func(http.ResponseWriter, *http.Request) { t.Error("nothing is to be asked") })
	for want, more := range map[string]func(*SeriesQuery){
		"names of a device": func(q *SeriesQuery) { q.Device = "" },
		"and of a field":    func(q *SeriesQuery) { q.Field = "" },
		"no numbers":        func(q *SeriesQuery) { q.Field = "time" },
		"2 points or more":  func(q *SeriesQuery) { q.Points = 1 },
		"is not after":      func(q *SeriesQuery) { q.To = q.From },
		"too many values":   func(q *SeriesQuery) { q.Points, q.Channels = 5000, make([]int, 65) },
	} {
		_, err := c.Series(t.Context(), ask(more))
		require.ErrorContains(t, err, want)
	}
}

// What the archive says is not believed: no answer takes more memory than was
// asked for.
func TestSeriesOfStrangers(t *testing.T) {
	four := results(seriesOf(`"number":"0"`, `"time","value"`, `[100000000000,1],[101000000000,1],[102000000000,1],[103000000000,1]`))
	var many []string
	for i := range MaxValues/5000 + 1 {
		many = append(many, seriesOf(fmt.Sprintf(`"number":"%d"`, i), `"time","value","mean"`, `[100000000000,1,1]`))
	}
	for name, tt := range map[string]struct {
		raw, sampled string
		points       int
		is           error
		want         string
	}{
		"texts":                {raw: results(seriesOf(``, `"time","value"`, `[100000000000,"a"]`)), is: ErrNotNumbers, want: "vmon of hv"},
		"true":                 {raw: results(seriesOf(``, `"time","value"`, `[100000000000,true]`)), is: ErrNotNumbers, want: "vmon of hv"},
		"channels":             {raw: results(many...), points: 5000, is: ErrTooMuch, want: "name channels"},
		"channels, summed":     {raw: four, sampled: results(many...), points: 3, want: ""},
		"another time":         {raw: four, sampled: results(seriesOf(``, `"time","mean"`, `[900000000000,1]`)), want: "was not asked for"},
		"before":               {raw: four, sampled: results(seriesOf(``, `"time","mean"`, `[-900000000000,1]`)), want: "was not asked for"},
		"an error":             {raw: `{"error":"x"}`, want: "could not answer: x"},
		"an error in the sums": {raw: four, sampled: `{"error":"x"}`, want: "could not answer: x"},
	} {
		a := &answers{by: [][2]string{{"LIMIT", tt.raw}, {"MEAN", tt.sampled}}}
		_, err := scripted(t, a.ServeHTTP).Series(t.Context(), ask(func(q *SeriesQuery) { q.Points = max(tt.points, 3) }))
		if tt.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, tt.want, name)
		if tt.is != nil {
			require.ErrorIs(t, err, tt.is, name)
		}
	}
	// too many channels come only with the sums
	five := strings.ReplaceAll(four, `"0"`, `"00"`)
	q := ask(func(q *SeriesQuery) { q.Points = 5000; q.To = at(100_000) })
	c := scripted(t, (&answers{by: [][2]string{{"MEAN", results(many...)}, {"LIMIT", five}}}).ServeHTTP)
	_, err := c.sampled(t.Context(), q)
	require.ErrorIs(t, err, ErrTooMuch)
}

// The axis has no more points than were asked for, wherever the range lies.
func TestSeriesAxis(t *testing.T) {
	c := scripted(t, (&answers{}).ServeHTTP)
	for _, length := range []time.Duration{time.Nanosecond, time.Millisecond, 1500 * time.Millisecond, time.Hour, 24 * time.Hour, 3660 * 24 * time.Hour} {
		for _, points := range []int{2, 3, 500, 5000} {
			for _, from := range []int64{-1, 0, 1, 1_795_000_000_920_528_001, -7_000_000_000_000_000_001} {
				q := ask(func(q *SeriesQuery) {
					q.From = time.Unix(0, from)
					q.To, q.Points = q.From.Add(length), points
				})
				s, err := c.sampled(t.Context(), q)
				require.NoError(t, err)
				n := len(s.Time)
				require.LessOrEqual(t, n, points, "%v from %d", length, from)
				require.Zero(t, s.Interval%time.Millisecond)
				require.LessOrEqual(t, s.Time[0], q.From.UnixMilli())
				require.Greater(t, time.UnixMilli(s.Time[n-1]).Add(s.Interval), q.To.Add(-1))
				require.Zero(t, s.Time[0]%s.Interval.Milliseconds())
			}
		}
	}
}
