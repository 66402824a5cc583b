package accounts

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAuthenticate(t *testing.T) {
	s := open(t)
	const odd = "  ümläut 日本語 \t\U0001F600 "
	require.NoError(t, s.Add(t.Context(), "alice", Expert, odd))
	for _, tt := range []struct {
		name, password string
		ok             bool
	}{
		{"alice", odd, true},
		{"ALICE", odd, true},
		{"alice", strings.TrimSpace(odd), false},
		{"alice", odd + "x", false},
		{"alice", "", false},
		{"bob", odd, false},
		{"", "", false},
		{"\x00", odd, false},
	} {
		u, err := s.Authenticate(t.Context(), tt.name, tt.password)
		if tt.ok {
			require.NoError(t, err)
			assert.Equal(t, "alice", u.Name)
			assert.Equal(t, Expert, u.Role)
			continue
		}
		require.ErrorIs(t, err, ErrWrong, "%q %q", tt.name, tt.password)
		assert.Equal(t, User{}, u)
	}
}

// TestSameWork: a name that is not there costs a hash like one that is.
func TestSameWork(t *testing.T) {
	p, salt, key, err := argon2id.DecodeHash(dummy)
	require.NoError(t, err)
	assert.Equal(t, cost, *p)
	assert.Len(t, salt, int(cost.SaltLength))
	assert.Len(t, key, int(cost.KeyLength))

	s := open(t)
	require.NoError(t, s.Add(t.Context(), "alice", Expert, good))
	once := func(name string) float64 {
		begin := time.Now()
		_, err := s.Authenticate(t.Context(), name, "wrong, whoever it is")
		require.ErrorIs(t, err, ErrWrong)
		return time.Since(begin).Seconds()
	}
	// The quickest of many, in turns: a machine that does other things makes some slow,
	// and none quick.
	there, notThere := math.Inf(1), math.Inf(1)
	for i := 0; i < 7 || i < 100 && math.Abs(notThere-there)/there > 0.5; i++ {
		there, notThere = min(there, once("alice")), min(notThere, once("mallory"))
	}
	assert.InEpsilon(t, there, notThere, 0.5)
}

// TestOneAtATime: while one password is hashed others wait, as long as they want.
func TestOneAtATime(t *testing.T) {
	s := open(t)
	require.NoError(t, s.Add(t.Context(), "alice", Expert, good))
	s.hashing <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Authenticate(ctx, "alice", good)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrWrong)
	require.ErrorIs(t, s.Add(ctx, "bob", Viewer, good), context.Canceled)
	_, err = s.SetPassword(ctx, "alice", good)
	require.ErrorIs(t, err, context.Canceled)
	<-s.hashing

	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			_, err := s.Authenticate(t.Context(), "alice", good)
			assert.NoError(t, err)
		})
	}
	all.Wait()
	assert.Empty(t, s.hashing)
}

func TestPasswordRules(t *testing.T) {
	for _, tt := range []struct{ password, want string }{
		{"", "has 0 characters"},
		{"short 1 A!x", "has 11 characters: choose 12 to 128"},
		{strings.Repeat("ä", 6), "has 6 characters"}, // of 12 bytes
		{strings.Repeat("lake geese ", 12), "has 132 characters: choose 12 to 128"},
		{"seven geese\xff\xfe by", "not text"},
		{"geese of Alice!", "contains the user's name"},
		{"TrackerDCS and geese", "contains the name of this program"},
		{"password1234", "guessed early"},
		{"passwordpassword", "guessed early"},
		{"P@ssw0rd2024", "guessed early"},
		{"Welcome12345!", "guessed early"},
		{"qwertyuiop123", "guessed early"},
		{"1q2w3e4r5t6y", "guessed early"},
		{"zaq12wsxcde3", "guessed early"},
		{"123456789012", "guessed early"},
		{"aaaaaaaaaaaaaaaa", "guessed early"},
		{"abcabcabcabcabc", "guessed early"},
		{"abcdefghijklmnop", "guessed early"},
		{"operator1234", "guessed early"},
		{"changeme1234", "guessed early"},
		{"Summer202512", "guessed early"},
		{"administrator", "guessed early"},
		{"            ", "guessed early"},
		{good, ""},
		{"correct horse battery", ""},
		{"zwölf Gänse", "has 11 characters"},
		{"zwölf Gänse!", ""},
		{"kfw8x2mq9vzt", ""},
		{"日本語の長いパスワードです", ""},
		{strings.Repeat("lake geese 7", 10) + "x", ""},
	} {
		err := CheckPassword("alice", tt.password)
		if tt.want == "" {
			require.NoError(t, err, tt.password)
		} else {
			require.ErrorContains(t, err, tt.want, tt.password)
		}
	}
	require.NoError(t, CheckPassword("s", good), "a name of one letter is in every password")
	s := open(t)
	require.ErrorContains(t, s.Add(t.Context(), "alice", Viewer, "password1234"), "guessed early")
	require.NoError(t, s.Add(t.Context(), "alice", Viewer, good))
	_, err := s.SetPassword(t.Context(), "ALICE", "geese of alice")
	require.ErrorContains(t, err, "contains the user's name")
	_, err = s.Authenticate(t.Context(), "alice", good)
	require.NoError(t, err, "the old one counts")
}

func FuzzCheckPassword(f *testing.F) {
	for _, p := range []string{"", good, "password1234", "\xff", strings.Repeat("ab", 60)} {
		f.Add("alice", p)
	}
	f.Fuzz(func(t *testing.T, name, password string) {
		if CheckPassword(name, password) == nil && len(password) < MinPassword {
			t.Errorf("%q is too short", password)
		}
	})
}

func FuzzParse(f *testing.F) {
	s, err := Open(f.TempDir() + "/users.json")
	if err != nil {
		f.Fatal(err)
	}
	ctx := context.Background()
	_, tokenErr := s.AddToken(ctx, "script", Viewer, time.Now().Add(time.Hour))
	text, readErr := os.ReadFile(s.Path())
	if err := errors.Join(s.Add(ctx, "alice", Viewer, good), tokenErr, readErr); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(s.Path())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(whole)
	f.Add([]byte(`{"users":[{"name":"a","password":"` + dummy + `"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		doc, err := parse(b)
		if err != nil {
			return
		}
		again, err := doc.encode()
		if err != nil {
			return // a year that JSON cannot write
		}
		if _, err := parse(again); err != nil {
			t.Errorf("%s was read, and not when it was written again: %v", b, err)
		}
		for _, u := range doc.Users {
			if err := checkHash(u.Password); err != nil {
				t.Error(err)
			}
		}
	})
}
