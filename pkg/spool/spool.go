// Package spool is a queue on disk: records are appended, synced in groups, read
// in order by position, and removed by the file once all of a file is done
// with. A program that is killed, or a machine that loses power, keeps every
// record whose Append returned.
//
// # Format, version 1
//
// A folder holds segments, named after the position of their first byte in 16
// hexadecimal digits and ".seg". A position counts bytes since the spool was
// first made; there can be holes between segments, never overlaps. All numbers
// are little-endian, all checksums CRC-32C.
//
// A segment begins with 32 bytes:
//
//	 0  8  "DCSSPOOL"
//	 8  4  version, 1
//	12  4  zero
//	16  8  position of the segment's first byte, as in its name
//	24  4  checksum of bytes 0 to 23
//	28  4  zero
//
// Records follow without gaps:
//
//	 0  4  d5 72 65 63
//	 4  4  length of the body, at most 16 MiB
//	 8  4  checksum of the body
//	12  4  checksum of bytes 0 to 11, continued from the record's place in the
//	       file instead of from zero
//	16     the body, whose meaning is the caller's
//
// The header's own checksum makes the length trustworthy, so a record with a
// damaged body costs that record alone. Where a header is damaged, reading goes
// on at the next bytes that make a whole record. A body that holds the bytes of
// a record is not taken for one then: they are not in their place. Bytes at the
// end of a segment that make none are a torn tail, the remains of a write that
// was cut off: they were never confirmed to anyone. (If the next segment begins
// just behind them they were, and are damaged.) A segment is never written to
// again by another process than the one that made it.
//
// The file "checkpoint" says which positions are still to be read; see
// Checkpoint. Without it everything is.
package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// Pos is a place in a spool, in bytes since it was first made.
type Pos uint64

// Errors to tell apart.
var (
	// ErrFull says that the spool has reached its size, or that the disk has
	// reached its reserve. It goes on when a segment has been removed.
	ErrFull = errors.New("the spool is full")

	// ErrVersion says that a segment was written by a newer program.
	ErrVersion = errors.New("written by a newer version")
)

// Options bound a spool. Zero values are replaced by defaults.
type Options struct {
	SegmentBytes int64 // a segment that is this long is closed; default 16 MiB
	MaxBytes     int64 // of all segments; default without bound

	// Reserve is what Append leaves free on the disk, for others that have to
	// write before a segment can be removed; but at most a tenth of the disk.
	Reserve int64
}

// Spool is an open spool. Append is for one goroutine; the rest is safe for
// concurrent use.
type Spool struct {
	dir  string
	opts Options
	file file // the segment being written, or nil
	open func(name string) (file, error)

	mu       sync.Mutex
	segments []segment // in order
	writing  bool      // the last of them is being written
	tail     Pos       // behind all that was ever written
	bytes    int64
	grown    chan struct{} // closed by the next Append, or when a segment ends, then replaced
}

// file is an *os.File as far as it is written to.
type file interface {
	io.Writer
	Truncate(size int64) error
	Sync() error
	Close() error
}

// segment is one file; size is what may be read of it.
type segment struct {
	base Pos
	size int64
}

func (g segment) end() Pos { return g.base + Pos(g.size) }

// Report is what Open found.
type Report struct {
	Bytes   int64    // in all segments
	Torn    int64    // bytes of torn tails that were cut off
	Damaged []string // files whose header is damaged; their records are read all the same
}

