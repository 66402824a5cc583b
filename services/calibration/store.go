package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/transfer"
	"trackerdcs/pkg/wire"
)

// Waiting of the storer.
const (
	look       = time.Second      // at runs that wait for something
	firstRetry = time.Second      // after the database has failed
	lastRetry  = 15 * time.Second // and at last
	recordTime = time.Minute      // for run control's record of a run that a driver offers
	askTime    = 20 * time.Second // for the database to say what it has
)

// database is what the storer needs of MongoDB; pkg/runs has it.
type database interface {
	Prepare(ctx context.Context) error
	Highest(ctx context.Context) (int64, error)
	Put(ctx context.Context, r runs.Run) error
	Get(ctx context.Context, number int64) (runs.Run, error)
	PutFile(ctx context.Context, run int64, uid string, f runs.File, r io.Reader) error
}

// store puts runs into the database, in order of their numbers, until ctx ends.
// A run that cannot be stored does not hold up the others; a database that is
// away is waited for.
func (s *sink) store(ctx context.Context) error {
	retry := firstRetry
	timer := time.NewTimer(0)
	defer timer.Stop()
	prepared := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-s.wake:
		}
		// Capsules are made whether the database is there or not.
		for _, n := range s.shelf.numbers() {
			if err := s.encapsulate(ctx, n); err != nil && ctx.Err() == nil {
				s.env.Log.Error("the capsule of a run cannot be made", "run", n, "error", err)
			}
		}
		err := s.prepare(ctx, &prepared)
		if err == nil {
			err = s.storeAll(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		s.tellProblem(err)
		if err != nil {
			retry = min(2*retry, lastRetry)
			timer.Reset(retry)
			s.rest(ctx, retry)
			continue
		}
		retry = firstRetry
		timer.Reset(look)
	}
}

// rest waits, whoever pokes: records that come say nothing of the database.
func (s *sink) rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// prepare asks the database for its highest number, and makes its indexes, once.
func (s *sink) prepare(ctx context.Context, prepared *bool) error {
	if *prepared {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if err := s.db.Prepare(ctx); err != nil {
		return fmt.Errorf("making the indexes: %w", err)
	}
	highest, err := s.db.Highest(ctx)
	if err != nil {
		return fmt.Errorf("asking for the highest number: %w", err)
	}
	changed, err := s.ledger.asked(highest)
	if err != nil {
		return err
	}
	if changed {
		s.sayKept()
	}
	*prepared = true
	return nil
}

// tellProblem says in the state what stands between runs and the database.
func (s *sink) tellProblem(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
		if n := len(s.shelf.numbers()); n > 0 {
			problem += fmt.Sprintf("; %d runs wait on the disk", n)
		}
	}
	s.mu.Lock()
	s.problem = problem
	s.mu.Unlock()
	if problem != "" {
		s.member.Set(wire.Unreachable, problem)
		return
	}
	s.member.Set(wire.Ready, "")
}

// storeAll takes each run as far as it can be taken. The error is the
// database's; what is wrong with one run alone is logged and tried again.
func (s *sink) storeAll(ctx context.Context) error {
	var first error
	for _, n := range s.shelf.numbers() {
		err := s.storeOne(ctx, n)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, runs.ErrNoAnswer) || errors.Is(err, runs.ErrDenied):
			return err // it is so for the others too
		case err != nil:
			s.env.Log.Error("a run cannot be stored", "run", n, "error", err)
			if first == nil {
				first = fmt.Errorf("run %d cannot be stored: %w", n, err)
			}
		}
	}
	return first
}

// storeOne takes one run as far as it can be taken now: its record as long as it
// lives, and all of it at its end.
func (s *sink) storeOne(ctx context.Context, run int64) error {
	k, ok := s.shelf.get(run)
	if !ok {
		return nil
	}
	if k.record == nil && k.whole && time.Since(k.received) < s.recordTime {
		return nil // run control is about to say it
	}
	if k.record == nil && !k.whole {
		return nil
	}
	former, done, err := s.former(ctx, &k)
	if err != nil || done {
		return err
	}
	if !k.complete() {
		return s.show(ctx, &k)
	}
	doc := s.document(&k, former)
	for i := range doc.Files {
		if err := s.storeFile(ctx, &k, i, &doc); err != nil {
			return err
		}
	}
	doc.Outcome = k.outcome()
	doc.Stored = time.Now().UTC().Truncate(time.Millisecond)
	if err := s.db.Put(ctx, doc); err != nil {
		return fmt.Errorf("writing the document: %w", err)
	}
	if err := s.ledger.add(entry{Run: run, UID: doc.UID, Results: doc.Outcome}); err != nil {
		return err
	}
	s.env.Log.Info("run is stored", "run", run, "state", doc.State, "files", len(doc.Files), "results", doc.Outcome)
	if k.record != nil {
		s.sayRecord(wire.RecordReceipt{Run: run, UID: doc.UID, State: k.record.State, Results: doc.Outcome})
	}
	s.metrics.stored.Inc()
	if err := s.recorder.End(run); err != nil {
		return err
	}
	if err := s.forget(ctx, run, k.whole); err != nil {
		return err
	}
	s.sayKept()
	return nil
}

