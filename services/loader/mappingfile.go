package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// draft is a rule that is being read, with what has to be known of its other
// keys before it can be judged.
type draft struct {
	rule
	places                                map[string]int // which level a placeholder is
	topic, measurement, field, timeFormat ast.Node
	fields, tags, tagKeys                 ast.Node
	time                                  ast.Node
}

func (p *mappingParser) rule(n ast.Node) rule {
	d := draft{rule: rule{number: p.number, line: lineOf(firstOf(n)), form: auto}}
	keep := func(to *ast.Node) func(ast.Node) { return func(n ast.Node) { *to = n } }
	before := len(p.errs)
	p.keys(n, "a rule", keys{
		"topic": keep(&d.topic), "measurement": keep(&d.measurement), "tags": keep(&d.tags),
		"payload": func(n ast.Node) { p.payload(&d, n) },
		"fields":  keep(&d.fields), "field": keep(&d.field), "time": keep(&d.time),
		"time_format": keep(&d.timeFormat), "tag_keys": keep(&d.tagKeys),
	}, "topic", "measurement")
	if d.topic != nil {
		p.topic(&d)
	}
	if d.measurement != nil {
		p.measurement(&d)
	}
	p.tags(&d)
	p.field(&d)
	p.fields(&d)
	p.tagKeys(&d)
	p.time(&d)
	if len(p.errs) == before {
		p.names(&d)
	}
	return d.rule
}

func (p *mappingParser) payload(d *draft, n ast.Node) {
	d.form = form(p.text(n, "payload"))
	if !slices.Contains([]form{auto, formObject, formList, formNumber}, d.form) {
		p.bad(lineOf(n), "payload %q: use object, list, number or auto", string(d.form))
		d.form = auto
	}
}

// topic takes the filter and notes where its placeholders are.
func (p *mappingParser) topic(d *draft) {
	before := len(p.errs)
	topic := p.text(d.topic, "topic")
	if len(p.errs) > before {
		return
	}
	bad := func(format string, args ...any) { p.bad(lineOf(d.topic), "topic "+format, args...) }
	if strings.ContainsFunc(topic, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		bad("%q has a control character", topic)
	}
	if strings.HasPrefix(topic, "$share/") {
		bad("%q is a shared subscription: leave out $share and the group", topic)
	}
	d.places = make(map[string]int)
	levels := strings.Split(topic, "/")
	for i, level := range levels {
		name, isPlace := placeholder(level)
		_, again := d.places[name]
		switch {
		case level == "#" && i < len(levels)-1:
			bad("%q: # can only be the last level", topic)
		case level == "#" || level == "+":
		case isPlace && again:
			bad("%q has {%s} twice: choose another name for one", topic, name)
		case isPlace:
			d.places[name] = i
			levels[i] = "+"
		case strings.ContainsAny(level, "{}"):
			bad("%q: level %q: a placeholder takes a whole level, as {room}, and has letters, digits and _ in its name", topic, level)
		case strings.ContainsAny(level, "+#"):
			bad("%q: level %q: + and # take a whole level", topic, level)
		}
	}
	if len(p.errs) == before {
		d.rule.topic, d.filter = topic, strings.Join(levels, "/")
	}
}

// placeholder gives the name in {name}.
func placeholder(s string) (name string, ok bool) {
	name, opened := strings.CutPrefix(s, "{")
	name, closed := strings.CutSuffix(name, "}")
	word := strings.TrimFunc(name, func(r rune) bool {
		return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	})
	return name, opened && closed && name != "" && word == ""
}

func (p *mappingParser) measurement(d *draft) {
	before := len(p.errs)
	d.rule.measurement = p.template(d, d.measurement, "measurement")
	if len(p.errs) == before && d.rule.measurement.fixed() {
		if err := checkMeasurement(d.rule.measurement.fill(nil)); err != nil {
			p.bad(lineOf(d.measurement), "%v", err)
		}
	}
}

// template takes a text with placeholders.
func (p *mappingParser) template(d *draft, n ast.Node, what string) template {
	before := len(p.errs)
	rest := p.text(n, what)
	if len(p.errs) > before {
		return nil
	}
	whole := rest
	var t template
	for rest != "" {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			i = len(rest)
		}
		if i > 0 {
			t = append(t, part{text: rest[:i]})
			rest = rest[i:]
			continue
		}
		end := strings.IndexByte(rest, '}') + 1
		name, ok := placeholder(rest[:end])
		if !ok {
			p.bad(lineOf(n), "%s %q: a placeholder is written {room}", what, whole)
			return t
		}
		level, ok := d.places[name]
		if !ok && d.filter != "" { // else the topic has been complained of
			p.bad(lineOf(n), "%s %q: {%s} is not in the topic: put it there in place of a +", what, whole, name)
		}
		t = append(t, part{level: level})
		rest = rest[end:]
	}
	for _, part := range t {
		if err := checkWord(part.text); part.text != "" && err != nil {
			p.bad(lineOf(n), "%s: %v", what, err)
		}
	}
	return t
}

