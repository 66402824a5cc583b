package mqttd_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"trackerdcs/services/broker/mqttd"
)

// bench runs f with each way of keeping messages.
func bench(b *testing.B, f func(b *testing.B, url string)) {
	for _, o := range []mqttd.Options{
		{}, // flushed to disk every 10 s
		{SyncInterval: 100 * time.Millisecond},
		{Sync: true},
	} {
		name := "sync=always"
		if !o.Sync {
			name = fmt.Sprint("sync=", cmp.Or(o.SyncInterval, 10*time.Second))
		}
		b.Run(name, func(b *testing.B) {
			o.DataDir = b.TempDir()
			s, err := mqttd.Start(context.Background(), o)
			require.NoError(b, err)
			defer s.Stop()
			f(b, s.URL())
		})
	}
}

// BenchmarkLatency is the way of one message at QoS 1 from publish to the
// subscriber's handler, one at a time.
func BenchmarkLatency(b *testing.B) {
	bench(b, func(b *testing.B, url string) {
		s, p := dial(b, url, "s"), dial(b, url, "p")
		s.sub("/hv/ack", 1)
		var took []time.Duration
		for b.Loop() {
			t := time.Now()
			p.Publish("/hv/ack", 1, false, "x")
			s.next()
			took = append(took, time.Since(t))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	})
}

// BenchmarkThroughput sends status messages at QoS 1 with 1000 publishes under
// way to a subscriber at QoS 1.
func BenchmarkThroughput(b *testing.B) {
	payload := make([]byte, 900) // a status of four channels
	bench(b, func(b *testing.B, url string) {
		s, p := dial(b, url, "s"), dial(b, url, "p")
		s.sub("/hv/status", 1)
		var window []mqtt.Token
		n := 0
		for b.Loop() {
			n++
			window = append(window, p.Publish("/hv/status", 1, false, payload))
			if len(window) == 1000 {
				p.done(window[0])
				window = window[1:]
			}
		}
		for range n {
			s.next()
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
	})
}
