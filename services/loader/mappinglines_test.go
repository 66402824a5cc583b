package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMappedLines(t *testing.T) {
	const (
		came   = " 1700000000000000001\n"
		ruleOf = "rule 1 in line 2 of the mapping file: "
	)
	weather := `tags: {room: "{room}"}
    fields: {temperature: temp, pressure: p.hPa}
    time: ts`
	list := "fields: {t: temp}\n    tag_keys: {number: id}"
	for _, tt := range []struct {
		name, more, payload string
		want                string // lines without their last space and time, each with a line feed
		problem             string // without the rule
	}{
		// What does not fit.
		{"not JSON", weather, `{"temp":`, "", "not JSON: ends where a value should be"},
		{"more behind", weather, `{"temp":1} x`, "", "not JSON: 'x' at byte 11 where the end should be"},
		{"a word", weather, `hello`, "", `"hello" is not a number`},
		{"list where an object belongs", "payload: object", `[1]`, "", "payload is to be an object, and this is a list"},
		{"number where a list belongs", "payload: list", `1`, "", "payload is to be a list, and this is a number"},
		{"object where a number belongs", "payload: number", `{"a":1}`, "", "payload is to be a number, and this is an object"},
		{"none of the keys", weather, `{"a":1}`, "", "nothing in it that is a number and that the rule wants"},
		{"no number", "payload: object", `{"a":"x","b":null}`, "", "nothing in it that is a number and that the rule wants"},
		{"unreadable time", weather, `{"temp":1,"ts":"noon"}`, "", `time "noon" is not a time of RFC 3339 of the years 1678 to 2261`},
		{"time too early", weather, `{"temp":1,"ts":"1677-12-31T23:59:59Z"}`, "", `time "1677-12-31T23:59:59Z" is not a time of RFC 3339 of the years 1678 to 2261`},
		{"time too late", weather, `{"temp":1,"ts":9214646400}`, "", `time "9214646400" is not in seconds since 1970 of the years 1678 to 2261`},
		{"ms for s", weather, `{"temp":1,"ts":1700000000000}`, "", `time "1700000000000" is not in seconds since 1970 of the years 1678 to 2261`},
		{"time that is nested", weather, `{"temp":1,"ts":{}}`, "", `time "" is not in seconds since 1970 of the years 1678 to 2261`},
		{"number for RFC 3339", weather + "\n    time_format: rfc3339", `{"temp":1,"ts":17}`, "", `time "17" is not a time of RFC 3339 of the years 1678 to 2261`},
		{"text in a named field", weather, `{"temp":"n/a"}`, "", `field temperature: "n/a" is not a number`},
		{"named field is nested", weather, `{"temp":{"x":1}}`, "", `field temperature: there is an object or a list at "temp"`},
		{"no tag", list, `[{"temp":1}]`, "", `no "id" for the tag number`},
		{"tag is null", list, `[{"temp":1,"id":null}]`, "", `no "id" for the tag number`},
		{"tag is empty", list, `[{"temp":1,"id":""}]`, "", "tag number: an empty name"},
		{"tag is nested", list, `[{"temp":1,"id":[1]}]`, "", `tag number: there is an object or a list at "id"`},
		{"tag with a line feed", list, `[{"temp":1,"id":"a\nb"}]`, "", `tag number: name "a\nb" has a backslash or a control character`},
		{"endless tag", list, `[{"temp":1,"id":"` + strings.Repeat("x", 2000) + `"}]`, "", "tag number: 2000 bytes: at most 1024"},
		{"nested too deep", "fields: {a: " + strings.Repeat("b.", 200) + "b}", strings.Repeat(`{"b":`, 200) + "1" + strings.Repeat("}", 200), "", "not JSON: nested too deep"},

		// What fits in part.
		{"a bad field", weather, `{"temp":"n/a","p":{"hPa":990}}`, "w,room=r1 pressure=990", `field temperature: "n/a" is not a number`},
		{"one object is bad", list, `[{"temp":1,"id":1},{"temp":2},{"temp":3,"id":3},7]`, "w,number=1 t=1\nw,number=3 t=3", `no "id" for the tag number`},
		{"a number among objects", list, `[{"temp":1,"id":1},7]`, "w,number=1 t=1", "something else in a list of objects"},
		{"an object among numbers", "payload: list", `[1,{"a":2},3]`, "w value0=1,value2=3", "something else in a list of numbers"},
		{"objects that are one point", "fields: {t: temp}", `[{"temp":1},{"temp":2}]`, "w t=1", "objects of a list without a time or tag_keys would all be one point"},
		{"a key that cannot be written", "payload: object", `{"":1,"a\nb":2,"c":3}`, "w c=3", "key: an empty name"},

		// What is not stored and no mistake.
		{"empty", weather, "", "", ""},
		{"empty list", list, " [ ] ", "", ""},

		// Objects.
		{"named fields", weather, `{"temp":21.5,"p":{"hPa":990,"x":1},"other":3}`, "w,room=r1 temperature=21.5,pressure=990", ""},
		{"a dot in a key", weather, `{"temp":21.5,"p.hPa":990}`, "w,room=r1 temperature=21.5,pressure=990", ""},
		{"a field is missing", weather, `{"temp":21.5}`, "w,room=r1 temperature=21.5", ""},
		{"a field is null", weather, `{"temp":21.5,"p":{"hPa":null}}`, "w,room=r1 temperature=21.5", ""},
		{"numbers in texts", weather, `{"temp":" 21.50","p":{"hPa":"1e3"}}`, "w,room=r1 temperature=21.5,pressure=1000", ""},
		{"booleans", weather, `{"temp":true,"p":{"hPa":false}}`, "w,room=r1 temperature=1,pressure=0", ""},
		{"overflow", weather, `{"temp":9.91e37,"p":{"hPa":NaN,"hPa":990}}`, "w,room=r1 pressure=990", ""},
		{"all fields", "tags: {a: b}", `{"x":1,"y z":2.5,"ok":true,"text":"3","n":{"m":4},"time":5,"a":6}`, `w,a=b x=1,y\ z=2.5,ok=1`, ""},
		{"all fields but tags", "tag_keys: {id: n}", `{"n":7,"x":1,"id":5}`, "w,id=7 x=1", ""},
		{"tags from an object", "tag_keys: {a: x, b: n.y, c: z}", `{"x":"p q","n":{"y":3.0},"z":true,"v":1}`, `w,a=p\ q,b=3,c=1 v=1`, ""},
		{"a tag twice", "tag_keys: {a: x}", `{"x":"p","x":"q","v":1}`, `w,a=p v=1`, ""},
		{"a place in a nested list", "fields: {a: ch.1.v}", `{"ch":[{"v":1},{"v":2}]}`, "w a=2", ""},
		{"colons in keys", `fields: {power: "switch:0.apower"}`, `{"switch:0":{"apower":12.5}}`, "w power=12.5", ""},
		{"escaped key", "fields: {a: é}", `{"\u00e9":1}`, "w a=1", ""},

		// Lists.
		{"numbers", "payload: list", `[1,2.5,-3e2]`, "w value0=1,value1=2.5,value2=-3e2", ""},
		{"some are missing", "payload: list", `[1,null,NaN,true,"x"]`, "w value0=1,value3=1", ""},
		{"named places", "fields: {a: 0, b: 2, c: 9}", `[1,2,3]`, "w a=1,b=3", ""},
		{"a place below another", "fields: {a: 0.1}", `[[1,2],3]`, "w a=2", ""},
		{"objects", list, `[{"temp":1,"id":1},{"temp":2,"id":"b"}]`, "w,number=1 t=1\nw,number=b t=2", ""},

		// Bare numbers.
		{"number", `tags: {room: "{room}"}`, " +21.30\r\n", "w,room=r1 value=21.3", ""},
		{"named number", "payload: number\n    field: t", "-.5", "w t=-0.5", ""},
		{"true", "payload: number", "true", "w value=1", ""},
		{"false", "payload: auto", "false ", "w value=0", ""},
		{"number where fields are named", weather, "21.3", "w,room=r1 value=21.3", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newEncoder("")
			e.rules = parsed(t, rule1(tt.more))
			got, out, err := e.appendLines([]byte("before\n"), received("lab/r1/x", tt.payload))
			lines, kept := strings.CutPrefix(string(got), "before\n")
			assert.True(t, kept)
			want := ""
			if tt.want != "" {
				want = strings.ReplaceAll(tt.want, "\n", came) + came
			}
			assert.Equal(t, want, lines)
			parseLines(t, []byte(lines))
			assert.Equal(t, mapped, out.kind)
			if tt.problem == "" {
				assert.NoError(t, err)
			} else {
				assert.EqualError(t, err, ruleOf+tt.problem)
			}
		})
	}
}

