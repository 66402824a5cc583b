// Package strictyaml reads settings files that people write by hand, and finds
// all that is wrong in one go: it walks through the syntax tree, because
// decoding into a struct would stop at the first mistake.
//
// It refuses what is not YAML, an empty file, a second document, a key that
// stands twice, a key that is not a plain word (an anchor, an alias, a merge
// key), a key that is not known, and a value of another kind than the one that
// is asked for. Aliases and tags are followed nowhere: Scalar does not take them.
//
// Each error names the line, if it is about one, then what was being read (see
// In), what is wrong and what to do.
package strictyaml

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Words are what the errors of a file say, which depends on the file.
type Words struct {
	Begin  string // remedy of an empty file: "begin it with rules:"
	All    string // what one document is to hold: "all rules"
	Quotes string // with what a text cannot begin: "{, [, * or #"
}

// Reader collects what is wrong in one file. It is for one goroutine.
type Reader struct {
	Words       Words
	NullIsEmpty bool // a map with no value is an empty one, and no mistake
	where       []string
	mistakes    []mistake
}

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

// Bad notes a mistake in a line, or in the whole file if line is 0.
func (r *Reader) Bad(line int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(r.where) > 0 {
		text = r.Where() + ": " + text
	}
	r.mistakes = append(r.mistakes, mistake{line, text})
}

// In names what is being read, for the mistakes that f notes. It may be nested.
func (r *Reader) In(what string, f func()) {
	r.where = append(r.where, what)
	f()
	r.where = r.where[:len(r.where)-1]
}

// Where is what is being read, from the outside in, or empty.
func (r *Reader) Where() string { return strings.Join(r.where, ", ") }

// Mistakes is how many were noted.
func (r *Reader) Mistakes() int { return len(r.mistakes) }

// Err is everything that was wrong, in order of lines and joined; nil if
// nothing was.
func (r *Reader) Err() error {
	slices.SortStableFunc(r.mistakes, func(a, b mistake) int { return a.line - b.line })
	var errs []error
	for _, m := range r.mistakes {
		errs = append(errs, m)
	}
	return errors.Join(errs...)
}

// Root parses the text and gives its only document; nil, with a mistake noted,
// when there is not just one.
func (r *Reader) Root(text []byte) ast.Node {
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		var y yaml.Error
		if errors.As(err, &y) && y.GetToken() != nil {
			r.Bad(y.GetToken().Position.Line, "not YAML: %s. A text that begins with %s needs quotes", y.GetMessage(), r.Words.Quotes)
		} else {
			r.Bad(0, "not YAML: %v", err)
		}
		return nil
	}
	docs := slices.DeleteFunc(f.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil || d.Body.Type() == ast.NullType })
	switch {
	case len(docs) == 0:
		r.Bad(0, "the file is empty: %s", r.Words.Begin)
		return nil
	case len(docs) > 1:
		r.Bad(LineOf(docs[1].Body), "a second document: put %s into one, without ---", r.Words.All)
		return nil
	}
	return docs[0].Body
}

// Entries gives the keys and values of a map, in order, each key with its line.
func (r *Reader) Entries(n ast.Node, what string, f func(key string, line int, value ast.Node)) {
	if r.NullIsEmpty && (n == nil || n.Type() == ast.NullType) {
		return
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		r.Bad(LineOf(n), "%s has to be keys with values, each as key: value", what)
		return
	}
	seen := make(map[string]bool)
	for it := m.MapRange(); it.Next(); {
		key, ok := Scalar(it.Key())
		line := LineOf(it.Key())
		switch {
		case !ok:
			r.Bad(line, "a key of %s has to be a plain word", what)
		case seen[key]: // the parser finds it first; should it once not
			r.Bad(line, "%q stands twice in %s: remove one", key, what)
		default:
			seen[key] = true
			f(key, line, it.Value())
		}
	}
}

// Keys is what is done with each key of a map. The line is the key's.
type Keys map[string]func(line int, value ast.Node)

// Keys takes a map apart whose keys are fixed: others are mistakes. It gives
// the keys that are there.
func (r *Reader) Keys(n ast.Node, what string, known Keys) (found map[string]bool) {
	found = make(map[string]bool)
	r.Entries(n, what, func(key string, line int, value ast.Node) {
		found[key] = true
		if take := known[key]; take != nil {
			take(line, value)
			return
		}
		r.Unknown(line, key, known)
	})
	return found
}

// Unknown notes that a key is not one of those that are known.
func (r *Reader) Unknown(line int, key string, known Keys) {
	r.Bad(line, "unknown key %q: allowed are %s", key, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
}

// Items gives the elements of a list. The line is where it is complained of
// what is none.
func (r *Reader) Items(n ast.Node, line int, what string, f func(ast.Node)) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		r.Bad(line, "%s has to be a list, as [a, b] or with - before each element", what)
		return
	}
	for _, v := range list.Values {
		f(v)
	}
}

// NoText notes that a value has to be a text and is none.
func (r *Reader) NoText(line int, what string) {
	r.Bad(line, "%s has to be a text: one that begins with %s needs quotes", what, r.Words.Quotes)
}

// LineOf is the line that a node begins in, or 0. For a map that is the line of
// its first colon.
func LineOf(n ast.Node) int {
	if n == nil {
		return 0
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

// Scalar is the text of a value that is a text, a number or a truth value, as it
// stands in the file; false for everything else.
func Scalar(n ast.Node) (string, bool) {
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
