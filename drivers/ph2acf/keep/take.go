package keep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"trackerdcs/pkg/wire"
)

var (
	errIrregular = errors.New("it is no regular file")
	errChanged   = errors.New("it changed while it was read")
)

// storeError is one of writing to the driver's own disk.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

func storing(err error) error {
	if err == nil {
		return nil
	}
	return storeError{err}
}

// faults are errors that say something of a file. All others, as of a disk that
// is full or broken, or of a process with too many open files, say something of
// this moment.
var faults = []syscall.Errno{
	syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.ELOOP, syscall.ENOTDIR, syscall.EISDIR,
	syscall.ENAMETOOLONG, syscall.ENXIO, syscall.ENODEV, syscall.EINVAL,
}

// ownFault reports whether a file cannot be taken for what it is, now or later.
func ownFault(err error) bool {
	var s storeError
	if errors.As(err, &s) {
		return false
	}
	var n syscall.Errno
	return !errors.As(err, &n) || slices.Contains(faults, n) // without a number: it leads out of the directory, or is as we say
}

// looking is a file system that remembers the first error which fs.Glob would
// keep to itself: a folder that cannot be read does not look like an empty one.
type looking struct {
	fs.FS
	err error
}

func (l *looking) note(err error) {
	if err != nil && l.err == nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		l.err = err
	}
}

// ReadDir reads a folder.
func (l *looking) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := fs.ReadDir(l.FS, name)
	l.note(err)
	return e, err
}

// Stat looks at a file, without opening it.
func (l *looking) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(l.FS, name)
	l.note(err)
	return info, err
}

// take sums up a file, and copies it if that is needed.
func (c *collector) take(name string) (int64, string, error) {
	in, err := c.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // not waiting for the other end of a pipe
	if err != nil {
		return 0, "", err
	}
	defer in.Close()
	if c.into == "" {
		size, sum, err := sumUp(c.ctx, in, io.Discard)
		if err == nil {
			err = storing(in.Sync()) // the program has perhaps not done that
		}
		return size, sum, err
	}
	to := filepath.Join(c.into, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return 0, "", storing(err)
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return 0, "", storing(err)
	}
	size, sum, err := sumUp(c.ctx, in, out)
	if err == nil {
		err = storing(out.Sync())
	}
	if err = errors.Join(err, storing(out.Close())); err != nil {
		_ = os.Remove(to)
	}
	return size, sum, err
}

// sumUp reads a file once. One that changes meanwhile is an error.
func sumUp(ctx context.Context, in *os.File, out io.Writer) (int64, string, error) {
	before, err := in.Stat()
	if err != nil {
		return 0, "", err
	}
	if !before.Mode().IsRegular() {
		return 0, "", errIrregular
	}
	h := sha256.New()
	all := io.LimitReader(&during{ctx, in}, before.Size()+1) // one that grows has no end
	n, err := io.CopyBuffer(io.MultiWriter(h, writerOnly{out}), all, make([]byte, 256<<10))
	if err != nil {
		return 0, "", err
	}
	after, err := in.Stat()
	if err != nil {
		return 0, "", err
	}
	if n != before.Size() || n != after.Size() || !before.ModTime().Equal(after.ModTime()) {
		return 0, "", fmt.Errorf("%w (%d, %d and %d bytes): something still writes to it", errChanged, before.Size(), n, after.Size())
	}
	return n, hex.EncodeToString(h.Sum(nil)), nil
}

type writerOnly struct{ w io.Writer }

func (w writerOnly) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	return n, storing(err)
}

// during reads as long as the context lives.
type during struct {
	ctx context.Context
	r   io.Reader
}

func (d *during) Read(b []byte) (int, error) {
	if err := d.ctx.Err(); err != nil {
		return 0, err
	}
	return d.r.Read(b)
}

func (s *Store) sumLog(ctx context.Context, run int64) (wire.File, error) {
	f, err := os.Open(s.Log(run))
	if err != nil {
		return wire.File{}, err
	}
	defer f.Close()
	size, sum, err := sumUp(ctx, f, io.Discard)
	return wire.File{Name: LogName, Size: size, SHA256: sum, Read: wire.ReadLog}, err
}
