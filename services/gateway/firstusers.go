package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/disk"
)

// firstUsers copies the file first to users when there is no such file, so that
// somebody may log in at a gateway that has just been installed. What is there
// already is left alone, and first is not looked at.
func firstUsers(users, first string, log *slog.Logger) error {
	if first == "" {
		return nil
	}
	if _, err := os.Lstat(users); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := os.ReadFile(first)
	if err != nil {
		return fmt.Errorf("DCS_FIRST_USERS_FILE: %w", err)
	}
	store, err := accounts.Open(first) // it reads strictly
	if err != nil {
		return fmt.Errorf("DCS_FIRST_USERS_FILE: %w", err)
	}
	if len(store.Users()) == 0 {
		return fmt.Errorf("DCS_FIRST_USERS_FILE: there is no user in %s, so nobody could log in: run dcs init, or leave the setting out and use dcs user add", first)
	}
	if err := os.MkdirAll(filepath.Dir(users), 0o750); err != nil {
		return fmt.Errorf("making the folder of the users' file: %w", err)
	}
	if err := disk.WriteFile(users, b, 0o600); err != nil {
		return fmt.Errorf("writing the first users: %w", err)
	}
	log.Info("the first users may log in", "file", users, "from", first, "users", len(store.Users()))
	return nil
}
