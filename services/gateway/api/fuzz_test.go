package api_test

import (
	"encoding/json"
	"math"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/wire"
)

// Whatever somebody sends is answered as described, and what is taken is as
// described too: so the description can be believed.
func (l *lab) fuzzed(path string, body []byte) (taken bool) {
	l.t.Helper()
	req := l.request("POST", path, string(body))
	req.Header.Set("Content-Type", "application/json")
	a := l.send(accounts.Admin, req)
	if taken = a.status < 300; !taken {
		require.Contains(l.t, []int{400, 404}, a.status, "%s", a.body)
		if !strings.Contains(string(a.body), `"results"`) { // of an off that was sent to the others
			require.Empty(l.t, l.live.sent)
		}
		require.Empty(l.t, l.published)
		return false
	}
	if len(body) > 0 {
		require.NoError(l.t, l.spec.CheckBody("POST", path, body))
	}
	return true
}

func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		`{"op":"setv","channel":0,"value":100.5,"dry":true}`, `{"op":"switch","channel":"all","value":"off"}`, `{"op":"lock","channel":1,"reason":"ü"}`,
		`{"op":"unlock","channel":1}`, `{"op":"dance","value":"x"}`, `{"op":"setv","channel":0,"value":1e999}`, `{"op":"setv","op":"seti"}`, `{"Op":"setv"}`, `[`, `{"op":"dance","value":-1.5E+3}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l := newLab(t)
		if !l.fuzzed(commands, body) {
			return
		}
		c := l.live.sent[0].command
		topic := wire.Root("lab1").Command("hv", c.Op, c.Channel.String())
		require.NotContains(t, topic, "#")
		require.NotContains(t, topic, "+")
		require.Equal(t, 4, strings.Count(topic, "/"))
		got, err := wire.ParseCommand(c.Op, c.Channel.String(), c.Payload())
		require.NoError(t, err, "%s", c.Payload())
		if c.Echo == "" {
			require.Equal(t, c.Value(), got.Value())
		}
		require.Equal(t, []any{c.Channel, c.Reason, c.Dry, c.ID, "ann"}, []any{got.Channel, got.Reason, got.Dry, got.ID, got.User})
	})
}

func FuzzOff(f *testing.F) {
	for _, s := range []string{``, `{}`, `{"devices":["hv"]}`, `{"devices":["hv","hv","lv"]}`, `{"devices":[]}`, `{"devices":["a/b"]}`, `{"devices":["hv","lvx","a b"]}`, `{"devices":null}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l := newLab(t)
		l.fuzzed("/api/v1/off", body)
		for _, s := range l.live.sent {
			require.NoError(t, wire.CheckDevice(s.device))
			require.Equal(t, "off", s.command.Word)
		}
	})
}

func FuzzStart(f *testing.F) {
	for _, s := range []string{
		`{"procedure":"calibration","device":"ph2acf","parameters":{"module":"M12","vcal":200,"fast":true},"configurations":{"run":"hv-on"},"dry":false}`,
		`{"procedure":"p","parameters":{"a":1e999}}`, `{"procedure":"p","parameters":{"a":"<>\u0000"}}`, `{"procedure":"p","configurations":{"":"x"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l := newLab(t)
		if !l.fuzzed("/api/v1/runs", body) {
			return
		}
		c := l.live.sent[0].run
		got, err := wire.ParseRunCommand(wire.Start, c.Payload())
		require.NoError(t, err, "%s", c.Payload())
		require.JSONEq(t, string(c.Payload()), string(got.Payload()))
		require.Equal(t, c.User, got.User)
	})
}

func FuzzAbort(f *testing.F) {
	for _, s := range []string{``, `{}`, `{"reason":"wrong module"}`, `{"reason":1}`, `{"run":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l := newLab(t)
		if !l.fuzzed("/api/v1/runs/42/abort", body) {
			return
		}
		got, err := wire.ParseRunCommand(wire.Abort, l.live.sent[0].run.Payload())
		require.NoError(t, err)
		require.Equal(t, int64(42), got.Run)
	})
}

func FuzzIngest(f *testing.F) {
	for _, s := range []string{`[1,2.5,-1e-3]`, `{"temperature":21}`, `{"a":1,"a":2}`, `[9.9e37]`, `[null]`, `{"a/b":1}`, `[1,]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l := newLab(t)
		if !l.fuzzed("/api/v1/ingest/room", body) {
			return
		}
		for _, m := range l.published {
			levels, ok := wire.Root("lab1").Cut(m.Topic)
			require.True(t, ok)
			require.Len(t, levels, 3)
			require.NoError(t, wire.CheckName(levels[2]))
			var v struct{ Value *float64 }
			require.NoError(t, json.Unmarshal(m.Payload, &v))
			require.Less(t, math.Abs(*v.Value), wire.Overflow)
		}
	})
}

// What stands in an address never gets to the database unless it is within its bounds.
func FuzzHistory(f *testing.F) {
	for _, s := range []string{
		"device=hv&field=vmon&from=-15m", "device=room&sensor=1&field=t&from=2026-11-20T00:00:00Z&to=-1s&points=2", "device=hv&field=on&channel=0&channel=1&from=-30d", "a=%zz", "from=-999999999w&device=a&field=b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		if _, err := url.ParseRequestURI("/?" + query); err != nil || strings.ContainsAny(query, "# \r\n\t") {
			return // net/http would not let it through
		}
		l := newLab(t)
		a := l.ask(accounts.Viewer, "GET", "/api/v1/history?"+query, "")
		require.Contains(t, []int{200, 400}, a.status)
		for _, q := range l.history.asked {
			require.NoError(t, wire.CheckName(q.Device))
			require.True(t, q.From.Before(q.To))
			require.LessOrEqual(t, len(q.Channels), 64)
			require.True(t, q.Points >= 2 && q.Points <= 5000)
			require.NotContains(t, q.Field, `"`)
		}
	})
}
