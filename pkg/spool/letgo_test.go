package spool

import (
	"errors"
	"io"
	"path/filepath"
	"syscall"
	"testing"
)

// A reader at the end of a segment that is not written any more holds its file
// open no longer: on a full disk the room would not be there even after
// Release, and no new segment could begin, which alone would move the reader on.
func TestReaderLetsGo(t *testing.T) {
	s, _ := mustOpen(t, t.TempDir(), Options{})
	mustAppend(t, s, "a")
	r := s.NewReader(0)
	defer r.Close()
	next := func(want string, wantErr error) {
		t.Helper()
		if b, err := r.Next(); string(b) != want || !errors.Is(err, wantErr) {
			t.Fatalf("%q, %v; not %q, %v", b, err, want, wantErr)
		}
	}
	next("a", nil)
	next("", io.EOF)
	if r.f == nil {
		t.Error("it opens the file at each look")
	}
	grown := s.Grown()
	if err := s.closeFile(); err != nil { // as after a write that failed
		t.Fatal(err)
	}
	select {
	case <-grown:
	default:
		t.Error("who waits does not look again")
	}
	next("", io.EOF)
	if r.f != nil {
		t.Error("the file is still open")
	}
	if err := s.Release(Ranges{{s.End(), Forever}}); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, "b")
	next("b", nil)
	next("", io.EOF)
}

// A disk with room for a segment's header and not for what is to follow it: no
// file is left of each attempt.
func TestFullDiskLeavesNoFiles(t *testing.T) {
	s, _ := mustOpen(t, t.TempDir(), Options{})
	mustAppend(t, s, "a")
	files := func() int {
		names, err := filepath.Glob(filepath.Join(s.dir, "*.seg"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	sc := new(script)
	s.breakable(sc)
	_ = s.closeFile()
	r := s.NewReader(0)
	defer r.Close()
	size := s.Size()
	for range 5 {
		*sc = script{writes: 1, write: func([]byte) (int, error) { return 10, syscall.ENOSPC }}
		if err := s.Append(rec("b")); !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		if b, err := r.Next(); !errors.Is(err, io.EOF) && string(b) != "a" {
			t.Fatal(string(b), err)
		}
	}
	if s.Size() != size || files() != 1 {
		t.Errorf("%d bytes, before %d, in %d files", s.Size(), size, files())
	}
	*sc = script{}
	mustAppend(t, s, "c")
	wantBodies(t, readFrom(t, s, 0), "a", "c")
	s.Close()
	s, _ = mustOpen(t, s.dir, Options{})
	wantBodies(t, readFrom(t, s, 0), "a", "c")
}
