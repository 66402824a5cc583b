package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

const (
	hvStatus = `[{"number":0,"on":1,"vreq":100.0,"ireq":0.001,"vmon":-0.0001,"imon":1.2e-6,"ramp":5,"ramping":1,"limited":0,"trip":0,"time":"2026-11-20T19:25:49.920528Z","seq":42,"boot":"b00"},
 {"number":1,"on":0,"vreq":1000.0,"vmon":12.3456,"trip":1,"locked":1,"seq":42,"boot":"b00","extra":7}]`
	hvMeta   = `{"kind":"psu","model":"EHS","serial":"123","period":2,"channels":[{"number":0,"label":"module A"}],"fields":{}}`
	roomMeta = `{"kind":"sensor","model":"dht","period":2,"fields":{"temperature":{"unit":"°C"},"humidity":{"unit":"%"}}}`
	room     = `{"temperature":21.3,"humidity":40.25,"time":"2026-11-20T19:25:49Z","seq":3,"boot":"b00"}`
)

var t0 = time.Date(2026, 11, 20, 19, 25, 49, 0, time.UTC)

func filled(t *testing.T, root wire.Root) *model {
	t.Helper()
	m := newModel(root)
	for topic, payload := range map[string]string{
		root.Status("hv"):             hvStatus,
		root.Meta("hv"):               hvMeta,
		root.State("hv"):              `{"state":"ready","boot":"b00","error":""}`,
		root.Status("room"):           room,
		root.Meta("room"):             roomMeta,
		root.State("room"):            `{"state":"ready","boot":"b00","error":""}`,
		root.Sensor("box", "dew"):     `{"value":-3.5}`,
		root.Sensor("box", "door"):    `1`,
		root.ServiceState("loader"):   `{"state":"ready","boot":"b00","error":""}`,
		root.State("lv"):              `{"state":"unreachable","boot":"b00","error":"no route\u001b[2J"}`,
		root.Status("hv") + "/deeper": `[]`,
		"elsewhere":                   `x`,
	} {
		m.apply(t0, bus.Message{Topic: topic, Payload: []byte(payload)})
	}
	return m
}

func TestRender(t *testing.T) {
	want := `hv  ready  EHS 123
  ch  label     on       vmon       vreq      imon      ireq   ramp
   0  module A  on    0.000 V   100.00 V  1.200 µA  1.000 mA  5 V/s  ramping
   1            off  12.346 V  1000.00 V                             TRIP, locked

lv  unreachable: no route [2J

room  ready  dht
  humidity     40.25 %
  temperature  21.3 °C

sensor/box  1 s ago
  dew   -3.5
  door  1

services: loader ready
`
	assert.Equal(t, want, filled(t, "").render(t0.Add(time.Second), 0))
	assert.Equal(t, want, filled(t, "lab1").render(t0.Add(time.Second), 0), "under a root")
}

func TestRenderNarrow(t *testing.T) {
	for l := range strings.Lines(filled(t, "").render(t0, 20)) {
		assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(l, "\n")), 20)
	}
}

// TestStale judges by when a status arrived and not by its own time: clocks
// may differ.
func TestStale(t *testing.T) {
	m := filled(t, "")
	at := func(age time.Duration) string { return m.render(t0.Add(age), 0) }
	assert.NotContains(t, at(3*time.Second), "stale")
	assert.Contains(t, at(3001*time.Millisecond), "hv  ready  EHS 123  stale: the last status came 3 s ago\n")
	assert.Contains(t, at(3001*time.Millisecond), "12.346 V")
	assert.NotContains(t, at(3001*time.Millisecond), "(12.346 V)")
	assert.NotContains(t, at(10*time.Second), "INVALID")
	late := at(10001 * time.Millisecond)
	assert.Contains(t, late, "INVALID: the last status came 10 s ago")
	assert.Contains(t, late, "(12.346 V)")
	assert.Contains(t, late, "(TRIP, locked)")
	assert.Contains(t, late, "temperature  (21.3 °C)")
	assert.NotContains(t, late, "(module A)")

	m.apply(t0.Add(time.Hour), bus.Message{Topic: "/hv/status", Payload: []byte(hvStatus), Retained: true})
	assert.Contains(t, at(time.Hour), "INVALID", "a retained status is the past")
	m.apply(t0.Add(time.Hour), bus.Message{Topic: "/hv/status", Payload: []byte(hvStatus)})
	assert.Contains(t, at(time.Hour), "hv  ready  EHS 123\n")
}

