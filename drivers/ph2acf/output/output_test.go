package output

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

func newOutput(t testing.TB, o Options) *Output {
	o.File = filepath.Join(t.TempDir(), "log.txt")
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 30
	}
	p, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// texts are the lines of the log, without times.
func texts(t *testing.T, p *Output) (out []string) {
	require.NoError(t, p.Close())
	b, err := os.ReadFile(p.o.File)
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		require.Len(t, f, 3, line)
		_, err := time.Parse(time.RFC3339Nano, f[0])
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(f[0], "Z"), f[0])
		out = append(out, f[1]+" "+f[2])
	}
	return out
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	for name, tt := range map[string]struct{ in, want string }{
		"plain":                {"a\nb\n", "out a|out b"},
		"no end":               {"a\nb", "out a|out b"},
		"empty":                {"", ""},
		"empty lines":          {"\n\na\n", "out |out |out a"},
		"DOS":                  {"a\r\nb\r\n", "out a|out b"},
		"progress bar":         {"1 %\r2 %\r\ndone\n", "out 1 %|out 2 %|out done"},
		"tabs":                 {"a\tb\n", "out a\tb"},
		"as long as it may be": {long + "\nb\n", "out " + long + "|out b"},
		"longer":               {long + "y\nb\n", "out " + long + "|out y|out b"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, chunk := range []int{1, 7, 1 << 20} {
				p := newOutput(t, Options{})
				require.NoError(t, p.Read(&slow{tt.in, chunk}, Out))
				assert.Equal(t, tt.want, strings.Join(texts(t, p), "|"))
			}
		})
	}
}

// slow gives so many bytes at a time.
type slow struct {
	rest  string
	chunk int
}

func (s *slow) Read(b []byte) (int, error) {
	n := copy(b, s.rest[:min(len(s.rest), s.chunk)])
	s.rest = s.rest[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func TestLogIsBounded(t *testing.T) {
	p := newOutput(t, Options{MaxBytes: 100})
	require.NoError(t, p.Read(strings.NewReader(strings.Repeat("0123456789\n", 100)), Err))
	lines := texts(t, p)
	assert.Len(t, lines, 3)
	assert.Contains(t, lines[2], "DCS_LOG_BYTES")
	assert.EqualValues(t, 100, p.State().Lines, "all are counted")
	assert.Equal(t, "0123456789", p.State().LastErr)
}

func TestProgressAndPhase(t *testing.T) {
	percent := regexp.MustCompile(`\[progress\] (?P<percent>[0-9.]+) %`)
	count := regexp.MustCompile(`(?P<done>\d+)/(?P<total>\d+) (?P<phase>\w*)`)
	phase := regexp.MustCompile(`phase=(?P<phase>\w+)`)
	for _, tt := range []struct {
		re    *regexp.Regexp
		in    string
		want  string
		phase string
	}{
		{percent, "nothing\n", "-", ""},
		{percent, "x [progress] 12.5 % y phase=scan\n", "0.125", "scan"},
		{percent, "[progress] 12 %\r[progress] 13 %", "0.13", ""},
		{percent, "[progress] 140 %\n", "1", ""},
		{percent, "[progress] 1.2.3 %\n", "-", ""},
		{percent, "[progress] 50 %\n[progress] . %\n", "0.5", ""},
		{count, "1/4 tuning\n", "0.25", "tuning"},
		{count, "1/4 tuning\n2/4 \n", "0.5", "tuning"},
		{count, "1/0 x\n", "-", "x"},
		{count, "99999999999999999999999999999999999999999999/1 x\n", "-", "x"},
	} {
		p := newOutput(t, Options{Progress: tt.re, Phase: phase})
		require.NoError(t, p.Read(strings.NewReader(tt.in), Out))
		assert.Equal(t, tt.want, p.State().Progress.String(), tt.in)
		assert.Equal(t, tt.phase, p.State().Phase, tt.in)
	}
}

// Every line is in a batch or counted as dropped, and the numbers fit.
func TestBatchesAccountForEveryLine(t *testing.T) {
	p := newOutput(t, Options{})
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	next, passed := int64(1), 0
	take := func(last bool) {
		for b := p.Batch(7, "boot", last); b != nil; b = p.Batch(7, "boot", last) {
			require.Equal(t, next+b.Dropped, b.First)
			for i, l := range b.Lines {
				require.Equal(t, fmt.Sprint("line ", b.First+int64(i)), strings.TrimRight(l.Text, "\x01"))
			}
			next = b.First + int64(len(b.Lines))
			passed += len(b.Lines)
			raw, err := json.Marshal(b)
			require.NoError(t, err)
			require.LessOrEqual(t, len(raw), 64<<10)
			if !last {
				return
			}
		}
	}
	n := 0
	for tick := range 100 {
		for range tick * 10 {
			n++
			text := fmt.Sprint("line ", n)
			if tick < 20 {
				text += strings.Repeat("\x01", 2000) // six bytes each in JSON
			}
			p.add(now, Out, []byte(text))
		}
		now = now.Add(BatchEvery)
		take(false)
	}
	take(true)
	assert.EqualValues(t, n+1, next)
	s := p.State()
	assert.EqualValues(t, n, s.Lines)
	assert.EqualValues(t, n-passed, s.Dropped)
	assert.Greater(t, passed, 1000)
	assert.LessOrEqual(t, passed, 10*LineRate+LineRate, "ten seconds, and what may come at once")
}

func TestInvalidUTF8(t *testing.T) {
	p := newOutput(t, Options{})
	p.add(time.Now(), Out, []byte("a\xffb\x00"))
	assert.Equal(t, "a\uFFFDb\x00", p.Batch(1, "b", false).Lines[0].Text)
	var v wire.Value
	assert.Equal(t, v, p.State().Progress)
}

func BenchmarkRead(b *testing.B) {
	p := newOutput(b, Options{Progress: regexp.MustCompile(`\[progress\] (?P<percent>[0-9.]+) %`), Phase: regexp.MustCompile(`phase=(?P<phase>\w+)`)})
	line := "an ordinary line of an ordinary program, channel 17 of 254\n"
	b.SetBytes(int64(len(line)))
	_ = p.Read(strings.NewReader(strings.Repeat(line, b.N)), Out)
}
