package keep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Forget removes a run that the sink has. Of the last one its record stays, and
// of one with files that are nowhere else all stays.
func (s *Store) Forget(r *Record) error {
	run := r.Report.Run
	if run < s.highest && !r.Only {
		// The record first: a folder without one is removed when the driver starts.
		if err := os.Remove(s.record(run)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing run %d, which is stored: %w", run, err)
		}
		if err := s.remove(s.Folder(run)); err != nil {
			return fmt.Errorf("removing run %d, which is stored: %w", run, err)
		}
		return nil
	}
	r.Stored = true
	if err := s.Save(r); err != nil || r.Only {
		return err
	}
	for _, name := range []string{"work", "files", LogName, "manifest.json"} {
		if err := s.remove(filepath.Join(s.Folder(run), name)); err != nil {
			return fmt.Errorf("removing %s of run %d, which is stored: %w", name, run, err)
		}
	}
	return nil
}

// remove removes a file or a folder, one in which a program has left folders
// that nothing can be removed from, too.
func (s *Store) remove(name string) error {
	err := os.RemoveAll(name)
	if err == nil {
		return nil
	}
	inside, err2 := filepath.Rel(s.dir, name)
	root, err3 := os.OpenRoot(s.dir) // nothing outside is changed, whatever links there are
	if err2 != nil || err3 != nil {
		return err
	}
	unlock(root, inside)
	_ = root.Close()
	return os.RemoveAll(name)
}

// unlock gives us the right to change a folder and those in it.
func unlock(root *os.Root, name string) {
	info, err := root.Lstat(name)
	if err != nil || !info.IsDir() {
		return
	}
	_ = root.Chmod(name, info.Mode().Perm()|0o700) // what this does not help, the next attempt to remove says
	dir, err := root.Open(name)
	if err != nil {
		return
	}
	entries, _ := dir.ReadDir(-1)
	_ = dir.Close()
	for _, e := range entries {
		if e.IsDir() { // no links
			unlock(root, filepath.Join(name, e.Name()))
		}
	}
}
