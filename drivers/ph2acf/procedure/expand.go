package procedure

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"trackerdcs/pkg/wire"
)

// placeholder is a name in braces.
var placeholder = regexp.MustCompile(`\{([A-Za-z0-9_]+)\}`)

// Names of placeholders that are not parameters. There is none for the user:
// who that is is anybody's text.
const (
	holdRun       = "run"
	holdUID       = "uid"
	holdProcedure = "procedure"
	holdDir       = "dir"
)

var ownNames = []string{holdRun, holdUID, holdProcedure, holdDir}

// uidRE is what a uid may be: it stands in arguments and in the environment.
var uidRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// CheckUID reports why a uid cannot be that of a run.
func CheckUID(uid string) error {
	if len(uid) > wire.MaxID || !uidRE.MatchString(uid) || climbs(uid) {
		return fmt.Errorf(`"uid" %q: use letters, digits, . _ and -, a letter or digit first`, wire.Echo(uid))
	}
	return nil
}

// Call is one execution of a procedure, its values checked.
type Call struct {
	Run        int64
	UID        string
	Dir        string // where it is executed
	Parameters wire.Parameters
}

// ArgumentsOf are what the program gets: as many as the file has, none of them
// taken apart.
func (p *Procedure) ArgumentsOf(c Call) ([]string, error) {
	values := p.values(c)
	out := make([]string, len(p.Arguments))
	for i, template := range p.Arguments {
		var err error
		if out[i], err = joined("argument", template, values); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// EnvironmentOf is what the file gives the program of environment, as NAME=value.
func (p *Procedure) EnvironmentOf(c Call) ([]string, error) {
	values := p.values(c)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(p.Environment)) {
		value, err := joined("environment "+name, p.Environment[name], values)
		if err != nil {
			return nil, err
		}
		out = append(out, name+"="+value)
	}
	return out, nil
}

// joined puts values in. They have been checked one by one, and what they make
// together must not lead out of a folder either.
func joined(what, template string, values map[string]string) (string, error) {
	s := replace(template, values)
	if climbs(s) && !climbs(template) {
		return "", fmt.Errorf("%s %q would be %q, with .. in it, which is never allowed", what, template, wire.Echo(s))
	}
	return s, nil
}

// DirectoryOf is where the program is executed, or empty where it is to have a
// fresh folder. Nothing but the run's number can be put in, and digits lead
// nowhere.
func (p *Procedure) DirectoryOf(run int64) string { return WithRun(p.Directory, run) }

// WithRun replaces {run}.
func WithRun(template string, run int64) string {
	return strings.ReplaceAll(template, "{run}", strconv.FormatInt(run, 10))
}

func (p *Procedure) values(c Call) map[string]string {
	values := map[string]string{holdRun: strconv.FormatInt(c.Run, 10), holdUID: c.UID, holdProcedure: p.Name, holdDir: c.Dir}
	for name, v := range c.Parameters {
		values[name] = word(v)
	}
	return values
}

// replace puts values in once: braces in a value stay as they are.
func replace(template string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(template, func(hold string) string {
		v, ok := values[hold[1:len(hold)-1]]
		if !ok {
			return hold
		}
		return v
	})
}

// leads reports whether a parameter stands at the beginning of an argument, or
// only others before it, which may be empty.
func (p *Procedure) leads(name string) bool {
	for _, template := range p.Arguments {
		rest := template
		for {
			at := placeholder.FindStringSubmatchIndex(rest)
			if at == nil || at[0] != 0 {
				break
			}
			if rest[at[2]:at[3]] == name {
				return true
			}
			rest = rest[at[1]:]
		}
	}
	return false
}

// unknown names the placeholders of a text that are none of the names.
func unknown(template string, names []string) (out []string) {
	for _, m := range placeholder.FindAllStringSubmatch(template, -1) {
		if !slices.Contains(names, m[1]) {
			out = append(out, m[0])
		}
	}
	return out
}
