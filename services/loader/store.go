package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"trackerdcs/pkg/spool"
)

const (
	// saveEvery is how far apart checkpoints are while there is work. What was
	// stored since the last one is written once more after a kill, which leaves
	// the same points.
	saveEvery = time.Second

	// deadRetry is how far apart attempts to write dead letters are that failed.
	deadRetry = time.Second
)

// writes is how many batches are on their way to InfluxDB at a time. One would
// leave it idle while the next is compressed and sent.
const writes = 2

// storer takes batches to InfluxDB and keeps account of what is done.
type storer struct {
	spool   *spool.Spool
	writers []*writer // who write at a time
	ledger  *ledger
	log     *slog.Logger
	metrics *metrics
	tell    func(part, problem string)
	note    func(lines []byte) // adds lines of the loader's own
	stored  func()             // between InfluxDB's answer and the checkpoint; a test's

	burying sync.Mutex // of the dead letters; held however long they take
	dead    *deadLetters
	full    bool // their file

	mu      sync.Mutex // of all that follows
	pending spool.Ranges
	unsaved bool
	saveLog occasion
}

// run stores what comes in until in is closed, or gives it back once ctx has
// ended, and saves how far it came. Without work it asks InfluxDB now and then
// how it is.
func (s *storer) run(ctx context.Context, in <-chan *batch, free chan<- *batch) {
	defer s.dead.close()
	s.save()
	var wg sync.WaitGroup
	for _, w := range s.writers {
		wg.Go(func() { s.work(ctx, w, in, free) })
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.save()
		case <-done:
			s.save()
			return
		}
	}
}

// work is what one writer does.
func (s *storer) work(ctx context.Context, w *writer, in <-chan *batch, free chan<- *batch) {
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	if w == s.writers[0] {
		_ = w.store(ctx, new(batch)) // waits until InfluxDB is there
	} else {
		probe.Stop() // one is enough to ask
	}
	for {
		select {
		case b, ok := <-in:
			if !ok {
				return
			}
			if ctx.Err() == nil {
				s.store(ctx, w, b)
			}
			free <- b
			if w == s.writers[0] {
				probe.Reset(probeEvery)
			}
		case <-probe.C:
			_ = w.store(ctx, new(batch))
		}
	}
}

// store takes a batch to InfluxDB and accounts for it, unless ctx ends before.
func (s *storer) store(ctx context.Context, w *writer, b *batch) {
	if b.len() > 0 && w.store(ctx, b) != nil {
		return
	}
	if len(b.dead) > 0 && !s.bury(ctx, b) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored != nil {
		s.stored()
	}
	s.ledger.enter(b)
	s.metrics.stored(b, time.Now())
	s.pending = s.pending.Done(b.from, b.to)
	s.unsaved = true
}

// bury writes dead letters, however long it takes: a message is only done with
// when it is somewhere.
func (s *storer) bury(ctx context.Context, b *batch) bool {
	s.burying.Lock()
	defer s.burying.Unlock()
	for failed := false; ; failed = true {
		kept, err := s.dead.write(b.dead)
		switch {
		case err == nil && kept:
			s.metrics.dead.Add(float64(b.deads))
		case err == nil:
			s.metrics.deadLost.Add(float64(b.deads))
			if !s.full {
				s.log.Error("the dead-letter file has reached its limit, what cannot be stored is lost: move it away", "file", s.dead.name)
			}
		}
		if err == nil {
			s.tellFull(!kept)
			if failed {
				s.tell(partDead, "")
			}
			return true
		}
		if !failed {
			s.log.Error("dead letters cannot be written, the archive waits for them", "error", err)
			s.tell(partDead, err.Error())
		}
		if pause(ctx, deadRetry) != nil {
			return false
		}
	}
}

func (s *storer) tellFull(full bool) {
	if full == s.full {
		return
	}
	s.full = full
	problem := ""
	if full {
		problem = s.dead.name + " has reached DCS_DEAD_LETTER_BYTES, what cannot be stored is lost: move it away"
	}
	s.tell(partFull, problem)
}

// save writes a checkpoint, if there is anything new, and removes what is done
// with. If the checkpoint fails it is tried again with the next one: an old one
// loses nothing. What is done is removed all the same, since a full disk may be
// why it failed.
func (s *storer) save() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gauge()
	if s.unsaved {
		err := s.spool.Save(s.pending, s.ledger)
		s.unsaved = err != nil
		if err != nil {
			if more, ok := s.saveLog.now(time.Now()); ok {
				s.log.Error("the checkpoint cannot be written, a restart will write to InfluxDB again what is stored already", "error", err, "unlogged", more)
			}
		}
	}
	if err := s.spool.Release(s.pending); err != nil {
		s.log.Error("what is stored cannot be removed from the spool", "error", err)
	}
}

// waiting is how many bytes of the spool are not in InfluxDB yet.
func (s *storer) waiting() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(s.pending.Bytes(s.spool.End()))
}

func (s *storer) gauge() {
	s.metrics.pending.Set(float64(s.pending.Bytes(s.spool.End())))
	s.metrics.ranges.Set(float64(len(s.pending)))
}