// Open opens the spool in dir, and makes the folder if there is none. A torn
// tail is cut off and reported. The folder is the caller's to lock.
func Open(dir string, opts Options) (*Spool, Report, error) {
	if opts.SegmentBytes <= 0 {
		opts.SegmentBytes = 16 << 20
	}
	s := &Spool{dir: dir, opts: opts, grown: make(chan struct{}), open: create}
	var r Report
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, r, fmt.Errorf("spool: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, r, fmt.Errorf("spool: %w", err)
	}
	var bases []Pos
	for _, e := range entries {
		digits, is := strings.CutSuffix(e.Name(), ".seg")
		base, err := strconv.ParseUint(digits, 16, 62)
		if is && err == nil && len(digits) == 16 {
			bases = append(bases, Pos(base))
		}
	}
	slices.Sort(bases)
	for i, base := range bases {
		next := Forever
		if i+1 < len(bases) {
			next = bases[i+1]
		}
		if err := s.adopt(base, next, &r); err != nil {
			return nil, r, fmt.Errorf("%s: %w", s.name(base), err)
		}
	}
	for i := 1; i < len(s.segments); i++ { // a stray copy must not be read as something it is not
		if before := &s.segments[i-1]; before.end() > s.segments[i].base {
			before.size = int64(s.segments[i].base - before.base)
		}
	}
	for _, g := range s.segments {
		s.bytes += g.size
	}
	if n := len(s.segments); n > 0 {
		s.tail = s.segments[n-1].end()
	}
	// Segments that were removed, by Release or by hand, leave their positions
	// taken: what comes next must not be held for something that has been read.
	if c, err := s.Load(); err == nil {
		s.tail = max(s.tail, c.Pending.end())
	}
	r.Bytes = s.bytes
	return s, r, nil
}

// adopt takes over a segment of an earlier process. The one behind it begins at
// next.
func (s *Spool) adopt(base, next Pos, r *Report) error {
	f, err := os.OpenFile(s.name(base), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := make([]byte, segmentHeader)
	n, err := io.ReadFull(f, h)
	if n < segmentHeader && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		r.Torn += info.Size()
		return os.Remove(s.name(base)) // cut off while it was made
	}
	if err != nil {
		return err
	}
	switch v, ok := readHeader(h, base); {
	case !ok:
		r.Damaged = append(r.Damaged, filepath.Base(s.name(base)))
	case v != version:
		return fmt.Errorf("%w: it has version %d, this program knows %d: let that program empty it, or move it away", ErrVersion, v, version)
	}
	end, err := lastWhole(f, info.Size())
	if err != nil {
		return err
	}
	if base+Pos(info.Size()) == next {
		end = info.Size() // all of it was confirmed
	}
	if end < info.Size() {
		r.Torn += info.Size() - end
		if err := f.Truncate(end); err != nil {
			return err
		}
	}
	s.segments = append(s.segments, segment{base, end})
	return nil
}

// lastWhole is where the last whole record of a segment ends.
func lastWhole(f io.ReaderAt, size int64) (int64, error) {
	w := window{src: f, off: segmentHeader, end: size}
	for {
		_, at, _, err := w.next()
		switch {
		case errors.Is(err, io.EOF):
			return w.off, nil
		case errors.Is(err, errTorn):
			return at, nil
		case err != nil && !errors.Is(err, errDamaged):
			return 0, err
		}
	}
}

func create(name string) (file, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
}

func (s *Spool) name(base Pos) string {
	return filepath.Join(s.dir, fmt.Sprintf("%016x.seg", uint64(base)))
}

