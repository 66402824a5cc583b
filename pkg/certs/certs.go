// Package certs makes certificates: a CA of an installation's own, and those of
// the servers that it signs. Keys are ECDSA P-256, and files are in PEM. Where
// they are kept, how long they last and when they are renewed is the caller's.
package certs

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
)

// organization stands in all certificates.
const organization = "trackerdcs"

// backdate is how long before it is made a certificate begins, for clients whose
// clock is behind.
const backdate = time.Hour

// Authority is a CA with its key.
type Authority struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// Hosts are whom a server's certificate is for.
type Hosts struct {
	Names     []string
	Addresses []net.IP
}

// NewKey makes a key, for a CA or for a server.
func NewKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

// NewAuthority makes a CA of a key, with a certificate that signs itself and is
// good until a time. It may sign servers, and no other CA.
func NewAuthority(name string, key *ecdsa.PrivateKey, now, until time.Time) (*Authority, error) {
	cert, err := create(&x509.Certificate{
		Subject:   pkix.Name{Organization: []string{organization}, CommonName: name},
		NotBefore: now.Add(-backdate), NotAfter: until,
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, key, key)
	if err != nil {
		return nil, err
	}
	return &Authority{cert, key}, nil
}

// Server makes the certificate of a server with this key, good until a time. It
// is not looked whether the CA lasts as long.
func (a *Authority) Server(name string, key *ecdsa.PrivateKey, h Hosts, now, until time.Time) (*x509.Certificate, error) {
	return create(&x509.Certificate{
		Subject:   pkix.Name{Organization: []string{organization}, CommonName: name},
		NotBefore: now.Add(-backdate), NotAfter: until,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: h.Names, IPAddresses: h.Addresses,
	}, a.Cert, key, a.Key)
}

// create signs a certificate; parent is nil for one that signs itself. The
// number is random and at least 1.
func create(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a certificate's number: %w", err)
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
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

// EncodeCert gives a certificate in PEM.
func EncodeCert(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// EncodeKey gives a key in PEM, as PKCS 8.
func EncodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
