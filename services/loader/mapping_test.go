package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/service"
)

const allowedKeys = "allowed are field, fields, measurement, payload, tag_keys, tags, time, time_format, topic"

func TestMappingFile(t *testing.T) {
	const quotes = " has to be a text: one that begins with { or # needs quotes"
	for _, tt := range []struct {
		name, file string
		want       []string // what is wrong, or nothing
	}{
		{"empty", "", []string{"the file is empty: begin it with rules:, or leave the setting out"}},
		{"a comment alone", "# rules\n", []string{"the file is empty: begin it with rules:, or leave the setting out"}},
		{"a text", "hello", []string{"line 1: the file has to be keys with values, as rules: …"}},
		{"another key", "rule:\n- topic: a\n", []string{`line 1: unknown key "rule": allowed are rules`, "line 1: rules is missing"}},
		{"no rules", "rules:\n", []string{"line 1: rules has to be a list: put - before each rule"}},
		{"an empty list", "rules: []\n", []string{"line 1: rules has to be a list: put - before each rule"}},
		{"rules that are no list", "rules:\n  topic: a\n", []string{"line 2: rules has to be a list: put - before each rule"}},
		{"a rule that is a text", "rules:\n  - a\n", []string{"line 2: rule 1: a rule has to be keys with values, as topic: …"}},
		{"two documents", "rules:\n  - {topic: a, measurement: b}\n---\nrules:\n  - {topic: b, measurement: b}\n",
			[]string{"line 4: a second document: put all rules into one, without ---"}},
		{"tab", "rules:\n  - topic: a\n\tmeasurement: b\n",
			[]string{"line 3: not YAML: found character '\t' that cannot start any token. A text that begins with { or # needs quotes"}},
		{"key twice", "rules:\n  - topic: a\n    topic: b\n",
			[]string{`line 3: not YAML: mapping key "topic" already defined at [2:5]. A text that begins with { or # needs quotes`}},
		{"topic without quotes", "rules:\n  - topic: {room}/x\n", []string{
			"line 2: not YAML: value is not allowed in this context. A text that begins with { or # needs quotes"}},
		{"topic that is a comment", "rules:\n  - topic: #\n    measurement: a\n", []string{"line 2: rule 1: topic" + quotes}},
		{"misspelt key", "rules:\n  - topic: a\n    measurement: b\n    feilds: {a: b}\n", []string{`line 4: rule 1: unknown key "feilds": ` + allowedKeys}},
		{"nothing that is needed", "rules:\n  - time: ts\n", []string{"line 2: rule 1: topic is missing", "line 2: rule 1: measurement is missing"}},
		{"alias", "rules:\n  - topic: &a b\n    measurement: *a\n", []string{"line 2: rule 1: topic" + quotes, "line 3: rule 1: measurement" + quotes}},

		// Topics.
		{"# in the middle", rules("topic: lab/#/x"), []string{`line 2: rule 1: topic "lab/#/x": # can only be the last level`}},
		{"half a level", rules("topic: lab/a+"), []string{`line 2: rule 1: topic "lab/a+": level "a+": + and # take a whole level`}},
		{"open placeholder", rules("topic: lab/{room"), []string{`line 2: rule 1: topic "lab/{room": level "{room": ` +
			"a placeholder takes a whole level, as {room}, and has letters, digits and _ in its name"}},
		{"placeholder twice", rules("topic: lab/{r}/{r}"), []string{`line 2: rule 1: topic "lab/{r}/{r}" has {r} twice: choose another name for one`}},
		{"line feed", rules(`topic: "a\nb"`), []string{`line 2: rule 1: topic "a\nb" has a control character`}},
		{"shared", rules("topic: $share/g/a"), []string{`line 2: rule 1: topic "$share/g/a" is a shared subscription: leave out $share and the group`}},
		{"everything", rules(`topic: "#"`), []string{`line 2: rule 1: topic "#" takes the stack's own topics too, as /+/status: begin with a name of your own, as lab/#`}},
		{"all devices", rules(`topic: "/{dev}/+"`), []string{`line 2: rule 1: topic "/{dev}/+" takes the stack's own topics too, as /+/status: begin with a name of your own, as lab/#`}},
		{"all services", rules("topic: /service/#"), []string{`line 2: rule 1: topic "/service/#" takes the stack's own topics too, as /service/+/state: begin with a name of your own, as lab/#`}},
		{"an own topic", rules("topic: /hv/status"), []string{`line 2: rule 1: topic "/hv/status" never gets a message: /+/status is the stack's own`}},
		{"a part of the sensors", rules("topic: +/sensor/a/+"), []string{`line 2: rule 1: topic "+/sensor/a/+" takes a part of /sensor/+/+, and a broker would send that twice: name fewer or more levels`}},
		{"same filter", rules("topic: lab/{a}", "topic: lab/{b}"), []string{`line 4: rule 2: topic "lab/{b}" is that of rule 1 in line 2: make one rule of both`}},
		{"too late", rules("topic: lab/#", "topic: lab/x"), []string{`line 4: rule 2: topic "lab/x" never gets a message: rule 1 in line 2 takes all of lab/#. Put this rule before it`}},
		{"crossing", rules("topic: lab/{a}/x", "topic: lab/y/+"), []string{
			`line 4: rule 2: topic "lab/y/+" takes a part of what rule 1 in line 2 does, lab/{a}/x, and a broker would send that twice: name more levels in one, or fewer`}},

		// Measurements and tags.
		{"ack", measured("ack"), []string{`line 3: rule 1: measurement "ack" is the stack's own: choose another`}},
		{"state", measured("state"), []string{`line 3: rule 1: measurement "state" is the stack's own: choose another`}},
		{"service", measured("service"), []string{`line 3: rule 1: measurement "service" is the stack's own: choose another`}},
		{"sensor", measured("sensor"), []string{`line 3: rule 1: measurement "sensor" is the stack's own: choose another`}},
		{"control character", measured(`"a\tb"`), []string{`line 3: rule 1: measurement: name "a\tb" has a backslash or a control character`}},
		{"comment", measured(`"#a"`), []string{`line 3: rule 1: measurement "#a": a line that begins with # is a comment to InfluxDB`}},
		{"empty measurement", measured(`""`), []string{"line 3: rule 1: measurement" + quotes}},
		{"placeholder without quotes", measured("{room}"), []string{"line 3: rule 1: measurement" + quotes}},
		{"unknown placeholder", measured(`"w_{rom}"`), []string{`line 3: rule 1: measurement "w_{rom}": {rom} is not in the topic: put it there in place of a +`}},
		{"stray brace", measured(`"w}"`), []string{`line 3: rule 1: measurement "w}": a placeholder is written {room}`}},
		{"brace not closed", measured(`"w{room"`), []string{`line 3: rule 1: measurement "w{room": a placeholder is written {room}`}},
		{"tags", rule1(`tags: {a: "{x}", time: b, "": c, d: [e], f: "g\nh"}`), []string{
			`line 4: rule 1: tag a "{x}": {x} is not in the topic: put it there in place of a +`,
			`line 4: rule 1: tags: name "time" is InfluxDB's own: choose another`,
			"line 4: rule 1: tags: an empty name",
			"line 4: rule 1: tag d" + quotes,
			`line 4: rule 1: tag f: name "g\nh" has a backslash or a control character`,
		}},
		{"tags that are a list", rule1("tags: [a]"), []string{"line 4: rule 1: tags has to be names with values, as {name: …}"}},
		{"no tags", rule1("tags: {}"), []string{"line 4: rule 1: tags is empty: name one, or leave it out"}},

		// Payloads.
		{"unknown payload", rule1("payload: json"), []string{`line 4: rule 1: payload "json": use object, list, number or auto`}},
		{"fields of a number", rule1("payload: number\n    fields: {a: b}\n    tag_keys: {c: d}\n    time: e"), []string{
			"line 5: rule 1: a bare number has no fields: say field: name",
			"line 6: rule 1: a bare number has no tag_keys: take tags from the topic",
			"line 7: rule 1: a bare number has no time: leave it out, and the time is that of arrival",
		}},
		{"field of a list", rule1("payload: list\n    field: a"), []string{"line 5: rule 1: field names a bare number: for a list say fields: {a: key}"}},
		{"field of an object", rule1("payload: object\n    field: a"), []string{"line 5: rule 1: field names a bare number: for an object say fields: {a: key}"}},
		{"places and keys", rule1("payload: list\n    fields: {a: 0, b: c}"), []string{
			"line 5: rule 1: fields of a list are either all places (0, 1 …), for a list of numbers, or all keys, for a list of objects"}},
		{"no key", rule1("fields: {a: }"), []string{"line 4: rule 1: field a has to be a key, as temp or p.hPa, or a place in a list, as 0"}},
		{"a field called time", rule1("fields: {time: t}"), []string{`line 4: rule 1: fields: name "time" is InfluxDB's own: choose another`}},
		{"unknown time format", rule1("time: t\n    time_format: h"), []string{`line 5: rule 1: time_format "h": use rfc3339, s, ms, us or ns`}},
		{"time format alone", rule1("time_format: ms"), []string{"line 4: rule 1: time_format without time: say which key has the time"}},
		{"names twice", rule1("tags: {a: b, value: v}\n    tag_keys: {a: c, d: e}\n    fields: {d: f}"), []string{
			"line 2: rule 1: tag a is in tags and in tag_keys: choose another name for one",
			"line 2: rule 1: d is a field and a tag: choose another name for one",
			"line 2: rule 1: value is a bare number's field and a tag: choose another name for one",
		}},
		{"two bad rules", rules("topic: a/#/b", "payload: x"), []string{
			`line 2: rule 1: topic "a/#/b": # can only be the last level`,
			`line 4: rule 2: payload "x": use object, list, number or auto`,
			"line 4: rule 2: topic is missing",
		}},

		// Good ones.
		{"the least", rules("topic: lab/t"), nil},
		{"specific before general", rules("topic: lab/x", `topic: "lab/{room}"`, "topic: lab/#"), nil},
		{"sensors", rules("topic: /sensor/dht/+", `topic: "/sensor/{name}/{what}"`), nil},
		{"beside a device", rules("topic: /hv/#"), nil},
		{"all keys", rule1(`tags: {room: "{room}", where: "in {room}"}
    payload: list
    fields: {temperature: temp, pressure: p.hPa}
    time: ts
    time_format: ms
    tag_keys: {number: id}`), nil},
		{"field of auto", rule1("field: t"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := parseMapping("", []byte(tt.file))
			if tt.want == nil {
				require.NoError(t, err)
				assert.NotEmpty(t, m.rules)
				return
			}
			require.Error(t, err)
			assert.Equal(t, tt.want, strings.Split(err.Error(), "\n"))
		})
	}
}

