package backup

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"encoding/json"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/history"
)

// rows asks a server that answers with one row; so the test reads values as they
// come from InfluxDB.
func rows(t *testing.T, fields []history.Field, tags map[string]string, values ...any) (found []history.Row) {
	t.Helper()
	columns := []string{"time"}
	for _, f := range fields {
		columns = append(columns, f.Name)
	}
	answer, err := json.Marshal(map[string]any{"results": []any{map[string]any{"series": []any{map[string]any{
		"name": "m", "tags": tags, "columns": columns, "values": [][]any{values},
	}}}}})
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) }))
	defer server.Close()
	c, err := history.New(history.Config{URL: server.URL, Bucket: "dcs"})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Points(t.Context(), "m", fields, time.Unix(0, 0), time.Unix(1, 0), func(r history.Row) error {
		found = append(found, r)
		return nil
	}))
	return found
}

func TestLines(t *testing.T) {
	fields := []history.Field{
		{Name: "a b", Type: history.FloatField}, {Name: "big", Type: history.FloatField}, {Name: "i", Type: history.IntegerField},
		{Name: "ok", Type: history.BooleanField}, {Name: "text", Type: history.StringField}, {Name: "none", Type: history.FloatField},
		{Name: "u", Type: history.UnsignedField}, {Name: "z", Type: history.FloatField},
	}
	at := json.Number("1763661949920528123")
	r := rows(t, fields, map[string]string{"number": "3", "where": `a,b=c d\e`, "absent": ""},
		at, json.Number("0.1"), json.Number("4611686018427388000"), json.Number("-9007199254740993"), true, "say \"x\"\\\nnext", nil, 7, json.Number("-0"))
	require.Len(t, r, 1)
	e, err := newEncoder(fields)
	require.NoError(t, err)
	line, err := e.encode("a, b", r[0])
	require.NoError(t, err)
	assert.Equal(t, `a\,\ b,number=3,where=a\,b\=c\ d\e a\ b=0.1,big=4.611686018427388e+18,i=-9007199254740993i,ok=true,text="say \"x\"\\`+"\n"+`next",u=7u,z=-0 1763661949920528123`+"\n", string(line))
	assert.Equal(t, []int64{1, 1, 1, 1, 1, 0, 1, 1}, e.counts)
	assert.EqualValues(t, 1, e.points)

	for _, bad := range []string{"", `a\`, `a\,b`, "a\nb", "#a"} {
		e, err := newEncoder(fields)
		require.NoError(t, err)
		_, err = e.encode(bad, r[0])
		require.ErrorIs(t, err, errName, bad)
	}
	_, err = newEncoder([]history.Field{{Name: `x\`, Type: history.FloatField}})
	require.ErrorIs(t, err, errName)
}

// point is a line as InfluxDB 1.8 reads it.
type point struct {
	measurement string
	tags        map[string]string
	fields      map[string]string // text in quotes
	time        int64
}

// parse reads one line with InfluxDB's rules: a backslash takes the next byte
// along while the line is cut up, and vanishes before a special character.
func parse(line string) (p point, err error) {
	cut := func(s, seps string, quotes bool) (string, byte, string) {
		quoted := false
		for i := 0; i < len(s); i++ {
			switch {
			case s[i] == '\\':
				i++
			case quotes && s[i] == '"':
				quoted = !quoted
			case !quoted && strings.IndexByte(seps, s[i]) >= 0:
				return s[:i], s[i], s[i+1:]
			}
		}
		return s, 0, ""
	}
	plain := func(s, special string) string {
		for _, c := range special {
			s = strings.ReplaceAll(s, `\`+string(c), string(c))
		}
		return s
	}
	p.tags, p.fields = map[string]string{}, map[string]string{}
	name, sep, rest := cut(strings.TrimSuffix(line, "\n"), ", ", false)
	p.measurement = plain(name, ", ")
	for sep == ',' {
		var k, v string
		if k, sep, rest = cut(rest, "=", false); sep != '=' {
			return p, errors.New("tag without value")
		}
		v, sep, rest = cut(rest, ", ", false)
		p.tags[plain(k, ",= ")] = plain(v, ",= ")
	}
	for ok := true; ok; ok = sep == ',' {
		var k, v string
		if k, sep, rest = cut(rest, "=", false); sep != '=' {
			return p, errors.New("field without value")
		}
		v, sep, rest = cut(rest, ", ", strings.HasPrefix(rest, `"`))
		p.fields[plain(k, ",= ")] = v
	}
	p.time, err = strconv.ParseInt(rest, 10, 64)
	return p, err
}

