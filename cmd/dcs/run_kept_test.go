package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

func TestRunList(t *testing.T) {
	m := &memory{runs: []runs.Run{run42(), {Number: 41, State: wire.RunFailed, Procedure: "scan", Asked: runStart.Add(-time.Hour), Error: "exit code\n1", User: "bob"}}}
	con, out, errs := printed()
	c := &runListCmd{mongoFlags: storeFlags("text"), Module: "M12", From: "2026-11-20T00:00Z", To: "3h", Limit: 2}
	require.NoError(t, c.run(t.Context(), con, m, atNow))
	assert.Equal(t, `run  state     procedure    module  asked for              took  by     error
 42  finished  calibration  M12     2026-11-20T11:59:58Z  8.1 s  alice
 41  failed    scan                 2026-11-20T11:00:00Z         bob    exit code 1
`, out.String())
	assert.Contains(t, errs.String(), "--before 41 goes on")
	assert.Equal(t, runs.Filter{Module: "M12", From: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), To: atNow.Add(-3 * time.Hour), Limit: 2},
		runs.Filter{Module: m.filter.Module, From: m.filter.From.UTC(), To: m.filter.To, Limit: m.filter.Limit})

	con, out, _ = printed()
	c.Output = "json"
	require.NoError(t, c.run(t.Context(), con, m, atNow))
	assert.EqualValues(t, 42, jsonLines(t, out.String())[0]["run"])

	for _, bad := range []runListCmd{{Limit: 0}, {Limit: 5000}, {Limit: 1, From: "soon"}, {Limit: 1, To: "soon"}} {
		assert.Equal(t, 1, codeOf(t, bad.run(t.Context(), con, m, atNow)))
	}
	con, _, errs = printed()
	require.NoError(t, (&runListCmd{Limit: 1}).run(t.Context(), con, &memory{}, atNow))
	assert.Contains(t, errs.String(), "no such run")
}

func TestRunShow(t *testing.T) {
	con, out, _ := printed()
	require.NoError(t, (&runShowCmd{mongoFlags: storeFlags("text"), Number: 42}).run(t.Context(), con, &memory{runs: []runs.Run{run42()}}))
	assert.Equal(t, `run 42  finished
  procedure  calibration
  module     M12
  device     ph2acf
  asked for  2026-11-20T11:59:58.000Z by alice
  start      2026-11-20T12:00:00.000Z
  end        2026-11-20T12:00:08.125Z
  took       8.1 s
  program    ph2acfsim --module M12
  exit code  0
  versions   ph2acf 1.0, ph2acfsim 2.1
  results    stored
  stored     2026-11-20T12:00:09.000Z
  archive    dcs from 2026-11-20T12:00:00.000Z to 2026-11-20T12:00:08.125Z
  log        2 lines: dcs run log 42
  id         nr-17
  uid        u42

parameters
  fast    false
  module  M12
  vcal    200

configuration of run  hv-on
  hv/0      setv 100 V
  hv/all    clear
  dht_room  temperature from 15 to 30
  hv/0      vmon from 95, at most 3 s old
  timeout   600 s

transitions
  2026-11-20T11:59:58.000Z  configure  idle to configuring
  2026-11-20T12:00:09.000Z  end        finishing to finished  all  is there

result scurves
  columns/noise  2032 values, 5.9 to 24.4, mean 7.1
  rows           2032

result summary
  chips/c0/name       c0
  chips/c0/threshold  120
  chips/c1/name       c1
  chips/c1/threshold  121
  noise               4.25

files
  name             size  SHA-256  read  error
  summary.json  1.23 kB  abc      json
  raw.bin       20.0 MB  def      raw   too big
  left out: core: not asked for

devices from 2026-11-20T12:00:00.000Z to 2026-11-20T12:00:08.125Z

  dht_room  4 statuses
    field        first   last    min     mean    max
    temperature  21 °C  22 °C  21 °C  21.5 °C  22 °C

  hv  NR, 42, psu 0.1  9 statuses, 1 MISSING, 2 boots
    ch  label     field  at start     first      last       min      mean       max
     0  module A  on           on        on        on
                  vreq   100.00 V
                  vmon             99.000 V  101.00 V  98.000 V  100.00 V  102.00 V
    2026-11-20T12:00:02.000Z channel 0: trip
    2026-11-20T12:00:03.000Z unreachable: no route

refused and failed commands
  2026-11-20T12:00:04.000Z  hv/1  setv 1e9  by bob  rejected OUT_OF_RANGE  too much
  … 3 more refused commands and events are not listed

missing: 1 status; without room: 0 messages; what they said is not in the numbers above
`, out.String())

	con, out, _ = printed()
	require.NoError(t, (&runShowCmd{mongoFlags: storeFlags("json"), Number: 42}).run(t.Context(), con, &memory{runs: []runs.Run{run42()}}))
	assert.Equal(t, "calibration", jsonLines(t, out.String())[0]["procedure"])

	con, out, _ = printed() // of a run of which little is known
	require.NoError(t, (&runShowCmd{Number: 7}).run(t.Context(), con, &memory{runs: []runs.Run{{Number: 7, State: wire.RunInterrupted}}}))
	assert.Equal(t, "run 7  interrupted\n", out.String())

	long := make([]any, 50)
	con, out, _ = printed()
	require.NoError(t, (&runShowCmd{Number: 7}).run(t.Context(), con, &memory{runs: []runs.Run{{Number: 7, State: wire.RunFinishing, Results: map[string]any{"a": long}}}}))
	assert.Contains(t, out.String(), "  not complete  what is under way is not stored yet")
	assert.Contains(t, out.String(), "  39  -\n  … 10 more: dcs run show 7 -o json\n")
}

