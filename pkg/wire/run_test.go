package wire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseRunCommand(t *testing.T) {
	c, err := ParseRunCommand(Start, []byte(` {"procedure":"calibration","parameters":{"module":"M12","vcal":200,"fast":true},
		"configuration":"hv-on","id":"nr-17","user":"alice","expires":"2026-11-20T12:00:00Z","dry":1} `))
	if err != nil {
		t.Fatal(err)
	}
	want := RunCommand{
		Op: Start, Procedure: "calibration", Parameters: Parameters{"module": "M12", "vcal": 200.0, "fast": true},
		Configurations: map[string]ConfigurationOrName{RunTransition: {Name: "hv-on"}},
		ID:             "nr-17", User: "alice", Expires: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), Dry: true,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	again, err := ParseRunCommand(Start, c.Payload())
	if err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("its own payload gives %+v, %v", again, err)
	}
	if _, err := ParseRunCommand(Abort, []byte(`{}`)); err != nil {
		t.Errorf("an abort needs nothing: %v", err)
	}
	c, err = ParseRunCommand(Start, []byte(`{"procedure":"p","configurations":{"end":{"setpoints":[{"device":"hv","channel":0,"op":"setv","value":0}]},"run":"x"}}`))
	if err != nil || c.Configurations["end"].Inline == nil || c.Configurations["run"].Name != "x" {
		t.Errorf("configurations by transition: %+v, %v", c, err)
	}
}

func TestParseRunCommandRefuses(t *testing.T) {
	many := make(map[string]any)
	for i := range MaxParameters + 1 {
		many[strings.Repeat("x", i+1)] = 1
	}
	tooMany, _ := json.Marshal(map[string]any{"procedure": "p", "parameters": many})
	for _, tt := range []struct{ op, payload, want string }{
		{Start, `calibration`, "takes an object"},
		{Start, ``, "takes an object"},
		{Start, `{`, "not JSON"},
		{Start, `{}`, `"procedure" is missing`},
		{Start, `{"procedure":"p"} x`, "there is more"},
		{Start, `{"procedure":"p","procedure":"q"}`, "stands twice"},
		{Start, `{"Procedure":"p"}`, "unknown key"},
		{Start, `{"procedure":"p","drry":1}`, "unknown key"},
		{Start, `{"procedure":"p","dry":true}`, "0 or 1"},
		{Start, `{"procedure":1}`, "not a string"},
		{Start, `{"procedure":"p","reason":"x"}`, "takes no"},
		{Start, `{"procedure":"p","run":0}`, "not the number"},
		{Start, `{"procedure":"p","run":null}`, "not the number"},
		{Start, `{"procedure":"p","run":1.5}`, "not the number"},
		{Start, `{"procedure":"p","device":"a/b"}`, "letters"},
		{Start, `{"procedure":"p","parameters":[]}`, "not an object"},
		{Start, `{"procedure":"p","parameters":{"a":1,"a":2}}`, "stands twice"},
		{Start, `{"procedure":"p","parameters":{"a":null}}`, "neither"},
		{Start, `{"procedure":"p","parameters":{"a":{"b":1}}}`, "neither"},
		{Start, `{"procedure":"p","parameters":{"a":"` + strings.Repeat("x", MaxParameter+1) + `"}}`, "bytes"},
		{Start, string(tooMany), "keys"},
		{Start, `{"procedure":"p","configuration":""}`, "1 to"},
		{Start, `{"procedure":"p","configuration":7}`, "an object, or the name"},
		{Start, `{"procedure":"p","configuration":{"setpoint":[]}}`, "unknown field"},
		{Start, `{"procedure":"p","configurations":["x"]}`, "not an object"},
		{Start, `{"procedure":"p","configuration":"a","configurations":{}}`, "cannot both"},
		{Start, `{"procedure":"p","expires":"tomorrow"}`, "RFC 3339"},
		{Abort, `{"procedure":"p"}`, "takes no"},
		{Abort, `{"run":"42"}`, "not the number"},
		{Start, "{\"procedure\":\"\xff\"}", "UTF-8"},
		{Start, `{"procedure":"` + strings.Repeat("x", MaxCommand) + `"}`, "bytes"},
	} {
		c, err := ParseRunCommand(tt.op, []byte(tt.payload))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %.80s: %v, want %q", tt.op, tt.payload, err, tt.want)
		}
		if len(c.Echo) > EchoLen {
			t.Errorf("%.80s: an echo of %d bytes", tt.payload, len(c.Echo))
		}
	}
	c, err := ParseRunCommand(Abort, []byte(`{"run":42,"id":"a","user":"bob","x":1}`))
	if err == nil || c.Run != 42 || c.ID != "a" || c.User != "bob" {
		t.Errorf("of a bad command its sender can be told: %+v, %v", c, err)
	}
}

func FuzzParseRunCommand(f *testing.F) {
	f.Add(Start, []byte(`{"procedure":"calibration","parameters":{"module":"M12"},"configuration":{"sensors":[{"device":"a","field":"b","min":1}]}}`))
	f.Add(Abort, []byte(`{"run":42,"reason":"x"}`))
	f.Fuzz(func(t *testing.T, op string, payload []byte) {
		c, err := ParseRunCommand(op, payload)
		if err != nil {
			return
		}
		again, err := ParseRunCommand(op, c.Payload())
		if err != nil {
			t.Fatalf("%s is understood, and as written by us, %s, not: %v", payload, c.Payload(), err)
		}
		if !again.Expires.Equal(c.Expires) {
			t.Fatalf("expires changes from %v to %v", c.Expires, again.Expires)
		}
		again.Expires, c.Expires = time.Time{}, time.Time{}
		if !reflect.DeepEqual(json.RawMessage(again.Payload()), json.RawMessage(c.Payload())) {
			t.Fatalf("%s and %s", again.Payload(), c.Payload())
		}
	})
}

func TestRunTopics(t *testing.T) {
	r := Root("lab1")
	for got, want := range map[string]string{
		r.RunCommand(Start): "lab1/run/cmd/start", r.RunAck(): "lab1/run/ack", r.RunState(): "lab1/run/state",
		r.RunOp("ph2acf", Abort): "lab1/ph2acf/cmd/abort", r.Report("ph2acf"): "lab1/ph2acf/run", r.Log("ph2acf"): "lab1/ph2acf/log",
		r.Manifest("ph2acf", 42): "lab1/ph2acf/results/42/manifest", r.Chunk("ph2acf", 42, 1, 17): "lab1/ph2acf/results/42/1/17",
		r.Receipts("calibration", "ph2acf"): "lab1/service/calibration/results/ph2acf", r.RecordReceipts("calibration"): "lab1/service/calibration/record",
		r.Kept("calibration"): "lab1/service/calibration/runs", r.RunRecord(): "lab1/run/record", r.RunAnnotation(): "lab1/run/annotation",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	dev, run, file, chunk, ok := r.CutChunk("lab1/ph2acf/results/42/1/17")
	if !ok || dev != "ph2acf" || run != 42 || file != 1 || chunk != 17 {
		t.Error("a chunk's topic is not read")
	}
	for _, bad := range []string{"lab1/ph2acf/results/42/manifest", "lab1/ph2acf/results/x/1/17", "lab1/ph2acf/results/0/1/17", "lab1/ph2acf/results/1/-1/1", "ph2acf/results/42/1/17"} {
		if _, _, _, _, ok := r.CutChunk(bad); ok {
			t.Errorf("%s is taken for a chunk", bad)
		}
	}
}
