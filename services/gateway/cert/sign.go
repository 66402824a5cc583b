package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"

	"trackerdcs/pkg/disk"
)

// How long what is.
const (
	day        = 24 * time.Hour
	caLife     = 3650 * day
	caEarly    = 365 * day // before its end the CA is renewed
	serverLife = 90 * day  // and renewed when a third of it is left
	backdate   = time.Hour // for clients whose clock is behind
)

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a certificate's number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

// signCA makes a certificate of a CA that signs itself. It may sign servers, and
// no other CA.
func signCA(key *ecdsa.PrivateKey, now time.Time) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	return create(&x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"trackerdcs"}, CommonName: "trackerdcs gateway CA"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(caLife),
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, key, key)
}

// sign makes a certificate of a server.
func (a *authority) sign(key *ecdsa.PrivateKey, h hosts, now time.Time) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	return create(&x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"trackerdcs"}, CommonName: "trackerdcs gateway"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(serverLife),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: h.names, IPAddresses: h.addresses,
	}, a.cert, key, a.key)
}

// create signs a certificate; parent is nil for one that signs itself.
func create(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return cert, nil
}

func encodeCert(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func writeKey(name string, key *ecdsa.PrivateKey) error {
	b, err := encodeKey(key)
	if err != nil {
		return err
	}
	return disk.WriteFile(name, b, 0o600)
}

// hosts are whom a certificate is for.
type hosts struct {
	names     []string
	addresses []net.IP
}

// all are the names and then the addresses, as in a certificate.
func (h hosts) all() []string {
	return names(&x509.Certificate{DNSNames: h.names, IPAddresses: h.addresses})
}
