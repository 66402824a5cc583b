package live

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// fakeMember is a member of a bus that the test plays.
type fakeMember struct {
	mu        sync.Mutex
	handler   bus.Handler
	filters   []string
	onConnect []func()
	onLost    []func(error)
	standing  bool
	deaf      bool // beats do not come back
	sent      []bus.Message
	held      []string
	answer    func(bus.Message) // to commands
}

func (f *fakeMember) SubscribeAll(filters []string, _ byte, h bus.Handler) {
	f.filters, f.handler = append(f.filters, filters...), h
}
func (f *fakeMember) OnConnect(h func())   { f.onConnect = append(f.onConnect, h) }
func (f *fakeMember) OnLost(h func(error)) { f.onLost = append(f.onLost, h) }

func (f *fakeMember) Send(m bus.Message, done func(error)) {
	f.mu.Lock()
	standing, deaf, answer := f.standing, f.deaf, f.answer
	if standing {
		f.sent = append(f.sent, m)
	}
	f.mu.Unlock()
	switch {
	case !standing:
		if done != nil {
			done(bus.ErrOffline)
		}
		return
	case strings.HasSuffix(m.Topic, "/beat") && !deaf:
		f.handler(m)
	case strings.Contains(m.Topic, "/cmd/") && answer != nil:
		go answer(m)
	}
	if done != nil {
		go done(nil)
	}
}

func (f *fakeMember) Hold(_ time.Duration, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = append(f.held, reason)
}

// reasons are those for which the connection was to be ended.
func (f *fakeMember) reasons() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.held)
}

func (f *fakeMember) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeMember) commands() (out []bus.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.sent {
		if strings.Contains(m.Topic, "/cmd/") {
			out = append(out, m)
		}
	}
	return out
}

// world is a Live on a bus that the test plays, in a bubble of its own time.
type world struct {
	*Live
	t       *testing.T
	bus     *fakeMember
	log     *bytes.Buffer
	metrics *prometheus.Registry
}

// inWorld runs a test in a world whose bus is connected. Goroutines that are left
// over fail the test: the bubble waits for them.
func inWorld(t *testing.T, test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, bus: &fakeMember{}, log: &bytes.Buffer{}, metrics: prometheus.NewRegistry()}
		w.Live = New(Config{Name: "gateway", Boot: "b0071e", Log: textLog(w.log), Metrics: w.metrics})
		w.Attach(w.bus)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = w.Run(ctx) }()
		w.connect()
		test(w)
		cancel()
		synctest.Wait()
	})
}

func (w *world) connect() {
	w.bus.set(func() { w.bus.standing = true })
	for _, f := range w.bus.onConnect {
		f()
	}
	synctest.Wait()
}

func (w *world) lose() {
	w.bus.set(func() { w.bus.standing = false })
	for _, f := range w.bus.onLost {
		f(fmt.Errorf("lost"))
	}
	synctest.Wait()
}

func (w *world) say(topic, payload string)   { w.hand(topic, payload, false) }
func (w *world) leave(topic, payload string) { w.hand(topic, payload, true) }

func (w *world) hand(topic, payload string, retained bool) {
	w.bus.handler(bus.Message{Topic: topic, Payload: []byte(payload), Retained: retained})
	synctest.Wait()
}

// status says a status that is measured now.
func (w *world) status(device string, seq int) {
	w.say("/"+device+"/status", statusAt(time.Now(), "a", seq))
}

func statusAt(at time.Time, boot string, seq int) string {
	return fmt.Sprintf(`[{"number":0,"on":1,"vmon":%d,"time":%q,"seq":%d,"boot":%q}]`, seq, at.UTC().Format(time.RFC3339Nano), seq, boot)
}

func (w *world) ignored(k kind) float64 { return w.metric("messages_ignored_total", string(k)) }

// metric is a metric's value, of one label or else of all.
func (w *world) metric(name string, label ...string) (sum float64) {
	w.t.Helper()
	families, err := w.metrics.Gather()
	require.NoError(w.t, err)
	for _, f := range families {
		if f.GetName() != "dcs_gateway_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			if len(label) == 0 || m.GetLabel()[0].GetValue() == label[0] {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func (w *world) device(name string) Device {
	w.t.Helper()
	d, ok := w.Device(name)
	require.True(w.t, ok, "%s is not known", name)
	return d
}

// page is a reader of the stream.
type page struct {
	*httptest.ResponseRecorder
	t     *testing.T
	mu    sync.Mutex
	stop  context.CancelCauseFunc
	ended chan struct{}
	block chan struct{} // when it is there, writes wait for it, or for the deadline
	until time.Time
	read  int // events that were looked at
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	block, until := p.block, p.until
	p.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-time.After(time.Until(until)):
			return 0, os.ErrDeadlineExceeded
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ResponseRecorder.Write(b)
}

func (p *page) SetWriteDeadline(at time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = at
	return nil
}

func (w *world) open(query string) *page {
	p := w.page()
	w.read(p, query)
	return p
}

func (w *world) page() *page {
	return &page{ResponseRecorder: httptest.NewRecorder(), t: w.t, ended: make(chan struct{})}
}

// read has a page read the stream.
func (w *world) read(p *page, query string) {
	ctx, stop := context.WithCancelCause(w.t.Context())
	p.stop = stop
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/stream"+query, nil)
	go func() {
		defer close(p.ended)
		w.ServeStream(p, r)
	}()
	settle()
}

// settle lets what has gathered go out.
func settle() {
	synctest.Wait()
	time.Sleep(gather + time.Millisecond)
	synctest.Wait()
}

func (p *page) close() { p.leave(context.Canceled) }

func (p *page) leave(cause error) {
	p.stop(cause)
	<-p.ended
}

// heard is an event.
type heard struct{ name, data string }

// all are all events so far, but for ticks.
func (p *page) all() (out []heard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range parseEvents(p.t, p.Body.String()) {
		if e.name != EventTick {
			out = append(out, e)
		}
	}
	return out
}

// news are the events since it was last asked, but for ticks.
func (p *page) news() []heard {
	all := p.all()
	out := all[p.read:]
	p.read = len(all)
	return out
}

func names(events []heard) (out []string) {
	for _, e := range events {
		out = append(out, e.name)
	}
	return out
}

// ticks are all ticks so far.
func (p *page) ticks() (out []Tick) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range parseEvents(p.t, p.Body.String()) {
		if e.name == EventTick {
			out = append(out, read[Tick](p.t, e))
		}
	}
	return out
}

func parseEvents(t *testing.T, body string) (out []heard) {
	t.Helper()
	for i, block := range strings.Split(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		if i == 0 {
			require.Equal(t, "retry: 1000", block)
			continue
		}
		name, data, ok := strings.Cut(block, "\n")
		require.True(t, ok && strings.HasPrefix(name, "event: ") && strings.HasPrefix(data, "data: "), "%q", block)
		out = append(out, heard{name[len("event: "):], data[len("data: "):]})
	}
	return out
}

func read[T any](t *testing.T, e heard) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(e.data), &v), "%s", e.data)
	return v
}

func stateOf(state, boot string) string {
	return string(wire.Encode(wire.State{State: state, Boot: boot, Time: time.Now().UTC()}))
}

func textLog(to *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }
