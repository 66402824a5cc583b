package seqset

import (
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFromSpans(t *testing.T) {
	for name, tt := range map[string]struct {
		spans []Span
		want  string // empty: no error
	}{
		"ends before it begins":  {[]Span{{From: 5, To: 4}}, "span 0: it ends before it begins: from 5 to 4"},
		"out of order":           {[]Span{{From: 5, To: 6}, {From: 1, To: 2}}, "span 1 begins at 1, but the one before it ends at 6"},
		"overlapping":            {[]Span{{From: 1, To: 3}, {From: 3, To: 9}}, "span 1 begins at 3, but the one before it ends at 3"},
		"the same twice":         {[]Span{{From: 1, To: 3}, {From: 1, To: 3}}, "span 1 begins at 1"},
		"touching":               {[]Span{{From: 1, To: 3}, {From: 4, To: 9}}, "nothing is missing between span 1, which begins at 4"},
		"more forgotten than in": {[]Span{{From: 1, To: 3, Forgotten: 2}}, "2 forgotten numbers do not fit between 1 and 3"},
		"forgotten in one":       {[]Span{{From: 1, To: 1, Forgotten: 1}}, "1 forgotten numbers do not fit"},
		"forgotten in two":       {[]Span{{From: 1, To: 2, Forgotten: 1}}, "1 forgotten numbers do not fit"},
		"after the last number":  {[]Span{{From: 1, To: math.MaxUint64}, {From: 0, To: 0}}, "span 1 begins at 0"},
		"all numbers":            {[]Span{{From: 0, To: math.MaxUint64}}, "nobody counts from 0"},
		"none":                   {nil, ""},
		"one":                    {[]Span{{From: 7, To: 7}}, ""},
		"some":                   {[]Span{{From: 1, To: 3, Begin: 9, End: 8}, {From: 5, To: 9, Forgotten: 3}, {From: 11, To: math.MaxUint64}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := FromSpans(tt.spans)
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				require.Empty(t, s.Spans())
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.spans, s.Spans())
		})
	}
}

func TestEmpty(t *testing.T) {
	var s Set
	assert.Empty(t, s.Spans())
	assert.Empty(t, slices.Collect(s.Gaps()))
	assert.Zero(t, s.Seen())
	assert.Zero(t, s.Missing())
	_, _, ok := s.First()
	assert.False(t, ok)
	_, _, ok = s.Last()
	assert.False(t, ok)
}

func TestGapsAndTheirTimes(t *testing.T) {
	var s Set
	for _, seq := range []uint64{1, 2, 3, 7, 8, 10, 3, 8} {
		s.Add(seq, int64(seq)*100)
	}
	assert.Equal(t, []Gap{{4, 6, 300, 700}, {9, 9, 800, 1000}}, slices.Collect(s.Gaps()))
	assert.Equal(t, uint64(6), s.Seen())
	assert.Equal(t, uint64(4), s.Missing())

	// A replay fills them, in its own order and with its own times.
	for _, seq := range []uint64{9, 6, 5, 4} {
		assert.True(t, s.Add(seq, int64(seq)*100))
		assert.False(t, s.Add(seq, 0))
	}
	assert.Equal(t, []Span{{From: 1, To: 10, Begin: 100, End: 1000}}, s.Spans())
	for range s.Gaps() {
		t.Error("no gap is left")
	}
}

func TestGapsCanBeLeft(t *testing.T) {
	var s Set
	for seq := range uint64(10) {
		s.Add(2*seq, 0)
	}
	for g := range s.Gaps() {
		assert.Equal(t, uint64(1), g.From)
		break
	}
}

// The highest and the lowest number have no neighbour on one side.
func TestEnds(t *testing.T) {
	var s Set
	for _, seq := range []uint64{math.MaxUint64, 0, math.MaxUint64 - 1, 1} {
		assert.True(t, s.Add(seq, int64(seq)), seq)
		assert.False(t, s.Add(seq, 0), seq)
	}
	assert.Equal(t, []Gap{{2, math.MaxUint64 - 2, 1, -2}}, slices.Collect(s.Gaps()))
	assert.Equal(t, uint64(4), s.Seen())
	assert.Equal(t, uint64(math.MaxUint64-3), s.Missing())
	s.Limit(1)
	assert.Equal(t, uint64(4), s.Seen())
	assert.Equal(t, uint64(math.MaxUint64-3), s.Missing())
}

func TestLimitLosesNoGapFromTheCount(t *testing.T) {
	var s Set
	s.Limit(3)
	for seq := uint64(1); seq < 20; seq += 2 { // every second one is missing
		s.Add(seq, int64(seq))
	}
	assert.Equal(t, []Span{{From: 1, To: 15, Begin: 1, End: 15, Forgotten: 7}, {From: 17, To: 17, Begin: 17, End: 17}, {From: 19, To: 19, Begin: 19, End: 19}}, s.Spans())
	assert.Equal(t, uint64(10), s.Seen())
	assert.Equal(t, uint64(9), s.Missing())
	assert.Equal(t, uint64(7), s.Forgotten())
	assert.Len(t, slices.Collect(s.Gaps()), 2)

	assert.False(t, s.Add(2, 2), "whether 2 was seen is no longer known: it stays missing")
	assert.True(t, s.Add(16, 16), "16 is known to be missing")
	assert.Equal(t, uint64(8), s.Missing())
	assert.Equal(t, uint64(7), s.Forgotten(), "what was forgotten stays so when spans grow together")

	// What is kept on disk says as much.
	b, err := json.Marshal(s.Spans())
	require.NoError(t, err)
	assert.Equal(t, `[{"from":1,"to":17,"begin":1,"end":17,"forgotten":7},{"from":19,"to":19,"begin":19,"end":19}]`, string(b))
	var spans []Span
	require.NoError(t, json.Unmarshal(b, &spans))
	again, err := FromSpans(spans)
	require.NoError(t, err)
	assert.Equal(t, s.Missing(), again.Missing())
	assert.Equal(t, s.Seen(), again.Seen())

	again.Limit(1)
	assert.Len(t, again.Spans(), 1)
	assert.Equal(t, uint64(8), again.Missing())
	assert.Equal(t, uint64(8), again.Forgotten())
}

