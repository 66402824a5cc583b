package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// rec makes records of bodies, as Append takes them.
func rec(bodies ...string) (b []byte) {
	for _, body := range bodies {
		begin := len(b)
		b = append(Begin(b), body...)
		End(b, begin)
	}
	return b
}

func mustOpen(t testing.TB, dir string, opts Options) (*Spool, Report) {
	t.Helper()
	s, r, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, r
}

func mustAppend(t testing.TB, s *Spool, bodies ...string) {
	t.Helper()
	if err := s.Append(rec(bodies...)); err != nil {
		t.Fatal(err)
	}
}

// found is what a reader found: bodies, and the damage between them.
type found struct {
	bodies []string
	at     []Pos // where each record begins
	damage []*Damage
}

// readFrom reads what there is from pos on.
func readFrom(t testing.TB, s *Spool, pos Pos) (f found) {
	t.Helper()
	r := s.NewReader(pos)
	defer r.Close()
	for {
		b, err := r.Next()
		var d *Damage
		switch {
		case errors.Is(err, io.EOF):
			if b, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Fatalf("behind the end: %q, %v", b, err)
			}
			return f
		case errors.As(err, &d):
			f.damage = append(f.damage, d)
		case err != nil:
			t.Fatal(err)
		default:
			f.bodies = append(f.bodies, string(b))
			f.at = append(f.at, r.Pos()-Pos(len(b)+RecordHeader))
		}
		if len(f.bodies)+len(f.damage) > 1e6 {
			t.Fatal("it does not end")
		}
	}
}

func wantBodies(t testing.TB, f found, want ...string) {
	t.Helper()
	for _, d := range f.damage {
		t.Errorf("damage: %v", d)
	}
	if !slices.Equal(f.bodies, want) {
		t.Errorf("read %d records %.200q, want %d %.200q", len(f.bodies), f.bodies, len(want), want)
	}
}

func random(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return string(b)
}

func TestRoundTrip(t *testing.T) {
	var bodies []string
	for _, n := range []int{0, 1, 0, 15, 16, 17, 1000, chunk - 16, chunk, chunk + 1, 3 * chunk, MaxRecord, 5} {
		bodies = append(bodies, random(n))
	}
	for _, segment := range []int64{1, 100, 1 << 20, 1 << 30} { // one record each, …, all in one
		dir := filepath.Join(t.TempDir(), "made", "by", "open")
		s, report := mustOpen(t, dir, Options{SegmentBytes: segment})
		if report.Bytes != 0 || report.Torn != 0 || s.End() != 0 || s.Size() != 0 {
			t.Errorf("a new spool has %+v", report)
		}
		var ends []Pos
		for i := 0; i < len(bodies); i += 2 { // in twos
			mustAppend(t, s, bodies[i:min(i+2, len(bodies))]...)
			ends = append(ends, s.End())
		}
		if !slices.IsSorted(ends) || len(slices.Compact(ends)) != len(ends) {
			t.Errorf("the end does not move: %v", ends)
		}
		for _, reopened := range []bool{false, true} {
			if reopened {
				size := s.Size()
				s.Close()
				s, report = mustOpen(t, dir, Options{SegmentBytes: segment})
				if report.Torn != 0 || len(report.Damaged) > 0 || report.Bytes != size || s.End() != ends[len(ends)-1] {
					t.Errorf("opened again: %+v, end %d, want %d bytes, end %d", report, s.End(), size, ends[len(ends)-1])
				}
			}
			all := readFrom(t, s, 0)
			wantBodies(t, all, bodies...)
			for i, pos := range all.at { // every record can be read by itself, by its position
				wantBodies(t, readFrom(t, s, pos), bodies[i:]...)
			}
		}
		mustAppend(t, s, "later")
		wantBodies(t, readFrom(t, s, ends[len(ends)-1]), "later")
	}
}

func TestAppendNothing(t *testing.T) {
	s, _ := mustOpen(t, t.TempDir(), Options{})
	if err := s.Append(nil); err != nil || s.Size() != 0 || s.End() != 0 {
		t.Errorf("%v, %d bytes", err, s.Size())
	}
}

