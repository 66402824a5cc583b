package door

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"trackerdcs/pkg/accounts"
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
	require.NoError(t, h.Close())
	h.open(t)
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
	assert.Zero(t, h.Door.store.unwritten())
	assert.Equal(t, "nobody", h.nameFor(id))
}

// TestStoreFails: a disk that refuses keeps nobody out, and what has ended stays
// ended. When it is better all is written.
func TestStoreFails(t *testing.T) {
	h := build(t)
	id, gone := h.login(t, "alice", alicePassword), h.login(t, "bob", bobPassword)
	db := h.Door.store.db
	path := db.Path()
	require.NoError(t, db.Close())
	require.Equal(t, "alice", h.nameFor(id))
	require.Error(t, h.Door.store.flush())
	assert.NotZero(t, h.Door.store.unwritten(), "it is tried again")

	second := h.login(t, "alice", alicePassword)
	assert.Equal(t, "alice", h.nameFor(second))
	assert.Equal(t, "alice", h.nameFor(id))
	assert.Equal(t, 204, h.ask(request{method: "POST", path: "/logout", cookie: gone}).Code)
	assert.Equal(t, "nobody", h.nameFor(gone))
	h.sweep(t.Context())
	require.Error(t, h.Close())

	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	h.Door.store.db = db
	require.NoError(t, h.Close())
	assert.Zero(t, h.Door.store.unwritten())
	h.open(t)
	assert.Equal(t, "alice", h.nameFor(second))
	assert.Equal(t, "nobody", h.nameFor(gone))
}

// TestDiskHangs: whoever must switch off comes in while the disk does nothing.
func TestDiskHangs(t *testing.T) {
	h := build(t)
	old := h.login(t, "bob", bobPassword)
	h.Door.store.patience = writeWait
	tx, err := h.Door.store.db.Begin(true) // all who write wait
	require.NoError(t, err)
	begin := time.Now()
	id := h.login(t, "alice", alicePassword)
	assert.Equal(t, "alice", h.nameFor(id))
	assert.Equal(t, 204, h.ask(request{method: "POST", path: "/logout", cookie: old}).Code)
	assert.Equal(t, "nobody", h.nameFor(old))
	assert.Less(t, time.Since(begin), patience)
	require.ErrorIs(t, h.Close(), errSlow, "nor does it keep the gateway from being stopped")
	h.Door.store.patience = patience
	require.NoError(t, tx.Rollback())
	require.NoError(t, h.Close())
	h.open(t)
	assert.Equal(t, "alice", h.nameFor(id), "it is written when the disk can again")
	assert.Equal(t, "nobody", h.nameFor(old))
}

// TestFullDiskStart: a full disk does not keep the gateway from being started.
func TestFullDiskStart(t *testing.T) {
	h := build(t)
	id := h.login(t, "alice", alicePassword)
	require.NoError(t, h.Close())
	path := filepath.Join(h.dir, "sessions.db")
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	h.open(t)
	assert.Equal(t, "alice", h.nameFor(id))
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, before, after, "nothing is written at the start")
}

const helperEnv = "DOOR_TEST_DIR"

// TestHelperProcess is not a test: it lets alice in, says her session's id, and
// waits until it is killed.
func TestHelperProcess(t *testing.T) {
	dir := os.Getenv(helperEnv)
	if dir == "" {
		return
	}
	h := &house{dir: dir}
	var err error
	h.store, err = accounts.Open(filepath.Join(dir, "users.json"))
	require.NoError(t, err)
	h.open(t)
	fmt.Printf("id=%s\n", h.login(t, "alice", alicePassword))
	select {} // nothing else ends it
}

// TestKilled: a session is there after a kill -9 right after the login.
func TestKilled(t *testing.T) {
	h := build(t)
	require.NoError(t, h.Close())
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperProcess$")
	cmd.Env = append(os.Environ(), helperEnv+"="+h.dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	assert.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	require.NoError(t, err)
	id, ok := strings.CutPrefix(strings.TrimSpace(line), "id=")
	require.True(t, ok, line)
	h.open(t)
	assert.Equal(t, "alice", h.nameFor(id))
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