// rules makes a file of rules that have one line each beside the measurement.
func rules(lines ...string) string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for _, line := range lines {
		fmt.Fprintf(&b, "  - %s\n    measurement: x\n", line)
	}
	return b.String()
}

// measured makes a file with one rule for a measurement.
func measured(measurement string) string {
	return "rules:\n  - topic: lab/{room}/x\n    measurement: " + measurement + "\n"
}

// rule1 makes a file with one rule that ends in more lines.
func rule1(more string) string {
	return "rules:\n  - topic: \"lab/{room}/+\"\n    measurement: \"w\"\n    " + more + "\n"
}

func parsed(t testing.TB, file string) *mapping {
	t.Helper()
	m, err := parseMapping("", []byte(file))
	require.NoError(t, err)
	return m
}

func TestFilters(t *testing.T) {
	own := []string{"/+/status", "/+/replay", "/+/ack", "/+/state", "/service/+/state", "/run/annotation", "/sensor/+/+"}
	assert.Equal(t, own, filters("", nil))
	assert.Equal(t, append(own, "lab/#", "$SYS/broker/+"),
		filters("", parsed(t, rules("topic: lab/x", "topic: lab/#", "topic: $SYS/broker/+", "topic: /sensor/dht/+"))))
	under := filters("lab1", nil)
	assert.Contains(t, under, "lab1/service/+/state")
	assert.Contains(t, under, "lab1/run/annotation")
	assert.Len(t, under, 7)

	_, err := parseMapping("lab1", []byte(rules("topic: /hv/status", "topic: lab1/#")))
	assert.EqualError(t, err, `line 4: rule 2: topic "lab1/#" takes the stack's own topics too, as lab1/+/status: begin with a name of your own, as lab/#`)
}

