package api

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	missed *prometheus.CounterVec
	values *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		missed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dcs_gateway_audit_missed_total", Help: "What happened though the audit log did not take its entry, or was not waited for, by the entry's kind.",
		}, []string{"kind"}),
		values: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dcs_gateway_ingest_values_total", Help: "Values from outside: published, or lost, since the broker did not take them.",
		}, []string{"outcome"}),
	}
	m.values.WithLabelValues("published")
	m.values.WithLabelValues("lost")
	if r != nil {
		r.MustRegister(m.missed, m.values)
	}
	return m
}
