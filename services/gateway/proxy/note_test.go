package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/ration"
)

// paper is an audit log.
type paper struct {
	mu      sync.Mutex
	entries []auditlog.Entry
}

func (p *paper) append(_ context.Context, e auditlog.Entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries = append(p.entries, e)
	return nil
}

// take gives what has been written since.
func (p *paper) take() []auditlog.Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.entries
	p.entries = nil
	return got
}

func TestChangesAreNoted(t *testing.T) {
	var log paper
	var noted []auditlog.Entry // when the part was asked
	s := newStand(t, func(http.ResponseWriter, *http.Request) { noted = log.take() })
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url(), Audit: log.append})
	g.as(accounts.Expert, door.BySession)
	for _, c := range []struct{ method, path, op string }{
		{"POST", "/nodered/flows", "POST"},
		{"PUT", "/nodered/flow/1", "PUT"},
		{"DELETE", "/nodered/flow/1", "DELETE"},
		{"POST", "/nodered/nodes", "POST"},
		{"POST", "/nodered/inject/1", "POST"},
		{"POST", "/nodered/zz", "POST"},
		{"PATCH", "/nodered/dashboard/api/v1/dcs-ui/flows", "PATCH"},
		{"POST", "/nodered/dashboard/power", "POST"},
		{"POST", "/nodered/flows/../flows", ""}, // does not come so far
		{"GET", "/nodered/", ""},
		{"HEAD", "/nodered/flows", ""},
		{"GET", "/nodered/dashboard/power", ""},
		{"GET", "/nodered/dashboard/socket.io/?EIO=4&transport=polling", "socket"},
		{"GET", "/nodered/DASHBOARD/socket.io?EIO=4&transport=polling&sid=", "socket"},
		{"GET", "/nodered/dashboard/socket.io/?EIO=4&transport=polling&sid=a", ""},
		{"POST", "/nodered/dashboard/socket.io/?EIO=4&transport=polling&sid=a", ""},
		{"GET", "/nodered/dashboard/socket.io/zz?EIO=4&transport=polling", "socket"}, // socket.io takes that for its own
		{"GET", "/nodered/ui/socket.io/socket.io.js", ""},
		{"POST", "/nodered/dashboard/socket.io/zz", "POST"},
		{"POST", "/nodered/ui/socket.io/?EIO=4&transport=polling&sid=a", ""},

		{"GET", "/grafana/d/x", ""},
		{"POST", "/grafana/api/dashboards/db", "POST"},
		{"DELETE", "/grafana/api/ds/query", "DELETE"},
		{"POST", "/grafana/api/annotations", "POST"},
		{"POST", "/grafana/api/ds/query?ds_type=influxdb", ""},
		{"POST", "/grafana/apis/query.grafana.app/v0alpha1/namespaces/default/query", ""},
	} {
		noted = nil
		g.do(t, c.method, c.path, script)
		if c.op == "" {
			assert.Empty(t, noted, "%s %s", c.method, c.path)
			log.take()
			continue
		}
		device, _, _ := strings.Cut(c.path[1:], "/")
		path, _, _ := strings.Cut(c.path, "?")
		assert.Equal(t, []auditlog.Entry{{
			Kind: auditlog.Proxy, User: "ada", Role: "expert", Verified: true, Via: "session", Address: "192.0.2.1", Device: device, Op: c.op, Message: path,
		}}, noted, "%s %s, before it is done", c.method, c.path)
		assert.Empty(t, log.take())
	}
	g.do(t, "POST", "/nodered/"+strings.Repeat("x", 300), script)
	require.Len(t, noted, 1)
	assert.Len(t, noted[0].Message, 128)
}

func TestDashboardSocketsAreNoted(t *testing.T) {
	var log paper
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url(), Audit: log.append})
	g.as(accounts.Operator, door.ByToken)
	for path, want := range map[string]int{
		"/nodered/dashboard/socket.io/?EIO=4&transport=websocket":       1,
		"/nodered/ui/socket.io/?EIO=4&transport=websocket":              1,
		"/nodered/dashboard/socket.io/?EIO=4&transport=websocket&sid=a": 0, // it was opened before
		"/grafana/api/live/ws": 0,
	} {
		_, socket := g.upgrade(t, http.MethodGet, path, nil)
		require.NotNil(t, socket)
		socket.Close()
		entries := log.take()
		require.Len(t, entries, want, path)
		for _, e := range entries {
			path, _, _ := strings.Cut(path, "?")
			assert.Equal(t, auditlog.Entry{
				Kind: auditlog.Proxy, User: "token:ada", Role: "operator", Verified: true, Via: "token", Address: "192.0.2.1", Device: "nodered", Op: "socket", Message: path,
			}, e)
		}
	}
}