func TestMappedTimes(t *testing.T) {
	for _, tt := range []struct{ format, time, want string }{
		// None that can be stored.
		{"", `"1700000000"`, ""}, {"", `true`, ""}, {"", `[]`, ""},
		{"s", `"x"`, ""}, {"s", `""`, ""}, {"s", `"0x10"`, ""}, {"s", `1e300`, ""}, {"s", `"1.2.3"`, ""}, {"s", `"1.-5"`, ""},
		{"s", `9214646400`, ""}, {"s", `-9214560001`, ""}, {"ns", `99999999999999999999`, ""}, {"ns", `9214646400000000000`, ""},
		{"rfc3339", `1700000000`, ""}, {"rfc3339", `"2262-01-01T00:00:00Z"`, ""},
		// Good ones.
		{"", `null`, "1700000000000000001"},
		{"", `1700000000`, "1700000000000000000"},
		{"", `"2026-11-20T21:25:49.920528+02:00"`, "1795202749920528000"},
		{"rfc3339", `"2026-11-20T19:25:49.920528Z"`, "1795202749920528000"},
		{"s", `"1700000000"`, "1700000000000000000"},
		{"s", `1700000000.1234567891`, "1700000000123456789"},
		{"s", `1.7e9`, "1700000000000000000"},
		{"s", `-0.5`, "-500000000"},
		{"s", `9214646399`, "9214646399000000000"},
		{"ms", `1700000000123`, "1700000000123000000"},
		{"ms", `1700000000123.5`, "1700000000123500000"},
		{"us", `1700000000123456`, "1700000000123456000"},
		{"ns", `1700000000123456789`, "1700000000123456789"},
		{"ns", `" 1700000000123456789.9 "`, "1700000000123456789"},
	} {
		e := newEncoder("")
		more := "time: t"
		if tt.format != "" {
			more += "\n    time_format: " + tt.format
		}
		e.rules = parsed(t, rule1(more))
		got, out, err := e.appendLines(nil, received("lab/a/x", `{"v":1,"t":`+tt.time+`}`))
		if tt.want == "" {
			assert.Empty(t, string(got), tt.time)
			assert.ErrorContains(t, err, "is not", tt.time)
			continue
		}
		require.NoError(t, err, tt.time)
		assert.Equal(t, "w v=1 "+tt.want+"\n", string(got), "%s of %s", tt.format, tt.time)
		if tt.time != "null" {
			assert.Equal(t, tt.want, fmt.Sprint(out.time))
		}
	}
}

