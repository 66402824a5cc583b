package capsule

import "github.com/prometheus/client_golang/prometheus"

// metrics are what a Recorder counts.
type metrics struct {
	messages   prometheus.Counter
	unreadable prometheus.Counter
	dropped    prometheus.Counter
}

func newMetrics(to *prometheus.Registry, r *Recorder) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_capsule_" + name, Help: help})
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dcs_capsule_" + name, Help: help}, f)
	}
	m := &metrics{
		messages:   counter("messages_total", "Messages of devices that were taken."),
		unreadable: counter("unreadable_total", "Messages of devices that cannot be read."),
		dropped:    counter("dropped_total", "Messages that found no room: lost."),
	}
	if to == nil {
		return m
	}
	to.MustRegister(m.messages, m.unreadable, m.dropped,
		gauge("runs", "Runs that are recorded.", func() float64 { return float64(len(r.Recorded())) }),
		gauge("journal_bytes", "Size of the journal on disk.", func() float64 { return float64(r.journal.Size()) }),
		gauge("queue_messages", "Messages that wait in memory.", func() float64 { n, _, _ := r.queue.fill(); return float64(n) }),
		gauge("queue_bytes", "Bytes that wait in memory.", func() float64 { _, n, _ := r.queue.fill(); return float64(n) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "dcs_capsule_deferred_total", Help: "Messages that found no room and were left to the broker."},
			func() float64 { _, _, n := r.queue.fill(); return float64(n) }))
	return m
}
