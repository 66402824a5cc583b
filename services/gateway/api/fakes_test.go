package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/history"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/live"
)

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
	mu     sync.Mutex
	asked  []history.SeriesQuery
	series history.Series
	err    error
}

func (h *fakeHistory) Series(_ context.Context, q history.SeriesQuery) (history.Series, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, q)
	return h.series, h.err
}

type fakeRuns struct {
	mu    sync.Mutex
	asked []runs.Filter
	found []runs.Run
	files []runs.File
	names []runs.NamedConfiguration
	open  func() io.ReadCloser
	err   error
}

func (f *fakeRuns) List(_ context.Context, filter runs.Filter) ([]runs.Run, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
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

// refusing changes what Append says.
func (a *fakeAudit) refusing(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse = err
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
