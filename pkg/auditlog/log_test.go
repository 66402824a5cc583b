package auditlog

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const patience = time.Minute

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
// A disk that says no to everything is asked again by the next Append.
// The gateway starts on a full disk, and says what it found once there is room.
// gate makes the next syncs wait.
func (l *Log) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// What somebody does to the files of a running gateway is seen.
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
