package accounts

import (
	"context"
	"errors"
	"fmt"

	"github.com/alexedwards/argon2id"
)

// cost is what a hash costs: OWASP's first choice for argon2id, 19 MiB and two
// passes of one thread.
var cost = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// dummy is the hash of a password that nobody knows, at the same cost. It is
// compared with where there is no such user, so that an answer takes as long as
// for one there is.
const dummy = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGtub3dzIGl0IQ$Zk1hVW5aQ2pVdGJ3bGc4Y0xqTHQ0cVl6Q2hRZ0x2b3c"

// checkHash reports what is no hash, or one that would cost too much: whoever
// logs in would have the gateway run out of memory.
func checkHash(hash string) error {
	p, salt, key, err := argon2id.DecodeHash(hash)
	switch {
	case err != nil:
		return fmt.Errorf("password: %w", err)
	case p.Memory < 8 || p.Memory > 256*1024 || p.Iterations < 1 || p.Iterations > 16 || p.Parallelism < 1 || p.Parallelism > 16:
		return errors.New("password: a hash with a cost out of range")
	case len(salt) < 8 || len(salt) > 64 || len(key) < 16 || len(key) > 64:
		return errors.New("password: a hash or a salt of a strange length")
	}
	return nil
}

// hash checks and hashes a new password.
func (s *Store) hash(ctx context.Context, name, password string) (string, error) {
	if err := CheckPassword(name, password); err != nil {
		return "", err
	}
	done, err := s.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return argon2id.CreateHash(password, &cost)
}

// Authenticate finds the user with this name and this password. It does the
// same work, and gives the same ErrWrong, when there is no such user. Only one
// password is hashed at a time; when ctx ends before it is its turn, the error
// is that of ctx.
func (s *Store) Authenticate(ctx context.Context, name, password string) (User, error) {
	doc, _ := s.now()
	hash, i := dummy, doc.user(name)
	if i >= 0 {
		hash = doc.Users[i].Password
	}
	done, err := s.turn(ctx)
	if err != nil {
		return User{}, err
	}
	defer done()
	match, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return User{}, fmt.Errorf("checking a password: %w", err)
	}
	if !match || i < 0 {
		return User{}, ErrWrong
	}
	return doc.Users[i].public(), nil
}

// turn waits until no password is hashed.
func (s *Store) turn(ctx context.Context) (done func(), err error) {
	select {
	case s.hashing <- struct{}{}:
		return func() { <-s.hashing }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting until other passwords are checked: %w", ctx.Err())
	}
}
