package procedure

import (
	"strings"

	"github.com/goccy/go-yaml/ast"

	"trackerdcs/pkg/strictyaml"
)

// reader reads the file of procedures.
type reader struct{ strictyaml.Reader }

func newReader() *reader {
	return &reader{strictyaml.Reader{Words: strictyaml.Words{
		Begin: "begin it with procedures:", All: "all procedures", Quotes: "{, [, * or #",
	}}}
}

// items gives the elements of a list.
func (r *reader) items(n ast.Node, what string, f func(ast.Node)) {
	r.Items(n, strictyaml.LineOf(n), what, f)
}

// text takes a value that is a text on one line.
func (r *reader) text(n ast.Node, what string) string {
	s, ok := strictyaml.Scalar(n)
	switch {
	case !ok:
		r.NoText(strictyaml.LineOf(n), what)
	case strings.ContainsFunc(s, hidden):
		r.Bad(strictyaml.LineOf(n), "%s has a line end or another invisible character in it: remove it", what)
	default:
		return s
	}
	return ""
}
