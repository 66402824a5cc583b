package install

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The backups have the secrets in them: their folder is their owner's alone,
// before Docker makes one for everybody.
func TestFolderOfBackups(t *testing.T) {
	mode := func(path string) fs.FileMode {
		t.Helper()
		info, err := os.Lstat(path)
		require.NoError(t, err)
		return info.Mode()
	}
	for name, tt := range map[string]struct {
		dir    string // DCS_BACKUP_DIR
		before func(dir string) error
		where  string // it is then
		want   fs.FileMode
	}{
		"new":            {"", nil, "backups", fs.ModeDir | 0o700},
		"made by Docker": {"", func(d string) error { return os.Mkdir(d+"/backups", 0o755) }, "backups", fs.ModeDir | 0o700},
		"in use":         {"", func(d string) error { return os.MkdirAll(d+"/backups/x", 0o755) }, "backups", fs.ModeDir | 0o755},
		"a link":         {"", func(d string) error { return os.Symlink(d, d+"/backups") }, "backups", fs.ModeSymlink | 0o777},
		"another name":   {"./data/bk", nil, "data/bk", fs.ModeDir | 0o700},
		"another disk":   {filepath.Join(t.TempDir(), "disk"), nil, "", 0},
		"outside":        {"../bk", nil, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.env["DCS_BACKUP_DIR"] = tt.dir
			if tt.before != nil {
				require.NoError(t, tt.before(p.dir))
			}
			p.run(Options{})
			if tt.where == "" {
				assert.NoDirExists(t, filepath.Join(p.dir, "backups"))
				assert.NoDirExists(t, filepath.Join(p.dir, tt.dir))
				return
			}
			assert.Equal(t, tt.want, mode(filepath.Join(p.dir, tt.where)))
		})
	}
}
