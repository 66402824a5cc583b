package auditlog

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// log is a log of three segments, of 3, 4 and 3 entries, as lines by segment.
type testLog struct {
	dir      string
	segments map[int][]string
}

func threeSegments(t *testing.T) *testLog {
	t.Helper()
	l := &testLog{dir: t.TempDir(), segments: map[int][]string{}}
	var head Head
	number := 1
	for i := range 10 {
		e := entry(i + 1)
		var b []byte
		var err error
		b, head, err = appendLine(nil, head, &e)
		require.NoError(t, err)
		l.segments[number] = append(l.segments[number], string(b))
		if i == 2 || i == 6 {
			number++
		}
	}
	return l
}

func (l *testLog) write(t *testing.T) {
	t.Helper()
	for number, lines := range l.segments {
		require.NoError(t, os.WriteFile(segmentOf(l.dir, number).path, []byte(strings.Join(lines, "")), 0o600))
	}
}

// hash is the hash in a line.
func hash(line string) string {
	return line[len(line)-len(hashEnd)-1-hashLen:][:hashLen]
}

// rehash changes a line and gives it the hash that it then has.
func rehash(line, old, new string) string {
	body := strings.Replace(line[:len(line)-1-hashTail], old, new, 1)
	return body + hashKey + sum([]byte(body)) + hashEnd + "\n"
}

// relink gives lines from i on what chains them to the one before.
func relink(lines []string, prev string, i int) string {
	for ; i < len(lines); i++ {
		at := strings.Index(lines[i], `,"prev":"`)
		lines[i] = rehash(lines[i], lines[i][at:len(lines[i])-1-hashTail], `,"prev":"`+prev+`"`)
		prev = hash(lines[i])
	}
	return prev
}

