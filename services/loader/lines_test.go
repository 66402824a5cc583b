package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	lineprotocol "github.com/influxdata/line-protocol"
	"github.com/stretchr/testify/assert"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// arrived is when the messages of these tests came.
const arrived = 1_700_000_000_000_000_001

func received(topic, payload string) *message {
	return &message{Message: bus.Message{Topic: topic, Payload: []byte(payload), QoS: 1}, arrived: arrived, length: len(payload)}
}

func TestLines(t *testing.T) {
	const (
		at   = `"time":"2026-11-20T19:25:49.920528Z"`
		ns   = "1795202749920528000"
		came = "1700000000000000001"
	)
	tests := []struct {
		name, topic, payload string
		want                 []string // lines
		problem              string   // part of the error
	}{
		// What cannot be stored.
		{"not JSON", "/hv/status", `hello`, nil, `'h' at byte 0 where a value`},
		{"cut off", "/hv/status", `[{"number":0,"seq":1,"vmon":1},{"number":1,"seq":1`, nil, "ends where"},
		{"more behind", "/hv/status", `{"seq":1} x`, nil, "the end should be"},
		{"a comma too many", "/hv/status", `[{"number":0,"seq":1},]`, nil, "']' at byte 22"},
		{"number with a leading zero", "/hv/status", `{"a":01}`, nil, "begins with 0"},
		{"bad escape", "/hv/status", `{"boot":"\x"}`, nil, "an escape"},
		{"control character in a text", "/hv/status", "{\"boot\":\"a\nb\"}", nil, "printable"},
		{"a word", "/hv/status", `"on"`, nil, "has to be an object"},
		{"a number", "/hv/status", `12`, nil, "has to be an object"},
		{"a list where an object belongs", "/hv/ack", `[{"op":"setv"}]`, nil, "has to be an object"},
		{"no numbers", "/hv/status", `{"boot":"7f",` + at + `}`, nil, "nothing in it that is a number"},
		{"nested too deep", "/hv/status", `{"a":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`, nil, "too deep"},
		{"unreadable time", "/hv/status", `{"a":1,"time":"yesterday"}`, nil, `"yesterday" is not a time`},
		{"time as a number", "/hv/status", `{"a":1,"time":1795202749}`, nil, "is not a time"},
		{"time without a zone", "/hv/status", `{"a":1,"time":"2026-11-20T19:25:49"}`, nil, "is not a time"},
		{"time out of range", "/hv/status", `{"a":1,"time":"9999-11-20T19:25:49Z"}`, nil, "is not a time"},
		{"reserved device", "/alarm/status", `{"a":1}`, nil, "reserved"},
		{"bad device", "/h v/status", `{"a":1}`, nil, "use letters"},
		{"foreign topic", "/hv/cmd/setv/0", `1`, nil, "does not know"},
		{"sensor without a name", "/sensor//t", `1`, nil, "empty name"},
		{"sensor with a line feed", "/sensor/a\nb/t", `1`, nil, "control character"},
		{"sensor with a backslash", `/sensor/a\/t`, `1`, nil, "backslash"},
		{"sensor that could not read", "/sensor/a/t", `nan`, nil, "not a number"},
		{"sensor with infinity", "/sensor/a/t", `-inf`, nil, "not a number"},
		{"sensor in hexadecimal", "/sensor/a/t", `0x10`, nil, "not a number"},
		{"sensor with underscores", "/sensor/a/t", `1_000`, nil, "not a number"},
		{"sensor past all numbers", "/sensor/a/t", `1e999`, nil, "not a number"},
		{"sensor with a text", "/sensor/a/t", `{"value":"warm"}`, nil, "not a number"},
		{"sensor without value", "/sensor/a/t", `{"val":1}`, nil, "nothing in it"},
		{"channel without number", "/hv/status", `[{"seq":1,"vmon":1}]`, nil, "without its number"},
		{"channel number with a fraction", "/hv/status", `[{"number":0.5,"seq":1}]`, nil, "not a whole number"},
		{"channel number as a text", "/hv/status", `[{"number":"1,x=2","seq":1}]`, nil, "not a whole number"},

		// What is not stored and no mistake.
		{"empty", "/hv/state", ``, nil, ""},
		{"space", "/hv/status", " \r\n", nil, ""},
		{"no channels", "/hv/status", `[]`, nil, ""},
		{"padded channel", "/hv/status", `[{"number":0,"on":0,"vreq":0}]`, nil, ""},

		// Supplies.
		{"supply", "/hv/status",
			`[{"number":0,"on":1,"vreq":100.0,"ireq":0.001,"vmon":99.98,"imon":1.2e-6,` + at + `,"seq":42,"boot":"7f3a9c"},` +
				`{"number":1,"on":0,"vreq":-0.0,` + at + `,"seq":42,"boot":"7f3a9c"}]`,
			[]string{
				`hv,number=0 on=1,vreq=100.0,ireq=0.001,vmon=99.98,imon=1.2e-6,seq=42,boot="7f3a9c" ` + ns,
				`hv,number=1 on=0,vreq=-0.0,seq=42,boot="7f3a9c" ` + ns,
			}, ""},
		{"replay", "/hv/replay", `[{"number":3,"seq":1,` + at + `}]`, []string{`hv,number=3 seq=1 ` + ns}, ""},
		{"padded, and the rest", "/lv/status", ` [ {"number":0,"on":0} , { "number" : 1 , "seq" : 7 } ] `,
			[]string{`lv,number=1 seq=7 ` + came}, ""},
		{"one channel is bad", "/lv/status", `[{"number":1,"seq":7},{"number":"x","seq":7},7,{"number":3.0,"seq":7}]`,
			[]string{`lv,number=1 seq=7 ` + came, `lv,number=3 seq=7 ` + came}, "not a whole number"},

		// Sensors.
		{"sensor's status", "/sensor_1/status", `{"meas1":0.49,"meas2":0.49,` + at + `,"seq":3,"boot":"b"}`,
			[]string{`sensor_1 meas1=0.49,meas2=0.49,seq=3,boot="b" ` + ns}, ""},
		{"other zone", "/s/status", `{"a":1,"time":"2026-11-20T21:25:49.920528+02:00"}`, []string{"s a=1 " + ns}, ""},
		{"no time", "/s/status", `{"a":1}`, []string{"s a=1 " + came}, ""},
		{"time is null", "/s/status", `{"a":1,"time":null}`, []string{"s a=1 " + came}, ""},
		{"booleans", "/s/status", `{"a":true,"b":false}`, []string{"s a=1,b=0 " + came}, ""},
		{"nested values are left out", "/s/status", `{"a":{"b":[1,{"c":"}"}]},"d":[[],{}],"e":2}`, []string{"s e=2 " + came}, ""},
		{"nested deeply", "/s/status", `{"a":` + strings.Repeat(`[{"b":1,"c":`, 1000) + "2" + strings.Repeat("}]", 1000) + `,"e":2}`, []string{"s e=2 " + came}, ""},
		{"nested and cut off", "/s/status", `{"a":[{"b":[1,2}]}`, nil, "closing ]"},
		{"nested, and a comma too many", "/s/status", `{"a":[{"b":[1],}]}`, nil, "a key"},
		{"calibration", "/ph2acf/status", `{"run":42,"progress":0.35,"running":1,"phase":"s-curves","procedure":"calibration","module":"M12","lines":120,` + at + `,"seq":9,"boot":"b"}`,
			[]string{`ph2acf run=42,progress=0.35,running=1,lines=120,seq=9,boot="b" ` + ns}, ""},
		{"texts are left out", "/s/status", `{"a":"on","b":2,"id":"x"}`, []string{"s b=2 " + came}, ""},
		{"what is no number is left out", "/s/status", `{"a":NaN,"b":Infinity,"c":-Infinity,"d":null,"e":1e400,"f":9.91E37,"g":-9.9e37,"h":1}`,
			[]string{"s h=1 " + came}, ""},
		{"huge integers", "/s/status", `{"a":18446744073709551615,"b":-9007199254740993,"c":123456789012345678901234567890}`,
			[]string{"s a=18446744073709551615,b=-9007199254740993,c=1.2345678901234568e+29 " + came}, ""},
		{"many digits", "/s/status", `{"a":0.1000000000000000055511151231257827}`, []string{"s a=0.1 " + came}, ""},
		{"tiny", "/s/status", `{"a":1e-400}`, []string{"s a=1e-400 " + came}, ""},
		{"nasty keys", "/s/status", `{"a b":1,"c,d=e":2,"°C":3,"":4,"f\\g":5,"h\ni":6,"j\u0020k":7,"l\"m":8}`,
			[]string{`s a\ b=1,c\,d\=e=2,°C=3,j\ k=7,l"m=8 ` + came}, "empty name"},
		{"boot is a number", "/s/status", `{"boot":5,"a":1}`, []string{"s a=1 " + came}, ""},

		// Foreign sensors.
		{"bare", "/sensor/dht/temperature", `21.3`, []string{`sensor,measurement=temperature,sensor=dht value=21.3 ` + came}, ""},
		{"bare as an Arduino prints it", "/sensor/dht/h", " +100.\r\n", []string{`sensor,measurement=h,sensor=dht value=100 ` + came}, ""},
		{"bare with exponent", "/sensor/p/vacuum", `.5E-7`, []string{`sensor,measurement=vacuum,sensor=p value=5e-08 ` + came}, ""},
		{"object", "/sensor/dht/t", `{"value":21.3}`, []string{`sensor,measurement=t,sensor=dht value=21.3 ` + came}, ""},
		{"as the original", "/sensor/dht/t", `{"topic":"/sensor/dht/t","sensor":"dht","measurement":"t","value":21.3}`,
			[]string{`sensor,measurement=t,sensor=dht value=21.3 ` + came}, ""},
		{"number in a text", "/sensor/dht/t", `{"value":" 21.30 "}`, []string{`sensor,measurement=t,sensor=dht value=21.3 ` + came}, ""},
		{"with a time", "/sensor/dht/t", `{"value":1,` + at + `}`, []string{`sensor,measurement=t,sensor=dht value=1 ` + ns}, ""},
		{"nasty names", "/sensor/my lab,1/a=b", `1`, []string{`sensor,measurement=a\=b,sensor=my\ lab\,1 value=1 ` + came}, ""},

		// Acks.
		{"ack", "/hv/ack", `{` + at + `,"boot":"7f","id":"nr-17","op":"setv","channel":0,"value":100.0,"user":"alice",` +
			`"phase":"accepted","code":"OK","message":"","closest":null,"readback":null}`,
			[]string{`ack,device=hv boot="7f",id="nr-17",op="setv",channel="0",value=100.0,user="alice",phase="accepted",code="OK",message="" 1795202749920528154`}, ""},
		{"ack of a word for all", "/hv/ack", `{` + at + `,"channel":"all","op":"switch","value":"off","phase":"done","readback":0.1,"closest":3}`,
			[]string{`ack,device=hv channel="all",op="switch",value_text="off",phase="done",readback=0.1,closest=3 1795202749920528540`}, ""},
		{"ack with nanoseconds of its own", "/hv/ack", `{"time":"2026-11-20T19:25:49.920528001Z","phase":"done"}`,
			[]string{`ack,device=hv phase="done" 1795202749920528001`}, ""},
		{"nasty texts", "/hv/ack", `{"user":"a\"b\\c","message":"two\nlines\ttab","id":"\u00e9\ud83d\ude00\ud800","channel":null,"value":null}`,
			[]string{`ack,device=hv user="a\"b\\c",message="two lines tab",id="é😀�" ` + came}, ""},
		{"not UTF-8", "/hv/ack", "{\"user\":\"a\xffb\"}", []string{`ack,device=hv user="a�b" ` + came}, ""},
		{"endless text", "/hv/ack", `{"message":"` + strings.Repeat("é", 600) + `"}`,
			[]string{`ack,device=hv message="` + strings.Repeat("é", 512) + `" ` + came}, ""},

		// States.
		{"state", "/hv/state", `{"state":"ready","since":"2026-11-20T19:25:49Z",` + at + `,"boot":"7f","error":""}`,
			[]string{`state,device=hv state="ready",boot="7f",error="" ` + ns}, ""},
		{"last number of a driver", "/hv/state", `{"state":"stopped",` + at + `,"boot":"7f","seq":42}`,
			[]string{`state,device=hv state="stopped",boot="7f",seq=42 ` + ns}, ""},
		{"service", "/service/loader/state", `{"state":"ready",` + at + `}`, []string{`state,device=loader state="ready" ` + ns}, ""},
		{"last will", "/hv/state", `{"state":"lost","boot":"7f","error":""}`, []string{`state,device=hv state="lost",boot="7f",error="" ` + came}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := newEncoder("").appendLines(nil, received(tt.topic, tt.payload))
			want := ""
			if len(tt.want) > 0 {
				want = strings.Join(tt.want, "\n") + "\n"
			}
			if string(got) != want {
				t.Errorf("lines:\n%swant:\n%s", got, want)
			}
			switch {
			case tt.problem == "" && err != nil:
				t.Errorf("problem: %v", err)
			case tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)):
				t.Errorf("problem: %v, want %q", err, tt.problem)
			}
			parseLines(t, got)
		})
	}
}

