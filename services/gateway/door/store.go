package door

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	storeWait = 5 * time.Second        // how long another gateway may hold the file
	writeWait = 500 * time.Millisecond // how long a login waits for the disk
)

// What is in the file.
var (
	bucketName = []byte("sessions")
	bucketMore = []byte("more")
	moreKnown  = []byte("accounts") // who was known last, in bucketMore
)

// errSlow says that the disk takes its time. It goes on meanwhile.
var errSlow = errors.New("the disk is slow")

// store keeps sessions, for scs. All are in memory and on disk. A change is on
// the disk when it is confirmed, unless the disk is full or hangs: then it counts
// all the same, is written when the disk can again, and is lost when the gateway
// is stopped before. A session is found by the SHA-256 of its id: whoever reads
// the file cannot log in with it. When a session was last used is written now
// and then only.
type store struct {
	db       *bbolt.DB
	idle     time.Duration
	patience time.Duration // writeWait, but for tests
	log      *slog.Logger

	mu       sync.Mutex
	sessions map[string]session  // by key
	changed  map[string]struct{} // not on the disk as they are here, or gone here and not there
	used     map[string]struct{} // only their last use is not on the disk
	known    []byte              // accounts.Known as JSON
	newKnown bool                // not on the disk yet
	writing  *writing            // under way
}

// session is one of them. Its values are never changed in place.
type session struct {
	end, used time.Time
	values    []byte // of codec
}

// writing is one attempt to bring all changes to the disk.
type writing struct {
	done chan struct{} // closed at its end
	err  error         // then
}

func openStore(dir string, idle time.Duration, log *slog.Logger) (*store, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the folder of the sessions: %w", err)
	}
	path := filepath.Join(dir, "sessions.db")
	s := &store{idle: idle, patience: writeWait, log: log, sessions: map[string]session{}, changed: map[string]struct{}{}, used: map[string]struct{}{}}
	err := s.open(path)
	var file *fs.PathError
	if err != nil && !errors.Is(err, bolterrors.ErrTimeout) && !errors.As(err, &file) {
		// Sessions are not worth that nobody can log in.
		log.Error("the sessions on disk cannot be read: all have to log in again; the file is kept", "error", err, "file", path+".bad")
		if err := os.Rename(path, path+".bad"); err != nil {
			return nil, fmt.Errorf("putting bad sessions aside: %w", err)
		}
		err = s.open(path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the sessions in %s: %w", path, err)
	}
	return s, nil
}

// open opens the file and reads all of it.
func (s *store) open(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: storeWait})
	if err != nil {
		return err
	}
	if err := s.load(db); err != nil {
		_ = db.Close()
		return err
	}
	s.db = db
	return nil
}

// load reads all sessions. It writes nothing: the gateway can be started when
// the disk is full.
func (s *store) load(db *bbolt.DB) (err error) {
	defer func() {
		if p := recover(); p != nil { // bbolt's word for a page that makes no sense
			err = fmt.Errorf("reading the sessions: %v", p)
		}
	}()
	return db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(bucketMore); b != nil {
			s.known = slices.Clone(b.Get(moreKnown))
		}
		b := tx.Bucket(bucketName)
		if b == nil {
			return nil
		}
		return b.ForEach(func(key, record []byte) error {
			if v, ok := decodeRecord(record); ok {
				s.sessions[string(key)] = v
			} else {
				s.changed[string(key)] = struct{}{} // it goes
			}
			return nil
		})
	})
}

// header is in front of each record: its end and its last use, ns since 1970.
const header = 16

func (v session) record() []byte {
	record := binary.BigEndian.AppendUint64(nil, uint64(v.end.UnixNano()))
	record = binary.BigEndian.AppendUint64(record, uint64(v.used.UnixNano()))
	return append(record, v.values...)
}

func decodeRecord(record []byte) (v session, ok bool) {
	if len(record) < header {
		return v, false
	}
	v.end = time.Unix(0, int64(binary.BigEndian.Uint64(record)))
	v.used = time.Unix(0, int64(binary.BigEndian.Uint64(record[8:])))
	v.values = slices.Clone(record[header:]) // the memory is bbolt's
	return v, true
}

// close brings all to the disk. A file that is still being written to is left
// open: closing it would wait for the disk.
func (s *store) close() error {
	err := s.flush()
	if errors.Is(err, errSlow) {
		return err
	}
	return errors.Join(err, s.db.Close())
}

// keyOf is under what the session with an id is kept.
func keyOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return string(sum[:])
}

// Find finds a session that has not ended; part of scs.Store.
func (s *store) Find(id string) (b []byte, found bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.sessions[keyOf(id)]
	if !ok || s.ended(v, time.Now()) != "" {
		return nil, false, nil
	}
	return v.values, true, nil
}

