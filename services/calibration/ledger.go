package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/wire"
)

// ledger is what the sink has ever put into the database, and the highest
// number that it has heard of. It only grows: a line of JSON for each run.
type ledger struct {
	name string

	mu      sync.Mutex
	stored  map[int64]entry
	highest int64
	known   bool // the database has been asked, now or before what is on the disk was written
}

// entry is a line of the ledger.
type entry struct {
	Run     int64  `json:"run"`
	UID     string `json:"uid,omitempty"`
	Results string `json:"results,omitempty"` // wire.ResultsStored, ResultsNone, ResultsMissing; empty: only the number was heard
	Known   bool   `json:"known,omitempty"`

	// Silent is a run that was stored without the end of run control's record,
	// which is taken when it comes after all.
	Silent bool `json:"silent,omitempty"`
}

// openLedger reads the ledger. A last line that is torn is cut off.
func openLedger(dir string, log *slog.Logger) (*ledger, error) {
	l := &ledger{name: filepath.Join(dir, "ledger.jsonl"), stored: make(map[int64]entry)}
	b, err := os.ReadFile(l.name)
	if errors.Is(err, fs.ErrNotExist) {
		return l, disk.WriteFile(l.name, nil, 0o640)
	}
	if err != nil {
		return nil, err
	}
	whole := 0
	for line := range splitLines(b) {
		whole += len(line) + 1
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			log.Error("a line of the ledger cannot be read; the database has what is in it", "file", l.name, "line", wire.Echo(string(line)), "error", err)
			continue
		}
		l.take(e)
	}
	if whole < len(b) {
		return l, os.Truncate(l.name, int64(whole))
	}
	return l, nil
}

// splitLines yields the lines that end with a newline.
func splitLines(b []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n, line, _ := bufio.ScanLines(b, false)
			if n == 0 || !yield(line) {
				return
			}
			b = b[n:]
		}
	}
}

func (l *ledger) take(e entry) {
	l.highest = max(l.highest, e.Run)
	l.known = l.known || e.Known
	if e.Results != "" {
		l.stored[e.Run] = e
	}
}

// add writes a line and brings it to the disk.
func (l *ledger) add(e entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(l.name, os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if _, err = f.Write(append(b, '\n')); err != nil {
		err = errors.Join(err, f.Truncate(info.Size())) // half a line would spoil the next one
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", l.name, err)
	}
	l.take(e)
	return nil
}

// hear takes note of a number, and reports whether it is a new highest one.
func (l *ledger) hear(run int64) (bool, error) {
	l.mu.Lock()
	higher := run > l.highest
	l.mu.Unlock()
	if !higher {
		return false, nil
	}
	return true, l.add(entry{Run: run})
}

// asked takes note of what the database says.
func (l *ledger) asked(highest int64) (changed bool, err error) {
	l.mu.Lock()
	changed = !l.known || highest > l.highest
	l.mu.Unlock()
	if !changed {
		return false, nil
	}
	return true, l.add(entry{Run: highest, Known: true})
}

func (l *ledger) kept() (highest int64, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.highest, l.known
}

// find says what is stored of a run.
func (l *ledger) find(run int64) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.stored[run]
	return e, ok
}

// whole reports whether the run's results are in the database. Where there were
// none, or they were given up, a driver may have some all the same.
func (e entry) whole() bool { return e.Results == wire.ResultsStored }
