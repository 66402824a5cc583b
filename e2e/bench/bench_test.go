package main

import (
	"encoding/json"
	"io"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{3, 1}, 2},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		assert.Equal(t, tt.want, median(tt.in), "%v", tt.in)
	}
	assert.True(t, math.IsNaN(median(nil)))
}

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for _, tt := range []struct {
		in   []time.Duration
		p    float64
		want time.Duration
	}{
		{nil, 50, 0},
		{[]time.Duration{7}, 0, 7},
		{[]time.Duration{7}, 95, 7},
		{[]time.Duration{2, 1}, 50, 1},
		{hundred, 50, 50},
		{hundred, 95, 95},
		{hundred, 100, 100},
	} {
		assert.Equal(t, tt.want, percentile(tt.in, tt.p), "%v of %v", tt.p, tt.in)
	}
}

func TestGoals(t *testing.T) {
	for _, tt := range []struct {
		goal    goal
		x       float64
		verdict string
	}{
		{goal{}, 7, ""},
		{goal{}, math.NaN(), ""},
		{atMost(2.0/3, "2/3"), 2.0 / 3, "PASS"},
		{atMost(2.0/3, "2/3"), 0.67, "FAIL"},
		{atMost(0.2, "1/5"), math.NaN(), "FAIL"}, // what was not measured is not met
		{atMost(0, "0"), 0, "PASS"},
		{atMost(0, "0"), 1, "FAIL"},
		{atLeast(5, "5"), 5, "PASS"},
		{atLeast(5, "5"), 4.9, "FAIL"},
		{atLeast(5, "5"), math.Inf(1), "PASS"},
		{atLeast(5, "5"), math.NaN(), "FAIL"},
	} {
		assert.Equal(t, tt.verdict, tt.goal.verdict(tt.x), "%v %s", tt.x, tt.goal)
	}
}

func TestTable(t *testing.T) {
	tab := table{
		title: "Flat out",
		notes: []string{"A note."},
		rows: []row{
			{what: "sent in, s", ours: 4.5, theirs: 4.6, digits: 2},
			{what: "CPU", ours: 4, theirs: 16, digits: 1, goal: atMost(1.0/3, "1/3")},
			{what: "missing", ours: 0, theirs: 124_800, goal: atMost(0, "0"), absolute: true},
			{what: "drained", ours: 90_000, theirs: math.NaN(), goal: atLeast(20_000, "20 000"), absolute: true},
		},
	}
	assert.Equal(t, `## Flat out

| | loader | Telegraf | ratio | goal | |
|---|---:|---:|---:|---|---|
| sent in, s | 4.50 | 4.60 | 0.98 |  |  |
| CPU | 4.0 | 16.0 | 0.25 | ≤ 1/3 | PASS |
| missing | 0 | 124 800 | 0.00 | ≤ 0 | PASS |
| drained | 90 000 |  |  | ≥ 20 000 | PASS |

A note.
`, tab.markdown())
	assert.True(t, tab.ok())
	tab.rows[1].ours = 6
	assert.False(t, tab.ok())
}

func TestNumber(t *testing.T) {
	for _, tt := range []struct {
		x      float64
		digits int
		want   string
	}{
		{0, 0, "0"}, {999, 0, "999"}, {1000, 0, "1 000"}, {1234567.891, 2, "1 234 567.89"},
		{-1234, 0, "-1 234"}, {0.005, 1, "0.0"}, {999.96, 1, "1 000.0"},
		{math.NaN(), 0, ""}, {math.Inf(1), 0, ""},
	} {
		assert.Equal(t, tt.want, number(tt.x, tt.digits), "%v", tt.x)
	}
}

func TestParseCPU(t *testing.T) {
	for _, tt := range []struct {
		name, stat string
		want       time.Duration
		ok         bool
	}{
		{"plain", "42 (loader) S 1 42 42 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 9 0 100 1 2", 1750 * time.Millisecond, true},
		{"a name with a bracket", "42 (a) b (c) R 1 42 42 0 -1 4194560 100 0 0 0 1 2 7 7 20", 30 * time.Millisecond, true},
		{"short", "42 (loader) S 1 42", 0, false},
		{"no name", "", 0, false},
		{"no number", "42 (loader) S 1 42 42 0 -1 4194560 100 0 0 0 x 25 0", 0, false},
	} {
		got, err := parseCPU(tt.stat)
		assert.Equal(t, tt.ok, err == nil, "%s: %v", tt.name, err)
		assert.Equal(t, tt.want, got, tt.name)
	}
}