// One reader goes from the beginning, another along with what comes, a third is
// sent about; segments are removed behind the first. All see all.
func TestReadWhileAppending(t *testing.T) {
	const records = 3000
	s, _ := mustOpen(t, t.TempDir(), Options{SegmentBytes: 2000})
	body := func(i int) string { return fmt.Sprint(i, strings.Repeat(".", i%100)) }
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for i := 0; i < records; {
			var group []string
			for range 1 + i%7 {
				group = append(group, body(i))
				i++
			}
			if err := s.Append(rec(group...)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	follow := func(release bool) {
		r := s.NewReader(0)
		defer r.Close()
		pending := All()
		for i := 0; i < records; {
			grown := s.Grown()
			b, err := r.Next()
			if errors.Is(err, io.EOF) {
				select {
				case <-grown:
				case <-done: // the last ones may have come before Grown
				}
				continue
			}
			if err != nil || string(b) != body(i) {
				t.Errorf("record %d: %q, %v", i, b, err)
				return
			}
			i++
			if release && i%100 == 0 {
				pending = pending.Done(0, r.Pos())
				if err := s.Release(pending); err != nil {
					t.Error(err)
				}
			}
		}
	}
	wg.Go(func() { follow(true) })
	wg.Wait()
	if n := len(s.segments); n > 2+100*60/2000 {
		t.Errorf("%d segments are left", n)
	}
	if err := s.Release(Ranges{{s.End(), Forever}}); err != nil {
		t.Error(err)
	}
	if s.Size() > 2500 {
		t.Errorf("%d bytes are left", s.Size())
	}
}

func TestSeek(t *testing.T) {
	s, _ := mustOpen(t, t.TempDir(), Options{SegmentBytes: 500})
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprint("record ", i))
		mustAppend(t, s, want[i])
	}
	at := readFrom(t, s, 0).at
	r := s.NewReader(0)
	defer r.Close()
	for range 2000 {
		i := rand.IntN(len(at))
		r.Seek(at[i])
		if r.Pos() != at[i] {
			t.Fatalf("at %d, sent to %d", r.Pos(), at[i])
		}
		for ; i < len(at) && rand.IntN(4) > 0; i++ {
			if b, err := r.Next(); err != nil || string(b) != want[i] {
				t.Fatalf("record %d: %q, %v", i, b, err)
			}
		}
	}
	r.Seek(s.End())
	if b, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("%q, %v", b, err)
	}
	mustAppend(t, s, "more")
	if b, err := r.Next(); err != nil || string(b) != "more" {
		t.Errorf("%q, %v", b, err)
	}
}

// Whatever is pending can still be read after Release, also in another process.
func TestReleaseKeepsWhatIsPending(t *testing.T) {
	for round := range 60 {
		dir := t.TempDir()
		s, _ := mustOpen(t, dir, Options{SegmentBytes: 200})
		for i := range 60 {
			mustAppend(t, s, fmt.Sprint(i, strings.Repeat("x", rand.IntN(40))))
		}
		if round%2 == 0 { // no segment is being written
			s.Close()
			s, _ = mustOpen(t, dir, Options{SegmentBytes: 200})
		}
		all := readFrom(t, s, 0)
		pending := All()
		for range 1 + rand.IntN(4) { // done: between records
			a, b := rand.IntN(len(all.at)), rand.IntN(len(all.at)+1)
			to := s.End()
			if b < len(all.at) {
				to = all.at[b]
			}
			pending = pending.Done(all.at[a], max(to, all.at[a]))
		}
		if err := s.Save(pending, nil); err != nil {
			t.Fatal(err)
		}
		end := s.End()
		if err := s.Release(pending); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			left := readFrom(t, s, 0)
			for i, pos := range all.at {
				if pending.touch(pos, pos+1) && !slices.Contains(left.bodies, all.bodies[i]) {
					t.Fatalf("round %d: record %q at %d is gone, pending %v", round, all.bodies[i], pos, pending)
				}
			}
			if len(left.damage) > 0 {
				t.Fatalf("round %d: %v", round, left.damage[0])
			}
			s.Close()
			s, _ = mustOpen(t, dir, Options{SegmentBytes: 200})
			if c, err := s.Load(); err != nil || !slices.Equal(c.Pending, pending) {
				t.Fatalf("round %d: pending %v, %v, want %v", round, c.Pending, err, pending)
			}
		}
		if s.End() < end && pending[len(pending)-1].From > s.End() {
			t.Fatalf("round %d: the end went back from %d to %d", round, end, s.End())
		}
	}
}

