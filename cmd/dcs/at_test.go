package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/history"
)

// atNow is when the tests ask, and atNoon the time that they ask about.
var (
	atNow  = time.Date(2026, 11, 20, 13, 0, 0, 0, time.UTC)
	atNoon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
)

// scriptedMoment is an archive that says the same of every time.
type scriptedMoment struct {
	devices map[string][]history.Snapshot
	newest  map[string]time.Time
	states  []history.State
	run     *history.RunMark
	err     error
	asked   time.Time
	within  time.Duration
}

func (a *scriptedMoment) Devices(context.Context) ([]string, error) {
	return []string{"dht", "hv", "later", "old"}, a.err
}

func (a *scriptedMoment) At(_ context.Context, device string, t time.Time, within time.Duration) ([]history.Snapshot, error) {
	a.asked, a.within = t, within
	return a.devices[device], nil
}

func (a *scriptedMoment) Newest(_ context.Context, device string, _ time.Time) (time.Time, bool, error) {
	t, ok := a.newest[device]
	return t, ok, nil
}

func (a *scriptedMoment) StatesAt(context.Context, time.Time) ([]history.State, error) {
	return a.states, nil
}

func (a *scriptedMoment) RunAt(context.Context, time.Time) (mark history.RunMark, ok bool, err error) {
	if a.run == nil {
		return history.RunMark{}, false, nil
	}
	return *a.run, true, nil
}

func (a *scriptedMoment) RunNumber(_ context.Context, n int64) (mark history.RunMark, ok bool, err error) {
	if a.run == nil || a.run.Number != n {
		return history.RunMark{}, false, nil
	}
	return *a.run, true, nil
}

// ago is a sample of that many seconds before noon.
func ago(x, s float64) history.Sample {
	return history.Sample{Value: x, Time: atNoon.Add(-time.Duration(s * float64(time.Second)))}
}

func snapshot(tags map[string]string, age, period float64, fields map[string]history.Sample) history.Snapshot {
	return history.Snapshot{Tags: tags, Time: ago(0, age).Time, Period: time.Duration(period * float64(time.Second)), Fields: fields}
}

func noon() *scriptedMoment {
	return &scriptedMoment{
		devices: map[string][]history.Snapshot{
			"hv": {
				snapshot(map[string]string{"number": "0"}, 1.5, 1, map[string]history.Sample{
					"on": ago(1, 1.5), "vreq": ago(100, 1.5), "vmon": ago(99.98, 1.5), "imon": ago(1e-6, 4), "trip": ago(0, 1.5), "seq": ago(7, 1.5), "boot": {Text: "b", Time: atNoon}}),
				snapshot(map[string]string{"number": "1"}, 1.6, 1, map[string]history.Sample{
					"on": ago(0, 1.6), "vreq": ago(0, 1.6), "trip": ago(1, 1.6), "locked": ago(1, 1.6)}),
			},
			"dht":    {snapshot(nil, 2, 0, map[string]history.Sample{"temperature": ago(21.3, 2), "mode\x1b": {Text: "a", Time: ago(0, 2).Time}})},
			"sensor": {snapshot(map[string]string{"sensor": "box", "measurement": "dew"}, 0, 0, map[string]history.Sample{"value": ago(1.5, 0)})},
		},
		newest: map[string]time.Time{"old": atNoon.Add(-3 * time.Hour)},
		states: []history.State{
			{Name: "hv", State: "unreachable", Error: "no route", Time: atNoon.Add(-time.Minute).UnixNano()},
			{Name: "loader", State: "ready"},
		},
		run: &history.RunMark{Number: 42, Procedure: "calibration", State: "finished", Start: atNoon, End: atNow},
	}
}

func TestAt(t *testing.T) {
	a := noon()
	con, out, errs := printed()
	c := &atCmd{Time: "2026-11-20T12:00Z", Within: 5 * time.Minute}
	require.NoError(t, c.run(t.Context(), con, a, atNow))
	assert.Equal(t, atNoon, a.asked.UTC())
	assert.Equal(t, 5*time.Minute, a.within)
	assert.Equal(t, `2026-11-20T12:00:00.000Z  in run 42 (calibration, finished)

dht
  mode   temperature
    (a)    (21.3 °C)  not known to be current: 2.0 s before

hv  unreachable since 2026-11-20T11:59:00.000Z: no route
  ch     on       vreq      vmon                      imon
   0     on   100.00 V  99.980 V  (1.000 µA, 4.0 s before)                  1.5 s before
   1  (off)  (0.000 V)                                      (TRIP, locked)  STALE: 1.6 s before

old
  no value: the last one is of 2026-11-20T09:00:00.000Z, 3 h before

sensor
           value
  box/dew    1.5  0.0 s before

others: loader ready
`, out.String())
	assert.Empty(t, errs.String())
}