// Before 1970 the fraction still counts towards the past.
func TestParseUnix(t *testing.T) {
	ns, ok := parseUnix([]byte("-1.25"), 1e9)
	assert.True(t, ok)
	assert.Equal(t, int64(-1_250_000_000), ns)
	assert.Equal(t, "1678-01-01T00:00:00Z", time.Unix(0, minTime).UTC().Format(time.RFC3339Nano))
	assert.Equal(t, "2261-12-31T23:59:59.999999999Z", time.Unix(0, maxTime).UTC().Format(time.RFC3339Nano))
}

// What the levels of a topic say goes into measurement and tags, or is refused.
func TestMappedTopics(t *testing.T) {
	e := newEncoder("")
	e.rules = parsed(t, "rules:\n  - topic: \"lab/{what}/{room}\"\n    measurement: \"{what}\"\n    tags: {room: \"in {room}\"}\n")
	for topic, want := range map[string]string{
		"lab/weather/a":     `weather,room=in\ a value=1 1700000000000000001`,
		"lab/a b,c=d/e=f,g": `a\ b\,c=d,room=in\ e\=f\,g value=1 1700000000000000001`,
	} {
		got, _, err := e.appendLines(nil, received(topic, "1"))
		require.NoError(t, err)
		assert.Equal(t, want+"\n", string(got))
		parseLines(t, got)
	}
	for topic, want := range map[string]string{
		"lab/ack/a":     `measurement "ack" is the stack's own: choose another`,
		"lab//a":        "measurement: an empty name",
		"lab/#x/a":      `measurement "#x": a line that begins with # is a comment to InfluxDB`,
		"lab/x/a\\":     `name "in a\\" has a backslash or a control character`,
		"lab/x/\xff":    `name "in �" is not UTF-8`,
		"lab/x/a\nb":    `name "in a\nb" has a backslash or a control character`,
		"lab/\x01/\x02": "measurement: name \"\\x01\" has a backslash or a control character\nname \"in \\x02\" has a backslash or a control character",
	} {
		got, _, err := e.appendLines(nil, received(topic, "1"))
		assert.Empty(t, got)
		assert.EqualError(t, err, "rule 1 in line 2 of the mapping file: "+want)
	}
}

