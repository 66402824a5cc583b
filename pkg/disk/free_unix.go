//go:build unix

package disk

import "golang.org/x/sys/unix"

// Free is how many bytes a program that is not root can still write to the
// disk that dir is on.
func Free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:gosec,unconvert // no disk of ours has 8 EiB; the type of Bsize is the system's
}
