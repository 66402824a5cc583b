package runs

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSummary(t *testing.T) {
	type m = map[string]any
	column := func(name string, count int64, more m) m {
		c := m{"name": name, "count": count}
		for k, v := range more {
			c[k] = v
		}
		return c
	}
	for name, tt := range map[string]struct {
		csv  string
		rows int64
		want []any
	}{
		"empty":   {"", 0, []any{}},
		"a title": {"a,b\n", 0, []any{column("a", 0, nil), column("b", 0, nil)}},
		"numbers": {"channel,threshold\n0,120.5\n1,119.5\n", 2, []any{
			column("channel", 2, m{"min": 0.0, "max": 1.0, "mean": 0.5}), column("threshold", 2, m{"min": 119.5, "max": 120.5, "mean": 120.0})}},
		"no names":   {"1;2\n3;\n", 2, []any{column("1", 2, m{"min": 1.0, "max": 3.0, "mean": 2.0}), column("2", 1, m{"min": 2.0, "max": 2.0, "mean": 2.0})}},
		"all of it":  {"\ufeff# made by Ph2_ACF\n\"chip, side\"\tok\nA 1\t\n\nA 1\tyes\nB\tno\n", 3, []any{column("chip, side", 3, m{"distinct": int64(2)}), column("ok", 2, m{"distinct": int64(2)})}},
		"mixed":      {"x\n1\nbad\n3\nnan\n-inf\n", 5, []any{column("x", 5, m{"min": 1.0, "max": 3.0, "mean": 2.0, "numbers": int64(2), "distinct": int64(1), "not_finite": int64(2)})}},
		"huge":       {"x\n1.7e308\n1.7e308\n-1.7e308\n-1.7e308\n1e999\n", 5, []any{column("x", 5, m{"min": -1.7e308, "max": 1.7e308, "mean": 0.0, "not_finite": int64(1)})}},
		"CR":         {"x\r\n1\r\n", 1, []any{column("x", 1, m{"min": 1.0, "max": 1.0, "mean": 1.0})}},
		"a nameless": {"x,\n1,2", 1, []any{column("x", 1, m{"min": 1.0, "max": 1.0, "mean": 1.0}), column("2", 1, m{"min": 2.0, "max": 2.0, "mean": 2.0})}},
	} {
		got, err := Summary(strings.NewReader(tt.csv))
		require.NoError(t, err, name)
		require.Equal(t, tt.rows, got["rows"], name)
		for i, want := range tt.want {
			got := got["columns"].([]any)[i].(m)
			if name == "huge" {
				require.InDelta(t, 0, got["mean"], 1e295)
				got["mean"] = 0.0
			}
			require.Equal(t, want, got, name)
		}
		require.Len(t, got["columns"], len(tt.want), name)
	}
}

func TestSummaryRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		in   io.Reader
		want string
	}{
		"columns":     {strings.NewReader("a,b\n1,2\n\n1,2,3\n"), "line 4: 3 columns, and 2 in the first row"},
		"quote":       {strings.NewReader("a,b\n1,2\n3,x\"y\"\n"), `line 3: bare "`},
		"open quote":  {strings.NewReader("a\n1\n\"" + strings.Repeat("x\n", MaxRecord)), "after line 2: a row has more than"},
		"no lines":    {strings.NewReader(strings.Repeat("x", 2*MaxRecord)), "after line 0: a row has more than"},
		"too wide":    {strings.NewReader(strings.Repeat(",", MaxColumns)), "more than 10000"},
		"broken disk": {io.MultiReader(strings.NewReader("a\n1\n"), broken{}), "after line 2: broken"},
	} {
		_, err := Summary(tt.in)
		require.ErrorContains(t, err, tt.want, name)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

// A file of any length needs the memory of its columns.
func TestSummaryIsBounded(t *testing.T) {
	const rows = 300_000
	in, out := io.Pipe()
	go func() {
		for i := range rows {
			fmt.Fprintf(out, "%d,%g,id-%d\n", i, math.Sin(float64(i)), i)
		}
		out.Close()
	}()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	got, err := Summary(in)
	require.NoError(t, err)
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(4<<20))
	columns := got["columns"].([]any)
	require.Equal(t, int64(rows-1), got["rows"]) // the first row has a text: it is taken for names
	require.Equal(t, map[string]any{"name": "id-0", "count": int64(rows - 1), "distinct": int64(MaxDistinct), "distinct_more": true}, columns[2])
	require.InDelta(t, rows/2, columns[0].(map[string]any)["mean"], 1e-3)
}

func BenchmarkSummary(b *testing.B) {
	var s strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&s, "%d,%d,%g\n", i/16, i%16, math.Tanh(float64(i)))
	}
	b.SetBytes(int64(s.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Summary(strings.NewReader(s.String())); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzSummary(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "1;2\n", "\ufeff#x\n\"a\nb\"\tc\n", "x\nnan\n1e999\n-1e308\n1e308\n", "\"", "\xff,\xfe\n1,\xff\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Summary(strings.NewReader(s))
		if err != nil {
			require.ErrorContains(t, err, "line ")
			return
		}
		doc, err := document(Run{Number: 1, UID: "u", Results: map[string]any{"x.csv": got}}, true)
		require.NoError(t, err)
		run, err := decode(doc)
		require.NoError(t, err)
		require.Equal(t, got, run.Results["x.csv"])
		for _, c := range got["columns"].([]any) {
			if low, ok := c.(map[string]any)["min"].(float64); ok {
				mean, high := c.(map[string]any)["mean"].(float64), c.(map[string]any)["max"].(float64)
				require.True(t, low <= mean && mean <= high, "%g %g %g", low, mean, high)
			}
		}
	})
}
