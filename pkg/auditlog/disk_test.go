package auditlog

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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

func gate(d *fakeDisk) (open func()) {
	shut := make(chan struct{})
	wait := func() error { <-shut; return nil }
	d.syncing.Store(&wait)
	return sync.OnceFunc(func() { close(shut) })
}

func TestCallersShareASync(t *testing.T) {
	const n = 100
	dir := t.TempDir()
	l, d := faulty(t, dir)
	open := gate(d)
	defer open()
	var all sync.WaitGroup
	call := func(i int) {
		all.Go(func() { assert.NoError(t, l.Append(context.Background(), entry(i), entry(i))) })
	}
	call(0)
	require.Eventually(t, func() bool { return d.syncs.Load() == 1 }, patience, time.Millisecond)
	for i := range n - 1 {
		call(i + 1)
	}
	require.Eventually(t, func() bool { return l.waiting() == n-1 }, patience, time.Millisecond)
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
