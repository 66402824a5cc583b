package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/wire"
)

// lockFile keeps tag-outs over restarts of the driver.
type lockFile struct{ path string }

// load reads the locks. A file that cannot be read is an error and not an
// empty one: somebody may have a hand in the machine.
func (f lockFile) load() (map[int]wire.LockTag, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the locks: %w", err)
	}
	var locks map[int]wire.LockTag
	if err := json.Unmarshal(b, &locks); err != nil {
		return nil, fmt.Errorf("the locks in %s cannot be read (%w): see who had locked what, then mend or remove the file", f.path, err)
	}
	return locks, nil
}

// save replaces the file so that after a crash the old or the new one stands.
func (f lockFile) save(locks map[int]wire.LockTag) error {
	b, err := json.MarshalIndent(locks, "", "  ")
	if err != nil {
		return err
	}
	if err := disk.WriteFile(f.path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("keeping the locks: %w", err)
	}
	return nil
}
