package door

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// storeWait is how long another gateway may hold the file.
const storeWait = 5 * time.Second

var bucketName = []byte("sessions")

// store keeps sessions on disk, for scs. A record is found by the SHA-256 of the
// session's id: whoever reads the file cannot log in with it. Reading is a look
// into memory; when a session was last used is written now and then only.
type store struct {
	db   *bbolt.DB
	idle time.Duration

	mu   sync.Mutex
	used map[string]time.Time // by key; later than on disk
}

// header is in front of each record: its end and its last use, ns since 1970.
const header = 16

func openStore(dir string, idle time.Duration, log *slog.Logger) (*store, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the folder of the sessions: %w", err)
	}
	path := filepath.Join(dir, "sessions.db")
	db, err := openDB(path)
	var file *fs.PathError
	if err != nil && !errors.Is(err, bolterrors.ErrTimeout) && !errors.As(err, &file) {
		// Sessions are not worth that nobody can log in.
		log.Error("the sessions on disk cannot be read: all have to log in again; the file is kept", "error", err, "file", path+".bad")
		if err := os.Rename(path, path+".bad"); err != nil {
			return nil, fmt.Errorf("putting bad sessions aside: %w", err)
		}
		db, err = openDB(path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the sessions in %s: %w", path, err)
	}
	return &store{db: db, idle: idle, used: map[string]time.Time{}}, nil
}

func openDB(path string) (*bbolt.DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: storeWait})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucketName)
		return err
	})
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

func (s *store) close() error { return errors.Join(s.flush(), s.db.Close()) }

// keyOf is under what the session with an id is kept.
func keyOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return string(sum[:])
}

// Find finds a session that has not ended; part of scs.Store.
func (s *store) Find(id string) (b []byte, found bool, err error) {
	key := keyOf(id)
	err = s.db.View(func(tx *bbolt.Tx) error {
		record := tx.Bucket(bucketName).Get([]byte(key))
		if found = s.ended(key, record, time.Now()) == ""; found {
			b = append([]byte(nil), record[header:]...) // the memory is bbolt's
		}
		return nil
	})
	return b, found, err
}

// Commit keeps a session, which is used now; part of scs.Store.
func (s *store) Commit(id string, b []byte, end time.Time) error {
	record := binary.BigEndian.AppendUint64(nil, uint64(end.UnixNano()))
	record = binary.BigEndian.AppendUint64(record, uint64(time.Now().UnixNano()))
	record = append(record, b...)
	return s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketName).Put([]byte(keyOf(id)), record) })
}

// Delete forgets a session; part of scs.Store.
func (s *store) Delete(id string) error {
	key := keyOf(id)
	s.mu.Lock()
	delete(s.used, key)
	s.mu.Unlock()
	return s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketName).Delete([]byte(key)) })
}

// Why a session has ended.
const (
	whyNone    = "the session is not known"
	whyIdle    = "the session was not used for too long"
	whyEnd     = "the session has reached its end"
	whyChanged = "the user's role or password was changed, or the user removed"
)

// ended says why a session's record does not count, or nothing.
func (s *store) ended(key string, record []byte, now time.Time) string {
	if len(record) < header {
		return whyNone
	}
	end := time.Unix(0, int64(binary.BigEndian.Uint64(record)))
	used := time.Unix(0, int64(binary.BigEndian.Uint64(record[8:])))
	s.mu.Lock()
	if later, ok := s.used[key]; ok && later.After(used) {
		used = later
	}
	s.mu.Unlock()
	switch {
	case !now.Before(end):
		return whyEnd
	case now.Sub(used) >= s.idle:
		return whyIdle
	}
	return ""
}

// stands reports whether the session has not ended.
func (s *store) stands(key string, now time.Time) bool {
	var ok bool
	err := s.db.View(func(tx *bbolt.Tx) error {
		ok = s.ended(key, tx.Bucket(bucketName).Get([]byte(key)), now) == ""
		return nil
	})
	return err == nil && ok
}

// touch says that a session that stands is used.
func (s *store) touch(key string, now time.Time) {
	s.mu.Lock()
	s.used[key] = now
	s.mu.Unlock()
}

// flush writes down when sessions were last used.
func (s *store) flush() error {
	s.mu.Lock()
	used := maps.Clone(s.used)
	s.mu.Unlock()
	if len(used) == 0 {
		return nil
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketName)
		for key, at := range used {
			if old := b.Get([]byte(key)); len(old) >= header { // one that is gone stays gone
				record := append([]byte(nil), old...)
				binary.BigEndian.PutUint64(record[8:], uint64(at.UnixNano()))
				if err := b.Put([]byte(key), record); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.used, func(key string, at time.Time) bool { return at.Equal(used[key]) })
	return nil
}

// endedSession is one that was forgotten.
type endedSession struct{ name, why string }

// sweep forgets the sessions that have ended and those whose user is not valid
// any more.
func (s *store) sweep(now time.Time, valid func(name, generation string) bool) (ended []endedSession, err error) {
	var keys [][]byte
	err = s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketName).ForEach(func(key, record []byte) error {
			why := s.ended(string(key), record, now)
			var v map[string]any
			if len(record) >= header {
				_, v, _ = codec{}.Decode(record[header:]) // what cannot be read is nobody's
			}
			name, _ := v[keyName].(string)
			generation, _ := v[keyGeneration].(string)
			if why == "" && !valid(name, generation) {
				why = whyChanged
			}
			if why != "" {
				keys = append(keys, append([]byte(nil), key...))
				ended = append(ended, endedSession{name, why})
			}
			return nil
		})
	})
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		for _, key := range keys {
			if err := tx.Bucket(bucketName).Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// count is how many sessions are kept.
func (s *store) count() (n int) {
	_ = s.db.View(func(tx *bbolt.Tx) error {
		n = tx.Bucket(bucketName).Stats().KeyN
		return nil
	})
	return n
}

// codec is the form of a session's values on disk, for scs: JSON with strings
// alone, so that a newer gateway can read what an older one has written.
type codec struct{}

type kept struct {
	End    time.Time         `json:"end"`
	Values map[string]string `json:"values"`
}

// Encode is part of scs.Codec.
func (codec) Encode(end time.Time, values map[string]any) ([]byte, error) {
	k := kept{end, make(map[string]string, len(values))}
	for key, v := range values {
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("a session's %s is a %T and no text", key, v)
		}
		k.Values[key] = text
	}
	return json.Marshal(k)
}

// Decode is part of scs.Codec.
func (codec) Decode(b []byte) (time.Time, map[string]any, error) {
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return time.Time{}, nil, fmt.Errorf("reading a session: %w", err)
	}
	values := make(map[string]any, len(k.Values))
	for key, v := range k.Values {
		values[key] = v
	}
	return k.End, values, nil
}
