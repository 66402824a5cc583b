package accounts

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MaxTokenLife is how far away a token's end may be.
const MaxTokenLife = 366 * 24 * time.Hour

// secretPrefix begins every secret, so that one that has leaked into a log or
// a repository is found by those who look for such.
const secretPrefix = "dcs_"

// secretBytes is how much chance is in a secret. With 256 bits a plain SHA-256
// is enough to keep: there is nothing to try out.
const secretBytes = 32

// Tokens are all tokens in order of their names, those that have ended too.
func (s *Store) Tokens() []Token {
	doc, _ := s.now()
	tokens := make([]Token, len(doc.Tokens))
	for i, t := range doc.Tokens {
		tokens[i] = t.Token
	}
	slices.SortFunc(tokens, func(a, b Token) int { return strings.Compare(a.Name, b.Name) })
	return tokens
}

// AddToken makes a token and returns its secret, which is nowhere else.
func (s *Store) AddToken(ctx context.Context, name string, role Role, end time.Time) (secret string, err error) {
	now := time.Now().UTC()
	if err := errors.Join(checkName(name), checkRole(role)); err != nil {
		return "", err
	}
	switch life := end.Sub(now); {
	case life <= 0:
		return "", fmt.Errorf("a token that ends %s has ended already: choose an end in the future", end.UTC().Format(time.RFC3339))
	case life > MaxTokenLife:
		return "", fmt.Errorf("a token that ends %s is too long: choose a year at most, and make a new one then", end.UTC().Format(time.RFC3339))
	}
	random := make([]byte, secretBytes)
	_, _ = rand.Read(random) // never fails
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(random)
	err = s.change(ctx, func(doc *document) error {
		if doc.token(name) >= 0 {
			return taken("token", name)
		}
		sum := sha256.Sum256([]byte(secret))
		doc.Tokens = append(doc.Tokens, token{
			Token:  Token{Name: name, Role: role, Made: now, End: end.UTC()},
			SHA256: hex.EncodeToString(sum[:]),
		})
		return nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// Token finds the token with this secret: ErrNoToken when there is none,
// ErrTokenEnded when its time is over.
func (s *Store) Token(secret string) (Token, error) {
	doc, _ := s.now()
	sum := sha256.Sum256([]byte(secret))
	found := -1
	for i := range doc.Tokens { // all of them, whichever it is
		if subtle.ConstantTimeCompare(doc.Tokens[i].sum, sum[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Token{}, ErrNoToken
	}
	t := doc.Tokens[found].Token
	if !time.Now().Before(t.End) {
		return t, ErrTokenEnded
	}
	return t, nil
}

// RemoveToken ends a token.
func (s *Store) RemoveToken(ctx context.Context, name string) error {
	return s.change(ctx, func(doc *document) error {
		i := doc.token(name)
		if i < 0 {
			return fmt.Errorf("%q: %w", name, ErrNoToken)
		}
		doc.Tokens = slices.Delete(doc.Tokens, i, i+1)
		return nil
	})
}
