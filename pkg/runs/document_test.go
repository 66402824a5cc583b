package runs

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestDocument(t *testing.T) {
	for text, want := range map[string]any{
		`1`:                     int64(1),
		`-0`:                    int64(0),
		`1.0`:                   1.0,
		`1e3`:                   1000.0,
		`9223372036854775807`:   int64(math.MaxInt64),
		`9223372036854775808`:   9223372036854775808.0,
		`"µm"`:                  "µm",
		` [1,[2,[]],{"a":{}}] `: []any{int64(1), []any{int64(2), []any{}}, map[string]any{"a": map[string]any{}}},
		`{"a.b":null,"":true}`:  map[string]any{"a.b": nil, "": true},
	} {
		got, err := Document([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestDocumentRefuses(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth)
	for text, want := range map[string]string{
		``:                          "the end is missing",
		"{\"a\":1,\n":               "line 2",
		`{"a":1} x`:                 "line 1",
		`{"a":1}{"b":2}`:            "more follows",
		"{\n\"a\":1,\n\"a\":2}":     `line 3: key "a" stands twice`,
		`{"a\u0000b":1}`:            "has a NUL",
		"{\"a\":\"\xff\"}":          "byte 6 is not UTF-8",
		`[1e999]`:                   "number 1e999 is too large",
		`[NaN]`:                     "line 1",
		deep + `[`:                  "more than 100 arrays and objects",
		`{"a":[1,2`:                 "line 1",
		`{1:2}`:                     "line 1",
		`["` + string(rune(1)) + ``: "line 1",
	} {
		_, err := Document([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
	_, err := Document([]byte(deep + strings.Repeat("]", MaxDepth)))
	require.NoError(t, err)
}

func TestDocumentTooLarge(t *testing.T) {
	for name, text := range map[string]string{
		"many numbers": "[0" + strings.Repeat(",0", 2<<20) + "]",
		"a long text":  `"` + strings.Repeat("x", MaxResult) + `"`,
		"many arrays":  "[[]" + strings.Repeat(",[]", 1<<20) + "]",
	} {
		_, err := Document([]byte(text))
		require.ErrorIs(t, err, ErrTooLarge, name)
	}
	v, err := Document([]byte("[1" + strings.Repeat(",1.5", 240_000) + "]")) // as the numbers of a large summary
	require.NoError(t, err)
	n, err := size(v)
	require.NoError(t, err)
	require.LessOrEqual(t, n, MaxResult)
}

func TestKeys(t *testing.T) {
	for key, want := range map[string]string{
		"scurves.csv": "scurves%2Ecsv",
		"":            "%00",
		"$set":        "%24set",
		"a$":          "a$",
		"100%":        "100%",
		"%":           "%25",
		"%2E":         "%252E",
		"%2.":         "%2%2E",
		"%00":         "%2500",
		"µm":          "µm",
	} {
		require.Equal(t, want, storedKey(key))
		require.Equal(t, key, originalKey(want))
	}
}

func FuzzDocument(f *testing.F) {
	for _, s := range []string{`{"a.b":[[1,2],[3.5]],"$x":{"":null},"%":[{"%":[1]}],"n":-1e-300}`, `[]`, `1`, `{"a":1,"a":2}`, `[[[]]]`, `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Document(b)
		if err != nil {
			return
		}
		require.True(t, json.Valid(b), "%q is no JSON", b)
		run := Run{Number: 1, UID: "u", Results: map[string]any{"summary.json": v}}
		for _, wrap := range []bool{false, true} {
			doc, err := document(run, wrap)
			require.NoError(t, err)
			require.NoError(t, doc.Validate())
			stored(t, doc, wrap)
			got, err := decode(doc)
			require.NoError(t, err)
			require.Equal(t, v, got.Results["summary.json"])
		}
	})
}

// stored checks that FerretDB would take a document.
func stored(t *testing.T, doc bson.Raw, wrapped bool) {
	elements, err := doc.Elements()
	require.NoError(t, err)
	for _, e := range elements {
		key := e.Key()
		require.False(t, key == "" || key[0] == '$' || strings.Contains(key, "."), "key %q", key)
		acceptable(t, e.Value(), wrapped, false)
	}
}

func acceptable(t *testing.T, v bson.RawValue, wrapped, inArray bool) {
	if inner, ok := v.DocumentOK(); ok {
		stored(t, inner, wrapped)
		return
	}
	array, ok := v.ArrayOK()
	if !ok {
		return
	}
	require.False(t, wrapped && inArray, "an array in an array")
	values, err := array.Values()
	require.NoError(t, err)
	for _, inner := range values {
		acceptable(t, inner, wrapped, true)
	}
}
