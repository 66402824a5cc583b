package main

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/spool"
)

// metrics are what the loader counts.
type metrics struct {
	messages    [kinds]prometheus.Counter
	lines       *tally
	batches     prometheus.Counter
	errors      *prometheus.CounterVec
	bad         *tally
	refused     *tally
	skipped     prometheus.Counter
	delay       prometheus.Histogram
	sync        prometheus.Histogram
	spoolErrors prometheus.Counter
	damaged     prometheus.Counter
	torn        prometheus.Counter
	dead        *tally
	deadLost    prometheus.Counter
	pending     prometheus.Gauge
	ranges      prometheus.Gauge

	delays delays // as delay, but of the time since the loader last wrote its figures
}

// tally is a counter that can be asked for its value.
type tally struct {
	prometheus.Counter
	n atomic.Uint64
}

func (t *tally) Inc() { t.Add(1) }

func (t *tally) Add(v float64) {
	t.Counter.Add(v)
	t.n.Add(uint64(v))
}

func (t *tally) total() uint64 { return t.n.Load() }

func newMetrics(r prometheus.Registerer, q *queue, l *ledger, s *spool.Spool) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_loader_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	told := func(name, help string) *tally { return &tally{Counter: counter(name, help)} }
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "dcs_loader_" + name, Help: help})
		r.MustRegister(g)
		return g
	}
	m := &metrics{
		lines:   told("lines_total", "Lines that InfluxDB has taken."),
		batches: counter("batches_total", "Writes that InfluxDB has taken."),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_loader_write_errors_total",
			Help: "Writes that failed, by HTTP status; 0 is no answer."}, []string{"status"}),
		bad:     told("bad_messages_total", "Messages of which something could not be read. The dead-letter file has them."),
		refused: told("refused_lines_total", "Lines that InfluxDB will never take. The dead-letter file has them."),
		skipped: counter("skipped_channels_total", "Channels without seq, which only pad a list."),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "dcs_loader_delay_seconds",
			Help:    "From the time in a live status to its confirmation by InfluxDB.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}}),
		sync: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "dcs_loader_spool_sync_seconds",
			Help:    "What one group of messages took to be on disk.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}}),
		spoolErrors: counter("spool_errors_total", "Attempts to write to the spool that failed. Nothing is acknowledged meanwhile."),
		damaged:     counter("spool_damaged_bytes_total", "Bytes of the spool that are not what was written; what is left of them is in the dead-letter file."),
		torn:        counter("spool_torn_bytes_total", "Bytes of writes to the spool that were cut off. The broker has sent them again."),
		dead:        told("dead_letters_total", "Entries written to the dead-letter file."),
		deadLost:    counter("dead_letters_lost_total", "Entries that found no room in the dead-letter file: lost."),
		pending:     gauge("spool_pending_bytes", "Bytes in the spool that are not in InfluxDB yet."),
		ranges:      gauge("spool_pending_ranges", "Pieces of the spool that are not in InfluxDB yet; more than one while a backlog is drained beside what comes."),
	}
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_loader_messages_total",
		Help: "Messages read from the spool, by what they carry."}, []string{"kind"})
	for k := range kinds {
		m.messages[k] = messages.WithLabelValues(k.String())
	}
	r.MustRegister(m.errors, m.delay, m.sync, messages, &queueCollector{q}, &ledgerCollector{l},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dcs_loader_spool_bytes", Help: "Size of the spool on disk."},
			func() float64 { return float64(s.Size()) }))
	return m
}

// synced counts a group of messages that is on disk.
func (m *metrics) synced(took time.Duration) { m.sync.Observe(took.Seconds()) }

// took counts a message that was made into lines.
func (m *metrics) took(out outcome) {
	m.messages[out.kind].Inc()
	if out.skipped > 0 {
		m.skipped.Add(float64(out.skipped))
	}
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
	m.delays.mu.Lock()
	defer m.delays.mu.Unlock()
	for i := range b.messages {
		if o := &b.messages[i].outcome; o.kind == status && o.time != 0 {
			s := max(0, float64(ns-o.time)/1e9)
			m.delay.Observe(s)
			m.delays.take(s)
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

// ledgerCollector reads the ledger when it is asked.
type ledgerCollector struct{ l *ledger }

var (
	ledgerSeen       = prometheus.NewDesc("dcs_loader_ledger_seen_total", "Statuses of a device in the archive, by their numbers.", []string{"device"}, nil)
	ledgerMissing    = prometheus.NewDesc("dcs_loader_ledger_missing", "Numbers of statuses that are not in the archive although later ones are. A replay can still bring them.", []string{"device"}, nil)
	ledgerGaps       = prometheus.NewDesc("dcs_loader_ledger_gaps", "Runs of missing numbers.", []string{"device"}, nil)
	ledgerDuplicates = prometheus.NewDesc("dcs_loader_ledger_duplicates_total", "Statuses that came more than once; in the archive they are one.", []string{"device"}, nil)
	ledgerSkew       = prometheus.NewDesc("dcs_loader_clock_skew_seconds", "A sender's clock less the loader's, as far as delays let see it.", []string{"device"}, nil)
	ledgerOver       = prometheus.NewDesc("dcs_loader_ledger_overflow_total", "Statuses of devices of which no account is kept, because there are too many.", nil, nil)
)

func (c *ledgerCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ledgerSeen, ledgerMissing, ledgerGaps, ledgerDuplicates, ledgerSkew, ledgerOver} {
		ch <- d
	}
}

func (c *ledgerCollector) Collect(ch chan<- prometheus.Metric) {
	for _, p := range c.l.pages(time.Now(), true) {
		for _, v := range []struct {
			desc  *prometheus.Desc
			kind  prometheus.ValueType
			value uint64
		}{
			{ledgerSeen, prometheus.CounterValue, p.Seen},
			{ledgerMissing, prometheus.GaugeValue, p.Missing},
			{ledgerGaps, prometheus.GaugeValue, p.Gaps},
			{ledgerDuplicates, prometheus.CounterValue, p.Duplicates},
		} {
			ch <- prometheus.MustNewConstMetric(v.desc, v.kind, float64(v.value), p.Device)
		}
		if p.Skew != nil {
			ch <- prometheus.MustNewConstMetric(ledgerSkew, prometheus.GaugeValue, *p.Skew, p.Device)
		}
	}
	ch <- prometheus.MustNewConstMetric(ledgerOver, prometheus.CounterValue, float64(c.l.overflow()))
}
