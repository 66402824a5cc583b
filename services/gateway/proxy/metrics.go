package proxy

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests *prometheus.CounterVec
	sockets  *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dcs_gateway_proxy_requests_total", Help: "Requests for Grafana and Node-RED, by the status of the answer; those that were kept out too.",
		}, []string{"part", "code"}),
		sockets: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "dcs_gateway_proxy_sockets", Help: "WebSockets to Grafana and Node-RED that are open.",
		}, []string{"part"}),
	}
	if r != nil {
		r.MustRegister(m.requests, m.sockets)
	}
	return m
}

// count counts an answer; status is 0 when the handler wrote none, which the
// server turns into 200.
func (m *metrics) count(part string, status int) {
	if status == 0 {
		status = 200
	}
	m.requests.WithLabelValues(part, strconv.Itoa(status)).Inc()
}
