package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
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
	askTime    = 20 * time.Second // for the database to say what it has
)

// limits are for how long the sink waits for others.
type limits struct {
	record time.Duration // for run control's record of a run that a driver offers
	end    time.Duration // for the end of a record whose results are all here
	giveUp time.Duration // for results that run control has given up and of which some came
}

var usual = limits{record: time.Minute, end: time.Hour, giveUp: 10 * time.Minute}

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
			problem += fmt.Sprintf("; runs that wait on the disk: %d", n)
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
	for _, n := range s.inTurn() {
		err := s.storeOne(ctx, n)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, runs.ErrNoAnswer) || errors.Is(err, runs.ErrDenied):
			// Most likely it is so for the others too; but should it be this run that
			// the database takes too long over, they come first the next time.
			s.stuck = n
			return err
		case err != nil:
			s.env.Log.Error("a run cannot be stored", "run", n, "error", err)
			if first == nil {
				first = fmt.Errorf("run %d cannot be stored: %w", n, err)
			}
		}
	}
	return first
}

// inTurn are the runs in order, those behind the one that was stuck first.
func (s *sink) inTurn() []int64 {
	list := s.shelf.numbers()
	i, _ := slices.BinarySearch(list, s.stuck+1)
	return slices.Concat(list[i:], list[:i])
}

