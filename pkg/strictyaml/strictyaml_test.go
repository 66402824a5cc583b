package strictyaml

import (
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// read takes a file {name: text, list: [text]}.
func read(text string, nullIsEmpty bool) (name string, list []string, err error) {
	r := Reader{Words: Words{Begin: "begin it with name:", All: "everything", Quotes: "{ or #"}, NullIsEmpty: nullIsEmpty}
	word := func(line int, n ast.Node, what string) string {
		s, ok := Scalar(n)
		if !ok {
			r.NoText(line, what)
		}
		return s
	}
	if root := r.Root([]byte(text)); root != nil {
		r.Keys(root, "the file", Keys{
			"name": func(line int, n ast.Node) { name = word(line, n, "name") },
			"list": func(line int, n ast.Node) {
				r.In("the list", func() {
					r.Items(n, line, "list", func(n ast.Node) {
						r.In("an element", func() { list = append(list, word(LineOf(n), n, "it")) })
					})
				})
			},
			"map": func(_ int, n ast.Node) { r.Keys(n, "map", Keys{}) },
		})
	}
	return name, list, r.Err()
}

func TestReads(t *testing.T) {
	for text, want := range map[string]string{
		"name: a":                 "a",
		"# why\n---\nname: 0x10":  "0x10",
		"{name: true}":            "true",
		"name: '{a}'\n---\n# end": "{a}",
		"name: |\n  a\n  b\n":     "a\nb\n",
	} {
		name, _, err := read(text, false)
		require.NoError(t, err, text)
		assert.Equal(t, want, name, text)
	}
	_, list, err := read("list: [a, 1.50]", false)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "1.50"}, list)
}

func TestRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "the file is empty: begin it with name:",
		"# nothing\n":                "the file is empty: begin it with name:",
		"null":                       "the file is empty: begin it with name:",
		"name: a\n---\nname: b":      "line 3: a second document: put everything into one, without ---",
		"a":                          "line 1: the file has to be keys with values, each as key: value",
		"nam: a":                     `line 1: unknown key "nam": allowed are list, map, name`,
		"&x name: a":                 "line 1: a key of the file has to be a plain word",
		"map: {}\n<<: {name: a}":     "line 2: a key of the file has to be a plain word",
		"list: [&x a, *x]":           "line 1: the list, an element: it has to be a text: one that begins with { or # needs quotes\nline 1: the list, an element: it has to be a text: one that begins with { or # needs quotes",
		"name: !!str a":              "line 1: name has to be a text: one that begins with { or # needs quotes",
		"name:":                      "line 1: name has to be a text: one that begins with { or # needs quotes",
		"map:":                       "line 1: map has to be keys with values, each as key: value",
		"list: a":                    "line 1: the list: list has to be a list, as [a, b] or with - before each element",
		"list: [{}]\nb: 1\nname: {}": "line 1: the list, an element: it has to be a text: one that begins with { or # needs quotes\nline 2: unknown key \"b\": allowed are list, map, name\nline 3: name has to be a text: one that begins with { or # needs quotes",
	} {
		_, _, err := read(text, false)
		assert.EqualError(t, err, want, text)
	}
	for text, want := range map[string]string{
		"name: {a":         "line 1: not YAML: ",
		"name: a\nname: b": "line 2: not YAML: mapping key \"name\" already defined",
	} {
		_, _, err := read(text, false)
		require.ErrorContains(t, err, want, text)
		assert.ErrorContains(t, err, "A text that begins with { or # needs quotes", text)
	}
}

func TestNullIsEmpty(t *testing.T) {
	_, _, err := read("map:\nname: a", true)
	require.NoError(t, err)
}

// Mistakes come in order of lines, those of the whole file first.
func TestOrder(t *testing.T) {
	var r Reader
	r.Bad(7, "c")
	r.In("x", func() { r.Bad(2, "b %d", 1); assert.Equal(t, "x", r.Where()) })
	r.Bad(0, "a")
	assert.Equal(t, 3, r.Mistakes())
	assert.Empty(t, r.Where())
	require.EqualError(t, r.Err(), "a\nline 2: x: b 1\nline 7: c")
	assert.NoError(t, new(Reader).Err())
}
