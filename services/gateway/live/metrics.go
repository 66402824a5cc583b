package live

import "github.com/prometheus/client_golang/prometheus"

// metrics are what is counted.
type metrics struct {
	ignored *prometheus.CounterVec
	dropped prometheus.Counter
	refused prometheus.Counter
	alive   prometheus.Gauge
	devices prometheus.Gauge
	sensors prometheus.Gauge
}

func newMetrics(r prometheus.Registerer, l *Live) *metrics {
	m := &metrics{
		ignored: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_gateway_messages_ignored_total", Help: "Messages on the bus that were not understood or found no room, by kind."}, []string{"kind"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_gateway_streams_dropped_total", Help: "Readers of the stream that were too slow."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_gateway_streams_refused_total", Help: "Readers that were too many."}),
		alive:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "dcs_gateway_bus_alive", Help: "1 while the gateway's own messages come back."}),
		devices: prometheus.NewGauge(prometheus.GaugeOpts{Name: "dcs_gateway_devices", Help: "Devices that are known."}),
		sensors: prometheus.NewGauge(prometheus.GaugeOpts{Name: "dcs_gateway_sensors", Help: "Measurements of outside sensors that are known."}),
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.ignored, m.dropped, m.refused, m.alive, m.devices, m.sensors,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dcs_gateway_streams", Help: "Readers of the stream."},
			func() float64 { return float64(l.hub.count()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "dcs_gateway_mailbox_dropped_total", Help: "Messages on the bus that came faster than they could be taken."},
			l.mail.droppedCount))
	return m
}

// follow is called with Live's mu held.
func (m *metrics) follow(l *Live) {
	m.alive.Set(0)
	if l.pulse.said.Alive {
		m.alive.Set(1)
	}
	m.devices.Set(float64(len(l.model.devices)))
	m.sensors.Set(float64(len(l.model.sensors)))
}
