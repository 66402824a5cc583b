package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"trackerdcs/pkg/wire"
)

// mapping says what becomes of topics that are not the stack's own. The first
// rule whose filter takes a topic decides. A nil mapping has no rules.
type mapping struct {
	rules []rule
}

// rule is one rule of the mapping file (docs/mapping.md).
type rule struct {
	number      int    // in the file, from 1
	line        int    // where it begins
	topic       string // as the file has it
	filter      string // without the placeholders
	measurement template
	tags        []tag
	form        form
	bare        column // the field of a bare number
	bareName    string
	wants       []want // what is taken of an object or a list
	all         bool   // no fields are named: every number is one
	format      string // of the time; empty: by what it looks like
}

// tag is a tag whose value the topic gives.
type tag struct {
	name  string
	value template
}

// form is what a payload is.
type form string

const (
	auto       form = "auto" // by its first byte
	formObject form = "object"
	formList   form = "list"
	formNumber form = "number"
)

// want is something that a rule takes out of an object or a list.
type want struct {
	path   string // keys or places, with dots between
	use    use
	name   string // of the field or tag
	column column // of a field
	prefix string // of a tag: comma, name, equals sign
	bit    uint64 // of a tag: one of its own
}

type use uint8

const (
	asField use = iota
	asTag
	asTime
)

// maxTagKeys is how many tags a payload can give: a bit for each.
const maxTagKeys = 64

// template is text with places for levels of the topic.
type template []part

// part is text, or a level if the text is empty.
type part struct {
	text  string
	level int
}

func (t template) fill(levels []string) string {
	var b strings.Builder
	for _, p := range t {
		if p.text != "" {
			b.WriteString(p.text)
		} else if p.level < len(levels) {
			b.WriteString(levels[p.level])
		}
	}
	return b.String()
}

// fixed reports whether the topic plays no part in it.
func (t template) fixed() bool {
	return !slices.ContainsFunc(t, func(p part) bool { return p.text == "" })
}

// find is the rule for a topic, or nil.
func (m *mapping) find(topic string) *rule {
	if m == nil {
		return nil
	}
	for i := range m.rules {
		if covers(m.rules[i].filter, topic) {
			return &m.rules[i]
		}
	}
	return nil
}

// target works out where the messages of a topic go.
func (r *rule) target(topic string) *target {
	levels := strings.Split(topic, "/")
	name := r.measurement.fill(levels)
	t := &target{kind: mapped, rule: r, prefix: measurementEscaper.Replace(name)}
	errs := []error{checkMeasurement(name)}
	for _, tag := range r.tags {
		value := tag.value.fill(levels)
		errs = append(errs, checkWord(value))
		t.prefix += "," + escaped(tag.name) + "=" + escaped(value)
	}
	if err := errors.Join(errs...); err != nil {
		t.err = r.wrap(err)
	}
	return t
}

// wrap says which rule a complaint is about.
func (r *rule) wrap(err error) error {
	return fmt.Errorf("rule %d in line %d of the mapping file: %w", r.number, r.line, err)
}

// tagBits has the bit of each tag that a payload has to give.
func (r *rule) tagBits() (bits uint64) {
	for i := range r.wants {
		bits |= r.wants[i].bit
	}
	return bits
}

// tagOf is the first of the tags that bits stand for.
func (r *rule) tagOf(bits uint64) *want {
	return &r.wants[slices.IndexFunc(r.wants, func(w want) bool { return w.bit&bits != 0 })]
}

// hasTag reports whether name is that of a tag.
func (r *rule) hasTag(name string) bool {
	return slices.ContainsFunc(r.tags, func(t tag) bool { return t.name == name }) ||
		slices.ContainsFunc(r.wants, func(w want) bool { return w.use == asTag && w.name == name })
}

// below reports whether something is wanted inside of what stands at path.
func (r *rule) below(path []byte) bool {
	for i := range r.wants {
		p := r.wants[i].path
		if len(p) > len(path) && p[len(path)] == '.' && p[:len(path)] == string(path) {
			return true
		}
	}
	return false
}

// checkMeasurement reports why name cannot be a measurement that a rule makes.
func checkMeasurement(name string) error {
	if err := checkWord(name); err != nil {
		return fmt.Errorf("measurement: %w", err)
	}
	if name[0] == '#' {
		return fmt.Errorf("measurement %q: a line that begins with # is a comment to InfluxDB", name)
	}
	if wire.CheckName(name) == nil && wire.CheckDevice(name) != nil {
		return fmt.Errorf("measurement %q is the stack's own: choose another", name)
	}
	return nil
}

// In a measurement, other than in a tag, a backslash before = would be kept.
var measurementEscaper = strings.NewReplacer(",", `\,`, " ", `\ `)

// covers reports whether filter takes all topics that other, a filter or a
// topic, takes (MQTT 3.1.1, 4.7).
func covers(filter, other string) bool {
	if strings.HasPrefix(other, "$") && !strings.HasPrefix(filter, "$") {
		return false
	}
	for {
		level, rest, more := strings.Cut(filter, "/")
		if level == "#" {
			return true
		}
		otherLevel, otherRest, otherMore := strings.Cut(other, "/")
		switch {
		case otherLevel == "#" || level != "+" && level != otherLevel:
			return false
		case !more || !otherMore:
			return more == otherMore || more && rest == "#"
		}
		filter, other = rest, otherRest
	}
}

// meet reports whether there are topics that both filters take.
func meet(a, b string) bool {
	if strings.HasPrefix(a, "$") != strings.HasPrefix(b, "$") {
		return false
	}
	for {
		levelA, restA, moreA := strings.Cut(a, "/")
		levelB, restB, moreB := strings.Cut(b, "/")
		switch {
		case levelA == "#" || levelB == "#":
			return true
		case levelA != levelB && levelA != "+" && levelB != "+":
			return false
		case !moreA || !moreB:
			return moreA == moreB || moreA && restA == "#" || moreB && restB == "#"
		}
		a, b = restA, restB
	}
}

// widest leaves out every filter that another one covers: where two take a
// message, a broker may send it twice.
func widest(filters []string) []string {
	var kept []string
	for i, f := range filters {
		redundant := false
		for j, other := range filters {
			redundant = redundant || i != j && covers(other, f) && (!covers(f, other) || j < i)
		}
		if !redundant {
			kept = append(kept, f)
		}
	}
	return kept
}
