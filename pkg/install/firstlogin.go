package install

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"

	"trackerdcs/pkg/accounts"
)

// The first login at the gateway: the users' file that the gateway takes over
// when it has none, and the password in plain, for the owner alone.
const (
	firstUsers, firstLoginName = "first_users", "first_login"
	firstName                  = "admin"
)

// firstLogin makes the first login, unless there was one: then the plain
// password may have been removed, as it should be.
func (s *session) firstLogin(ctx context.Context) error {
	_, users, err := s.secret(firstUsers)
	if err != nil {
		return err
	}
	text, plain, err := s.secret(firstLoginName)
	if err != nil {
		return err
	}
	renew := s.renews(firstLoginName)
	if users && !renew {
		s.add(groupLogin, firstUsers, There)
		if plain {
			s.add(groupLogin, firstLoginName, There)
			err = s.settle(secretPath(firstLoginName), forOwner)
		}
		if err == nil {
			err = s.settle(secretPath(firstUsers), forAll)
		}
		return err
	}
	login := Login{Name: firstName}
	if plain && !renew { // a run that was cut short has left it
		if login, err = parseLogin(text); err != nil {
			return err
		}
	} else if login.Password, err = readable(firstName); err != nil {
		return err
	}
	file, err := s.usersFile(ctx, login)
	if err != nil {
		return fmt.Errorf("making the first login: %w", err)
	}
	if err := s.keep(groupLogin, firstLoginName, fmt.Appendf(nil, "name: %s\npassword: %s\n", login.Name, login.Password), forOwner); err != nil {
		return err
	}
	if err := s.keep(groupLogin, firstUsers, file, forAll); err != nil {
		return err
	}
	s.report.Login = &login
	return nil
}

func parseLogin(text string) (Login, error) {
	var l Login
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "name":
			l.Name = value
		case "password":
			l.Password = value
		}
	}
	if l.Name == "" || l.Password == "" {
		return l, fmt.Errorf("secrets/%s has no name and password, and secrets/%s is not there: remove the former and run this again", firstLoginName, firstUsers)
	}
	return l, nil
}

// usersFile is a users' file with one admin in it.
func (s *session) usersFile(ctx context.Context, l Login) ([]byte, error) {
	// Beside the secrets: in the container nothing else can be written to.
	dir, err := os.MkdirTemp(filepath.Join(s.dir, secretsDir), ".first_users-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "users.json")
	store, err := accounts.Open(file)
	if err != nil {
		return nil, err
	}
	if err := store.Add(ctx, l.Name, accounts.Admin, l.Password); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// letters are those that nobody takes for another.
const letters = "abcdefghjkmnpqrstuvwxyz23456789"

// readable is a password that somebody types: four times five letters, 99 bits.
func readable(name string) (string, error) {
	for {
		var b strings.Builder
		for i := range 20 {
			if i > 0 && i%5 == 0 {
				b.WriteByte('-')
			}
			n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
			if err != nil {
				return "", fmt.Errorf("making a password: %w", err)
			}
			b.WriteByte(letters[n.Int64()])
		}
		if accounts.CheckPassword(name, b.String()) == nil { // one in billions has a word in it
			return b.String(), nil
		}
	}
}
