package wire

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseCommandRefuses(t *testing.T) {
	for name, c := range map[string]struct{ op, payload, want, echo string }{
		"nan":              {SetV, "nan", "not a number", "nan"},
		"inf":              {SetV, "-Inf", "not a number", "-Inf"},
		"hexadecimal":      {SetV, "0x10", "not a number", "0x10"},
		"underscore":       {SetV, "1_000", "not a number", "1_000"},
		"too large":        {SetV, "1e999", "too large", "1e999"},
		"unit":             {SetV, "100 V", "not a number", "100 V"},
		"blanks":           {SetV, " \t", "not a number", " \t"},
		"lone point":       {SetV, ".", "not a number", "."},
		"quoted number":    {SetV, `{"value":"100"}`, "not a number", "100"},
		"null":             {SetV, `{"value":null}`, "not a number", "null"},
		"bool":             {SetV, `{"value":true}`, "not a number", "true"},
		"no value":         {SetV, `{"id":"a"}`, `no "value"`, `{"id":"a"}`},
		"misspelt dry":     {SetV, `{"value":1,"dri":1}`, `unknown key "dri"`, "1"},
		"other case":       {SetV, `{"value":1,"Dry":1}`, `unknown key "Dry"`, "1"},
		"dry as bool":      {SetV, `{"value":1,"dry":true}`, `"dry" is 0 or 1`, "1"},
		"twice":            {SetV, `{"value":1,"value":2}`, "twice", "1"},
		"more after":       {SetV, `{"value":1}{"value":2}`, "more after", "1"},
		"cut":              {SetV, `{"value":1`, "not JSON", "1"},
		"list":             {SetV, `[1]`, "not a number", "[1]"},
		"id a number":      {SetV, `{"value":1,"id":7}`, `"id" is not a string`, "1"},
		"id empty":         {SetV, `{"value":1,"id":""}`, `"id" has 0 bytes`, "1"},
		"id long":          {SetV, `{"value":1,"id":"` + strings.Repeat("x", 129) + `"}`, "129 bytes", "1"},
		"expires":          {SetV, `{"value":1,"expires":"soon"}`, "RFC 3339", "1"},
		"reason":           {SetV, `{"value":1,"reason":"x"}`, `no "reason"`, "1"},
		"switch word":      {Switch, "ON", "neither on nor off", "ON"},
		"switch number":    {Switch, `{"value":1}`, `neither "on" nor "off"`, "1"},
		"clear with value": {Clear, `{"value":1}`, `no "value"`, "1"},
		"clear bare":       {Clear, "1", "send {}", "1"},
		"lock bare":        {Lock, "me", "reason", "me"},
		"lock unreasoned":  {Lock, "{}", "reason", "{}"},
		"lock empty":       {Lock, `{"reason":""}`, "0 bytes", `{"reason":""}`},
		"not UTF-8":        {SetV, "\xff1", "not UTF-8", "\uFFFD1"},
		"huge":             {SetV, strings.Repeat("9", MaxCommand+1), "at most", strings.Repeat("9", EchoLen)},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, err := ParseCommand(c.op, "0", []byte(c.payload))
			require.ErrorContains(t, err, c.want)
			assert.Equal(t, c.echo, cmd.Value())
		})
	}
}

func TestParseCommandKeepsTheIDOfWhatItRefuses(t *testing.T) {
	cmd, err := ParseCommand(SetV, "0", []byte(`{"value":1,"dri":1,"id":"nr-1","user":"alice"}`))
	require.Error(t, err)
	assert.Equal(t, "nr-1", cmd.ID)
	assert.Equal(t, "alice", cmd.User)

	cmd, err = ParseCommand("explode", "0", []byte(`{"value":[1],"id":"nr-2"}`))
	require.NoError(t, err, "what an unknown op would take is not known here")
	assert.Equal(t, "nr-2", cmd.ID)
}

func TestParseCommandTakes(t *testing.T) {
	expires := time.Date(2026, 11, 20, 12, 0, 0, 5e8, time.UTC)
	for payload, want := range map[string]Command{
		"100.":              {Op: SetV, Number: 100},
		" 1e2\n":            {Op: SetV, Number: 100},
		"-.5":               {Op: SetV, Number: -.5},
		"+7":                {Op: SetV, Number: 7},
		`{"value":100.0}`:   {Op: SetV, Number: 100},
		` {"value":-1e-3}`:  {Op: SetV, Number: -1e-3},
		"on":                {Op: Switch, Word: On},
		` off `:             {Op: Switch, Word: Off},
		`{"value":"off"}`:   {Op: Switch, Word: Off},
		`{"reason":"beam"}`: {Op: Lock, Reason: "beam"},
		`{}`:                {Op: Clear},
		`{"value":1,"id":"a","user":"bob","expires":"2026-11-20T13:00:00.5+01:00","dry":1}`: {
			Op: SetV, Number: 1, ID: "a", User: "bob", Expires: expires, Dry: true},
	} {
		want.Channel = One(3)
		got, err := ParseCommand(want.Op, "3", []byte(payload))
		require.NoError(t, err, payload)
		assert.Equal(t, want, got, payload)
	}
}

