//go:build unix

package install

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock takes a folder for this process; it is free again when that has ended,
// however it ends. The folder itself is locked: a file for it would have to be
// kept out of backups, and could be removed.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return errHeld
	case errors.Is(err, syscall.EBADF), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOLCK):
		return nil // a file system that has no locks, as NFS has none for folders
	case err != nil:
		return fmt.Errorf("locking: %w", err)
	}
	return nil
}
