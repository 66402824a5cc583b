package auditlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const patience = 20 * time.Second

func opened(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// filled is a folder with n entries in segments of about 1 kB.
func filled(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	l, err := Open(dir, Options{SegmentBytes: 1000})
	require.NoError(t, err)
	for i := range n {
		require.NoError(t, l.Append(t.Context(), entry(i+1)))
	}
	require.NoError(t, l.Close())
	return dir
}

func entry(i int) Entry {
	return Entry{Kind: Command, User: fmt.Sprint("user", i%3), Verified: true, Device: []string{"hv", "lv"}[i%2], Op: "setv", Channel: "0", Value: float64(i), ID: fmt.Sprint("id-", i)}
}

func read(t testing.TB, dir string, number int) []string {
	t.Helper()
	b, err := os.ReadFile(segmentOf(dir, number).path)
	require.NoError(t, err)
	return strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n")
}

func report(t testing.TB, dir string, known ...Head) Report {
	t.Helper()
	r, err := Verify(t.Context(), dir, known...)
	require.NoError(t, err)
	return r
}

func sequence(entries []Entry) (seqs []int64) {
	for _, e := range entries {
		seqs = append(seqs, e.Seq)
	}
	return seqs
}

// The format, as the package's comment defines it, from the bytes of the file.
func TestFormat(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "audit")
	l := opened(t, dir, Options{})
	closest := 500.0
	when := time.Date(2026, 11, 20, 19, 25, 49, 920528000, time.UTC)
	list := []Entry{
		{Kind: Login, User: "alice <b>&\u2028\xff", Verified: true},
		{Kind: Outcome, Time: when, Device: "hv", Value: 1e-7, Closest: &closest, Phase: "rejected", Said: when},
	}
	require.NoError(t, l.Append(t.Context(), list...))
	require.NoError(t, l.Append(t.Context(), Entry{Kind: Logout}))
	assert.Equal(t, int64(2), list[1].Seq)
	assert.Equal(t, when, list[1].Time)
	assert.WithinDuration(t, time.Now(), list[0].Time, time.Minute)

	info, err := os.Stat(segmentOf(dir, 1).path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	prev := ""
	for i, line := range read(t, dir, 1) {
		var e map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		assert.EqualValues(t, i+1, e["seq"])
		assert.Equal(t, prev, e["prev"])
		hash := e["hash"].(string)
		body, ok := strings.CutSuffix(strings.TrimSuffix(line, "\n"), `,"hash":"`+hash+`"}`)
		require.True(t, ok)
		assert.Equal(t, fmt.Sprintf("%x", sha256.Sum256([]byte(body+"}"))), hash)
		prev = hash
	}
	assert.Equal(t, prev, l.Head().Hash)
	assert.Equal(t, fmt.Sprintf("3:%s", prev), l.Head().String())
	back, err := ParseHead(l.Head().String() + "\n")
	require.NoError(t, err)
	assert.Equal(t, prev, back.Hash)
	for _, bad := range []string{"", "3", "3:", "3:abc", "x:" + prev, "0:" + prev, "3:" + strings.ToUpper(prev)} {
		_, err := ParseHead(bad)
		assert.ErrorContains(t, err, "want the number of an entry", bad)
	}
}

func TestGoesOnAfterARestart(t *testing.T) {
	dir := filled(t, 7)
	all, err := segments(dir)
	require.NoError(t, err)
	require.Greater(t, len(all), 1)
	l := opened(t, dir, Options{SegmentBytes: 1000})
	assert.Equal(t, int64(7), l.Head().Seq)
	require.NoError(t, l.Append(t.Context(), entry(8), entry(9)))
	r := report(t, dir, l.Head())
	assert.True(t, r.OK(), r.Problems)
	assert.Equal(t, int64(9), r.Entries)
	assert.Equal(t, l.Head(), r.Head)
	assert.False(t, r.First.After(r.Last))
}

func TestAnEmptySegmentIsNoEnd(t *testing.T) {
	dir := filled(t, 3)
	all, err := segments(dir)
	require.NoError(t, err)
	next := segmentOf(dir, all[len(all)-1].number+1)
	require.NoError(t, os.WriteFile(next.path, nil, 0o600))
	l := opened(t, dir, Options{})
	require.NoError(t, l.Append(t.Context(), entry(4)))
	assert.Len(t, read(t, dir, next.number), 1)
	assert.True(t, report(t, dir).OK())
	assert.Equal(t, int64(4), l.Head().Seq)
}

func TestEntriesThatCannotBeWritten(t *testing.T) {
	l := opened(t, t.TempDir(), Options{})
	assert.ErrorContains(t, l.Append(t.Context(), entry(1), Entry{Kind: Command, Value: math.NaN()}), "an entry of the kind command cannot be written")
	assert.ErrorContains(t, l.Append(t.Context(), Entry{Kind: Outcome, Message: strings.Repeat("x", maxLine)}), "too long")
	require.NoError(t, l.Append(t.Context(), entry(1)))
	assert.Equal(t, int64(1), l.Head().Seq)
	require.NoError(t, l.Close())
	assert.ErrorIs(t, l.Append(t.Context(), entry(2)), ErrClosed)
}

// Whatever of the last line was on the disk when the power failed: it goes
// aside, and the log goes on.
func TestTornLine(t *testing.T) {
	line := len(read(t, filled(t, 1), 1)[0])
	for _, left := range []int{1, 7, line / 2, line - 2, line - 1} {
		t.Run(fmt.Sprint(left), func(t *testing.T) {
			dir := filled(t, 2)
			lines := read(t, dir, 1)
			torn := lines[1][:left]
			require.NoError(t, os.WriteFile(segmentOf(dir, 1).path, []byte(lines[0]+torn), 0o600))
			r := report(t, dir)
			assert.True(t, r.OK(), "it is not there yet: nothing was confirmed")
			assert.Equal(t, int64(left), r.Unfinished)

			l := opened(t, dir, Options{})
			require.NoError(t, l.Append(t.Context(), entry(2)))
			r = report(t, dir)
			assert.True(t, r.OK(), r.Problems)
			assert.Equal(t, int64(3), r.Entries)
			assert.Equal(t, int64(1), r.Gaps)
			b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("torn-000001-%d", len(lines[0]))))
			require.NoError(t, err)
			assert.Equal(t, torn, string(b))
			entries, _, err := l.List(t.Context(), Filter{Kind: Gap})
			require.NoError(t, err)
			require.Len(t, entries, 1)
			assert.Contains(t, entries[0].Message, fmt.Sprintf("%d bytes at the end of audit-000001.jsonl were cut off", left))
		})
	}
}

