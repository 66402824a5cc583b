package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/live"
)

type offAnswer struct {
	Results []struct {
		Device  string
		Status  int
		Outcome live.Outcome
	}
}

// devicesOf are the devices that something was sent to.
func (l *lab) devicesOf() map[string]wire.Command {
	to := make(map[string]wire.Command)
	for _, s := range l.live.sent {
		to[s.device] = s.command
	}
	return to
}

func TestOff(t *testing.T) {
	l := newLab(t)
	l.live.put(live.Device{Name: "mystery", Status: json.RawMessage(`[{"number":0}]`)}) // it has not described itself
	l.live.put(live.Device{Name: "nothing"})
	l.live.put(live.Device{Name: "starting", State: &wire.State{State: wire.Ready}}) // it may be a supply
	l.live.put(live.Device{Name: "tagged", Locks: map[string]wire.LockTag{"0": {User: "bob"}}})
	l.live.put(live.Device{Name: "thermometer", State: &wire.State{State: wire.Ready}, Status: json.RawMessage(`{"temperature":21}`)})
	l.live.put(live.Device{Name: "runner", State: &wire.State{State: wire.Ready}, Report: &wire.Report{}})
	var got offAnswer
	a := l.ask(accounts.Operator, "POST", "/api/v1/off", "")
	require.Equal(t, 200, a.status)
	a.into(&got)
	require.Len(t, got.Results, 5)
	sent := l.devicesOf()
	assert.ElementsMatch(t, []string{"hv", "lv", "mystery", "starting", "tagged"}, slices.Collect(maps.Keys(sent)))
	ids := make(map[string]bool)
	for _, r := range got.Results {
		c := sent[r.Device]
		assert.Equal(t, wire.Command{Op: "switch", Channel: wire.All(), Word: "off", ID: r.Outcome.ID, User: "ann", Expires: now.Add(10 * time.Second)}, c)
		ids[c.ID] = true
	}
	assert.Len(t, ids, 5, "each has an id of its own")
	assert.Len(t, l.audit.of(auditlog.Command), 5)
	assert.Contains(t, sent, "lv", "a supply that seems lost is told too")
}

func TestOffNamed(t *testing.T) {
	l := newLab(t)
	var got offAnswer
	l.ask(accounts.Operator, "POST", "/api/v1/off", `{"devices":["hv","dht","hv"]}`).into(&got)
	assert.Len(t, got.Results, 2)
	assert.Len(t, l.devicesOf(), 2)

	assert.Equal(t, 200, l.ask(accounts.Operator, "POST", "/api/v1/off", `{}`).status)
	for body, want := range map[string]string{
		`{"devices":[]}`:                    "1 to 1000",
		`{"devices":"hv"}`:                  "list of names",
		`{"devices":[1]}`:                   "list of names",
		`{"devices":null}`:                  "list of names",
		`{"devices":["a/b"]}`:               `"a/b"`,
		`{"devices":["run"]}`:               `"run"`,
		`{"devices":["` + long(129) + `"]}`: "no name that can be",
		`{"devices":["+"]}`:                 `"+"`,
		`{"device":["hv"]}`:                 "unknown key",
		`{"devices":["hv"]} 1`:              "more after",
		`{"devices":[` + strings.Repeat(`"hv",`, 1000) + `"hv"]}`: "1001 names",
	} {
		l := newLab(t)
		l.ask(accounts.Operator, "POST", "/api/v1/off", body).refused(400, "bad-request", want)
		assert.Empty(t, l.live.sent)
	}
}

// Off is sent to all that is named, known or not, whatever else is named.
func TestOffOfUnknown(t *testing.T) {
	l := newLab(t)
	l.live.do = func(device string, c wire.Command) (live.Outcome, error) {
		if device == "lvx" {
			return live.Outcome{Phase: live.PhaseUnanswered}, nil
		}
		return done(c.ID), nil
	}
	a := l.ask(accounts.Operator, "POST", "/api/v1/off", `{"devices":["hv","lvx","a b"]}`)
	a.refused(504, "not-off", "2 of 3 supplies may not be off. a b: Nothing was sent, since it cannot be a device")
	a.refused(504, "not-off", "lvx: lvx has not answered: what became of the command is not known. Look at what it reads back before you send it again. Nothing has been heard of it")
	var got offAnswer
	a.into(&got)
	require.Len(t, got.Results, 3)
	assert.Equal(t, []int{400, 200, 504}, []int{got.Results[0].Status, got.Results[1].Status, got.Results[2].Status})
	assert.ElementsMatch(t, []string{"hv", "lvx"}, slices.Collect(maps.Keys(l.devicesOf())))

	l = newLab(t)
	a = l.ask(accounts.Operator, "POST", "/api/v1/off", `{"devices":["hv","#"]}`)
	a.refused(400, "not-off", "1 of 2")
	assert.Len(t, l.live.sent, 1)
}

