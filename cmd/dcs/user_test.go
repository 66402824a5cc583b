package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
)

const geese = "seven geese by the lake"

// accountLine is the part of dcs that is about accounts.
type accountLine struct {
	User  userCmds  `cmd:""`
	Token tokenCmds `cmd:""`
}

// account runs a command line on a users' file, with what is typed.
func account(t *testing.T, file string, in keys, args ...string) (out, errs string, err error) {
	t.Helper()
	var c accountLine
	parser, err := kong.New(&c, kong.Name("dcs"), kong.Exit(func(int) { t.Error("kong wants to exit") }))
	require.NoError(t, err)
	k, err := parser.Parse(append(args, "--file", file))
	if err != nil {
		return "", "", err
	}
	con, o, e := printed()
	ctx := t.Context()
	switch k.Command() {
	case "user add <name>":
		err = c.User.Add.run(ctx, con, in)
	case "user passwd <name>":
		err = c.User.Passwd.run(ctx, con, in)
	case "user role <name> <role>":
		err = c.User.Role.run(ctx, con)
	case "user list":
		err = c.User.List.run(con)
	case "user remove <name>":
		err = c.User.Remove.run(ctx, con)
	case "token add <name>":
		err = c.Token.Add.run(ctx, con, time.Now())
	case "token list":
		err = c.Token.List.run(con, time.Now())
	case "token remove <name>":
		err = c.Token.Remove.run(ctx, con)
	default:
		require.Fail(t, k.Command())
	}
	return o.String(), e.String(), err
}

// piped are lines on the standard input that is no terminal.
func piped(text string) keys { return keys{in: strings.NewReader(text)} }

// atTerminal is a terminal at which these lines are typed.
func atTerminal(lines ...string) keys {
	return keys{in: strings.NewReader("not this"), secret: func(context.Context) (string, error) {
		if len(lines) == 0 {
			return "", errors.New("interrupted")
		}
		line := lines[0]
		lines = lines[1:]
		return line, nil
	}}
}

func TestUserCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway", "users.json")
	none := piped("")
	run := func(in keys, args ...string) string {
		t.Helper()
		out, _, err := account(t, file, in, args...)
		require.NoError(t, err, args)
		return out
	}
	out, errs, err := account(t, file, none, "user", "list")
	require.NoError(t, err)
	assert.Empty(t, out)
	assert.Contains(t, errs, "dcs user add NAME --role admin --file "+file)

	assert.Equal(t, "alice may log in as operator\n", run(piped(geese+"\r\nmore\n"), "user", "add", "alice", "--role", "operator"))
	store, err := accounts.Open(file)
	require.NoError(t, err)
	valid := func(name, password string) {
		t.Helper()
		_, err := store.Authenticate(t.Context(), name, password)
		require.NoError(t, err)
	}
	valid("alice", geese)

	secret := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(secret, []byte("a kettle on the roof"), 0o600))
	run(none, "user", "add", "bob", "--role", "viewer", "--password-file", secret)
	valid("bob", "a kettle on the roof")
	run(piped("nine swans at night"), "user", "passwd", "BOB", "--password-file", "-")
	valid("bob", "nine swans at night")
	run(atTerminal(geese, geese), "user", "passwd", "bob")
	valid("bob", geese)

	assert.Equal(t, "bob: expert\n", run(none, "user", "role", "bob", "expert"))
	list := run(none, "user", "list")
	assert.Regexp(t, `(?s)^name +role +made +password changed\nalice +operator +\S+ +\S+\nbob +expert `, list)
	lines := jsonLines(t, run(none, "user", "list", "-o", "json"))
	require.Len(t, lines, 2)
	assert.Equal(t, "expert", lines[1]["role"])
	assert.NotContains(t, list, "argon2id")
	assert.Equal(t, "bob: removed\n", run(none, "user", "remove", "bob"))
	_, ok := store.User("bob")
	assert.False(t, ok)
}

