// Package sensortest is the contract suite that every sensor passes against
// its simulator.
package sensortest

import (
	"context"
	"math"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/sensor"
)

// Simulator is a simulated sensor, with the faults of its wire.
type Simulator interface {
	Serve(ctx context.Context, l net.Listener) error
	Silence(on bool)  // it says nothing
	Drop()            // it closes all connections
	Connections() int // how many stand
}

// Harness is what the suite has to know of a sensor.
type Harness struct {
	// New makes a simulator that measures a few times a second without error;
	// nil for a sensor without connection.
	New  func() Simulator
	Open sensor.Opener
	// Fields are what every measurement has.
	Fields []string
}

// patience is how long the slowest machine may take for a measurement.
const patience = time.Minute

// bench is one simulator and how to reach it.
type bench struct {
	Harness
	sim     Simulator
	address string
}

func (h Harness) bench(t *testing.T) *bench {
	b := &bench{Harness: h}
	if h.New == nil {
		return b
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b.sim, b.address = h.New(), "tcp://"+l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.sim.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	return b
}

func (b *bench) open(t *testing.T) sensor.Sensor {
	t.Helper()
	s, err := b.Open(t.Context(), b.address)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for name, test := range map[string]func(*testing.T, *bench){
		"info":      tellsInfo,
		"readings":  reads,
		"cancelled": isCancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, h.bench(t)) })
	}
	if h.New == nil {
		return
	}
	for name, test := range map[string]func(*testing.T, *bench){
		"silence":            noticesSilence,
		"dropped connection": noticesDrop,
		"closed":             isClosed,
	} {
		t.Run(name, func(t *testing.T) { test(t, h.bench(t)) })
	}
}

func tellsInfo(t *testing.T, b *bench) {
	info := b.open(t).Info()
	assert.NotEmpty(t, info.Model)
	assert.Len(t, info.Fields, len(b.Fields))
	for _, name := range b.Fields {
		assert.Contains(t, info.Fields, name)
	}
}

// next reads a measurement that has every field, in range. A sensor that sends
// by itself may have been caught in the middle of its first one.
func (b *bench) next(t *testing.T, s sensor.Sensor) sensor.Reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := s.Read(ctx)
	require.NoError(t, err)
	if len(r) < len(b.Fields) {
		r, err = s.Read(ctx)
		require.NoError(t, err)
	}
	require.Len(t, r, len(b.Fields))
	for _, name := range b.Fields {
		x, ok := r[name]
		f := s.Info().Fields[name]
		assert.True(t, ok, name)
		assert.False(t, math.IsNaN(x) || math.IsInf(x, 0), name)
		if f.Min != f.Max {
			assert.GreaterOrEqual(t, x, f.Min, name)
			assert.LessOrEqual(t, x, f.Max, name)
		}
	}
	return r
}

func reads(t *testing.T, b *bench) {
	s := b.open(t)
	for range 3 {
		b.next(t, s)
	}
}

func isCancelled(t *testing.T, b *bench) {
	if b.sim != nil {
		b.sim.Silence(true)
	}
	s := b.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Read(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func noticesSilence(t *testing.T, b *bench) {
	s := b.open(t)
	b.next(t, s)
	b.sim.Silence(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for range 100 { // what was under way may still come
		if _, err := s.Read(ctx); err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			b.sim.Silence(false)
			b.next(t, b.open(t))
			return
		}
	}
	t.Error("the silent sensor goes on measuring")
}

func noticesDrop(t *testing.T, b *bench) {
	s := b.open(t)
	b.next(t, s)
	b.sim.Drop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	for range 100 { // what was under way may still come
		if _, err = s.Read(ctx); err != nil {
			break
		}
	}
	require.Error(t, err)
	assert.NotErrorIs(t, err, context.DeadlineExceeded, "it is noticed, not waited for")
	require.NoError(t, s.Close())
	b.next(t, b.open(t))
}

func isClosed(t *testing.T, b *bench) {
	s := b.open(t)
	b.next(t, s)
	require.NoError(t, s.Close())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 100 {
		if _, err := s.Read(ctx); err != nil {
			assert.NotErrorIs(t, err, context.DeadlineExceeded)
			return
		}
	}
	t.Error("a closed sensor goes on measuring")
}
