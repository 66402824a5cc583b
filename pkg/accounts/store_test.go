package accounts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const good = "seven geese by the lake"

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "gateway", "users.json"))
	require.NoError(t, err)
	return s
}

func TestUsers(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	assert.Empty(t, s.Users())
	_, ok := s.User("alice")
	assert.False(t, ok)

	require.NoError(t, s.Add(ctx, "bob", Viewer, good))
	require.NoError(t, s.Add(ctx, "alice", Operator, good))
	users := s.Users()
	require.Len(t, users, 2)
	assert.Equal(t, "alice", users[0].Name)
	assert.Equal(t, Operator, users[0].Role)
	assert.WithinDuration(t, time.Now(), users[0].Made, time.Minute)
	assert.Equal(t, users[0].Made, users[0].Changed)
	assert.NotEmpty(t, users[0].Generation)

	u, ok := s.User("Alice")
	require.True(t, ok, "phones begin with a capital letter")
	assert.Equal(t, "alice", u.Name)
	require.ErrorContains(t, s.Add(ctx, "ALICE", Viewer, good), `there is a user "ALICE" already`)
	require.NoError(t, s.Add(ctx, "mark", Viewer, good))
	_, ok = s.User("mar\u212a") // folds into k
	assert.False(t, ok)

	require.NoError(t, s.Remove(ctx, "alice"))
	_, ok = s.User("alice")
	assert.False(t, ok)
	for _, err := range []error{s.Remove(ctx, "alice"), s.SetRole(ctx, "alice", Viewer)} {
		require.ErrorIs(t, err, ErrNoUser)
	}
	_, err := s.SetPassword(ctx, "alice", good)
	require.ErrorIs(t, err, ErrNoUser)
}

func TestGenerations(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	seen := map[string]bool{}
	isNew := func(doing string) {
		t.Helper()
		u, ok := s.User("alice")
		require.True(t, ok)
		assert.False(t, seen[u.Generation], doing)
		seen[u.Generation] = true
	}
	require.NoError(t, s.Add(ctx, "alice", Viewer, good))
	isNew("added")
	require.NoError(t, s.SetRole(ctx, "alice", Admin))
	isNew("role")
	changed, err := s.SetPassword(ctx, "alice", "another one of these")
	require.NoError(t, err)
	u, _ := s.User("alice")
	assert.Equal(t, u, changed)
	assert.Equal(t, Admin, u.Role)
	assert.True(t, u.Changed.After(u.Made))
	isNew("password")
	require.NoError(t, s.Remove(ctx, "alice"))
	require.NoError(t, s.Add(ctx, "alice", Viewer, good))
	isNew("another of the name")
}

func TestBadNamesAndRoles(t *testing.T) {
	s := open(t)
	for _, name := range []string{"", "a b", "a/b", "ä", strings.Repeat("a", 65), "a\n", "a\x00"} {
		require.ErrorContains(t, s.Add(t.Context(), name, Viewer, good), "make a name", name)
		_, err := s.AddToken(t.Context(), name, Viewer, time.Now().Add(time.Hour))
		require.ErrorContains(t, err, "make a name", name)
	}
	for _, role := range []Role{"", "root", "Admin"} {
		require.ErrorContains(t, s.Add(t.Context(), "a", role, good), "choose one of viewer, operator, expert, admin")
		require.ErrorContains(t, s.SetRole(t.Context(), "a", role), "choose one of")
	}
	for _, name := range []string{"a", "Alice.B_c-d@lab", strings.Repeat("a", 64)} {
		require.NoError(t, checkName(name), name)
	}
	assert.NoFileExists(t, s.Path(), "nothing was written")
}

