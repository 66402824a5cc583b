package disk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWriteFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	for _, content := range []string{"first, and longer", "second"} {
		require.NoError(t, WriteFile(name, []byte(content), 0o600))
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, content, string(b))
	}
	entries, err := os.ReadDir(filepath.Dir(name))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing is left behind")
	require.Error(t, WriteFile(filepath.Join(name, "below a file"), nil, 0o600))
	info, err := os.Stat(name)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}

// TestWriteFileFollowsNoLink: root writes in folders of others, who may put a
// link in the way.
func TestWriteFileFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	name, victim := filepath.Join(dir, "a"), filepath.Join(dir, "victim")
	for what, put := range map[string]func() error{
		"symbolic": func() error { return os.Symlink(victim, name+".new") },
		"hard":     func() error { return os.Link(victim, name+".new") },
		"at the name": func() error {
			if err := os.Remove(name); err != nil {
				return err
			}
			return os.Symlink(victim, name)
		},
		"left by a crash": func() error { return os.WriteFile(name+".new", []byte("half, and much longer"), 0o644) },
	} {
		require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o600))
		require.NoError(t, os.WriteFile(name, []byte("old"), 0o600))
		require.NoError(t, put(), what)
		require.NoError(t, WriteFile(name, []byte("new"), 0o600), what)
		b, err := os.ReadFile(victim)
		require.NoError(t, err)
		assert.Equal(t, "precious", string(b), what)
		info, err := os.Lstat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode(), what)
		b, err = os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, "new", string(b), what)
		require.NoFileExists(t, name+".new", what)
	}
	require.NoError(t, os.MkdirAll(filepath.Join(name+".new", "full"), 0o700))
	require.Error(t, WriteFile(name, nil, 0o600))
}

func TestWriteFileWith(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	require.NoError(t, WriteFileWith(name, []byte("one"), 0o600, func(f *os.File) error {
		assert.NoFileExists(t, name, "it has no name yet")
		return f.Chmod(0o640)
	}))
	info, err := os.Stat(name)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode())
	require.ErrorIs(t, WriteFileWith(name, []byte("two"), 0o600, func(*os.File) error { return os.ErrPermission }), os.ErrPermission)
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, "one", string(b))
	assert.NoFileExists(t, name+".new", "nothing is left behind")
}

func TestFree(t *testing.T) {
	n, err := Free(t.TempDir())
	require.NoError(t, err)
	assert.Positive(t, n)
	_, err = Free("/there/is/no/such/folder")
	require.Error(t, err)
}
