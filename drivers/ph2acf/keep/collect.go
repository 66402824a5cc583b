package keep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"trackerdcs/drivers/ph2acf/procedure"
	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/transfer"
	"trackerdcs/pkg/wire"
)

const (
	maxLeft = 100 // reasons in a manifest

	// clockGrain is how far the times of files are behind the clock.
	clockGrain = 20 * time.Millisecond
)

// collector finds the files of a run.
type collector struct {
	ctx   context.Context
	root  *os.Root
	since time.Time // what is older is not this run's, in a shared directory
	into  string    // where copies go, in a shared directory; else empty
	seen  map[string]bool
	files []wire.File
	left  []string
	more  int // reasons that found no room in left
}

// Collect sums up the files of a run that has ended; those in a directory that
// it shares with others are copied, so that the next run cannot overwrite them.
// Missing are the globs of required files of which there is none.
func (s *Store) Collect(ctx context.Context, r *Record) (m wire.Manifest, missing []string, err error) {
	c := &collector{ctx: ctx, seen: map[string]bool{LogName: true}}
	if r.Shared {
		c.since, c.into = r.Report.Start.Add(-clockGrain), s.base(r)
		if err := os.RemoveAll(c.into); err != nil { // of an attempt that was cut off
			return m, nil, fmt.Errorf("making room for copies: %w", err)
		}
	}
	switch c.root, err = os.OpenRoot(r.Directory); {
	case err != nil && len(r.Files) > 0:
		c.leave("the directory: %v", err)
	case err == nil && r.Shared && r.Report.Start.IsZero(): // nothing in it can be this run's
		_ = c.root.Close()
		c.root = nil
	case err == nil:
		defer func() { _ = c.root.Close() }() // it was only read
	}
	for _, f := range r.Files {
		found := false
		if c.root != nil {
			if found, err = c.glob(f, r.Report.Run); err != nil {
				return m, nil, err
			}
		}
		if f.Required && !found {
			missing = append(missing, procedure.WithRun(f.Glob, r.Report.Run))
		}
	}
	if log, err := s.sumLog(ctx, r.Report.Run); err == nil {
		c.files = append(c.files, log)
	} else if ctx.Err() != nil {
		return m, nil, ctx.Err()
	} else {
		c.leave("%s: %v", LogName, err)
	}
	if c.more > 0 {
		c.left = append(c.left, fmt.Sprintf("… and %d more", c.more))
	}
	return wire.Manifest{Report: r.Report, Program: r.Program, Arguments: r.Arguments, Versions: r.Versions, Files: c.files, Left: c.left}, missing, nil
}

// SaveManifest writes a manifest down.
func (s *Store) SaveManifest(m wire.Manifest) error {
	b, err := json.Marshal(m)
	if err == nil {
		err = disk.WriteFile(s.manifest(m.Run), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keeping the manifest of run %d: %w", m.Run, err)
	}
	return nil
}

func (c *collector) leave(format string, args ...any) {
	if len(c.left) == maxLeft {
		c.more++
		return
	}
	c.left = append(c.left, fmt.Sprintf(format, args...))
}

// glob takes the files that fit, and reports whether there are any, those
// included that an earlier glob has taken. The error is the context's.
func (c *collector) glob(f procedure.File, run int64) (found bool, err error) {
	names, err := fs.Glob(c.root.FS(), procedure.WithRun(f.Glob, run))
	if err != nil {
		c.leave("%s: %v", f.Glob, err)
		return false, nil
	}
	for _, name := range names {
		if c.seen[name] {
			found = found || c.taken(name)
			if name == LogName {
				c.leave("%s: the name is taken by what the program printed", name)
			}
			continue
		}
		info, err := c.root.Stat(name) // through symbolic links, but not out of the directory
		if err == nil && (info.IsDir() || info.ModTime().Before(c.since)) {
			continue
		}
		c.seen[name] = true
		switch {
		case err != nil:
			c.leave("%s: %v", name, err)
			continue
		case !info.Mode().IsRegular():
			c.leave("%s: it is no regular file", name)
			continue
		case transfer.CheckFileName(name) != nil:
			c.leave("%q: %v", wire.Echo(name), transfer.CheckFileName(name))
			continue
		case len(c.files) >= transfer.MaxFiles-1: // and the log
			c.leave("%s: there are %d files already, and no more are taken", name, len(c.files))
			continue
		}
		size, sum, err := c.take(name)
		switch {
		case c.ctx.Err() != nil:
			return found, c.ctx.Err()
		case err != nil:
			c.leave("%s: %v", name, err)
		default:
			found = true
			c.files = append(c.files, wire.File{Name: name, Size: size, SHA256: sum, Read: f.Read})
		}
	}
	return found, nil
}

func (c *collector) taken(name string) bool {
	return slices.ContainsFunc(c.files, func(f wire.File) bool { return f.Name == name })
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
			err = in.Sync() // the program has perhaps not done that
		}
		return size, sum, err
	}
	to := filepath.Join(c.into, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return 0, "", err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return 0, "", err
	}
	size, sum, err := sumUp(c.ctx, in, out)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
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
		return 0, "", errors.New("it is no regular file")
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
		return 0, "", fmt.Errorf("it changed while it was read (%d, %d and %d bytes): something still writes to it", before.Size(), n, after.Size())
	}
	return n, hex.EncodeToString(h.Sum(nil)), nil
}

type writerOnly struct{ io.Writer }

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
