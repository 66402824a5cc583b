package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

// runRunning is what run control says of a run at some time.
func runRunning(progress float64, at time.Time) string {
	lo := 95.0
	return string(wire.Encode(wire.Run{
		Run: 42, UID: "u1", State: wire.RunRunning, Since: noon, Time: at, Boot: "b", Procedure: "calibration", Device: "ph2acf",
		Parameters: wire.Parameters{"module": "M12", "vcal": 200.0, "hv": true}, Module: "M12", ID: "x", User: "alice", Asked: noon, Start: noon,
		Configurations: map[string]wire.Configuration{"run": {
			Setpoints: []wire.Setpoint{{Device: "hv", Channel: 0, Op: "setv", Value: 100.0}},
			Sensors:   []wire.Require{{Device: "hv", Field: "vmon", Min: &lo}},
		}},
		Transitions: []wire.Transition{{Name: "run", From: "configuring", To: "running", Time: noon}},
		Results:     wire.ResultsExpected, Progress: wire.Known(progress), Phase: "s-curves",
	}))
}

func annotated(state string, start, end time.Time) string {
	return string(wire.Encode(wire.Annotation{
		Run: 42, UID: "u1", Procedure: "calibration", Module: "M12", User: "alice", State: state, Start: start, End: end, Time: start, Boot: "b",
	}))
}

func TestLinesOfRuns(t *testing.T) {
	const (
		at   = `"time":"2026-11-20T19:25:49.920528Z"`
		ns   = "1795202749920528000"
		came = "1700000000000000001"
		noon = "1795176000000000000"
	)
	start := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, topic, payload string
		want                 string
		problem              string
	}{
		{"ack", "/run/ack", `{` + at + `,"boot":"b","id":"nr-17","op":"start","channel":null,"value":"calibration","user":"alice","phase":"done","code":"OK","message":"","closest":null,"readback":null,"run":42}`,
			`ack,device=run boot="b",id="nr-17",op="start",value_text="calibration",user="alice",phase="done",code="OK",message="",run=42 `, ""},
		{"no run", "/run/state", `{"run":0,"state":"idle",` + at + `,"boot":"b","error":""}`, `state,device=run run=0,state="idle",error="" ` + ns, ""},
		{"running", "/run/state", runRunning(0.5, start), `state,device=run run=42,state="running",error="" ` + noon, ""},
		{"failed", "/run/state", `{"run":42,"state":"failed",` + at + `,"error":"hv \"0\":\nTRIPPED","exit":3,"progress":1,"number":5,"seq":6}`,
			`state,device=run run=42,state="failed",error="hv \"0\": TRIPPED" ` + ns, ""},
		{"state without a time", "/run/state", `{"run":42,"state":"failed"}`, `state,device=run run=42,state="failed" ` + came, ""},
		{"much and deep", "/run/state", `{"run":42,"parameters":` + strings.Repeat(`{"a":[`, 4000) + strings.Repeat("]}", 4000) + `,"transitions":[` +
			strings.Repeat(`{"name":"run"},`, 40000) + `{}],"state":"running"}`, `state,device=run run=42,state="running" ` + came, ""},
		{"state that says nothing", "/run/state", `{"progress":1}`, "", "nothing in it"},
		{"state that is cut off", "/run/state", `{"state":"running","parameters":{"a":[1}`, "", "not JSON"},

		{"begun", "/run/annotation", annotated("running", start, time.Time{}),
			`run,procedure=calibration number=42,module="M12",user="alice",uid="u1",title="42 calibration M12" ` + noon, ""},
		{"ended", "/run/annotation", annotated("finished", start, start.Add(90*time.Second+500*time.Millisecond)),
			`run,procedure=calibration number=42,module="M12",user="alice",uid="u1",title="42 calibration M12",state="finished",end_ms=1795176090500,duration=90.5 ` + noon, ""},
		{"its results are awaited", "/run/annotation", annotated("finishing", start, start.Add(time.Minute)),
			`run,procedure=calibration number=42,module="M12",user="alice",uid="u1",title="42 calibration M12" ` + noon, ""},
		{"ended before it began", "/run/annotation", annotated("failed", start, start.Add(-time.Second)),
			`run,procedure=calibration number=42,module="M12",user="alice",uid="u1",title="42 calibration M12",state="failed",end_ms=1795175999000 ` + noon, ""},
		{"nasty texts", "/run/annotation", `{"run":1,"procedure":"a b,c=d","user":"x\"\\\ny","module":"é","state":"failed","start":"2026-11-20T13:00:00+01:00"}`,
			`run,procedure=a\ b\,c\=d number=1,module="é",user="x\"\\ y",uid="",title="1 a b,c=d é",state="failed" ` + noon, ""},
		{"little", "/run/annotation", `{"run":1,"procedure":"p","start":"2026-11-20T12:00:00Z","x":{"y":[1]}}`,
			`run,procedure=p number=1,module="",user="",uid="",title="1 p" ` + noon, ""},
		{"empty", "/run/annotation", ``, "", ""},
		{"no number", "/run/annotation", `{"procedure":"p","start":"2026-11-20T12:00:00Z"}`, "", "0 is not the number of a run"},
		{"no procedure", "/run/annotation", `{"run":1,"start":"2026-11-20T12:00:00Z"}`, "", "procedure: an empty name"},
		{"a line feed in the procedure", "/run/annotation", `{"run":1,"procedure":"a\nb","start":"2026-11-20T12:00:00Z"}`, "", "control character"},
		{"endless procedure", "/run/annotation", `{"run":1,"procedure":"` + strings.Repeat("p", 1025) + `","start":"2026-11-20T12:00:00Z"}`, "", "at most 1024"},
		{"no start", "/run/annotation", `{"run":1,"procedure":"p"}`, "", "no start"},
		{"start out of range", "/run/annotation", `{"run":1,"procedure":"p","start":"9999-11-20T12:00:00Z"}`, "", "cannot hold"},
		{"start that is no time", "/run/annotation", `{"run":1,"procedure":"p","start":"noon"}`, "", "not an annotation"},
		{"a list", "/run/annotation", `[]`, "", "not an annotation"},

		{"status", "/run/status", `{"a":1}`, "", "reserved"},
		{"replay", "/run/replay", `{"a":1}`, "", "reserved"},
		{"record", "/run/record", `{"a":1}`, "", "does not know"},
		{"log", "/ph2acf/log", `{"run":42,"lines":[]}`, "", "does not know"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, out, err := newEncoder("").appendLines(nil, received(tt.topic, tt.payload))
			line := strings.TrimSuffix(string(got), "\n")
			if tt.name == "ack" { // its nanoseconds are made from what it says
				assert.Regexp(t, `^179520274992052[89]\d{3}$`, line[len(line)-19:])
				line = line[:len(line)-19]
			}
			assert.Equal(t, tt.want, line)
			if tt.problem == "" {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, tt.problem)
			}
			parseLines(t, got)
			if strings.HasPrefix(tt.topic, "/run/") {
				assert.Empty(t, out.device, "run is no device")
			}
		})
	}
	got, _, err := newEncoder("lab1").appendLines(nil, received("lab1/run/annotation", annotated("running", start, time.Time{})))
	assert.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(got), "run,procedure=calibration "))
}