// A broken chain does not keep the gateway from coming up, and is not hidden.
func TestBrokenAtTheStart(t *testing.T) {
	for name, damage := range map[string]func(string) string{
		"in the middle": func(s string) string { return strings.Replace(s, `"id":"id-2"`, `"id":"id-7"`, 1) },
		"at the end":    func(s string) string { return strings.Replace(s, `"id":"id-3"`, `"id":"id-7"`, 1) },
		"zeros":         func(s string) string { return s + "\x00\x00\n" },
		"and torn":      func(s string) string { return s + "\x00\x00\n{" },
		"all of it":     func(string) string { return "nothing\n" },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := opened(t, dir, Options{})
			require.NoError(t, l.Append(t.Context(), entry(1), entry(2), entry(3)))
			require.NoError(t, l.Close())
			b, err := os.ReadFile(segmentOf(dir, 1).path)
			require.NoError(t, err)
			bad := damage(string(b))
			require.NoError(t, os.WriteFile(segmentOf(dir, 1).path, []byte(bad), 0o600))
			before := report(t, dir)
			require.False(t, before.OK())

			for range 2 { // the second start has nothing to say
				l = opened(t, dir, Options{})
				require.NoError(t, l.Append(t.Context(), entry(4)))
				require.NoError(t, l.Close())
			}
			b, err = os.ReadFile(segmentOf(dir, 1).path)
			require.NoError(t, err)
			assert.Equal(t, bad, string(b), "it is evidence")
			lines := read(t, dir, 2)
			require.Len(t, lines, 3)
			e, err := readLine([]byte(strings.TrimSuffix(lines[0], "\n")))
			require.NoError(t, err)
			assert.Equal(t, Gap, e.Kind)
			assert.Contains(t, e.Message, "the chain is broken: "+before.Problems[0].File+": line ")
			after := report(t, dir)
			assert.Equal(t, before.Problems[0], after.Problems[0])
			for _, p := range after.Problems {
				assert.Equal(t, segmentOf(dir, 1).name(), p.File)
			}
		})
	}
}

// fakeDisk is a disk that can be full, or fail.
type fakeDisk struct {
	room     atomic.Int64 // bytes
	syncs    atomic.Int64
	syncing  atomic.Pointer[func() error]
	truncate atomic.Bool // fails
}