// A process that ends with nothing left to read, and another that is killed
// before it has saved a checkpoint: what it took is not taken for what was read.
func TestEverythingReleasedAndKilled(t *testing.T) {
	dir := t.TempDir()
	s, _ := mustOpen(t, dir, Options{})
	mustAppend(t, s, "read", "read", "read")
	s.Close()
	s, _ = mustOpen(t, dir, Options{})
	pending := Ranges{{s.End(), Forever}}
	if err := errors.Join(s.Save(pending, nil), s.Release(pending)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for i := range 3 { // killed again and again, and never a checkpoint
		s, _ = mustOpen(t, dir, Options{})
		if c, err := s.Load(); err != nil {
			t.Error(c, err)
		}
		mustAppend(t, s, fmt.Sprint("new ", i))
		s.Close()
	}
	s, _ = mustOpen(t, dir, Options{})
	wantPending(t, s, "new 0", "new 1", "new 2")
}

// wantPending reads what the checkpoint says is pending.
func wantPending(t *testing.T, s *Spool, want ...string) {
	t.Helper()
	c, err := s.Load()
	if err != nil {
		t.Error(err)
	}
	all := readFrom(t, s, 0)
	var got []string
	for i, pos := range all.at {
		if c.Pending.touch(pos, pos+1) {
			got = append(got, all.bodies[i])
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pending are %q of %q, want %q: %v", got, all.bodies, want, c.Pending)
	}
}

// A spool that was emptied or cut by hand under its checkpoint does not hide
// what comes next, whether or not a checkpoint is saved before the next kill.
func TestCutByHand(t *testing.T) {
	for _, tt := range []struct {
		name string
		cut  func(t *testing.T, segments []string)
		left []string // of what was pending
	}{
		{"emptied", func(t *testing.T, segments []string) {
			for _, name := range segments {
				_ = os.Remove(name)
			}
		}, nil},
		{"the last file removed", func(t *testing.T, segments []string) { _ = os.Remove(segments[len(segments)-1]) }, nil},
		{"the last file cut", func(t *testing.T, segments []string) {
			_ = os.Truncate(segments[len(segments)-1], segmentHeader+3)
		}, nil},
		{"the last file emptied", func(t *testing.T, segments []string) { _ = os.Truncate(segments[len(segments)-1], 0) }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := mustOpen(t, dir, Options{SegmentBytes: 100})
			for i := range 20 {
				mustAppend(t, s, fmt.Sprint("old ", i))
			}
			if err := s.Save(Ranges{{s.End(), Forever}}, nil); err != nil {
				t.Fatal(err)
			}
			s.Close()
			segments, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
			tt.cut(t, segments)
			var want []string
			for i := range 4 {
				s, _ = mustOpen(t, dir, Options{SegmentBytes: 100})
				if _, err := s.Load(); err != nil {
					t.Error(err)
				}
				want = append(want, fmt.Sprint("new ", i))
				mustAppend(t, s, want[i])
				s.Close()
			}
			s, _ = mustOpen(t, dir, Options{SegmentBytes: 100})
			wantPending(t, s, want...)
		})
	}
}

// written is a small spool on disk.
type written struct {
	dir    string
	bodies []string
	at     []Pos
	end    Pos
}

func writeSmall(t testing.TB, segment int64, bodies ...string) written {
	w := written{dir: t.TempDir(), bodies: bodies}
	s, _ := mustOpen(t, w.dir, Options{SegmentBytes: segment})
	for _, b := range bodies {
		mustAppend(t, s, b)
	}
	w.at, w.end = readFrom(t, s, 0).at, s.End()
	s.Close()
	return w
}

// files are the segments of a spool.
func (w written) files(t testing.TB) map[string][]byte {
	names, _ := filepath.Glob(filepath.Join(w.dir, "*.seg"))
	all := make(map[string][]byte)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(name)] = b
	}
	return all
}

