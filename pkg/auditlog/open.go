package auditlog

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"trackerdcs/pkg/disk"
)

// Open opens the log in dir, and makes the folder if there is none. It checks
// the last segment. Damage is no error, since the gateway has to come up: it is
// noted in the log itself, as the package's comment says, and Verify reports it.
// An error is a folder that cannot be read or made.
func Open(dir string, o Options) (*Log, error) { return open(dir, o, openFile) }

func open(dir string, o Options, how func(string, int) (file, error)) (*Log, error) {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = DefaultSegment
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the audit log: %w", err)
	}
	if err := disk.SyncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		o.Log.Warn("the audit log's folder may not outlive a power cut", "error", err)
	}
	l := &Log{
		dir: dir, opts: o, turn: make(chan struct{}, 1),
		w: writer{dir: dir, max: o.SegmentBytes, log: o.Log, open: how},
	}
	all, err := segments(dir)
	if err != nil {
		return nil, err
	}
	for i := len(all) - 1; i >= 0 && l.head.Seq == 0; i-- {
		found, err := inspect(all[i])
		if err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		l.head = found.head
		if err := l.w.take(all[i], found); err != nil {
			return nil, errors.Join(fmt.Errorf("opening the audit log: %w", err), l.w.close())
		}
	}
	// What there is to say is said at once, or else with the first entry.
	if err := l.w.ready(); err != nil {
		o.Log.Error("the audit log cannot be written now", "error", err)
	} else if len(l.w.notes) > 0 {
		l.write(nil)
	}
	return l, nil
}

// inspection is what is found in a segment at the start.
type inspection struct {
	head        Head // the last entry that is what its hash says
	whole, rest int64
	broken      string // where the chain is broken first
}

func inspect(s segment) (inspection, error) {
	var i inspection
	f, err := os.Open(s.path)
	if err != nil {
		return i, err
	}
	defer f.Close()
	c := chain{loose: true} // the segments before are Verify's
	line := 0
	i.whole, i.rest, err = eachLine(f, func(b []byte) error {
		line++
		if _, bad := c.next(b); bad.kind != "" && i.broken == "" {
			i.broken = Problem{File: s.name(), Line: line, What: bad.what}.String()
		}
		return nil
	})
	i.head = c.head
	return i, err
}

// take makes a segment that was found the one to write to, unless a later one
// is, which has no entries.
func (w *writer) take(s segment, found inspection) error {
	if found.broken != "" {
		w.log.Error("the chain of the audit log is broken; going on in a new file", "where", found.broken)
		w.note("the chain is broken: " + found.broken)
		w.next = w.next || w.file == nil
	}
	if w.file != nil {
		return nil
	}
	f, err := w.open(s.path, os.O_WRONLY)
	if err != nil {
		return err
	}
	w.seg, w.file, w.size = s, f, found.whole
	w.torn, w.rest = found.rest, found.rest > 0
	return nil
}