func TestUserCommandsRefuse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.json")
	_, _, err := account(t, file, piped(geese), "user", "add", "alice", "--role", "operator")
	require.NoError(t, err)
	before, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, tt := range []struct {
		want string
		in   keys
		args []string
	}{
		{`there is a user "Alice" already: dcs user passwd`, atTerminal(), []string{"user", "add", "Alice", "--role", "viewer"}},
		{"missing flags: --role", atTerminal(), []string{"user", "add", "bob"}},
		{"--role must be one of", atTerminal(), []string{"user", "add", "bob", "--role", "root"}},
		{"no password on the first line", piped(""), []string{"user", "add", "bob", "--role", "viewer"}},
		{"no password on the first line", piped("\n" + geese), []string{"user", "add", "bob", "--role", "viewer"}},
		{"--password-file: open /nowhere", atTerminal(), []string{"user", "add", "bob", "--role", "viewer", "--password-file", "/nowhere"}},
		{"the two passwords differ", atTerminal(geese, geese+"!"), []string{"user", "add", "bob", "--role", "viewer"}},
		{"interrupted", atTerminal(geese), []string{"user", "add", "bob", "--role", "viewer"}},
		{"has 5 characters: choose 12 to 128", piped("geese"), []string{"user", "add", "bob", "--role", "viewer"}},
		{"guessed early", piped("password1234"), []string{"user", "passwd", "alice"}},
		{"make a name", piped(geese), []string{"user", "add", "b b", "--role", "viewer"}},
		{`there is no user "bob": dcs user list`, atTerminal(), []string{"user", "passwd", "bob"}},
		{`there is no user "bob"`, atTerminal(), []string{"user", "role", "bob", "viewer"}},
		{"must be one of", atTerminal(), []string{"user", "role", "alice", "god"}},
		{`there is no user "bob"`, atTerminal(), []string{"user", "remove", "bob"}},
		{`there is no token "bob": dcs token list`, atTerminal(), []string{"token", "remove", "bob"}},
		{"missing flags: --for", atTerminal(), []string{"token", "add", "bob", "--role", "viewer"}},
		{`--for "soon": want how long, as 12h, 30d or 26w`, atTerminal(), []string{"token", "add", "bob", "--role", "viewer", "--for", "soon"}},
		{`--for "0d"`, atTerminal(), []string{"token", "add", "bob", "--role", "viewer", "--for", "0d"}},
		{"choose a year at most", atTerminal(), []string{"token", "add", "bob", "--role", "viewer", "--for", "53w"}},
		{"make a name", atTerminal(), []string{"token", "add", "b/b", "--role", "viewer", "--for", "1d"}},
	} {
		out, _, err := account(t, file, tt.in, tt.args...)
		require.ErrorContains(t, err, tt.want, tt.args)
		assert.Empty(t, out)
	}
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(before), string(after))

	require.NoError(t, os.WriteFile(file, []byte("oops"), 0o600))
	for _, args := range [][]string{
		{"user", "list"}, {"user", "add", "b", "--role", "viewer"}, {"user", "passwd", "b"}, {"user", "role", "b", "viewer"}, {"user", "remove", "b"},
		{"token", "list"}, {"token", "add", "b", "--role", "viewer", "--for", "1d"}, {"token", "remove", "b"},
	} {
		_, _, err := account(t, file, piped(geese), args...)
		require.ErrorContains(t, err, "mend it", args)
	}
}

func TestTokenCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.json")
	_, errs, err := account(t, file, keys{}, "token", "list")
	require.NoError(t, err)
	assert.Contains(t, errs, "dcs token add NAME")

	out, errs, err := account(t, file, keys{}, "token", "add", "labview", "--role", "operator", "--for", "30d")
	require.NoError(t, err)
	assert.Contains(t, errs, "labview may come in as operator until ")
	store, err := accounts.Open(file)
	require.NoError(t, err)
	token, err := store.Token(strings.TrimSpace(out))
	require.NoError(t, err, "the secret is alone on the output")
	assert.Equal(t, accounts.Operator, token.Role)
	assert.WithinDuration(t, time.Now().Add(30*24*time.Hour), token.End, time.Minute)

	out, _, err = account(t, file, keys{}, "token", "add", "other", "--role", "viewer", "--for", "1w", "-o", "json")
	require.NoError(t, err)
	_, err = store.Token(jsonLines(t, out)[0]["secret"].(string))
	require.NoError(t, err)

	out, _, err = account(t, file, keys{}, "token", "list")
	require.NoError(t, err)
	assert.Regexp(t, `(?s)^name +role +made +until\nlabview +operator +\S+ +\S+\nother +viewer `, out)
	con, paper, _ := printed()
	require.NoError(t, (&tokenListCmd{accountFlags: accountFlags{file}, Output: "text"}).run(con, time.Now().Add(10*24*time.Hour)))
	assert.Regexp(t, `other .* has ended\n`, paper.String())
	out, _, err = account(t, file, keys{}, "token", "list", "-o", "json")
	require.NoError(t, err)
	assert.Len(t, jsonLines(t, out), 2)
	assert.NotContains(t, out, "sha256")

	out, _, err = account(t, file, keys{}, "token", "remove", "labview")
	require.NoError(t, err)
	assert.Equal(t, "labview: removed\n", out)
	assert.Len(t, store.Tokens(), 1)
}