// The state of a run comes with each step of its progress. It is a point when
// state, error or number change, and the same message twice is the same point.
func TestProgressIsNoPoint(t *testing.T) {
	e := newEncoder("")
	second := 0
	lines := func(run int, state, problem string) int {
		second++
		r := wire.Run{Run: int64(run), State: state, Time: noon.Add(time.Duration(second) * time.Second), Boot: "b", Error: problem,
			Progress: wire.Known(float64(second) / 100), Phase: fmt.Sprint("phase ", second)}
		got, _, err := e.appendLines(nil, received("/run/state", string(wire.Encode(r))))
		assert.NoError(t, err)
		return len(parseLines(t, got))
	}
	for i, step := range []struct {
		run     int
		state   string
		problem string
		want    int
	}{
		{0, wire.RunIdle, "", 1}, {0, wire.RunIdle, "", 0}, {1, wire.RunRunning, "", 1}, {1, wire.RunRunning, "", 0}, {1, wire.RunRunning, "", 0},
		{1, wire.RunRunning, "ph2acf is lost", 1}, {1, wire.RunRunning, "ph2acf is lost", 0}, {1, wire.RunRunning, "", 1},
		{1, wire.RunFinished, "", 1}, {2, wire.RunFinished, "", 1}, {2, wire.RunFinished, "", 0},
	} {
		assert.Equal(t, step.want, lines(step.run, step.state, step.problem), "step %d", i)
	}
	e.elsewhere() // what came in between was read by another encoder
	assert.Equal(t, 1, lines(2, wire.RunFinished, ""))
	assert.Equal(t, 0, lines(2, wire.RunFinished, ""))
}