func TestLinesUnderARoot(t *testing.T) {
	e := newEncoder("lab1")
	got, _, err := e.appendLines([]byte("before\n"), received("lab1/hv/status", `{"a":1}`))
	if want := "before\nhv a=1 1700000000000000001\n"; string(got) != want || err != nil {
		t.Errorf("%s %v, want %s", got, err, want)
	}
	if _, _, err := e.appendLines(nil, received("/hv/status", `{"a":1}`)); err == nil {
		t.Error("a topic outside the root was taken")
	}
}

// A bad message leaves what is already in the buffer alone.
func TestLinesKeepWhatIsThere(t *testing.T) {
	got, _, err := newEncoder("").appendLines([]byte("before\n"), received("/hv/status", `[{"number":1,"seq":1},`))
	if string(got) != "before\n" || err == nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTooLarge(t *testing.T) {
	m := received("/hv/status", `{"a":1}`)
	m.length = maxPayload + 1
	if got, _, err := newEncoder("").appendLines(nil, m); len(got) > 0 || err == nil {
		t.Errorf("%q, %v", got, err)
	}
}

// Acks of one moment are points of their own, the same ack is the same point,
// and a command's first ack comes before its last.
func TestAcksOfOneMoment(t *testing.T) {
	e := newEncoder("")
	at := time.Date(2026, 11, 20, 19, 25, 49, 920528000, time.UTC)
	times := make(map[string]string)
	for _, phase := range []string{wire.Accepted, wire.Done} {
		for channel := range 4 {
			a := wire.Ack{Time: at, Boot: "b", ID: fmt.Sprint(phase, channel), Op: "switch", Channel: wire.One(channel), Phase: phase, Code: wire.OK}
			first, _, _ := e.appendLines(nil, received("/hv/ack", string(wire.Encode(a))))
			again, _, _ := e.appendLines(nil, received("/hv/ack", string(wire.Encode(a))))
			if string(first) != string(again) {
				t.Errorf("the same ack twice:\n%s%s", first, again)
			}
			when := strings.TrimSpace(string(first[len(first)-20:]))
			if other, ok := times[when]; ok {
				t.Errorf("the ack of %s stands where that of %s does", a.ID, other)
			}
			times[when] = a.ID
			if late := when[len(when)-3:] >= "500"; late != (phase == wire.Done) {
				t.Errorf("%s at %s", phase, when)
			}
		}
	}
}

// A last will has no time and stays on the broker: with each new subscription
// it comes again, and must not look like a new loss.
func TestLastWillOnce(t *testing.T) {
	e := newEncoder("")
	lines := func(state string) int {
		got, _, err := e.appendLines(nil, received("/hv/state", state))
		if err != nil {
			t.Error(err)
		}
		return len(parseLines(t, got))
	}
	ready := `{"state":"ready","time":"2026-11-20T19:25:49Z","boot":"a","error":""}`
	lost := `{"state":"lost","boot":"a","error":"gone"}`
	other := `{"state":"lost","boot":"b","error":"gone"}`
	for i, step := range []struct {
		state string
		want  int
	}{{ready, 1}, {ready, 1}, {lost, 1}, {lost, 0}, {lost, 0}, {ready, 1}, {lost, 1}, {other, 1}, {lost, 1}} {
		if got := lines(step.state); got != step.want {
			t.Errorf("step %d, %s: %d lines, want %d", i, step.state, got, step.want)
		}
	}
}

func TestTopicsAreForgotten(t *testing.T) {
	e := newEncoder("")
	for i := range 3 * maxTargets {
		e.target(fmt.Sprintf("/sensor/s/m%d", i))
	}
	if len(e.targets) > maxTargets {
		t.Errorf("%d topics are kept", len(e.targets))
	}
}

// FuzzLines checks that whatever comes, what leaves is line protocol, and that
// the scanner and encoding/json agree on what is JSON.
func FuzzLines(f *testing.F) {
	for _, topic := range []string{"/hv/status", "/hv/ack", "/hv/state", "/sensor/a b/c", "/run/ack", "/run/state", "/run/annotation"} {
		for _, payload := range []string{
			`[{"number":0,"on":1,"vreq":100.0,"imon":1.2e-6,"time":"2026-11-20T19:25:49.920528Z","seq":42,"boot":"7f"}]`,
			`{"meas1":0.49,"a b":-1e5,"nested":{"x":[1,"2",null,true]},"boot":"\u00e9\"\\"}`,
			`{"op":"setv","channel":"all","value":"on","user":"a\nb","phase":"accepted","message":"\ud83d"}`,
			`{"state":"lost","boot":"7f","error":"x"}`,
			`{"run":42,"state":"running","error":"","parameters":{"a":[{"b":[[]]}]},"time":"2026-11-20T19:25:49Z"}`,
			`{"run":42,"uid":"u","procedure":"cal i","module":"M=1","state":"finished","start":"2026-11-20T19:25:49Z","end":"2026-11-20T19:26:49Z"}`,
			`21.3`, ` +5. `, `NaN`, `{"a":NaN,"b":-Infinity}`, `[]`, `{}`, `[[[`, `{"a":01}`, "",
		} {
			f.Add(topic, []byte(payload))
		}
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		m := received(topic, string(payload))
		got, out, err := newEncoder("").appendLines(nil, m)
		points := parseLines(t, got)
		if strings.Count(string(got), "\n") != len(points) {
			t.Errorf("%d points in\n%q", len(points), got)
		}
		s := scanner{text: payload}
		_, scanErr := s.value(0)
		if scanErr == nil {
			scanErr = s.end()
		}
		if valid := json.Valid(payload); valid != (scanErr == nil) && !errors.Is(scanErr, errDepth) &&
			!strings.Contains(string(payload), "NaN") && !strings.Contains(string(payload), "Infinity") {
			t.Errorf("%q: encoding/json says %v, the scanner %v", payload, valid, scanErr)
		}
		if err != nil || out.kind != status || !strings.HasPrefix(string(payload), "{") {
			return
		}
		checkNumbers(t, payload, points)
	})
}

