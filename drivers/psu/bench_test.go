package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"trackerdcs/pkg/bus"
)

// BenchmarkFirstAck measures the way of a command over the bus from its publish
// to its first ack, against the simulated HV supply.
func BenchmarkFirstAck(b *testing.B) {
	s := newBench(b, "hv", "iseg", fastHV())
	s.start()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		mark := s.Mark()
		id := fmt.Sprintf(`"n-%d"`, i)
		began := time.Now()
		s.SayUnconfirmed("/hv/cmd/setv/2", fmt.Sprintf(`{"value":%d,"id":%s}`, i%400, id))
		s.Await(mark, "the first ack", func(m bus.Message) bool {
			return m.Topic == "/hv/ack" && strings.Contains(string(m.Payload), id)
		})
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
