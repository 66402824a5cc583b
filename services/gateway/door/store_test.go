package door

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// TestNothingToStealOnDisk: who reads the file cannot log in with it.
func TestNothingToStealOnDisk(t *testing.T) {
	h := build(t)
	id := h.login(t, "alice", alicePassword)
	require.NoError(t, h.Close())
	path := filepath.Join(h.dir, "sessions.db")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(b), "alice")
	assert.NotContains(t, string(b), id)
	assert.NotContains(t, string(b), alicePassword)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}

// TestBadSessionsFile: sessions are not worth that nobody can log in.
func TestBadSessionsFile(t *testing.T) {
	for _, content := range []string{"x", strings.Repeat("no sessions ", 10000), strings.Repeat("\x00", 1<<16)} {
		h := build(t)
		id := h.login(t, "alice", alicePassword)
		require.NoError(t, h.Close())
		path := filepath.Join(h.dir, "sessions.db")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		h.open(t)
		assert.Equal(t, "nobody", h.nameFor(id))
		assert.Equal(t, "alice", h.nameFor(h.login(t, "alice", alicePassword)))
		kept, err := os.ReadFile(path + ".bad")
		require.NoError(t, err)
		assert.Equal(t, content, string(kept))
	}
}

func TestBadRecords(t *testing.T) {
	h := build(t)
	now := time.Now()
	require.NoError(t, h.Door.store.Commit("no JSON", []byte("x"), now.Add(time.Hour)))
	require.NoError(t, h.Door.store.Commit("nobody's", []byte("{}"), now.Add(time.Hour)))
	require.NoError(t, h.Door.store.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketName).Put([]byte(keyOf("short")), []byte("short"))
	}))
	assert.Equal(t, 500, h.ask(request{path: "/open", cookie: "no JSON"}).Code)
	assert.Equal(t, "nobody", h.nameFor("nobody's"))
	assert.Equal(t, "nobody", h.nameFor("short"))
	h.sweep(t.Context())
	assert.Zero(t, h.Door.store.count())
	assert.Equal(t, "nobody", h.nameFor("no JSON"))
}

// TestGoneStaysGone: a use that is noted late does not bring a session back.
func TestGoneStaysGone(t *testing.T) {
	h := build(t)
	id := h.login(t, "alice", alicePassword)
	require.Equal(t, 204, h.ask(request{method: "POST", path: "/logout", cookie: id}).Code)
	h.Door.store.touch(keyOf(id), time.Now())
	require.NoError(t, h.Door.store.flush())
	assert.Zero(t, h.Door.store.count())
	assert.Empty(t, h.Door.store.used)
	assert.Equal(t, "nobody", h.nameFor(id))
}

// TestStoreFails: what the disk does not do is an error and no login.
func TestStoreFails(t *testing.T) {
	h := build(t)
	id := h.login(t, "alice", alicePassword)
	h.Door.store.touch(keyOf(id), time.Now())
	require.NoError(t, h.Door.store.db.Close())
	require.Error(t, h.Door.store.flush())
	assert.NotEmpty(t, h.Door.store.used, "it is tried again")
	assert.False(t, h.Door.store.stands(keyOf(id), time.Now()))
	w := h.ask(request{method: "POST", path: "/login", body: credentials("alice", alicePassword)})
	assert.Equal(t, 500, w.Code)
	assert.Nil(t, cookieOf(t, w))
	assert.Equal(t, 500, h.ask(request{path: "/open", cookie: id}).Code)
	h.sweep(t.Context())
	require.Error(t, h.Close())
}

func TestNewRefuses(t *testing.T) {
	h := build(t)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	taken := prometheus.NewRegistry()
	require.NoError(t, taken.Register(h.logins))
	for _, c := range []Config{
		{Accounts: h.store, Dir: t.TempDir(), Idle: time.Hour},
		{Accounts: h.store, Dir: t.TempDir(), Absolute: time.Hour},
		{Accounts: h.store, Dir: filepath.Join(file, "x"), Idle: time.Hour, Absolute: time.Hour},
		{Accounts: h.store, Dir: t.TempDir(), Idle: time.Hour, Absolute: time.Hour, Metrics: taken},
	} {
		_, err := New(c)
		require.Error(t, err)
	}
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sessions.db"), 0o700))
	_, err := openStore(dir, time.Hour, slog.New(slog.DiscardHandler))
	require.Error(t, err)
	assert.DirExists(t, filepath.Join(dir, "sessions.db"))
}

func TestCodec(t *testing.T) {
	end := time.Now().UTC().Truncate(time.Second)
	b, err := codec{}.Encode(end, map[string]any{"user": "alice"})
	require.NoError(t, err)
	got, values, err := codec{}.Decode(b)
	require.NoError(t, err)
	assert.Equal(t, end, got)
	assert.Equal(t, map[string]any{"user": "alice"}, values)
	_, err = codec{}.Encode(end, map[string]any{"n": 1})
	require.ErrorContains(t, err, "n is a int and no text")
}
