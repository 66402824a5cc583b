//go:build unix

package install

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// owner is whose the folder is: what root makes in it is given to him.
type owner struct {
	uid, gid int
	known    bool
}

func ownerOf(info fs.FileInfo) owner {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return owner{}
	}
	return owner{int(s.Uid), int(s.Gid), true}
}

func (o owner) give(root *os.Root, name string, info fs.FileInfo) error {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !o.known || !ok || int(s.Uid) == o.uid && int(s.Gid) == o.gid {
		return nil
	}
	if err := root.Lchown(name, o.uid, o.gid); err != nil {
		return fmt.Errorf("giving a file to the owner of the folder: %w: run this as that owner, or in the container with its capabilities CHOWN, DAC_OVERRIDE and FOWNER", err)
	}
	return nil
}