func writeFiles(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Fault 4: cut at every byte, a segment gives what is whole in it, says what it
// cut off, and goes on.
func TestFault04TornTail(t *testing.T) {
	w := writeSmall(t, 1<<20, "first", "", "the third", strings.Repeat("4", 50), string(rec("a record in a record")))
	name, whole := "0000000000000000.seg", w.files(t)["0000000000000000.seg"]
	dir := filepath.Join(t.TempDir(), "cut")
	for n := range len(whole) + 1 {
		writeFiles(t, dir, map[string][]byte{name: whole[:n]})
		s, report := mustOpen(t, dir, Options{})
		end, kept := int64(segmentHeader), 0
		for i, pos := range w.at {
			if e := int64(pos) + RecordHeader + int64(len(w.bodies[i])); e <= int64(n) {
				end, kept = e, kept+1
			}
		}
		if n < segmentHeader {
			end = 0
		}
		if report.Torn != int64(n)-end || report.Bytes != end || len(report.Damaged) > 0 {
			t.Errorf("cut at %d: %+v, want %d torn", n, report, int64(n)-end)
		}
		wantBodies(t, readFrom(t, s, 0), w.bodies[:kept]...)
		mustAppend(t, s, "goes on")
		wantBodies(t, readFrom(t, s, 0), append(slices.Clone(w.bodies[:kept]), "goes on")...)
		s.Close()
		s, report = mustOpen(t, dir, Options{})
		if report.Torn != 0 {
			t.Errorf("cut at %d: said again: %+v", n, report)
		}
		wantBodies(t, readFrom(t, s, 0), append(slices.Clone(w.bodies[:kept]), "goes on")...)
		s.Close()
	}
}

// A tail of zeros, or of what was on the disk before, is a torn one too.
func TestFault04Garbage(t *testing.T) {
	w := writeSmall(t, 1<<20, "first", "second")
	name, whole := "0000000000000000.seg", w.files(t)["0000000000000000.seg"]
	header := rec(strings.Repeat("x", 100))
	for _, tail := range []string{string(make([]byte, 5000)), random(5000), string(recordMagic[:]), strings.Repeat(string(recordMagic[:]), 1000), string(header[:50])} {
		dir := filepath.Join(t.TempDir(), "torn")
		writeFiles(t, dir, map[string][]byte{name: slices.Concat(whole, []byte(tail))})
		s, report := mustOpen(t, dir, Options{})
		if report.Torn != int64(len(tail)) {
			t.Errorf("%+v, want %d torn", report, len(tail))
		}
		mustAppend(t, s, "third")
		wantBodies(t, readFrom(t, s, 0), "first", "second", "third")
	}
}

// tricky are bodies that look like what is around them.
func tricky() []string {
	return []string{
		"plain", string(recordMagic[:]), "", string(rec("inner")), string(rec("a", "b", "c")) + "tail",
		strings.Repeat(string(recordMagic[:]), 5), string(makeHeader(0)), string(rec("last"))[:20], "end",
	}
}

func TestTrickyBodies(t *testing.T) {
	w := writeSmall(t, 1<<20, tricky()...)
	s, report := mustOpen(t, w.dir, Options{})
	wantBodies(t, readFrom(t, s, 0), w.bodies...)
	if report.Torn > 0 {
		t.Errorf("%+v", report)
	}
}

// Fault 16: one bit of a segment turned round, any one of them. Everything
// else is intact, the damage is reported, and nothing turns up that was not
// written.
func TestFault16FlippedBit(t *testing.T) {
	for _, tt := range []struct {
		name    string
		segment int64
		bodies  []string
	}{
		{"one segment", 1 << 20, []string{"first", "", "the third one", "4"}},
		{"several segments", 100, []string{"first", "second, which is longer than the first was", "third", "", "fifth", "sixth", "seventh"}},
		{"bodies that look like records", 1 << 20, tricky()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := writeSmall(t, tt.segment, tt.bodies...)
			files := w.files(t)
			dir := filepath.Join(t.TempDir(), "flipped")
			for name, whole := range files {
				for bit := range 8 * len(whole) {
					if bit == 0 || bit%37 == 1 { // it went on, or there is nothing yet
						writeFiles(t, dir, files)
					}
					flipped := bytes.Clone(whole)
					flipped[bit/8] ^= 1 << (bit % 8)
					if err := os.WriteFile(filepath.Join(dir, name), flipped, 0o600); err != nil {
						t.Fatal(err)
					}
					checkFlipped(t, dir, w, name, bit)
					if t.Failed() {
						return
					}
				}
				writeFiles(t, dir, files)
			}
		})
	}
}

