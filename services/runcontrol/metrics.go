package main

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/wire"
)

// metrics are what run control counts.
type metrics struct {
	ended       *prometheus.CounterVec
	acks        *prometheus.CounterVec
	number      prometheus.Gauge
	unconfirmed prometheus.Gauge
	dropped     prometheus.Gauge
	since       atomic.Int64 // ns since 1970: when the state of the run was entered
}

func newMetrics(r prometheus.Registerer, mail *mailbox) *metrics {
	m := &metrics{
		ended:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_runs_ended_total", Help: "Runs that have ended, by their last state."}, []string{"state"}),
		acks:        prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_run_acks_total", Help: "Answers to commands about runs."}, []string{"phase", "code"}),
		number:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "dcs_run_number", Help: "The run under way, or else the last."}),
		unconfirmed: prometheus.NewGauge(prometheus.GaugeOpts{Name: "dcs_run_records_unconfirmed", Help: "Records of ended runs that the sink has not confirmed."}),
		dropped:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "dcs_run_records_dropped", Help: "Records of ended runs that found no room while no sink was there: lost."}),
	}
	for _, state := range []string{wire.RunFinished, wire.RunFailed, wire.RunAborted, wire.RunInterrupted} {
		m.ended.WithLabelValues(state)
	}
	r.MustRegister(m.ended, m.acks, m.number, m.unconfirmed, m.dropped,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dcs_run_state_seconds", Help: "For how long the run has been in its state."}, func() float64 {
			since := m.since.Load()
			if since == 0 {
				return 0
			}
			return time.Since(time.Unix(0, since)).Seconds()
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "dcs_run_messages_dropped_total", Help: "Messages that found no room in the mailbox."}, mail.lostCount))
	return m
}

// said takes note of a record that was said.
func (m *metrics) said(r *wire.Run) {
	m.number.Set(float64(r.Run))
	m.since.Store(0)
	if !r.Since.IsZero() {
		m.since.Store(r.Since.UnixNano())
	}
}
