package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/wire"
)

// Timing of the connection to the instrument.
const (
	openTimeout  = 10 * time.Second
	callTimeout  = 10 * time.Second // past every instrument's own time-out
	firstRetry   = 250 * time.Millisecond
	lastRetry    = 10 * time.Second
	slowestPoll  = 500 * time.Millisecond // so that a trip is published within a second
	failuresGone = 2                      // connections in a row that gave no complete reading
)

// swept says that all channels have been read, in one go or after another.
type swept struct{ took time.Duration }

// gone says why the instrument cannot be reached.
type gone struct{ err error }

// link owns the instrument: it alone calls it, one call after another. What
// happens goes to events, which is not buffered: once an event has been taken,
// the machine has decided about all that was before it.
type link struct {
	open    psu.Opener
	address string
	period  time.Duration
	events  chan any
	writes  chan psu.Write // at most one
	sweep   chan struct{}  // holds one token: read now
}

func newLink(open psu.Opener, address string, period time.Duration) *link {
	return &link{
		open: open, address: address, period: period,
		events: make(chan any), writes: make(chan psu.Write, 1), sweep: make(chan struct{}, 1),
	}
}

func (l *link) askSweep() {
	select {
	case l.sweep <- struct{}{}:
	default:
	}
}

// run connects to the instrument, again and again, until ctx ends.
func (l *link) run(ctx context.Context) {
	retry := firstRetry
	failures := 0
	for ctx.Err() == nil {
		complete, err := l.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if complete {
			failures, retry = 0, firstRetry
			l.tell(ctx, psu.Broken{})
			l.drop(ctx, err)
			continue // the first attempt after a good connection follows at once
		}
		failures++
		l.tell(ctx, psu.Broken{})
		l.drop(ctx, err)
		if failures >= failuresGone || !errors.Is(err, errBroken) {
			l.tell(ctx, gone{err})
		}
		sleep(ctx, retry)
		retry = min(2*retry, lastRetry)
	}
}

// errBroken marks the end of a connection that had been made.
var errBroken = errors.New("the connection to the instrument broke")

// once opens the instrument and serves it until the connection is of no more
// use. It reports whether there was a complete reading.
func (l *link) once(ctx context.Context) (complete bool, err error) {
	openCtx, cancel := context.WithTimeout(ctx, openTimeout)
	instrument, err := l.open(openCtx, l.address)
	cancel()
	if err != nil {
		return false, err
	}
	defer func() { _ = instrument.Close() }()
	l.tell(ctx, psu.Opened{Info: instrument.Info(), Ops: psu.OpsOf(instrument)})
	s := &session{link: l, instrument: instrument}
	err = s.serve(ctx)
	return s.complete, fmt.Errorf("%w: %w", errBroken, err)
}

// drop ends a write that was handed over and not begun when the connection
// broke. The machine was told of the break and hands over no other.
func (l *link) drop(ctx context.Context, err error) {
	select {
	case <-l.writes:
		l.tell(ctx, psu.Written{Err: fmt.Errorf("not written: %w", err)})
	default:
	}
}

func (l *link) tell(ctx context.Context, event any) {
	select {
	case l.events <- event:
	case <-ctx.Done():
	}
}

// session is one connection to the instrument.
type session struct {
	*link
	instrument psu.Instrument
	complete   bool
	last       time.Time // of the last sweep that was told
	wrote      bool      // since the sweep began
}

func (s *session) serve(ctx context.Context) error {
	info := s.instrument.Info()
	var batches [][]int
	for _, c := range info.Channels {
		if info.OneByOne || len(batches) == 0 {
			batches = append(batches, nil)
		}
		batches[len(batches)-1] = append(batches[len(batches)-1], c.Number)
	}
	tick := time.NewTicker(min(s.period, slowestPoll))
	defer tick.Stop()
	for {
		if err := s.readAll(ctx, batches); err != nil {
			return err
		}
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case w := <-s.writes:
				if err := s.write(ctx, w); err != nil {
					return err
				}
			case <-s.sweep:
				again = true
			case <-tick.C:
				again = true
			}
		}
	}
}

// readAll reads all channels, and lets a write that waits pass between two
// batches. When one did, what was read before it may be past: it reads again,
// unless the last complete sweep is a period old.
func (s *session) readAll(ctx context.Context, batches [][]int) error {
	began := time.Now()
	for {
		s.wrote = false
		for _, batch := range batches {
			if err := s.writeWaiting(ctx); err != nil {
				return err
			}
			callCtx, cancel := context.WithTimeout(ctx, callTimeout)
			readings, err := s.instrument.Read(callCtx, batch)
			cancel()
			if err != nil {
				return fmt.Errorf("reading: %w", err)
			}
			s.tell(ctx, psu.Read{Readings: readings})
		}
		if !s.wrote || time.Since(s.last) >= s.period {
			break
		}
	}
	s.complete = true
	s.last = time.Now()
	s.tell(ctx, swept{s.last.Sub(began)})
	return nil
}

func (s *session) writeWaiting(ctx context.Context) error {
	select {
	case w := <-s.writes:
		return s.write(ctx, w)
	default:
		return nil
	}
}

// write executes one write and tells how it ended. A refusal is no trouble of
// the connection.
func (s *session) write(ctx context.Context, w psu.Write) error {
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	err := s.execute(callCtx, w)
	cancel()
	s.wrote = true
	s.tell(ctx, psu.Written{Err: err})
	if err != nil && !errors.Is(err, psu.ErrRefused) {
		return fmt.Errorf("writing %s to channel %v: %w", w.Op, w.Channel, err)
	}
	return nil
}

func (s *session) execute(ctx context.Context, w psu.Write) error {
	n := w.Channel.Number
	switch w.Op {
	case wire.SetV:
		return s.instrument.SetVoltage(ctx, n, w.Value)
	case wire.Switch:
		return s.instrument.Switch(ctx, n, w.On)
	case wire.SetI:
		if i, ok := s.instrument.(psu.CurrentLimiter); ok {
			return i.SetCurrent(ctx, n, w.Value)
		}
	case wire.Ramp:
		if i, ok := s.instrument.(psu.CommonRamper); ok && w.Channel.Kind == wire.AllChannels {
			return i.SetCommonRamp(ctx, w.Value)
		}
		if i, ok := s.instrument.(psu.Ramper); ok {
			return i.SetRamp(ctx, n, w.Value)
		}
	case wire.Clear:
		if i, ok := s.instrument.(psu.TripClearer); ok {
			return i.ClearTrip(ctx, n)
		}
	}
	return psu.Refused("the instrument cannot %s", w.Op)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