func TestFileIsPrivate(t *testing.T) {
	s := open(t)
	require.NoError(t, s.Add(t.Context(), "alice", Viewer, good))
	_, err := s.AddToken(t.Context(), "script", Viewer, time.Now().Add(time.Hour))
	require.NoError(t, err)
	entries, err := os.ReadDir(filepath.Dir(s.Path()))
	require.NoError(t, err)
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode(), e.Name())
	}
	b, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	assert.NotContains(t, string(b), good)
	assert.Contains(t, string(b), "$argon2id$v=19$m=19456,t=2,p=1$")
}

// TestSeenAtOnce: what one program writes, another sees at its next look.
func TestSeenAtOnce(t *testing.T) {
	writer := open(t)
	reader, err := Open(writer.Path())
	require.NoError(t, err)
	require.NoError(t, writer.Add(t.Context(), "alice", Viewer, good))
	for i := range 50 { // many within one step of the file system's clock, and files of one size
		role := []Role{Expert, Viewer}[i%2]
		require.NoError(t, writer.SetRole(t.Context(), "alice", role))
		u, ok := reader.User("alice")
		require.True(t, ok)
		require.Equal(t, role, u.Role, i)
	}
	require.NoError(t, os.Remove(writer.Path()))
	assert.Empty(t, reader.Users(), "no file, no users")
	require.NoError(t, reader.Err())
}

// TestReadOnce: a file that has not changed is not read at every look.
func TestReadOnce(t *testing.T) {
	s := open(t)
	require.NoError(t, s.Add(t.Context(), "alice", Viewer, good))
	old := time.Now().Add(-time.Minute)
	require.NoError(t, os.Chtimes(s.Path(), old, old))
	before, err := s.now()
	require.NoError(t, err)
	after, err := s.now()
	require.NoError(t, err)
	assert.Same(t, before, after)
}

func TestBadFile(t *testing.T) {
	s := open(t)
	require.NoError(t, s.Add(t.Context(), "alice", Viewer, good))
	text, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.Path(), []byte("{"), 0o600))

	require.ErrorContains(t, s.Err(), "users.json: unexpected EOF: mend it, or put back a copy of it")
	u, ok := s.User("alice")
	assert.True(t, ok, "what was in it before counts")
	_, err = s.Authenticate(t.Context(), "alice", good)
	require.NoError(t, err)
	require.ErrorContains(t, s.SetRole(t.Context(), "alice", Admin), "mend it")
	_, err = Open(s.Path())
	require.ErrorContains(t, err, "mend it", "nobody begins with it")
	b, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	assert.Equal(t, "{", string(b), "it is not written over")

	require.NoError(t, os.WriteFile(s.Path(), text, 0o600))
	require.NoError(t, s.Err())
	again, ok := s.User("alice")
	assert.True(t, ok)
	assert.Equal(t, u, again)

	require.NoError(t, os.Remove(s.Path()))
	require.NoError(t, os.Mkdir(s.Path(), 0o700))
	require.Error(t, s.Err())
	_, ok = s.User("alice")
	assert.True(t, ok)
}

