package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/runs"
	"trackerdcs/services/gateway/api"
)

// The description and the table of routes say the same, roles included.
func TestRoutesAreDescribed(t *testing.T) {
	l := newLab(t)
	described := make(map[string]string)
	for _, o := range l.spec.Operations() {
		described[o.Method+" "+o.Path] = o.Role
	}
	routed := make(map[string]string)
	for _, r := range api.Routes(l.cfg) {
		routed[r.Method+" "+strings.ReplaceAll(r.Path, "...}", "}")] = r.Least
	}
	assert.Equal(t, described, routed)
}

// examples are a request for each route that is answered well.
var examples = map[string]struct {
	path, body string
	status     int
}{
	"POST /login":                     {"/login", `{"user":"a","password":"b"}`, 200},
	"POST /logout":                    {"/logout", "", 204},
	"GET /me":                         {"/me", "", 200},
	"POST /me/password":               {"/me/password", `{"old":"a","new":"abcdefghijkl"}`, 204},
	"GET /openapi.yaml":               {"/openapi.yaml", "", 200},
	"GET /devices":                    {"/devices", "", 200},
	"GET /devices/{device}":           {"/devices/hv", "", 200},
	"GET /stream":                     {"/stream", "", 200},
	"GET /commands/{id}":              {"/commands/a", "", 200},
	"POST /devices/{device}/commands": {"/devices/hv/commands", `{"op":"setv","channel":0,"value":1}`, 200},
	"POST /off":                       {"/off", "", 200},
	"GET /history":                    {"/history?device=hv&field=vmon&from=-15m", "", 200},
	"GET /runs":                       {"/runs", "", 200},
	"POST /runs":                      {"/runs", `{"procedure":"calibration"}`, 202},
	"GET /runs/{run}":                 {"/runs/1", "", 200},
	"POST /runs/{run}/abort":          {"/runs/1/abort", "", 202},
	"GET /runs/{run}/files":           {"/runs/1/files", "", 200},
	"GET /runs/{run}/files/{name...}": {"/runs/1/files/a/b.csv", "", 200},
	"GET /configurations":             {"/configurations", "", 200},
	"GET /audit":                      {"/audit", "", 200},
	"POST /ingest/{sensor}":           {"/ingest/room", `[1,2]`, 200},
}

// exampleLab has what the examples ask for.
func exampleLab(t *testing.T) *lab {
	l := newLab(t)
	l.runs.found = []runs.Run{{Number: 1, UID: "u", State: "finished", Procedure: "p"}}
	l.runs.files = []runs.File{{ID: "1/a/b.csv", Name: "a/b.csv", Size: 3, SHA256: "s", Read: "csv"}}
	l.runs.open = func() io.ReadCloser { return io.NopCloser(strings.NewReader("a,b")) }
	l.live.outcome["a"] = done("a")
	return l
}

// Who may what, for each route and each role.
func TestRoles(t *testing.T) {
	for _, r := range api.Routes(newLab(t).cfg) {
		name := r.Method + " " + r.Path
		e, ok := examples[name]
		require.True(t, ok, "no example of %s", name)
		for _, role := range append([]accounts.Role{nobody}, accounts.Roles[:]...) {
			l := exampleLab(t)
			a := l.ask(role, r.Method, api.Prefix+e.path, e.body)
			switch {
			case r.Least == "" || role.May(accounts.Role(r.Least)):
				assert.Equal(t, e.status, a.status, "%s as %q: %s", name, role, a.body)
			case role == nobody:
				assert.Equal(t, http.StatusUnauthorized, a.status, "%s as nobody", name)
			default:
				assert.Equal(t, http.StatusForbidden, a.status, "%s as %s", name, role)
			}
			if a.status == http.StatusForbidden || a.status == http.StatusUnauthorized {
				assert.Empty(t, l.live.sent, name)
				assert.Empty(t, l.published, name)
				assert.Empty(t, l.runs.asked, name)
			}
			if r.Method == http.MethodGet && role == accounts.Admin {
				assert.Equal(t, e.status, l.ask(role, http.MethodHead, api.Prefix+e.path, "").status, name)
			}
		}
	}
}

