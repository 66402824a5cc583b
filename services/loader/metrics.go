package main

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the loader counts.
type metrics struct {
	messages [kinds]prometheus.Counter
	lines    prometheus.Counter
	batches  prometheus.Counter
	errors   *prometheus.CounterVec
	bad      prometheus.Counter
	refused  prometheus.Counter
	skipped  prometheus.Counter
	delay    prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, q *queue) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_loader_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	m := &metrics{
		lines:   counter("lines_total", "Lines that InfluxDB has taken."),
		batches: counter("batches_total", "Writes that InfluxDB has taken."),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_loader_write_errors_total",
			Help: "Writes that failed, by HTTP status; 0 is no answer."}, []string{"status"}),
		bad:     counter("bad_messages_total", "Messages of which something could not be read. The log has topic and reason."),
		refused: counter("refused_lines_total", "Lines that InfluxDB will never take. The log has topic and reason."),
		skipped: counter("skipped_channels_total", "Channels without seq, which only pad a list."),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "dcs_loader_delay_seconds",
			Help:    "From the time in a live status to its confirmation by InfluxDB.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}}),
	}
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_loader_messages_total",
		Help: "Messages taken from the queue, by what they carry."}, []string{"kind"})
	for k := range kinds {
		m.messages[k] = messages.WithLabelValues(k.String())
	}
	r.MustRegister(m.errors, m.delay, messages, &queueCollector{q})
	return m
}

func (m *metrics) wrote(lines int) {
	if lines > 0 {
		m.batches.Inc()
		m.lines.Add(float64(lines))
	}
}

func (m *metrics) failed(code int) { m.errors.WithLabelValues(strconv.Itoa(code)).Inc() }

// stored counts how long the live statuses of a batch were on their way.
// Replayed ones are old by their nature.
func (m *metrics) stored(b *batch, now time.Time) {
	ns := now.UnixNano()
	for _, o := range b.outcomes {
		if o.kind == status && o.time != 0 {
			m.delay.Observe(max(0, float64(ns-o.time)/1e9))
		}
	}
}

// queueCollector reads the queue's own counters when it is asked.
type queueCollector struct{ q *queue }

var (
	queueMessages = prometheus.NewDesc("dcs_loader_queue_messages", "Messages that wait in memory.", nil, nil)
	queueBytes    = prometheus.NewDesc("dcs_loader_queue_bytes", "Bytes that wait in memory.", nil, nil)
	queueDropped  = prometheus.NewDesc("dcs_loader_dropped_total", "QoS 0 messages that found no room and are lost.", nil, nil)
	queueDeferred = prometheus.NewDesc("dcs_loader_deferred_total", "Messages that found no room and were left to the broker.", nil, nil)
)

func (c *queueCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- queueMessages
	ch <- queueBytes
	ch <- queueDropped
	ch <- queueDeferred
}

func (c *queueCollector) Collect(ch chan<- prometheus.Metric) {
	messages, bytes, dropped, deferred := c.q.fill()
	ch <- prometheus.MustNewConstMetric(queueMessages, prometheus.GaugeValue, float64(messages))
	ch <- prometheus.MustNewConstMetric(queueBytes, prometheus.GaugeValue, float64(bytes))
	ch <- prometheus.MustNewConstMetric(queueDropped, prometheus.CounterValue, float64(dropped))
	ch <- prometheus.MustNewConstMetric(queueDeferred, prometheus.CounterValue, float64(deferred))
}