func TestRunNotThere(t *testing.T) {
	con, _, errs := printed()
	c := &runShowCmd{Number: 9}
	assert.ErrorContains(t, c.run(t.Context(), con, &memory{}), "run 9 is not in the database: see dcs run list")
	c.Number = -1
	assert.ErrorContains(t, c.run(t.Context(), con, &memory{}), "not the number of a run")
	gone := fmt.Errorf("reading: %w", runs.ErrNoAnswer)
	assert.Equal(t, 5, codeOf(t, asked(t.Context(), con, gone)))
	assert.Contains(t, errs.String(), "MongoDB does not answer")
	assert.Equal(t, 1, codeOf(t, asked(t.Context(), con, runs.ErrDenied)))
	assert.Equal(t, 4, codeOf(t, asked(t.Context(), con, exitFailed)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Equal(t, 130, codeOf(t, asked(ctx, con, gone)))
}

func TestRunLog(t *testing.T) {
	m := &memory{runs: []runs.Run{run42()}}
	con, out, _ := printed()
	c := &runLogCmd{busFlags: busFlags{Output: "text"}, Number: 42}
	require.NoError(t, c.run(t.Context(), con, m))
	assert.Equal(t, "2026-11-20T12:00:00.500Z out phase=scan\n2026-11-20T12:00:01.000Z err careful [2J\n", out.String())

	// A log that was cut is read from its file.
	r := &m.runs[0]
	r.LogCut = 5
	m.keep(r, "log.txt", "2026-11-20T12:00:00.5Z\tout\ta\tb\nno time\n2026-11-20T12:00:01Z\terr\tlast")
	r.Files[len(r.Files)-1].Read = wire.ReadLog
	con, out, _ = printed()
	require.NoError(t, c.run(t.Context(), con, m))
	assert.Equal(t, "2026-11-20T12:00:00.500Z out a    b\nno time\n2026-11-20T12:00:01.000Z err last\n", out.String())

	con, out, _ = printed()
	c.Output = "json"
	require.NoError(t, c.run(t.Context(), con, m))
	assert.Equal(t, "a\tb", jsonLines(t, out.String())[0]["text"])
	c.Output = "text"

	m.files["42/log.txt"] = "DAMAGEDfirst\n"
	con, out, errs := printed()
	assert.Equal(t, 4, codeOf(t, c.run(t.Context(), con, m)))
	assert.Equal(t, "first\n", out.String())
	assert.Contains(t, errs.String(), "may be wrong")

	r.Files = nil
	con, out, errs = printed()
	assert.Equal(t, 4, codeOf(t, c.run(t.Context(), con, m)))
	assert.Contains(t, out.String(), "phase=scan\n… about here 5 lines are missing\n")
	assert.Contains(t, errs.String(), "5 lines in the middle are missing")

	c.Number = 0
	assert.ErrorContains(t, c.run(t.Context(), con, m), "which run?")
}

func TestRunFiles(t *testing.T) {
	r := runs.Run{Number: 42, Outcome: wire.ResultsStored}
	m := &memory{}
	m.keep(&r, "summary.json", "{}")
	m.keep(&r, "sub/raw.bin", "raw bytes")
	m.runs = []runs.Run{r}
	con, out, _ := printed()
	c := &runFilesCmd{mongoFlags: storeFlags("text"), Number: 42}
	require.NoError(t, c.run(t.Context(), con, m))
	assert.Contains(t, out.String(), "sub/raw.bin    9 B  ")

	dir := filepath.Join(t.TempDir(), "new")
	c.To = dir
	con, out, _ = printed()
	require.NoError(t, c.run(t.Context(), con, m))
	assert.Equal(t, "summary.json  2 B  written, the sum is right\nsub/raw.bin  9 B  written, the sum is right\n", out.String())
	b, err := os.ReadFile(filepath.Join(dir, "sub", "raw.bin"))
	require.NoError(t, err)
	assert.Equal(t, "raw bytes", string(b))

	con, out, _ = printed() // once more: nothing to do
	require.NoError(t, c.run(t.Context(), con, m))
	assert.Contains(t, out.String(), "sub/raw.bin  9 B  is there already, the sum is right\n")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "summary.json"), []byte("[]"), 0o600))
	con, _, errs := printed() // another one is not overwritten
	assert.Equal(t, 4, codeOf(t, c.run(t.Context(), con, m)))
	assert.Contains(t, errs.String(), "summary.json: a file of that name is there, and is another: --force replaces it")
	c.Force = true
	con, _, _ = printed()
	require.NoError(t, c.run(t.Context(), con, m))
	b, _ = os.ReadFile(filepath.Join(dir, "summary.json"))
	assert.Equal(t, "{}", string(b))
	assert.Len(t, names(t, dir), 2, "nothing else is left there")
}