// What is not there is told to those who have come in alone, and as a problem.
func TestNothingThere(t *testing.T) {
	for _, path := range []string{
		"/api", "/api/", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/devices/", "/api/v1//devices", "/api/v1/./devices", "/api/v2/devices",
		"/api/v1/devices/hv/../lv", "/api/v1/devices/hv/commands/1", "/api/v1/commands/", "/api/v1/runs/1/files//x", "/",
	} {
		l := newLab(t)
		assert.Equal(t, 401, l.ask(nobody, "GET", path, "").status, path)
		l.ask(accounts.Viewer, "GET", path, "").problem(404, "no-such-path")
		l.ask(accounts.Viewer, "POST", path, "").problem(404, "no-such-path")
	}
}

func TestWrongMethods(t *testing.T) {
	for _, r := range api.Routes(newLab(t).cfg) {
		l := exampleLab(t)
		path := api.Prefix + examples[r.Method+" "+r.Path].path
		for _, method := range []string{"PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			a := l.ask(accounts.Viewer, method, path, "")
			a.problem(405, "method")
			assert.Contains(t, a.header.Get("Allow"), r.Method, path)
			if r.Least != "" {
				assert.Equal(t, 401, l.ask(nobody, method, path, "").status)
			}
		}
	}
	l := newLab(t)
	assert.Equal(t, "GET, HEAD, POST", l.ask(accounts.Viewer, "DELETE", "/api/v1/runs", "").header.Get("Allow"))
}

// Bodies are JSON and say so; those that may be missing can be.
func TestMediaTypes(t *testing.T) {
	for _, path := range []string{"/devices/hv/commands", "/off", "/runs", "/runs/1/abort", "/ingest/room"} {
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=latin1", "application/jsonp", ";"} {
			l := newLab(t)
			req := l.request("POST", api.Prefix+path, `{}`)
			req.Header.Set("Content-Type", kind)
			l.send(accounts.Admin, req).problem(415, "media-type")
			assert.Empty(t, l.live.sent)
		}
	}
	l := newLab(t)
	req := l.request("POST", "/api/v1/devices/hv/commands", `{"op":"clear","channel":"all"}`)
	req.Header.Set("Content-Type", "application/json; charset=UTF-8")
	assert.Equal(t, 200, l.send(accounts.Operator, req).status)
}

// What is too long, broken or not UTF-8 is refused before anything happens.
func TestBodies(t *testing.T) {
	long := `{"x":"` + strings.Repeat("x", 70<<10) + `"}`
	for _, path := range []string{"/devices/hv/commands", "/off", "/runs", "/runs/1/abort", "/ingest/room"} {
		for body, want := range map[string]string{
			long: "more than", "{\"\xff\":1}": "not UTF-8", `{`: "too early", `{"x"}`: "not JSON", `{} {}`: "", `null`: "", `"x"`: "", `{"unknown":1}`: "unknown",
			" ": "too early", `{"reason":"a","reason":"b"}`: "",
		} {
			if path == "/ingest/room" && want == "unknown" {
				continue // any name can be a measurement's
			}
			l := newLab(t)
			a := l.ask(accounts.Admin, "POST", api.Prefix+path, body)
			p := a.problem(400, "bad-request")
			assert.Contains(t, p["detail"], want, "%s %.20s", path, body)
			assert.Empty(t, l.live.sent)
			assert.Empty(t, l.published)
			assert.Empty(t, l.audit.of(auditlog.Command))
		}
	}
}

func TestPanic(t *testing.T) {
	l := newLab(t)
	l.cfg.Publish = nil // a mistake in the program
	l.handler = api.New(l.cfg)
	p := l.ask(accounts.Admin, "POST", "/api/v1/ingest/room", `[1]`).problem(500, "internal")
	assert.NotContains(t, p["detail"], "nil")
	assert.NotContains(t, p["detail"], ".go")
	assert.Contains(t, l.log.String(), "a handler has panicked")
	assert.Contains(t, l.log.String(), "ingest.go")
}
