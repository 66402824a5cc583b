package api_test

import (
	"context"
	"encoding/json"
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
	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/api"
	"trackerdcs/services/gateway/live"
)

const commands = "/api/v1/devices/hv/commands"

// A command goes out as it was written, in the name of who sent it, and stands
// in the audit log before.
func TestCommand(t *testing.T) {
	for body, want := range map[string]wire.Command{
		`{"op":"setv","channel":0,"value":100.5}`:                {Op: "setv", Channel: wire.One(0), Number: 100.5},
		`{"op":"setv","channel":65535,"value":-0,"dry":true}`:    {Op: "setv", Channel: wire.One(65535), Dry: true},
		`{"op":"ramp","channel":"all","value":1e1,"dry":false}`:  {Op: "ramp", Channel: wire.All(), Number: 10},
		`{"op":"switch","channel":1,"value":"on"}`:               {Op: "switch", Channel: wire.One(1), Word: "on"},
		`{"op":"clear","channel":"all"}`:                         {Op: "clear", Channel: wire.All()},
		` {"reason":"wörk","op":"lock","channel":1} `:            {Op: "lock", Channel: wire.One(1), Reason: "wörk"},
		`{"op":"unlock","channel":1}`:                            {Op: "unlock", Channel: wire.One(1)},
		`{"op":"seti","channel":1,"value":1e-6}`:                 {Op: "seti", Channel: wire.One(1), Number: 1e-6},
		`{"op":"dance","value":"tango","channel":3,"dry":false}`: {Op: "dance", Channel: wire.One(3), Echo: "tango"},
		`{"op":"dance","value":4.5}`:                             {Op: "dance", Echo: "4.5"},
		`{"op":"start"}`:                                         {Op: "start"},
	} {
		l := newLab(t)
		a := l.ask(accounts.Expert, "POST", commands, body)
		require.Equal(t, 200, a.status, "%s: %s", body, a.body)
		require.Len(t, l.live.sent, 1)
		got := l.live.sent[0]
		assert.Equal(t, "hv", got.device)
		assert.Equal(t, 1, got.audited, "the audit log comes first")
		assert.Regexp(t, `^gw-[A-Z2-7]{16}$`, got.command.ID)
		var out live.Outcome
		a.into(&out)
		assert.Equal(t, got.command.ID, out.ID)
		want.ID, want.User, want.Expires = out.ID, "ann", now.Add(10*time.Second)
		assert.Equal(t, want, got.command, body)
		assert.Equal(t, []auditlog.Entry{{
			Kind: auditlog.Command, User: "ann", Role: "expert", Verified: true, Via: "session", Address: "192.0.2.1",
			Device: "hv", Op: want.Op, Channel: want.Channel.String(), Value: want.Value(), ID: want.ID, Dry: want.Dry, Message: want.Reason,
		}}, l.audit.entries)
	}
}

func TestTokensSign(t *testing.T) {
	l := newLab(t)
	req := l.request("POST", commands, `{"op":"clear","channel":0}`)
	req.Header.Set("Token", "1")
	require.Equal(t, 200, l.send(accounts.Operator, req).status)
	assert.Equal(t, "token:ann", l.live.sent[0].command.User)
	assert.Equal(t, "token:ann", l.audit.entries[0].User)
	assert.Equal(t, "token", l.audit.entries[0].Via)
}

