package spool

import (
	"io"
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
		if b, err := r.Next(); string(b) != want || err != wantErr {
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
