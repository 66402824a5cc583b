package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"trackerdcs/pkg/psu"
)

// lockFile keeps tag-outs over restarts of the driver.
type lockFile struct{ path string }

// load reads the locks. A file that cannot be read is an error and not an
// empty one: somebody may have a hand in the machine.
func (f lockFile) load() (map[int]psu.Lock, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the locks: %w", err)
	}
	var locks map[int]psu.Lock
	if err := json.Unmarshal(b, &locks); err != nil {
		return nil, fmt.Errorf("the locks in %s cannot be read (%w): see who had locked what, then mend or remove the file", f.path, err)
	}
	return locks, nil
}

// save replaces the file so that after a crash the old or the new one stands.
func (f lockFile) save(locks map[int]psu.Lock) error {
	b, err := json.MarshalIndent(locks, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.path), "locks-*")
	if err != nil {
		return fmt.Errorf("keeping the locks: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when all went well
	_, err = tmp.Write(append(b, '\n'))
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), f.path)
	}
	if err != nil {
		return fmt.Errorf("keeping the locks: %w", err)
	}
	return syncDir(filepath.Dir(f.path))
}

// syncDir makes a rename outlive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("keeping the locks: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("keeping the locks: %w", err)
	}
	return nil
}
