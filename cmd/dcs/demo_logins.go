package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/disk"
)

// login is somebody of the demonstrator's.
type login struct {
	Name     string `json:"name"`
	Password string `json:"password"`

	role accounts.Role
	may  string
}

// The demonstrator has somebody of each role, named after it.
var mays = []struct {
	role accounts.Role
	may  string
}{
	{accounts.Viewer, "look"},
	{accounts.Operator, "and command supplies, use Node-RED's page"},
	{accounts.Expert, "and set current limits, lift others' locks, start runs, edit flows"},
	{accounts.Admin, "and see who logs in"},
}

// logins are the demonstrator's users. Their passwords are made at the first
// start and kept beside its data, so that a bookmark's password stays right.
func (d *demo) logins() ([]login, error) {
	file := filepath.Join(d.data, "logins.json")
	var kept []login
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case json.Unmarshal(b, &kept) != nil:
		return nil, fmt.Errorf("%s cannot be read: remove it, and new passwords are made", file)
	}
	users, err := accounts.Open(filepath.Join(d.data, "gateway", "users.json"))
	if err != nil {
		return nil, err
	}
	var all []login
	for _, m := range mays {
		l := login{Name: string(m.role), role: m.role, may: m.may}
		for _, k := range kept {
			if k.Name == l.Name {
				l.Password = k.Password
			}
		}
		fresh := l.Password == ""
		if fresh {
			l.Password = rand.Text()[:16]
		}
		if err := l.make(users, fresh); err != nil {
			return nil, fmt.Errorf("the demonstrator's user %s: %w", l.Name, err)
		}
		all = append(all, l)
	}
	if b, err = json.MarshalIndent(all, "", "  "); err != nil {
		return nil, err
	}
	return all, disk.WriteFile(file, b, 0o600)
}

// make sees to it that there is such a user.
func (l login) make(users *accounts.Store, fresh bool) error {
	_, known := users.User(l.Name)
	switch {
	case !known:
		return users.Add(context.Background(), l.Name, l.role, l.Password)
	case fresh:
		_, err := users.SetPassword(context.Background(), l.Name, l.Password)
		return err
	}
	return nil
}

// shown is the path of a file of the demonstrator's as one would type it.
func (d *demo) shown(parts ...string) string {
	full := filepath.Join(append([]string{d.data}, parts...)...)
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, full); err == nil {
			return rel
		}
	}
	return full
}