// Append writes records, made with Begin and End, and returns when they are on
// disk. It completes their headers, which say where they stand. After an error
// none of them counts as written, though some may turn up after a restart; the
// next Append begins a new segment.
func (s *Spool) Append(records []byte) error {
	if len(records) == 0 {
		return nil
	}
	s.mu.Lock()
	full := s.opts.MaxBytes > 0 && s.bytes+int64(len(records)) > s.opts.MaxBytes
	size := int64(0)
	if s.file != nil {
		size = s.segments[len(s.segments)-1].size
	}
	s.mu.Unlock()
	err := s.leaves(int64(len(records)))
	if full {
		err = fmt.Errorf("%w: %d bytes", ErrFull, s.opts.MaxBytes)
	}
	if err != nil {
		if s.file != nil {
			_ = s.closeFile() // or it could not be removed when it is done with
		}
		return err
	}
	if s.file != nil && size >= s.opts.SegmentBytes {
		_ = s.closeFile() // all of it is synced
	}
	if s.file == nil {
		if err := s.begin(); err != nil {
			return fmt.Errorf("spool: new segment: %w", err)
		}
		size = segmentHeader
	}
	if err := seal(records, size); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	_, err = s.file.Write(records)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		// After a failed sync nobody knows what of this file is on disk: it is
		// cut to what was confirmed, and not written to again.
		_ = s.file.Truncate(size)
		_ = s.closeFile()
		if size == segmentHeader {
			s.drop()
		}
		return fmt.Errorf("spool: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments[len(s.segments)-1].size += int64(len(records))
	s.tail = s.segments[len(s.segments)-1].end()
	s.bytes += int64(len(records))
	close(s.grown)
	s.grown = make(chan struct{})
	return nil
}

// drop takes away the last segment, in which nothing was confirmed: a disk that
// is full for a day must not fill with empty files as well.
func (s *Spool) drop() {
	s.mu.Lock()
	n := len(s.segments) - 1
	g := s.segments[n]
	s.segments = s.segments[:n:n]
	s.bytes -= g.size
	s.mu.Unlock()
	_ = os.Remove(s.name(g.base)) // the next one has another name in any case
}

// closeFile ends the writing of a segment.
func (s *Spool) closeFile() error {
	err := s.file.Close()
	s.file = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	close(s.grown) // a reader that waits at its end lets go of the file
	s.grown = make(chan struct{})
	return err
}

// begin makes a new segment. Its place follows all that was ever written: a
// write that failed may have left bytes behind.
func (s *Spool) begin() error {
	s.mu.Lock()
	base := s.tail
	s.mu.Unlock()
	for {
		if _, err := os.Lstat(s.name(base)); errors.Is(err, os.ErrNotExist) {
			break
		}
		base += Pos(s.opts.SegmentBytes) // of a begin that failed half way
	}
	f, err := s.open(s.name(base))
	if err != nil {
		return err
	}
	_, err = f.Write(makeHeader(base))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(s.name(base))
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = f
	s.segments = append(s.segments, segment{base, segmentHeader})
	s.writing, s.tail = true, base+segmentHeader
	s.bytes += segmentHeader
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// End is the position behind the last record.
func (s *Spool) End() Pos {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tail
}

// Grown is closed when something is appended after the call.
func (s *Spool) Grown() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grown
}

// SegmentEnd is where the segment ends that holds pos, or else the next one;
// the end of all where there is none.
func (s *Spool) SegmentEnd(pos Pos) Pos {
	if g, ok := s.after(pos); ok {
		return g.end()
	}
	return s.End()
}

// Size is how many bytes the segments have.
func (s *Spool) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// Release removes the segments of which nothing is pending, but for the one
// being written.
func (s *Spool) Release(pending Ranges) error {
	s.mu.Lock()
	var done []segment
	kept := s.segments[:0:0]
	for i, g := range s.segments {
		if s.writing && i == len(s.segments)-1 || pending.touch(g.base, g.end()) {
			kept = append(kept, g)
		} else {
			done = append(done, g)
		}
	}
	s.segments = kept
	for _, g := range done {
		s.bytes -= g.size
	}
	s.mu.Unlock()
	var errs []error
	for _, g := range done {
		if err := os.Remove(s.name(g.base)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("spool: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Close closes the segment being written.
func (s *Spool) Close() error {
	if s.file == nil {
		return nil
	}
	return s.closeFile()
}

// writes reports whether the segment that begins at base is being written.
func (s *Spool) writes(base Pos) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writing && s.segments[len(s.segments)-1].base == base
}

// after gives the segment that holds pos, or else the next one, and whether
// there is one.
func (s *Spool) after(pos Pos) (segment, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := sort.Search(len(s.segments), func(i int) bool { return pos < s.segments[i].end() })
	if i == len(s.segments) {
		return segment{}, false
	}
	return s.segments[i], true
}