func checkFlipped(t *testing.T, dir string, w written, name string, bit int) {
	t.Helper()
	s, report, err := Open(dir, Options{})
	if err != nil {
		t.Fatalf("%s, bit %d: %v", name, bit, err)
	}
	defer s.Close()
	got := readFrom(t, s, 0)
	lost := missing(w.bodies, got.bodies)
	if lost < 0 {
		t.Fatalf("%s, byte %d, bit %d: read %q, written %q", name, bit/8, bit%8, got.bodies, w.bodies)
	}
	said := report.Torn > 0 || len(report.Damaged) > 0 || len(got.damage) > 0
	unused := bit/8 >= 28 && bit/8 < segmentHeader // of no checksum and no meaning
	if lost > 1 || !said && !unused || lost == 1 && report.Torn == 0 && len(got.damage) == 0 {
		t.Fatalf("%s, byte %d, bit %d: %d lost, report %+v, damage %v", name, bit/8, bit%8, lost, report, got.damage)
	}
	if bit%37 != 0 { // a sync takes its time
		return
	}
	if err := s.Append(rec("goes on")); err != nil {
		t.Fatal(err)
	}
	if after := readFrom(t, s, 0); len(after.bodies) != len(got.bodies)+1 || after.bodies[len(got.bodies)] != "goes on" {
		t.Fatalf("%s, bit %d: then %q", name, bit, after.bodies)
	}
}

// missing is how many of the written ones were not read, in order; negative
// when something was read that was not written.
func missing(written, read []string) int {
	i := 0
	for _, b := range read {
		for i < len(written) && written[i] != b {
			i++
		}
		if i == len(written) {
			return -1
		}
		i++
	}
	return len(written) - len(read)
}

// A bit that turns round under a process that is running, in what it has
// confirmed: whatever is damaged, it is no torn write.
func TestFault16WhileRunning(t *testing.T) {
	w := writeSmall(t, 1<<20, "first", "second", "third")
	name, whole := "0000000000000000.seg", w.files(t)["0000000000000000.seg"]
	s, _ := mustOpen(t, w.dir, Options{})
	for i := segmentHeader; i < len(whole); i++ {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0x10
		if err := os.WriteFile(filepath.Join(w.dir, name), flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		got := readFrom(t, s, 0)
		if len(got.bodies) != 2 || missing(w.bodies, got.bodies) != 1 || len(got.damage) != 1 {
			t.Fatalf("byte %d: read %q, %v", i, got.bodies, got.damage)
		}
		d := got.damage[0]
		if strings.Contains(d.Error(), "cut off") || len(d.Raw) == 0 {
			t.Fatalf("byte %d: said %q, raw %q", i, d, d.Raw)
		}
	}
}

// Damage at the end of a segment that is not the last is none of a torn write:
// the next one begins where it ended.
func TestFault16EndOfSegment(t *testing.T) {
	w := writeSmall(t, 1, "first", "second", "third")
	name := filepath.Join(w.dir, fmt.Sprintf("%016x.seg", uint64(w.at[1]-segmentHeader)))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[segmentHeader] ^= 1 // the record's header
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // also when it is opened again
		s, report := mustOpen(t, w.dir, Options{})
		got := readFrom(t, s, 0)
		if report.Torn != 0 || !slices.Equal(got.bodies, []string{"first", "third"}) || len(got.damage) != 1 || !bytes.HasSuffix(got.damage[0].Raw, []byte("second")) {
			t.Errorf("%+v, %q, %v", report, got.bodies, got.damage)
		}
		s.Close()
	}
}

// Many places of damage, large and small: what is left is all read.
func TestManyDamages(t *testing.T) {
	var bodies []string
	for i := range 400 {
		bodies = append(bodies, fmt.Sprint(i, ":", random(rand.IntN(300))))
	}
	w := writeSmall(t, 1<<20, bodies...)
	name := filepath.Join(w.dir, "0000000000000000.seg")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		b := bytes.Clone(whole)
		hurt := make(map[string]bool)
		for range 1 + rand.IntN(20) {
			from := segmentHeader + rand.IntN(len(b)-segmentHeader)
			to := min(len(b), from+1+rand.IntN(1000))
			for i := from; i < to; i++ {
				b[i] ^= 0xff
			}
			for i, pos := range w.at {
				if int(pos) < to && from < int(pos)+RecordHeader+len(bodies[i]) {
					hurt[bodies[i]] = true
				}
			}
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := mustOpen(t, w.dir, Options{})
		got := readFrom(t, s, 0)
		if missing(bodies, got.bodies) < 0 {
			t.Fatal("something that was not written")
		}
		for _, body := range bodies {
			if !hurt[body] && !slices.Contains(got.bodies, body) {
				t.Fatalf("%.20q is lost and was not hurt", body)
			}
		}
		s.Close()
	}
}

