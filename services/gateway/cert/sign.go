package cert

import (
	"crypto/ecdsa"
	"crypto/x509"
	"net"
	"time"

	"trackerdcs/pkg/certs"
	"trackerdcs/pkg/disk"
)

// How long what is.
const (
	day        = 24 * time.Hour
	caLife     = 3650 * day
	caEarly    = 365 * day // before its end the CA is renewed
	serverLife = 90 * day  // and renewed when a third of it is left
)

func writeKey(name string, key *ecdsa.PrivateKey) error {
	b, err := certs.EncodeKey(key)
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