// checkNumbers compares a status that is an object with what encoding/json
// makes of it.
func checkNumbers(t *testing.T, payload []byte, points []lineprotocol.Metric) {
	t.Helper()
	var object map[string]any
	if json.Unmarshal(payload, &object) != nil {
		return // a number that is too large, or NaN
	}
	want := make(map[string]any)
	for k, v := range object {
		switch v := v.(type) {
		case float64:
			if math.Abs(v) < wire.Overflow && k != "boot" && k != "time" {
				want[k] = v
			}
		case bool:
			if k != "boot" && k != "time" {
				want[k] = map[bool]float64{true: 1}[v]
			}
		}
	}
	got := make(map[string]any)
	for _, p := range points {
		for _, field := range p.FieldList() {
			if field.Key != "boot" {
				got[field.Key] = field.Value
			}
		}
	}
	if !reflect.DeepEqual(got, want) && strings.Count(string(payload), `"`) == 2*len(object) { // no key twice
		t.Errorf("%s\ngives %v,\nwant %v", payload, got, want)
	}
}

// parseLines reads lines with InfluxData's own parser.
func parseLines(t testing.TB, lines []byte) []lineprotocol.Metric {
	t.Helper()
	points, err := lineprotocol.NewParser(lineprotocol.NewMetricHandler()).Parse(lines)
	if err != nil {
		t.Errorf("not line protocol: %v\n%q", err, lines)
	}
	for _, p := range points {
		if len(p.FieldList()) == 0 || p.Time().IsZero() {
			t.Errorf("a point without fields or time: %q", lines)
		}
		for _, f := range p.FieldList() {
			switch x := f.Value.(type) {
			case float64:
				if math.IsNaN(x) || math.IsInf(x, 0) {
					t.Errorf("field %s is %v", f.Key, x)
				}
			case string:
			default:
				t.Errorf("field %s is a %T", f.Key, x)
			}
		}
	}
	return points
}

