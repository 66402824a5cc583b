package backup

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// A writer that never rests: each copy is whole, and holds one transaction's
// state of two keys that are always written together.
func TestCopyBoltUnderAWriter(t *testing.T) {
	dir := t.TempDir()
	db, err := bbolt.Open(filepath.Join(dir, "sessions.db"), 0o600, &bbolt.Options{NoSync: true})
	require.NoError(t, err)
	var stop atomic.Bool
	var rest atomic.Int64 // ns, now and then
	rest.Store(int64(5 * time.Millisecond))
	var wg sync.WaitGroup
	wg.Go(func() {
		noise := make([]byte, 3000)
		for n := uint64(1); !stop.Load(); n++ {
			err := db.Update(func(tx *bbolt.Tx) error {
				b, err := tx.CreateBucketIfNotExists([]byte("sessions"))
				if err != nil {
					return err
				}
				count := binary.BigEndian.AppendUint64(nil, n)
				_ = b.Put([]byte("a"), count)
				_ = b.Put([]byte("z"), count)
				for range 20 {
					_ = b.Put(fmt.Append(nil, rand.IntN(500)), noise[:rand.IntN(len(noise))])
				}
				return b.Delete(fmt.Append(nil, rand.IntN(500)))
			})
			if err != nil {
				panic(err)
			}
			if n%50 == 0 {
				<-time.After(time.Duration(rest.Load())) // as people log in: not all the time
			}
		}
	})
	defer func() { stop.Store(true); wg.Wait(); _ = db.Close() }()

	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	c := &copier{root: root, temp: t.TempDir(), gap: time.Millisecond}
	require.Eventually(t, func() bool {
		_, err := root.Stat("sessions.db")
		return err == nil
	}, time.Minute, time.Millisecond)
	torn, whole := 0, 0
	for i := 0; i < 200 || (whole == 0 || torn == 0) && i < 2000; i++ {
		if i%50 == 49 && whole == 0 { // a machine that copies so slowly has a slower writer
			rest.Store(min(4*rest.Load(), int64(time.Second)))
		}
		out, err := c.copyOnce("sessions.db")
		require.NoError(t, err)
		if out.doubt != "" {
			torn++
			out.remove()
			continue
		}
		whole++
		assert.Equal(t, boltFile, out.kind)
		sameCount(t, out.Name())
		out.remove()
	}
	t.Logf("%d copies were whole; %d were seen to be torn", whole, torn)
	assert.Positive(t, whole)
	assert.Positive(t, torn, "the writer did not write enough to prove anything")
}

func sameCount(t *testing.T, name string) {
	t.Helper()
	db, err := bbolt.Open(name, 0, &bbolt.Options{ReadOnly: true})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte("sessions")); b != nil {
			assert.Equal(t, b.Get([]byte("a")), b.Get([]byte("z")))
		}
		return nil
	}))
}

// A file that is damaged for good is told, not saved as if it were whole.
func TestCopyBoltDamaged(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x.db")
	db, err := bbolt.Open(name, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		for n := range 1000 {
			_ = b.Put(fmt.Append(nil, n), make([]byte, 100))
		}
		return err
	}))
	require.NoError(t, db.Close())
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	c := &copier{root: root, temp: t.TempDir(), gap: 0}
	good, err := c.copyFile(t.Context(), "x.db")
	require.NoError(t, err)
	assert.Empty(t, good.doubt)
	good.remove()

	b, err := os.ReadFile(name)
	require.NoError(t, err)
	copy(b[5*4096:], make([]byte, 4096))
	require.NoError(t, os.WriteFile(name, b, 0o600))
	bad, err := c.copyFile(t.Context(), "x.db")
	require.NoError(t, err)
	defer bad.remove()
	assert.NotEmpty(t, bad.doubt)
}
