package install

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
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
	"strings"
)

// What a backup has of the configuration, as pkg/backup writes it.
const (
	manifestName = "manifest.json"
	configName   = "config.tar.gz"
	newestFormat = 1
)

// MaxConfig is how many bytes of configuration are taken out of a backup, packed
// and unpacked: secrets and a few files of settings have kilobytes.
const MaxConfig = 64 << 20

// saved is a file in a backup.
type saved struct {
	name string
	b    []byte
	mode fs.FileMode
}

// restore takes secrets and configuration out of a backup, into an installation
// that has no secrets yet. A file that is there already stays.
func (s *session) restore() error {
	if err := s.noSecrets(); err != nil {
		return err
	}
	packed, err := readConfig(s.From)
	if err != nil {
		return err
	}
	files, err := unpack(packed)
	if err != nil {
		return fmt.Errorf("%s: %w", configName, err)
	}
	if err := s.makeSecrets(); err != nil {
		return err
	}
	// The secrets last: one that is there ends a second try.
	slices.SortStableFunc(files, func(a, b saved) int { return secretsRank(a.name) - secretsRank(b.name) })
	for _, f := range files {
		if err := s.takeBack(f); err != nil {
			return err
		}
	}
	return nil
}

func secretsRank(name string) int {
	if filepath.Dir(name) == secretsDir {
		return 1
	}
	return 0
}

// noSecrets complains of secrets: those of the backup would mix with them.
func (s *session) noSecrets() error {
	entries, err := fs.ReadDir(s.folder.root.FS(), secretsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "README.md" && e.Name() != ".gitignore" {
			names = append(names, "secrets/"+e.Name())
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("this installation has secrets already: %s. Take another folder, or put them away first", strings.Join(names, ", "))
	}
	return nil
}

// readConfig reads the packed configuration, and compares its sum.
func readConfig(dir string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if _, gone := os.Stat(dir); errors.Is(gone, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s: in the container only what is below the installation's folder and /backups can be seen", dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("it is no complete backup: there is no %s in it", manifestName)
	}
	if err != nil {
		return nil, err
	}
	var m struct {
		Format  int
		Version string
		Files   map[string]struct {
			Size   int64
			SHA256 string
		}
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", manifestName, err)
	}
	want, ok := m.Files[configName]
	switch {
	case m.Format > newestFormat:
		return nil, fmt.Errorf("it has format %d, made by dcs %s; this dcs knows up to %d: use a newer one", m.Format, m.Version, newestFormat)
	case m.Format < 1 || m.Files == nil:
		return nil, fmt.Errorf("%s is not one of dcs backup", manifestName)
	case !ok:
		return nil, errors.New("it has no configuration: it was made where dcs backup did not see the installation's folder. Take another backup, or run this without --from for new secrets")
	case want.Size > MaxConfig:
		return nil, fmt.Errorf("%s has %d bytes: no configuration is that large", configName, want.Size)
	}
	f, err := os.Open(filepath.Join(dir, configName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	packed, err := io.ReadAll(io.LimitReader(f, want.Size+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", configName, err)
	}
	sum := sha256.Sum256(packed)
	if int64(len(packed)) != want.Size || hex.EncodeToString(sum[:]) != want.SHA256 {
		return nil, fmt.Errorf("%s was changed: its SHA-256 is not the one in %s. Take another backup", configName, manifestName)
	}
	return packed, nil
}

// unpack reads all files before one is written. Names that lead out of the
// folder, and what is neither a file nor a folder, are errors.
func unpack(packed []byte) ([]saved, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	var files []saved
	left := int64(MaxConfig)
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		name := filepath.Clean(filepath.FromSlash(h.Name))
		switch {
		case !filepath.IsLocal(name) || name == ".git" || strings.HasPrefix(name, ".git"+string(filepath.Separator)):
			return nil, fmt.Errorf("%q is no file of an installation: this is not a backup of dcs", h.Name)
		case h.Typeflag == tar.TypeDir:
			continue
		case h.Typeflag != tar.TypeReg:
			return nil, fmt.Errorf("%q is neither a file nor a folder: take the configuration out by hand", h.Name)
		case h.Size > left:
			return nil, errors.New("it is too large for a configuration")
		}
		left -= h.Size
		b, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		files = append(files, saved{name, b, h.FileInfo().Mode().Perm()})
	}
}

// takeBack writes a file, unless there is one.
func (s *session) takeBack(f saved) error {
	old, there, err := s.read(f.name)
	if err != nil {
		return err
	}
	if there {
		if !bytes.Equal(old, f.b) {
			s.notef("%s is another one than in the backup, and stays", f.name)
		}
		return nil
	}
	if err := s.makeFolders(filepath.Dir(f.name)); err != nil {
		return err
	}
	mode := f.mode & 0o755
	if secretsRank(f.name) > 0 {
		mode = forAll
		if name := filepath.Base(f.name); name == caKey || name == firstLoginName {
			mode = forOwner
		}
	}
	if err := s.create(f.name, f.b, mode); err != nil {
		return err
	}
	s.add(groupBackup, f.name, Restored)
	return nil
}

// makeFolders makes the folder of a file and those above it.
func (s *session) makeFolders(dir string) error {
	if dir == "." {
		return nil
	}
	if _, err := s.folder.root.Stat(dir); err == nil {
		return nil
	}
	if err := s.makeFolders(filepath.Dir(dir)); err != nil {
		return err
	}
	mode := fs.FileMode(0o755)
	if dir == secretsDir {
		mode = 0o700
	}
	return s.mkdir(dir, mode)
}