// model says what a Set without limit must say.
type model map[uint64]int64

func (m model) check(t *testing.T, s *Set) {
	t.Helper()
	seqs := slices.Sorted(maps.Keys(m))
	var spans []Span
	var gaps []Gap
	var missing uint64
	for i, seq := range seqs {
		if i > 0 && seqs[i-1] == seq-1 {
			spans[len(spans)-1].To, spans[len(spans)-1].End = seq, m[seq]
			continue
		}
		if i > 0 {
			before := seqs[i-1]
			gaps = append(gaps, Gap{before + 1, seq - 1, m[before], m[seq]})
			missing += seq - before - 1
		}
		spans = append(spans, Span{From: seq, To: seq, Begin: m[seq], End: m[seq]})
	}
	require.Equal(t, spans, s.Spans())
	require.Equal(t, gaps, slices.Collect(s.Gaps()))
	require.Equal(t, uint64(len(m)), s.Seen())
	require.Equal(t, missing, s.Missing())
	require.Zero(t, s.Forgotten())
	if len(seqs) > 0 {
		seq, at, ok := s.First()
		require.True(t, ok)
		require.Equal(t, seqs[0], seq)
		require.Equal(t, m[seq], at)
		seq, at, ok = s.Last()
		require.True(t, ok)
		require.Equal(t, seqs[len(seqs)-1], seq)
		require.Equal(t, m[seq], at)
	}
	again, err := FromSpans(s.Spans())
	require.NoError(t, err)
	require.Equal(t, s.Spans(), again.Spans())
}

// against adds the numbers to a Set, to a model and to a Set with a limit, and
// compares.
func against(t *testing.T, seqs []uint64, limit int) {
	t.Helper()
	var s, bounded Set
	bounded.Limit(limit)
	m := make(model)
	for i, seq := range seqs {
		_, seen := m[seq]
		if !seen {
			m[seq] = int64(i)
		}
		require.Equal(t, !seen, s.Add(seq, int64(i)), "add %d", seq)
		if bounded.Add(seq, int64(i)) {
			require.False(t, seen, "%d is not fresh", seq)
		}
		require.LessOrEqual(t, len(bounded.Spans()), limit)
	}
	m.check(t, &s)
	if len(seqs) == 0 {
		return
	}
	// The limited set covers the same numbers, has no number of its own, and
	// hides no gap: it can only take more to be missing.
	first, _, _ := s.First()
	last, _, _ := s.Last()
	first2, _, _ := bounded.First()
	last2, _, _ := bounded.Last()
	require.Equal(t, [2]uint64{first, last}, [2]uint64{first2, last2})
	require.GreaterOrEqual(t, bounded.Missing(), s.Missing())
	require.Equal(t, last-first+1, bounded.Seen()+bounded.Missing())
	for g := range bounded.Gaps() {
		for seq := range m {
			require.False(t, g.From <= seq && seq <= g.To, "%d was seen and is in the gap %v", seq, g)
		}
	}
	_, err := FromSpans(bounded.Spans())
	require.NoError(t, err)
}

func TestAgainstMap(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		seqs := make([]uint64, rng.IntN(200))
		for i := range seqs {
			seqs[i] = rng.Uint64N(1 + rng.Uint64N(150))
		}
		against(t, seqs, 1+rng.IntN(20))
	}
}

func FuzzSet(f *testing.F) {
	f.Add([]byte{1, 2, 3}, 1)
	f.Add([]byte{1, 3, 5, 4, 2, 2}, 2)
	f.Add([]byte{255, 0, 254, 1}, 3)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		seqs := make([]uint64, len(b))
		for i, x := range b {
			seqs[i] = uint64(x)
			if x >= 200 { // near the other end
				seqs[i] = math.MaxUint64 - uint64(255-x)
			}
		}
		against(t, seqs, 1+int(uint(limit)%64))
	})
}

func TestAddInOrderDoesNotAllocate(t *testing.T) {
	var s Set
	s.Add(1, 1)
	seq := uint64(1)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		seq++
		s.Add(seq, int64(seq))
		s.Add(seq, int64(seq))
	}))
}

func BenchmarkAddInOrder(b *testing.B) {
	b.ReportAllocs()
	var s Set
	for i := range b.N {
		s.Add(uint64(i), int64(i))
	}
}

func BenchmarkAddWithThousandGaps(b *testing.B) {
	b.ReportAllocs()
	var s Set
	for i := range uint64(1000) {
		s.Add(1000*i, 0)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		s.Add(1000*rng.Uint64N(1000), 0)
	}
}