const fourChannels = `[{"number":0,"on":1,"vreq":100.0,"ireq":0.001,"vmon":99.98,"imon":1.2e-6,"ramp":5.0,"ramping":0,"limited":0,"trip":0,"time":"2026-11-20T19:25:49.920528Z","seq":42,"boot":"7f3a9c"},` +
	`{"number":1,"on":1,"vreq":100.0,"ireq":0.001,"vmon":99.98,"imon":1.2e-6,"ramp":5.0,"ramping":0,"limited":0,"trip":0,"time":"2026-11-20T19:25:49.920528Z","seq":42,"boot":"7f3a9c"},` +
	`{"number":2,"on":1,"vreq":100.0,"ireq":0.001,"vmon":99.98,"imon":1.2e-6,"ramp":5.0,"ramping":0,"limited":0,"trip":0,"time":"2026-11-20T19:25:49.920528Z","seq":42,"boot":"7f3a9c"},` +
	`{"number":3,"on":1,"vreq":100.0,"ireq":0.001,"vmon":99.98,"imon":1.2e-6,"ramp":5.0,"ramping":0,"limited":0,"trip":0,"time":"2026-11-20T19:25:49.920528Z","seq":42,"boot":"7f3a9c"}]`

func TestLinesAllocateNothing(t *testing.T) {
	e := newEncoder("")
	buf := make([]byte, 0, 1<<16)
	for _, m := range []*message{
		received("/hv/status", fourChannels),
		received("/hv/ack", string(wire.Encode(wire.Ack{Time: time.Unix(0, arrived), Op: "setv", Value: 1.0, Phase: wire.Done}))),
		received("/sensor/dht/t", "21.5"),
		received("/run/state", runRunning(0.5, noon)),
	} {
		if n := testing.AllocsPerRun(100, func() { buf, _, _ = e.appendLines(buf[:0], m) }); n != 0 {
			t.Errorf("%s: %v allocations", m.Topic, n)
		}
	}
}

