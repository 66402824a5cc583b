//go:build unix

package mqttd

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the file for this process. The kernel lets go of it when the
// process dies, however it dies, so that no stale lock stays behind.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.New("in use by another broker")
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}