func names(t *testing.T, dir string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

// What is damaged never gets its name, and what would lead out of the folder is
// not written; the others are.
func TestRunFilesThatAreBad(t *testing.T) {
	r := runs.Run{Number: 42}
	m := &memory{}
	for _, name := range []string{"../out", "/abs", "a/../../out", "a/./b", "link/x", "damaged", "short", "gone", "good"} {
		m.keep(&r, name, "text of "+name)
	}
	m.files["42/damaged"] = "DAMAGEDtext"
	m.files["42/short"] = "text"
	delete(m.files, "42/gone")
	m.runs = []runs.Run{r}
	top := t.TempDir()
	dir := filepath.Join(top, "dir")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Symlink(top, filepath.Join(dir, "link")))
	con, out, errs := printed()
	c := &runFilesCmd{mongoFlags: storeFlags("text"), Number: 42, To: dir}
	assert.Equal(t, 4, codeOf(t, c.run(t.Context(), con, m)))
	assert.Equal(t, "good  12 B  written, the sum is right\n", out.String())
	assert.Equal(t, []string{"good", "link"}, names(t, dir))
	assert.Equal(t, []string{"dir"}, names(t, top))
	for _, want := range []string{"../out: the name leads out", "/abs: the name leads out", "damaged: the file is damaged", "short: the file is damaged: it has 4 bytes", "gone: file gone: not found", "link/x: "} {
		assert.Contains(t, errs.String(), want)
	}
	c.To = filepath.Join(dir, "good")
	assert.ErrorContains(t, c.run(t.Context(), con, m), "--to")
}

func TestRunCompare(t *testing.T) {
	a, b := run42(), run42()
	b.Number, b.State = 43, wire.RunFailed
	b.Parameters = map[string]any{"module": "M12", "vcal": 210., "fast": false}
	b.Results = map[string]any{"summary": map[string]any{"noise": 4.5}}
	m := &memory{runs: []runs.Run{a, b}}
	con, out, _ := printed()
	c := &runCompareCmd{mongoFlags: storeFlags("text"), A: 42, B: 43}
	require.NoError(t, c.run(t.Context(), con, m))
	assert.Regexp(t, `run 42  finished  calibration M12  2026-11-20T12:00:00Z
run 43  failed  calibration M12  2026-11-20T12:00:00Z

settings +run 42  run 43  difference *
parameters/vcal +200 +210 +\+10  \+5 %

results +run 42  run 43  difference *
(scurves.*\n)*summary/chips/c0/threshold +120 +-
summary/chips/c1/threshold +121 +-
summary/noise +4.25 +4.5 +\+0.25  \+5.88 %

\d+ more are equal: --all shows them
`, out.String())

	con, out, _ = printed()
	c.B = 42
	require.NoError(t, c.run(t.Context(), con, m))
	assert.Contains(t, out.String(), "no difference: ")
	con, out, _ = printed()
	c.All, c.Output = true, "json"
	require.NoError(t, c.run(t.Context(), con, m))
	assert.Equal(t, true, jsonLines(t, out.String())[0]["equal"])
	c.B = 44
	assert.ErrorContains(t, c.run(t.Context(), con, m), "run 44 is not")
}