// storeOne takes one run as far as it can be taken now: its record as long as it
// lives, and all of it at its end.
func (s *sink) storeOne(ctx context.Context, run int64) error {
	k, ok := s.shelf.get(run)
	if !ok {
		return nil
	}
	e, stored := s.ledger.find(run)
	silent := stored && e.Silent && k.record != nil && wire.RunEnded(k.record.State)
	if stored && !silent && k.offered == nil {
		// A kill, or the disk, came between the ledger and the end of the folder.
		return s.settle(&k, func() error { return errors.Join(s.recorder.End(run), s.forget(ctx, run, false)) })
	}
	if k.record == nil && (!k.whole || time.Since(k.moved) < s.limits.record) || stored && !k.whole && !silent {
		return nil // run control is about to say it, or the rest is about to come
	}
	former, done, err := s.former(ctx, &k)
	if err != nil || done {
		return err
	}
	there := !former.Stored.IsZero()
	silent = silent || there && k.offered == nil // the database lacks the record alone
	switch {
	case silent || s.complete(&k):
	case there:
		return nil // what it has stands until all of it is here
	default:
		return s.show(ctx, &k)
	}
	doc := s.document(&k, former)
	if k.whole {
		budget := allMax
		for i := range doc.Files {
			if err := s.storeFile(ctx, &k, i, &doc, &budget); err != nil {
				return s.mend(ctx, run, i, err)
			}
		}
	}
	doc.Outcome = k.outcome()
	if !k.whole && former.Outcome != "" {
		doc.Outcome = former.Outcome
	}
	doc.Stored = time.Now().UTC().Truncate(time.Millisecond)
	if err := s.db.Put(ctx, doc); err != nil {
		return fmt.Errorf("writing the document: %w", err)
	}
	s.shelf.change(run, func(k *kept) { k.looked = false }) // there is something now
	said := k.record != nil && wire.RunEnded(k.record.State) || stored && !e.Silent
	return s.settle(&k, func() error {
		if err := s.ledger.add(entry{Run: run, UID: doc.UID, Results: doc.Outcome, Silent: !said}); err != nil {
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
		return s.forget(ctx, run, k.whole)
	})
}

// settle does what ends a run that the database has as k says, while no record
// comes in: it takes the run off the shelf, and one that came in the meantime
// would go with it. If one has come the run is stored once more, with it.
func (s *sink) settle(k *kept, end func() error) error {
	s.settling.Lock()
	defer s.settling.Unlock()
	if now, _ := s.shelf.get(k.run); !same(now.record, k.record) {
		s.poke()
		return nil
	}
	return end()
}

// former asks the database once what it has of a run, which is something when
// this sink has lost its disk, or when results turn up late. It is done when all
// is there.
func (s *sink) former(ctx context.Context, k *kept) (doc runs.Run, done bool, err error) {
	if _, stored := s.ledger.find(k.run); k.looked && k.record != nil && !stored {
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
	case !doc.Stored.IsZero() && (doc.Outcome == wire.ResultsStored || k.offered == nil) && !s.amends(k) && !lacksRecord(&doc, k.record):
		return doc, true, s.settle(k, func() error {
			if err := s.ledger.add(entry{Run: k.run, UID: doc.UID, Results: doc.Outcome, Silent: !hasEnd(&doc)}); err != nil {
				return err
			}
			// Results that are offered at this moment may be what the database lacks.
			return errors.Join(s.recorder.End(k.run), s.forget(ctx, k.run, doc.Outcome == wire.ResultsStored))
		})
	}
	if doc.Stored.IsZero() {
		s.shelf.change(k.run, func(k *kept) { k.looked = true })
	}
	return doc, false, err
}

// hasEnd reports whether a document has the end of run control's record.
func hasEnd(doc *runs.Run) bool {
	n := len(doc.Transitions)
	return n > 0 && wire.RunEnded(doc.Transitions[n-1].To)
}

// lacksRecord reports whether a document that is stored was written without the
// record that came to its end since, or with an earlier one.
func lacksRecord(doc *runs.Run, r *wire.Run) bool {
	return r != nil && wire.RunEnded(r.State) && (!hasEnd(doc) || len(doc.Transitions) < len(r.Transitions))
}

// amends reports whether a run is on the shelf for its record alone, which came
// after it had been stored.
func (s *sink) amends(k *kept) bool {
	e, ok := s.ledger.find(k.run)
	return ok && e.Silent && k.record != nil && wire.RunEnded(k.record.State)
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
func (s *sink) complete(k *kept) bool {
	if k.capsule == nil {
		return false
	}
	if k.record == nil {
		return k.whole
	}
	if !wire.RunEnded(k.record.State) {
		return k.whole && time.Since(k.heard) >= s.limits.end && time.Since(k.moved) >= s.limits.end // run control is no more
	}
	if k.whole {
		return true
	}
	none := k.record.Results == wire.ResultsNone || k.record.Results == wire.ResultsMissing
	return none && (k.offered == nil || time.Since(k.moved) >= s.limits.giveUp && time.Since(k.heard) >= s.limits.giveUp)
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
func (s *sink) storeFile(ctx context.Context, k *kept, i int, doc *runs.Run, budget *int) error {
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
	if err := interpret(doc, *file, f, budget); err != nil {
		file.Error = err.Error()
		s.env.Log.Warn("a result cannot be read as the procedure says", "run", k.run, "file", file.Name, "read", file.Read, "error", err)
	}
	return nil
}

// mend has a file sent again that is not on the disk as it was received.
func (s *sink) mend(ctx context.Context, run int64, i int, err error) error {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, runs.ErrDamaged) {
		return err
	}
	s.shelf.change(run, func(k *kept) { k.whole = false })
	s.env.Log.Error("a result is damaged on the disk and is asked for again", "run", run, "file", i, "error", err)
	return s.ask(ctx, func() error { return s.receiver.Damaged(run, i) })
}

// encapsulate makes the capsule of a run that has ended, once all devices have
// said what they measured in it, or have had the time to.
func (s *sink) encapsulate(ctx context.Context, run int64) error {
	k, ok := s.shelf.get(run)
	if !ok || k.capsule != nil {
		return nil
	}
	switch silent := k.record == nil || !wire.RunEnded(k.record.State); {
	case !silent:
	case !k.whole, k.record == nil && time.Since(k.moved) < s.limits.record, k.record != nil && time.Since(k.heard) < s.limits.end:
		return nil
	}
	if _, stored := s.ledger.find(run); stored && k.record != nil && !k.whole {
		return nil // its record alone is to be stored
	}
	from, to, ok := k.window()
	if !ok {
		return fmt.Errorf("its time is not known: from %v to %v", from, to)
	}
	if k.ended.IsZero() {
		k.ended = time.Now()
		s.shelf.change(run, func(now *kept) { now.ended = k.ended })
	}
	if settled, waitFor := s.recorder.Settled(run, from, to); !settled {
		if s.waited(k.ended) < s.cfg.Settle {
			return nil
		}
		s.env.Log.Warn("not all statuses of a run have come", "run", run, "waited_for", waitFor)
	}
	// Where run control has said nothing, or the recording has ended with a run that
	// the database had, what the last minute has left is better than nothing.
	if err := s.recorder.Begin(run); err != nil {
		return err
	}
	c, err := s.recorder.Make(ctx, run, from, to)
	if err != nil {
		return err
	}
	return s.shelf.keepCapsule(run, &c)
}
