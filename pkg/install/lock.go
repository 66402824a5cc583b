package install

import (
	"errors"
	"fmt"
	"io/fs"
)

// errHeld says that another process has the lock.
var errHeld = errors.New("held")

// lockSecrets keeps two runs from making one secret twice: a password here and
// the hash of another there. It holds until the session is closed.
func (s *session) lockSecrets() error {
	if s.held != nil {
		return nil
	}
	info, err := s.folder.root.Lstat(secretsDir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil // it is made later, or complained of
	}
	if err != nil {
		return err
	}
	dir, err := s.folder.root.Open(secretsDir)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: run this as the owner of the folder, or in the container", err)
	}
	if err != nil {
		return fmt.Errorf("looking for secrets: %w", err)
	}
	if err := lock(dir); err != nil {
		_ = dir.Close()
		if errors.Is(err, errHeld) {
			return errors.New("another dcs init is at work in this installation: wait until it has ended, and run this again if need be")
		}
		return fmt.Errorf("%s: %w", secretsDir, err)
	}
	s.held = dir
	return nil
}

// makeSecrets makes the folder of the secrets, and locks it.
func (s *session) makeSecrets() error {
	if err := s.folder.mkdir(secretsDir, 0o700); err != nil {
		return err
	}
	return s.lockSecrets()
}

// end lets go of everything.
func (s *session) end() {
	if s.held != nil {
		_ = s.held.Close()
	}
	s.close()
}