// entries takes a map of names, which line protocol has to be able to write.
func (p *mappingParser) entries(n ast.Node, what string, take func(name string, v ast.Node)) {
	if n == nil {
		return
	}
	entries, ok := n.(ast.MapNode)
	if !ok {
		p.bad(lineOf(n), "%s has to be names with values, as {name: …}", what)
		return
	}
	some := false
	for it := entries.MapRange(); it.Next(); {
		some = true
		name, ok := scalar(it.Key())
		if !ok {
			p.bad(lineOf(it.Key()), "%s: a name has to be a text", what)
			continue
		}
		if err := checkName(name); err != nil {
			p.bad(lineOf(it.Key()), "%s: %v", what, err)
		}
		take(name, it.Value())
	}
	if !some {
		p.bad(lineOf(n), "%s is empty: name one, or leave it out", what)
	}
}

// checkName reports why name cannot be a field or a tag.
func checkName(name string) error {
	switch name {
	case "time", "_time", "_field", "_measurement":
		return fmt.Errorf("name %q is InfluxDB's own: choose another", name)
	}
	return checkWord(name)
}

func (p *mappingParser) tags(d *draft) {
	p.entries(d.tags, "tags", func(name string, v ast.Node) {
		d.rule.tags = append(d.rule.tags, tag{name, p.template(d, v, "tag "+name)})
	})
}

func (p *mappingParser) field(d *draft) {
	name := "value"
	if d.field != nil {
		name = p.text(d.field, "field")
		if err := checkName(name); name != "" && err != nil {
			p.bad(lineOf(d.field), "field: %v", err)
		}
		if d.form == formObject || d.form == formList {
			p.bad(lineOf(d.field), "field names a bare number: for %s say fields: {%s: key}", d.form.article(), name)
		}
	}
	d.bare, d.bareName = newColumn(mapped, name), name
}

func (p *mappingParser) fields(d *draft) {
	d.all = d.fields == nil
	if d.form == formNumber && d.fields != nil {
		p.bad(lineOf(firstOf(d.fields)), "a bare number has no fields: say field: name")
		return
	}
	places := 0
	before := len(p.errs)
	p.entries(d.fields, "fields", func(name string, v ast.Node) {
		path := p.path(v, "field "+name)
		if _, err := strconv.ParseUint(path, 10, 16); err == nil {
			places++
		}
		d.wants = append(d.wants, want{path: path, use: asField, name: name, column: newColumn(mapped, name)})
	})
	if len(p.errs) == before && d.form == formList && places > 0 && places < len(d.wants) {
		p.bad(lineOf(firstOf(d.fields)), "fields of a list are either all places (0, 1 …), for a list of numbers, or all keys, for a list of objects")
	}
}

// path takes where a value stands: a key, keys with dots between, or a place
// in a list.
func (p *mappingParser) path(n ast.Node, what string) string {
	path, ok := scalar(n)
	if !ok || path == "" {
		p.bad(lineOf(n), "%s has to be a key, as temp or p.hPa, or a place in a list, as 0", what)
	}
	return path
}

func (p *mappingParser) tagKeys(d *draft) {
	if d.form == formNumber && d.tagKeys != nil {
		p.bad(lineOf(firstOf(d.tagKeys)), "a bare number has no tag_keys: take tags from the topic")
		return
	}
	n := 0
	p.entries(d.tagKeys, "tag_keys", func(name string, v ast.Node) {
		w := want{path: p.path(v, "tag "+name), use: asTag, name: name, prefix: "," + escaped(name) + "=", bit: 1 << n}
		d.wants = append(d.wants, w)
		n++
	})
	if n > maxTagKeys {
		p.bad(lineOf(firstOf(d.tagKeys)), "%d tag_keys: at most %d", n, maxTagKeys)
	}
}

func (p *mappingParser) time(d *draft) {
	if d.time != nil {
		if d.form == formNumber {
			p.bad(lineOf(d.time), "a bare number has no time: leave it out, and the time is that of arrival")
		}
		d.wants = append(d.wants, want{path: p.path(d.time, "time"), use: asTime})
	}
	if d.timeFormat == nil {
		return
	}
	d.format = p.text(d.timeFormat, "time_format")
	if _, ok := unixUnits[d.format]; !ok && d.format != rfc3339 {
		p.bad(lineOf(d.timeFormat), "time_format %q: use rfc3339, s, ms, us or ns", d.format)
	}
	if d.time == nil {
		p.bad(lineOf(d.timeFormat), "time_format without time: say which key has the time")
	}
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
