package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/transfer"
	"trackerdcs/pkg/wire"
)

// shelf is what the sink has of runs that are not whole in the database yet: a
// folder for each, in which the receiver puts results, and the sink the record
// of run control and the capsule.
type shelf struct {
	dir string

	mu   sync.Mutex
	runs map[int64]*kept
}

// kept is what is known of one run.
type kept struct {
	run     int64
	record  *wire.Run      // of run control; nil if it has said nothing
	offered *wire.Manifest // of the driver; nil if it has offered nothing
	device  string
	whole   bool          // all results are on the disk
	capsule *runs.Capsule // nil as long as it is not made

	shown  string    // the state that the document in the database has, said by this process
	ended  time.Time // when it was first seen that it has ended
	heard  time.Time // when run control spoke of it last, or the sink was started
	moved  time.Time // when something of its results came last, or the sink was started
	looked bool      // the database was asked whether it has the run
}

// openShelf reads what a former process has left.
func openShelf(dir string) (*shelf, error) {
	s := &shelf{dir: dir, runs: make(map[int64]*kept)}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		run, err := strconv.ParseInt(e.Name(), 10, 64)
		if err != nil || run < 1 || !e.IsDir() {
			continue
		}
		k := &kept{run: run}
		if err := k.load(s.folder(run)); err != nil {
			return nil, fmt.Errorf("what is kept of run %d in %s cannot be read: %w: move the folder away, its driver and run control say it again", run, s.folder(run), err)
		}
		if k.record == nil && k.offered == nil {
			// It was made and nothing came into it.
			if err := os.RemoveAll(s.folder(run)); err != nil {
				return nil, err
			}
			continue
		}
		s.runs[run] = k
	}
	return s, nil
}

func (s *shelf) folder(run int64) string { return filepath.Join(s.dir, strconv.FormatInt(run, 10)) }

func (k *kept) load(dir string) error {
	o, all, err := transfer.Load(dir)
	switch {
	case err == nil:
		k.offered, k.device, k.whole = &o.Manifest, o.Device, all
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if k.record, err = readJSON[wire.Run](filepath.Join(dir, "record.json")); err != nil {
		return err
	}
	k.heard, k.moved = time.Now(), time.Now()
	k.capsule, err = readJSON[runs.Capsule](filepath.Join(dir, "capsule.json"))
	return err
}

// readJSON reads a file; nil if there is none.
func readJSON[T any](name string) (*T, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// numbers are the runs, in order.
func (s *shelf) numbers() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]int64, 0, len(s.runs))
	for n := range s.runs {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// get gives a copy of what is known of a run.
func (s *shelf) get(run int64) (kept, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.runs[run]
	if !ok {
		return kept{}, false
	}
	return *k, true
}

// change changes what is known of a run, which is made if need be.
func (s *shelf) change(run int64, f func(*kept)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.runs[run]
	if k == nil {
		k = &kept{run: run}
		s.runs[run] = k
	}
	f(k)
}

// touch takes note that something of a run's results has come.
func (s *shelf) touch(run int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.runs[run]; k != nil {
		k.moved = time.Now()
	}
}

// keepRecord brings a record to the disk.
func (s *shelf) keepRecord(r *wire.Run) error {
	dir := s.folder(r.Run)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := disk.WriteFile(filepath.Join(dir, "record.json"), b, 0o640); err != nil {
		return err
	}
	if err := disk.SyncDir(s.dir); err != nil {
		return err
	}
	s.change(r.Run, func(k *kept) { k.record, k.heard = r, time.Now() })
	return nil
}

// keepCapsule brings a capsule to the disk.
func (s *shelf) keepCapsule(run int64, c *runs.Capsule) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := disk.WriteFile(filepath.Join(s.folder(run), "capsule.json"), b, 0o640); err != nil {
		return err
	}
	s.change(run, func(k *kept) { k.capsule = c })
	return nil
}

// forget takes a run off the shelf. Its folder is the receiver's to remove.
func (s *shelf) forget(run int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, run)
}

// uid is the mark of the run, from whoever has said it.
func (k *kept) uid() string {
	switch {
	case k.record != nil:
		return k.record.UID
	case k.offered != nil:
		return k.offered.UID
	}
	return ""
}

// results says how far the results have come.
func (k *kept) results() string {
	switch {
	case k.whole:
		return wire.ResultsReceived
	case k.offered != nil:
		return wire.ResultsReceiving
	}
	return ""
}

// window is the time of the run; not ok as long as its end is not known. What
// never ran has the time in which it was configured. Of the driver's clock and
// run control's the driver's is taken, it is nearer.
func (k *kept) window() (from, to time.Time, ok bool) {
	if k.offered != nil {
		from, to = k.offered.Start, k.offered.End // of one clock
	}
	if k.record != nil {
		from, to = or(from, k.record.Start), or(to, k.record.End)
	}
	if r := k.record; r != nil && wire.RunEnded(r.State) {
		from, to = or(from, r.Asked), or(to, r.Since)
	}
	if from.IsZero() || to.IsZero() {
		return from, to, false
	}
	if to.Before(from) { // clocks differ
		to = from
	}
	return from, to, true
}

func or(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return a
}
