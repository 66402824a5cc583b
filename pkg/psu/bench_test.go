package psu

import (
	"testing"
	"time"

	"trackerdcs/pkg/wire"
)

// BenchmarkSetV is a plain setv to its first ack and its write, and on to its
// end: three events.
func BenchmarkSetV(b *testing.B) {
	s := newSupply()
	m := NewMachine(Config{Boot: "b00", Limits: Limits{0: {0, 500}}})
	m.Handle(noon, s.opened())
	m.Handle(noon, s.read())
	now := noon
	payload := []byte("100.")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Second)
		ev := Received{Command: wire.Command{Op: wire.SetV, Channel: wire.One(0), Number: float64(100 + i%2)}, Payload: payload}
		e := m.Handle(now, ev)
		if len(e.Acks) != 1 || e.Write == nil {
			b.Fatal("not accepted")
		}
		s.write(*e.Write)
		m.Handle(now, Written{})
		if e := m.Handle(now, Read{s.channels}); len(e.Acks) != 1 || e.Acks[0].Phase != wire.Done {
			b.Fatal("not done")
		}
	}
}

// BenchmarkHandleSetV is the first of the three alone: accepted, and replacing
// the one that waits.
func BenchmarkHandleSetV(b *testing.B) {
	s := newSupply()
	m := NewMachine(Config{Boot: "b00"})
	m.Handle(noon, s.opened())
	m.Handle(noon, s.read())
	m.Handle(noon, received("seti/1", "0.002", false)) // its write stays under way
	payload := []byte("100.")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		ev := Received{Command: wire.Command{Op: wire.SetV, Channel: wire.One(0), Number: float64(100 + i%2)}, Payload: payload}
		m.Handle(noon, ev)
	}
}

// BenchmarkRefused is what a flood of nonsense costs.
func BenchmarkRefused(b *testing.B) {
	s := newSupply()
	m := NewMachine(Config{Boot: "b00"})
	m.Handle(noon, s.opened())
	m.Handle(noon, s.read())
	ev := received("setv/0", "1e9", false)
	b.ReportAllocs()
	for b.Loop() {
		m.Handle(noon, ev)
	}
}

// BenchmarkRead is a reading of three channels, with nothing awaited.
func BenchmarkRead(b *testing.B) {
	s := newSupply()
	m := NewMachine(Config{Boot: "b00"})
	m.Handle(noon, s.opened())
	b.ReportAllocs()
	for b.Loop() {
		m.Handle(noon, Read{s.channels})
	}
}