func BenchmarkLines(b *testing.B) {
	e := newEncoder("")
	m := received("/hv/status", fourChannels)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _, _ = e.appendLines(buf[:0], m)
	}
}

// What the ledger counts.
func TestOutcome(t *testing.T) {
	const at = `"time":"2026-11-20T19:25:49.920528Z"`
	const ns = 1795202749920528000
	numbered := outcome{kind: status, device: "hv", boot: "b", seq: 7, numbered: true, time: ns}
	with := func(change func(*outcome)) outcome {
		o := numbered
		change(&o)
		return o
	}
	for _, tt := range []struct {
		name, topic, payload string
		want                 outcome
	}{
		{"not JSON", "/hv/status", `{"seq":7,` + at, outcome{kind: status, device: "hv"}},
		{"empty", "/hv/status", ``, outcome{kind: status, device: "hv"}},
		{"no seq", "/hv/status", `{"a":1,"boot":"b",` + at + `}`, outcome{kind: status, device: "hv", boot: "b", time: ns}},
		{"no boot", "/hv/status", `{"seq":7,` + at + `}`, outcome{kind: status, device: "hv", seq: 7, time: ns}},
		{"empty boot", "/hv/status", `{"seq":7,"boot":"",` + at + `}`, outcome{kind: status, device: "hv", seq: 7, time: ns}},
		{"boot is a number", "/hv/status", `{"seq":7,"boot":1,` + at + `}`, outcome{kind: status, device: "hv", seq: 7, time: ns}},
		{"endless boot", "/hv/status", `{"seq":7,"boot":"` + strings.Repeat("b", 65) + `",` + at + `}`, outcome{kind: status, device: "hv", seq: 7, time: ns}},
		{"no time", "/hv/status", `{"seq":7,"boot":"b"}`, outcome{kind: status, device: "hv", boot: "b", seq: 7}},
		{"unreadable time", "/hv/status", `{"seq":7,"boot":"b","time":"noon"}`, outcome{kind: status, device: "hv", boot: "b", seq: 7}},
		{"two times", "/hv/status", `{"seq":7,"boot":"b",` + at + `,"time":"noon"}`, outcome{kind: status, device: "hv", boot: "b", seq: 7, time: ns}},
		{"negative", "/hv/status", `{"seq":-7,"boot":"b",` + at + `}`, outcome{kind: status, device: "hv", boot: "b", time: ns}},
		{"fraction", "/hv/status", `{"seq":7.5,"boot":"b",` + at + `}`, outcome{kind: status, device: "hv", boot: "b", time: ns}},
		{"2^53", "/hv/status", `{"seq":9007199254740992,"boot":"b",` + at + `}`, outcome{kind: status, device: "hv", boot: "b", time: ns}},
		{"text", "/hv/status", `{"a":1,"seq":"7","boot":"b",` + at + `}`, outcome{kind: status, device: "hv", boot: "b", time: ns}},
		{"only padding", "/hv/status", `[{"number":0,"boot":"b",` + at + `}]`, outcome{kind: status, device: "hv", skipped: 1}},
		{"other seq", "/hv/status", `[{"number":1,"seq":7,"boot":"b",` + at + `},{"number":2,"seq":8,"boot":"b"}]`, with(func(o *outcome) { o.mixed = true })},
		{"other boot", "/hv/status", `[{"number":1,"seq":7,"boot":"b",` + at + `},{"number":2,"seq":7,"boot":"c"}]`, with(func(o *outcome) { o.mixed = true })},
		{"boot is missing", "/hv/status", `[{"number":1,"seq":7,"boot":"b",` + at + `},{"number":2,"seq":7}]`, with(func(o *outcome) { o.mixed = true })},
		{"foreign sensor", "/sensor/a/b", `{"value":1,"seq":7,"boot":"b",` + at + `}`, outcome{kind: sensor, time: ns}},
		{"service", "/service/loader/state", `{"state":"ready","boot":"b"}`, outcome{kind: state, boot: "b"}},

		{"bad device", "/h v/status", `{"a":1}`, outcome{kind: status}},
		{"reserved device", "/alarm/status", `{"a":1}`, outcome{kind: status}},
		{"status of runs", "/run/status", `{"seq":7,"boot":"b",` + at + `}`, outcome{kind: status}},
		{"state of runs", "/run/state", `{"state":"idle","seq":7,"boot":"b",` + at + `}`, outcome{kind: runState, time: ns}},
		{"ack of runs", "/run/ack", `{"phase":"done","boot":"b",` + at + `}`, outcome{kind: ack, boot: "b", time: ns}},

		{"object", "/hv/status", `{"a":1,` + at + `,"seq":7,"boot":"b"}`, numbered},
		{"replay", "/hv/replay", `{"a":1,` + at + `,"seq":7,"boot":"b"}`, with(func(o *outcome) { o.kind = replay })},
		{"zero", "/hv/status", `{"seq":0,"boot":"b",` + at + `}`, with(func(o *outcome) { o.seq = 0 })},
		{"2^53-1", "/hv/status", `{"seq":9007199254740991,"boot":"b",` + at + `}`, with(func(o *outcome) { o.seq = 1<<53 - 1 })},
		{"as a float", "/hv/status", `{"seq":7.0,"boot":"b",` + at + `}`, numbered},
		{"escaped boot", "/hv/status", `{"seq":7,"boot":"\u0062",` + at + `}`, numbered},
		{"list", "/hv/status", `[{"number":1,"seq":7,"boot":"b",` + at + `},{"number":2,"seq":7,"boot":"b",` + at + `}]`, numbered},
		{"the first has the time", "/hv/status", `[{"number":1,"seq":7,"boot":"b",` + at + `},{"number":2,"seq":7,"boot":"b","time":"2026-11-20T19:25:50Z"}]`, numbered},
		{"padding first", "/hv/status", `[{"number":0,"on":0},{"number":1,"seq":7,"boot":"b",` + at + `}]`, with(func(o *outcome) { o.skipped = 1 })},
		{"state", "/hv/state", `{"state":"stopped","seq":7,"boot":"b",` + at + `}`, with(func(o *outcome) { o.kind = state })},
	} {
		_, got, _ := newEncoder("").appendLines(nil, received(tt.topic, tt.payload))
		got.begun = false
		assert.Equal(t, tt.want, got, tt.name)
	}
}