// The mark of a run whose end was never archived claims no later time.
func TestAtAfterARunWithoutAnEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		mark   history.RunMark
		number int64
		unsure bool
	}{
		"long ago":         {history.RunMark{Start: atNoon.Add(-30 * 24 * time.Hour), Newest: true}, 0, true},
		"another followed": {history.RunMark{Start: atNoon.Add(-time.Hour)}, 0, true},
		"its state only":   {history.RunMark{Start: atNoon.Add(-time.Hour), State: "interrupted", Newest: true}, 0, true},
		"under way":        {history.RunMark{Start: atNoon.Add(-time.Hour), Newest: true}, 0, false},
		"at its start":     {history.RunMark{Start: atNoon.Add(-30 * 24 * time.Hour)}, 42, false},
	} {
		a := noon()
		tt.mark.Number, tt.mark.Procedure = 42, "calibration"
		a.run = &tt.mark
		c := &atCmd{Time: "2026-11-20T12:00Z", Number: tt.number, Within: time.Hour, Output: "text"}
		if tt.number != 0 {
			c.Time = ""
		}
		con, out, _ := printed()
		require.NoError(t, c.run(t.Context(), con, a, atNow), name)
		first, _, _ := strings.Cut(out.String(), "\n")
		c.Output = "json"
		con, out, _ = printed()
		require.NoError(t, c.run(t.Context(), con, a, atNow), name)
		line := jsonLines(t, out.String())[0]
		if tt.unsure {
			assert.Contains(t, first, "  run 42 (calibration) began at "+stamp(tt.mark.Start)+"; its end is not in the archive", name)
			assert.NotContains(t, line, "run", name)
			assert.EqualValues(t, 42, line["run_before"], name)
		} else {
			assert.Contains(t, first, "  in run 42 (calibration, running)", name)
			assert.EqualValues(t, 42, line["run"], name)
		}
	}
}

func TestAtJSON(t *testing.T) {
	con, out, _ := printed()
	c := &atCmd{Number: 42, Time: "hv", Within: time.Minute, Output: "json"}
	require.NoError(t, c.run(t.Context(), con, noon(), atNow))
	lines := jsonLines(t, out.String())
	require.Len(t, lines, 3)
	assert.EqualValues(t, 42, lines[0]["run"])
	assert.Equal(t, "2026-11-20T12:00:00Z", lines[0]["time"])
	assert.EqualValues(t, 0, lines[1]["channel"])
	assert.Equal(t, "current", lines[1]["currency"])
	assert.Equal(t, map[string]any{"value": 1e-6, "age": 4., "currency": "stale"}, lines[1]["fields"].(map[string]any)["imon"])
	assert.Equal(t, "stale", lines[2]["currency"])
}

func TestAtEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		cmd  atCmd
		a    *scriptedMoment
		code int
		want string
	}{
		"no time":    {atCmd{}, noon(), 1, "which time?"},
		"both":       {atCmd{Time: "now", Device: "hv", Number: 42}, noon(), 1, "cannot both be given"},
		"no such":    {atCmd{Number: 43}, noon(), 1, "run 43 is not in the archive"},
		"negative":   {atCmd{Number: -1}, noon(), 1, "numbered from 1"},
		"future":     {atCmd{Time: "2030-01-01"}, noon(), 1, "in the future"},
		"rubbish":    {atCmd{Time: "noon"}, noon(), 1, "is no time"},
		"unknown":    {atCmd{Time: "10m", Device: "nn"}, noon(), 1, "no device nn in the archive: there are dht, hv"},
		"window":     {atCmd{Time: "10m", Within: -time.Second}, noon(), 1, "choose more than nothing"},
		"nothing":    {atCmd{Time: "10m", Device: "old"}, noon(), 4, "no value within 1m0s before 2026-11-20T12:50:00.000Z: ask for more with --within"},
		"no answer":  {atCmd{Time: "10m"}, &scriptedMoment{err: fmt.Errorf("%w: dead", history.ErrNoAnswer)}, 5, "does not answer: dead"},
		"other trap": {atCmd{Time: "10m"}, &scriptedMoment{err: errors.New("denied")}, 1, "denied"},
	} {
		con, _, errs := printed()
		if tt.cmd.Within == 0 {
			tt.cmd.Within = time.Minute
		}
		err := tt.cmd.run(t.Context(), con, tt.a, atNow)
		assert.Equal(t, tt.code, codeOf(t, err), name)
		assert.Contains(t, errs.String()+fmt.Sprint(err), tt.want, name)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	con, _, _ := printed()
	assert.Equal(t, 130, codeOf(t, (&atCmd{Time: "10m", Within: 1}).run(ctx, con, noon(), atNow)))
}

func TestAtArguments(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want atCmd
	}{
		{[]string{"at", "-10m", "hv"}, atCmd{Time: "10m", Device: "hv"}},
		{[]string{"at", "--run", "42", "hv"}, atCmd{Time: "hv", Number: 42}},
		{[]string{"at", "-o", "json", "-1h30m"}, atCmd{Time: "1h30m"}},
	} {
		var c commands
		p, err := kong.New(&c, kong.Vars{"version": "x"})
		require.NoError(t, err)
		_, err = p.Parse(letAgo(tt.args))
		require.NoError(t, err, tt.args)
		assert.Equal(t, tt.want, atCmd{Time: c.At.Time, Device: c.At.Device, Number: c.At.Number}, tt.args)
	}
	assert.Equal(t, []string{"get", "-10m"}, letAgo([]string{"get", "-10m"}))
	got, err := parseMoment("-10m", atNow)
	assert.Error(t, err, got)
}
