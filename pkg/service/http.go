package service

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"trackerdcs/pkg/health"
)

// Health collects what stands between a program and being ready or healthy.
type Health = health.Health

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

func (e *Env) serveHTTP(ctx context.Context, addr string) error {
	metrics := promhttp.HandlerFor(e.Metrics, promhttp.HandlerOpts{})
	return health.Serve(ctx, addr, health.Handler(e.Health, metrics), e.Log)
}
