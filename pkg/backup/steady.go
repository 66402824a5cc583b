package backup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// How often a file that changes while it is copied is copied again, and how long
// is waited in between. One that only grows, as a log does, may be cut: all that
// read those take a last record that has no end for one that was never
// confirmed.
const (
	tries     = 20
	growTries = 3
	triesGap  = 50 * time.Millisecond
)

// Kinds of files that are good as a whole or not at all.
const (
	plainFile = ""
	boltFile  = "bbolt"
	sqlFile   = "SQLite"
)

// copier copies files of a tree that others write to.
type copier struct {
	root *os.Root
	temp string // folder for copies
	gap  time.Duration
}

// copied is a copy of a file.
type copied struct {
	*os.File             // to be read from its beginning
	info     fs.FileInfo // of the file, before it was copied
	size     int64       // of the copy
	kind     string
	grown    bool    // bytes were added to the file meanwhile
	doubt    string  // what is not sure of it; mostly nothing
	log      *copied // of SQLite, its write-ahead log; nil if there is none
}

func (out *copied) remove() {
	if out.log != nil {
		out.log.remove()
	}
	if out.File != nil {
		_ = out.Close()
		_ = os.Remove(out.Name())
	}
}

// copyFile copies a file that may be written to meanwhile. One that has vanished
// is fs.ErrNotExist.
func (c *copier) copyFile(ctx context.Context, name string) (*copied, error) {
	for try := 1; ; try++ {
		out, err := c.copyOnce(name)
		if err != nil {
			return nil, err
		}
		if out.doubt == "" || try == tries || out.grown && try >= growTries {
			return out, nil
		}
		out.remove()
		select {
		case <-time.After(c.gap):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// copyOnce copies a file and says in doubt why the copy may be bad.
func (c *copier) copyOnce(name string) (*copied, error) {
	f, err := c.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fs.ErrNotExist // it was replaced by something else
	}
	kind, err := kindOf(f)
	if err != nil {
		return nil, err
	}
	out := &copied{info: before, kind: kind}
	switch kind {
	case boltFile:
		err = out.copyBolt(f, c.temp)
	case sqlFile:
		err = c.copySQLite(f, out, name)
	default:
		if err = out.copy(f, c.temp); err == nil && !out.steady(f) {
			out.doubt = "it was written to each time it was copied"
			if out.grown {
				out.doubt = "it grew each time it was copied; the copy is its beginning"
			}
		}
	}
	if err == nil {
		_, err = out.Seek(0, io.SeekStart)
	}
	if err != nil {
		out.remove()
		return nil, fmt.Errorf("copying %s: %w", name, err)
	}
	return out, nil
}

// copy copies all that there is of a file.
func (out *copied) copy(f *os.File, temp string) (err error) {
	if out.File, err = os.CreateTemp(temp, "copy-"); err != nil {
		return err
	}
	out.size, err = io.Copy(out.File, f)
	return err
}

// steady reports whether the file has stayed as it was.
func (out *copied) steady(f *os.File) bool {
	after, err := f.Stat()
	if err != nil {
		return false
	}
	out.grown = after.Size() > out.info.Size() && out.size >= out.info.Size()
	return out.size == after.Size() && out.info.Size() == after.Size() && out.info.ModTime().Equal(after.ModTime())
}

// kindOf tells a file by its first bytes.
func kindOf(f io.ReaderAt) (string, error) {
	head := make([]byte, 32)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	switch {
	case n >= 20 && binary.NativeEndian.Uint32(head[boltHeader:]) == boltMagic:
		return boltFile, nil
	case n >= 16 && string(head[:16]) == sqlMagic:
		return sqlFile, nil
	}
	return plainFile, nil
}

// lockFile reports whether a file is nothing but a lock.
func lockFile(info fs.FileInfo) bool {
	name := info.Name()
	return info.Size() == 0 && (name == "lock" || filepath.Ext(name) == ".lock")
}
