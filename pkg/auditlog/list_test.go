package auditlog

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// all is what comes page by page.
func all(t *testing.T, dir string, f Filter) (list []Entry, calls int) {
	t.Helper()
	for {
		calls++
		page, next, err := List(t.Context(), dir, f)
		require.NoError(t, err)
		list = append(list, page...)
		if next == 0 {
			return list, calls
		}
		require.True(t, f.Before == 0 || next < f.Before, "it goes on")
		f.Before = next
	}
}

func TestList(t *testing.T) {
	dir := filled(t, 50)
	var want []Entry
	for i := 50; i >= 1; i-- {
		e := entry(i)
		e.Seq = int64(i)
		want = append(want, e)
	}
	for _, f := range []Filter{
		{}, {Limit: 1}, {Limit: 7}, {Limit: 1000}, {Before: 1}, {Before: 2}, {Before: 23, Limit: 3}, {Before: 1000},
		{Device: "hv"}, {Device: "hv", User: "user1", Limit: 2}, {User: "nobody"}, {Kind: Command}, {Kind: Login},
		{Kinds: []string{Login, Command}, Limit: 5}, {Kinds: []string{Login}}, {Kind: Command, Kinds: []string{Login}},
	} {
		t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) {
			expected := slices.DeleteFunc(slices.Clone(want), func(e Entry) bool {
				return f.Before > 0 && e.Seq >= f.Before || !f.takes(&e)
			})
			list, _ := all(t, dir, f)
			assert.Equal(t, sequence(expected), sequence(list))
			for i, e := range list {
				assert.Equal(t, expected[i].ID, e.ID)
				assert.Equal(t, expected[i].Value, e.Value)
			}
			first, next, err := List(t.Context(), dir, f)
			require.NoError(t, err)
			limit := f.Limit
			if limit == 0 {
				limit = defaultLimit
			}
			assert.LessOrEqual(t, len(first), limit)
			if len(expected) > limit {
				assert.Equal(t, first[limit-1].Seq, next)
			}
		})
	}
}

// Somebody who looks for what is rare waits no longer for it: there are pages
// with nothing on them.
func TestListLooksAtABoundedNumber(t *testing.T) {
	const n = 2*maxScan + 100
	dir := t.TempDir()
	var b []byte
	var head Head
	for i := range n {
		e := entry(i)
		if i == 5 {
			e.User = "alice"
		}
		var err error
		b, head, err = appendLine(b, head, &e)
		require.NoError(t, err)
	}
	require.NoError(t, os.WriteFile(segmentOf(dir, 1).path, b, 0o600))
	page, next, err := List(t.Context(), dir, Filter{User: "alice"})
	require.NoError(t, err)
	assert.Empty(t, page)
	assert.Equal(t, int64(n-maxScan+1), next)
	list, calls := all(t, dir, Filter{User: "alice"})
	assert.Len(t, list, 1)
	assert.Equal(t, 3, calls)
	assert.Equal(t, int64(6), list[0].Seq)
}

// Lines of any length, some of them no entries, in blocks of any alignment.
func TestListPassesOverWhatIsNoEntry(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	var b []byte
	var head Head
	for range 300 {
		e := Entry{Kind: Outcome, Message: strings.Repeat("m", random.IntN(5000))}
		var err error
		b, head, err = appendLine(b, head, &e)
		require.NoError(t, err)
		if random.IntN(10) == 0 {
			b = append(b, strings.Repeat("garbage", random.IntN(10_000))+"\n\n"...)
		}
	}
	b = append(b, strings.Repeat("x", 2*maxLine)+"\n"+`{"seq":301,"ti`...)
	require.NoError(t, os.WriteFile(segmentOf(dir, 1).path, b, 0o600))
	list, _ := all(t, dir, Filter{Limit: 1000})
	require.Len(t, list, 300)
	for before := int64(1); before <= 301; before++ {
		page, _, err := List(t.Context(), dir, Filter{Before: before, Limit: 1})
		require.NoError(t, err)
		if before == 1 {
			assert.Empty(t, page)
			continue
		}
		require.Len(t, page, 1)
		require.Equal(t, before-1, page[0].Seq)
	}
}

func BenchmarkList(b *testing.B) {
	dir := b.TempDir()
	l := opened(b, dir, Options{})
	for range 100 {
		entries := make([]Entry, 400)
		for i := range entries {
			entries[i] = entry(i)
		}
		if err := l.Append(b.Context(), entries...); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, _, err := l.List(b.Context(), Filter{Before: 20_000}); err != nil {
			b.Fatal(err)
		}
	}
}
