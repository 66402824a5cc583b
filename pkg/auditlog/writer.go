package auditlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"trackerdcs/pkg/disk"
)

// file is what a segment is written to.
type file interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Stat() (os.FileInfo, error)
	Close() error
}

// writer writes the last segment. What stands behind size was not confirmed to
// anybody, and goes before anything else is written.
type writer struct {
	dir  string
	max  int64 // a segment that is this long is closed
	log  *slog.Logger
	open func(name string, flag int) (file, error)

	seg   segment
	file  file // nil before the first segment
	size  int64
	rest  bool  // there may be something behind size
	torn  int64 // so many bytes of it are from before the start: they are put aside
	next  bool  // this segment is not written to any more
	notes []Entry
}

func openFile(name string, flag int) (file, error) { return os.OpenFile(name, flag, 0o600) }

// ready makes the segment such that it can be appended to.
func (w *writer) ready() error {
	if err := w.mend(); err != nil {
		return err
	}
	if w.file != nil && !w.next {
		if what := w.meddled(); what != "" {
			w.log.Error("somebody else has changed the audit log; going on in a new file", "file", w.seg.path, "what", what)
			w.note(fmt.Sprintf("%s was changed by somebody else while the gateway was running: %s", w.seg.name(), what))
			w.next = true
		}
	}
	if w.file == nil || w.next || w.size >= w.max {
		return w.begin()
	}
	return nil
}

// mend takes off what is behind the last entry.
func (w *writer) mend() error {
	if !w.rest || w.next {
		return nil
	}
	if w.torn > 0 {
		if err := w.putAside(); err != nil {
			return fmt.Errorf("putting aside the audit log's torn end: %w", err)
		}
	}
	if err := errors.Join(w.file.Truncate(w.size), w.file.Sync()); err != nil {
		return fmt.Errorf("taking what was not written whole off the audit log: %w", err)
	}
	w.rest, w.torn = false, 0
	return nil
}

// putAside keeps the torn end of the segment in a file of its own.
func (w *writer) putAside() error {
	f, err := os.Open(w.seg.path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, min(w.torn, maxLine))
	if _, err := f.ReadAt(b, w.size); err != nil {
		return err
	}
	name := fmt.Sprintf("torn-%06d-%d", w.seg.number, w.size)
	if err := disk.WriteFile(filepath.Join(w.dir, name), b, 0o600); err != nil {
		return err
	}
	w.note(fmt.Sprintf("%d bytes at the end of %s were cut off: an entry that was being written when the machine or the gateway died. They are in %s", w.torn, w.seg.name(), name))
	return nil
}

// meddled says what somebody else did to the segment, or nothing.
func (w *writer) meddled() string {
	named, err := os.Stat(w.seg.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "it is gone"
	case err != nil:
		return "it cannot be reached: " + err.Error()
	}
	ours, err := w.file.Stat()
	switch {
	case err != nil:
		return "" // writing to it will tell
	case !os.SameFile(named, ours):
		return "another file has its name"
	case ours.Size() != w.size:
		return fmt.Sprintf("it has %d bytes, of which the gateway wrote %d", ours.Size(), w.size)
	}
	return ""
}

// begin begins the next segment.
func (w *writer) begin() error {
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return fmt.Errorf("the audit log: %w", err)
	}
	number := w.seg.number + 1
	for {
		seg := segmentOf(w.dir, number)
		f, err := w.open(seg.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		if errors.Is(err, fs.ErrExist) {
			number++ // somebody else's: what is there stays
			continue
		}
		if err == nil {
			err = disk.SyncDir(w.dir)
			if err != nil {
				err = errors.Join(err, f.Close(), os.Remove(seg.path))
			}
		}
		if err != nil {
			return fmt.Errorf("beginning a file of the audit log: %w", err)
		}
		if w.file != nil {
			_ = w.file.Close() // all of it is on the disk
		}
		w.seg, w.file, w.size = seg, f, 0
		w.rest, w.torn, w.next = false, 0, false
		return nil
	}
}

// append writes lines and brings them to the disk. After an error none of them
// counts.
func (w *writer) append(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := w.file.WriteAt(b, w.size)
	if err == nil {
		err = w.file.Sync()
	}
	if err == nil {
		w.size += int64(len(b))
		return nil
	}
	w.rest = true
	if err := w.mend(); err != nil { // else the next one tries
		w.log.Error("the audit log has an end that is not whole", "error", err)
	}
	return fmt.Errorf("writing the audit log: %w", err)
}

func (w *writer) note(message string) {
	w.notes = append(w.notes, Entry{Kind: Gap, Verified: true, Message: message})
}

func (w *writer) close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}
