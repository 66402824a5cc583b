package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secretsDir is where secrets are kept. Others than the owner cannot enter it, so
// that its files may be readable: each container has another user, and Compose
// mounts the files one by one.
const (
	secretsDir = "secrets"

	forAll   fs.FileMode = 0o444
	forOwner fs.FileMode = 0o400
)

// folder is the folder of an installation. No name leads out of it, whatever
// somebody has linked there: root may write in it where others can.
type folder struct {
	dir   string
	root  *os.Root
	owner owner
}

func openFolder(dir string) (*folder, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("the folder of the installation: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("the folder of the installation: %w", err)
	}
	return &folder{dir: dir, root: root, owner: ownerOf(info)}, nil
}

func (f *folder) close() { _ = f.root.Close() }

// read gives what is in a file, and whether it is there.
func (f *folder) read(name string) (b []byte, there bool, err error) {
	info, err := f.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("%s is not a file: remove it, or put a file in its place", name)
	}
	if err == nil {
		b, err = f.root.ReadFile(name)
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, false, fmt.Errorf("%w: run this as the owner of the folder, or in the container", err)
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading what is there: %w", err)
	}
	return b, true, nil
}

// mkdir makes a folder if need be, and sees to its mode.
func (f *folder) mkdir(name string, mode fs.FileMode) error {
	err := f.root.Mkdir(name, mode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making a folder: %w", err)
	}
	info, err := f.root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder, and a link will not do: remove it", name)
	}
	return f.settle(name, mode)
}

// settle gives a file or folder its mode and its owner, where they differ.
func (f *folder) settle(name string, mode fs.FileMode) error {
	info, err := f.root.Lstat(name)
	if err != nil {
		return err
	}
	if info.Mode().Perm() != mode {
		if err := f.root.Chmod(name, mode); err != nil {
			return fmt.Errorf("mode %04o: %w", mode, err)
		}
	}
	return f.owner.give(f.root, name, info)
}

// create makes a file that was not there: it is whole or it is not there.
func (f *folder) create(name string, b []byte, mode fs.FileMode) error {
	if err := f.replace(name, b, mode); err != nil {
		return fmt.Errorf("making a file: %w", err)
	}
	return nil
}

// replace puts a new file in the place of another in one step.
func (f *folder) replace(name string, b []byte, mode fs.FileMode) error {
	tmp := name + ".new"
	if err := f.root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := f.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(b)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = f.settle(tmp, mode)
	}
	if err == nil {
		err = f.root.Rename(tmp, name)
	}
	if err != nil {
		_ = f.root.Remove(tmp)
		return err
	}
	return f.sync(filepath.Dir(name))
}

// rewrite puts something else into a file that is there, and leaves it the same
// file: a container that has it mounted sees what is in it now.
func (f *folder) rewrite(name string, b []byte, mode fs.FileMode) error {
	if err := f.root.Chmod(name, mode|0o200); err != nil { // also its owner needs that
		return fmt.Errorf("rewriting a file: %w", err)
	}
	file, err := f.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("rewriting a file: %w", err)
	}
	_, err = file.Write(b)
	if err == nil {
		err = file.Truncate(int64(len(b)))
	}
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("rewriting a file: %w", err)
	}
	return f.settle(name, mode)
}

// put makes or rewrites a file, if there is something else in it.
func (f *folder) put(name string, b []byte, mode fs.FileMode) (State, error) {
	old, there, err := f.read(name)
	switch {
	case err != nil:
		return "", err
	case !there:
		return Made, f.create(name, b, mode)
	case bytes.Equal(old, b):
		return There, f.settle(name, mode)
	}
	return Changed, f.rewrite(name, b, mode)
}

func (f *folder) sync(dir string) error {
	d, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
