package instruments

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"trackerdcs/pkg/brokerauth"
	"trackerdcs/pkg/strictyaml"
)

// parse reads the file; there tells whether a file of the installation, named
// relative to its folder, is there.
func parse(text []byte, there func(string) bool) (*File, error) {
	r := newReader()
	f := &File{Compose: true}
	if root := r.Root(text); root != nil {
		taken := make(map[string]string)
		f.Compose = r.compose(root)
		r.Keys(root, "the file", strictyaml.Keys{
			"compose": func(int, ast.Node) {}, // was read first
			"instruments": func(_ int, n ast.Node) {
				r.named(n, "instruments", "instrument", taken, func(name string, line int, n ast.Node) {
					f.Instruments = append(f.Instruments, r.instrument(name, line, n, there))
				})
			},
			"outside": func(_ int, n ast.Node) {
				r.named(n, "outside", "outside device", taken, func(name string, line int, n ast.Node) {
					f.Outside = append(f.Outside, r.outside(name, line, n))
				})
			},
			"people": func(_ int, n ast.Node) {
				r.named(n, "people", "person", taken, func(name string, line int, n ast.Node) {
					f.People = append(f.People, r.person(name, line, n))
				})
			},
		})
		r.checkHosts(f)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(f.Instruments, func(a, b Instrument) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(f.Outside, func(a, b Outside) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(f.People, func(a, b Person) int { return strings.Compare(a.Name, b.Name) })
	return f, nil
}

// compose reads the one key that says how the others are meant.
func (r *reader) compose(root ast.Node) bool {
	m, ok := root.(ast.MapNode)
	if !ok {
		return true // complained of
	}
	for it := m.MapRange(); it.Next(); {
		if key, _ := strictyaml.Scalar(it.Key()); key != "compose" {
			continue
		}
		b, ok := it.Value().(*ast.BoolNode)
		if !ok {
			r.Bad(strictyaml.LineOf(it.Key()), "compose has to be true or false")
			return true
		}
		r.alone = !b.Value
		return b.Value
	}
	return true
}

// named gives the entries of a map of names, each with a name that is right and
// that nobody else has.
func (r *reader) named(n ast.Node, what, one string, taken map[string]string, f func(name string, line int, value ast.Node)) {
	r.Entries(n, what, func(name string, line int, value ast.Node) {
		r.In(one+" "+name, func() {
			if err := checkName(name); err != nil {
				r.Bad(line, "%v", err)
			} else if other, ok := taken[strings.ToLower(name)]; ok {
				r.Bad(line, "%s has this name already: every login at the broker has a name of its own, also where letters are capital; choose another", other)
			}
			taken[strings.ToLower(name)] = one + " " + name
			f(name, line, value)
		})
	})
}

func (r *reader) instrument(name string, line int, n ast.Node, there func(string) bool) Instrument {
	i := Instrument{Name: name, Settings: map[string]string{}}
	lines := make(map[string]int)
	word := func(key string, to *string) func(int, ast.Node) {
		return func(line int, n ast.Node) { lines[key] = line; *to = r.text(n, line, key) }
	}
	found := r.Keys(n, "an instrument", strictyaml.Keys{
		"driver": word("driver", &i.Driver), "model": word("model", &i.Model), "address": word("address", &i.Address), "base": word("base", &i.Base),
		"settings": func(_ int, n ast.Node) {
			r.Entries(n, "settings", func(key string, line int, value ast.Node) {
				lines["settings "+envName(key)] = line
				if !settingRE.MatchString(key) {
					r.Bad(line, "setting %q: write DCS_LIMITS as limits: in small letters, without DCS_", key)
					return
				}
				i.Settings[envName(key)] = r.text(value, line, key)
			})
		},
		"files": func(line int, n ast.Node) {
			lines["files"] = line
			r.Items(n, line, "files", func(n ast.Node) {
				if m, ok := r.mount(n, there); ok {
					i.Files = append(i.Files, m)
				}
			})
		},
		"docker": func(line int, n ast.Node) { lines["docker"] = line; i.Docker = r.docker(n, line) },
	})
	switch d, ok := drivers[i.Driver]; {
	case !found["driver"]:
		r.Bad(line, "driver is missing: one of %s", strings.Join(driverNames(), ", "))
	case i.Driver == "": // complained of
	case !ok:
		r.Bad(lines["driver"], "unknown driver %q: one of %s", i.Driver, strings.Join(driverNames(), ", "))
	case r.alone:
		r.accountAlone(&i, lines, found)
	default:
		r.fits(&i, d, line, lines, found)
	}
	return i
}

func driverNames() []string { return slices.Sorted(maps.Keys(drivers)) }

func envName(key string) string { return "DCS_" + strings.ToUpper(key) }

func keyName(env string) string { return strings.ToLower(strings.TrimPrefix(env, "DCS_")) }

// mount reads source:target. What is not there would be made by Docker, as an
// empty folder.
func (r *reader) mount(n ast.Node, there func(string) bool) (Mount, bool) {
	line := strictyaml.LineOf(n)
	text := r.text(n, line, "an element of files")
	if text == "" {
		return Mount{}, false
	}
	source, target, ok := strings.Cut(strings.TrimSuffix(text, ":ro"), ":")
	relative := strings.HasPrefix(source, "./")
	switch {
	case !ok || !path.IsAbs(target) || strings.Contains(target, ":") || !relative && !path.IsAbs(source):
		r.Bad(line, "files: %q is not file:place, as in ./procedures.yml:/etc/dcs/procedures.yml", text)
	case target == "/data" || strings.HasPrefix(target, "/data/") || strings.HasPrefix(target, "/run/secrets"):
		r.Bad(line, "files: %s is the driver's own: choose another place", target)
	case relative && !there(source):
		r.Bad(line, "files: there is no %s: make it first, or mend the path", source)
	default:
		return Mount{source, target}, true
	}
	return Mount{}, false
}

// docker takes whatever a compose service can have.
func (r *reader) docker(n ast.Node, line int) map[string]any {
	var m map[string]any
	if n == nil || n.Type() == ast.NullType {
		return nil
	}
	if _, ok := n.(ast.MapNode); !ok {
		r.Bad(line, "docker has to be keys of a compose service with values, as in {cpus: 0.5}")
		return nil
	}
	if err := yaml.NodeToValue(n, &m); err != nil {
		r.Bad(line, "docker cannot be read: %v", err)
	}
	return m
}

func (r *reader) outside(name string, line int, n ast.Node) Outside {
	o := Outside{Name: name}
	r.Keys(n, "an outside device", strictyaml.Keys{"topics": func(line int, n ast.Node) {
		r.Items(n, line, "topics", func(n ast.Node) {
			if t := r.text(n, strictyaml.LineOf(n), "an element of topics"); t != "" {
				o.Topics = append(o.Topics, t)
			}
		})
	}})
	r.account(line, brokerauth.Account{Name: name, Role: brokerauth.Outside, Topics: o.Topics})
	return o
}

// account asks who makes the access list whether it will take the account.
func (r *reader) account(line int, a brokerauth.Account) {
	if checkName(a.Name) != nil {
		return // complained of
	}
	if _, err := brokerauth.ACL("", []brokerauth.Account{a}); err != nil {
		r.Bad(line, "%v", err)
	}
}

func (r *reader) person(name string, line int, n ast.Node) Person {
	role := brokerauth.Role(r.text(n, line, "the role"))
	if role != "" && role != brokerauth.Operator && role != brokerauth.Viewer {
		r.Bad(line, "role %q: operator may command, viewer may look", role)
	}
	return Person{name, role}
}
