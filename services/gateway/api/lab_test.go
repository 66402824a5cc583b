package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/bus"
	"trackerdcs/services/gateway/api"
	"trackerdcs/services/gateway/api/apitest"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/problem"
)

// now is the time of all tests.
var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const nobody accounts.Role = ""

// lab is the API with everything around it made up.
type lab struct {
	t       *testing.T
	spec    *apitest.Spec
	live    *fakeLive
	history *fakeHistory
	runs    *fakeRuns
	audit   *fakeAudit
	log     *lockedBuffer

	mu        sync.Mutex
	published []bus.Message
	publish   func(n int) error // what the broker says to the nth message

	cfg     api.Config
	handler *api.API
}

// loaded is the description, read once for all tests.
var loaded = sync.OnceValues(apitest.Load)

func newLab(t *testing.T) *lab {
	t.Helper()
	spec, err := loaded()
	require.NoError(t, err)
	l := &lab{t: t, spec: spec, live: newFakeLive(), history: &fakeHistory{}, runs: &fakeRuns{}, audit: &fakeAudit{}, log: &lockedBuffer{}}
	l.live.audit = l.audit
	l.cfg = api.Config{
		Live: l.live, History: l.history, Runs: l.runs, Audit: l.audit, Door: fakeDoor{}, Root: "lab1",
		Publish: func(_ context.Context, m bus.Message) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.publish != nil {
				if err := l.publish(len(l.published)); err != nil {
					return err
				}
			}
			l.published = append(l.published, m)
			return nil
		},
		Log: slog.New(slog.NewTextHandler(l.log, nil)), Now: func() time.Time { return now },
	}
	l.handler = api.New(l.cfg)
	l.handler.SetAuditDelay(time.Minute) // what is audited is there when the answer is, however busy the machine
	return l
}

// answer is what came back, checked against the description.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// ask asks as somebody with that role. A body is sent as JSON.
func (l *lab) ask(role accounts.Role, method, path, body string) answer {
	l.t.Helper()
	return l.send(role, l.request(method, path, body))
}

func (l *lab) request(method, path, body string) *http.Request {
	req := httptest.NewRequestWithContext(l.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

func (l *lab) send(role accounts.Role, req *http.Request) answer {
	l.t.Helper()
	if role != nobody {
		req.Header.Set("Role", string(role))
	}
	path := req.URL.RequestURI()
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, req)
	a := answer{l.t, w.Code, w.Header(), w.Body.Bytes()}
	if req.Method == http.MethodHead {
		a.body = nil // net/http leaves it out
	}
	require.NoError(l.t, l.spec.Check(req.Method, path, a.status, a.header, a.body))
	return a
}

// into reads the body.
func (a answer) into(v any) {
	a.t.Helper()
	require.NoError(a.t, json.Unmarshal(a.body, v), "%s", a.body)
}

// problem reads problem details with the type that is wanted.
func (a answer) problem(status int, slug string) map[string]any {
	a.t.Helper()
	var p map[string]any
	a.into(&p)
	require.Equal(a.t, status, a.status, "%s", a.body)
	require.Equal(a.t, "urn:trackerdcs:problem:"+slug, p["type"], "%s", a.body)
	require.NotEmpty(a.t, p["detail"])
	return p
}

// refused reads problem details whose detail has that text in it.
func (a answer) refused(status int, slug, text string) map[string]any {
	a.t.Helper()
	p := a.problem(status, slug)
	require.Contains(a.t, p["detail"], text)
	return p
}

// fakeDoor believes the header Role.
type fakeDoor struct{}

func (fakeDoor) Require(least accounts.Role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		role := accounts.Role(r.Header.Get("Role"))
		switch {
		case role == nobody:
			problem.Write(w, problem.Problem{Status: http.StatusUnauthorized, Slug: "login", Detail: "Log in."})
		case !role.May(least):
			problem.Write(w, problem.Problem{Status: http.StatusForbidden, Slug: "role", Detail: "Not you."})
		default:
			who := door.Who{Name: "ann", Role: role, Via: door.BySession, Address: "192.0.2.1"}
			if name := r.Header.Get("Name"); name != "" {
				who.Name = name
			}
			if r.Header.Get("Token") != "" {
				who.Via = door.ByToken
			}
			next.ServeHTTP(w, r.WithContext(door.With(r.Context(), who)))
		}
	})
}

func says(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if body != "" {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

const me = `{"user":"ann","role":"viewer","via":"session","expires":"2026-11-20T12:00:00Z","idle":60,"links":{}}`

func (fakeDoor) Login() http.Handler    { return says(200, me) }
func (fakeDoor) Logout() http.Handler   { return says(204, "") }
func (fakeDoor) Me() http.Handler       { return says(200, me) }
func (fakeDoor) Password() http.Handler { return says(204, "") }
