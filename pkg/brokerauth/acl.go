package brokerauth

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"trackerdcs/pkg/wire"
)

// Account is a login at the broker.
type Account struct {
	Name string // a program's: its device's or service's name
	Role Role

	// Topics are filters that it may read and write besides: those below /sensor/,
	// as a driver with DCS_LEGACY_SENSOR needs them, and foreign ones
	// (shellies/pump/#), which do not begin with a slash. For Driver, Outside and
	// NodeRED alone. None can match what another account may write as its own.
	Topics []string
}

// ACL is the access list of an installation whose topics begin with root
// (DCS_TOPIC_ROOT), as Mosquitto's acl_file takes it. Each account has lines of
// its own and there is none for anybody else: what is not named is forbidden.
// An error names every account that is not right.
func ACL(root string, accounts []Account) ([]byte, error) {
	if err := checkRoot(root); err != nil {
		return nil, err
	}
	if err := check(root, accounts); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, "# Who may read and write what, made by dcs init: mosquitto/README.md explains it.")
	for _, a := range accounts {
		r, err := find(a.Role)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "\n# %s\nuser %s\n", a.Role, a.Name)
		for _, g := range r.grants {
			fmt.Fprintf(&b, "topic %s %s\n", g.access, under(root, strings.ReplaceAll(g.filter, name, a.Name)))
		}
		for _, t := range a.Topics {
			fmt.Fprintf(&b, "topic %s %s\n", readWrite, under(root, t))
		}
	}
	return b.Bytes(), nil
}

// under puts root before a filter of the stack's own.
func under(root, filter string) string {
	if strings.HasPrefix(filter, "/") {
		return root + filter
	}
	return filter
}

// checkRoot refuses what would not come out of the file as it went in.
func checkRoot(root string) error {
	if err := wire.CheckRoot(wire.Root(root)); err != nil {
		return err
	}
	if err := checkText(root); err != nil {
		return fmt.Errorf("topic root %q: %w", root, err)
	}
	return nil
}

func checkText(s string) error {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || s != strings.TrimSpace(s) {
		return errors.New("no control characters, and no spaces at its ends")
	}
	return nil
}

// check reports everything that is wrong with the accounts.
func check(root string, accounts []Account) error {
	var errs []error
	seen := make(map[string]Role)
	for _, a := range accounts {
		if err := a.check(root); err != nil {
			errs = append(errs, fmt.Errorf("broker account %q: %w", a.Name, err))
			continue
		}
		if other, twice := seen[a.Name]; twice {
			errs = append(errs, fmt.Errorf("broker account %q is there twice, as %s and as %s: give one another name", a.Name, other, a.Role))
		}
		seen[a.Name] = a.Role
	}
	errs = append(errs, apart(accounts))
	// Where a login is the client id, dcs-hv would throw the driver of hv out.
	for _, a := range accounts {
		for other := range seen {
			if strings.HasPrefix(a.Name, "dcs-"+other) {
				errs = append(errs, fmt.Errorf("broker account %q: programs of %q connect under such a name: choose another", a.Name, other))
			}
		}
	}
	return errors.Join(errs...)
}

func (a Account) check(root string) error {
	if err := wire.CheckDevice(a.Name); err != nil {
		return err
	}
	if a.Name == wire.KindCmd { // /service/cmd/… would look like commands to a device
		return fmt.Errorf("name %q is reserved: choose another", a.Name)
	}
	r, err := find(a.Role)
	if err != nil {
		return err
	}
	if len(a.Topics) > 0 && !r.topics {
		return fmt.Errorf("a %s is given no further topics", a.Role)
	}
	for _, t := range a.Topics {
		if err := checkTopic(root, t); err != nil {
			return fmt.Errorf("topic %q: %w", t, err)
		}
	}
	return nil
}

// checkTopic lets by what no other account's rights are about.
func checkTopic(root, filter string) error {
	if err := checkText(filter); err != nil {
		return err
	}
	levels := strings.Split(strings.TrimPrefix(filter, "/"), "/")
	for i, l := range levels {
		if strings.Contains(l, "#") && (l != "#" || i < len(levels)-1) || strings.Contains(l, "+") && l != "+" {
			return errors.New("a wildcard is a level of its own, and # the last one")
		}
	}
	switch {
	case strings.HasPrefix(filter, "/"):
		if len(levels) < 3 || levels[0] != "sensor" || wire.CheckName(levels[1]) != nil || levels[1] == wire.KindCmd {
			return errors.New("of the stack's own topics only /sensor/<name>/… can be given away")
		}
	case levels[0] == "" || strings.HasPrefix(levels[0], "$") || strings.ContainsAny(levels[0], "+#"):
		return errors.New("a foreign topic begins with a name")
	case root != "" && (overlaps(filter, root)):
		return fmt.Errorf("it is below %s, where the stack's own topics are", root)
	}
	return nil
}

// apart refuses further topics that would let one account speak as another: what
// is another's by its name, and what another was given too.
func apart(accounts []Account) error {
	var errs []error
	for i, a := range accounts {
		for _, t := range a.Topics {
			for j, other := range accounts {
				if i == j || a.Name == other.Name {
					continue
				}
				for _, theirs := range other.sensors() {
					if meet(t, theirs) {
						errs = append(errs, fmt.Errorf("broker account %q: topic %q: %s is for %q alone: leave it out, or rename one of the two", a.Name, t, theirs, other.Name))
					}
				}
				for _, theirs := range other.Topics {
					if j > i && meet(t, theirs) {
						errs = append(errs, fmt.Errorf("broker account %q: topic %q: %q has %q: give it to one of the two", a.Name, t, other.Name, theirs))
					}
				}
			}
		}
	}
	return errors.Join(errs...)
}

// sensors are the topics below /sensor/ that an account has by its name.
func (a Account) sensors() []string {
	r, err := find(a.Role)
	if err != nil {
		return nil // complained of
	}
	var filters []string
	for _, g := range r.grants {
		if g.access != read && strings.HasPrefix(g.filter, "/sensor/"+name) {
			filters = append(filters, strings.ReplaceAll(g.filter, name, a.Name))
		}
	}
	return filters
}

// meet reports whether there are topics that both filters match.
func meet(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range max(len(x), len(y)) {
		switch {
		case i < len(x) && x[i] == "#", i < len(y) && y[i] == "#":
			return true // also where the other one has ended: a/# matches a
		case i == len(x), i == len(y):
			return false
		case x[i] != y[i] && x[i] != "+" && y[i] != "+":
			return false
		}
	}
	return true
}

// overlaps reports whether a filter can match topics below root.
func overlaps(filter, root string) bool {
	f := strings.Split(filter, "/")
	for i, l := range strings.Split(root, "/") {
		switch {
		case i >= len(f):
			return false
		case f[i] == "#":
			return true
		case f[i] != "+" && f[i] != l:
			return false
		}
	}
	return true
}