func TestBadCommands(t *testing.T) {
	for body, want := range map[string]string{
		`{}`:                              `"op" is missing`,
		`[]`:                              "not an object",
		``:                                "Content-Type",
		`{"op":"setv","op":"seti"}`:       `"op" stands twice`,
		`{"Op":"setv"}`:                   `unknown key "Op": there are channel, dry, op, reason, value`,
		`{"op":"setv","drry":true}`:       `unknown key "drry"`,
		`{"op":"setv","id":"x"}`:          `unknown key "id"`,
		`{"op":"setv","user":"bob"}`:      `unknown key "user"`,
		`{"op":1}`:                        `"op" is not a string`,
		`{"op":""}`:                       `"op" has 0 bytes`,
		`{"op":"SetV"}`:                   `small letters`,
		`{"op":"a/b"}`:                    `small letters`,
		`{"op":"setv+"}`:                  `small letters`,
		`{"op":"` + long(33) + `"}`:       `33 bytes`,
		`{"op":"setv","value":1}`:         `"channel" is missing`,
		`{"op":"setv","channel":0}`:       `setv needs a "value"`,
		`{"op":"setv","channel":"0"}`:     `neither a channel's number`,
		`{"op":"setv","channel":-1}`:      `neither a channel's number`,
		`{"op":"setv","channel":1.5}`:     `neither a channel's number`,
		`{"op":"setv","channel":65536}`:   `neither a channel's number`,
		`{"op":"setv","channel":null}`:    `neither a channel's number`,
		`{"op":"setv","channel":"ALL"}`:   `neither a channel's number`,
		`{"op":"setv","channel":[0]}`:     `neither a channel's number`,
		ch("setv", `"value":"1"`):         `"value" of setv is not a number`,
		ch("setv", `"value":null`):        `"value" of setv is not a number`,
		ch("setv", `"value":true`):        `"value" of setv is not a number`,
		ch("setv", `"value":NaN`):         `not JSON`,
		ch("setv", `"value":1e999`):       `too large`,
		ch("setv", `"value":1,"dry":1`):   `"dry" is neither true nor false`,
		ch("setv", `"value":1} x`):        `more after the object`,
		ch("switch", `"value":1`):         `neither "on" nor "off"`,
		ch("switch", `"value":"ON"`):      `neither "on" nor "off"`,
		ch("switch", `"dry":true`):        `needs a "value"`,
		ch("clear", `"value":1`):          `clear takes no "value"`,
		ch("unlock", `"reason":"x"`):      `unlock takes no "reason"`,
		ch("lock", `"value":1`):           `needs its "reason"`,
		ch("lock", `"reason":""`):         `"reason" has 0 bytes`,
		ch("lock", `"reason":1`):          `"reason" is not a string`,
		ch("lock", reason(257)):           `257 bytes`,
		ch("dance", `"value":{"a":1}`):    `"value" is not a string`,
		ch("dance", `"value":""`):         `"value" has 0 bytes`,
		`{"op":"setv","x":"` + long(4096): `more than 4096 bytes`,
	} {
		l := newLab(t)
		a := l.ask(accounts.Expert, "POST", commands, body)
		if body == "" {
			a.problem(415, "media-type")
			continue
		}
		a.refused(400, "bad-request", want)
		assert.Empty(t, l.live.sent, body)
		assert.Empty(t, l.audit.entries, body)
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func reason(n int) string { return `"reason":"` + long(n) + `"` }

// ch is a command to channel 0.
func ch(op, more string) string { return fmt.Sprintf(`{"op":%q,"channel":0,%s}`, op, more) }

func TestNoSuchDevice(t *testing.T) {
	l := newLab(t)
	for _, path := range []string{"/api/v1/devices/nv/commands", "/api/v1/devices/%2e%2e/commands", "/api/v1/devices/a%2Fb/commands"} {
		l.ask(accounts.Operator, "POST", path, `{"op":"clear","channel":0}`).refused(404, "no-such-device", "There are dht, hv, lv.")
	}
	l.ask(accounts.Viewer, "GET", "/api/v1/devices/nv", "").refused(404, "no-such-device", "nv")
	assert.Empty(t, l.live.sent)
	l.live.order = nil
	l.ask(accounts.Viewer, "GET", "/api/v1/devices/nv", "").refused(404, "no-such-device", "No device has been heard yet")
	for i := range 100 {
		l.live.put(live.Device{Name: fmt.Sprintf("d%d", i)})
	}
	p := l.ask(accounts.Viewer, "GET", "/api/v1/devices/nv", "").problem(404, "no-such-device")
	assert.Contains(t, p["detail"], "d49 and others")
}

// Who may which command.
func TestCommandRoles(t *testing.T) {
	locks := func(users ...string) map[string]wire.LockTag {
		m := make(map[string]wire.LockTag)
		for i, u := range users {
			m[fmt.Sprint(i)] = wire.LockTag{User: u, Reason: "r", Time: now}
		}
		return m
	}
	for name, tt := range map[string]struct {
		body   string
		locks  map[string]wire.LockTag
		status string
		expert bool // needs the role expert
	}{
		"setv":                      {body: ch("setv", `"value":1`)},
		"ramp":                      {body: ch("ramp", `"value":1`)},
		"on":                        {body: ch("switch", `"value":"on"`)},
		"off":                       {body: ch("switch", `"value":"off"`)},
		"clear":                     {body: ch("clear", `"dry":false`)},
		"lock":                      {body: ch("lock", `"reason":"r"`)},
		"seti":                      {body: ch("seti", `"value":1`), expert: true},
		"seti, dry":                 {body: ch("seti", `"value":1,"dry":true`), expert: true},
		"unknown":                   {body: ch("format", `"value":1`), expert: true},
		"unlock, not locked":        {body: ch("unlock", `"dry":false`), status: `[{"number":0,"locked":0}]`},
		"unlock, no status":         {body: ch("unlock", `"dry":false`), expert: true},
		"unlock, null":              {body: ch("unlock", `"dry":false`), status: `null`, expert: true},
		"unlock, unreadable":        {body: ch("unlock", `"dry":false`), status: `[{"number":"0"`, expert: true},
		"unlock, not said":          {body: ch("unlock", `"dry":false`), status: `[{"number":0}]`, expert: true},
		"unlock, no such channel":   {body: ch("unlock", `"dry":false`), status: `[{"number":1,"locked":0}]`, expert: true},
		"unlock all, no status":     {body: `{"op":"unlock","channel":"all"}`, locks: locks("ann"), expert: true},
		"unlock all, not locked":    {body: `{"op":"unlock","channel":"all"}`, status: `[{"number":0,"locked":0},{"number":1,"locked":0}]`},
		"unlock, own":               {body: ch("unlock", `"dry":false`), locks: locks("ann", "bob")},
		"unlock, another's":         {body: ch("unlock", `"dry":false`), locks: locks("bob", "ann"), expert: true},
		"unlock, nobody's":          {body: ch("unlock", `"dry":false`), locks: locks(""), expert: true},
		"unlock, a token's":         {body: ch("unlock", `"dry":false`), locks: locks("token:ann"), expert: true},
		"unlock all, own":           {body: `{"op":"unlock","channel":"all"}`, locks: locks("ann", "ann"), status: `[{"number":0,"locked":1},{"number":1,"locked":1},{"number":2,"locked":0}]`},
		"unlock all, one another's": {body: `{"op":"unlock","channel":"all"}`, locks: locks("ann", "bob"), expert: true},
		"unlock, by whom unknown":   {body: ch("unlock", `"dry":false`), status: `[{"number":0,"locked":1}]`, expert: true},
		"unlock, another unknown":   {body: ch("unlock", `"dry":false`), status: `[{"number":0,"locked":0},{"number":1,"locked":1}]`},
		"unlock all, one unknown":   {body: `{"op":"unlock","channel":"all"}`, status: `[{"number":0,"locked":0},{"number":1,"locked":1}]`, expert: true},
		"unlock, own, both say it":  {body: ch("unlock", `"dry":false`), locks: locks("ann"), status: `[{"number":0,"locked":1}]`},
		"unlock, a sensor":          {body: ch("unlock", `"dry":false`), status: `{"temperature":21}`, expert: true},
	} {
		for _, role := range accounts.Roles {
			l := newLab(t)
			d := l.live.devices["hv"]
			d.Locks, d.Status = tt.locks, json.RawMessage(tt.status)
			if tt.status == "" {
				d.Status = nil
			}
			l.live.put(d)
			a := l.ask(role, "POST", commands, tt.body)
			may := role.May(accounts.Operator) && (!tt.expert || role.May(accounts.Expert))
			assert.Equal(t, may, a.status == 200, "%s as %s: %s", name, role, a.body)
			assert.Len(t, l.live.sent, map[bool]int{true: 1}[may], name)
			if denied := l.audit.of(auditlog.Denied); role == accounts.Operator && tt.expert {
				p := a.refused(403, "role", "the role expert, and yours is operator")
				assert.Equal(t, "expert", p["role"])
				require.Len(t, denied, 1, name)
				assert.Equal(t, "hv", denied[0].Device)
				assert.Equal(t, "needs the role expert", denied[0].Message)
				assert.NotEmpty(t, denied[0].Op)
			}
		}
	}
}

// What a command has come to, and which answer that is.
func TestOutcomes(t *testing.T) {
	closest := 300.0
	ack := func(phase, code string) *wire.Ack {
		return &wire.Ack{Time: now, Boot: "b", ID: "x", Op: "setv", Channel: wire.One(0), Phase: phase, Code: wire.Code(code)}
	}
	for name, tt := range map[string]struct {
		op                string
		out               live.Outcome
		err               error
		status            int
		slug, phase, want string
	}{
		"done":              {out: live.Outcome{Phase: "done", Code: "OK"}, status: 200},
		"dry":               {out: live.Outcome{Phase: "accepted", Code: "DRY"}, status: 200},
		"accepted":          {out: live.Outcome{Phase: "accepted", Code: "OK", Ack: ack("accepted", "OK")}, status: 202},
		"out of range":      {out: live.Outcome{Phase: "rejected", Code: "OUT_OF_RANGE", Message: "400 V is out of range: allowed are 0 to 300 V", Closest: &closest, Ack: ack("rejected", "OUT_OF_RANGE")}, status: 409, slug: "out-of-range", want: "0 to 300 V. The closest valid value is 300 V."},
		"no valid value":    {out: live.Outcome{Phase: "rejected", Code: "OUT_OF_RANGE", Message: "no value is allowed"}, status: 409, slug: "out-of-range", want: "no value is allowed"},
		"locked":            {out: live.Outcome{Phase: "rejected", Code: "LOCKED", Message: "channel 0 is locked by bob"}, status: 409, slug: "locked", want: "by bob"},
		"without a word":    {out: live.Outcome{Phase: "rejected", Code: "BAD_OP"}, status: 409, slug: "bad-op", want: "hv says: rejected BAD_OP"},
		"superseded":        {out: live.Outcome{Phase: "superseded", Code: "OK", Message: "by setv gw-2"}, status: 409, slug: "superseded", want: "by setv"},
		"failed":            {out: live.Outcome{Phase: "failed", Code: "TIMEOUT", Message: "held by the current limit"}, status: 502, slug: "timeout", want: "held"},
		"unanswered":        {out: live.Outcome{Phase: "unanswered"}, status: 504, slug: "unanswered", want: "what became of the command is not known"},
		"only sent":         {out: live.Outcome{Phase: "sent"}, status: 504, slug: "unanswered", phase: "unanswered", want: "hv has not answered"},
		"nothing":           {out: live.Outcome{}, status: 504, slug: "unanswered", phase: "unanswered", want: "hv has not answered"},
		"offline":           {err: fmt.Errorf("sending: %w", bus.ErrOffline), status: 503, slug: "offline", want: "no connection"},
		"another error":     {err: errors.New("secret"), status: 500, slug: "internal", want: "its log"},
		"given up in there": {err: context.DeadlineExceeded, status: 500, slug: "internal", want: "its log"},
	} {
		l := newLab(t)
		l.live.do = func(_ string, c wire.Command) (live.Outcome, error) {
			tt.out.ID = c.ID
			return tt.out, tt.err
		}
		a := l.ask(accounts.Operator, "POST", commands, ch("setv", `"value":400`))
		assert.Equal(t, tt.status, a.status, "%s: %s", name, a.body)
		id := l.audit.of(auditlog.Command)[0].ID
		if tt.status < 400 {
			var out live.Outcome
			a.into(&out)
			assert.Equal(t, tt.out.Phase, out.Phase, name)
			assert.Equal(t, id, out.ID, name)
			assert.Empty(t, l.audit.of(auditlog.Silence), name)
			continue
		}
		p := a.refused(tt.status, tt.slug, tt.want)
		if tt.err == nil {
			if tt.phase == "" {
				tt.phase = tt.out.Phase
			}
			assert.Equal(t, tt.phase, p["phase"], name)
			assert.Equal(t, tt.out.Code, p["code"], name)
			assert.Equal(t, id, p["id"], name)
			assert.Equal(t, tt.out.Ack != nil, p["ack"] != nil, name)
			if tt.out.Closest != nil {
				assert.InDelta(t, 300.0, p["closest"], 0, name)
			} else {
				assert.Contains(t, p, "closest", name)
			}
		}
		silent := tt.err != nil || tt.slug == "unanswered"
		require.Equal(t, silent, len(l.audit.of(auditlog.Silence)) == 1, name)
		if silent {
			e := l.audit.of(auditlog.Silence)[0]
			assert.Equal(t, []any{id, "hv", "setv", "unanswered", "ann", true}, []any{e.ID, e.Device, e.Op, e.Phase, e.User, e.Verified}, name)
		}
		assert.NotContains(t, string(a.body), "secret")
	}
}

// A device that is lost says so in the answer.
func TestUnansweredByLost(t *testing.T) {
	l := newLab(t)
	l.live.do = func(string, wire.Command) (live.Outcome, error) { return live.Outcome{Phase: "unanswered"}, nil }
	l.ask(accounts.Operator, "POST", "/api/v1/devices/lv/commands", ch("clear", `"dry":false`)).refused(504, "unanswered", "Its state is lost (gone).")
}

// Without the audit log nothing is commanded, but what makes things safe.
func TestAuditLogAway(t *testing.T) {
	for body, goes := range map[string]bool{
		ch("setv", `"value":1`):                         false,
		ch("switch", `"value":"on"`):                    false,
		ch("clear", `"dry":false`):                      false,
		ch("switch", `"value":"off"`):                   true,
		`{"op":"switch","channel":"all","value":"off"}`: true,
	} {
		l := newLab(t)
		l.audit.refuse = errors.New("the disk is full")
		a := l.ask(accounts.Operator, "POST", commands, body)
		if goes {
			assert.Equal(t, 200, a.status, body)
			assert.Len(t, l.live.sent, 1)
			assert.Contains(t, l.log.String(), "SENT WITHOUT THE AUDIT LOG")
			assert.Contains(t, l.log.String(), "ann")
			continue
		}
		a.refused(503, "audit", "Nothing was sent")
		assert.Empty(t, l.live.sent, body)
	}
}

// Nor is an off held up by an audit log that hangs.
func TestAuditLogStuck(t *testing.T) {
	_, err := loaded()
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.handler = api.New(l.cfg)
		l.audit.stuck = make(chan struct{})
		begin := time.Now()
		assert.Equal(t, 200, l.ask(accounts.Operator, "POST", commands, ch("switch", `"value":"off"`)).status)
		assert.Equal(t, 300*time.Millisecond, time.Since(begin))
		assert.Contains(t, l.log.String(), "SENT WITHOUT THE AUDIT LOG")
		close(l.audit.stuck)
		synctest.Wait()
		assert.Len(t, l.audit.of(auditlog.Command), 1, "it comes late")
	})
}

