package psu

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

// acksOf sends one command to a fresh supply and gives what is published of it.
func acksOf(t *testing.T, topic, payload string) []string {
	t.Helper()
	g := newStage(nil, nil)
	g.handle(received(topic, payload, false))
	var out []string
	for _, a := range g.acks {
		var m map[string]any
		require.NoError(t, json.Unmarshal(wire.Encode(a), &m))
		delete(m, "message")
		delete(m, "time")
		delete(m, "boot")
		b, err := json.Marshal(m)
		require.NoError(t, err)
		out = append(out, string(b))
	}
	return out
}

// ackJSON is an ack in the order of encoding/json's maps.
func ackJSON(channel, closest, code, id, op, phase, readback, user, value string) string {
	return `{"channel":` + channel + `,"closest":` + closest + `,"code":"` + code + `","id":"` + id + `","op":"` + op +
		`","phase":"` + phase + `","readback":` + readback + `,"user":"` + user + `","value":` + value + `}`
}

func TestAcks(t *testing.T) {
	long := strings.Repeat("é", 100)
	for _, c := range []struct{ name, topic, payload, first, last string }{
		{"not a number", "setv/0", "nan", ackJSON("0", "null", "BAD_VALUE", "b00-1", "setv", "rejected", "null", "", `"nan"`), ""},
		{"infinity", "setv/0", "Inf", ackJSON("0", "null", "BAD_VALUE", "b00-1", "setv", "rejected", "null", "", `"Inf"`), ""},
		{"hexadecimal", "setv/0", "0x10", ackJSON("0", "null", "BAD_VALUE", "b00-1", "setv", "rejected", "null", "", `"0x10"`), ""},
		{"too large", "setv/0", "1e999", ackJSON("0", "null", "BAD_VALUE", "b00-1", "setv", "rejected", "null", "", `"1e999"`), ""},
		{"a long value", "setv/0", long, ackJSON("0", "null", "BAD_VALUE", "b00-1", "setv", "rejected", "null", "", `"`+strings.Repeat("é", 32)+`"`), ""},
		{"spaces alone", "setv/0", "  ", ackJSON("0", "null", "BAD_VALUE", "b00-1", "setv", "rejected", "null", "", `"  "`), ""},
		{"a wrong word", "switch/0", "ON", ackJSON("0", "null", "BAD_VALUE", "b00-1", "switch", "rejected", "null", "", `"ON"`), ""},
		{"misspelt dry keeps id and user", "setv/0", `{"value":1,"id":"x","user":"alice","drry":1}`,
			ackJSON("0", "null", "BAD_VALUE", "x", "setv", "rejected", "null", "alice", `"1"`), ""},
		{"a value as a string", "setv/0", `{"value":"1"}`, ackJSON("0", "null", "BAD_VALUE", "b00-1", "setv", "rejected", "null", "", `"1"`), ""},
		{"unknown op", "boil/0", "100", ackJSON("0", "null", "BAD_OP", "b00-1", "boil", "rejected", "null", "", `"100"`), ""},
		{"unknown op, long", strings.Repeat("b", 100) + "/0", "1", ackJSON("0", "null", "BAD_OP", "b00-1", strings.Repeat("b", 64), "rejected", "null", "", `"1"`), ""},
		{"no op", "", "1", ackJSON("null", "null", "BAD_OP", "b00-1", "", "rejected", "null", "", `"1"`), ""},
		{"no channel", "setv", "1", ackJSON("null", "null", "NO_CHANNEL", "b00-1", "setv", "rejected", "null", "", `1`), ""},
		{"a channel that there is not", "setv/3", "1", ackJSON("3", "null", "NO_CHANNEL", "b00-1", "setv", "rejected", "null", "", `1`), ""},
		{"no number", "setv/x", "1", ackJSON(`"x"`, "null", "NO_CHANNEL", "b00-1", "setv", "rejected", "null", "", `1`), ""},
		{"negative", "setv/-1", "1", ackJSON(`"-1"`, "null", "NO_CHANNEL", "b00-1", "setv", "rejected", "null", "", `1`), ""},
		{"a topic too long", "setv/0/1", "1", ackJSON(`"0/1"`, "null", "NO_CHANNEL", "b00-1", "setv", "rejected", "null", "", `1`), ""},
		{"all for one", "setv/all", "1", ackJSON(`"all"`, "null", "NO_CHANNEL", "b00-1", "setv", "rejected", "null", "", `1`), ""},
		{"ramp of all where each has its own", "ramp/all", "5", ackJSON(`"all"`, "null", "NO_CHANNEL", "b00-1", "ramp", "rejected", "null", "", `5`), ""},
		{"closest", "setv/0", " 1e9 ", ackJSON("0", "1000", "OUT_OF_RANGE", "b00-1", "setv", "rejected", "null", "", `1000000000`), ""},
		{"plain", "setv/0", "100.", ackJSON("0", "null", "OK", "b00-1", "setv", "accepted", "null", "", `100`),
			ackJSON("0", "null", "OK", "b00-1", "setv", "done", "0", "", `100`)},
		{"envelope", "seti/1", `{"value":2e-3,"id":"nr-17","user":"alice"}`, ackJSON("1", "null", "OK", "nr-17", "seti", "accepted", "null", "alice", `0.002`),
			ackJSON("1", "null", "OK", "nr-17", "seti", "done", "0.002", "alice", `0.002`)},
		{"switch", "switch/0", "on", ackJSON("0", "null", "OK", "b00-1", "switch", "accepted", "null", "", `"on"`),
			ackJSON("0", "null", "OK", "b00-1", "switch", "done", "0", "", `"on"`)},
		{"all", "switch/all", "off", ackJSON(`"all"`, "null", "OK", "b00-1", "switch", "accepted", "null", "", `"off"`),
			ackJSON(`"all"`, "null", "OK", "b00-1", "switch", "done", "null", "", `"off"`)},
		{"no value", "clear/0", "{}", ackJSON("0", "null", "OK", "b00-1", "clear", "accepted", "null", "", `null`),
			ackJSON("0", "null", "OK", "b00-1", "clear", "done", "0", "", `null`)},
		{"dry", "setv/0", `{"value":1,"dry":1}`, ackJSON("0", "null", "DRY", "b00-1", "setv", "accepted", "null", "", `1`), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := []string{c.first}
			if c.last != "" {
				want = append(want, c.last)
			}
			assert.Equal(t, want, acksOf(t, c.topic, c.payload))
		})
	}
	assert.Empty(t, acksOf(t, "setv/0", ""), "an empty payload is ignored")
	assert.Empty(t, acksOf(t, "", ""), "wherever it comes")
}