// The boot is kept with the topic, and a new one takes its place.
func TestBoots(t *testing.T) {
	e := newEncoder("")
	for _, boot := range []string{"a", "a", "", "b", `\u0062`, "b", "a", strings.Repeat("x", 65), "a", ""} {
		got, out, err := e.appendLines(nil, received("/s/status", `{"a":1,"boot":"`+boot+`"}`))
		assert.NoError(t, err)
		want := strings.ReplaceAll(boot, `\u0062`, "b")
		assert.Equal(t, `s a=1,boot="`+want+`" 1700000000000000001`+"\n", string(got))
		if len(want) > maxBoot {
			want = ""
		}
		assert.Equal(t, want, out.boot)
	}
}

// Keys that come, go and change places are the same keys.
func TestColumns(t *testing.T) {
	e := newEncoder("")
	for _, tt := range []struct{ payload, want string }{
		{`{"a":1,"b":2,"c":3}`, "s a=1,b=2,c=3"},
		{`{"a":1,"c":3}`, "s a=1,c=3"},
		{`{"c":3,"b":2,"a":1}`, "s c=3,b=2,a=1"},
		{`{ "b" : 2 , "ab":4}`, "s b=2,ab=4"},
		{`{"\u0061":1}`, "s a=1"},
		{`[{"number":1,"seq":2,"a":3}]`, "s,number=1 seq=2,a=3"},
		{`{"number":1,"seq":2,"a":3}`, "s number=1,seq=2,a=3"},
	} {
		got, _, err := e.appendLines(nil, received("/s/status", tt.payload))
		assert.NoError(t, err)
		assert.Equal(t, tt.want+" 1700000000000000001\n", string(got))
	}
	for i := range 2 * maxColumns {
		got, _, err := e.appendLines(nil, received("/s/status", fmt.Sprintf(`{"k%d":1}`, i)))
		assert.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("s k%d=1 1700000000000000001\n", i), string(got))
	}
	assert.Len(t, e.target("/s/status").columns, maxColumns)
}

