package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"trackerdcs/pkg/wire"
)

// writing is a file that grows, and the SHA-256 of what is in it.
type writing struct {
	f   *os.File
	sum hash.Hash
}

// openWriting opens a file to be written on behind its first size bytes.
func openWriting(name string, size int64) (*writing, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	w := &writing{f: f, sum: sha256.New()}
	if err := f.Truncate(size); err != nil {
		w.close()
		return nil, err
	}
	if n, err := io.Copy(w.sum, f); err != nil || n != size {
		w.close()
		return nil, fmt.Errorf("reading %s again: %d of %d bytes: %w", name, n, size, err)
	}
	return w, nil
}

func (w *writing) write(b []byte) error {
	if _, err := w.f.Write(b); err != nil {
		return err
	}
	w.sum.Write(b)
	return nil
}

// finish brings the file to the disk, closes it and gives its SHA-256.
func (w *writing) finish() (string, error) {
	err := errors.Join(w.f.Sync(), w.f.Close())
	return hex.EncodeToString(w.sum.Sum(nil)), err
}

func (w *writing) close() { _ = w.f.Close() } // what was written is looked at anew

// resume finds how far a run has come: the first file that is not whole, and of
// it all whole chunks.
func resume(dir string, files []wire.File) (position, error) {
	for i, f := range files {
		info, err := os.Stat(FilePath(dir, i))
		var size int64
		switch {
		case err == nil:
			size = info.Size()
		case !errors.Is(err, fs.ErrNotExist):
			return position{}, err
		}
		if size == f.Size && (err == nil || f.Size == 0) && i+1 < len(files) {
			// A file is begun only after the one before it was found to be right.
			if _, err := os.Stat(FilePath(dir, i+1)); err == nil {
				continue
			}
		}
		return position{file: i, chunk: min(size/wire.ChunkSize, chunks(f.Size))}.whole(size, f.Size), nil
	}
	return position{file: len(files)}, nil
}

// whole counts the last chunk of a file, which may be shorter, when the file
// has all of its bytes.
func (p position) whole(size, all int64) position {
	if size == all {
		p.chunk = chunks(all)
	}
	return p
}
