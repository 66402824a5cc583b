package health

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func get(t *testing.T, h http.Handler, path string) (int, string, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String(), w.Header()
}

func TestHandler(t *testing.T) {
	var h Health
	pages := Handler(&h, new(Figures))
	for _, step := range []struct {
		do            func()
		healthz, said string
		ready         int
	}{
		{func() {}, "ok\n", "not ready: \n", 503},
		{func() { h.SetReady(false, "starting") }, "ok\n", "not ready: starting\n", 503},
		{func() { h.SetReady(true, "") }, "ok\n", "ok\n", 200},
		{func() { h.SetOffline(true) }, "ok\n", "not ready: no connection to the broker\n", 503},
		{func() { h.SetSick("the store is corrupt") }, "the store is corrupt\n", "the store is corrupt\n", 503},
		{func() { h.SetSick(""); h.SetOffline(false) }, "ok\n", "ok\n", 200},
	} {
		step.do()
		_, healthz, _ := get(t, pages, "/healthz")
		code, readyz, _ := get(t, pages, "/readyz")
		assert.Equal(t, step.healthz, healthz)
		assert.Equal(t, step.said, readyz)
		assert.Equal(t, step.ready, code)
	}
	code, _, _ := get(t, pages, "/metrics")
	assert.Equal(t, 200, code)
}

// TestFiguresReadAsPrometheusWritesThem: the text is that of Prometheus' library, byte by byte.
func TestFiguresReadAsPrometheusWritesThem(t *testing.T) {
	const help = "Two lines\nand a \\ \"quoted\"."
	var ours Figures
	theirs := prometheus.NewRegistry()
	gauge, counter := ours.Gauge("dcs_b", help), ours.Counter("dcs_a_total", help)
	theirGauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "dcs_b", Help: help})
	theirCounter := prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_a_total", Help: help})
	theirs.MustRegister(theirGauge, theirCounter)
	for _, v := range []float64{0, 1, -2.5, 42e6, 1700000000, 1.7e21, 1e-9} {
		gauge.Set(v)
		theirGauge.Set(v)
		counter.Inc()
		theirCounter.Inc()
		_, got, header := get(t, &ours, "/metrics")
		_, want, theirHeader := get(t, promhttp.HandlerFor(theirs, promhttp.HandlerOpts{}), "/metrics")
		assert.Equal(t, want, got)
		assert.True(t, strings.HasPrefix(theirHeader.Get("Content-Type"), header.Get("Content-Type")), theirHeader)
	}
	assert.InDelta(t, 7, counter.Value(), 0)
	assert.Panics(t, func() { ours.Gauge("dcs_b", "") })
}

func TestProcess(t *testing.T) {
	var f Figures
	f.AddProcess()
	_, text, _ := get(t, &f, "/metrics")
	for _, name := range []string{"go_goroutines", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"} {
		assert.Contains(t, text, "\n"+name+" ")

	}
	assert.Zero(t, field("1 2", 2))
	assert.InDelta(t, 2, field("1 2", 1), 0)
}

func TestServeAndCheck(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	var h Health
	err = Serve(t.Context(), taken.Addr().String(), Handler(&h, new(Figures)), slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "choose another port")

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	serves := make(address, 1)
	go func() { ended <- Serve(ctx, "127.0.0.1:0", Handler(&h, new(Figures)), slog.New(serves)) }()
	addr := <-serves
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		said, err := Check(ctx, addr)
		assert.NoError(c, err)
		assert.Equal(c, "ok", said)
	}, time.Minute, 10*time.Millisecond)
	h.SetSick("the store is corrupt")
	_, err = Check(ctx, addr)
	require.ErrorContains(t, err, "the store is corrupt")
	cancel()
	require.NoError(t, <-ended)
	_, err = Check(t.Context(), addr)
	require.Error(t, err, "nobody there")
}

// address is a log that takes from it where is served.
type address chan string

func (address) Enabled(context.Context, slog.Level) bool { return true }
func (a address) WithAttrs([]slog.Attr) slog.Handler     { return a }
func (a address) WithGroup(string) slog.Handler          { return a }

func (a address) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "address" {
			a <- attr.Value.String()
		}
		return true
	})
	return nil
}

func TestDialable(t *testing.T) {
	for addr, want := range map[string]string{":80": "127.0.0.1:80", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "127.0.0.1:80", "10.0.0.1:80": "10.0.0.1:80"} {
		assert.Equal(t, want, dialable(addr))
	}
}
