package live

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

func wireRoot(s string) wire.Root { return wire.Root(s) }

const aTime = "2026-11-20T19:25:49.920528Z"

func TestParseStatus(t *testing.T) {
	at := time.Date(2026, 11, 20, 19, 25, 49, 920528000, time.UTC)
	for _, tt := range []struct {
		payload string
		json    string // empty: it is refused
		boot    string
		seq     uint64
		time    time.Time
	}{
		{`[{"number":0,"vmon":1.5,"time":"` + aTime + `","seq":42,"boot":"6c"}]`, "same", "6c", 42, at},
		{`[{"number":0},{"number":1,"time":"2026-11-20T19:25:48Z","seq":42,"boot":"6c"},{"number":2,"time":"` + aTime + `","seq":42,"boot":"6c"}]`, "same", "6c", 42, at},
		{`{"meas1":0.49,"time":"` + aTime + `","seq":7,"boot":"x"}`, "same", "x", 7, at},
		{"[ { \"number\" : 0 ,\r\n \"on\":true } ]\n", `[{"number":0,"on":true}]`, "", 0, time.Time{}},
		{`{"time":"yesterday","seq":-1,"boot":3}`, "same", "", 0, time.Time{}},
		{`[]`, "same", "", 0, time.Time{}},
		{`{}`, "same", "", 0, time.Time{}},
		{`[{}`, "", "", 0, time.Time{}},
		{`[1]`, "", "", 0, time.Time{}},
		{`[null]`, "", "", 0, time.Time{}},
		{`null`, "", "", 0, time.Time{}},
		{`3`, "", "", 0, time.Time{}},
		{`"x"`, "", "", 0, time.Time{}},
		{`{} {}`, "", "", 0, time.Time{}},
		{"{\"a\":\"\xff\"}", "", "", 0, time.Time{}},
		{` `, "", "", 0, time.Time{}},
		{`{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, "", "", 0, time.Time{}},
		{`{"a":"` + strings.Repeat(`[\"{`, 99) + `"}`, "same", "", 0, time.Time{}},
		{`NaN`, "", "", 0, time.Time{}},
	} {
		m, err := parseStatus([]byte(tt.payload))
		if tt.json == "" {
			assert.Error(t, err, "%s", tt.payload)
			continue
		}
		require.NoError(t, err, "%s", tt.payload)
		want := tt.json
		if want == "same" {
			want = tt.payload
		}
		assert.Equal(t, want, string(m.json))
		assert.Equal(t, tt.boot, m.boot)
		assert.Equal(t, tt.seq, m.seq)
		assert.True(t, tt.time.Equal(m.time), "%v", m.time)
	}
}

func TestParseReading(t *testing.T) {
	for payload, want := range map[string]any{
		`{"value":21.3}`: 21.3, `21.3`: 21.3, ` -4e-3 `: -4e-3, `{"value":" 21.30 "}`: 21.3, `.5`: 0.5, `100.`: 100.,
		`{"topic":"/sensor/dht/t","sensor":"dht","measurement":"t","value":21.3}`: 21.3,
		`{"value":"warm"}`: nil, `{"value":null}`: nil, `{"value":true}`: nil, `{"value":[1]}`: nil, `{}`: nil, `[1]`: nil, `nan`: nil,
		`inf`: nil, `0x10`: nil, `1_000`: nil, `1e999`: nil, `9.91E37`: nil, "\xff": nil, ` `: nil, `{"value":1`: nil, `1 2`: nil,
	} {
		got, err := parseReading([]byte(payload))
		if want == nil {
			assert.Error(t, err, "%s", payload)
		} else if assert.NoError(t, err, "%s", payload) {
			assert.Equal(t, want, got, "%s", payload)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	refused := func(parse func([]byte) error, payloads ...string) {
		t.Helper()
		for _, p := range payloads {
			assert.Error(t, parse([]byte(p)), "%s", p)
		}
	}
	refused(func(b []byte) error { _, err := parseState(b); return err }, ``, `null`, `{}`, `[]`, `"ready"`, `{"state":3}`, `{"state":"ready","time":"x"}`, "{\"state\":\"\xff\"}")
	refused(func(b []byte) error { _, err := parseMeta(b); return err }, ``, `null`, `{}`, `{"kind":"psu","period":"1"}`, `{"kind":"psu","channels":[{"number":"x"}]}`, "{\"kind\":\"\xff\"}")
	refused(func(b []byte) error { _, err := parseLocks(b); return err }, ``, `[]`, `{"x":{}}`, `{"01":{}}`, `{"all":{}}`, `{"1":3}`)
	refused(func(b []byte) error { _, err := parseAck(b); return err }, ``, `null`, `{}`, `{"id":"a"}`, `{"id":"a","phase":"perhaps"}`, `{"phase":"done"}`, `{"id":"a","phase":"done","channel":{}}`)
	refused(func(b []byte) error { _, err := parseReport(b); return err }, ``, `null`, `{}`, `{"state":1}`)
	refused(func(b []byte) error { _, err := parseRun(b); return err }, ``, `null`, `{}`, `{"state":1}`)
	refused(func(b []byte) error { _, err := parseLog(b); return err }, ``, `null`, `{}`, `{"lines":3}`)
}

func TestParseFillsIn(t *testing.T) {
	m, err := parseMeta([]byte(`{"kind":"psu"}`))
	require.NoError(t, err)
	assert.NotNil(t, m.Fields)
	l, err := parseLocks([]byte(`null`))
	require.NoError(t, err)
	assert.NotNil(t, l)
}

// FuzzParse: whatever comes, what is taken can be written, in one line.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`[{"number":0,"on":1,"time":"` + aTime + `","seq":42,"boot":"6c"}]`, `{"meas1":0.49,"time":"` + aTime + `"}`,
		`{"state":"ready","since":"` + aTime + `","boot":"b","error":""}`,
		`{"kind":"psu","period":1,"channels":[{"number":1,"min":0}],"fields":{"vreq":{"unit":"V"}},"commands":{"setv":{"max":5}}}`,
		`{"1":{"user":"a","reason":"b","time":"` + aTime + `"}}`,
		`{"time":"` + aTime + `","id":"a","op":"setv","channel":0,"value":100,"phase":"done","code":"OK","closest":null,"readback":1}`,
		`{"run":42,"state":"running","parameters":{"a":1},"progress":0.5}`, `{"run":1,"lines":[{"text":"x"}]}`,
		`{"value":21.3}`, `21.3`, `null`, `{"boot":"b","n":4}`, `{"id":"a","phase":"done","time":"0000-01-01T00:00:00+23:59"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		check := func(v any, err error) {
			if err != nil {
				return
			}
			frame, err := encode("x", v)
			if err != nil {
				t.Fatalf("%q: %v", payload, err)
			}
			if bytes.Count(frame, []byte("\n")) != 3 || bytes.ContainsRune(frame, '\r') {
				t.Fatalf("%q is written as %q", payload, frame)
			}
		}
		s, err := parseStatus(payload)
		check(StatusOf{Status: s.json}, err)
		if err == nil && !json.Valid(s.json) {
			t.Fatalf("%q is read as %q", payload, s.json)
		}
		state, err := parseState(payload)
		check(StateOf{State: state}, err)
		meta, err := parseMeta(payload)
		check(meta, err)
		locks, err := parseLocks(payload)
		check(locks, err)
		ack, err := parseAck(payload)
		check(ack, err)
		report, err := parseReport(payload)
		check(report, err)
		run, err := parseRun(payload)
		check(run, err)
		log, err := parseLog(payload)
		check(log, err)
		x, err := parseReading(payload)
		check(Reading{Value: x}, err)
		(&pulse{}).hear(payload)
	})
}