// What comes late is not called missing, unless it does not come.
func TestAuditLogLate(t *testing.T) {
	_, err := loaded()
	require.NoError(t, err)
	for _, refuse := range []error{nil, errors.New("the disk is full")} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			metrics := prometheus.NewRegistry()
			l.cfg.Metrics = metrics
			l.handler = api.New(l.cfg)
			l.live.do = func(string, wire.Command) (live.Outcome, error) { return live.Outcome{Phase: "unanswered"}, nil }
			l.audit.stuck = make(chan struct{})
			l.ask(accounts.Operator, "POST", commands, ch("switch", `"value":"off"`)).problem(504, "unanswered")
			assert.Contains(t, l.log.String(), "the audit log is slow")
			assert.NotContains(t, l.log.String(), "NOT IN THE AUDIT LOG")
			l.audit.refusing(refuse)
			close(l.audit.stuck)
			synctest.Wait()
			if refuse == nil {
				assert.Len(t, l.audit.of(auditlog.Silence), 1)
				assert.NotContains(t, l.log.String(), "NOT IN THE AUDIT LOG")
				assert.NotContains(t, counted(t, metrics), "dcs_gateway_audit_missed_total silence")
				return
			}
			assert.Contains(t, l.log.String(), "NOT IN THE AUDIT LOG")
			assert.InDelta(t, 1, counted(t, metrics)["dcs_gateway_audit_missed_total silence"], 0)
		})
	}
}

