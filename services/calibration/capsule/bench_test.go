package capsule

import (
	"context"
	"fmt"
	"testing"
	"time"

	"trackerdcs/pkg/bus"
)

// BenchmarkMake reads statuses of four channels with ten fields each from the
// journal.
func BenchmarkMake(b *testing.B) {
	const n = 20_000
	r := open(b, b.TempDir(), Options{})
	if err := r.Begin(1); err != nil {
		b.Fatal(err)
	}
	var all []bus.Message
	for i := range n {
		all = append(all, msg(fmt.Sprintf("/dev%d/status", i%50), wide(i/50+1, after(float64(i/50)))))
	}
	put(b, r, all...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Make(context.Background(), 1, t0, t0.Add(time.Hour)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "statuses/s")
}

// BenchmarkKeep takes the same from the queue to the disk.
func BenchmarkKeep(b *testing.B) {
	r := open(b, b.TempDir(), Options{MaxBytes: 1 << 40})
	if err := r.Begin(1); err != nil {
		b.Fatal(err)
	}
	m := msg("/hv/status", wide(1, t0))
	batch := make([]bus.Message, batchMessages)
	for i := range batch {
		batch[i] = m
	}
	for n := 1; b.Loop(); n++ {
		put(b, r, batch...)
		if n%200 == 0 { // 80 MB
			_ = r.End(1)
			_ = r.Begin(1)
		}
	}
	b.ReportMetric(float64(batchMessages*b.N)/b.Elapsed().Seconds(), "statuses/s")
}