func TestFilterRelations(t *testing.T) {
	for _, tt := range []struct {
		a, b         string
		covers, meet bool
	}{
		{"a", "b", false, false},
		{"a/b", "a", false, false},
		{"+", "a/b", false, false},
		{"#", "$SYS/a", false, false},
		{"+/a", "$SYS/a", false, false},
		{"a/+", "+/b", false, true},
		{"a/+", "a/#", false, true},
		{"a", "+", false, true},
		{"a", "a/#", false, true},
		{"a/b", "#", false, true},
		{"+", "", true, true},
		{"a/#", "a", true, true},
		{"a/#", "a/+/c", true, true},
		{"a/+/#", "a/b", true, true},
		{"a/+", "a/", true, true},
		{"+/+", "/a", true, true},
		{"$SYS/#", "$SYS/a", true, true},
		{"#", "#", true, true},
	} {
		assert.Equal(t, tt.covers, covers(tt.a, tt.b), "%s covers %s", tt.a, tt.b)
		assert.Equal(t, tt.meet, meet(tt.a, tt.b), "%s meets %s", tt.a, tt.b)
		assert.Equal(t, tt.meet, meet(tt.b, tt.a), "%s meets %s", tt.b, tt.a)
	}
}

func TestMappingSetting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mapping.yml")
	complaints := func() string {
		c := testConfig(t, "http://127.0.0.1:8086")
		c.Bus = service.Bus{Broker: "tcp://127.0.0.1:1883"}
		c.MappingFile = path
		if err := c.Validate(); err != nil {
			return err.Error()
		}
		return ""
	}
	assert.Equal(t, "DCS_MAPPING_FILE: "+path+": no such file or directory", complaints())
	require.NoError(t, os.WriteFile(path, []byte(rules("topic: a/#/b", "payload: x")), 0o600))
	assert.Equal(t, strings.Join([]string{
		"DCS_MAPPING_FILE: " + path + `: line 2: rule 1: topic "a/#/b": # can only be the last level`,
		"DCS_MAPPING_FILE: " + path + `: line 4: rule 2: payload "x": use object, list, number or auto`,
		"DCS_MAPPING_FILE: " + path + ": line 4: rule 2: topic is missing",
	}, "\n"), complaints())
	require.NoError(t, os.WriteFile(path, []byte(rules("topic: a")), 0o600))
	assert.Empty(t, complaints())
}