// Commit keeps a session, which is used now; part of scs.Store. It never fails:
// a full disk must not stand between an operator and the switch.
func (s *store) Commit(id string, b []byte, end time.Time) error {
	key := keyOf(id)
	s.mu.Lock()
	s.sessions[key] = session{end: end, used: time.Now(), values: slices.Clone(b)}
	s.changed[key] = struct{}{}
	s.mu.Unlock()
	s.write("a new session is lost when the gateway is stopped before the disk can be written")
	return nil
}

// Delete forgets a session; part of scs.Store. It never fails either.
func (s *store) Delete(id string) error {
	if s.forget(keyOf(id)) {
		s.write("a session that has ended comes back when the gateway is stopped before the disk can be written")
	}
	return nil
}

// forget forgets a session, but for the disk.
func (s *store) forget(key string) (was bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, was = s.sessions[key]; was {
		delete(s.sessions, key)
		delete(s.used, key)
		s.changed[key] = struct{}{}
	}
	return was
}

// setKnown keeps who is known.
func (s *store) setKnown(b []byte) {
	s.mu.Lock()
	s.known, s.newKnown = b, true
	s.mu.Unlock()
	s.write("what was changed in the users' file is noted again when the gateway is stopped before the disk can be written")
}

// Why a session has ended.
const (
	whyIdle    = "the session was not used for too long"
	whyEnd     = "the session has reached its end"
	whyChanged = "the user's role or password was changed, or the user removed"
	whyMany    = "the user has logged in too many times elsewhere"
)

// ended says why a session does not count, or nothing.
func (s *store) ended(v session, now time.Time) string {
	switch {
	case !now.Before(v.end):
		return whyEnd
	case now.Sub(v.used) >= s.idle:
		return whyIdle
	}
	return ""
}

// stands reports whether the session has not ended.
func (s *store) stands(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.sessions[key]
	return ok && s.ended(v, now) == ""
}

// touch says that a session that stands is used.
func (s *store) touch(key string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.sessions[key]; ok { // one that is gone stays gone
		v.used = now
		s.sessions[key] = v
		s.used[key] = struct{}{}
	}
}

// write brings changes to the disk, and says what it means when that is not done.
func (s *store) write(otherwise string) {
	if err := s.flush(); err != nil {
		s.log.Error("the sessions cannot be written: "+otherwise, "error", err)
	}
}

// flush brings all changes to the disk that there are now. It waits no longer
// than its patience; what takes longer goes on.
func (s *store) flush() error {
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	for {
		s.mu.Lock()
		w := s.writing
		under := w != nil // and may have begun before our change
		if !under {
			if len(s.changed) == 0 && len(s.used) == 0 && !s.newKnown {
				s.mu.Unlock()
				return nil
			}
			w = s.begin()
		}
		s.mu.Unlock()
		select {
		case <-w.done:
			if !under {
				return w.err
			}
		case <-timer.C:
			return errSlow
		}
	}
}

// begin begins to write; the lock is the caller's. The goroutine ends with the
// system's write, and there is one at most.
func (s *store) begin() *writing {
	w := &writing{done: make(chan struct{})}
	s.writing = w
	put, known, isNew := map[string][]byte{}, s.known, s.newKnown
	changed, used := s.changed, s.used
	for _, keys := range []map[string]struct{}{changed, used} {
		for key := range keys {
			if v, ok := s.sessions[key]; ok {
				put[key] = v.record()
			} else {
				put[key] = nil // it goes
			}
		}
	}
	s.changed, s.used, s.newKnown = map[string]struct{}{}, map[string]struct{}{}, false
	go func() {
		err := s.put(put, known, isNew)
		s.mu.Lock()
		if err != nil { // to be tried again, with what came meanwhile
			maps.Copy(s.changed, changed)
			maps.Copy(s.used, used)
			s.newKnown = s.newKnown || isNew
		}
		s.writing, w.err = nil, err
		s.mu.Unlock()
		close(w.done)
	}()
	return w
}

// put writes records, and removes those that are nil.
func (s *store) put(records map[string][]byte, known []byte, isNew bool) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketName)
		if err != nil {
			return err
		}
		for key, record := range records {
			if record == nil {
				err = b.Delete([]byte(key))
			} else {
				err = b.Put([]byte(key), record)
			}
			if err != nil {
				return err
			}
		}
		if !isNew {
			return nil
		}
		if b, err = tx.CreateBucketIfNotExists(bucketMore); err != nil {
			return err
		}
		return b.Put(moreKnown, known)
	})
}
