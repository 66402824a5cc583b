package keep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/drivers/ph2acf/procedure"
	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/transfer"
	"trackerdcs/pkg/wire"
)

func open(t *testing.T, dir string) (*Store, []*Record) {
	t.Helper()
	s, records, err := Open(dir, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return s, records
}

// begin makes a run in a folder of its own.
func begin(t *testing.T, s *Store, run int64, files ...procedure.File) *Record {
	t.Helper()
	r := &Record{Report: wire.Report{Run: run, UID: "u", State: wire.RunRunning, Start: time.Now()}, Directory: s.Work(run), Files: files}
	require.NoError(t, s.Begin(r))
	require.NoError(t, os.WriteFile(s.Log(run), []byte("log\n"), 0o600))
	return r
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func names(m wire.Manifest) (out []string) {
	for _, f := range m.Files {
		out = append(out, f.Name)
	}
	return out
}

func TestNumbersAreKept(t *testing.T) {
	dir := t.TempDir()
	s, records := open(t, dir)
	assert.Empty(t, records)
	assert.Zero(t, s.Highest())
	begin(t, s, 3)
	begin(t, s, 10)
	s, records = open(t, dir)
	require.Len(t, records, 2)
	assert.EqualValues(t, 10, records[1].Report.Run)
	assert.EqualValues(t, 10, s.Highest())

	// The file of the highest number was not written any more.
	require.NoError(t, os.Remove(filepath.Join(dir, "highest")))
	s, _ = open(t, dir)
	assert.EqualValues(t, 10, s.Highest())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "highest"), []byte("x"), 0o600))
	_, _, err := Open(dir, slog.New(slog.DiscardHandler))
	assert.ErrorContains(t, err, `holds "x" and not the number of the last run`)
}

func TestForgettingKeepsTheLastRecord(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	first, last := begin(t, s, 1), begin(t, s, 2)
	require.NoError(t, s.Forget(first))
	require.NoError(t, s.Forget(last))
	_, records := open(t, dir)
	require.Len(t, records, 1)
	assert.True(t, records[0].Stored)
	entries, err := os.ReadDir(s.Folder(2))
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

// A folder without a record is one that was not accepted any more; a record
// that cannot be read is a mistake that somebody has to look at.
func TestHalfDone(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	require.NoError(t, os.MkdirAll(s.Work(5), 0o750))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "runs", "notes"), 0o750))
	s, records := open(t, dir)
	assert.Empty(t, records)
	assert.NoDirExists(t, s.Folder(5))
	begin(t, s, 6)
	write(t, s.Folder(6), "run.json", "{")
	_, _, err := Open(dir, slog.New(slog.DiscardHandler))
	assert.ErrorContains(t, err, "its results are beside it; move the folder away")
}

func TestCollect(t *testing.T) {
	s, _ := open(t, t.TempDir())
	secret := filepath.Join(t.TempDir(), "secret.csv")
	require.NoError(t, os.WriteFile(secret, []byte("x"), 0o600))
	r := begin(t, s, 1,
		procedure.File{Glob: "summary.json", Read: wire.ReadJSON, Required: true}, procedure.File{Glob: "*.csv", Read: wire.ReadCSV},
		procedure.File{Glob: "sub/*/*", Read: wire.ReadRaw}, procedure.File{Glob: "*", Read: wire.ReadRaw},
		procedure.File{Glob: "a.csv", Read: wire.ReadRaw, Required: true}, procedure.File{Glob: "missing_{run}", Read: wire.ReadRaw, Required: true},
		procedure.File{Glob: "none", Read: wire.ReadRaw})
	work := s.Work(1)
	write(t, work, "summary.json", "{}")
	write(t, work, "b.csv", "b")
	write(t, work, "a.csv", "a")
	write(t, work, "empty.csv", "")
	write(t, work, "log.txt", "not the log")
	write(t, work, "sub/x/raw", strings.Repeat("r", 1<<20))
	write(t, work, "odd\nname", "x")
	require.NoError(t, os.Symlink(secret, filepath.Join(work, "out.csv")))
	require.NoError(t, os.Symlink("a.csv", filepath.Join(work, "in.csv")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(work, "pipe"), 0o600))
	got, err := s.Collect(t.Context(), r)
	m := got.Manifest
	require.NoError(t, err)
	assert.Equal(t, []string{"summary.json", "a.csv", "b.csv", "empty.csv", "in.csv", "sub/x/raw", "log.txt"}, names(got.Manifest))
	assert.Equal(t, []string{"left no missing_1, which it has to"}, got.Missing)
	assert.True(t, got.Only, "the log of the program's own, and the file with the odd name")
	sum := sha256.Sum256([]byte("a"))
	assert.Equal(t, wire.File{Name: "a.csv", Size: 1, SHA256: hex.EncodeToString(sum[:]), Read: wire.ReadCSV}, got.Manifest.Files[1])
	assert.Equal(t, wire.ReadLog, got.Manifest.Files[6].Read)
	left := strings.Join(got.Manifest.Left, "|")
	assert.Contains(t, left, "out.csv: ")
	assert.Contains(t, left, "pipe: it is no regular file")
	assert.Contains(t, left, "log.txt: the name is taken by what the program printed")
	assert.Contains(t, left, `"odd\nname"`)
	assert.Len(t, got.Manifest.Left, 4)
	m.State = wire.RunFinished
	require.NoError(t, transfer.CheckManifest(&m))

	require.NoError(t, s.SaveManifest(m))
	kept, err := s.Manifest(1)
	require.NoError(t, err)
	assert.Equal(t, got.Manifest.Files, kept.Files)
	for _, f := range got.Manifest.Files {
		in, err := s.OpenFile(r, f.Name)
		require.NoError(t, err)
		info, err := in.Stat()
		require.NoError(t, err)
		assert.Equal(t, f.Size, info.Size(), f.Name)
		_ = in.Close()
	}
	in, err := s.OpenFile(r, "../run.json")
	assert.Error(t, err, in)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Collect(ctx, r)
	assert.ErrorIs(t, err, context.Canceled)
}