// The stack's own topics come first, but for the foreign sensors'.
func TestMappedTargets(t *testing.T) {
	m := parsed(t, rules("topic: /hv/#", "topic: /sensor/dht/+", `topic: "lab/{room}"`))
	for topic, want := range map[string]kind{
		"/hv/status": status, "/hv/ack": ack, "/hv/x": mapped, "/hv/status/x": mapped, "/lv/x": unknown,
		"/sensor/dht/t": mapped, "/sensor/other/t": sensor, "/service/loader/state": state,
		"lab/a": mapped, "lab/a/b": unknown, "lab": unknown,
	} {
		assert.Equal(t, want, newTarget("", m, topic).kind, topic)
	}
	assert.Equal(t, mapped, newTarget("lab1", parsed(t, rules("topic: /hv/x")), "/hv/x").kind, "rules are not under the root")
	assert.Equal(t, unknown, newTarget("", nil, "lab/a").kind)
}

func FuzzMappingFile(f *testing.F) {
	f.Add(rules("topic: lab/{room}"))
	f.Add(rule1(`tags: {a: "{room}"}` + "\n    fields: {b: c.d}\n    time: t\n    time_format: ms\n    tag_keys: {n: 0}"))
	f.Fuzz(func(t *testing.T, file string) {
		m, err := parseMapping("", []byte(file))
		if err != nil {
			return
		}
		for i := range m.rules {
			assert.NotEmpty(t, m.rules[i].filter)
			assert.Equal(t, mapped, m.rules[i].target("a/b/c").kind)
		}
	})
}

// The guide's rules are good, and its messages give the lines that it shows.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/mapping.md")
	require.NoError(t, err)
	examples := 0
	for _, piece := range strings.Split(string(guide), "```yaml\n")[1:] {
		file, rest, _ := strings.Cut(piece, "```\n")
		_, rest, _ = strings.Cut(rest, "```text\n")
		shown, _, _ := strings.Cut(rest, "```\n")
		message, want, ok := strings.Cut(shown, "\n")
		require.True(t, ok, piece)
		topic, payload, _ := strings.Cut(message, " ")

		e := newEncoder("")
		e.rules = parsed(t, file)
		got, _, err := e.appendLines(nil, received(topic, payload))
		assert.NoError(t, err)
		assert.Equal(t, strings.ReplaceAll(want, "<arrival>", fmt.Sprint(arrived)), string(got))
		examples++
	}
	assert.Equal(t, 3, examples)
}

// The program subscribes to what the mapping names, and stores it.
func TestMappingOnTheBus(t *testing.T) {
	r := newRig(t)
	cfg := r.config()
	cfg.MappingFile = filepath.Join(t.TempDir(), "mapping.yml")
	require.NoError(t, os.WriteFile(cfg.MappingFile, []byte(rule1(`tags: {room: "{room}"}`)), 0o600))
	r.loader(cfg)
	r.state("ready")
	r.say("lab/hall/t", `{"temp":`) // stops nothing
	r.say("lab/hall/t", `{"temp":21.5}`)
	r.influx.wait("the foreign line", func() bool { return len(r.influx.series("w,room=hall")) == 1 })
}
