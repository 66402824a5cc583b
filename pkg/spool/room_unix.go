//go:build unix

package spool

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// leaves reports ErrFull when n more bytes would not leave the reserve. Where
// the disk does not tell its room, writing to it will.
func (s *Spool) leaves(n int64) error {
	var d unix.Statfs_t
	if s.opts.Reserve <= 0 || unix.Statfs(s.dir, &d) != nil {
		return nil
	}
	block := int64(d.Bsize)
	reserve := min(s.opts.Reserve, int64(d.Blocks)*block/10)
	if free := int64(d.Bavail) * block; free < reserve+n {
		return fmt.Errorf("%w: no space left on device: %d bytes are free, %d of the reserve", ErrFull, free, reserve)
	}
	return nil
}