func TestAckTimeAndBoot(t *testing.T) {
	g := newStage(nil, nil)
	g.now = time.Date(2026, 11, 20, 20, 25, 49, 920528123, time.FixedZone("CET", 3600))
	g.handle(received("setv/0", "5", false))
	require.Len(t, g.acks, 2)
	assert.Equal(t, "b00", g.acks[0].Boot)
	assert.Equal(t, time.Date(2026, 11, 20, 19, 25, 49, 920528000, time.UTC), g.acks[0].Time)
}

func TestMadeUpIDs(t *testing.T) {
	g := newStage(nil, nil)
	for _, step := range []string{"setv/0 5", "b00-2: setv/0 6", "setv/0 7", "setv/0 7", "b00-2: setv/0 6"} {
		require.NoError(t, g.step(step))
	}
	assert.Equal(t, []string{
		"b00-1 accepted", "b00-1 done", "b00-2 accepted", "b00-2 done",
		"b00-3 accepted", "b00-3 done", "b00-4 accepted", "b00-4 done", "b00-2 done",
	}, g.ackTexts(), "an id that a sender took is not made up, and stays the sender's")
	assert.Equal(t, []string{"setv/0 5", "setv/0 6", "setv/0 7"}, g.writes)
}

func TestOpsThatTheInstrumentLacks(t *testing.T) {
	play(t, []scene{
		{name: "lacking", supply: func(s *supply) { s.ops = Ops{} }, do: "a: seti/0 1; b: ramp/0 1; c: clear/0; d: ramp/all 1; e: setv/0 1",
			acks: "a rejected BAD_OP; b rejected BAD_OP; c rejected BAD_OP; d rejected BAD_OP; e accepted; e done", writes: "setv/0 1"},
		{name: "said", supply: func(s *supply) { s.ops = Ops{SetI: true} }, do: "a: ramp/0 1", acks: "a rejected BAD_OP",
			says: `"ramp" is not a command of this instrument: it takes setv, seti, switch, lock, unlock`},
		{name: "one ramp speed for all", supply: common, do: "a: ramp/0 20; b: ramp/all 20; c: ramp/all 101",
			acks: "a rejected NO_CHANNEL; b accepted; b done; c rejected OUT_OF_RANGE closest=100", writes: "ramp/all 20"},
		{name: "one ramp speed, refused", supply: common, do: "hold; a: ramp/all 20; refuse; wait 11s", acks: "a accepted; a failed HARDWARE", writes: "ramp/all 20"},
		{name: "both", supply: func(s *supply) { s.ops.CommonRamp = true }, do: "a: ramp/0 20; b: ramp/all 30",
			acks: "a accepted; a done; b rejected NO_CHANNEL", writes: "ramp/0 20"},
	})
}
