//go:build unix

package accounts

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ownerOf is whose a file is.
func ownerOf(t *testing.T, name string) uint32 {
	t.Helper()
	info, err := os.Lstat(name)
	require.NoError(t, err)
	return info.Sys().(*syscall.Stat_t).Uid
}

// TestLinksInTheWay: whom the folder belongs to may put links into it, and gets
// no file of root's by that. As somebody else than root the test shows that no
// link is followed; as root that nothing is given away either.
func TestLinksInTheWay(t *testing.T) {
	for _, tt := range []struct {
		name string
		link func(old, name string) error
		at   string
		ok   bool // it is written all the same
	}{
		{"lock", os.Symlink, ".lock", false},
		{"lock, hard", os.Link, ".lock", false},
		{"new", os.Symlink, ".new", true},
		{"new, hard", os.Link, ".new", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			require.NoError(t, s.Add(t.Context(), "alice", Viewer, good))
			dir := filepath.Dir(s.Path())
			const somebody = 12345
			if os.Geteuid() == 0 {
				require.NoError(t, os.Chown(dir, somebody, somebody))
			}
			victim := filepath.Join(t.TempDir(), "victim")
			require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o600))
			mine := ownerOf(t, victim)
			require.NoError(t, os.RemoveAll(s.Path()+tt.at))
			require.NoError(t, tt.link(victim, s.Path()+tt.at))
			_, err := s.AddToken(t.Context(), "script", Viewer, time.Now().Add(time.Hour))
			if tt.ok {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "users.json.lock is ")
				require.ErrorContains(t, err, "remove it")
			}
			b, err := os.ReadFile(victim)
			require.NoError(t, err)
			assert.Equal(t, "precious", string(b))
			assert.Equal(t, mine, ownerOf(t, victim))
			if tt.ok && os.Geteuid() == 0 {
				assert.EqualValues(t, somebody, ownerOf(t, s.Path()), "the gateway can read it")
				assert.EqualValues(t, somebody, ownerOf(t, s.Path()+".lock"))
			}
		})
	}
	t.Run("a link that leads nowhere", func(t *testing.T) {
		s := open(t)
		require.NoError(t, os.Mkdir(filepath.Dir(s.Path()), 0o700))
		made := filepath.Join(t.TempDir(), "made")
		require.NoError(t, os.Symlink(made, s.Path()+".lock"))
		require.ErrorContains(t, s.Add(t.Context(), "alice", Viewer, good), "is a link: remove it")
		assert.NoFileExists(t, made)
	})
}
