package install

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const somebody = 12345

// asSomebody does f as a user without any rights, if this is root. Only the
// thread that does it is that user, and it ends with it.
func asSomebody(f func()) {
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		for _, call := range []uintptr{syscall.SYS_SETRESGID, syscall.SYS_SETRESUID} {
			if _, _, errno := syscall.RawSyscall(call, somebody, somebody, somebody); errno != 0 {
				panic(errno)
			}
		}
		f()
	}()
	<-done
}

// openPlace is a place whose folder belongs to somebody.
func openPlace(t *testing.T) *place {
	p := newPlace(t)
	dir, err := os.MkdirTemp("", "install-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p.dir = dir
	p.write("instruments.yml", lab)
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(dir, somebody, somebody))
	}
	return p
}

func (p *place) owners() map[int]bool {
	p.t.Helper()
	found := make(map[int]bool)
	for _, name := range append([]string{"secrets", "docker-compose.override.yml"}, allSecrets...) {
		path := filepath.Join(p.dir, name)
		if filepath.Ext(name) == "" && name != "secrets" {
			path = filepath.Join(p.dir, "secrets", name)
		}
		info, err := os.Stat(path)
		require.NoError(p.t, err)
		found[int(info.Sys().(*syscall.Stat_t).Uid)] = true
	}
	return found
}

// TestWithoutRoot: the owner of the folder needs no rights but his own, also to
// renew what nobody may write to.
func TestWithoutRoot(t *testing.T) {
	p := openPlace(t)
	var errs [4]error
	asSomebody(func() {
		_, errs[0] = p.try(Options{})
		_, errs[1] = p.try(Options{})
		_, errs[2] = p.try(Options{Rotate: []string{"broker_hv", "ca_crt", "first_login", "mongo_uri_backup"}})
		_, errs[3] = p.try(Options{})
	})
	for _, err := range errs {
		require.NoError(t, err)
	}
	assert.Len(t, p.owners(), 1)
}

// TestAsRoot: what root makes belongs to whom the folder belongs, as in the
// container.
func TestAsRoot(t *testing.T) {
	p := openPlace(t)
	p.run(Options{})
	info, err := os.Stat(p.dir)
	require.NoError(t, err)
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	assert.Equal(t, map[int]bool{owner: true}, p.owners())
	p.run(Options{Rotate: []string{"broker_hv", "ca_crt", "first_login"}})
	assert.Equal(t, map[int]bool{owner: true}, p.owners())
	var err2 error
	asSomebody(func() { _, err2 = p.try(Options{Rotate: []string{"ca_crt"}}) })
	require.NoError(t, err2, "and the owner goes on with it")
}

// TestNotTheOwner: somebody else is told so.
func TestNotTheOwner(t *testing.T) {
	p := openPlace(t)
	require.NoError(t, os.Chmod(p.dir, 0o555))
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(p.dir, 0, 0))
	}
	var err error
	asSomebody(func() { _, err = p.try(Options{}) })
	require.ErrorIs(t, err, os.ErrPermission)
	assert.ErrorContains(t, err, "making a folder")
}