func TestParse(t *testing.T) {
	const user = `{"name":"alice","role":"viewer","password":"` + dummy + `","made":"2026-01-01T00:00:00Z","changed":"2026-01-01T00:00:00Z","generation":"a"}`
	sum := strings.Repeat("00", 32)
	for _, tt := range []struct{ name, text, want string }{
		{"empty", ``, "EOF"},
		{"no JSON", `users: []`, "invalid character"},
		{"a list", `[]`, "cannot unmarshal array"},
		{"two", `{} {}`, "something follows the closing brace"},
		{"unknown key", `{"user":[]}`, `unknown field "user"`},
		{"unknown key of a user", `{"users":[{"name":"a","rolle":"admin"}]}`, `unknown field "rolle"`},
		{"no name", `{"users":[{}]}`, "make a name"},
		{"role", strings.Replace(`{"users":[`+user+`]}`, "viewer", "god", 1), `user "alice": role "god"`},
		{"twice", `{"users":[` + user + `,` + strings.Replace(user, "alice", "Alice", 1) + `]}`, `user "Alice" stands there twice`},
		{"no hash", strings.Replace(`{"users":[`+user+`]}`, dummy, "secret", 1), "password: argon2id: hash is not in the correct format"},
		{"bcrypt", strings.Replace(`{"users":[`+user+`]}`, "argon2id", "2y", 1), "incompatible variant"},
		{"a hash of 4 TB", strings.Replace(`{"users":[`+user+`]}`, "m=19456", "m=4294967295", 1), "cost out of range"},
		{"no passes", strings.Replace(`{"users":[`+user+`]}`, "t=2", "t=0", 1), "cost out of range"},
		{"no threads", strings.Replace(`{"users":[`+user+`]}`, "p=1", "p=0", 1), "cost out of range"},
		{"a short hash", strings.Replace(`{"users":[`+user+`]}`, dummy, dummy[:len(dummy)-39], 1), "strange length"},
		{"token without a sum", `{"tokens":[{"name":"a","role":"viewer"}]}`, "0 bytes are no SHA-256"},
		{"token with a bad sum", `{"tokens":[{"name":"a","role":"viewer","sha256":"x"}]}`, "encoding/hex"},
		{"token twice", `{"tokens":[{"name":"a","role":"viewer","sha256":"` + sum + `"},{"name":"a","role":"viewer","sha256":"` + sum + `"}]}`, "stands there twice"},
		{"good", `{"users":[` + user + `],"tokens":[{"name":"a","role":"viewer","sha256":"` + sum + `"}]}`, ""},
		{"nobody", `{}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse([]byte(tt.text))
			if tt.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.want)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	require.NoError(t, os.WriteFile(path, make([]byte, maxFile+1), 0o600))
	_, err := Open(path)
	require.ErrorContains(t, err, "is no users' file")
}

// TestManyWriters: nothing that one writes is lost to another.
func TestManyWriters(t *testing.T) {
	path := open(t).Path()
	const writers, each = 4, 8
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			s, err := Open(path)
			if !assert.NoError(t, err) {
				return
			}
			for i := range each {
				_, err := s.AddToken(t.Context(), fmt.Sprintf("t%d-%d", w, i), Viewer, time.Now().Add(time.Hour))
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	s, err := Open(path)
	require.NoError(t, err)
	assert.Len(t, s.Tokens(), writers*each)
}

const helperEnv = "ACCOUNTS_TEST_WRITES"

// TestHelperProcess is not a test: it writes in a process of its own.
func TestHelperProcess(t *testing.T) {
	path, name, ok := strings.Cut(os.Getenv(helperEnv), "|")
	if !ok {
		return
	}
	s, err := Open(path)
	require.NoError(t, err)
	for i := range 20 {
		_, err := s.AddToken(t.Context(), fmt.Sprintf("%s-%d", name, i), Viewer, time.Now().Add(time.Hour))
		require.NoError(t, err)
	}
}

// TestTwoProcesses does the same with processes, as dcs and the gateway are.
func TestTwoProcesses(t *testing.T) {
	path := open(t).Path()
	var all sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		all.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperProcess$")
			cmd.Env = append(os.Environ(), helperEnv+"="+path+"|"+name)
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err, string(out))
		})
	}
	all.Wait()
	s, err := Open(path)
	require.NoError(t, err)
	assert.Len(t, s.Tokens(), 40)
}

// TestWaitForWriters: a writer that hangs is waited for as long as ctx lasts.
func TestWaitForWriters(t *testing.T) {
	s := open(t)
	require.NoError(t, s.Add(t.Context(), "alice", Viewer, good))
	unlock, err := lock(t.Context(), s.Path()+".lock")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.SetRole(ctx, "alice", Admin), context.DeadlineExceeded)
	unlock()
	require.NoError(t, s.SetRole(t.Context(), "alice", Admin))
}

func TestNoFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(filepath.Join(file, "users.json"))
	require.Error(t, err)
}
