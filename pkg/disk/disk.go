// Package disk writes files that are there, whole, whatever happens.
package disk

import (
	"errors"
	"os"
	"path/filepath"
)

// WriteFile replaces a file in one step and brings it, and its name, to the
// disk: after a crash the old content or the new one is there. Only one
// goroutine may write a file.
func WriteFile(name string, b []byte, mode os.FileMode) error {
	tmp := name + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(name))
}

// SyncDir brings the names in a folder to the disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
