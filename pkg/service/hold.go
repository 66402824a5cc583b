//go:build unix

package service

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// holdRetry is how often a folder that another program holds is tried again.
const holdRetry = 500 * time.Millisecond

// HoldDir makes a program's data folder and holds it for this program alone:
// two drivers that write one file would each lose what the other keeps. A
// folder that is held by another is waited for, and that is said. When ctx ends
// before, both the error and release are nil.
func HoldDir(ctx context.Context, dir string, log *slog.Logger) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("DCS_DATA_DIR: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("DCS_DATA_DIR: %w", err)
	}
	tick := time.NewTicker(holdRetry)
	defer tick.Stop()
	for said := false; ; said = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // the lock ends with the file, also when the program is killed
		}
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR { //nolint:errorlint // Flock returns bare numbers
			_ = f.Close()
			return nil, fmt.Errorf("DCS_DATA_DIR: holding %s: %w", dir, err)
		}
		if !said {
			log.Warn("waiting for the data folder: another program of this name holds it, end one of the two", "folder", dir)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = f.Close()
			return nil, nil
		}
	}
}
