package main

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	stored prometheus.Counter
	bytes  prometheus.Counter
}

func newMetrics(s *sink) *metrics {
	m := &metrics{
		stored: prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_runs_stored_total", Help: "Runs whose document is complete."}),
		bytes:  prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_results_stored_bytes_total", Help: "Bytes of results put into the database."}),
	}
	s.env.Metrics.MustRegister(m.stored, m.bytes,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dcs_runs_waiting", Help: "Runs that are not complete in the database."},
			func() float64 { return float64(len(s.shelf.numbers())) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dcs_runs_highest", Help: "The highest number of a run that was heard of."},
			func() float64 {
				highest, _ := s.ledger.kept()
				return float64(highest)
			}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dcs_database_failing", Help: "1 while MongoDB cannot be written."},
			func() float64 {
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.problem != "" {
					return 1
				}
				return 0
			}))
	return m
}
