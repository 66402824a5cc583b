package instruments

import (
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"

	"trackerdcs/pkg/strictyaml"
)

// reader reads the file and knows what of it has to be compared at the end.
type reader struct {
	strictyaml.Reader
	alone bool   // compose: false, only accounts are made
	hosts []host // of addresses
}

func newReader() *reader {
	return &reader{Reader: strictyaml.Reader{
		Words:       strictyaml.Words{Begin: "begin it with instruments:", All: "everything", Quotes: "{, [, *, & or #"},
		NullIsEmpty: true,
	}}
}

// text takes a value that is a text on one line and not empty.
func (r *reader) text(n ast.Node, line int, what string) string {
	s, ok := strictyaml.Scalar(n)
	switch {
	case !ok:
		r.NoText(line, what)
	case strings.TrimSpace(s) == "":
		r.Bad(line, "%s is empty: give it a value, or leave it out", what)
	case strings.ContainsFunc(s, unicode.IsControl):
		r.Bad(line, "%s has a line end or another invisible character in it: remove it", what)
	default:
		return s
	}
	return ""
}
