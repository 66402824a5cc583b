package api_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
)

func TestIngest(t *testing.T) {
	for body, want := range map[string][]bus.Message{
		`[21.5, -0, 1e-9]`: {
			{Topic: "lab1/sensor/room-1/meas1", Payload: []byte(`{"value":21.5}`), QoS: 1},
			{Topic: "lab1/sensor/room-1/meas2", Payload: []byte(`{"value":0}`), QoS: 1},
			{Topic: "lab1/sensor/room-1/meas3", Payload: []byte(`{"value":1e-9}`), QoS: 1},
		},
		` {"temperature":21,"rh_1":40} `: {
			{Topic: "lab1/sensor/room-1/temperature", Payload: []byte(`{"value":21}`), QoS: 1},
			{Topic: "lab1/sensor/room-1/rh_1", Payload: []byte(`{"value":40}`), QoS: 1},
		},
	} {
		l := newLab(t)
		a := l.ask(accounts.Operator, "POST", "/api/v1/ingest/room-1", body)
		require.Equal(t, 200, a.status, "%s", a.body)
		var got struct{ Published int }
		a.into(&got)
		assert.Equal(t, len(want), got.Published)
		assert.Equal(t, want, l.published)
		assert.Equal(t, []auditlog.Entry{{
			Kind: "ingest", User: "ann", Role: "operator", Verified: true, Via: "session", Address: "192.0.2.1", Device: "room-1", Value: len(want), Message: "values from outside",
		}}, l.audit.entries)
	}
}

func TestIngestRefuses(t *testing.T) {
	for body, want := range map[string]string{
		`[]`:                                    "no value",
		`{}`:                                    "no value",
		`1`:                                     "not an object",
		`[null]`:                                `"meas1" is not a number`,
		`["1"]`:                                 `"meas1" is not a number`,
		`[[1]]`:                                 `"meas1" is not a number`,
		`[true]`:                                `"meas1" is not a number`,
		`[NaN]`:                                 "not JSON",
		`[1e999]`:                               "too large",
		`[9.9e37]`:                              "no value: leave it out",
		`[-9.91e37]`:                            "no value: leave it out",
		`[1,]`:                                  "not JSON",
		`[1] [2]`:                               "not JSON",
		`{"a":1,"a":2}`:                         "stands twice",
		`{"a/b":1}`:                             "cannot be a measurement",
		`{"+":1}`:                               "cannot be a measurement",
		`{"":1}`:                                "cannot be a measurement",
		`{"a":"1"}`:                             `"a" is not a number`,
		`{"a":{"b":1}}`:                         `"a" is not a number`,
		`{"` + long(65) + `":1}`:                "cannot be a measurement",
		"[" + strings.Repeat("1,", 100) + "1]":  "more than 100",
		"[" + strings.Repeat("1,", 9000) + "1]": "more than 16384 bytes",
	} {
		l := newLab(t)
		l.ask(accounts.Operator, "POST", "/api/v1/ingest/room", body).refused(400, "bad-request", want)
		assert.Empty(t, l.published)
		assert.Empty(t, l.audit.entries)
	}
	for _, sensor := range []string{"a%2Fb", "%23", "+", "a%20b", long(65)} {
		l := newLab(t)
		l.ask(accounts.Operator, "POST", "/api/v1/ingest/"+sensor, `[1]`).refused(400, "bad-request", "cannot be a sensor")
		assert.Empty(t, l.published)
	}
}

func TestIngestAway(t *testing.T) {
	l := newLab(t)
	l.publish = func(n int) error {
		if n == 2 {
			return bus.ErrOffline
		}
		return nil
	}
	p := l.ask(accounts.Operator, "POST", "/api/v1/ingest/room", `[1,2,3,4]`).refused(503, "offline", "has 2 of 4 values; it does not take meas3")
	assert.InDelta(t, 2, p["published"], 0)

	l = newLab(t)
	l.audit.refuse = errors.New("the disk is full")
	l.ask(accounts.Operator, "POST", "/api/v1/ingest/room", `[1]`).problem(503, "audit")
	assert.Empty(t, l.published)
}
