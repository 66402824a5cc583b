package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/history"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/api"
	"trackerdcs/services/gateway/api/apitest"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/live"
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
	handler http.Handler
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
		Links: func(door.Who) map[string]string { return map[string]string{} },
		Log:   slog.New(slog.NewTextHandler(l.log, nil)), Now: func() time.Time { return now },
	}
	l.handler = api.New(l.cfg)
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
			problem.Write(w, problem.Problem{Status: http.StatusForbidden, Slug: "forbidden", Detail: "Not you."})
		default:
			who := door.Who{Name: "ann", Role: role, Via: door.BySession, Address: "192.0.2.1"}
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

func (fakeDoor) Login(func(door.Who) map[string]string) http.Handler { return says(200, me) }
func (fakeDoor) Logout() http.Handler                                { return says(204, "") }
func (fakeDoor) Me(func(door.Who) map[string]string) http.Handler    { return says(200, me) }
func (fakeDoor) Password() http.Handler                              { return says(204, "") }

// sent is a command that went out.
type sent struct {
	device  string
	command wire.Command
	run     wire.RunCommand
	audited int // entries that were in the audit log before
}

// fakeLive knows two supplies and a sensor, and answers commands as told.
type fakeLive struct {
	mu      sync.Mutex
	devices map[string]live.Device
	order   []string
	sent    []sent
	audit   *fakeAudit
	do      func(device string, c wire.Command) (live.Outcome, error)
	doRun   func(c wire.RunCommand) (live.Outcome, error)
	outcome map[string]live.Outcome
}

func newFakeLive() *fakeLive {
	psu := &wire.Meta{
		Kind: wire.KindPSU, Model: "HMP4040", Driver: "psu", Period: 1, Fields: map[string]wire.MetaField{"vmon": {Unit: "V"}},
		Commands: map[string]wire.MetaOp{"setv": {Unit: "V"}, "seti": {Unit: "A"}},
	}
	ready := &wire.State{State: wire.Ready, Boot: "b"}
	l := &fakeLive{devices: make(map[string]live.Device), outcome: make(map[string]live.Outcome)}
	for _, d := range []live.Device{
		{Name: "dht", Meta: &wire.Meta{Kind: wire.KindSensor, Model: "DHT22", Driver: "sensor", Period: 2, Fields: map[string]wire.MetaField{}}, State: ready},
		{Name: "hv", Meta: psu, State: ready, Status: json.RawMessage(`[{"number":0,"on":1}]`)},
		{Name: "lv", Meta: psu, State: &wire.State{State: wire.Lost, Boot: "b", Error: "gone"}},
	} {
		l.put(d)
	}
	return l
}

func (l *fakeLive) put(d live.Device) {
	if d.Locks == nil {
		d.Locks = map[string]wire.LockTag{}
	}
	d.Freshness = live.Fresh
	if _, has := l.devices[d.Name]; !has {
		l.order = append(l.order, d.Name)
	}
	l.devices[d.Name] = d
}

func (l *fakeLive) Snapshot() live.Snapshot {
	s := live.Snapshot{Now: now.UnixMilli(), Bus: live.Bus{Connected: true, Alive: true, Since: now}, Devices: []live.Device{}, Services: []live.Service{}, Sensors: []live.Reading{}, Acks: []live.AckOf{}}
	for _, name := range l.order {
		s.Devices = append(s.Devices, l.devices[name])
	}
	return s
}

func (l *fakeLive) Device(name string) (live.Device, bool) {
	d, ok := l.devices[name]
	return d, ok
}

func (l *fakeLive) note(s sent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, s)
}

func (l *fakeLive) Do(ctx context.Context, device string, c wire.Command) (live.Outcome, error) {
	if ctx.Err() != nil {
		return live.Outcome{}, ctx.Err()
	}
	l.note(sent{device: device, command: c, audited: l.audit.len()})
	if l.do != nil {
		return l.do(device, c)
	}
	return done(c.ID), nil
}

func (l *fakeLive) DoRun(_ context.Context, c wire.RunCommand) (live.Outcome, error) {
	l.note(sent{device: "run", run: c, audited: l.audit.len()})
	if l.doRun != nil {
		return l.doRun(c)
	}
	return live.Outcome{ID: c.ID, Phase: wire.Accepted, Code: "OK", Run: 42}, nil
}

func done(id string) live.Outcome { return live.Outcome{ID: id, Phase: wire.Done, Code: "OK"} }

func (l *fakeLive) Outcome(id string) (live.Outcome, bool) {
	o, ok := l.outcome[id]
	return o, ok
}

func (l *fakeLive) ServeStream(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = w.Write([]byte("event: tick\n\n"))
	w.(http.Flusher).Flush()
}

type fakeHistory struct {
	asked  []history.SeriesQuery
	series history.Series
	err    error
}

func (h *fakeHistory) Series(_ context.Context, q history.SeriesQuery) (history.Series, error) {
	h.asked = append(h.asked, q)
	return h.series, h.err
}

type fakeRuns struct {
	asked []runs.Filter
	found []runs.Run
	files []runs.File
	names []runs.NamedConfiguration
	open  func() io.ReadCloser
	err   error
}

func (f *fakeRuns) List(_ context.Context, filter runs.Filter) ([]runs.Run, error) {
	f.asked = append(f.asked, filter)
	return f.found, f.err
}

func (f *fakeRuns) Get(_ context.Context, number int64) (runs.Run, error) {
	for _, r := range f.found {
		if r.Number == number {
			return r, f.err
		}
	}
	return runs.Run{}, errors.Join(runs.ErrNotFound, f.err)
}

func (f *fakeRuns) Files(context.Context, int64) ([]runs.File, error) { return f.files, f.err }

func (f *fakeRuns) OpenFile(_ context.Context, _ int64, name string) (io.ReadCloser, runs.File, error) {
	for _, file := range f.files {
		if file.Name == name {
			return f.open(), file, f.err
		}
	}
	return nil, runs.File{}, errors.Join(runs.ErrNotFound, f.err)
}

func (f *fakeRuns) Configurations(context.Context) ([]runs.NamedConfiguration, error) {
	return f.names, f.err
}

// fakeAudit keeps entries.
type fakeAudit struct {
	mu      sync.Mutex
	entries []auditlog.Entry
	refuse  error         // what Append says
	stuck   chan struct{} // until it is closed Append does not return
	asked   []auditlog.Filter
	list    []auditlog.Entry
	next    int64
	err     error
}

func (a *fakeAudit) Append(_ context.Context, e auditlog.Entry) error {
	if a.stuck != nil {
		<-a.stuck
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuse == nil {
		a.entries = append(a.entries, e)
	}
	return a.refuse
}

func (a *fakeAudit) List(_ context.Context, f auditlog.Filter) ([]auditlog.Entry, int64, error) {
	a.asked = append(a.asked, f)
	return a.list, a.next, a.err
}

func (a *fakeAudit) len() int {
	if a == nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.entries)
}

// of are the entries of a kind.
func (a *fakeAudit) of(kind string) []auditlog.Entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []auditlog.Entry
	for _, e := range a.entries {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// lockedBuffer is a log that several write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