func TestRefusalsAreNoted(t *testing.T) {
	var log paper
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url(), Audit: log.append})
	for _, c := range []struct {
		role         accounts.Role
		method, path string
		h            http.Header
		code         string // empty: not noted
	}{
		{accounts.Viewer, "GET", "/nodered/dashboard/", script, "forbidden"},
		{accounts.Operator, "POST", "/nodered/flows", script, "forbidden"},
		{accounts.Operator, "GET", "/nodered/dashboard/%2fflows", script, "bad-address"},
		{accounts.Viewer, "POST", "/grafana/api/datasources/proxy/1/query", script, "forbidden"},
		{accounts.Expert, "POST", "/nodered/flows", header("Origin", "https://evil.example"), "cross-origin"},
		{nobody, "POST", "/nodered/flows", script, ""}, // that is the door's
		{accounts.Viewer, "GET", "/grafana/", script, ""},
	} {
		g.as(c.role, door.BySession)
		g.do(t, c.method, c.path, c.h)
		entries := log.take()
		if c.code == "" {
			assert.Empty(t, entries, c.path)
			continue
		}
		device, _, _ := strings.Cut(c.path[1:], "/")
		assert.Equal(t, []auditlog.Entry{{
			Kind: auditlog.Denied, User: "ada", Role: string(c.role), Verified: true, Via: "session", Address: "192.0.2.1", Device: device, Op: c.method, Code: c.code, Message: c.path,
		}}, entries)
	}
}

// Nobody fills the log, and nobody hides what he does behind what he is refused,
// or behind others.
func TestNotesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log paper
		n := newNotes(Config{Audit: log.append, Log: slog.New(slog.DiscardHandler)})
		ada := doer{"nodered", door.Who{Name: "ada", Role: accounts.Expert, Via: door.BySession, Address: "192.0.2.1"}}
		for range 1000 {
			n.add(t.Context(), refusals, ada, "POST", "/nodered/x", "forbidden")
			n.add(t.Context(), changes, ada, "POST", "/nodered/zz", "")
		}
		n.add(t.Context(), deploys, ada, "POST", "/nodered/flows", "")
		entries := log.take()
		require.Len(t, entries, 2*noteEach.Burst+1)
		assert.Equal(t, "/nodered/flows", entries[len(entries)-1].Message)
		time.Sleep(ration.Interval)
		synctest.Wait()
		sums := map[string]string{}
		for _, e := range log.take() {
			sums[e.Kind] = e.User + ": " + e.Message
		}
		assert.Equal(t, map[string]string{"denied": "ada: 970 more refusals of this person", "proxy": "ada: 970 more changes of this person"}, sums)

		for i := range 5000 {
			bob := ada
			bob.who.Address = "198.51.100." + string(rune('a'+i%26)) + strings.Repeat("x", i/26)
			n.add(t.Context(), refusals, bob, "POST", "/nodered/x", "forbidden")
		}
		assert.LessOrEqual(t, len(log.take()), noteAll.Burst)
		n.close()
		assert.Len(t, log.take(), ration.Reported+1, "what was counted comes at the end")
		n.close()
		assert.Empty(t, log.take())
	})
}

func TestADiskThatHangsStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text book
		let := make(chan struct{})
		n := newNotes(Config{Log: slog.New(slog.NewTextHandler(&text, nil)), Audit: func(context.Context, auditlog.Entry) error {
			<-let // as a disk, it does not ask who waits
			return nil
		}})
		ada := doer{"nodered", door.Who{Name: "ada", Role: accounts.Expert}}
		begin := time.Now()
		n.add(t.Context(), deploys, ada, "POST", "/nodered/flows", "")
		assert.Equal(t, noteTime, time.Since(begin))
		assert.Contains(t, text.String(), "not in the audit log")
		assert.Contains(t, text.String(), "message=/nodered/flows")
		for range noteEach.Burst {
			n.add(t.Context(), deploys, ada, "POST", "/nodered/flows", "")
		}
		assert.Len(t, n.waiting, noteWait)
		begin = time.Now()
		n.add(t.Context(), changes, ada, "POST", "/nodered/zz", "")
		assert.Zero(t, time.Since(begin), "not even a moment, when others wait")
		assert.Contains(t, text.String(), "message=/nodered/zz")
		close(let)
		synctest.Wait()
		assert.Empty(t, n.waiting)
		n.close()
	})
}

func TestADiskThatRefusesStopsNobody(t *testing.T) {
	s := newStand(t, nil)
	var text book
	g := newGate(t, Config{NodeRED: s.url(), Log: slog.New(slog.NewTextHandler(&text, nil)), Audit: func(context.Context, auditlog.Entry) error { return errors.New("no space left") }})
	g.as(accounts.Expert, door.BySession)
	res, _ := g.do(t, http.MethodPost, "/nodered/flows", script)
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Contains(t, text.String(), "no space left")
}
