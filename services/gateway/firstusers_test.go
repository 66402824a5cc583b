package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
)

const firstPassword = "seven geese by the lake"

// someUsers makes a users' file with one admin, as dcs init does.
func someUsers(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "first_users")
	store, err := accounts.Open(path)
	require.NoError(t, err)
	require.NoError(t, store.Add(t.Context(), name, accounts.Admin, firstPassword))
	return path
}

func TestFirstUsersAreCopiedOnce(t *testing.T) {
	first, users := someUsers(t, "alice"), filepath.Join(t.TempDir(), "gateway", "users.json")
	require.NoError(t, os.Chmod(first, 0o444)) // as a secret is
	require.NoError(t, firstUsers(users, first, slog.New(slog.DiscardHandler)))
	info, err := os.Stat(users)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "the gateway must be able to write what was only readable")
	store, err := accounts.Open(users)
	require.NoError(t, err)
	_, err = store.Authenticate(t.Context(), "alice", firstPassword)
	require.NoError(t, err)

	require.NoError(t, store.Remove(t.Context(), "alice"))
	require.NoError(t, firstUsers(users, first, slog.New(slog.DiscardHandler)))
	store, err = accounts.Open(users)
	require.NoError(t, err)
	assert.Empty(t, store.Users(), "who has been removed does not come back")
}

func TestFirstUsersAreNotLookedAtWhenThereAreUsers(t *testing.T) {
	users := someUsers(t, "bob")
	require.NoError(t, firstUsers(users, filepath.Join(t.TempDir(), "nowhere"), slog.New(slog.DiscardHandler)))
	require.NoError(t, firstUsers(filepath.Join(t.TempDir(), "users.json"), "", slog.New(slog.DiscardHandler)))
}

func TestBadFirstUsersAreNamed(t *testing.T) {
	for content, want := range map[string]string{
		"":                              "EOF",
		"{":                             "unexpected EOF",
		`{"users":[{"name":"alice"}]}`:  `user "alice"`,
		`{"usres":[]}`:                  "usres",
		`{"users":[],"tokens":[]}`:      "there is no user in",
		`{"users":[],"tokens":[]} more`: "follows the closing brace",
	} {
		users, first := filepath.Join(t.TempDir(), "users.json"), filepath.Join(t.TempDir(), "first_users")
		require.NoError(t, os.WriteFile(first, []byte(content), 0o600))
		err := firstUsers(users, first, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, want, content)
		require.ErrorContains(t, err, "DCS_FIRST_USERS_FILE")
		require.ErrorContains(t, err, first)
		assert.NoFileExists(t, users)
	}
	users := filepath.Join(t.TempDir(), "users.json")
	require.ErrorContains(t, firstUsers(users, t.TempDir(), slog.New(slog.DiscardHandler)), "DCS_FIRST_USERS_FILE")
	require.ErrorContains(t, firstUsers(users, "/nowhere", slog.New(slog.DiscardHandler)), "DCS_FIRST_USERS_FILE: open /nowhere")
}