// Where the live side leaves something behind it forgets what a run's state was:
// in what it left there may be another.
func TestStateOfRunsAfterAGap(t *testing.T) {
	d := newRunsDrain(t)
	for _, c := range []*cursor{&d.live, &d.past} {
		say := func() int {
			got, _, err := c.encoder.appendLines(nil, received("/run/state", `{"run":1,"state":"running"}`))
			assert.NoError(t, err)
			return len(got)
		}
		assert.Positive(t, say())
		assert.Zero(t, say())
		c.seek(c.reader.Pos())
		assert.Positive(t, say())
	}
	d.leaveBehind()
	assert.Len(t, d.backlog, 1)
}

func newRunsDrain(t *testing.T) *drain {
	l := openLoader(t, testConfig(t, ""), t.TempDir(), archiveFunc(func(context.Context, []byte) error { return nil }))
	t.Cleanup(l.close)
	return l.drain
}

// Two batches are on their way at a time, and the backlog comes after what comes
// now: in whichever order InfluxDB takes what is said of a run, what stays is its
// end. Run control says a run again after a reconnect, in any state.
func TestStartDoesNotHideTheEnd(t *testing.T) {
	end := noon.Add(time.Minute)
	for _, state := range []string{wire.RunFinished, wire.RunFailed, wire.RunAborted, wire.RunInterrupted} {
		key, ended := annotationPoint(t, annotated(state, noon, end))
		assert.Equal(t, "run,procedure=calibration "+fmt.Sprint(noon.UnixNano()), key)
		assert.Contains(t, ended, `,state="`+state+`",end_ms=1795176060000,duration=60`)
		for _, before := range []string{annotated(wire.RunRunning, noon, time.Time{}), annotated(wire.RunFinishing, noon, end)} {
			sameKey, begun := annotationPoint(t, before)
			assert.Equal(t, key, sameKey, "it is one point")
			assert.NotEqual(t, ended, begun)
			assert.Equal(t, ended, merged(begun, ended))
			assert.Equal(t, ended, merged(ended, begun))
		}
	}
}

// annotationPoint is the key of an annotation's point, and its fields.
func annotationPoint(t *testing.T, payload string) (key, fields string) {
	t.Helper()
	got, _, err := newEncoder("").appendLines(nil, received("/run/annotation", payload))
	require.NoError(t, err)
	series, fields, when := cutLine(strings.TrimSpace(string(got)))
	return series + " " + when, fields
}

