package install

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// trusts makes a connection as a device outside does, that trusts ca_crt alone.
func (p *place) trusts(host string) error {
	p.t.Helper()
	pair, err := tls.X509KeyPair([]byte(p.secret(serverCert)), []byte(p.secret(serverKey)))
	require.NoError(p.t, err)
	pool := x509.NewCertPool()
	require.True(p.t, pool.AppendCertsFromPEM([]byte(p.secret(caCert))))
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go func() { _, _ = io.Copy(io.Discard, tls.Server(b, &tls.Config{Certificates: []tls.Certificate{pair}})) }()
	return tls.Client(a, &tls.Config{RootCAs: pool, ServerName: host, Time: func() time.Time { return p.now }}).HandshakeContext(p.t.Context())
}

func TestCertificates(t *testing.T) {
	p := newPlace(t)
	start := p.now
	r := p.run(Options{Hosts: []string{"mqtt.lab.example"}})
	for _, host := range []string{"mosquitto", "localhost", "127.0.0.1", "::1", "mqtt.lab.example"} {
		require.NoError(t, p.trusts(host), host)
	}
	assert.ErrorContains(t, p.trusts("elsewhere"), "not elsewhere")
	assert.WithinDuration(t, start.Add(3649*day), r.Until, time.Minute)
	ca, err := parseCert(p.secret(caCert))
	require.NoError(t, err)
	assert.True(t, ca.IsCA && ca.MaxPathLenZero)
	assert.Equal(t, x509.KeyUsageCertSign, ca.KeyUsage)
	assert.WithinDuration(t, start.Add(3650*day), ca.NotAfter, time.Minute)

	// Another name is not put in by itself: devices may have pinned the certificate.
	before := p.files()
	p.env["DCS_TLS_HOSTS"] = "new.example"
	r = p.run(Options{})
	assert.Equal(t, before, p.files())
	assert.Contains(t, strings.Join(r.Notes, "\n"), "not for new.example: docker compose run --rm init --rotate mosquitto_crt --host new.example puts that in")

	// Years later: it is said before the end, and names stay.
	p.now = start.Add(3649*day - 30*day - time.Hour)
	r = p.run(Options{})
	assert.Contains(t, strings.Join(r.Notes, "\n"), "ends in 30 days")
	r = p.run(Options{Rotate: []string{serverCert}})
	assert.Contains(t, r.Hosts, "mqtt.lab.example")
	assert.Contains(t, r.Hosts, "new.example")
	assert.WithinDuration(t, ca.NotAfter.Add(-day), r.Until, time.Minute, "never longer than its CA")
	r = p.run(Options{Rotate: []string{caCert}})
	assert.WithinDuration(t, p.now.Add(3649*day), r.Until, time.Minute)
	require.NoError(t, p.trusts("mqtt.lab.example"))
	p.now = p.now.Add(3649*day + time.Hour)
	r = p.run(Options{})
	assert.Contains(t, strings.Join(r.Notes, "\n"), "HAS EXPIRED")
}

func TestCertificatesThatAreNotWhole(t *testing.T) {
	p := newPlace(t)
	p.run(Options{})
	kept := make(map[string]string)
	for _, f := range certFiles {
		kept[f.name] = p.secret(f.name)
	}
	foreign := newPlace(t)
	foreign.run(Options{})
	for name, tt := range map[string]struct {
		put    map[string]string // "" removes
		rotate string
		want   string // empty: it works
	}{
		"key lost":             {map[string]string{serverKey: ""}, "", "only one is there: put the other back, or renew both with --rotate mosquitto_crt"},
		"key lost, renewed":    {map[string]string{serverKey: ""}, serverCert, ""},
		"both lost":            {map[string]string{serverKey: "", serverCert: ""}, "", ""},
		"all lost":             {map[string]string{serverKey: "", serverCert: "", caKey: "", caCert: ""}, "", ""},
		"run was cut short":    {map[string]string{serverKey: "", serverCert: "", caCert: ""}, "", ""},
		"CA's key away":        {map[string]string{caKey: ""}, "", ""},
		"CA's key needed":      {map[string]string{caKey: ""}, serverCert, "secrets/ca_key is not there: put it back, or make a new CA with --rotate ca_crt"},
		"CA made anew":         {map[string]string{caKey: ""}, caCert, ""},
		"CA's key damaged":     {map[string]string{caKey: "x"}, serverCert, "secrets/ca_key: no key in PEM"},
		"CA of others":         {map[string]string{caCert: foreign.secret(caCert)}, serverCert, "secrets/ca_crt: it does not belong to ca_key"},
		"certificate damaged":  {map[string]string{serverCert: "x"}, "", "secrets/mosquitto_crt: no certificate in PEM: renew it with --rotate mosquitto_crt"},
		"another's key":        {map[string]string{serverKey: foreign.secret(serverKey)}, "", "renew both with --rotate mosquitto_crt"},
		"yours":                {map[string]string{serverKey: foreign.secret(serverKey), serverCert: foreign.secret(serverCert)}, "", ""},
		"yours is not renewed": {map[string]string{serverKey: foreign.secret(serverKey), serverCert: foreign.secret(serverCert)}, serverCert, "secrets/mosquitto_crt was not made here"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &place{t, p.dir, p.env, p.now}
			for file, text := range kept {
				if other, ok := tt.put[file]; ok {
					text = other
				}
				path := filepath.Join(p.dir, "secrets", file)
				require.NoError(t, os.RemoveAll(path))
				if text != "" {
					require.NoError(t, os.WriteFile(path, []byte(text), 0o444))
				}
			}
			o := Options{}
			if tt.rotate != "" {
				o.Rotate = []string{tt.rotate}
			}
			_, err := p.try(o)
			if tt.want != "" {
				assert.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			if name != "yours" {
				assert.NoError(t, p.trusts("mosquitto"))
			}
		})
	}
}