// former asks the database once what it has of a run, which is something when
// this sink has lost its disk, or when results turn up late. It is done when all
// is there.
func (s *sink) former(ctx context.Context, k *kept) (doc runs.Run, done bool, err error) {
	if k.looked && k.record != nil {
		return doc, false, nil
	}
	doc, err = s.db.Get(ctx, k.run)
	switch {
	case errors.Is(err, runs.ErrNotFound):
		err = nil
	case err != nil:
		return doc, false, fmt.Errorf("asking what is there of it: %w", err)
	case doc.UID != k.uid():
		return doc, false, fmt.Errorf("%w: the database has a run %d with uid %s", runs.ErrConflict, k.run, doc.UID)
	case !doc.Stored.IsZero() && doc.Outcome != wire.ResultsMissing:
		if err := s.ledger.add(entry{Run: k.run, UID: doc.UID, Results: doc.Outcome}); err != nil {
			return doc, false, err
		}
		return doc, true, errors.Join(s.recorder.End(k.run), s.forget(ctx, k.run, true))
	}
	s.shelf.change(k.run, func(k *kept) { k.looked = true })
	return doc, false, err
}

// show writes what is known of a run that is not complete, when its state has
// changed since.
func (s *sink) show(ctx context.Context, k *kept) error {
	if k.record == nil || k.shown == k.record.State {
		return nil
	}
	if e, ok := s.ledger.find(k.run); ok && e.Results != "" {
		return nil // it is stored, without results that turn up now
	}
	doc := s.document(k, runs.Run{})
	if wire.RunEnded(doc.State) {
		doc.State = wire.RunFinishing // whoever reads another state finds all of it
	}
	doc.Files, doc.Results, doc.Capsule = nil, nil, nil
	if err := s.db.Put(ctx, doc); err != nil {
		return fmt.Errorf("writing the document: %w", err)
	}
	state := k.record.State
	s.shelf.change(k.run, func(k *kept) { k.shown = state })
	return nil
}

// complete reports whether all that is to come of a run has come.
func (k *kept) complete() bool {
	if k.capsule == nil {
		return false
	}
	if k.record == nil {
		return k.whole
	}
	if !wire.RunEnded(k.record.State) {
		return false
	}
	return k.whole || k.offered == nil && (k.record.Results == wire.ResultsNone || k.record.Results == wire.ResultsMissing)
}

// outcome is what the document says of the results.
func (k *kept) outcome() string {
	switch {
	case k.whole:
		return wire.ResultsStored
	case k.record != nil && k.record.Results == wire.ResultsMissing:
		return wire.ResultsMissing
	}
	return wire.ResultsNone
}

// storeFile writes file i of a run to GridFS, and reads into the document what
// the procedure says. A file that cannot be read as it should is stored all the
// same, and the document says why.
func (s *sink) storeFile(ctx context.Context, k *kept, i int, doc *runs.Run) error {
	name := transfer.FilePath(s.shelf.folder(k.run), i)
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	file := &doc.Files[i]
	if err := s.db.PutFile(ctx, k.run, doc.UID, *file, f); err != nil {
		return fmt.Errorf("writing %s: %w", file.Name, err)
	}
	s.metrics.bytes.Add(float64(file.Size))
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := interpret(doc, *file, f); err != nil {
		file.Error = err.Error()
		s.env.Log.Warn("a result cannot be read as the procedure says", "run", k.run, "file", file.Name, "read", file.Read, "error", err)
	}
	return nil
}

// encapsulate makes the capsule of a run that has ended, once all devices have
// said what they measured in it, or have had the time to.
func (s *sink) encapsulate(ctx context.Context, run int64) error {
	k, ok := s.shelf.get(run)
	if !ok || k.capsule != nil {
		return nil
	}
	if k.record == nil && (!k.whole || time.Since(k.received) < s.recordTime) || k.record != nil && !wire.RunEnded(k.record.State) {
		return nil
	}
	from, to, ok := k.window()
	if !ok {
		return fmt.Errorf("its time is not known: from %v to %v", from, to)
	}
	if k.ended.IsZero() {
		k.ended = time.Now()
		s.shelf.change(run, func(now *kept) { now.ended = k.ended })
	}
	if settled, waitFor := s.recorder.Settled(run, to); !settled {
		if s.waited(k.ended) < s.cfg.Settle {
			return nil
		}
		s.env.Log.Warn("not all statuses of a run have come", "run", run, "waited_for", waitFor)
	}
	if k.record == nil {
		// What the last minute has left is better than nothing.
		if err := s.recorder.Begin(run); err != nil {
			return err
		}
	}
	c, err := s.recorder.Make(ctx, run, from, to)
	if err != nil {
		return err
	}
	return s.shelf.keepCapsule(run, &c)
}
