package accounts

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"
)

// maxFile is far above what a laboratory's users need.
const maxFile = 1 << 20

// document is what is in the file.
type document struct {
	Users  []user  `json:"users"`
	Tokens []token `json:"tokens"`
}

type user struct {
	Name       string    `json:"name"`
	Role       Role      `json:"role"`
	Password   string    `json:"password"` // argon2id, in the form of its reference implementation
	Made       time.Time `json:"made"`
	Changed    time.Time `json:"changed"`
	Generation string    `json:"generation"`
}

func (u user) public() User {
	return User{Name: u.Name, Role: u.Role, Made: u.Made, Changed: u.Changed, Generation: u.Generation}
}

type token struct {
	Token
	SHA256 string `json:"sha256"` // of the secret, in hexadecimal
	sum    []byte // the same
}

func newGeneration() string { return rand.Text() }

var nameRE = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,64}$`)

func checkName(name string) error {
	if !nameRE.MatchString(name) {
		return fmt.Errorf("name %q: 1 to 64 letters, digits and . _ @ - make a name", name)
	}
	return nil
}

func checkRole(role Role) error {
	_, err := ParseRole(string(role))
	return err
}

// sameName compares a name that is right with any text. Phones begin names with
// a capital letter; letters beyond ASCII that fold into it are others.
func sameName(name, given string) bool {
	return len(name) == len(given) && strings.EqualFold(name, given)
}

// user is where a user stands, or -1.
func (d *document) user(name string) int {
	for i := range d.Users {
		if sameName(d.Users[i].Name, name) {
			return i
		}
	}
	return -1
}

// token is where a token stands, or -1.
func (d *document) token(name string) int {
	for i := range d.Tokens {
		if sameName(d.Tokens[i].Name, name) {
			return i
		}
	}
	return -1
}

func (d *document) encode() ([]byte, error) {
	if d.Users == nil {
		d.Users = []user{}
	}
	if d.Tokens == nil {
		d.Tokens = []token{}
	}
	b, err := json.MarshalIndent(d, "", "  ")
	return append(b, '\n'), err
}

// read reads the file; one that is not there is empty.
func read(path string) (*document, stamp, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &document{}, stamp{known: true}, nil
	}
	if err != nil {
		return nil, stamp{}, fmt.Errorf("reading the users' file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, stamp{}, fmt.Errorf("reading the users' file: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, stamp{}, fmt.Errorf("reading the users' file: %w", err)
	}
	at := newStamp(info)
	if len(b) > maxFile {
		return nil, at, fmt.Errorf("%s is larger than %d bytes: it is no users' file", path, maxFile)
	}
	doc, err := parse(b)
	if err != nil {
		return nil, at, fmt.Errorf("%s: %w: mend it, or put back a copy of it", path, err)
	}
	return doc, at, nil
}

// parse reads a document strictly: a key that is misspelt, a user that stands
// twice or a hash that is none is an error and not a surprise at login.
func parse(b []byte) (*document, error) {
	doc := &document{}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(doc); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the closing brace")
	}
	for i, u := range doc.Users {
		if err := errors.Join(checkName(u.Name), checkRole(u.Role), checkHash(u.Password)); err != nil {
			return nil, fmt.Errorf("user %q: %w", u.Name, err)
		}
		if doc.user(u.Name) != i {
			return nil, fmt.Errorf("user %q stands there twice", u.Name)
		}
	}
	for i := range doc.Tokens {
		t := &doc.Tokens[i]
		var err error
		t.sum, err = hex.DecodeString(t.SHA256)
		if err == nil && len(t.sum) != sha256.Size {
			err = fmt.Errorf("%d bytes are no SHA-256", len(t.sum))
		}
		if err := errors.Join(checkName(t.Name), checkRole(t.Role), err); err != nil {
			return nil, fmt.Errorf("token %q: %w", t.Name, err)
		}
		if doc.token(t.Name) != i {
			return nil, fmt.Errorf("token %q stands there twice", t.Name)
		}
	}
	return doc, nil
}

// settled is how old a file must be when it is read, so that a later change of
// it has another time: file systems count in steps.
const settled = time.Second

// stamp tells one state of the file from another.
type stamp struct {
	known bool
	info  fs.FileInfo // nil: there is no file
}

func newStamp(info fs.FileInfo) stamp {
	return stamp{known: time.Since(info.ModTime()).Abs() > settled, info: info}
}

// stampOf looks at the file.
func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{known: true}, nil
	}
	if err != nil {
		return stamp{}, fmt.Errorf("looking at the users' file: %w", err)
	}
	return stamp{known: true, info: info}, nil
}

// same reports whether it is the same state for sure.
func (s stamp) same(t stamp) bool {
	if !s.known || !t.known {
		return false
	}
	if s.info == nil || t.info == nil {
		return s.info == nil && t.info == nil
	}
	return os.SameFile(s.info, t.info) && s.info.ModTime().Equal(t.info.ModTime()) && s.info.Size() == t.info.Size()
}
