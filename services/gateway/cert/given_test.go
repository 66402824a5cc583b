package cert

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/certs"
)

type issued struct{ cert, key string }

func issue(t *testing.T, dir string, life time.Duration) issued {
	t.Helper()
	key, err := certs.NewKey()
	require.NoError(t, err)
	return write(t, dir, key, &key.PublicKey, life)
}

func write(t *testing.T, dir string, key, public any, life time.Duration) issued {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-100 * day), NotAfter: time.Now().Add(life), DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true,
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, public, key)
	require.NoError(t, err)
	f := issued{filepath.Join(dir, "lab.pem"), filepath.Join(dir, "lab-key.pem")}
	require.NoError(t, os.WriteFile(f.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	k, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(f.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}), 0o600))
	return f
}

func TestReplacedWithoutARestart(t *testing.T) {
	dir, log := t.TempDir(), &records{}
	f := issue(t, dir, 90*day)
	s, err := Open(Config{CertFile: f.cert, KeyFile: f.key, Log: log.logger()})
	require.NoError(t, err)
	assert.True(t, s.Given())
	assert.Empty(t, s.CAFile())
	address := serve(t, s)
	first := trusting(t, f.cert)
	_, err = shake(address, first)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()

	issue(t, dir, 80*day)
	second := trusting(t, f.cert)
	require.Eventually(t, func() bool { _, err := shake(address, second); return err == nil }, patience, 10*time.Millisecond)
	_, err = shake(address, first)
	assert.ErrorContains(t, err, "certificate")
	cancel()
	assert.NoError(t, <-ended)
	assert.Zero(t, log.count("level=ERROR"))
}

func TestBrokenReplacementKeepsTheOld(t *testing.T) {
	dir, log := t.TempDir(), &records{}
	f := issue(t, dir, 90*day)
	clock := newClock()
	s, err := Open(Config{CertFile: f.cert, KeyFile: f.key, Log: log.logger(), Now: clock.Now})
	require.NoError(t, err)
	old := s.Leaf()
	other := issue(t, t.TempDir(), 90*day)
	otherKey, err := os.ReadFile(other.key)
	require.NoError(t, err)
	key, err := os.ReadFile(f.key)
	require.NoError(t, err)
	for name, damage := range map[string]func(){
		"wrong key": func() { require.NoError(t, os.WriteFile(f.key, otherKey, 0o600)) },
		"garbage":   func() { garble(t, f.key) },
		"gone":      func() { remove(t, f.key) },
	} {
		before := log.count("going on with the old one")
		damage()
		s.look()
		s.look()
		assert.Equal(t, before, log.count("going on with the old one"), "the other file may be on its way")
		for range 10 {
			s.look()
		}
		assert.Equal(t, before+1, log.count("going on with the old one"), "%s: said once", name)
		assert.Equal(t, old, s.Leaf())
		require.NoError(t, os.WriteFile(f.key, key, 0o600))
		s.look()
		assert.Equal(t, old, s.Leaf())
	}
	garble(t, f.key)
	for range 5 {
		s.look()
	}
	was := log.count("going on with the old one")
	clock.pass(25 * time.Hour)
	s.look()
	assert.Equal(t, was+1, log.count("going on with the old one"), "and once a day")
}

func TestGivenThatIsWrong(t *testing.T) {
	dir := t.TempDir()
	f := issue(t, dir, day)
	other := issue(t, t.TempDir(), day)
	garbage := filepath.Join(dir, "garbage")
	garble(t, garbage)
	for name, tt := range map[string]struct {
		cert, key, want string
	}{
		"no key":      {f.cert, "", "give both"},
		"no cert":     {"", f.key, "give both"},
		"not there":   {"nowhere", f.key, "the certificate: open nowhere"},
		"key missing": {f.cert, "nowhere", "the certificate's key: open nowhere"},
		"wrong key":   {f.cert, other.key, "private key does not match public key"},
		"garbage":     {garbage, f.key, "garbage with the key in"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(Config{CertFile: tt.cert, KeyFile: tt.key, Dir: t.TempDir()})
			assert.ErrorContains(t, err, tt.want)
		})
	}
	_, err := Open(Config{Dir: filepath.Join(garbage, "cert")})
	assert.ErrorContains(t, err, "the folder of the certificate")
}

func TestExpired(t *testing.T) {
	for name, tt := range map[string]struct {
		life time.Duration
		want string
	}{
		"expired": {-time.Hour, "THE CERTIFICATE HAS EXPIRED"},
		"soon":    {10 * day, "expires soon"},
	} {
		t.Run(name, func(t *testing.T) {
			log, clock := &records{}, newClock()
			f := issue(t, t.TempDir(), tt.life)
			s, err := Open(Config{CertFile: f.cert, KeyFile: f.key, Log: log.logger(), Now: clock.Now})
			require.NoError(t, err)
			assert.Equal(t, 1, log.count(tt.want))
			for range 10 {
				s.look()
			}
			assert.Equal(t, 1, log.count(tt.want))
			clock.pass(25 * time.Hour)
			s.look()
			assert.Equal(t, 2, log.count(tt.want))
			c := trusting(t, f.cert)
			c.InsecureSkipVerify = true
			_, err = shake(serve(t, s), c)
			assert.NoError(t, err)
		})
	}
	log, clock := &records{}, newClock()
	clock.pass(-200 * day)
	f := issue(t, t.TempDir(), day)
	_, err := Open(Config{CertFile: f.cert, KeyFile: f.key, Log: log.logger(), Now: clock.Now})
	require.NoError(t, err)
	assert.Equal(t, 1, log.count("not valid yet"))
}

func TestVersionsAndSuites(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ec, err := certs.NewKey()
	require.NoError(t, err)
	for name, key := range map[string]any{"ECDSA": ec, "RSA": rsaKey} {
		t.Run(name, func(t *testing.T) {
			var public any
			switch k := key.(type) {
			case *ecdsa.PrivateKey:
				public = &k.PublicKey
			case *rsa.PrivateKey:
				public = &k.PublicKey
			}
			f := write(t, t.TempDir(), key, public, day)
			s, err := Open(Config{CertFile: f.cert, KeyFile: f.key})
			require.NoError(t, err)
			address := serve(t, s)
			good := map[uint16]bool{}
			for _, id := range s.TLS().CipherSuites {
				good[id] = true
			}
			all := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
			took := 0
			for _, suite := range all {
				c := trusting(t, f.cert)
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{suite.ID}
				state, err := shake(address, c)
				if err == nil {
					took++
					assert.True(t, good[state.CipherSuite], suite.Name)
					assert.Contains(t, suite.Name, "_ECDHE_"+name+"_WITH_")
					assert.True(t, strings.Contains(suite.Name, "_GCM_") || strings.Contains(suite.Name, "_POLY1305_"), suite.Name)
				}
			}
			assert.Equal(t, 3, took)
			for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
				c := trusting(t, f.cert)
				c.MinVersion, c.MaxVersion = version, version
				_, err := shake(address, c)
				assert.ErrorContains(t, err, "protocol version")
			}
			c := trusting(t, f.cert)
			c.NextProtos = []string{"http/1.1"}
			state, err := shake(address, c)
			require.NoError(t, err)
			assert.Equal(t, "http/1.1", state.NegotiatedProtocol)
		})
	}
}