// A run as run control says it, from the bus to InfluxDB.
func TestRunIsArchived(t *testing.T) {
	r := newRigOnce(t)
	metrics, _ := r.loader(r.config())
	r.state(wire.Ready)
	end := noon.Add(100 * time.Second)
	r.say("/run/ack", string(wire.Encode(wire.Ack{Time: noon.Add(1), Boot: "b", ID: "x", Op: wire.Start, Value: "calibration", Phase: wire.Accepted, Code: wire.OK, Run: 42})))
	r.say("/run/annotation", annotated(wire.RunRunning, noon, time.Time{}))
	r.influx.wait("the run's start", func() bool { return r.influx.has("run,procedure=calibration ") })
	for i := range 100 {
		r.say("/run/state", runRunning(float64(i)/100, noon.Add(time.Duration(i)*time.Second)))
		r.say("/ph2acf/status", fmt.Sprintf(`{"run":42,"progress":%v,"phase":"s-curves","time":%q,"seq":%d,"boot":"p"}`,
			float64(i)/100, noon.Add(time.Duration(i)*time.Second).Format(time.RFC3339Nano), i+1))
		r.say("/ph2acf/log", `{"run":42,"boot":"p","first":1,"lines":[{"time":"2026-11-20T12:00:00Z","stream":"out","text":"x"}]}`)
	}
	r.say("/ph2acf/run", `{"run":42,"state":"finished"}`)
	r.say("/ph2acf/results/42/manifest", `{}`)
	r.say("/run/record", `{}`)
	r.say("/run/state", string(wire.Encode(wire.Run{Run: 42, State: wire.RunFinished, Time: end, Boot: "b"})))
	r.say("/run/annotation", annotated(wire.RunFinished, noon, end))

	at := fmt.Sprint(noon.UnixNano())
	r.influx.wait("the run's end", func() bool {
		return strings.Contains(r.influx.series("run,procedure=calibration")[at], "end_ms=") && len(r.influx.series("ph2acf")) == 100 &&
			len(r.influx.series("state,device=run")) == 2
	})
	r.influx.mu.Lock()
	assert.Equal(t, map[string]string{
		at: `number=42,module="M12",user="alice",uid="u1",title="42 calibration M12",state="finished",end_ms=1795176100000,duration=100`,
	}, r.influx.series("run,procedure=calibration"))
	assert.Equal(t, map[string]string{
		at:                         `run=42,state="running",error=""`,
		fmt.Sprint(end.UnixNano()): `run=42,state="finished",error=""`,
	}, r.influx.series("state,device=run"))
	assert.Len(t, r.influx.series("ack,device=run"), 1)
	assert.False(t, r.influx.has("service,record=dead_letter"), "nothing is put aside")
	r.influx.mu.Unlock()
	for kind, want := range map[string]float64{"run_state": 101, "annotation": 2, "ack": 1, "status": 100, "unknown": 0} {
		assert.Equal(t, want, count(t, metrics, "messages_total", kind), kind)
	}
	assert.Zero(t, count(t, metrics, "bad_messages_total", ""))
	r.page("loader", "ph2acf", func(p Page) bool { return p.Seen == 100 && p.Missing == 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.NotContains(t, r.pages, "/service/loader/ledger/run")
}

// A loader that was started anew knows nothing of what the one before it stored.
func TestEndStaysWhenTheStartIsStoredAfterARestart(t *testing.T) {
	r := newRig(t)
	_, stop := r.loader(r.config())
	r.state(wire.Ready)
	run := func() string { return r.influx.series("run,procedure=calibration")[fmt.Sprint(noon.UnixNano())] }
	r.say("/run/annotation", annotated(wire.RunFinished, noon, noon.Add(time.Minute)))
	r.influx.wait("the run's end", func() bool { return run() != "" })
	stop()
	r.loader(r.config())
	r.say("/run/annotation", annotated(wire.RunRunning, noon, time.Time{}))
	r.influx.wait("its start", func() bool {
		return strings.Count(strings.Join(r.influx.tried, ""), "run,procedure=calibration ") == 2
	})
	r.say("/sensor/a/b", "1")
	r.influx.wait("what came after it", func() bool { return r.influx.has("sensor,") })
	r.influx.mu.Lock()
	defer r.influx.mu.Unlock()
	assert.Equal(t, `number=42,module="M12",user="alice",uid="u1",title="42 calibration M12",state="finished",end_ms=1795176060000,duration=60`, run())
}

// A loader from before runs has other subscriptions in its list; they stay
// what they are and the new one is added.
func TestFormerWithoutRuns(t *testing.T) {
	r := newRig(t)
	list := filepath.Join(r.dir, "subscriptions.json")
	require.NoError(t, os.WriteFile(list, wire.Encode([]string{"/+/status", "/+/replay", "/+/ack", "/+/state", "/service/+/state", "/sensor/+/+", "/old/annotation"}), 0o640))
	r.loader(r.config())
	r.state(wire.Ready)
	var got []string
	eventually(t, func() bool {
		b, err := os.ReadFile(list)
		return err == nil && json.Unmarshal(b, &got) == nil && assert.ObjectsAreEqual(append(filters("", nil), "/service/loader/beat"), got)
	}, func() string { return fmt.Sprint("the list of subscriptions; it is ", got) })
	r.say("/run/annotation", annotated(wire.RunRunning, noon, time.Time{}))
	r.influx.wait("the annotation", func() bool { return r.influx.has("run,procedure=calibration ") })
}

// What stands in a value that is skipped is checked as encoding/json does.
func TestSkip(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `[[],{}]`, `{"a":{"b":[1,{"c":[]}]},"d":[]}`, `[1,[2,[3],4],5]`, ` [ { "a" : [ ] } , [ ] ] `,
		`[}`, `{]`, `[[]`, `{"a":[}`, `[,]`, `[1,]`, `{"a":1,}`, `{"a"}`, `{a:1}`, `[1 2]`, `[[] []]`, `{"a":[]"b":1}`, `[{"a":1}{}]`, `[[1],`, `[[[`, `{"a":{"b":`,
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth),
		strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
		strings.Repeat(`{"a":`, maxDepth) + "1" + strings.Repeat("}", maxDepth),
		strings.Repeat(`[{"a":`, 100) + strings.Repeat("}]", 99) + "]}",
	} {
		s := scanner{text: []byte(text)}
		_, err := s.value(0)
		if err == nil {
			err = s.end()
		}
		assert.Equal(t, json.Valid([]byte(text)), err == nil, "%.60s: %v", text, err)
	}
	deep := []byte(strings.Repeat(`[{"a":`, maxDepth/2) + "1" + strings.Repeat("}]", maxDepth/2))
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		s := scanner{text: deep}
		_, _ = s.value(0)
	}))
}