// The clock says what time.Parse does.
func TestClock(t *testing.T) {
	for _, text := range []string{
		"", "x", "2026-11-20T19:25:49", "2026-11-20 19:25:49Z", "2026-13-20T19:25:49Z", "2026-00-20T19:25:49Z", "2026-11-31T19:25:49Z",
		"2025-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-11-00T00:00:00Z", "2026-11-20T24:00:00Z", "2026-11-20T19:60:49Z",
		"2026-11-20T19:25:60Z", "2026-11-20T19:25:49.Z", "2026-11-20T19:25:49.1x", "2026-11-20T19:25:49.12345678x", "0000-00-00T00:00:00Z",
		"1677-12-31T23:59:59Z", "2262-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "-026-11-20T19:25:49Z", "2026-1:-20T19:25:49Z",
		"1970-01-01T00:00:00Z", "1969-12-31T23:59:59.9Z", "1678-01-01T00:00:00Z", "2261-12-31T23:59:59.999999999Z", "2024-02-29T12:00:00.5Z",
		"2000-02-29T12:00:00.000000001Z", "2000-03-01T00:00:00Z", "2026-11-20T19:25:49.920528Z", "2026-11-20T19:25:49.1234567890123Z",
		"2026-11-20T21:25:49.92+02:00", "2026-11-20T19:25:49,5Z", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z",
	} {
		checkClock(t, text)
	}
	for day := time.Unix(0, 0).UTC(); day.Year() <= maxYear; day = day.Add(24*time.Hour + 1234567891) {
		checkClock(t, day.Format(time.RFC3339Nano))
	}
}

func FuzzClock(f *testing.F) {
	f.Add("2026-11-20T19:25:49.920528Z")
	f.Add("2026-11-20T19:25:49+01:00")
	f.Fuzz(func(t *testing.T, text string) { checkClock(t, text) })
}

func checkClock(t *testing.T, text string) {
	t.Helper()
	var c clock
	for range 2 { // the second time from memory
		ns, ok := c.read([]byte(text))
		want, err := time.Parse(time.RFC3339Nano, text)
		good := err == nil && want.Year() >= minYear && want.Year() <= maxYear
		if ok != good || ok && ns != want.UnixNano() {
			t.Errorf("%q: %d, %v; time.Parse says %v, %v", text, ns, ok, want, err)
		}
	}
}