// Who goes away after a command was audited has sent it.
func TestAskerGone(t *testing.T) {
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.send(accounts.Operator, l.request("POST", commands, ch("setv", `"value":1`)).WithContext(ctx))
	assert.Len(t, l.live.sent, 1)
}

func TestCommandOutcome(t *testing.T) {
	l := newLab(t)
	l.live.outcome["gw-1"] = live.Outcome{ID: "gw-1", Phase: "done", Code: "OK"}
	var out live.Outcome
	l.ask(accounts.Viewer, "GET", "/api/v1/commands/gw-1", "").into(&out)
	assert.Equal(t, "done", out.Phase)
	l.ask(accounts.Viewer, "GET", "/api/v1/commands/gw-2", "").refused(404, "no-such-command", "gw-2")
}

func TestDevices(t *testing.T) {
	l := newLab(t)
	var snap live.Snapshot
	l.ask(accounts.Viewer, "GET", "/api/v1/devices", "").into(&snap)
	assert.Len(t, snap.Devices, 3)
	var d live.Device
	l.ask(accounts.Viewer, "GET", "/api/v1/devices/hv", "").into(&d)
	assert.Equal(t, "hv", d.Name)
}

// Who tries again and again what they may not does not fill the audit log: the
// rest is counted.
func TestDeniedIsRationed(t *testing.T) {
	_, err := loaded()
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		for range 1000 {
			l.ask(accounts.Operator, "POST", commands, ch("seti", `"value":1`)).problem(403, "role")
		}
		denied := l.audit.of(auditlog.Denied)
		assert.Less(t, len(denied), 50)
		time.Sleep(time.Minute)
		synctest.Wait()
		all := l.audit.of(auditlog.Denied)
		require.Len(t, all, len(denied)+1)
		assert.Equal(t, auditlog.Entry{
			Kind: "denied", User: "ann", Role: "operator", Verified: true, Via: "session", Address: "192.0.2.1",
			Value: 1000 - len(denied), Message: fmt.Sprintf("%d more refused requests", 1000-len(denied)),
		}, all[len(denied)])
	})
}