func TestTampering(t *testing.T) {
	for _, tt := range []struct {
		name   string
		tamper func(*testLog)
		known  int // entry whose head was written down; none when 0
		want   []string
	}{
		{name: "nothing", tamper: func(*testLog) {}, known: 10},
		{name: "nothing, a head of long ago", tamper: func(*testLog) {}, known: 2},
		{
			name:   "a letter changed",
			tamper: func(l *testLog) { l.segments[2][1] = strings.Replace(l.segments[2][1], "user2", "user1", 1) },
			want:   []string{"changed audit-000002.jsonl 2 5: the entry was changed"},
		},
		{
			name:   "the number changed",
			tamper: func(l *testLog) { l.segments[2][1] = strings.Replace(l.segments[2][1], `"seq":5`, `"seq":6`, 1) },
			want:   []string{"changed audit-000002.jsonl 2 6: the entry was changed"},
		},
		{
			name:   "no JSON any more",
			tamper: func(l *testLog) { l.segments[2][1] = strings.Replace(l.segments[2][1], `{"seq"`, `["seq"`, 1) },
			want:   []string{"garbage audit-000002.jsonl 2 5: the line is not an entry"},
		},
		{
			name: "the hash changed",
			tamper: func(l *testLog) {
				h := hash(l.segments[2][1])
				l.segments[2][1] = strings.Replace(l.segments[2][1], h, strings.Repeat("0", hashLen), 1)
			},
			want: []string{"changed audit-000002.jsonl 2 5: the entry was changed"},
		},
		{
			name:   "the last entry changed",
			tamper: func(l *testLog) { l.segments[3][2] = strings.Replace(l.segments[3][2], "id-10", "id-11", 1) },
			want:   []string{"changed audit-000003.jsonl 3 10: the entry was changed"},
		},
		{
			name:   "one entry hashed anew",
			tamper: func(l *testLog) { l.segments[2][1] = rehash(l.segments[2][1], "user2", "user1") },
			want:   []string{"rehashed audit-000002.jsonl 3 6: entry 6 does not belong to the one before it: entry 5 was changed"},
		},
		{
			name:   "the last of a segment hashed anew",
			tamper: func(l *testLog) { l.segments[1][2] = rehash(l.segments[1][2], "id-3", "id-8") },
			want:   []string{"rehashed audit-000002.jsonl 1 4: entry 4 does not belong"},
		},
		{
			name: "all hashed anew from there on",
			tamper: func(l *testLog) {
				l.segments[2][1] = rehash(l.segments[2][1], "user2", "user1")
				relink(l.segments[3], relink(l.segments[2], hash(l.segments[2][1]), 2), 0)
			},
			known: 9,
			want:  []string{"rewritten audit-000003.jsonl 2 9: entry 9 is not the one whose hash was written down"},
		},
		{
			name:   "a line removed",
			tamper: func(l *testLog) { l.segments[2] = append(l.segments[2][:1], l.segments[2][2:]...) },
			want:   []string{"missing audit-000002.jsonl 2 6: entry 5 is missing: entry 6 follows entry 4"},
		},
		{
			name:   "lines removed across segments",
			tamper: func(l *testLog) { l.segments[1], l.segments[2] = l.segments[1][:2], l.segments[2][2:] },
			want:   []string{"missing audit-000002.jsonl 1 6: entries 3 to 5 are missing: entry 6 follows entry 2"},
		},
		{
			name:   "the first removed",
			tamper: func(l *testLog) { l.segments[1] = l.segments[1][1:] },
			want:   []string{"missing audit-000001.jsonl 1 2: entry 1 is missing"},
		},
		{
			name: "lines swapped",
			tamper: func(l *testLog) {
				l.segments[2][1], l.segments[2][2] = l.segments[2][2], l.segments[2][1]
			},
			want: []string{
				"order audit-000002.jsonl 2 6: entry 6 stands where entry 5 belongs",
				"order audit-000002.jsonl 3 5: entry 5 stands behind entry 6",
			},
		},
		{
			name:   "a line twice",
			tamper: func(l *testLog) { l.segments[2] = append(l.segments[2][:2], l.segments[2][1:]...) },
			want:   []string{"order audit-000002.jsonl 3 5: entry 5 stands behind entry 5: out of order, or twice"},
		},
		{
			name:   "segments swapped",
			tamper: func(l *testLog) { l.segments[2], l.segments[3] = l.segments[3], l.segments[2] },
			want: []string{
				"order audit-000002.jsonl 1 8: entry 8 stands where entry 4 belongs",
				"order audit-000003.jsonl 1 4: entry 4 stands behind entry 10",
			},
		},
		{
			name:   "a segment removed",
			tamper: func(l *testLog) { delete(l.segments, 2) },
			want:   []string{"segment audit-000002.jsonl 0 4: the segment is missing"},
		},
		{
			name:   "the first segments removed",
			tamper: func(l *testLog) { delete(l.segments, 1); delete(l.segments, 2) },
			want:   []string{"segment audit-000001.jsonl 0 1: this segment is missing, and those up to audit-000002.jsonl"},
		},
		{
			name:   "a segment removed and the next renamed",
			tamper: func(l *testLog) { l.segments[2] = l.segments[3]; delete(l.segments, 3) },
			want:   []string{"missing audit-000002.jsonl 1 8: entries 4 to 7 are missing"},
		},
		{name: "the tail cut, unknown head", tamper: func(l *testLog) { l.segments[3] = l.segments[3][:1] }},
		{
			name:   "the tail cut",
			tamper: func(l *testLog) { l.segments[3] = l.segments[3][:1] },
			known:  10,
			want:   []string{"cut  0 10: the log ends with entry 8, and entry 10 was its head once: the end was cut off"},
		},
		{
			name:   "the last segment removed",
			tamper: func(l *testLog) { delete(l.segments, 3) },
			known:  8,
			want:   []string{"cut  0 8: the log ends with entry 7"},
		},
		{
			name:   "all removed",
			tamper: func(l *testLog) { clear(l.segments) },
			known:  8,
			want:   []string{"cut  0 8: the log ends with entry 0"},
		},
		{
			name:   "the known head removed",
			tamper: func(l *testLog) { l.segments[2] = append(l.segments[2][:1], l.segments[2][2:]...) },
			known:  5,
			want:   []string{"missing audit-000002.jsonl 2 6: entry 5 is missing", "cut  0 5: entry 5, which was the head once, is not in the log"},
		},
		{
			name:   "a segment without its last newline",
			tamper: func(l *testLog) { l.segments[1][2] = strings.TrimSuffix(l.segments[1][2], "\n") },
			want:   []string{"garbage audit-000001.jsonl 3 3: the last line has no end", "missing audit-000002.jsonl 1 4: entry 3 is missing"},
		},
		{
			name:   "a line too long for any entry",
			tamper: func(l *testLog) { l.segments[2][1] = strings.Repeat("x", 3*maxLine) + "\n" },
			want:   []string{"garbage audit-000002.jsonl 2 5: the line is not an entry"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := threeSegments(t)
			var known []Head
			if tt.known > 0 {
				lines := strings.SplitAfter(strings.Join(l.segments[1], "")+strings.Join(l.segments[2], "")+strings.Join(l.segments[3], ""), "\n")
				known = append(known, Head{Seq: int64(tt.known), Hash: hash(lines[tt.known-1])})
			}
			tt.tamper(l)
			l.write(t)
			r := report(t, l.dir, known...)
			var got []string
			for _, p := range r.Problems {
				got = append(got, fmt.Sprintf("%s %s %d %d: %s", p.Kind, p.File, p.Line, p.Seq, p.What))
			}
			if assert.Len(t, got, len(tt.want), strings.Join(got, "\n")) {
				for i, want := range tt.want {
					assert.True(t, strings.HasPrefix(got[i], want), "got  %s\nwant %s", got[i], want)
				}
			}
			assert.Equal(t, len(tt.want) == 0, r.OK())
			assert.Equal(t, r, report(t, l.dir, known...), "asked twice")
		})
	}
}