// A retained message comes again with each subscription. Without a time of its
// own it would make a device that is long gone look alive.
func TestMappedRetained(t *testing.T) {
	e := newEncoder("")
	e.rules = parsed(t, rule1("time: t"))
	for payload, want := range map[string]string{"1": "", `{"a":1}`: "", `{"a":1,"t":5}`: "w a=1 5000000000\n"} {
		m := received("lab/a/x", payload)
		m.Retained = true
		got, _, err := e.appendLines(nil, m)
		assert.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
}

// A rule may say something else of a foreign sensor than the default.
func TestMappedSensor(t *testing.T) {
	e := newEncoder("")
	e.rules = parsed(t, "rules:\n  - topic: /sensor/{name}/temperature\n    measurement: climate\n    tags: {place: \"{name}\"}\n    field: t\n")
	for topic, want := range map[string]string{
		"/sensor/dht/temperature": "climate,place=dht t=1 1700000000000000001\n",
		"/sensor/dht/humidity":    "sensor,measurement=humidity,sensor=dht value=1 1700000000000000001\n",
	} {
		got, _, err := e.appendLines(nil, received(topic, "1"))
		assert.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
}

// FuzzMapped checks that whatever a foreign device sends, what leaves is line
// protocol.
func FuzzMapped(f *testing.F) {
	files := []string{
		"rules:\n  - topic: \"a/{x}/#\"\n    measurement: \"m{x}\"\n    tags: {x: \"{x}\"}\n",
		"rules:\n  - topic: \"a/{x}/#\"\n    measurement: \"{x}\"\n    fields: {t: temp, p: p.hPa, q: 0, r: 1.0}\n    time: ts\n    tag_keys: {id: id, n: n.id}\n",
		"rules:\n  - topic: a/#\n    measurement: m\n    time: ts\n    time_format: ms\n    tag_keys: {id: id}\n",
	}
	for _, payload := range []string{
		`{"temp":21.5,"p":{"hPa":"990"},"ts":1700000000.5,"id":"a b","n":{"id":3.0}}`,
		`[{"temp":1,"id":1,"ts":"2026-11-20T19:25:49Z","n":{"id":"x"}},{"temp":true,"id":"\u00e9"},7]`,
		`[1,[2,3],null,NaN,{"a":1}]`, ` 21.3`, "true", `{"":1,"a\nb":2}`, `[[[`, `{"p":{"p":{}}}`, "",
	} {
		for i := range files {
			f.Add(uint8(i), "a/b/c", []byte(payload))
		}
	}
	f.Fuzz(func(t *testing.T, file uint8, topic string, payload []byte) {
		e := newEncoder("")
		e.rules = parsed(t, files[int(file)%len(files)])
		m := received(topic, string(payload))
		got, _, err := e.appendLines(nil, m)
		points := parseLines(t, got)
		if strings.Count(string(got), "\n") != len(points) {
			t.Errorf("%d points in\n%q", len(points), got)
		}
		again, _, errAgain := e.appendLines(nil, m)
		if e.target(topic).kind == mapped && string(again) != string(got) || (err == nil) != (errAgain == nil) {
			t.Errorf("the same message twice:\n%q, %v\n%q, %v", got, err, again, errAgain)
		}
	})
}

func BenchmarkMapped(b *testing.B) {
	e := newEncoder("")
	e.rules = parsed(b, rule1("tags: {room: \"{room}\"}\n    fields: {temperature: temp, pressure: p.hPa}\n    time: ts"))
	m := received("lab/r1/x", `{"temp":21.5,"p":{"hPa":990.1},"ts":"2026-11-20T19:25:49.920528Z","battery":3.1}`)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf, _, _ = e.appendLines(buf[:0], m)
	}
}
