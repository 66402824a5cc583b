//go:build unix

package install

import (
	"fmt"
	"io/fs"
	"syscall"
)

func inode(info fs.FileInfo) string {
	return fmt.Sprint(" inode ", info.Sys().(*syscall.Stat_t).Ino, " ")
}
