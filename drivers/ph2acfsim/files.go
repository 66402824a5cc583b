package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The results. The summary comes last: where it is, all of them are.
const (
	summaryFile = "summary.json"
	curvesFile  = "scurves.csv"
	rawFile     = "raw.bin"
)

// errExists is matched when the working directory has results already.
var errExists = errors.New("results are never overwritten: start in another directory")

// vacant says whether dir has no results.
func vacant(dir string) error {
	for _, name := range []string{summaryFile, curvesFile, rawFile} {
		_, err := os.Lstat(filepath.Join(dir, name))
		if err == nil {
			return fmt.Errorf("%s is there already: %w", name, errExists)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// results are the files of a run. Until publish they have a name that ends in
// .part.
type results struct {
	dir  string
	list []file
}

type file struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// write makes a file of what fill writes.
func (r *results) write(name string, fill func(w *bufio.Writer) error) (err error) {
	f, err := os.Create(filepath.Join(r.dir, name+".part"))
	if err != nil {
		return err
	}
	r.list = append(r.list, file{Name: name})
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 256<<10)
	if err := fill(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r.list[len(r.list)-1].Bytes = info.Size()
	return nil
}

// publish gives the files their names, in the order in which they were written.
func (r *results) publish() error {
	for _, f := range r.list {
		name := filepath.Join(r.dir, f.Name)
		if err := os.Rename(name+".part", name); err != nil {
			return err
		}
	}
	r.list = nil
	return nil
}

// discard removes what has not been published.
func (r *results) discard() {
	for _, f := range r.list {
		_ = os.Remove(filepath.Join(r.dir, f.Name+".part")) // a file that stays is seen to be half
	}
}