func TestNewerVersion(t *testing.T) {
	w := writeSmall(t, 1<<20, "from the future")
	name := filepath.Join(w.dir, "0000000000000000.seg")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b[8:], 2)
	binary.LittleEndian.PutUint32(b[24:], crc32.Checksum(b[:24], castagnoli))
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err = Open(w.dir, Options{})
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), name) {
		t.Errorf("%v", err)
	}
	if after, _ := os.ReadFile(name); !bytes.Equal(after, b) {
		t.Error("it was touched")
	}
}

// Other files in the folder are left alone.
func TestStrangers(t *testing.T) {
	w := writeSmall(t, 1<<20, "ours")
	for _, name := range []string{"notes.txt", "x.seg", "00000000000000zz.seg", "0.seg", "ffffffffffffffff.seg", "checkpoint.new"} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(strings.Repeat("stranger ", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := mustOpen(t, w.dir, Options{SegmentBytes: 10})
	for i := range 10 {
		mustAppend(t, s, fmt.Sprint(i))
	}
	wantBodies(t, readFrom(t, s, 0), "ours", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
	s.Close()
	s, _ = mustOpen(t, w.dir, Options{SegmentBytes: 10})
	wantBodies(t, readFrom(t, s, 0), "ours", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
}

func TestFull(t *testing.T) {
	s, _ := mustOpen(t, t.TempDir(), Options{SegmentBytes: 1000, MaxBytes: 5000})
	body := strings.Repeat("x", 184) // 200 with its header
	n := 0
	for ; ; n++ {
		err := s.Append(rec(body))
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		break
	}
	if s.Size() > 5000 || s.Size() < 4500 {
		t.Errorf("full at %d bytes", s.Size())
	}
	end := s.End()
	if err := s.Append(rec(body)); !errors.Is(err, ErrFull) || s.End() != end {
		t.Errorf("%v, end %d, then %d", err, end, s.End())
	}
	at := readFrom(t, s, 0).at
	if len(at) != n {
		t.Fatalf("%d of %d are there", len(at), n)
	}
	if err := s.Release(Ranges{{at[6], Forever}}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		mustAppend(t, s, body)
	}
	if err := s.Append(rec(body)); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if got := len(readFrom(t, s, end).at); got != 5 {
		t.Errorf("%d records", got)
	}
	s.Close()
	s, _ = mustOpen(t, s.dir, s.opts) // the size is known again
	if err := s.Append(rec(body)); !errors.Is(err, ErrFull) {
		t.Errorf("opened again: %v", err)
	}
}

// brittle is a file on a disk that fails.
type brittle struct {
	*os.File
	script *script
}

// script says which of the calls to the spool's files fail.
type script struct {
	write    func(b []byte) (int, error) // instead of writing, when it gives an error
	sync     error
	truncate error
	open     error
	writes   int // that went well before
}

func (b brittle) Write(p []byte) (int, error) {
	if b.script.write != nil && b.script.writes == 0 {
		n, err := b.script.write(p)
		if n > 0 {
			_, _ = b.File.Write(p[:n])
		}
		return n, err
	}
	b.script.writes--
	return b.File.Write(p)
}

func (b brittle) Sync() error {
	if b.script.sync != nil {
		return b.script.sync
	}
	return b.File.Sync()
}

func (b brittle) Truncate(n int64) error {
	if b.script.truncate != nil {
		return b.script.truncate
	}
	return b.File.Truncate(n)
}

// breakable makes the spool's files fail as the script says.
func (s *Spool) breakable(sc *script) {
	s.open = func(name string) (file, error) {
		if sc.open != nil {
			return nil, sc.open
		}
		f, err := create(name)
		if err != nil {
			return nil, err
		}
		return brittle{f.(*os.File), sc}, nil
	}
}

// A disk that fails: the error is told, nothing of the write counts, and the
// next write goes to a new segment at positions that were never used. After a
// restart all that was confirmed is there.
func TestFailingDisk(t *testing.T) {
	short := func(n int) func(b []byte) (int, error) {
		return func(b []byte) (int, error) { return min(n, len(b)), syscall.ENOSPC }
	}
	for _, tt := range []struct {
		name string
		sc   script
		want error
	}{
		{"nothing written", script{write: short(0)}, syscall.ENOSPC},
		{"a part written", script{write: short(10)}, syscall.ENOSPC},
		{"a record of several written", script{write: short(17)}, syscall.ENOSPC},
		{"all written, and an error", script{write: short(1 << 20)}, syscall.ENOSPC},
		{"a part written, cannot be cut off", script{write: short(40), truncate: syscall.EIO}, syscall.ENOSPC},
		{"sync", script{sync: syscall.EIO}, syscall.EIO},
		{"sync, cannot be cut off", script{sync: syscall.EIO, truncate: syscall.EIO}, syscall.EIO},
	} {
		for _, fresh := range []bool{false, true} { // where a segment is begun
			t.Run(fmt.Sprint(tt.name, ", fresh ", fresh), func(t *testing.T) {
				dir := t.TempDir()
				s, _ := mustOpen(t, dir, Options{SegmentBytes: 1000})
				sc := new(script)
				s.breakable(sc)
				var confirmed []string
				var positions []Pos
				for i := range 30 {
					group := []string{fmt.Sprint("a", i), fmt.Sprint("b", i), fmt.Sprint("c", i)}
					if i%3 == 2 {
						if fresh && s.file != nil {
							_ = s.closeFile()
						}
						*sc = tt.sc
						end, size := s.End(), s.Size()
						if err := s.Append(rec(group...)); !errors.Is(err, tt.want) {
							t.Fatalf("%d: %v", i, err)
						}
						*sc = script{}
						if s.End() != end || s.Size() != size {
							t.Errorf("%d: it counts: end %d, size %d, before %d, %d", i, s.End(), s.Size(), end, size)
						}
						continue
					}
					before := s.End()
					mustAppend(t, s, group...)
					confirmed = append(confirmed, group...)
					positions = append(positions, before, s.End())
				}
				if !slices.IsSorted(positions) {
					t.Errorf("positions %v", positions)
				}
				first := readFrom(t, s, 0)
				wantBodies(t, first, confirmed...)
				s.Close()

				s, _ = mustOpen(t, dir, Options{SegmentBytes: 1000})
				again := readFrom(t, s, 0)
				wantSuperset(t, again, confirmed)
				where := make(map[string]Pos)
				for i, b := range again.bodies {
					where[b] = again.at[i]
				}
				for i, b := range first.bodies {
					if where[b] != first.at[i] {
						t.Errorf("%s was at %d and is at %d", b, first.at[i], where[b])
					}
				}
			})
		}
	}
}

// wantSuperset wants all of the confirmed ones, in order; what was written and
// not confirmed may be between them.
func wantSuperset(t *testing.T, f found, confirmed []string) {
	t.Helper()
	for _, d := range f.damage {
		t.Errorf("damage: %v", d)
	}
	if missing(f.bodies, confirmed) < 0 {
		t.Errorf("read %q, confirmed were %q", f.bodies, confirmed)
	}
	seen := make(map[string]bool)
	for _, b := range f.bodies {
		if seen[b] {
			t.Errorf("%s is there twice", b)
		}
		seen[b] = true
	}
}

// A segment that cannot be made is tried again.
func TestFailingBegin(t *testing.T) {
	dir := t.TempDir()
	s, _ := mustOpen(t, dir, Options{SegmentBytes: 1})
	sc := new(script)
	s.breakable(sc)
	var want []string
	for i := range 20 {
		switch i % 4 {
		case 1:
			*sc = script{open: syscall.EMFILE}
		case 2:
			*sc = script{write: func([]byte) (int, error) { return 5, syscall.ENOSPC }}
		case 3:
			*sc = script{sync: syscall.EIO}
		}
		err := s.Append(rec(fmt.Sprint("failed ", i)))
		if (err != nil) != (i%4 != 0) {
			t.Errorf("%d: %v", i, err)
		}
		if err == nil {
			want = append(want, fmt.Sprint("failed ", i))
		}
		*sc = script{}
		want = append(want, fmt.Sprint(i))
		mustAppend(t, s, fmt.Sprint(i))
	}
	wantBodies(t, readFrom(t, s, 0), want...)
	s.Close()
	s, _ = mustOpen(t, dir, Options{SegmentBytes: 1})
	wantBodies(t, readFrom(t, s, 0), want...)
}

// A file that cannot be read is an error, each time, until it can.
func TestReadErrors(t *testing.T) {
	w := writeSmall(t, 1, "first", "second", "third")
	s, _ := mustOpen(t, w.dir, Options{})
	name := s.name(w.at[1] - segmentHeader)
	if err := os.Rename(name, name+".away"); err != nil {
		t.Fatal(err)
	}
	r := s.NewReader(0)
	defer r.Close()
	if b, err := r.Next(); err != nil || string(b) != "first" {
		t.Errorf("%q, %v", b, err)
	}
	for range 3 {
		if b, err := r.Next(); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q, %v", b, err)
		}
	}
	if err := os.Rename(name+".away", name); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"second", "third"} {
		if b, err := r.Next(); err != nil || string(b) != want {
			t.Errorf("%q, %v", b, err)
		}
	}
	// Shorter than it was: an error, and no endless loop.
	if err := os.Truncate(name, segmentHeader+4); err != nil {
		t.Fatal(err)
	}
	r = s.NewReader(w.at[1])
	defer r.Close()
	for range 3 {
		if b, err := r.Next(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%q, %v", b, err)
		}
	}
}

func FuzzSegment(f *testing.F) {
	header := makeHeader(0)
	f.Add([]byte{})
	f.Add(header)
	f.Add(slices.Concat(header, rec("a", "bb", "ccc")))
	f.Add(slices.Concat(header, rec("a", string(rec("bb"))), []byte("torn")))
	f.Add(slices.Concat(header, rec("a")[:10], rec("b")))
	f.Add(slices.Concat(header, recordMagic[:], []byte{0xff, 0xff, 0xff, 0xff}))
	dir := f.TempDir()
	name := filepath.Join(dir, "0000000000000000.seg")
	f.Fuzz(func(t *testing.T, b []byte) {
		names, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, old := range names {
			_ = os.Remove(old)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, report, err := Open(dir, Options{})
		if errors.Is(err, ErrVersion) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if report.Torn+report.Bytes != int64(len(b)) {
			t.Errorf("%d bytes: %+v", len(b), report)
		}
		got := readFrom(t, s, 0)
		total := 0
		for _, body := range got.bodies {
			total += RecordHeader + len(body)
			if !bytes.Contains(b, []byte(body)) {
				t.Error("a body that is not there")
			}
		}
		for _, d := range got.damage {
			total += int(d.Bytes)
			if int64(len(d.Raw)) > d.Bytes {
				t.Error("more than there is")
			}
		}
		if want := max(0, int(report.Bytes)-segmentHeader); total != want {
			t.Errorf("%d bytes read of %d", total, want)
		}
		if err := s.Append(rec("more")); err != nil {
			t.Fatal(err)
		}
		if after := readFrom(t, s, 0); len(after.bodies) != len(got.bodies)+1 {
			t.Errorf("%d records, then %d", len(got.bodies), len(after.bodies))
		}
	})
}

func BenchmarkAppend1000(b *testing.B) {
	s, _ := mustOpen(b, b.TempDir(), Options{})
	body := random(800)
	var records []byte
	b.SetBytes(1000 * int64(len(body)+RecordHeader))
	b.ReportAllocs()
	for b.Loop() {
		records = records[:0]
		for range 1000 {
			begin := len(records)
			records = append(Begin(records), body...)
			End(records, begin)
		}
		if err := s.Append(records); err != nil {
			b.Fatal(err)
		}
		_ = s.Release(Ranges{{s.End(), Forever}})
	}
}

func BenchmarkRead(b *testing.B) {
	s, _ := mustOpen(b, b.TempDir(), Options{})
	body := random(800)
	for range 50 {
		mustAppend(b, s, slices.Repeat([]string{body}, 1000)...)
	}
	r := s.NewReader(0)
	defer r.Close()
	b.SetBytes(int64(len(body) + RecordHeader))
	b.ReportAllocs()
	for b.Loop() {
		_, err := r.Next()
		if errors.Is(err, io.EOF) {
			r.Seek(0)
			_, err = r.Next()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// What the reserve asks for is left free.
func TestReserve(t *testing.T) {
	s, _, err := Open(t.TempDir(), Options{Reserve: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	record := Begin(nil)
	End(record, 0)
	if err := s.Append(record); err != nil {
		t.Fatal(err)
	}
	end := s.End()
	if err := s.leaves(1 << 60); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("more than there is room for: %v", err)
	}
	if s.End() != end {
		t.Error("the spool has grown")
	}
}
