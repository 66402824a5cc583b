package certs

import (
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func authority(t *testing.T) *Authority {
	t.Helper()
	key, err := NewKey()
	require.NoError(t, err)
	ca, err := NewAuthority("a CA", key, now, now.AddDate(10, 0, 0))
	require.NoError(t, err)
	return ca
}

func TestAuthority(t *testing.T) {
	ca := authority(t)
	assert.Equal(t, elliptic.P256(), ca.Key.Curve)
	assert.Equal(t, "CN=a CA,O=trackerdcs", ca.Cert.Subject.String())
	assert.Equal(t, now.Add(-time.Hour), ca.Cert.NotBefore)
	assert.Equal(t, now.AddDate(10, 0, 0), ca.Cert.NotAfter)
	assert.True(t, ca.Cert.IsCA)
	assert.True(t, ca.Cert.MaxPathLenZero, "it signs no other CA")
	assert.Equal(t, x509.KeyUsageCertSign, ca.Cert.KeyUsage)
	require.NoError(t, ca.Cert.CheckSignatureFrom(ca.Cert))
}

func TestServer(t *testing.T) {
	ca := authority(t)
	key, err := NewKey()
	require.NoError(t, err)
	h := Hosts{Names: []string{"dcs.example.org"}, Addresses: []net.IP{net.IPv4(10, 0, 0, 7)}}
	cert, err := ca.Server("a server", key, h, now, now.AddDate(0, 3, 0))
	require.NoError(t, err)
	assert.Equal(t, "CN=a server,O=trackerdcs", cert.Subject.String())
	assert.Equal(t, now.Add(-time.Hour), cert.NotBefore)
	assert.Equal(t, now.AddDate(0, 3, 0), cert.NotAfter)
	assert.False(t, cert.IsCA)
	assert.Equal(t, x509.KeyUsageDigitalSignature, cert.KeyUsage)
	assert.Positive(t, cert.SerialNumber.Sign())
	assert.NotEqual(t, ca.Cert.SerialNumber, cert.SerialNumber)

	trusted := x509.NewCertPool()
	trusted.AddCert(ca.Cert)
	for _, host := range []string{"dcs.example.org", "10.0.0.7"} {
		_, err = cert.Verify(x509.VerifyOptions{Roots: trusted, DNSName: host, CurrentTime: now})
		require.NoError(t, err, host)
	}
	for why, o := range map[string]x509.VerifyOptions{
		"another host":  {Roots: trusted, DNSName: "example.org", CurrentTime: now},
		"too late":      {Roots: trusted, DNSName: "10.0.0.7", CurrentTime: now.AddDate(0, 4, 0)},
		"for a client":  {Roots: trusted, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		"another's CA":  {Roots: x509.NewCertPool(), CurrentTime: now},
		"before it was": {Roots: trusted, CurrentTime: now.Add(-2 * time.Hour)},
	} {
		_, err = cert.Verify(o)
		require.Error(t, err, why)
	}

	keyPEM, err := EncodeKey(key)
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(EncodeCert(cert), keyPEM)
	require.NoError(t, err)
	assert.Equal(t, cert.Raw, pair.Certificate[0])
}