func TestRunConfig(t *testing.T) {
	m := &memory{}
	file := filepath.Join(t.TempDir(), "hv-on.yml")
	require.NoError(t, os.WriteFile(file, []byte(`
setpoints:
  - {device: hv, channel: 0, op: setv, value: 100}
  - {device: hv, channel: 0, op: switch, value: on}
sensors:
  - {device: dht_room, field: temperature, min: 15, max: 30}
timeout: 60
`), 0o600))
	con, out, errs := printed()
	require.NoError(t, (&configListCmd{}).run(t.Context(), con, m))
	assert.Contains(t, errs.String(), "there are no configurations")
	require.NoError(t, (&configPutCmd{Name: "hv-on", File: file}).run(t.Context(), con, m))
	assert.Equal(t, "hv-on: 2 setpoints and 1 sensor, for dcs run start … --configuration hv-on\n", out.String())
	assert.Equal(t, wire.Setpoint{Device: "hv", Channel: 0., Op: wire.Switch, Value: "on"}, m.configs[0].Configuration.Setpoints[1])
	assert.Equal(t, userName(), m.configs[0].User)

	con, out, _ = printed()
	require.NoError(t, (&configListCmd{}).run(t.Context(), con, m))
	assert.Contains(t, out.String(), "hv-on          2        1  2026-11-20T12:00:00Z  "+userName())
	con, out, _ = printed()
	require.NoError(t, (&configShowCmd{Name: "hv-on"}).run(t.Context(), con, m))
	assert.Equal(t, "hv-on\n  hv/0      setv 100 V\n  hv/0      switch on\n  dht_room  temperature from 15 to 30\n  timeout   60 s\n", out.String())
	con, out, _ = printed()
	require.NoError(t, (&configShowCmd{mongoFlags: storeFlags("json"), Name: "hv-on"}).run(t.Context(), con, m))
	require.NoError(t, (&configListCmd{storeFlags("json")}).run(t.Context(), con, m))
	assert.Len(t, jsonLines(t, out.String()), 2)
	require.NoError(t, (&configRemoveCmd{Name: "hv-on"}).run(t.Context(), con, m))
	assert.ErrorContains(t, (&configRemoveCmd{Name: "hv-on"}).run(t.Context(), con, m), `no configuration "hv-on"`)
	assert.ErrorContains(t, (&configShowCmd{Name: "hv-on"}).run(t.Context(), con, m), "dcs run config list")
	assert.Error(t, (&configPutCmd{Name: "x", File: file + "x"}).run(t.Context(), con, m))
	assert.Error(t, (&configPutCmd{Name: "", File: file}).run(t.Context(), con, m))
	m.err = errors.New("full")
	assert.ErrorContains(t, (&configPutCmd{Name: "x", File: file}).run(t.Context(), con, m), "full")
}

func TestBadConfigurations(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "it is empty",
		"[1]":                            "want setpoints:",
		"a: [":                           "neither YAML nor JSON",
		"wait: 1\n---\nwait: 2":          "more than one document",
		"wait: 1\nwait: 2":               "neither YAML nor JSON",
		"wiat: 1":                        `unknown field "wiat"`,
		"wait: 1":                        "neither setpoints nor sensors",
		`{"sensors":[{"device":"a/b"}]}`: "sensor 1: name",
		"sensors: [{device: hv}]":        "field is missing",
		"sensors: [{device: hv, field: x, min: 2, max: 1}]":                       "above max",
		"sensors: [{device: hv, field: x, channel: -1}]":                          "channel is -1",
		"sensors: [{device: hv, field: x, max_age: -1}]":                          "max_age",
		"sensors: [{device: hv, field: x}]\nwait: 9999":                           "wait is 9999 s",
		"sensors: [{device: hv, field: x}]\ntimeout: -1":                          "timeout is -1 s",
		"setpoints: [{device: run, channel: 0, op: setv, value: 1}]":              "reserved",
		"setpoints: [{device: hv, channel: 0.5, op: setv, value: 1}]":             "channel is 0.5",
		"setpoints: [{device: hv, channel: one, op: setv, value: 1}]":             "channel is one",
		"setpoints: [{device: hv, channel: 0, op: setv, value: '1'}]":             "want a number",
		"setpoints: [{device: hv, channel: all, op: setv, value: 1}]":             "one channel at a time",
		"setpoints: [{device: hv, channel: 0, op: switch, value: 1}]":             "want on or off",
		"setpoints: [{device: hv, channel: all, op: switch, value: on}]":          "one by one",
		"setpoints: [{device: hv, channel: 0, op: clear, value: 1}]":              "takes no value",
		"setpoints: [{device: hv, channel: 0, op: lock, value: 1}]":               "choose setv, seti",
		"setpoints: [{device: hv, channel: 0, op: setv, value: 1, extra: 2}]":     `unknown field "extra"`,
		"setpoints: [{device: hv, channel: 0, op: setv, value: 1}]\ntimeout: abc": "timeout",
	} {
		_, err := parseConfiguration([]byte(text))
		assert.ErrorContains(t, err, want, text)
	}
}
