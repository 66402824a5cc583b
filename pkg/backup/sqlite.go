package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

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

// Files in which SQLite keeps what is under way: a journal of what a transaction
// has written over, which is emptied or removed at its end, and a log of what is
// not in the database yet.
const (
	sqlJournal = "-journal"
	sqlLog     = "-wal"
	sqlIndex   = "-shm" // of the log; made again from it
)

// copySQLite copies a database and its write-ahead log as one.
func (c *copier) copySQLite(f *os.File, out *copied, name string) error {
	beside := c.siblings(name)
	if err := out.copy(f, c.temp); err != nil {
		return err
	}
	if err := c.copyLog(out, name); err != nil {
		return err
	}
	if err := checkSQLite(out.File, out.size); err != nil {
		out.doubt = err.Error()
	} else if c.underWay(name) {
		out.doubt = "a transaction was under way, or was when the power failed"
	} else if !out.steady(f) || c.siblings(name) != beside {
		out.doubt = "it was being written to"
	}
	return nil
}

func (c *copier) copyLog(out *copied, name string) error {
	f, err := c.root.Open(name + sqlLog)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	out.log = &copied{kind: plainFile}
	if out.log.info, err = f.Stat(); err != nil {
		return err
	}
	if err = out.log.copy(f, c.temp); err != nil {
		return err
	}
	_, err = out.log.Seek(0, io.SeekStart)
	return err
}

// underWay reports whether there is a journal of a transaction: the database has
// to be put back with it, and a copy without would be torn. Its head is of zeros
// when the transaction has ended and the file is kept.
func (c *copier) underWay(name string) bool {
	f, err := c.root.Open(name + sqlJournal)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 8)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	return strings.Trim(string(head[:n]), "\x00") != ""
}

// siblings is the state of those files.
func (c *copier) siblings(name string) (state string) {
	for _, end := range []string{sqlJournal, sqlLog} {
		if info, err := c.root.Lstat(name + end); err == nil {
			state += fmt.Sprintf("%s %d %d;", end, info.Size(), info.ModTime().UnixNano())
		}
	}
	return state
}

// belongsTo is the database of which a file is a journal, a log or its index, by
// its name.
func belongsTo(name string) (database string, ok bool) {
	for _, end := range []string{sqlJournal, sqlLog, sqlIndex} {
		if database, ok = strings.CutSuffix(name, end); ok {
			return database, true
		}
	}
	return "", false
}

// withDatabase reports whether a file is one of those of a database, with which
// it is copied.
func (c *copier) withDatabase(name string) bool {
	database, ok := belongsTo(name)
	if !ok {
		return false
	}
	f, err := c.root.Open(database)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	kind, err := kindOf(f)
	return err == nil && kind == sqlFile
}
