package capsule

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecode(t *testing.T) {
	var d decoder
	require.NoError(t, d.status([]byte(` [ {"number":0,"vreq":0} , {"number" : 3,"v":-1.5e-3,"big":9.9e37,"nan":NaN,"t":true,"n":null,"o":{"a":[1,{}]},"s":"1","x\u0079":2,`+
		`"time":"2026-11-20T19:25:49.920528+01:00","seq":42,"boot":"6c\u0038"} ] `)))
	require.Len(t, d.readings, 1)
	r := d.readings[0]
	assert.Equal(t, 3, r.number)
	assert.Equal(t, uint64(42), r.seq)
	assert.Equal(t, "6c8", string(r.boot))
	assert.Equal(t, time.Date(2026, 11, 20, 18, 25, 49, 920528000, time.UTC).UnixNano(), r.time)
	got := make(map[string]float64)
	for _, f := range d.fields[r.lo:r.hi] {
		got[string(f.key)] = f.x
	}
	assert.Equal(t, map[string]float64{"v": -0.0015, "xy": 2}, got)
}

func TestTimes(t *testing.T) {
	for _, s := range []string{"2026-11-20T19:25:49Z", "2026-11-20T19:25:49.1Z", "2026-11-20T19:25:49.123456789Z", "2024-02-29T00:00:00Z", "2026-12-31T23:59:59Z",
		"2026-11-20T19:25:49+02:00", "1969-01-01T00:00:00Z",
		"", "now", "2026-11-31T00:00:00Z", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-20T24:00:00Z", "2026-11-20T19:25:49.Z", "2026-11-20T19:25:49.1234567890123Z",
		"2026-11-20 19:25:49Z", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00Z"} {
		var c clock
		got, ok := c.read([]byte(s))
		want, err := time.Parse(time.RFC3339Nano, s)
		if err != nil || want.Year() < minYear || want.Year() > maxYear {
			assert.False(t, ok, s)
			continue
		}
		assert.True(t, ok, s)
		assert.Equal(t, want.UnixNano(), got, s)
		again, ok := c.read([]byte(s))
		assert.True(t, ok)
		assert.Equal(t, got, again)
	}
}

func TestFloats(t *testing.T) {
	for _, s := range []string{"0", "-0", "0.1", "-0.30000000000000004", "123456789012345", "1234567890123456", "0.000000000000001", "0.00000000000000012", "1e5", "4.9e-7", "1E+2", "1e400", "99.98"} {
		want, err := strconv.ParseFloat(s, 64)
		got := parseFloat([]byte(s))
		if err != nil {
			assert.True(t, math.IsNaN(got), s)
			continue
		}
		assert.Equal(t, math.Float64bits(want), math.Float64bits(got), s)
	}
}

// FuzzStatus compares what is well formed with encoding/json, and makes
// capsules of all.
func FuzzStatus(f *testing.F) {
	for _, s := range []string{wide(1, t0), psu("a", 1, t0, 1, 1), `{"temperature":1e99,"seq":1}`, `[{"number":1,"seq":1,"x":NaN}]`, `{"a\u00e9":-1.5E-3,"b":[{}, null]}`, `{"value":"1"}`, `[[[[]]]]`, `{"":0}`,
		`{"state":"stopped","seq":9,"boot":"a","time":"2026-11-20T12:00:05Z"}`, `{"phase":"failed","value":[1],"channel":"x","time":"2026-11-20T12:00:05Z"}`, `{"kind":"psu","period":1e300,"fields":{"vmon":{"unit":"V"}}}`} {
		f.Add([]byte(s))
	}
	topics := []string{"/hv/status", "/hv/replay", "/hv/ack", "/hv/state", "/hv/meta", "/sensor/room/t"}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var d decoder
		err := d.status(payload)
		if err == nil && !json.Valid(payload) && !foreign(payload) {
			t.Fatalf("taken: %q", payload)
		}
		var any []map[string]any
		if err != nil && json.Unmarshal(payload, &any) == nil && len(any) > 0 && len(payload) < 30 {
			t.Fatalf("not taken: %q: %v", payload, err)
		}
		for _, x := range d.fields {
			if math.IsNaN(x.x) || math.IsInf(x.x, 0) {
				t.Fatalf("%q: %v", payload, x.x)
			}
		}
		x := newMade(t0, after(10))
		tr := newTracker("")
		for _, topic := range append(topics, topics...) {
			x.say(topic, string(payload))
			k, name := tr.target(topic)
			tr.take(k, name, &message{topic: topic, payload: payload}, t0)
		}
		c := x.m.capsule()
		if _, err := json.Marshal(c); err != nil {
			t.Fatal(err)
		}
		if c.Missing < 0 || c.More < 0 {
			t.Fatalf("%+v", c)
		}
	})
}

// foreign reports whether a text has what only we take.
func foreign(b []byte) bool {
	for _, w := range []string{"NaN", "Infinity"} {
		for i := range b {
			if i+len(w) <= len(b) && string(b[i:i+len(w)]) == w {
				return true
			}
		}
	}
	return false
}