// A single off goes out too.
func TestSwitchOffUnknown(t *testing.T) {
	l := newLab(t)
	const path = "/api/v1/devices/lvx/commands"
	l.live.do = func(string, wire.Command) (live.Outcome, error) {
		return live.Outcome{Phase: live.PhaseUnanswered}, nil
	}
	l.ask(accounts.Operator, "POST", path, `{"op":"switch","channel":"all","value":"off"}`).refused(504, "unanswered", "Nothing has been heard of it")
	assert.Len(t, l.live.sent, 1)
	assert.Len(t, l.audit.of(auditlog.Command), 1)
	for _, body := range []string{ch("switch", `"value":"on"`), ch("switch", `"value":"off","dry":true`), ch("setv", `"value":0`)} {
		l.ask(accounts.Operator, "POST", path, body).problem(404, "no-such-device")
	}
	for _, name := range []string{"run", "a%2Fb", "a%20b", long(129)} {
		l.ask(accounts.Operator, "POST", "/api/v1/devices/"+name+"/commands", ch("switch", `"value":"off"`)).problem(404, "no-such-device")
	}
	assert.Len(t, l.live.sent, 1)
}

func TestOffWithoutSupplies(t *testing.T) {
	l := newLab(t)
	l.live.order = []string{"dht"}
	l.ask(accounts.Operator, "POST", "/api/v1/off", "").refused(404, "no-supply", "no power supply")
}

// The worst that became of any is the answer.
func TestOffOutcomes(t *testing.T) {
	offline := fmt.Errorf("sending: %w", bus.ErrOffline)
	at := func(phase string) func() (live.Outcome, error) {
		return func() (live.Outcome, error) { return live.Outcome{Phase: phase, Code: "OK"}, nil }
	}
	fails := func(err error) func() (live.Outcome, error) {
		return func() (live.Outcome, error) { return live.Outcome{}, err }
	}
	for name, tt := range map[string]struct {
		hv, lv           func() (live.Outcome, error)
		status, hv_, lv_ int
		want             string
	}{
		"both done":   {at("done"), at("done"), 200, 200, 200, ""},
		"one ramps":   {at("accepted"), at("done"), 202, 202, 200, ""},
		"refused":     {at("accepted"), at("rejected"), 409, 202, 409, "1 of 2 supplies may not be off. lv: rejected OK"},
		"failed":      {at("failed"), at("rejected"), 502, 502, 409, "2 of 2"},
		"silent":      {at("failed"), at("unanswered"), 504, 502, 504, "Its state is lost (gone)"},
		"offline":     {fails(offline), fails(offline), 503, 503, 503, "no connection to it"},
		"and silent":  {fails(offline), at("unanswered"), 504, 503, 504, "2 of 2"},
		"our mistake": {fails(errors.New("secret")), at("done"), 504, 504, 200, "The gateway has failed"},
	} {
		l := newLab(t)
		l.live.do = func(device string, _ wire.Command) (live.Outcome, error) {
			if device == "hv" {
				return tt.hv()
			}
			return tt.lv()
		}
		a := l.ask(accounts.Operator, "POST", "/api/v1/off", "")
		require.Equal(t, tt.status, a.status, "%s: %s", name, a.body)
		var got offAnswer
		a.into(&got)
		require.Len(t, got.Results, 2)
		assert.Equal(t, []int{tt.hv_, tt.lv_}, []int{got.Results[0].Status, got.Results[1].Status}, name)
		for _, r := range got.Results {
			assert.NotEmpty(t, r.Outcome.ID, name)
		}
		if tt.status >= 400 {
			a.refused(tt.status, "not-off", tt.want)
		}
		assert.NotContains(t, string(a.body), "secret")
	}
}

// All are told at once, and none waits for another.
func TestOffIsParallel(t *testing.T) {
	l := newLab(t)
	for i := range 50 {
		d := l.live.devices["hv"]
		d.Name = fmt.Sprintf("hv%d", i)
		l.live.put(d)
	}
	var all sync.WaitGroup
	all.Add(52)
	l.live.do = func(string, wire.Command) (live.Outcome, error) {
		all.Done()
		all.Wait() // it returns when all of them are here
		return live.Outcome{Phase: wire.Done, Code: "OK"}, nil
	}
	assert.Equal(t, 200, l.ask(accounts.Operator, "POST", "/api/v1/off", "").status)
}

func TestOffWithoutAuditLog(t *testing.T) {
	l := newLab(t)
	l.audit.refuse = errors.New("the disk is full")
	assert.Equal(t, 200, l.ask(accounts.Operator, "POST", "/api/v1/off", "").status)
	assert.Len(t, l.live.sent, 2)
	assert.Equal(t, 2, strings.Count(l.log.String(), "SENT WITHOUT THE AUDIT LOG"))
}
