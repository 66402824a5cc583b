package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"trackerdcs/pkg/wire"
)

// parseMapping reads the mapping file. Everything that is wrong is in the
// error, each with its line.
func parseMapping(root wire.Root, text []byte) (*mapping, error) {
	var p mappingParser
	m := p.file(text)
	p.compare(root, m)
	if len(p.errs) == 0 {
		return m, nil
	}
	slices.SortStableFunc(p.errs, func(a, b mistake) int { return a.line - b.line })
	var errs []error
	for _, e := range p.errs {
		errs = append(errs, e)
	}
	return nil, errors.Join(errs...)
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

// mappingParser walks through the file's syntax tree instead of decoding into
// a struct, which would stop at the first mistake.
type mappingParser struct {
	number int // of the rule at hand, or 0
	errs   []mistake
}

func (p *mappingParser) bad(line int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.number > 0 {
		text = fmt.Sprintf("rule %d: %s", p.number, text)
	}
	p.errs = append(p.errs, mistake{line, text})
}

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

func (p *mappingParser) file(text []byte) *mapping {
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		var y yaml.Error
		if errors.As(err, &y) && y.GetToken() != nil {
			p.bad(y.GetToken().Position.Line, "not YAML: %s. A text that begins with { or # needs quotes", y.GetMessage())
		} else {
			p.bad(0, "not YAML: %v", err)
		}
		return nil
	}
	docs := slices.DeleteFunc(f.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil || d.Body.Type() == ast.NullType })
	switch {
	case len(docs) == 0:
		p.bad(0, "the file is empty: begin it with rules:, or leave the setting out")
		return nil
	case len(docs) > 1:
		p.bad(lineOf(docs[1].Body), "a second document: put all rules into one, without ---")
		return nil
	}
	m := new(mapping)
	p.keys(docs[0].Body, "the file", keys{"rules": func(n ast.Node) {
		list, ok := n.(*ast.SequenceNode)
		if !ok || len(list.Values) == 0 {
			p.bad(lineOf(n), "rules has to be a list: put - before each rule")
			return
		}
		for i, v := range list.Values {
			p.number = i + 1
			m.rules = append(m.rules, p.rule(v))
		}
		p.number = 0
	}}, "rules")
	return m
}

// keys is what is done with each key of a map.
type keys map[string]func(ast.Node)

// keys takes a map apart. Keys that are not known are errors; those that are
// needed have to be there.
func (p *mappingParser) keys(n ast.Node, what string, known keys, needed ...string) {
	entries, ok := n.(ast.MapNode)
	if !ok {
		p.bad(lineOf(n), "%s has to be keys with values, as %s: …", what, needed[0])
		return
	}
	found := make(map[string]bool)
	for it := entries.MapRange(); it.Next(); {
		key, _ := scalar(it.Key())
		found[key] = true
		if take, ok := known[key]; ok {
			take(it.Value())
			continue
		}
		p.bad(lineOf(it.Key()), "unknown key %q: allowed are %s", key, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	for _, key := range needed {
		if !found[key] {
			p.bad(lineOf(firstOf(n)), "%s is missing", key)
		}
	}
}

// firstOf is where a map begins: its own token is the first colon.
func firstOf(n ast.Node) ast.Node {
	if entries, ok := n.(ast.MapNode); ok {
		if it := entries.MapRange(); it.Next() {
			return it.Key()
		}
	}
	return n
}

// scalar is the text of a value that is one.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.MergeKeyNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// text takes a value that has to be a text.
func (p *mappingParser) text(n ast.Node, what string) string {
	s, ok := scalar(n)
	if !ok || s == "" {
		p.bad(lineOf(n), "%s has to be a text: one that begins with { or # needs quotes", what)
	}
	return s
}

// names finds a name that means two things.
func (p *mappingParser) names(d *draft) {
	tags := make(map[string]bool)
	for _, t := range d.rule.tags {
		tags[t.name] = true
	}
	for _, w := range d.wants {
		switch {
		case w.use == asTag && tags[w.name]:
			p.bad(d.line, "tag %s is in tags and in tag_keys: choose another name for one", w.name)
		case w.use == asTag:
			tags[w.name] = true
		}
	}
	for _, w := range d.wants {
		if w.use == asField && tags[w.name] {
			p.bad(d.line, "%s is a field and a tag: choose another name for one", w.name)
		}
	}
	if tags[d.bareName] && (d.form == formNumber || d.form == auto) {
		p.bad(d.line, "%s is a bare number's field and a tag: choose another name for one", d.bareName)
	}
}

// compare finds rules that get in the way of each other, or of the stack.
func (p *mappingParser) compare(root wire.Root, m *mapping) {
	if m == nil {
		return
	}
	for i := range m.rules {
		r := &m.rules[i]
		if r.filter == "" {
			continue // complained of
		}
		p.number = r.number
		for _, own := range ownFilters(root) {
			if covers(r.filter, own) {
				p.bad(r.line, "topic %q takes the stack's own topics too, as %s: begin with a name of your own, as lab/#", r.topic, own)
				break
			}
			if covers(own, r.filter) {
				p.bad(r.line, "topic %q never gets a message: %s is the stack's own", r.topic, own)
			}
		}
		sensors := root.Sensor("+", "+")
		if meet(r.filter, sensors) && !covers(r.filter, sensors) && !covers(sensors, r.filter) {
			p.bad(r.line, "topic %q takes a part of %s, and a broker would send that twice: name fewer or more levels", r.topic, sensors)
		}
		p.compareWith(m.rules[:i], r)
	}
	p.number = 0
}

// compareWith complains of the first of the earlier rules that is in the way.
func (p *mappingParser) compareWith(earlier []rule, r *rule) {
	for i := range earlier {
		e := &earlier[i]
		switch {
		case e.filter == "" || !meet(e.filter, r.filter):
			continue
		case e.filter == r.filter:
			p.bad(r.line, "topic %q is that of rule %d in line %d: make one rule of both", r.topic, e.number, e.line)
		case covers(e.filter, r.filter):
			p.bad(r.line, "topic %q never gets a message: rule %d in line %d takes all of %s. Put this rule before it", r.topic, e.number, e.line, e.topic)
		case !covers(r.filter, e.filter):
			p.bad(r.line, "topic %q takes a part of what rule %d in line %d does, %s, and a broker would send that twice: "+
				"name more levels in one, or fewer", r.topic, e.number, e.line, e.topic)
		default:
			continue
		}
		return
	}
}
