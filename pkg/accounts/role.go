// Package accounts keeps who may come in and what they may do: users with
// hashes of their passwords, and tokens for scripts, in one file that the
// gateway reads and `dcs user` and `dcs token` write.
package accounts

import (
	"fmt"
	"strings"
)

// Role is what somebody may do. Each role may do what those below it may.
type Role string

// The roles, the lowest first.
const (
	Viewer   Role = "viewer"   // look
	Operator Role = "operator" // command supplies, abort runs, use Node-RED's dashboard
	Expert   Role = "expert"   // current limits, locks of others, start runs, edit flows
	Admin    Role = "admin"    // all of Grafana, and who logs in
)

// Roles are all roles, the lowest first.
var Roles = [...]Role{Viewer, Operator, Expert, Admin}

// ParseRole reads the name of a role.
func ParseRole(s string) (Role, error) {
	for _, r := range Roles {
		if string(r) == s {
			return r, nil
		}
	}
	names := make([]string, len(Roles))
	for i, r := range Roles {
		names[i] = string(r)
	}
	return "", fmt.Errorf("role %q: choose one of %s", s, strings.Join(names, ", "))
}

// rank is 0 for what is no role, so that it may do nothing.
func (r Role) rank() int {
	for i, known := range Roles {
		if r == known {
			return i + 1
		}
	}
	return 0
}

// May reports whether r may do what needed may.
func (r Role) May(needed Role) bool {
	return r.rank() > 0 && needed.rank() > 0 && r.rank() >= needed.rank()
}
