package accounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"trackerdcs/pkg/disk"
)

// What callers tell apart.
var (
	ErrWrong      = errors.New("the name or the password is wrong") // it does not say which
	ErrNoUser     = errors.New("there is no such user")
	ErrNoToken    = errors.New("there is no such token")
	ErrTokenEnded = errors.New("the token has ended")
)

// User is somebody who may log in. Generation is new whenever the role or the
// password changes, and never comes again: a session that has an old one ends.
type User struct {
	Name       string    `json:"name"`
	Role       Role      `json:"role"`
	Made       time.Time `json:"made"`
	Changed    time.Time `json:"changed"` // the password, last
	Generation string    `json:"-"`
}

// Token is a script's. Its secret is not kept.
type Token struct {
	Name string    `json:"name"`
	Role Role      `json:"role"`
	Made time.Time `json:"made"`
	End  time.Time `json:"end"`
}

// Store is the file with users and tokens. Programs that have it open see each
// other's changes at once, and only one at a time writes.
type Store struct {
	path    string
	hashing chan struct{} // has room for one: a hash takes 19 MiB

	mu    sync.Mutex
	stamp stamp // of the file that is in doc
	doc   *document
	err   error // what is wrong with the file; doc is then the last good one
}

// Open reads the file. Where there is none, there are no users yet. A file that
// cannot be read or makes no sense is an error.
func Open(path string) (*Store, error) {
	s := &Store{path: path, hashing: make(chan struct{}, 1), doc: &document{}}
	if _, err := s.now(); err != nil {
		return nil, err
	}
	return s, nil
}

// Path is where the file is.
func (s *Store) Path() string { return s.path }

// Err says what is wrong with the file since it was opened: it has become
// unreadable, or was edited badly. What was in it before counts until then.
func (s *Store) Err() error {
	_, err := s.now()
	return err
}

// Users are all users in order of their names.
func (s *Store) Users() []User {
	doc, _ := s.now()
	users := make([]User, len(doc.Users))
	for i, u := range doc.Users {
		users[i] = u.public()
	}
	slices.SortFunc(users, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return users
}

// User finds a user. Capital letters do not matter in names.
func (s *Store) User(name string) (User, bool) {
	doc, _ := s.now()
	if i := doc.user(name); i >= 0 {
		return doc.Users[i].public(), true
	}
	return User{}, false
}

// Add makes a user.
func (s *Store) Add(ctx context.Context, name string, role Role, password string) error {
	if err := errors.Join(checkName(name), checkRole(role)); err != nil {
		return err
	}
	if doc, err := s.now(); err == nil && doc.user(name) >= 0 {
		return taken("user", name) // before the password is hashed, and asked again below
	}
	hash, err := s.hash(ctx, name, password)
	if err != nil {
		return err
	}
	return s.change(ctx, func(doc *document) error {
		if doc.user(name) >= 0 {
			return taken("user", name)
		}
		now := time.Now().UTC()
		doc.Users = append(doc.Users, user{Name: name, Role: role, Password: hash, Made: now, Changed: now, Generation: newGeneration()})
		return nil
	})
}

// SetPassword changes a password. It returns the user as it is then.
func (s *Store) SetPassword(ctx context.Context, name, password string) (User, error) {
	u, ok := s.User(name)
	if !ok {
		return User{}, fmt.Errorf("%q: %w", name, ErrNoUser)
	}
	hash, err := s.hash(ctx, u.Name, password)
	if err != nil {
		return User{}, err
	}
	return s.changeUser(ctx, name, func(u *user) { u.Password, u.Changed = hash, time.Now().UTC() })
}

// SetRole changes what a user may do.
func (s *Store) SetRole(ctx context.Context, name string, role Role) error {
	if err := checkRole(role); err != nil {
		return err
	}
	_, err := s.changeUser(ctx, name, func(u *user) { u.Role = role })
	return err
}

// changeUser changes a user, with which the user's sessions end.
func (s *Store) changeUser(ctx context.Context, name string, fn func(*user)) (changed User, err error) {
	err = s.change(ctx, func(doc *document) error {
		i := doc.user(name)
		if i < 0 {
			return fmt.Errorf("%q: %w", name, ErrNoUser)
		}
		fn(&doc.Users[i])
		doc.Users[i].Generation = newGeneration()
		changed = doc.Users[i].public()
		return nil
	})
	return changed, err
}

// Remove removes a user.
func (s *Store) Remove(ctx context.Context, name string) error {
	return s.change(ctx, func(doc *document) error {
		i := doc.user(name)
		if i < 0 {
			return fmt.Errorf("%q: %w", name, ErrNoUser)
		}
		doc.Users = slices.Delete(doc.Users, i, i+1)
		return nil
	})
}

func taken(what, name string) error {
	return fmt.Errorf("there is a %s %q already: remove it first, or choose another name", what, name)
}

// now is what is in the file, and what is wrong with it. It looks at the file
// each time, and reads it when it is another than it was.
func (s *Store) now() (*document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := stampOf(s.path)
	if err == nil && s.stamp.same(found) {
		return s.doc, s.err
	}
	if err == nil {
		var doc *document
		if doc, found, err = read(s.path); err == nil {
			s.doc = doc
		}
		s.stamp = found // what is bad stays bad until it is another file
	} else {
		s.stamp = stamp{}
	}
	s.err = err
	return s.doc, s.err
}

// change rewrites the file, while no other program does.
func (s *Store) change(ctx context.Context, fn func(*document) error) error {
	if err := makeFolder(filepath.Dir(s.path)); err != nil {
		return fmt.Errorf("making the folder of the users' file: %w", err)
	}
	unlock, err := lock(ctx, s.path+".lock")
	if err != nil {
		return fmt.Errorf("waiting for others that write %s: %w", s.path, err)
	}
	defer unlock()
	doc, _, err := read(s.path)
	if err != nil {
		return err // what cannot be read is not written over
	}
	if err := fn(doc); err != nil {
		return err
	}
	b, err := doc.encode()
	if err != nil {
		return err
	}
	dir := filepath.Dir(s.path)
	if err := disk.WriteFileWith(s.path, b, 0o600, func(f *os.File) error { return likeFolder(f, dir) }); err != nil {
		return fmt.Errorf("writing the users' file: %w", err)
	}
	_, _ = s.now() // what is good now is known, should the file become bad
	return nil
}

func makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	folderLikeParent(dir)
	return nil
}
