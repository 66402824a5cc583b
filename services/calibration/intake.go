package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// intake takes results, and does what other goroutines ask of the receiver,
// until ctx ends.
func (s *sink) intake(ctx context.Context) error {
	defer s.receiver.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-s.calls:
			f()
		case <-s.chunks.ready:
			for _, m := range s.chunks.take() {
				s.piece(m)
			}
		}
	}
}

func (s *sink) piece(m bus.Message) {
	if dev, run, file, chunk, ok := s.cfg.Root.CutChunk(m.Topic); ok {
		s.receiver.Chunk(dev, run, file, chunk, m.Payload)
		return
	}
	if levels, ok := s.cfg.Root.Cut(m.Topic); ok && len(levels) == 4 && levels[1] == wire.KindResults {
		run, _ := strconv.ParseInt(levels[2], 10, 64) // for an answer, should the manifest not say it
		s.receiver.ManifestOf(levels[0], run, m.Payload)
	}
}

// known tells the receiver what became of a run that is not on the shelf.
func (s *sink) known(run int64, uid string) (string, error) {
	if e, ok := s.ledger.find(run); ok {
		switch {
		case e.UID != uid:
			return "", fmt.Errorf("run %d is there already with uid %s: a number was used twice", run, e.UID)
		case e.whole():
			return wire.ResultsStored, nil
		}
	}
	if k, ok := s.shelf.get(run); ok && k.uid() != "" && k.uid() != uid {
		return "", fmt.Errorf("run %d is there already with uid %s: a number was used twice", run, k.uid())
	}
	return "", nil
}

// receipt tells a device how far its results have come. How far they are is
// said again with the next one, and need not be kept by the broker.
func (s *sink) receipt(device string, r wire.Receipt) {
	m := bus.Message{Topic: s.cfg.Root.Receipts(s.env.Name, device), QoS: 1, Payload: wire.Encode(r)}
	if r.State == wire.ResultsReceiving && r.Again != wire.Yes && r.Error == "" {
		m.QoS = 0
	}
	s.data.Send(m, nil)
	if r.Again == wire.Yes {
		s.offered(r.Run)
	}
	if r.State == wire.ResultsReceiving && r.Error == "" {
		s.shelf.touch(r.Run)
	}
}

// offered takes note of a manifest.
func (s *sink) offered(run int64) {
	if k, ok := s.shelf.get(run); ok && k.offered != nil {
		return
	}
	k := kept{run: run}
	if err := k.load(s.shelf.folder(run)); err != nil || k.offered == nil {
		return
	}
	s.shelf.change(run, func(now *kept) { now.offered, now.device = k.offered, k.device })
	s.heard(run)
	s.sayResults(run)
}

// heard takes note of a number that a device has used.
func (s *sink) heard(run int64) {
	switch higher, err := s.ledger.hear(run); {
	case err != nil:
		s.env.Log.Error("the number of a run cannot be kept", "run", run, "error", err)
	case higher:
		s.sayKept()
	}
}

// received takes note of a run of which all results are on the disk.
func (s *sink) received(device string, m wire.Manifest) {
	s.shelf.change(m.Run, func(k *kept) {
		k.offered, k.device, k.whole, k.moved = &m, device, true, time.Now()
	})
	s.heard(m.Run)
	s.sayResults(m.Run)
	s.poke()
}

// forget takes a run off the shelf that is in the database: the receiver removes
// its folder and tells its device. When results have turned up after all since
// the run was stored without them, it stays.
func (s *sink) forget(ctx context.Context, run int64, withResults bool) error {
	err := s.ask(ctx, func() error {
		s.offered(run) // a manifest may be on the disk that could not be answered
		if k, _ := s.shelf.get(run); k.offered != nil && !withResults {
			return nil
		}
		err := s.receiver.Forget(run)
		if err == nil {
			s.shelf.forget(run)
		}
		return err
	})
	if err == nil {
		s.sayKept()
	}
	return err
}

// ask has the intake goroutine do something with the receiver.
func (s *sink) ask(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	select {
	case s.calls <- func() { done <- f() }:
		return <-done
	case <-ctx.Done():
		return ctx.Err()
	}
}