func TestParseUsage(t *testing.T) {
	for _, tt := range []struct {
		name, stat string
		want       usage
		ok         bool
	}{
		{"plain", "cpu  100 1 20 900 50 0 3 4 0 0\ncpu0 1 2 3\n", usage{1280 * time.Millisecond, 10780 * time.Millisecond}, true},
		{"another line", "cpu0 100 1 20 900 50 0 3 4 0 0\n", usage{}, false},
		{"short", "cpu 1 2 3", usage{}, false},
		{"no number", "cpu 1 2 3 4 5 6 7 x", usage{}, false},
	} {
		got, err := parseUsage(tt.stat)
		assert.Equal(t, tt.ok, err == nil, "%s: %v", tt.name, err)
		assert.Equal(t, tt.want, got, tt.name)
	}
}

func TestParsePeak(t *testing.T) {
	for _, tt := range []struct {
		status string
		want   int64
		ok     bool
	}{
		{"Name:\tloader\nVmPeak:\t  999 kB\nVmHWM:\t   37100 kB\nVmRSS:\t 1 kB\n", 37100 << 10, true},
		{"Name:\tkthreadd\n", 0, false},
		{"VmHWM:\tmuch kB\n", 0, false},
	} {
		got, err := parsePeak(tt.status)
		assert.Equal(t, tt.ok, err == nil, "%q: %v", tt.status, err)
		assert.Equal(t, tt.want, got, "%q", tt.status)
	}
}

func TestParseModel(t *testing.T) {
	assert.Equal(t, "AMD EPYC", parseModel("processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC\nstepping\t: 0\n"))
	assert.NotEmpty(t, parseModel(""))
}

func TestParseAnswer(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		want         []float64
		ok           bool
	}{
		{"two series", `{"results":[{"statement_id":0,"series":[{"name":"a","columns":["time","count"],"values":[["1970-01-01T00:00:00Z",3]]},
			{"name":"b","columns":["time","count"],"values":[["1970-01-01T00:00:00Z",4]]}]}]}`, []float64{3, 4}, true},
		{"nothing yet", `{"results":[{"statement_id":0}]}`, nil, true},
		{"names", `{"results":[{"series":[{"values":[["dcs"]]}]}]}`, nil, true},
		{"a statement fails", `{"results":[{"error":"database not found"}]}`, nil, false},
		{"all fails", `{"error":"parse"}`, nil, false},
		{"no JSON", `502`, nil, false},
	} {
		got, err := parseAnswer([]byte(tt.answer))
		assert.Equal(t, tt.ok, err == nil, "%s: %v", tt.name, err)
		assert.Equal(t, tt.want, got, tt.name)
	}
}

// The load is what the contract says of a power supply's status.
func TestStatus(t *testing.T) {
	at := time.Date(2026, 11, 20, 19, 25, 49, 920528000, time.UTC)
	b := appendStatus(nil, at, 42, "7f3a9c")
	var list []map[string]any
	require.NoError(t, json.Unmarshal(b, &list))
	require.Len(t, list, channels)
	for i, c := range list {
		assert.EqualValues(t, i, c["number"])
		assert.Equal(t, "2026-11-20T19:25:49.920528Z", c["time"])
		assert.EqualValues(t, 42, c["seq"])
		assert.Equal(t, "7f3a9c", c["boot"])
		for _, key := range []string{"on", "vreq", "ireq", "vmon", "imon", "ramp", "ramping", "limited", "trip", "interlock", "locked"} {
			assert.IsType(t, 0.0, c[key], key)
		}
		assert.Len(t, c, 15)
	}
	var typed []wire.Channel
	require.NoError(t, json.Unmarshal(b, &typed))

	g := newGenerator("hv")
	var last time.Time
	for seq := range uint64(1000) {
		require.NoError(t, json.Unmarshal(g.next().Payload, &typed))
		assert.Equal(t, seq+1, typed[0].Seq)
		assert.True(t, typed[0].Time.After(last), "times strictly increase")
		last = typed[0].Time
	}
}

func TestFlags(t *testing.T) {
	s, err := parse([]string{"-quick", "-only", "flat,backlog", "-messages", "1"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, []string{"flat", "backlog"}, s.only)
	assert.Equal(t, 20_000, s.messages)
	s, err = parse([]string{"-messages", "1049"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 1000, s.messages, "the same for each device")
	assert.Equal(t, parts, s.only)
	for _, bad := range [][]string{{"-only", "fast"}, {"-rounds", "0"}, {"-messages", "49"}, {"-rate", "10"}, {"flat"}, {"-x"}} {
		_, err := parse(bad, io.Discard)
		assert.Error(t, err, "%v", bad)
	}
}
