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
	grown    bool   // bytes were added to the file meanwhile
	doubt    string // what is not sure of it; mostly nothing
}

func (out *copied) remove() {
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
		beside := c.siblings(name)
		if err = out.copy(f, c.temp); err != nil {
			break
		}
		if err := checkSQLite(out.File, out.size); err != nil {
			out.doubt = err.Error()
		} else if !out.steady(f) || c.siblings(name) != beside {
			out.doubt = "it was being written to"
		}
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

// siblings is the state of the files in which SQLite keeps what is under way.
func (c *copier) siblings(name string) (state string) {
	for _, end := range []string{"-journal", "-wal"} {
		if info, err := c.root.Lstat(name + end); err == nil {
			state += fmt.Sprintf("%s %d %d;", end, info.Size(), info.ModTime().UnixNano())
		}
	}
	return state
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

const sqlMagic = "SQLite format 3\x00"

// checkSQLite looks at the header of a copy, as SQLite's file format (1.3, The
// Database Header) has it: the size in pages counts when the change counter
// agrees with the one that it was written for.
func checkSQLite(f io.ReaderAt, size int64) error {
	head := make([]byte, 100)
	if _, err := f.ReadAt(head, 0); err != nil {
		return fmt.Errorf("its header is cut off: %w", err)
	}
	page := int64(binary.BigEndian.Uint16(head[16:]))
	if page == 1 {
		page = 65536
	}
	if page < 512 || page&(page-1) != 0 {
		return fmt.Errorf("pages of %d bytes cannot be", page)
	}
	if size%page != 0 {
		return fmt.Errorf("%d bytes are no whole pages of %d", size, page)
	}
	pages := int64(binary.BigEndian.Uint32(head[28:]))
	valid := binary.BigEndian.Uint32(head[24:]) == binary.BigEndian.Uint32(head[92:])
	if valid && pages > size/page {
		return fmt.Errorf("it has %d pages of %d", size/page, pages)
	}
	return nil
}

// lockFile reports whether a file is nothing but a lock.
func lockFile(info fs.FileInfo) bool {
	name := info.Name()
	return info.Size() == 0 && (name == "lock" || filepath.Ext(name) == ".lock")
}