// Of too many files the rest is named, and a directory that is gone is said.
func TestCollectBounds(t *testing.T) {
	s, _ := open(t, t.TempDir())
	r := begin(t, s, 1, procedure.File{Glob: "*", Read: wire.ReadRaw})
	for i := range transfer.MaxFiles + 200 {
		write(t, s.Work(1), fmt.Sprintf("%04d", i), "")
	}
	got, err := s.Collect(t.Context(), r)
	require.NoError(t, err)
	assert.Len(t, got.Manifest.Files, transfer.MaxFiles)
	assert.Len(t, got.Manifest.Left, maxLeft+1)
	assert.Equal(t, "… and 101 more", got.Manifest.Left[maxLeft])

	require.NoError(t, os.RemoveAll(s.Work(1)))
	got, err = s.Collect(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, []string{"log.txt"}, names(got.Manifest))
	assert.Contains(t, got.Manifest.Left[0], "the directory: ")
}

// A manifest is one that a sink takes, whatever names a program chooses.
func TestManifestsAreNotTooLong(t *testing.T) {
	s, _ := open(t, t.TempDir())
	r := begin(t, s, 1, procedure.File{Glob: "*", Read: wire.ReadRaw, Required: true}, procedure.File{Glob: "*/*/*/*", Read: wire.ReadRaw})
	for i := range transfer.MaxFiles {
		write(t, s.Work(1), fmt.Sprintf("%s%04d", strings.Repeat("<", 200), i), "")
	}
	deep := filepath.Join(strings.Repeat("\x01", 200), strings.Repeat("\x01", 200), strings.Repeat("\x01", 200))
	for i := range 2 * maxLeft {
		write(t, s.Work(1), filepath.Join(deep, fmt.Sprint(i)), "")
	}
	got, err := s.Collect(t.Context(), r)
	require.NoError(t, err)
	assert.Less(t, len(wire.Encode(got.Manifest)), transfer.MaxManifest*3/4)
	assert.Less(t, len(got.Manifest.Files), transfer.MaxFiles)
	assert.Contains(t, got.Manifest.Left[maxLeft], " more")
	assert.NotEmpty(t, got.Missing, "a required file that is left out is missing")
	assert.True(t, got.Only)
}

// What a full disk does to a file is no word on the file.
func TestFullDiskIsAnError(t *testing.T) {
	s, _ := open(t, t.TempDir())
	shared := t.TempDir()
	r := &Record{Report: wire.Report{Run: 1, Start: time.Now()}, Directory: shared, Shared: true, Files: []procedure.File{{Glob: "*.csv", Read: wire.ReadCSV}}}
	require.NoError(t, s.Begin(r))
	require.NoError(t, os.WriteFile(s.Log(1), []byte("log\n"), 0o600))
	write(t, shared, "new.csv", "")
	require.NoError(t, os.Truncate(filepath.Join(shared, "new.csv"), 65<<20))
	var old syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64 << 20, Max: old.Max}))
	_, err := s.Collect(t.Context(), r)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old))
	require.ErrorIs(t, err, syscall.EFBIG)
	assert.ErrorContains(t, err, "collecting the files of run 1: new.csv: ")
	got, err := s.Collect(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, []string{"new.csv", "log.txt"}, names(got.Manifest))
	assert.False(t, ownFault(&fs.PathError{Op: "read", Path: "x", Err: syscall.EIO}))
	assert.False(t, ownFault(&fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}))
	assert.True(t, ownFault(&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}))
	assert.False(t, ownFault(storing(syscall.EACCES)), "of writing")
	look := &looking{FS: fstest.MapFS{}}
	look.note(syscall.EIO)
	assert.ErrorIs(t, look.err, syscall.EIO)
}

