package procedure

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"trackerdcs/pkg/strictyaml"
	"trackerdcs/pkg/wire"
)

var (
	parameterRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	variableRE  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	shells      = []string{"sh", "bash", "dash", "zsh", "ksh", "csh", "tcsh", "fish", "ash"}
)

// Mark is the environment variable by which the processes of a run are known.
const Mark = "DCS_RUN_UID"

// Parse reads the file. Everything that is wrong is in the error, each with its
// line.
func Parse(text []byte) (Procedures, error) {
	r := newReader()
	ps := make(Procedures)
	if root := r.Root(text); root != nil {
		r.Keys(root, "the file", strictyaml.Keys{"procedures": func(_ int, n ast.Node) {
			r.Entries(n, "procedures", func(name string, line int, value ast.Node) {
				r.In("procedure "+wire.Echo(name), func() {
					if wire.CheckName(name) != nil || len(name) > wire.MaxID {
						r.Bad(line, "its name: use letters, digits, _ and - only, at most %d", wire.MaxID)
					}
					ps[name] = r.procedure(name, line, value)
				})
			})
		}})
		if len(ps) == 0 && r.Mistakes() == 0 {
			r.Bad(0, "there is no procedure: begin with procedures: and put the name of one below it")
		}
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return ps, nil
}

func (r *reader) procedure(name string, line int, n ast.Node) *Procedure {
	p := &Procedure{Name: name, Limit: DefaultLimit, Grace: DefaultGrace, Parameters: map[string]*Parameter{}, Environment: map[string]string{}}
	lines := make(map[string]int)
	word := func(key string, to *string) func(int, ast.Node) {
		return func(_ int, n ast.Node) { lines[key] = strictyaml.LineOf(n); *to = r.text(n, key) }
	}
	words := func(key string, to *[]string) func(int, ast.Node) {
		return func(_ int, n ast.Node) {
			lines[key] = strictyaml.LineOf(n)
			*to = []string{}
			r.items(n, key, func(n ast.Node) { *to = append(*to, r.text(n, "an element of "+key)) })
		}
	}
	found := r.Keys(n, "a procedure", strictyaml.Keys{
		"title": word("title", &p.Title), "program": word("program", &p.Program), "directory": word("directory", &p.Directory),
		"arguments": words("arguments", &p.Arguments), "version": words("version", &p.Version),
		"limit": func(_ int, n ast.Node) { p.Limit = r.duration(n, "limit", 100*time.Millisecond, 31*24*time.Hour) },
		"grace": func(_ int, n ast.Node) { p.Grace = r.duration(n, "grace", 0, 10*time.Minute) },
		"environment": func(_ int, n ast.Node) {
			lines["environment"] = strictyaml.LineOf(n)
			r.Entries(n, "environment", func(key string, line int, value ast.Node) {
				p.Environment[key] = r.text(value, key)
				switch {
				case !variableRE.MatchString(key):
					r.Bad(line, "environment: %q cannot be a variable's name: use letters, digits and _", wire.Echo(key))
				case key == Mark:
					r.Bad(line, "environment: %s is the driver's own: choose another name", Mark)
				}
			})
		},
		"parameters": func(_ int, n ast.Node) {
			r.Entries(n, "parameters", func(key string, line int, value ast.Node) {
				r.In("parameter "+wire.Echo(key), func() { p.Parameters[key] = r.parameter(key, line, value) })
			})
		},
		"progress": func(_ int, n ast.Node) { p.Progress = r.progress(n) },
		"phase":    func(_ int, n ast.Node) { p.Phase = r.groups(n, "phase", []string{"phase"}, "phase") },
		"files": func(_ int, n ast.Node) {
			r.items(n, "files", func(n ast.Node) { p.Files = append(p.Files, r.file(n)) })
		},
	})
	if !found["program"] {
		r.Bad(line, "program is missing: an absolute path, or the name of one")
	}
	r.places(p, lines)
	return p
}

// places looks at where a program is, and at what stands in braces.
func (r *reader) places(p *Procedure, lines map[string]int) {
	switch {
	case lines["program"] == 0 || p.Program == "": // complained of
	case placeholder.MatchString(p.Program):
		r.Bad(lines["program"], "program: nothing is put into it, write %q without braces", p.Program)
	case !filepath.IsAbs(p.Program) && strings.Contains(p.Program, "/"):
		r.Bad(lines["program"], "program: %q is neither an absolute path nor a plain name", p.Program)
	}
	if d := p.Directory; d != "" {
		if !filepath.IsAbs(d) {
			r.Bad(lines["directory"], "directory: %q is not an absolute path. Leave it out for a fresh folder for each run", d)
		}
		for _, u := range unknown(d, []string{holdRun}) {
			r.Bad(lines["directory"], "directory: only {run} is replaced in it, not %s", u)
		}
	}
	names := slices.Clone(ownNames)
	for name := range p.Parameters {
		names = append(names, name)
	}
	for _, a := range p.Arguments {
		for _, u := range unknown(a, names) {
			r.Bad(lines["arguments"], "arguments: %s in %q is neither a parameter nor one of {run}, {uid}, {procedure}, {dir}", u, a)
		}
		if slices.Contains(shells, filepath.Base(p.Program)) && placeholder.MatchString(a) {
			r.Bad(lines["arguments"], "arguments: a shell would take the value in %q apart: write a script, and make it the program", a)
		}
	}
	for key, v := range p.Environment {
		for _, u := range unknown(v, names) {
			r.Bad(lines["environment"], "environment: %s in %s is neither a parameter nor one of {run}, {uid}, {procedure}, {dir}", u, key)
		}
	}
	for _, v := range p.Version {
		if placeholder.MatchString(v) {
			r.Bad(lines["version"], "version: nothing is replaced in it, write %q without braces", v)
		}
	}
}

func (r *reader) parameter(name string, line int, n ast.Node) *Parameter {
	q := &Parameter{line: line}
	var def, values ast.Node
	before := r.Mistakes()
	word := func(key string, to *string) func(int, ast.Node) {
		return func(_ int, n ast.Node) { *to = r.text(n, key) }
	}
	r.Keys(n, "a parameter", strictyaml.Keys{
		"type": word("type", &q.Type), "title": word("title", &q.Title), "unit": word("unit", &q.Unit), "pattern": word("pattern", &q.Pattern),
		"required":   func(_ int, n ast.Node) { q.Required = r.boolean(n, "required") },
		"allow_dash": func(_ int, n ast.Node) { q.AllowDash = r.boolean(n, "allow_dash") },
		"min":        func(_ int, n ast.Node) { q.Min = wire.Known(r.number(n, "min")) },
		"max":        func(_ int, n ast.Node) { q.Max = wire.Known(r.number(n, "max")) },
		"max_length": func(_ int, n ast.Node) {
			if x := r.number(n, "max_length"); x >= 1 && x <= wire.MaxParameter && x == math.Trunc(x) {
				q.Length = int(x)
			} else {
				r.Bad(strictyaml.LineOf(n), "max_length: choose 1 to %d bytes", wire.MaxParameter)
			}
		},
		"default": func(_ int, n ast.Node) { def = n },
		"values":  func(_ int, n ast.Node) { values = n },
	})
	switch {
	case !parameterRE.MatchString(name):
		r.Bad(line, "its name: use letters, digits and _, no digit first")
	case slices.Contains(ownNames, name):
		r.Bad(line, "{%s} is the driver's own: choose another name", name)
	}
	switch q.Type {
	case wire.TypeString, wire.TypeInt, wire.TypeFloat, wire.TypeBool:
	default:
		r.Bad(line, "type %q: choose string, int, float or bool", wire.Echo(q.Type))
		return q
	}
	if q.Pattern != "" {
		_, err := regexp.Compile(q.Pattern) // by itself: "a)|(b" would be one in brackets
		whole, err2 := regexp.Compile(`\A(?:` + q.Pattern + `)\z`)
		if err = cmp.Or(err, err2); err != nil {
			r.Bad(line, "pattern: %v", err)
			return q
		}
		q.whole = whole
	}
	if values != nil {
		r.items(values, "values", func(n ast.Node) { q.Values = append(q.Values, r.value(n, q.Type, "an element of values")) })
	}
	if def != nil {
		q.Default = r.value(def, q.Type, "default")
	}
	if r.Mistakes() == before {
		if err := q.complete(); err != nil {
			r.Bad(line, "%v", err)
		}
	}
	return q
}

// value takes a value of a parameter's type.
func (r *reader) value(n ast.Node, kind, what string) any {
	switch kind {
	case wire.TypeString:
		s, ok := strictyaml.Scalar(n)
		if !ok {
			r.Bad(strictyaml.LineOf(n), "%s has to be a text: one that begins with {, [, * or # needs quotes", what)
		}
		return s
	case wire.TypeBool:
		return r.boolean(n, what)
	}
	return r.number(n, what)
}

func (r *reader) boolean(n ast.Node, what string) bool {
	if b, ok := n.(*ast.BoolNode); ok {
		return b.Value
	}
	r.Bad(strictyaml.LineOf(n), "%s is neither true nor false", what)
	return false
}

func (r *reader) number(n ast.Node, what string) float64 {
	if s, ok := strictyaml.Scalar(n); ok && n.Type() != ast.StringType {
		if x, err := strconv.ParseFloat(s, 64); err == nil && !math.IsInf(x, 0) && !math.IsNaN(x) {
			return x + 0 // "-0" is 0
		}
	}
	r.Bad(strictyaml.LineOf(n), "%s is not a number", what)
	return 0
}

func (r *reader) duration(n ast.Node, what string, least, most time.Duration) time.Duration {
	s, _ := strictyaml.Scalar(n)
	d, err := time.ParseDuration(s)
	if err != nil {
		r.Bad(strictyaml.LineOf(n), "%s: %q is not a time: write it as 90s, 10m or 2h", what, wire.Echo(s))
	} else if d < least || d > most {
		r.Bad(strictyaml.LineOf(n), "%s: %v is not in %v to %v", what, d, least, most)
	}
	return d
}

// groups compiles a pattern that has to have named groups, and no others.
func (r *reader) groups(n ast.Node, what string, allowed []string, needed ...string) *regexp.Regexp {
	re, err := regexp.Compile(r.text(n, what))
	if err != nil {
		r.Bad(strictyaml.LineOf(n), "%s: %v", what, err)
		return nil
	}
	for _, g := range re.SubexpNames()[1:] {
		if g != "" && !slices.Contains(allowed, g) {
			r.Bad(strictyaml.LineOf(n), "%s: unknown group %q: allowed are %s", what, g, strings.Join(allowed, ", "))
		}
	}
	for _, g := range needed {
		if re.SubexpIndex(g) < 0 {
			r.Bad(strictyaml.LineOf(n), "%s: the group (?P<%s>…) is missing", what, g)
		}
	}
	return re
}

func (r *reader) progress(n ast.Node) *regexp.Regexp {
	re := r.groups(n, "progress", []string{"percent", "done", "total", "phase"})
	if re == nil {
		return nil
	}
	done, total := re.SubexpIndex("done") >= 0, re.SubexpIndex("total") >= 0
	switch percent := re.SubexpIndex("percent") >= 0; {
	case percent == (done || total) || done != total:
		r.Bad(strictyaml.LineOf(n), "progress: it needs the group (?P<percent>…), or both (?P<done>…) and (?P<total>…)")
	}
	return re
}

func (r *reader) file(n ast.Node) File {
	var f File
	found := r.Keys(n, "an element of files", strictyaml.Keys{
		"glob":     func(_ int, n ast.Node) { f.Glob = r.text(n, "glob") },
		"read":     func(_ int, n ast.Node) { f.Read = r.text(n, "read") },
		"required": func(_ int, n ast.Node) { f.Required = r.boolean(n, "required") },
	})
	line := strictyaml.LineOf(n)
	if m, ok := n.(ast.MapNode); ok {
		if it := m.MapRange(); it.Next() {
			line = strictyaml.LineOf(it.Key())
		}
	}
	switch f.Read {
	case wire.ReadJSON, wire.ReadCSV, wire.ReadRaw:
	default:
		r.Bad(line, "files: read %q: choose %s, %s or %s", f.Read, wire.ReadJSON, wire.ReadCSV, wire.ReadRaw)
	}
	if !found["glob"] {
		r.Bad(line, "files: glob is missing, as glob: \"*.csv\"")
		return f
	}
	if err := checkGlob(f.Glob); err != nil {
		r.Bad(line, "files: %v", err)
	}
	for _, u := range unknown(f.Glob, []string{holdRun}) {
		r.Bad(line, "files: only {run} is replaced in a glob, not %s", u)
	}
	return f
}

func checkGlob(glob string) error {
	switch _, err := path.Match(glob, ""); {
	case err != nil:
		return fmt.Errorf("glob %q is not one: %w", glob, err)
	case glob == "" || path.IsAbs(glob) || path.Clean(glob) != glob || climbs(glob):
		return fmt.Errorf("glob %q: it is relative to the directory and stays in it", glob)
	case strings.Contains(glob, "**"):
		return fmt.Errorf("glob %q: ** is not known, name each folder, as */*.csv", glob)
	}
	return nil
}
