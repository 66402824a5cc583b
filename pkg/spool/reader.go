package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// Damage is what a Reader finds where a record was: something that was
// confirmed is lost. Reading goes on behind it.
type Damage struct {
	Pos   Pos
	Bytes int64
	Raw   []byte // the bytes, or the first of them; a record's without its header
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%d bytes at position %d of the spool are damaged", d.Bytes, d.Pos)
}

// Reader reads records in order. It is for one goroutine.
type Reader struct {
	s   *Spool
	pos Pos
	seg segment
	f   *os.File
	win window
}

// NewReader gives a reader that begins at pos, or behind it when what was there
// has been removed.
func (s *Spool) NewReader(pos Pos) *Reader { return &Reader{s: s, pos: pos} }

// Pos is where the next record is looked for: all before it has been read.
func (r *Reader) Pos() Pos { return r.pos }

// Seek goes on at another position.
func (r *Reader) Seek(pos Pos) { r.pos, r.win.off = pos, 0; r.place() }

// place puts the window where pos is, if that is in the open segment.
func (r *Reader) place() {
	if r.f != nil && r.pos >= r.seg.base && r.pos < r.seg.end() {
		r.win.off = max(int64(r.pos-r.seg.base), segmentHeader)
		return
	}
	r.win.off, r.win.end = 0, 0
}

// Next gives the body of the next record, which is valid until the next call.
// The error is io.EOF at the end of what has been appended so far, a *Damage,
// after which Next goes on, or what went wrong with reading the file, after
// which it tries again.
func (r *Reader) Next() ([]byte, error) {
	for r.win.off >= r.win.end {
		if err := r.refresh(); err != nil {
			return nil, err
		}
	}
	b, at, n, err := r.win.next()
	switch {
	case errors.Is(err, errDamaged) || errors.Is(err, errTorn): // Open has cut off what really is torn
		d := &Damage{Pos: r.seg.base + Pos(at), Bytes: n, Raw: bytes.Clone(b)}
		r.pos = d.Pos + Pos(n)
		return nil, d
	case err != nil:
		return nil, fmt.Errorf("spool: %s: %w", r.f.Name(), err)
	}
	r.pos = r.seg.base + Pos(at) + Pos(n)
	return b, nil
}

// refresh finds the segment where pos is, or how far it has grown.
func (r *Reader) refresh() error {
	g, ok := r.s.after(r.pos)
	if !ok {
		if !r.s.writes(r.seg.base) {
			r.Close() // or the disk keeps its bytes after Release has removed it
		}
		return io.EOF
	}
	if r.f == nil || g.base != r.seg.base {
		r.Close()
		f, err := os.Open(r.s.name(g.base))
		if err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		r.f, r.win.src, r.win.buf = f, f, r.win.buf[:0]
	}
	r.seg = g
	r.pos = max(r.pos, g.base+segmentHeader)
	r.win.off, r.win.end = int64(r.pos-g.base), g.size
	return nil
}

// Close closes the file being read. The reader can be used again.
func (r *Reader) Close() {
	if r.f != nil {
		_ = r.f.Close()
		r.f = nil
	}
	r.win.off, r.win.end, r.win.buf = 0, 0, r.win.buf[:0]
}

var (
	errDamaged = errors.New("damaged")
	errTorn    = errors.New("torn")
)

// Sizes of what is read at once.
const (
	chunk   = 256 << 10
	rawKept = 64 << 10 // of damaged bytes
)

// window reads the records of one segment through a buffer.
type window struct {
	src io.ReaderAt
	off int64 // where the next record is looked for
	end int64 // nothing is read from here on

	buf   []byte
	bufAt int64 // where buf begins
}

// need gives at least n bytes at a place, all of them before end.
func (w *window) need(at int64, n int) ([]byte, error) {
	if i := at - w.bufAt; i >= 0 && i+int64(n) <= int64(len(w.buf)) {
		return w.buf[i:], nil
	}
	size := min(max(n, chunk), int(w.end-at))
	if cap(w.buf) < size {
		w.buf = make([]byte, max(size, chunk))
	}
	w.buf, w.bufAt = w.buf[:size], at
	got, err := w.src.ReadAt(w.buf, at)
	if got < size {
		w.buf = w.buf[:0]
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF // the file is shorter than it was
		}
		return nil, err
	}
	return w.buf, nil
}

// look examines the bytes at a place; a record that does not end before end is
// noise.
func (w *window) look(at int64) (body []byte, v verdict, n int64, err error) {
	size := RecordHeader
	for {
		if at+int64(size) > w.end {
			return nil, noise, 0, nil
		}
		b, err := w.need(at, size)
		if err != nil {
			return nil, noise, 0, err
		}
		v, size = examine(b, at)
		switch v {
		case noise:
			return nil, noise, 0, nil
		case whole, damaged:
			return b[RecordHeader:size], v, int64(size), nil
		}
	}
}

// next gives the body of the next record, or what stands in its place, and how
// many bytes that has at which place.
func (w *window) next() (b []byte, at, n int64, err error) {
	at = w.off
	if at >= w.end {
		return nil, at, 0, io.EOF
	}
	b, v, n, err := w.look(at)
	switch {
	case err != nil:
		return nil, at, 0, err
	case v == whole:
		w.off += n
		return b, at, n, nil
	case v == damaged:
		w.off += n
		return b[:min(len(b), rawKept)], at, n, errDamaged
	}
	next, err := w.search(at + 1)
	if err != nil {
		return nil, at, 0, err
	}
	raw, err := w.need(at, int(min(next-at, rawKept)))
	if err != nil {
		return nil, at, 0, err
	}
	w.off = next
	reason := errDamaged
	if next == w.end {
		reason = errTorn
	}
	return raw[:min(next-at, rawKept)], at, next - at, reason
}

// search finds the next record from a place on, or gives end.
func (w *window) search(at int64) (int64, error) {
	for at+RecordHeader <= w.end {
		b, err := w.need(at, RecordHeader)
		if err != nil {
			return 0, err
		}
		b = b[:min(int64(len(b)), w.end-at)]
		i := bytes.Index(b, recordMagic[:])
		if i < 0 {
			at += int64(len(b) - len(recordMagic) + 1)
			continue
		}
		at += int64(i)
		_, v, _, err := w.look(at)
		if err != nil {
			return 0, err
		}
		if v == whole || v == damaged {
			return at, nil
		}
		at++
	}
	return w.end, nil
}
