package dht

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// replug is how often ServePTY looks whether a cable that was pulled out is back.
const replug = 20 * time.Millisecond

// ServePTY prints to a pseudo-terminal, to which path is made a symbolic link,
// until ctx ends; then it removes the link and returns nil. A link that stands
// at path is replaced, anything else is left alone and reported.
func (in *Instrument) ServePTY(ctx context.Context, path string) error {
	for {
		if in.wire.Refused() {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(replug):
				continue
			}
		}
		if err := in.terminal(ctx, path); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// terminal is one pseudo-terminal, from its opening until Drop or the end of ctx.
func (in *Instrument) terminal(ctx context.Context, path string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t, name, err := openTerminal()
	if err != nil {
		return fmt.Errorf("pseudo-terminal: %w", err)
	}
	plug := &plug{t, cancel}
	if !in.wire.Add(plug) {
		return nil
	}
	defer in.wire.Remove(plug)
	if err := link(name, path); err != nil {
		return err
	}
	defer unlink(name, path)
	in.print(ctx, func(out []byte) error {
		err := t.write(out)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil // nobody reads fast enough: a serial line loses bytes
		}
		return err
	})
	return nil
}

// plug is what Drop pulls out.
type plug struct {
	terminal *terminal
	cancel   context.CancelFunc
}

func (p *plug) Close() error {
	p.cancel()
	return p.terminal.Close()
}

// link makes path a symbolic link to name, in one step.
func link(name, path string) error {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.Mode()&fs.ModeSymlink == 0:
		return fmt.Errorf("%s stands already and is no symbolic link", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	next := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Symlink(name, next); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		_ = os.Remove(next)
		return err
	}
	return nil
}

// unlink removes path if it still points to name.
func unlink(name, path string) {
	if to, err := os.Readlink(path); err == nil && to == name {
		_ = os.Remove(path)
	}
}
