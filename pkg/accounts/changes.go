package accounts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Known is who was in the file at one time: enough to say later what was
// changed, and no secret. It can be kept as JSON.
type Known struct {
	Users  []KnownUser  `json:"users"`
	Tokens []KnownToken `json:"tokens"`
}

// KnownUser is a user in Known.
type KnownUser struct {
	User
	Generation string `json:"generation"`
	Sum        string `json:"sum"` // of the password's hash, which has chance in it: nothing to guess by
}

// KnownToken is a token in Known.
type KnownToken struct {
	Token
	Sum string `json:"sum"` // of the secret's sum
}

// Known is who is in the file now. A file that is bad has in it what it had
// before.
func (s *Store) Known() Known {
	doc, _ := s.now()
	k := Known{Users: []KnownUser{}, Tokens: []KnownToken{}}
	for _, u := range doc.Users {
		k.Users = append(k.Users, KnownUser{u.public(), u.Generation, sumOf(u.Password)})
	}
	for _, t := range doc.Tokens {
		k.Tokens = append(k.Tokens, KnownToken{t.Token, sumOf(t.SHA256)})
	}
	return k
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte("known " + text))
	return hex.EncodeToString(sum[:8])
}

// Learn is k with one user as in now: a change of which everybody knows.
func (k Known) Learn(now Known, name string) Known {
	is := func(u KnownUser) bool { return sameName(u.Name, name) }
	users := slices.DeleteFunc(slices.Clone(k.Users), is)
	if i := slices.IndexFunc(now.Users, is); i >= 0 {
		users = append(users, now.Users[i])
	}
	k.Users = users
	return k
}

// Since says what was changed since before, one line for each user and token.
func (k Known) Since(before Known) (changes []string) {
	oldUsers, oldTokens := map[string]KnownUser{}, map[string]KnownToken{}
	for _, u := range before.Users {
		oldUsers[strings.ToLower(u.Name)] = u
	}
	for _, t := range before.Tokens {
		oldTokens[strings.ToLower(t.Name)] = t
	}
	for _, u := range k.Users {
		name := strings.ToLower(u.Name)
		old, ok := oldUsers[name]
		if what := u.since(old, ok); what != "" {
			changes = append(changes, "user "+u.Name+": "+what)
		}
		delete(oldUsers, name)
	}
	for _, u := range before.Users {
		if _, gone := oldUsers[strings.ToLower(u.Name)]; gone {
			changes = append(changes, "user "+u.Name+": removed, was "+string(u.Role))
		}
	}
	for _, t := range k.Tokens {
		name := strings.ToLower(t.Name)
		old, ok := oldTokens[name]
		if what := t.since(old, ok); what != "" {
			changes = append(changes, "token "+t.Name+": "+what)
		}
		delete(oldTokens, name)
	}
	for _, t := range before.Tokens {
		if _, gone := oldTokens[strings.ToLower(t.Name)]; gone {
			changes = append(changes, "token "+t.Name+": removed, was "+string(t.Role))
		}
	}
	return changes
}

func (u KnownUser) since(old KnownUser, known bool) string {
	var what []string
	switch {
	case !known:
		return "added as " + string(u.Role)
	case !u.Made.Equal(old.Made):
		what = append(what, "removed and added anew")
	}
	if u.Role != old.Role {
		what = append(what, fmt.Sprintf("role changed from %s to %s", old.Role, u.Role))
	}
	if len(what) == 0 || u.Made.Equal(old.Made) {
		switch {
		case !u.Changed.Equal(old.Changed), u.Sum != old.Sum:
			what = append(what, "password changed")
		case u.Generation != old.Generation && len(what) == 0:
			what = append(what, "sessions ended")
		}
	}
	return strings.Join(what, ", ")
}

func (t KnownToken) since(old KnownToken, known bool) string {
	text := string(t.Role) + " until " + t.End.UTC().Format(time.RFC3339)
	switch {
	case !known:
		return "added as " + text
	case !t.Made.Equal(old.Made), t.Sum != old.Sum:
		return "made anew as " + text + ", was " + string(old.Role)
	case t.Role != old.Role || !t.End.Equal(old.End):
		return "changed to " + text + ", was " + string(old.Role) + " until " + old.End.UTC().Format(time.RFC3339)
	}
	return ""
}
