package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"trackerdcs/pkg/runs"
)

// fakeDB behaves as MongoDB does towards the storer: upserts guarded by the uid,
// and it can be away. The real one is used in e2e.
type fakeDB struct {
	mu    sync.Mutex
	away  bool
	docs  map[int64]runs.Run
	files map[string]string // id -> SHA-256
	puts  int               // documents written
	sent  int               // files written
	fail  func(name string) error
	wrote func(runs.Run) // a document was written, and whoever wrote it does not know yet
	read  func(runs.Run) // the same of one that was read
}

func newFakeDB() *fakeDB {
	return &fakeDB{docs: make(map[int64]runs.Run), files: make(map[string]string)}
}

func (f *fakeDB) use(fn func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return fmt.Errorf("asking: %w", runs.ErrNoAnswer)
	}
	return fn()
}

func (f *fakeDB) setAway(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
}

func (f *fakeDB) doc(n int64) (runs.Run, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, ok := f.docs[n]
	return d, ok
}

// written is how many documents and files were.
func (f *fakeDB) written() (puts, sent int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.puts, f.sent
}

func (f *fakeDB) Prepare(context.Context) error { return f.use(func() error { return nil }) }

func (f *fakeDB) Highest(context.Context) (n int64, err error) {
	err = f.use(func() error {
		for k := range f.docs {
			n = max(n, k)
		}
		return nil
	})
	return n, err
}

func (f *fakeDB) Put(_ context.Context, r runs.Run) error {
	err := f.use(func() error {
		if d, ok := f.docs[r.Number]; ok && d.UID != r.UID {
			return runs.ErrConflict
		}
		f.docs[r.Number] = r
		f.puts++
		return nil
	})
	if err == nil && f.wrote != nil {
		f.wrote(r)
	}
	return err
}

func (f *fakeDB) Get(_ context.Context, n int64) (d runs.Run, err error) {
	err = f.use(func() error {
		var ok bool
		if d, ok = f.docs[n]; !ok {
			return runs.ErrNotFound
		}
		return nil
	})
	if err == nil && f.read != nil {
		f.read(d)
	}
	return d, err
}

func (f *fakeDB) PutFile(_ context.Context, run int64, _ string, file runs.File, r io.Reader) error {
	return f.use(func() error {
		if f.fail != nil {
			if err := f.fail(file.Name); err != nil {
				return err
			}
		}
		h := sha256.New()
		if _, err := io.Copy(h, r); err != nil {
			return err
		}
		sum := hex.EncodeToString(h.Sum(nil))
		if sum != file.SHA256 {
			return errors.New("another sum")
		}
		f.files[fmt.Sprintf("%d/%s", run, file.Name)] = sum
		f.sent++
		return nil
	})
}

// hold makes what calls stop wait there, the first time that it is a stored
// document, until goOn is called.
func hold(t *testing.T) (stop func(runs.Run), reached <-chan struct{}, goOn func()) {
	there, on := make(chan struct{}), make(chan struct{})
	var once sync.Once
	goOn = sync.OnceFunc(func() { close(on) })
	t.Cleanup(goOn)
	return func(d runs.Run) {
		if d.Stored.IsZero() {
			return
		}
		once.Do(func() {
			close(there)
			<-on
		})
	}, there, goOn
}