type fakeFile struct {
	*os.File
	d *fakeDisk
}

func newDisk() *fakeDisk {
	d := &fakeDisk{}
	d.room.Store(math.MaxInt64)
	return d
}

func (d *fakeDisk) open(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return &fakeFile{f, d}, nil
}

func (f *fakeFile) WriteAt(b []byte, at int64) (int, error) {
	n := int(min(int64(len(b)), f.d.room.Load()))
	f.d.room.Add(-int64(n))
	_, err := f.File.WriteAt(b[:n], at)
	if err == nil && n < len(b) {
		err = syscall.ENOSPC
	}
	return n, err
}

func (f *fakeFile) Sync() error {
	f.d.syncs.Add(1)
	if s := f.d.syncing.Load(); s != nil {
		if err := (*s)(); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeFile) Truncate(n int64) error {
	if f.d.truncate.Load() {
		return syscall.EIO
	}
	return f.File.Truncate(n)
}

func faulty(t *testing.T, dir string) (*Log, *fakeDisk) {
	t.Helper()
	d := newDisk()
	l, err := open(dir, Options{SegmentBytes: 1000}, d.open)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l, d
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	l, d := faulty(t, dir)
	require.NoError(t, l.Append(t.Context(), entry(1)))
	for _, room := range []int64{0, 1, 100, 400} {
		d.room.Store(room)
		err := l.Append(t.Context(), entry(2), entry(3))
		require.ErrorIs(t, err, syscall.ENOSPC)
		assert.ErrorContains(t, err, "writing the audit log")
		r := report(t, dir)
		assert.True(t, r.OK(), r.Problems)
		assert.Equal(t, int64(1), r.Entries, "nothing half-written stays")
		assert.Zero(t, r.Unfinished)
	}
	d.room.Store(math.MaxInt64)
	require.NoError(t, l.Append(t.Context(), entry(2), entry(3)))
	r := report(t, dir)
	assert.True(t, r.OK(), r.Problems)
	assert.Equal(t, int64(3), r.Entries)
}

// A disk that says no to everything is asked again by the next Append.
func TestDiskThatFails(t *testing.T) {
	dir := t.TempDir()
	l, d := faulty(t, dir)
	require.NoError(t, l.Append(t.Context(), entry(1)))
	fail := func() error { return syscall.EIO }
	d.syncing.Store(&fail)
	require.ErrorIs(t, l.Append(t.Context(), entry(2)), syscall.EIO)
	d.truncate.Store(true)
	require.ErrorIs(t, l.Append(t.Context(), entry(2)), syscall.EIO)
	assert.Equal(t, int64(1), l.Head().Seq)
	list, _, err := l.List(t.Context(), Filter{})
	require.NoError(t, err)
	assert.Len(t, list, 1, "what is not confirmed is not shown")
	d.syncing.Store(nil)
	require.ErrorIs(t, l.Append(t.Context(), entry(2)), syscall.EIO, "its end is not whole")
	d.truncate.Store(false)
	require.NoError(t, l.Append(t.Context(), entry(2)))
	r := report(t, dir)
	assert.True(t, r.OK(), r.Problems)
	assert.Equal(t, int64(2), r.Entries)
}

// The gateway starts on a full disk, and says what it found once there is room.
func TestStartOnAFullDisk(t *testing.T) {
	dir := filled(t, 1)
	f, err := os.OpenFile(segmentOf(dir, 1).path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"seq":2`)
	require.NoError(t, errors.Join(err, f.Close()))
	d := newDisk()
	d.room.Store(0)
	l, err := open(dir, Options{}, d.open)
	require.NoError(t, err)
	defer l.Close()
	require.ErrorIs(t, l.Append(t.Context(), entry(2)), syscall.ENOSPC)
	d.room.Store(math.MaxInt64)
	require.NoError(t, l.Append(t.Context(), entry(2)))
	list, _, err := l.List(t.Context(), Filter{})
	require.NoError(t, err)
	require.Len(t, list, 3)
	assert.Equal(t, Gap, list[1].Kind)
	assert.True(t, report(t, dir).OK())
}

// gate makes the next syncs wait.
func gate(d *fakeDisk) (open func()) {
	shut := make(chan struct{})
	wait := func() error { <-shut; return nil }
	d.syncing.Store(&wait)
	return sync.OnceFunc(func() { close(shut) })
}

func (l *Log) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

func TestCallersShareASync(t *testing.T) {
	const n = 100
	dir := t.TempDir()
	l, d := faulty(t, dir)
	open := gate(d)
	defer open()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { assert.NoError(t, l.Append(context.Background(), entry(i), entry(i))) })
	}
	require.Eventually(t, func() bool { return d.syncs.Load() == 1 && l.waiting() > 0 }, patience, time.Millisecond)
	first := l.waiting()
	require.Eventually(t, func() bool { n := l.waiting(); same := n == first; first = n; return same }, patience, 20*time.Millisecond)
	open()
	all.Wait()
	assert.LessOrEqual(t, d.syncs.Load(), int64(10), "%d callers", n)
	r := report(t, dir)
	assert.True(t, r.OK(), r.Problems)
	assert.Equal(t, int64(2*n), r.Entries)
}

func TestAppendThatIsTakenBack(t *testing.T) {
	dir := t.TempDir()
	l, d := faulty(t, dir)
	open := gate(d)
	defer open()
	ended := make(chan error, 2)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- l.Append(context.Background(), entry(1)) }()
	require.Eventually(t, func() bool { return d.syncs.Load() == 1 }, patience, time.Millisecond)
	go func() { ended <- l.Append(ctx, entry(2)) }()
	require.Eventually(t, func() bool { return l.waiting() == 1 }, patience, time.Millisecond)
	cancel()
	assert.ErrorIs(t, <-ended, context.Canceled)
	open()
	assert.NoError(t, <-ended)
	assert.Equal(t, int64(1), report(t, dir).Entries)
}

// What somebody does to the files of a running gateway is seen.
func TestMeddledWithWhileRunning(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(t *testing.T, file string)
		want string
	}{
		"removed":   {func(t *testing.T, f string) { require.NoError(t, os.Remove(f)) }, "it is gone"},
		"folder":    {func(t *testing.T, f string) { require.NoError(t, os.RemoveAll(filepath.Dir(f))) }, "it is gone"},
		"truncated": {func(t *testing.T, f string) { require.NoError(t, os.Truncate(f, 10)) }, "it has 10 bytes"},
		"replaced": {func(t *testing.T, f string) {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(f+".new", bytes.ReplaceAll(b, []byte("user1"), []byte("user2")), 0o600))
			require.NoError(t, os.Rename(f+".new", f))
		}, "another file has its name"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			l := opened(t, dir, Options{})
			require.NoError(t, l.Append(t.Context(), entry(1), entry(2)))
			head := l.Head()
			tt.do(t, segmentOf(dir, 1).path)
			require.NoError(t, l.Append(t.Context(), entry(3)))
			require.NoError(t, l.Append(t.Context(), entry(4)))
			assert.Equal(t, int64(5), l.Head().Seq)
			list, _, err := l.List(t.Context(), Filter{Limit: 3})
			require.NoError(t, err)
			assert.Equal(t, Gap, list[2].Kind)
			assert.Contains(t, list[2].Message, tt.want)
			assert.False(t, report(t, dir, head).OK())
		})
	}
}

func TestVerifyWhileItIsWritten(t *testing.T) {
	dir := t.TempDir()
	l := opened(t, dir, Options{SegmentBytes: 20_000})
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				assert.NoError(t, l.Append(context.Background(), entry(i)))
			}
		})
	}
	last := Head{}
	for l.Head().Seq < 1000 {
		known := l.Head()
		heads := []Head{last, known}
		if last.Seq == 0 {
			heads = nil
		}
		r := report(t, dir, heads...)
		require.True(t, r.OK(), r.Problems)
		require.GreaterOrEqual(t, r.Entries, known.Seq)
		if list, _, err := List(ctx, dir, Filter{Limit: 10}); assert.NoError(t, err) && len(list) > 0 {
			require.GreaterOrEqual(t, list[0].Seq, known.Seq)
		}
		last = known
	}
	cancel()
	writers.Wait()
}

func TestFolderThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(filepath.Join(file, "audit"), Options{})
	assert.ErrorContains(t, err, "the audit log: mkdir")
	_, err = Verify(t.Context(), filepath.Join(file, "audit"))
	assert.ErrorContains(t, err, "the audit log: open")
	_, _, err = List(t.Context(), filepath.Join(file, "audit"), Filter{})
	assert.ErrorContains(t, err, "the audit log: open")
}

func BenchmarkAppend(b *testing.B) {
	l := opened(b, b.TempDir(), Options{})
	b.ReportAllocs()
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := l.Append(context.Background(), entry(1)); err != nil {
				b.Error(err)
			}
		}
	})
}
