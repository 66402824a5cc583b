// Package door is who comes in: sessions of people, tokens of scripts, limits
// on attempts, and the role that a request needs.
package door

import (
	"context"

	"trackerdcs/pkg/accounts"
)

// How somebody came in.
const (
	BySession = "session"
	ByToken   = "token"
)

// Who is somebody whose name has been checked.
type Who struct {
	Name    string // of the user, or of the token
	Role    accounts.Role
	Via     string // BySession, ByToken
	Address string // from where, without the port
}

// Signed is the name under which somebody commands and is recorded. A token is
// not the user who may have the same name.
func (w Who) Signed() string {
	if w.Via == ByToken {
		return "token:" + w.Name
	}
	return w.Name
}

type whoKey struct{}

// With puts somebody into a context.
func With(ctx context.Context, w Who) context.Context { return context.WithValue(ctx, whoKey{}, w) }

// From finds who asks; not ok when nobody has logged in.
func From(ctx context.Context) (w Who, ok bool) {
	w, ok = ctx.Value(whoKey{}).(Who)
	return w, ok
}
