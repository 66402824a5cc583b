package door

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
)

const (
	alicePassword = "seven geese by the lake"
	bobPassword   = "a kettle on the roof"
	patience      = time.Minute // far above what anything here takes
)

// house is a door with something behind it.
type house struct {
	*Door
	dir     string
	store   *accounts.Store
	metrics *prometheus.Registry
	handler http.Handler

	mu      sync.Mutex
	hang    chan struct{} // what the audit log waits for, when there is one
	entries []auditlog.Entry
	failing error // what the audit log says
}

// build makes a house with alice, an operator, and bob, a viewer.
func build(t *testing.T) *house {
	t.Helper()
	h := &house{dir: t.TempDir()}
	var err error
	h.store, err = accounts.Open(h.dir + "/users.json")
	require.NoError(t, err)
	require.NoError(t, h.store.Add(t.Context(), "alice", accounts.Operator, alicePassword))
	require.NoError(t, h.store.Add(t.Context(), "bob", accounts.Viewer, bobPassword))
	h.open(t)
	return h
}

// open opens the door; the last one must have been closed.
func (h *house) open(t *testing.T) {
	t.Helper()
	h.metrics = prometheus.NewRegistry()
	var err error
	h.Door, err = New(Config{
		Accounts: h.store, Dir: h.dir, Idle: 6 * time.Minute, Absolute: time.Hour, Metrics: h.metrics,
		Audit: func(ctx context.Context, e auditlog.Entry) error {
			h.mu.Lock()
			hang := h.hang
			h.mu.Unlock()
			if hang != nil {
				<-hang
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			h.entries = append(h.entries, e)
			return h.failing
		},
		Links: func(w Who) map[string]string { return map[string]string{"grafana": "/grafana/" + w.Name} },
	})
	require.NoError(t, err)
	d := h.Door
	d.patience, d.store.patience = patience, patience // a busy machine is no disk that hangs
	t.Cleanup(func() { _ = d.Close() })
	mux := http.NewServeMux()
	mux.Handle("POST /login", d.Login())
	mux.Handle("POST /logout", d.Logout())
	mux.Handle("GET /me", d.Me())
	mux.Handle("POST /password", d.Password())
	mux.Handle("/viewer", d.Require(accounts.Viewer, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := From(r.Context())
		_, _ = w.Write([]byte(who.Name))
	})))
	mux.Handle("/operator", d.Require(accounts.Operator, http.NotFoundHandler()))
	mux.HandleFunc("/open", func(w http.ResponseWriter, r *http.Request) {
		who, ok := From(r.Context())
		if !ok {
			who.Name = "nobody"
		}
		_, _ = w.Write([]byte(who.Name))
	})
	h.handler = d.Identify(mux)
}

// unwritten is how many uses are not on the disk yet.
func (s *store) unwritten() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.used) + len(s.changed)
}

// audited takes the entries since the last time.
func (h *house) audited() []auditlog.Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entries
	h.entries = nil
	return e
}

// metric is a metric's value; label is that of its only label.
func (h *house) metric(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := h.metrics.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	require.Fail(t, "no metric "+name)
	return 0
}

// request is what a test asks.
type request struct {
	method, path, body string
	cookie, token      string
	address            string
	headers            map[string]string
}

func (q request) http() *http.Request {
	if q.method == "" {
		q.method = http.MethodGet
	}
	r := httptest.NewRequest(q.method, "https://dcs.example"+q.path, strings.NewReader(q.body))
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.cookie != "" {
		r.AddCookie(&http.Cookie{Name: CookieName, Value: q.cookie})
	}
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	if q.address != "" {
		r.RemoteAddr = q.address
	}
	for k, v := range q.headers {
		r.Header.Set(k, v)
	}
	return r
}

// ask asks.
func (h *house) ask(q request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, q.http())
	return w
}

func credentials(name, password string) string {
	b, _ := json.Marshal(map[string]string{"user": name, "password": password})
	return string(b)
}

// cookieOf is the session's cookie in an answer, nil when there is none.
func cookieOf(t *testing.T, w *httptest.ResponseRecorder) *http.Cookie {
	t.Helper()
	var found *http.Cookie
	for _, c := range w.Result().Cookies() {
		if c.Name == CookieName {
			require.Nil(t, found, "one cookie")
			found = c
		}
	}
	return found
}

// login logs in and returns the session's id.
func (h *house) login(t *testing.T, name, password string) string {
	t.Helper()
	w := h.ask(request{method: "POST", path: "/login", body: credentials(name, password)})
	require.Equal(t, 200, w.Code, w.Body)
	c := cookieOf(t, w)
	require.NotNil(t, c)
	return c.Value
}

// nameFor is who a request with this cookie is from.
func (h *house) nameFor(cookie string) string {
	return h.ask(request{path: "/open", cookie: cookie}).Body.String()
}

type problemBody struct {
	Type, Title, Detail string
	Status              int
}

func problemOf(t *testing.T, w *httptest.ResponseRecorder) problemBody {
	t.Helper()
	assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	var p problemBody
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p), w.Body)
	assert.Equal(t, w.Code, p.Status)
	assert.NotEmpty(t, p.Detail)
	return p
}
