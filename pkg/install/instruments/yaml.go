package instruments

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// mistake is something that is wrong in a line of the file, or with all of it
// if line is 0.
type mistake struct {
	line int
	text string
}

func (m mistake) Error() string {
	if m.line == 0 {
		return m.text
	}
	return fmt.Sprintf("line %d: %s", m.line, m.text)
}

// reader walks through the syntax tree: decoding into a struct would stop at
// the first mistake.
type reader struct {
	where string // the entry that is being read
	alone bool   // compose: false, only accounts are made
	hosts []host // of addresses
	errs  []mistake
}

func (r *reader) bad(line int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if r.where != "" {
		text = r.where + ": " + text
	}
	r.errs = append(r.errs, mistake{line, text})
}

// in names the entry for the errors in f.
func (r *reader) in(what string, f func()) {
	r.where = what
	f()
	r.where = ""
}

// err is everything that was wrong, in order of lines.
func (r *reader) err() error {
	slices.SortStableFunc(r.errs, func(a, b mistake) int { return a.line - b.line })
	var errs []error
	for _, e := range r.errs {
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// root parses the text and gives its only document; nil when there is none.
func (r *reader) root(text []byte) ast.Node {
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		var y yaml.Error
		if errors.As(err, &y) && y.GetToken() != nil {
			r.bad(y.GetToken().Position.Line, "not YAML: %s. A text that begins with {, [, *, & or # needs quotes", y.GetMessage())
		} else {
			r.bad(0, "not YAML: %v", err)
		}
		return nil
	}
	docs := slices.DeleteFunc(f.Docs, func(d *ast.DocumentNode) bool {
		return d.Body == nil || d.Body.Type() == ast.NullType || d.Body.Type() == ast.CommentType
	})
	switch {
	case len(docs) == 0:
		r.bad(0, "the file is empty: begin it with instruments:")
		return nil
	case len(docs) > 1:
		r.bad(lineOf(docs[1].Body), "a second document: put everything into one, without ---")
		return nil
	}
	return docs[0].Body
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

// entries gives the keys and values of a map, in order. No value is an empty map.
func (r *reader) entries(n ast.Node, what string, f func(key string, line int, value ast.Node)) {
	if n == nil || n.Type() == ast.NullType {
		return
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		r.bad(lineOf(n), "%s has to be keys with values, each as key: value", what)
		return
	}
	seen := make(map[string]bool)
	for it := m.MapRange(); it.Next(); {
		key, ok := scalar(it.Key())
		line := lineOf(it.Key())
		switch {
		case !ok:
			r.bad(line, "a key of %s has to be a plain word", what)
		case seen[key]:
			r.bad(line, "%q stands twice in %s: remove one", key, what)
		default:
			seen[key] = true
			f(key, line, it.Value())
		}
	}
}

// keys is what is done with each key of a map.
type keys map[string]func(line int, value ast.Node)

// keys takes a map apart whose keys are fixed: others are errors.
func (r *reader) keys(n ast.Node, what string, known keys) (found map[string]bool) {
	found = make(map[string]bool)
	r.entries(n, what, func(key string, line int, value ast.Node) {
		found[key] = true
		if take := known[key]; take != nil {
			take(line, value)
			return
		}
		r.bad(line, "unknown key %q: allowed are %s", key, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	})
	return found
}

// items gives the elements of a list.
func (r *reader) items(n ast.Node, line int, what string, f func(ast.Node)) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		r.bad(line, "%s has to be a list, as [a, b] or with - before each element", what)
		return
	}
	for _, v := range list.Values {
		f(v)
	}
}

// scalar is the text of a value that is one, as it stands in the file.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// text takes a value that is a text on one line and not empty.
func (r *reader) text(n ast.Node, line int, what string) string {
	s, ok := scalar(n)
	switch {
	case !ok:
		r.bad(line, "%s has to be a text: one that begins with {, [, *, & or # needs quotes", what)
	case strings.TrimSpace(s) == "":
		r.bad(line, "%s is empty: give it a value, or leave it out", what)
	case strings.ContainsFunc(s, unicode.IsControl):
		r.bad(line, "%s has a line end or another invisible character in it: remove it", what)
	default:
		return s
	}
	return ""
}