func TestCommandRoundTrip(t *testing.T) {
	err := quick.Check(func(x float64, id string, dry bool, sec int32) bool {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return true
		}
		c := Command{Op: SetV, Channel: One(1), Number: x, ID: "i" + Echo(id), Dry: dry, Expires: time.Unix(int64(sec), 7).UTC()}
		got, err := ParseCommand(c.Op, "1", c.Payload())
		return err == nil && assert.ObjectsAreEqual(c, got)
	}, nil)
	require.NoError(t, err)
}

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{"100.", "on", "", "{", `{"value":1,"id":"x","dry":1}`, `{"value":{"a":[1]}}`, "\xff", "0x1p4"} {
		f.Add(SetV, s)
		f.Add(Switch, s)
		f.Add(Lock, s)
	}
	f.Fuzz(func(t *testing.T, op, payload string) {
		c, err := ParseCommand(op, "0", []byte(payload))
		if math.IsNaN(c.Number) || math.IsInf(c.Number, 0) {
			t.Fatalf("%q gave %v", payload, c.Number)
		}
		if err == nil && op == Switch && c.Word != On && c.Word != Off {
			t.Fatalf("%q passed as a switch", payload)
		}
		if v, ok := c.Value().(string); ok && len(v) > EchoLen {
			t.Fatalf("echo of %d bytes", len(v))
		}
		var back Ack
		require.NoError(t, json.Unmarshal(Encode(Ack{Value: c.Value(), Channel: c.Channel}), &back))
	})
}

func TestTopics(t *testing.T) {
	assert.Equal(t, "/hv/status", Root("").Status("hv"))
	assert.Equal(t, "lab1/hv/cmd/#", Root("lab1").Commands("hv"))
	for topic, want := range map[string][2]string{
		"lab1/hv/cmd/setv/0":   {"setv", "0"},
		"lab1/hv/cmd/setv":     {"setv", ""},
		"lab1/hv/cmd":          {"", ""},
		"lab1/hv/cmd/setv/0/x": {"setv", "0/x"},
	} {
		op, ch, ok := Root("lab1").CutCommand("hv", topic)
		assert.True(t, ok, topic)
		assert.Equal(t, want, [2]string{op, ch}, topic)
	}
	_, _, ok := Root("lab1").CutCommand("hv", "lab1/lv/cmd/setv/0")
	assert.False(t, ok)
	for _, bad := range []string{"", "a/b", "a b", "run", "sensor", "ä", "a+"} {
		assert.Error(t, CheckDevice(bad), bad)
	}
	assert.NoError(t, CheckDevice("sensor_1"))
	assert.Error(t, CheckRoot("a/+"))
	assert.NoError(t, CheckRoot("lab/1"))
}

func TestChannelID(t *testing.T) {
	for s, want := range map[string]string{"0": "0", "12": "12", "all": `"all"`, "": "null", "-1": `"-1"`, "01": `"01"`, "x": `"x"`, "99999": `"99999"`} {
		assert.Equal(t, want, string(Encode(ParseChannel(s))), s)
		var back ChannelID
		require.NoError(t, json.Unmarshal([]byte(want), &back))
		assert.Equal(t, ParseChannel(s), back)
	}
}

func TestPayloadsLeaveOutWhatIsNotKnown(t *testing.T) {
	b := Encode(Channel{Number: 0, On: No, VReq: Known(100), VMon: Known(9.91e37), IMon: Known(math.NaN())})
	assert.JSONEq(t, `{"number":0,"on":0,"vreq":100}`, string(b))

	a := Encode(Ack{ID: "x", Op: SetV, Channel: One(0), Value: 100.0, Phase: Accepted, Code: OK})
	var m map[string]any
	require.NoError(t, json.Unmarshal(a, &m))
	assert.Contains(t, m, "closest")
	assert.Nil(t, m["closest"])
	assert.Nil(t, m["readback"])
}

func TestStamperNeverGoesBack(t *testing.T) {
	var s Stamper
	wall := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	first := s.Next(wall)
	assert.Equal(t, wall, first)
	same := s.Next(wall)
	assert.Equal(t, wall.Add(time.Microsecond), same)
	set := s.Next(wall.Add(-time.Hour)) // the clock was set back
	assert.True(t, set.After(same))
	next := s.Next(wall.Add(-time.Hour + time.Second))
	assert.Equal(t, time.Second, next.Sub(set).Round(time.Millisecond), "goes on at the clock's speed")
}

func TestEchoIsShortAndValid(t *testing.T) {
	require.NoError(t, quick.Check(func(s string) bool {
		e := Echo(s)
		return len(e) <= EchoLen && strings.ToValidUTF8(e, "") == e
	}, nil))
	assert.Equal(t, strings.Repeat("ä", 32), Echo(strings.Repeat("ä", 100)))
}