// Files that the sink has not got are not removed with those that it has.
func TestForgettingKeepsWhatIsNowhereElse(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir)
	r := begin(t, s, 1, procedure.File{Glob: "*", Read: wire.ReadRaw})
	write(t, s.Work(1), "odd\nname", "x")
	got, err := s.Collect(t.Context(), r)
	require.NoError(t, err)
	require.True(t, got.Only)
	r.Only = true
	begin(t, s, 2)
	for range 2 {
		require.NoError(t, s.Forget(r))
		assert.FileExists(t, filepath.Join(s.Work(1), "odd\nname"))
	}
	_, records := open(t, dir)
	require.Len(t, records, 2)
	assert.True(t, records[0].Stored)
}

// A program may leave folders that nothing can be removed from, and links that
// lead elsewhere.
func TestLockedFoldersAreRemoved(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	require.NoError(t, os.Chmod(elsewhere, 0o500))
	s, _ := open(t, dir)
	first, last := begin(t, s, 1), begin(t, s, 2)
	for run := int64(1); run <= 3; run++ { // 3 has no record
		write(t, s.Work(run), "sub/sub/x", "x")
		require.NoError(t, os.Symlink(elsewhere, filepath.Join(s.Work(run), "sub/link")))
		for _, name := range []string{"sub/sub", "sub", ""} {
			require.NoError(t, os.Chmod(filepath.Join(s.Work(run), name), 0o500))
		}
	}
	unlockAll(t, s, elsewhere, first.Report.Run)
	require.NoError(t, s.Forget(first))
	require.NoError(t, s.Forget(last))
	s, records := open(t, dir)
	assert.Len(t, records, 1)
	for run := int64(1); run <= 3; run++ {
		assert.NoDirExists(t, s.Work(run))
	}
}

// unlockAll sees what unlocking does even where the user of the test, as root,
// could remove everything without it.
func unlockAll(t *testing.T, s *Store, elsewhere string, run int64) {
	t.Helper()
	root, err := os.OpenRoot(s.dir)
	require.NoError(t, err)
	defer root.Close()
	unlock(root, filepath.Join("runs", fmt.Sprint(run)))
	for _, name := range []string{"", "sub", "sub/sub"} {
		info, err := os.Stat(filepath.Join(s.Work(run), name))
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o700), info.Mode().Perm(), name)
	}
	info, err := os.Stat(elsewhere)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o500), info.Mode().Perm(), "links are not followed")
}

// A file that grows while it is summed up is left out.
func TestGrowing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(name, make([]byte, 1<<20), 0o600))
	in, err := os.Open(name)
	require.NoError(t, err)
	defer in.Close()
	_, _, err = sumUp(t.Context(), in, grower(func() {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = f.WriteString("more")
		require.NoError(t, err)
		_ = f.Close()
	}))
	assert.ErrorContains(t, err, "it changed while it was read")
}

type grower func()

func (g grower) Write(b []byte) (int, error) { g(); return len(b), nil }

func TestSharedDirectory(t *testing.T) {
	s, _ := open(t, t.TempDir())
	shared := t.TempDir()
	write(t, shared, "old.csv", "old")
	past := time.Now().Add(-time.Minute)
	require.NoError(t, os.Chtimes(filepath.Join(shared, "old.csv"), past, past))
	r := &Record{Report: wire.Report{Run: 1, Start: time.Now()}, Directory: shared, Shared: true, Files: []procedure.File{{Glob: "*.csv", Read: wire.ReadCSV}}}
	require.NoError(t, s.Begin(r))
	write(t, shared, "new.csv", "new")
	for range 2 { // the second time after one that was cut off
		got, err := s.Collect(t.Context(), r)
		require.NoError(t, err)
		assert.Equal(t, []string{"new.csv"}, names(got.Manifest))
		assert.Contains(t, got.Manifest.Left[0], "log.txt: ", "there is none")
	}
	write(t, shared, "new.csv", "overwritten")
	in, err := s.OpenFile(r, "new.csv")
	require.NoError(t, err)
	defer in.Close()
	b := make([]byte, 3)
	_, err = in.ReadAt(b, 0)
	require.NoError(t, err)
	assert.Equal(t, "new", string(b))

	r.Report.Start = time.Time{} // never started: nothing of it can be there
	got, err := s.Collect(t.Context(), r)
	require.NoError(t, err)
	assert.Empty(t, got.Manifest.Files)
}

func TestLastSeen(t *testing.T) {
	s, _ := open(t, t.TempDir())
	r := begin(t, s, 1)
	later := r.Report.Start.Add(time.Hour).Truncate(time.Second)
	require.NoError(t, os.Chtimes(s.Log(1), later, later))
	assert.True(t, s.LastSeen(r).Equal(later))
	free, err := disk.Free(s.Folder(1))
	require.NoError(t, err)
	assert.Positive(t, free)
}