func TestMalformed(t *testing.T) {
	m := newModel("")
	for _, payload := range []string{"", "x", "[1]", `[{"number":"a"}]`, `{"a":`, "null"} {
		m.apply(t0, bus.Message{Topic: "/hv/status", Payload: []byte(payload)})
		m.apply(t0, bus.Message{Topic: "/hv/meta", Payload: []byte(payload)})
		m.apply(t0, bus.Message{Topic: "/sensor/a/b", Payload: []byte(payload)})
		m.render(t0, 80)
	}
	m.apply(t0, bus.Message{Topic: "/hv/status", Payload: []byte("x")})
	assert.Contains(t, m.render(t0, 0), "its status cannot be read")
	m.apply(t0, bus.Message{Topic: "/hv/status", Payload: []byte(`[]`)})
	assert.NotContains(t, m.render(t0, 0), "cannot be read")
	for _, reserved := range []string{"/alarm/state", "/sensor/status", "/run/status"} {
		assert.False(t, m.apply(t0, bus.Message{Topic: reserved, Payload: []byte(`{}`)}))
	}
	assert.Len(t, m.devices, 1)
	m.apply(t0, bus.Message{Topic: "/hv/state", Retained: true})
	assert.Empty(t, m.devices, "a state that was cleared takes the device away")
}

func TestPadding(t *testing.T) {
	rows, err := parseStatus([]byte(`[{"number":0,"on":0,"vreq":0},{"number":1,"vreq":5,"seq":1}]`))
	require.NoError(t, err)
	require.Len(t, rows, 1)
	assert.Equal(t, 1, rows[0].channel.Number)
	rows, err = parseStatus([]byte(`[{"number":0,"on":0,"vreq":0},{"number":1,"vreq":5}]`))
	require.NoError(t, err)
	assert.Len(t, rows, 2, "the original's drivers number nothing")
}

func TestQuantity(t *testing.T) {
	for want, q := range map[string]struct {
		x    float64
		unit string
	}{
		"0.000 V":       {-0.0004, "V"},
		"-99.980 V":     {-99.98, "V"},
		"1000.00 V":     {1000, "V"},
		"0 A":           {0, "A"},
		"1.200 µA":      {1.2e-6, "A"},
		"-12.30 nA":     {-12.3e-9, "A"},
		"1.000 mA":      {0.999999e-3, "A"},
		"999.9 µA":      {0.9999e-3, "A"},
		"10.00 A":       {10, "A"},
		"0.500 pA":      {5e-13, "A"},
		"1.23e-07 mbar": {1.23e-7, "mbar"},
		"21.3":          {21.3, ""},
		"5 V/s":         {5, "V/s"},
	} {
		assert.Equal(t, want, quantity(q.x, q.unit))
	}
}

func FuzzApply(f *testing.F) {
	f.Add("/hv/status", hvStatus)
	f.Add("/hv/meta", hvMeta)
	f.Add("/room/status", room)
	f.Add("/sensor/box/dew", `{"value":1}`)
	f.Add("/service/loader/state", `{"state":"ready"}`)
	f.Fuzz(func(t *testing.T, topic, payload string) {
		m := newModel("")
		e := event{at: t0, msg: bus.Message{Topic: topic, Payload: []byte(payload)}}
		if m.apply(t0, e.msg) {
			m.tell(e)
			messageJSON(t0, e.msg)
		}
		for _, l := range m.lines(t0.Add(time.Hour), 40) {
			if strings.ContainsAny(l.text, "\x1b\n\r") || utf8.RuneCountInString(l.text) > 40 {
				t.Errorf("%q", l.text)
			}
		}
	})
}
