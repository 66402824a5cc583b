//go:build unix

package accounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockRetry is how often a lock that another holds is tried again; it is held
// for as long as it takes to write a small file.
const lockRetry = 10 * time.Millisecond

// lock keeps all others from writing, in this process too. The kernel lets go
// of it when the process dies. A link in the place of the lock is an error:
// root must not open, and give away, what somebody else points at.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a link: remove it", path)
	}
	if err != nil {
		return nil, err
	}
	if err := ownLock(f, path); err != nil {
		_ = f.Close()
		return nil, err
	}
	tick := time.NewTicker(lockRetry)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		}
	}
}

// ownLock gives the lock to the owner of its folder. What has a second name is
// somebody else's file.
func ownLock(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || ok && s.Nlink > 1 {
		return fmt.Errorf("%s is no lock but something else, or another name of it: remove it", path)
	}
	return likeFolder(f, filepath.Dir(path))
}

// likeFolder gives what root has written to the owner of its folder: the gateway
// must read what `sudo dcs user add` writes. It goes by the open file: a name may
// be another's by now.
func likeFolder(f *os.File, dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 {
		_ = f.Chown(int(owner.Uid), int(owner.Gid)) // where root may not, all is root's
	}
	return nil
}

// folderLikeParent does the same with a folder that was just made.
func folderLikeParent(dir string) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_DIRECTORY, 0)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	_ = likeFolder(f, filepath.Dir(dir))
}
