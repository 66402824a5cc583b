package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCheckpoint(t *testing.T) {
	dir := t.TempDir()
	s, _ := mustOpen(t, dir, Options{})
	if c, err := s.Load(); err != nil || !slices.Equal(c.Pending, All()) || c.Note != nil {
		t.Errorf("without one: %+v, %v", c, err)
	}
	mustAppend(t, s, strings.Repeat("x", 1000))
	for _, pending := range []Ranges{All(), {{10, Forever}}, {{1, 5}, {7, 7}, {7, 200}, {300, Forever}}} {
		note := map[string]int{"a": len(pending)}
		if err := s.Save(pending, note); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			c, err := s.Load()
			if err != nil || !slices.Equal(c.Pending, pending) || string(c.Note) != fmt.Sprintf(`{"a":%d}`, len(pending)) {
				t.Errorf("%+v, %v, want %v", c, err, pending)
			}
			s.Close()
			s, _ = mustOpen(t, dir, Options{})
		}
	}
	for _, wrong := range []Ranges{nil, {}, {{1, 2}}, {{5, 4}, {7, Forever}}, {{1, 5}, {4, Forever}}, {{1, Forever}, {7, Forever}}} {
		if err := s.Save(wrong, nil); err == nil {
			t.Errorf("saved %v", wrong)
		}
	}
	if err := s.Save(All(), func() {}); err == nil {
		t.Error("saved a note that is no JSON")
	}
	if c, _ := s.Load(); len(c.Pending) != 4 {
		t.Errorf("the one before is gone: %+v", c)
	}
}

// A checkpoint that cannot be written leaves the one before.
func TestCheckpointCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	s, _ := mustOpen(t, dir, Options{})
	if err := s.Save(Ranges{{10, Forever}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "checkpoint.new", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(Ranges{{20, Forever}}, nil); err == nil {
		t.Error("no error")
	}
	if c, err := s.Load(); err != nil || c.Pending[0].From != 10 {
		t.Errorf("%+v, %v", c, err)
	}
}

// A checkpoint that is cut off, or of which a bit has turned round, is an error,
// and all is pending.
func TestCheckpointDamaged(t *testing.T) {
	dir := t.TempDir()
	s, _ := mustOpen(t, dir, Options{})
	mustAppend(t, s, strings.Repeat("x", 1000))
	if err := s.Save(Ranges{{100, 200}, {300, Forever}}, "a note"); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "checkpoint")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := s.Load()
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", what, err)
		}
		if !slices.Equal(c.Pending, All()) || c.Note != nil {
			t.Errorf("%s: %+v", what, c)
		}
		s, _, err := Open(dir, Options{}) // is no reason not to start
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		s.Close()
	}
	for n := range whole {
		try(fmt.Sprint("cut at ", n), whole[:n])
	}
	for bit := range 8 * len(whole) {
		b := slices.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		try(fmt.Sprint("bit ", bit), b)
	}
}

// sealed is a checkpoint's file whose checksum is right.
func sealed(line string) []byte {
	return fmt.Appendf(nil, "%s\n%08x\n", line, crc32.Checksum([]byte(line), castagnoli))
}

func TestCheckpointNewer(t *testing.T) {
	dir := t.TempDir()
	s, _ := mustOpen(t, dir, Options{})
	name := filepath.Join(dir, "checkpoint")
	if err := os.WriteFile(name, sealed(`{"version":2,"pending":[{"from":5,"to":18446744073709551615}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := s.Load()
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "version 2") || !slices.Equal(c.Pending, All()) {
		t.Errorf("%+v, %v", c, err)
	}
}

// A process that ends with a folder of which the checkpoint alone is left.
func TestCheckpointWithoutSegments(t *testing.T) {
	dir := t.TempDir()
	s, _ := mustOpen(t, dir, Options{})
	if err := s.Save(Ranges{{100, 200}, {5000, Forever}}, nil); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s, _ = mustOpen(t, dir, Options{})
	mustAppend(t, s, "new")
	wantPending(t, s, "new")
	s.Close()
	s, _ = mustOpen(t, dir, Options{})
	wantPending(t, s, "new")
}

// Ranges behave as the set of positions that they stand for.
func TestDone(t *testing.T) {
	const size = 64 // positions; the last stands for all that follow
	for range 5000 {
		r := All()
		pending := [size]bool{}
		for i := range pending {
			pending[i] = true
		}
		for range rand.IntN(20) {
			a := rand.IntN(size - 1)
			b := a + rand.IntN(size-1-a)
			before := slices.Clone(r)
			r2 := r.Done(Pos(a), Pos(b))
			if !slices.Equal(before, r) {
				t.Fatal("Done changed its receiver")
			}
			r = r2
			for i := a; i < b; i++ {
				pending[i] = false
			}
			if err := r.check(); err != nil {
				t.Fatal(err, r)
			}
			var n int64
			pieces := 0
			for i, want := range pending {
				if got := r.touch(Pos(i), Pos(i+1)); got != want {
					t.Fatalf("position %d: %v in %v after %d to %d", i, got, r, a, b)
				}
				if want && i < size-1 {
					n++
				}
				if want && (i == 0 || !pending[i-1]) {
					pieces++
				}
			}
			if got := r.Bytes(size - 1); got != n {
				t.Fatalf("%d bytes, want %d in %v", got, n, r)
			}
			if len(r) != pieces {
				t.Fatalf("%d ranges for %d pieces: %v", len(r), pieces, r)
			}
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add([]byte(`{"version":1,"pending":[{"from":5,"to":18446744073709551615}]}`), true)
	f.Add([]byte(`{"version":1,"pending":[{"from":18446744073709551615,"to":18446744073709551615}],"note":{"a":[]}}`), true)
	f.Add([]byte(`{"version":1,"pending":null}`), true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal {
			b = sealed(string(b))
		}
		c, err := parseCheckpoint(b)
		if err != nil {
			return
		}
		if err := c.Pending.check(); err != nil {
			t.Error(err)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Error(err)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "checkpoint"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Append(rec("new")); err != nil {
			t.Fatal(err)
		}
		if c.Pending[len(c.Pending)-1].From < 1<<62 { // nobody comes further
			wantPending(t, s, "new")
		}
	})
}
