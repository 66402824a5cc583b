package cert

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"
)

// given is a certificate that somebody else takes care of.
type given struct {
	certFile, keyFile string
	cert, key         []byte // as they were when they were taken
}

// renew reads the files, a few kilobytes, and takes them when they have changed
// and fit each other: whoever replaces them writes one before the other.
func (g *given) renew(_ time.Time, used *tls.Certificate) (*tls.Certificate, error) {
	cert, err := os.ReadFile(g.certFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	key, err := os.ReadFile(g.keyFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate's key: %w", err)
	}
	if used != nil && bytes.Equal(cert, g.cert) && bytes.Equal(key, g.key) {
		return used, nil
	}
	c, err := pair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the certificate in %s with the key in %s: %w", g.certFile, g.keyFile, err)
	}
	g.cert, g.key = cert, key
	return c, nil
}

// pair makes a certificate of PEM blocks.
func pair(cert, key []byte) (*tls.Certificate, error) {
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	if c.Leaf == nil {
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

// names are whom a certificate is for.
func names(leaf *x509.Certificate) []string {
	all := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}
