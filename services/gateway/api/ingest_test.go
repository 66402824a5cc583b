package api_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/services/gateway/api"
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
			Kind: auditlog.Ingest, User: "ann", Role: "operator", Verified: true, Via: "session", Address: "192.0.2.1", Device: "room-1", Value: len(want), Message: "values from outside",
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

	entries := l.audit.of(auditlog.Ingest)
	require.Len(t, entries, 1)
	assert.Equal(t, 2, entries[0].Value, "that many, and no more")
	assert.Equal(t, "values from outside; 2 were not published: "+bus.ErrOffline.Error(), entries[0].Message)
}

// post sends values in somebody's name.
func (l *lab) post(name, sensor, body string) answer {
	req := l.request("POST", "/api/v1/ingest/"+sensor, body)
	req.Header.Set("Name", name)
	return l.send(accounts.Operator, req)
}

// told are the users, devices, values and messages of entries about values from
// outside, since the last call.
func (l *lab) told() (found []string) {
	for _, e := range l.audit.of(auditlog.Ingest) {
		found = append(found, fmt.Sprintf("%s %s %v %s", e.User, e.Device, e.Value, strings.TrimPrefix(e.Message, "values from outside")))
	}
	l.audit.mu.Lock()
	defer l.audit.mu.Unlock()
	l.audit.entries = nil
	return found
}

// inBubble calls f where time is made up.
func inBubble(t *testing.T, f func(t *testing.T, l *lab)) {
	_, err := loaded()
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.cfg.Now = time.Now // it begins with the year 2000
		l.handler = api.New(l.cfg)
		f(t, l)
		l.handler.Close()
		assert.Empty(t, l.told(), "all had been said")
	})
}

// The audit log has the first of a series, and one entry an hour about the rest.
func TestIngestIsThinned(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		for i := range 5400 {
			require.Equal(t, 200, l.post("ann", "room", `[1,2]`).status)
			if i == 0 {
				l.post("bob", "room", `[1]`)
				l.post("ann", "hall", `[1,2,3]`)
				assert.Equal(t, []string{"ann room 2 ", "bob room 1 ", "ann hall 3 "}, l.told())
				time.Sleep(time.Second / 2) // so that no post falls on the hour
			}
			time.Sleep(time.Second)
		}
		assert.Equal(t, []string{"ann room 7198 : 3599 posts since 2000-01-01T00:00:00Z"}, l.told())
		l.publish = func(n int) error {
			if n%2 == 1 {
				return bus.ErrOffline
			}
			return nil
		}
		l.post("ann", "room", `[1,2,3]`) // one of them goes out
		l.handler.Close()
		assert.Equal(t, []string{"ann room 3601 : 1801 posts since 2000-01-01T01:00:00Z; 2 values were not published"}, l.told())
	})
	inBubble(t, func(t *testing.T, l *lab) {
		l.post("ann", "room", `[1]`)
		time.Sleep(90 * time.Minute)
		l.post("ann", "room", `[1]`)
		assert.Equal(t, []string{"ann room 1 ", "ann room 1 "}, l.told(), "a new series has its first again")
	})
}

// Sensors that somebody makes up do not make entries without end.
func TestIngestOfManySensors(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		for i := range 500 {
			l.post("ann", fmt.Sprint("s", i), `[1]`)
		}
		assert.Len(t, l.told(), 101)
		l.post("bob", "room", `[1]`)
		assert.Equal(t, []string{"bob room 1 "}, l.told())
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, []string{"ann  399 : 399 posts since 2000-01-01T00:00:00Z, of sensors beyond 100"}, l.told())
	})
}

// An audit log that takes nothing costs no measurement, and no figure.
func TestIngestWithoutAuditLog(t *testing.T) {
	inBubble(t, func(t *testing.T, l *lab) {
		metrics := prometheus.NewRegistry()
		l.cfg.Metrics = metrics
		l.handler = api.New(l.cfg)
		l.audit.refusing(errors.New("the disk is full"))
		for range 3 {
			require.Equal(t, 200, l.post("ann", "room", `[1,2]`).status)
		}
		assert.Len(t, l.published, 6)
		assert.Equal(t, 1, strings.Count(l.log.String(), "NOT IN THE AUDIT LOG"))
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, 2, strings.Count(l.log.String(), "NOT IN THE AUDIT LOG"))
		assert.Equal(t, map[string]float64{
			"dcs_gateway_audit_missed_total ingest": 2, "dcs_gateway_ingest_values_total lost": 0, "dcs_gateway_ingest_values_total published": 6,
		}, counted(t, metrics))
		l.audit.refusing(nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, []string{"ann room 6 : 3 posts since 2000-01-01T00:00:00Z"}, l.told())
	})
}

// counted are the counters with their one label.
func counted(t *testing.T, r *prometheus.Registry) map[string]float64 {
	families, err := r.Gather()
	require.NoError(t, err)
	found := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			found[f.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return found
}
