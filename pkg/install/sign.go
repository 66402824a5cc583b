package install

import (
	"crypto/ecdsa"
	"crypto/x509"
	"net"
	"regexp"
	"time"

	"trackerdcs/pkg/certs"
)

// How long what is. Devices outside have no easy way to a new certificate.
const (
	caLife     = 3650 * day
	serverLife = caLife - day
)

// hostRE is a name as certificates may have it, with a * for the first label.
var hostRE = regexp.MustCompile(`^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$`)

// newAuthority makes a CA: it signs the broker's certificate and nothing else.
func newAuthority(key *ecdsa.PrivateKey, now time.Time) (*certs.Authority, error) {
	return certs.NewAuthority("trackerdcs broker CA", key, now, now.Add(caLife))
}

// sign makes the certificate of the broker. It ends before the CA does.
func sign(ca *certs.Authority, key *ecdsa.PrivateKey, hosts []string, now time.Time) (*x509.Certificate, error) {
	until := now.Add(serverLife)
	if last := ca.Cert.NotAfter.Add(-day); until.After(last) {
		until = last
	}
	var h certs.Hosts
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			h.Addresses = append(h.Addresses, ip)
		} else {
			h.Names = append(h.Names, host)
		}
	}
	return ca.Server("trackerdcs broker", key, h, now, until)
}
