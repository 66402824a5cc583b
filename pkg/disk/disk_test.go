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

func TestFree(t *testing.T) {
	n, err := Free(t.TempDir())
	require.NoError(t, err)
	assert.Positive(t, n)
	_, err = Free("/there/is/no/such/folder")
	require.Error(t, err)
}
