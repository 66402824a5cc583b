package record

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	entries    *prometheus.CounterVec
	failures   prometheus.Counter
	malformed  prometheus.Counter
	duplicates prometheus.Counter
	others     []prometheus.Collector
}

func newMetrics(r *Recorder) *metrics {
	return &metrics{
		entries:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_audit_entries_total", Help: "Entries written to the audit log."}, []string{"kind"}),
		failures:   prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_audit_failures_total", Help: "Attempts to write the audit log that failed."}),
		malformed:  prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_audit_malformed_total", Help: "Messages on the topics of acks that are no acks."}),
		duplicates: prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_audit_duplicates_total", Help: "Acks that the broker sent more than once."}),
		others: []prometheus.Collector{
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dcs_audit_head_seq", Help: "Number of the last entry of the audit log."},
				func() float64 { return float64(r.Head().Seq) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dcs_audit_waiting", Help: "Acks that wait to be written."},
				func() float64 { return float64(r.inbox.waiting()) }),
		},
	}
}

func (m *metrics) register(to prometheus.Registerer) error {
	for _, c := range append([]prometheus.Collector{m.entries, m.failures, m.malformed, m.duplicates}, m.others...) {
		if err := to.Register(c); err != nil {
			return fmt.Errorf("metrics of the audit log: %w", err)
		}
	}
	return nil
}