// FuzzLine: whatever is in the archive, its line is one line, says the same
// again, and is found whole among others.
func FuzzLine(f *testing.F) {
	f.Add("hv", "number", "0", "vmon", "ready", 99.98, int64(1763661949920528000))
	f.Add("a b,c", "k=1", `x\y`, `f"q`, "two\nlines \"quoted\" \\", math.SmallestNonzeroFloat64, int64(-1))
	f.Add(`a\\`, `k\\`, `v\\`, `f=\,`, `\`, math.Copysign(0, -1), int64(math.MinInt64))
	f.Add("m", "t", `"`, "f", `",x="`, 1e300, int64(0))
	f.Fuzz(func(t *testing.T, measurement, key, tag, field, text string, x float64, at int64) {
		for _, s := range []string{measurement, key, tag, field, text} {
			if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
				return // JSON has none
			}
		}
		if math.IsNaN(x) || math.IsInf(x, 0) || key == "" || tag == "" {
			return
		}
		prefix, err := new(encoder).lineOf(measurement, key, tag)
		if err != nil {
			require.ErrorIs(t, err, errName)
			return
		}
		k, err := appendName(nil, field, escapedInKey)
		if err != nil {
			require.ErrorIs(t, err, errName)
			return
		}
		line := append(append(prefix, k...), '=')
		line = strconv.AppendFloat(line, x, 'g', -1, 64)
		line = append(append(append(line, ','), k...), "2="...)
		line = strconv.AppendInt(append(appendText(line, []byte(text)), ' '), at, 10)
		line = append(line, '\n')

		in := bufio.NewReader(bytes.NewReader(append(bytes.Clone(line), "next v=1 1\n"...)))
		first, err := readPoint(in, nil)
		require.NoError(t, err)
		require.Equal(t, string(line), string(first))
		second, err := readPoint(in, nil)
		require.NoError(t, err)
		require.Equal(t, "next v=1 1\n", string(second))
		_, err = readPoint(in, nil)
		require.ErrorIs(t, err, io.EOF)

		p, err := parse(string(line))
		require.NoError(t, err, string(line))
		require.Equal(t, measurement, p.measurement)
		require.Equal(t, map[string]string{key: tag}, p.tags)
		require.Equal(t, at, p.time)
		got, err := strconv.ParseFloat(p.fields[field], 64)
		require.NoError(t, err)
		require.Equal(t, math.Float64bits(x), math.Float64bits(got))
		quoted := p.fields[field+"2"]
		require.Equal(t, text, strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(quoted[1:len(quoted)-1]))
	})
}

func (e *encoder) lineOf(measurement, key, tag string) ([]byte, error) {
	err := e.series(measurement, map[string]string{key: tag})
	return e.prefix, err
}

func TestReadPointCutOff(t *testing.T) {
	for _, s := range []string{"m v=1 1", `m v="a` + "\n", `m v=1 1\`} {
		_, err := readPoint(bufio.NewReader(strings.NewReader(s)), nil)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, s)
	}
}

// Unsigned numbers have 64 bits, and what is not as it was is counted.
func TestUnsignedAndFlaws(t *testing.T) {
	fields := []history.Field{{Name: "u", Type: history.UnsignedField}, {Name: "v", Type: history.FloatField, Mixed: true}, {Name: "s", Type: history.StringField}}
	for _, tt := range []struct {
		tags              map[string]string
		u, v              json.Number
		s, line           string
		replaced, rounded int64
	}{
		{map[string]string{}, "18446744073709551615", "0.5", "x", "m u=18446744073709551615u,v=0.5,s=\"x\" 7\n", 0, 0},
		{map[string]string{}, "9223372036854775808", "9007199254740992", "x", "m u=9223372036854775808u,v=9007199254740992,s=\"x\" 7\n", 0, 1},
		{map[string]string{}, "0", "-1e300", "x\uFFFD", "m u=0u,v=-1e+300,s=\"x\uFFFD\" 7\n", 1, 1},
		{map[string]string{"k": "\uFFFD"}, "1", "9007199254740991", "x", "m,k=\uFFFD u=1u,v=9007199254740991,s=\"x\" 7\n", 1, 0},
	} {
		r := rows(t, fields, tt.tags, json.Number("7"), tt.u, tt.v, tt.s)
		require.Len(t, r, 1)
		e, err := newEncoder(fields)
		require.NoError(t, err)
		line, err := e.encode("m", r[0])
		require.NoError(t, err)
		if tt.v != "9007199254740992" && tt.v != "9007199254740991" { // those have another form of the same
			assert.Equal(t, tt.line, string(line))
		}
		assert.Equal(t, tt.replaced, e.replaced, tt.line)
		assert.Equal(t, tt.rounded, e.rounded, tt.line)
	}
	r := rows(t, fields, map[string]string{}, json.Number("7"), json.Number("-1"), nil, nil)
	e, err := newEncoder(fields)
	require.NoError(t, err)
	_, err = e.encode("m", r[0])
	require.ErrorContains(t, err, "a value is no unsigned")
}
