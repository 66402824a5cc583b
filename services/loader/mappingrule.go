package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"trackerdcs/pkg/strictyaml"
)

// draft is a rule that is being read, with what has to be known of its other
// keys before it can be judged.
type draft struct {
	rule
	places                                map[string]int // which level a placeholder is
	topic, measurement, field, timeFormat ast.Node
	fields, tags, tagKeys                 ast.Node
	time                                  ast.Node
}

func (p *mappingParser) rule(number int, n ast.Node) rule {
	d := draft{rule: rule{number: number, line: strictyaml.LineOf(firstOf(n)), form: auto}}
	keep := func(to *ast.Node) func(int, ast.Node) { return func(_ int, n ast.Node) { *to = n } }
	before := p.Mistakes()
	p.keys(n, "a rule", strictyaml.Keys{
		"topic": keep(&d.topic), "measurement": keep(&d.measurement), "tags": keep(&d.tags),
		"payload": func(_ int, n ast.Node) { p.payload(&d, n) },
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
	if p.Mistakes() == before {
		p.names(&d)
	}
	return d.rule
}

func (p *mappingParser) payload(d *draft, n ast.Node) {
	d.form = form(p.text(n, "payload"))
	if !slices.Contains([]form{auto, formObject, formList, formNumber}, d.form) {
		p.Bad(strictyaml.LineOf(n), "payload %q: use object, list, number or auto", string(d.form))
		d.form = auto
	}
}

// topic takes the filter and notes where its placeholders are.
func (p *mappingParser) topic(d *draft) {
	before := p.Mistakes()
	topic := p.text(d.topic, "topic")
	if p.Mistakes() > before {
		return
	}
	bad := func(format string, args ...any) { p.Bad(strictyaml.LineOf(d.topic), "topic "+format, args...) }
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
	if p.Mistakes() == before {
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
	before := p.Mistakes()
	d.rule.measurement = p.template(d, d.measurement, "measurement")
	if p.Mistakes() == before && d.rule.measurement.fixed() {
		if err := checkMeasurement(d.rule.measurement.fill(nil)); err != nil {
			p.Bad(strictyaml.LineOf(d.measurement), "%v", err)
		}
	}
}

// template takes a text with placeholders.
func (p *mappingParser) template(d *draft, n ast.Node, what string) template {
	before := p.Mistakes()
	rest := p.text(n, what)
	if p.Mistakes() > before {
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
			p.Bad(strictyaml.LineOf(n), "%s %q: a placeholder is written {room}", what, whole)
			return t
		}
		level, ok := d.places[name]
		if !ok && d.filter != "" { // else the topic has been complained of
			p.Bad(strictyaml.LineOf(n), "%s %q: {%s} is not in the topic: put it there in place of a +", what, whole, name)
		}
		t = append(t, part{level: level})
		rest = rest[end:]
	}
	for _, part := range t {
		if err := checkWord(part.text); part.text != "" && err != nil {
			p.Bad(strictyaml.LineOf(n), "%s: %v", what, err)
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
		p.Bad(strictyaml.LineOf(n), "%s has to be names with values, as {name: …}", what)
		return
	}
	some := false
	for it := entries.MapRange(); it.Next(); {
		some = true
		name, ok := scalar(it.Key())
		if !ok {
			p.Bad(strictyaml.LineOf(it.Key()), "%s: a name has to be a text", what)
			continue
		}
		if err := checkName(name); err != nil {
			p.Bad(strictyaml.LineOf(it.Key()), "%s: %v", what, err)
		}
		take(name, it.Value())
	}
	if !some {
		p.Bad(strictyaml.LineOf(n), "%s is empty: name one, or leave it out", what)
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
			p.Bad(strictyaml.LineOf(d.field), "field: %v", err)
		}
		if d.form == formObject || d.form == formList {
			p.Bad(strictyaml.LineOf(d.field), "field names a bare number: for %s say fields: {%s: key}", d.form.article(), name)
		}
	}
	d.bare, d.bareName = newColumn(mapped, name), name
}

func (p *mappingParser) fields(d *draft) {
	d.all = d.fields == nil
	if d.form == formNumber && d.fields != nil {
		p.Bad(strictyaml.LineOf(firstOf(d.fields)), "a bare number has no fields: say field: name")
		return
	}
	places := 0
	before := p.Mistakes()
	p.entries(d.fields, "fields", func(name string, v ast.Node) {
		path := p.path(v, "field "+name)
		if _, err := strconv.ParseUint(path, 10, 16); err == nil {
			places++
		}
		d.wants = append(d.wants, want{path: path, use: asField, name: name, column: newColumn(mapped, name)})
	})
	if p.Mistakes() == before && d.form == formList && places > 0 && places < len(d.wants) {
		p.Bad(strictyaml.LineOf(firstOf(d.fields)), "fields of a list are either all places (0, 1 …), for a list of numbers, or all keys, for a list of objects")
	}
}

// path takes where a value stands: a key, keys with dots between, or a place
// in a list.
func (p *mappingParser) path(n ast.Node, what string) string {
	path, ok := scalar(n)
	if !ok || path == "" {
		p.Bad(strictyaml.LineOf(n), "%s has to be a key, as temp or p.hPa, or a place in a list, as 0", what)
	}
	return path
}

func (p *mappingParser) tagKeys(d *draft) {
	if d.form == formNumber && d.tagKeys != nil {
		p.Bad(strictyaml.LineOf(firstOf(d.tagKeys)), "a bare number has no tag_keys: take tags from the topic")
		return
	}
	n := 0
	p.entries(d.tagKeys, "tag_keys", func(name string, v ast.Node) {
		w := want{path: p.path(v, "tag "+name), use: asTag, name: name, prefix: "," + escaped(name) + "=", bit: 1 << n}
		d.wants = append(d.wants, w)
		n++
	})
	if n > maxTagKeys {
		p.Bad(strictyaml.LineOf(firstOf(d.tagKeys)), "%d tag_keys: at most %d", n, maxTagKeys)
	}
}

func (p *mappingParser) time(d *draft) {
	if d.time != nil {
		if d.form == formNumber {
			p.Bad(strictyaml.LineOf(d.time), "a bare number has no time: leave it out, and the time is that of arrival")
		}
		d.wants = append(d.wants, want{path: p.path(d.time, "time"), use: asTime})
	}
	if d.timeFormat == nil {
		return
	}
	d.format = p.text(d.timeFormat, "time_format")
	if _, ok := unixUnits[d.format]; !ok && d.format != rfc3339 {
		p.Bad(strictyaml.LineOf(d.timeFormat), "time_format %q: use rfc3339, s, ms, us or ns", d.format)
	}
	if d.time == nil {
		p.Bad(strictyaml.LineOf(d.timeFormat), "time_format without time: say which key has the time")
	}
}
