// Package disk writes files that are there, whole, whatever happens.
package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile replaces a file in one step and brings it, and its name, to the
// disk: after a crash the old content or the new one is there. Only one
// goroutine may write a file. What has been put in the way, a link for
// instance, is replaced and never followed: root may write where others can.
func WriteFile(name string, b []byte, mode os.FileMode) error {
	return WriteFileWith(name, b, mode, nil)
}

// WriteFileWith is WriteFile with something done to the new file, by its
// descriptor, before it has its name: another owner for instance. Nothing is
// replaced when that fails. prepare may be nil.
func WriteFileWith(name string, b []byte, mode os.FileMode, prepare func(*os.File) error) error {
	tmp := name + ".new"
	f, err := create(tmp, mode)
	if err != nil {
		return err
	}
	if prepare != nil {
		err = prepare(f)
	}
	if err == nil {
		_, err = f.Write(b)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(tmp) // on a full disk it is in the way of others
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(name))
}

// create makes a file that was not there; one that a crash has left is removed
// first. The name is always the same, so that crashes do not fill a folder.
// O_EXCL follows no link.
func create(name string, mode os.FileMode) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := os.OpenFile(name, flags, mode)
	if errors.Is(err, fs.ErrExist) {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		f, err = os.OpenFile(name, flags, mode) // again in the way: somebody does that on purpose
	}
	return f, err
}

// SyncDir brings the names in a folder to the disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
