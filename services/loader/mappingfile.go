package main

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"

	"trackerdcs/pkg/strictyaml"
	"trackerdcs/pkg/wire"
)

// parseMapping reads the mapping file. Everything that is wrong is in the
// error, each with its line.
func parseMapping(root wire.Root, text []byte) (*mapping, error) {
	p := mappingParser{strictyaml.Reader{Words: strictyaml.Words{
		Begin: "begin it with rules:, or leave the setting out", All: "all rules", Quotes: "{ or #",
	}}}
	m := p.file(text)
	p.compare(root, m)
	if p.Mistakes() == 0 {
		return m, nil
	}
	return nil, p.Err()
}

// mappingParser reads the file; what is wrong in a rule has the rule's number.
type mappingParser struct{ strictyaml.Reader }

// inRule names the rule for the mistakes in f.
func (p *mappingParser) inRule(number int, f func()) { p.In(fmt.Sprintf("rule %d", number), f) }

func (p *mappingParser) file(text []byte) *mapping {
	root := p.Root(text)
	if root == nil {
		return nil
	}
	m := new(mapping)
	p.keys(root, "the file", strictyaml.Keys{"rules": func(_ int, n ast.Node) {
		list, ok := n.(*ast.SequenceNode)
		if !ok || len(list.Values) == 0 {
			p.Bad(strictyaml.LineOf(n), "rules has to be a list: put - before each rule")
			return
		}
		for i, v := range list.Values {
			p.inRule(i+1, func() { m.rules = append(m.rules, p.rule(i+1, v)) })
		}
	}}, "rules")
	return m
}

// keys takes a map apart. Keys that are not known are errors; those that are
// needed have to be there.
func (p *mappingParser) keys(n ast.Node, what string, known strictyaml.Keys, needed ...string) {
	entries, ok := n.(ast.MapNode)
	if !ok {
		p.Bad(strictyaml.LineOf(n), "%s has to be keys with values, as %s: …", what, needed[0])
		return
	}
	found := make(map[string]bool)
	for it := entries.MapRange(); it.Next(); {
		key, _ := scalar(it.Key())
		found[key] = true
		line := strictyaml.LineOf(it.Key())
		if take, ok := known[key]; ok {
			take(line, it.Value())
			continue
		}
		p.Unknown(line, key, known)
	}
	for _, key := range needed {
		if !found[key] {
			p.Bad(strictyaml.LineOf(firstOf(n)), "%s is missing", key)
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

// scalar is the text of a value that is one, or of a key that is called <<.
func scalar(n ast.Node) (string, bool) {
	if m, ok := n.(*ast.MergeKeyNode); ok {
		return m.GetToken().Value, true
	}
	return strictyaml.Scalar(n)
}

// text takes a value that has to be a text.
func (p *mappingParser) text(n ast.Node, what string) string {
	s, ok := scalar(n)
	if !ok || s == "" {
		p.NoText(strictyaml.LineOf(n), what)
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
			p.Bad(d.line, "tag %s is in tags and in tag_keys: choose another name for one", w.name)
		case w.use == asTag:
			tags[w.name] = true
		}
	}
	for _, w := range d.wants {
		if w.use == asField && tags[w.name] {
			p.Bad(d.line, "%s is a field and a tag: choose another name for one", w.name)
		}
	}
	if tags[d.bareName] && (d.form == formNumber || d.form == auto) {
		p.Bad(d.line, "%s is a bare number's field and a tag: choose another name for one", d.bareName)
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
		p.inRule(r.number, func() {
			p.compareOwn(root, r)
			p.compareWith(m.rules[:i], r)
		})
	}
}

// compareOwn complains of a rule that is in the way of the stack's own topics.
func (p *mappingParser) compareOwn(root wire.Root, r *rule) {
	for _, own := range ownFilters(root) {
		if covers(r.filter, own) {
			p.Bad(r.line, "topic %q takes the stack's own topics too, as %s: begin with a name of your own, as lab/#", r.topic, own)
			break
		}
		if covers(own, r.filter) {
			p.Bad(r.line, "topic %q never gets a message: %s is the stack's own", r.topic, own)
		}
	}
	sensors := root.Sensor("+", "+")
	if meet(r.filter, sensors) && !covers(r.filter, sensors) && !covers(sensors, r.filter) {
		p.Bad(r.line, "topic %q takes a part of %s, and a broker would send that twice: name fewer or more levels", r.topic, sensors)
	}
}

// compareWith complains of the first of the earlier rules that is in the way.
func (p *mappingParser) compareWith(earlier []rule, r *rule) {
	for i := range earlier {
		e := &earlier[i]
		switch {
		case e.filter == "" || !meet(e.filter, r.filter):
			continue
		case e.filter == r.filter:
			p.Bad(r.line, "topic %q is that of rule %d in line %d: make one rule of both", r.topic, e.number, e.line)
		case covers(e.filter, r.filter):
			p.Bad(r.line, "topic %q never gets a message: rule %d in line %d takes all of %s. Put this rule before it", r.topic, e.number, e.line, e.topic)
		case !covers(r.filter, e.filter):
			p.Bad(r.line, "topic %q takes a part of what rule %d in line %d does, %s, and a broker would send that twice: "+
				"name more levels in one, or fewer", r.topic, e.number, e.line, e.topic)
		default:
			continue
		}
		return
	}
}
