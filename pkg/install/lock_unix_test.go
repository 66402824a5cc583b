//go:build unix

package install

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/brokerauth"
)

func TestLock(t *testing.T) {
	p := newPlace(t)
	p.write("instruments.yml", lab)
	p.run(Options{})
	dir, err := os.Open(filepath.Join(p.dir, "secrets"))
	require.NoError(t, err)
	require.NoError(t, lock(dir))
	before := p.files()
	for _, o := range []Options{{}, {Rotate: []string{"broker_hv"}}, {From: t.TempDir()}} {
		_, err = p.try(o)
		require.ErrorContains(t, err, "another dcs init is at work in this installation: wait until it has ended")
	}
	assert.Equal(t, before, p.files())
	require.NoError(t, dir.Close())
	p.run(Options{})
	p.run(Options{}) // each has let go of it
}

// However many at once: each password is the one of its hash.
func TestManyAtOnce(t *testing.T) {
	for _, first := range []bool{true, false} {
		p := newPlace(t)
		p.write("instruments.yml", lab)
		if !first {
			p.run(Options{})
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				o := Options{}
				if !first {
					o.Rotate = []string{"broker_hv", "ca_crt"}
				}
				if _, err := p.try(o); err != nil {
					assert.ErrorContains(t, err, "another dcs init is at work")
				}
			})
		}
		all.Wait()
		before := p.files()
		r := p.run(Options{})
		assert.Equal(t, before, p.files(), "it is whole")
		hashes, err := brokerauth.ParsePasswd([]byte(p.secret("mosquitto_passwd")))
		require.NoError(t, err)
		for account, hash := range hashes {
			assert.True(t, brokerauth.Verify(hash, p.secret("broker_"+account)), account)
		}
		assert.NotEmpty(t, r.Hosts)
	}
}