// Each bit of a log counts.
func TestEveryBitCounts(t *testing.T) {
	l := threeSegments(t)
	l.segments = map[int][]string{1: l.segments[1]}
	text := strings.Join(l.segments[1], "")
	for i := range len(text) {
		b := []byte(text)
		b[i] ^= 1 << (i % 8)
		require.NoError(t, os.WriteFile(segmentOf(l.dir, 1).path, b, 0o600))
		r := report(t, l.dir)
		if i == len(text)-1 { // the last newline: the line looks as if it were still being written
			assert.NotZero(t, r.Unfinished)
			continue
		}
		require.False(t, r.OK(), "byte %d, %q", i, b[i])
	}
}

func TestHeadsThatContradict(t *testing.T) {
	l := threeSegments(t)
	l.write(t)
	one := Head{Seq: 1, Hash: hash(l.segments[1][0])}
	_, err := Verify(t.Context(), l.dir, one, Head{Seq: 1, Hash: hash(l.segments[1][1])})
	assert.ErrorContains(t, err, "cannot both have been in one log")
	_, err = Verify(t.Context(), l.dir, one, one)
	assert.NoError(t, err)
}

func TestReportsAreBounded(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(segmentOf(dir, 1).path, []byte(strings.Repeat("x\n", 5000)), 0o600))
	r := report(t, dir)
	assert.Len(t, r.Problems, maxProblems)
	assert.True(t, r.MoreFollows)
	assert.Equal(t, "audit-000001.jsonl: line 1: the line is not an entry", r.Problems[0].String())
}

func FuzzReadLine(f *testing.F) {
	e := entry(7)
	b, _, err := appendLine(nil, Head{Seq: 6, Hash: strings.Repeat("a", hashLen)}, &e)
	require.NoError(f, err)
	f.Add(b[:len(b)-1])
	f.Add([]byte(`{"seq":1,"prev":"","hash":""}`))
	f.Add([]byte(strings.Repeat("{", 200)))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := readLine(line)
		if err != nil {
			return
		}
		// What is taken for an entry is one: it goes through the writer, and
		// its own hash is the only one that fits it.
		assert.True(t, e.Seq > 0 && e.Seq < maxSeq && isHash(e.Hash))
		other := append([]byte(nil), line...)
		other[len(other)-hashTail/2] ^= 1
		_, err = readLine(other)
		assert.Error(t, err)
	})
}

// FuzzFolder reads whatever stands in a segment in all ways.
func FuzzFolder(f *testing.F) {
	var text []byte
	var head Head
	for i := range 3 {
		e := entry(i)
		var err error
		text, head, err = appendLine(text, head, &e)
		require.NoError(f, err)
	}
	f.Add(text, int64(2))
	f.Add(append(text[:700:700], text...), int64(0))
	f.Add([]byte("\n\n\n{\"seq\":9,\n"), int64(3))
	f.Fuzz(func(t *testing.T, text []byte, before int64) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(segmentOf(dir, 1).path, text, 0o600))
		was := report(t, dir)
		list, next, err := List(t.Context(), dir, Filter{Before: before, Limit: 10})
		require.NoError(t, err)
		for i, e := range list {
			assert.True(t, before <= 0 || e.Seq < before)
			assert.True(t, i == 0 || e.Seq < list[i-1].Seq)
		}
		assert.True(t, next == 0 || len(list) == 10)
		l := opened(t, dir, Options{})
		require.NoError(t, l.Append(t.Context(), entry(1)))
		require.NoError(t, l.Close())
		is := report(t, dir)
		if was.OK() {
			assert.True(t, is.OK(), is.Problems)
		} else {
			assert.Equal(t, was.Problems[0], is.Problems[0])
		}
		assert.Equal(t, is.Head, l.Head())
	})
}
