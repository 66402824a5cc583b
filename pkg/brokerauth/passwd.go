package brokerauth

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"trackerdcs/pkg/wire"
)

// As mosquitto_passwd of Mosquitto 2.0 makes them. So few rounds protect
// passwords that are random, as those of dcs init are, and not those that
// people think of; the broker has one thread, which counts them at each login.
const (
	scheme     = "7" // PBKDF2 with HMAC-SHA-512
	iterations = 101
	saltBytes  = 12
	keyBytes   = 64

	maxIterations = 1_000_000 // more is no file of Mosquitto's
)

// Hash is what Mosquitto keeps of a password: $7$101$<salt>$<hash>. It has a
// new salt each time.
func Hash(password string) (string, error) {
	if password == "" {
		return "", errors.New("hashing a broker password: it is empty")
	}
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	key, err := pbkdf2.Key(sha512.New, password, salt, iterations, keyBytes)
	if err != nil {
		return "", fmt.Errorf("hashing a broker password: %w", err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("$%s$%d$%s$%s", scheme, iterations, b64(salt), b64(key)), nil
}

// Verify reports whether hash, of Hash or of mosquitto_passwd, is password's.
func Verify(hash, password string) bool {
	rounds, salt, want, err := parseHash(hash)
	if err != nil {
		return false
	}
	key, err := pbkdf2.Key(sha512.New, password, salt, rounds, len(want))
	return err == nil && subtle.ConstantTimeCompare(key, want) == 1
}

func parseHash(hash string) (rounds int, salt, key []byte, err error) {
	p := strings.Split(hash, "$")
	if len(p) != 5 || p[0] != "" || p[1] != scheme {
		return 0, nil, nil, errors.New("it is not of the form $7$…")
	}
	rounds, err1 := strconv.Atoi(p[2])
	salt, err2 := base64.StdEncoding.Strict().DecodeString(p[3])
	key, err3 := base64.StdEncoding.Strict().DecodeString(p[4])
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, nil, nil, err
	}
	if rounds < 1 || rounds > maxIterations || len(salt) == 0 || len(key) != keyBytes {
		return 0, nil, nil, errors.New("its numbers are out of range")
	}
	return rounds, salt, key, nil
}

// PasswdLine is the line of an account in Mosquitto's password file.
func PasswdLine(name, password string) (string, error) {
	if err := wire.CheckName(name); err != nil {
		return "", fmt.Errorf("broker account: %w", err)
	}
	hash, err := Hash(password)
	if err != nil {
		return "", fmt.Errorf("broker account %q: %w", name, err)
	}
	return name + ":" + hash + "\n", nil
}

// ParsePasswd reads a password file: hashes by account. Empty lines and those
// that begin with # are left out, as Mosquitto does it.
func ParsePasswd(file []byte) (map[string]string, error) {
	hashes := make(map[string]string)
	n := 0
	for line := range bytes.Lines(file) {
		n++
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		name, hash, ok := strings.Cut(text, ":")
		if !ok {
			return nil, fmt.Errorf("password file, line %d: no colon", n)
		}
		if _, _, _, err := parseHash(hash); err != nil {
			return nil, fmt.Errorf("password file, line %d, account %q: not a hash of Mosquitto 2: %w", n, name, err)
		}
		if _, twice := hashes[name]; twice {
			return nil, fmt.Errorf("password file, line %d: account %q is there twice", n, name)
		}
		hashes[name] = hash
	}
	return hashes, nil
}
