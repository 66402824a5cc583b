package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Health collects what stands between a program and being ready or healthy.
// The zero Health is not ready.
type Health struct {
	mu      sync.Mutex
	ready   bool
	reason  string
	offline bool
	sick    string
}

// SetReady says whether the program does its work, and if not, why.
func (h *Health) SetReady(ready bool, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ready, h.reason = ready, reason
}

// setOffline says that the program is on the bus but has no connection.
func (h *Health) setOffline(offline bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.offline = offline
}

// SetSick says that only a restart can help; an empty reason takes it back.
func (h *Health) SetSick(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sick = reason
}

func (h *Health) serve(ready bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h.mu.Lock()
		problem := h.sick
		switch {
		case problem != "" || !ready:
		case h.offline:
			problem = "not ready: no connection to the broker"
		case !h.ready:
			problem = "not ready: " + h.reason
		}
		h.mu.Unlock()
		if problem != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, problem+"\n")
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	}
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Handler answers /healthz, /readyz and /metrics.
func Handler(health *Health, metrics *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", health.serve(false))
	mux.HandleFunc("GET /readyz", health.serve(true))
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}

func (e *Env) serveHTTP(ctx context.Context, addr string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("DCS_HTTP: %w: choose another port or end what holds it", err)
	}
	e.Log.Info("serving health and metrics", "address", l.Addr().String())
	srv := &http.Server{Handler: Handler(e.Health, e.Metrics), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving health: %w", err)
	}
	return nil
}

// dialable turns an address to listen on into one to dial.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || !slices.Contains([]string{"", "0.0.0.0", "::"}, host) {
		return addr
	}
	return net.JoinHostPort("127.0.0.1", port)
}
