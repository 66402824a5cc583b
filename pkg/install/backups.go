package install

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// backupsDir is where backups go, unless DCS_BACKUP_DIR says another place.
const backupsDir = "backups"

// backups sees to the folder of the backups, which hold the secrets: Docker would
// make it for root, to be read by all. One that is in use stays as it is.
func (s *session) backups() error {
	name := backupsDir
	if dir := s.setting("DCS_BACKUP_DIR"); dir != "" {
		name = filepath.Clean(dir)
	}
	if !filepath.IsLocal(name) || name == "." {
		return nil // another disk: not ours to make
	}
	info, err := s.folder.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := s.makeFolders(filepath.Dir(name)); err != nil {
			return err
		}
		return s.mkdir(name, 0o700)
	case err != nil:
		return fmt.Errorf("the folder of the backups: %w", err)
	case !info.IsDir():
		return nil // a link to another disk, say
	}
	entries, err := fs.ReadDir(s.folder.root.FS(), name)
	if err != nil || len(entries) > 0 {
		return nil //nolint:nilerr // who may not look at it has not made it
	}
	return s.settle(name, 0o700)
}

// backupsElsewhere says so when the settings that came back name another folder
// than the one in which the backup was found.
func (s *session) backupsElsewhere() {
	dir := s.env["DCS_BACKUP_DIR"]
	if s.state(".env") != Restored || dir == "" || filepath.Clean(dir) == backupsDir || filepath.Clean(dir) == filepath.Dir(filepath.Clean(s.From)) {
		return
	}
	name := filepath.Base(s.From)
	s.notef("the .env that came back has DCS_BACKUP_DIR=%s: restore looks there now. Copy the backup to %s before, if it is not there; or change the line", dir, filepath.Join(dir, name))
}

// state is what became of a file.
func (s *session) state(name string) State {
	for _, i := range s.report.Items {
		if i.Name == name {
			return i.State
		}
	}
	return ""
}
