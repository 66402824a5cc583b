package cert

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"trackerdcs/pkg/certs"
	"trackerdcs/pkg/disk"
)

// own is a certificate from a CA of the gateway's own. The CA is not constrained
// to names: it is to be trusted once, and the names of the gateway change.
type own struct {
	dir   string
	hosts hosts
	log   *slog.Logger
	ca    *certs.Authority // signs the gateway's certificates and nothing else
}

func (o *own) caFile() string     { return filepath.Join(o.dir, "ca.pem") }
func (o *own) caKeyFile() string  { return filepath.Join(o.dir, "ca-key.pem") }
func (o *own) serverFile() string { return filepath.Join(o.dir, "server.pem") } // certificate and key, so that they change in one step

func newOwn(c Config) (*own, error) {
	h, err := readHosts(c.Hosts)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of the certificate: %w", err)
	}
	o := &own{dir: c.Dir, hosts: h, log: c.Log}
	return o, o.openCA(c.Now())
}

// openCA reads the CA, or makes it. One that is damaged is put aside and made
// anew: a door that asks for trust again is better than one that stays shut.
func (o *own) openCA(now time.Time) error {
	ca, err := o.readCA()
	switch {
	case err == nil:
		o.ca = ca
		return nil
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, errDamaged):
		o.log.Error("THE GATEWAY'S CA IS DAMAGED: a new one is made, which has to be trusted anew", "error", err, "aside", o.caFile()+".damaged")
		for _, name := range []string{o.caFile(), o.caKeyFile()} {
			if err := os.Rename(name, name+".damaged"); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("putting the damaged CA aside: %w", err)
			}
		}
	default:
		return fmt.Errorf("the gateway's CA: %w", err)
	}
	key, err := o.readCAKey() // a start that was cut short has left it
	if err != nil {
		if key, err = certs.NewKey(); err != nil {
			return err
		}
		if err := writeKey(o.caKeyFile(), key); err != nil {
			return fmt.Errorf("keeping the key of the gateway's CA: %w", err)
		}
	}
	if err := o.issueCA(key, now); err != nil {
		return err
	}
	o.log.Warn("a CA was made for this gateway: trust its file once, in each browser", "file", o.caFile())
	return nil
}

var errDamaged = errors.New("it is damaged")

func (o *own) readCA() (*certs.Authority, error) {
	b, err := os.ReadFile(o.caFile())
	if err != nil {
		return nil, err
	}
	key, err := o.readCAKey()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s", errDamaged, o.caKeyFile())
	} else if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%w: no certificate in %s", errDamaged, o.caFile())
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errDamaged, o.caFile(), err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) || !cert.IsCA {
		return nil, fmt.Errorf("%w: %s is not the certificate of the key in %s", errDamaged, o.caFile(), o.caKeyFile())
	}
	return &certs.Authority{Cert: cert, Key: key}, nil
}

func (o *own) readCAKey() (*ecdsa.PrivateKey, error) {
	b, err := os.ReadFile(o.caKeyFile())
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%w: no key in %s", errDamaged, o.caKeyFile())
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errDamaged, o.caKeyFile(), err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s has no ECDSA key", errDamaged, o.caKeyFile())
	}
	return ec, nil
}

// issueCA makes the CA's certificate. A later one has the same name and key: who
// trusts the one before goes on until that ends, and has a year to take the new one.
func (o *own) issueCA(key *ecdsa.PrivateKey, now time.Time) error {
	ca, err := certs.NewAuthority("trackerdcs gateway CA", key, now, now.Add(caLife))
	if err != nil {
		return err
	}
	if err := disk.WriteFile(o.caFile(), certs.EncodeCert(ca.Cert), 0o644); err != nil {
		return fmt.Errorf("keeping the gateway's CA: %w", err)
	}
	o.ca = ca
	return nil
}

// renew issues the CA and the certificate anew when it is time, and the
// certificate when it is for other hosts.
func (o *own) renew(now time.Time, used *tls.Certificate) (*tls.Certificate, error) {
	if now.After(o.ca.Cert.NotAfter.Add(-caEarly)) || now.Before(o.ca.Cert.NotBefore) { // or the clock was wrong when it was made
		was := o.ca.Cert.NotAfter
		if err := o.issueCA(o.ca.Key, now); err != nil {
			return nil, err
		}
		o.log.Warn("the gateway's CA was renewed: trust its file once more in each browser, before the one before ends", "file", o.caFile(), "before", was.UTC().Format(time.RFC3339))
	}
	if used == nil {
		kept, err := o.readServer()
		if err == nil && o.fits(kept.Leaf, now) {
			return kept, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			o.log.Warn("the gateway's certificate cannot be read: a new one is made", "error", err)
		}
	} else if o.fits(used.Leaf, now) {
		return used, nil
	}
	return o.issue(now)
}

// fits reports whether a certificate is for the hosts, from the CA, and has more
// than a third of its life before it. One from the future is that of a clock
// that was wrong.
func (o *own) fits(leaf *x509.Certificate, now time.Time) bool {
	left := leaf.NotAfter.Sub(now)
	return left > serverLife/3 && left <= serverLife+time.Minute &&
		leaf.CheckSignatureFrom(o.ca.Cert) == nil && slices.Equal(names(leaf), o.hosts.all())
}

func (o *own) readServer() (*tls.Certificate, error) {
	b, err := os.ReadFile(o.serverFile())
	if err != nil {
		return nil, err
	}
	return pair(b, b)
}

// issue makes a certificate with a key of its own.
func (o *own) issue(now time.Time) (*tls.Certificate, error) {
	key, err := certs.NewKey()
	if err != nil {
		return nil, err
	}
	cert, err := o.ca.Server("trackerdcs gateway", key, certs.Hosts{Names: o.hosts.names, Addresses: o.hosts.addresses}, now, now.Add(serverLife))
	if err != nil {
		return nil, err
	}
	k, err := certs.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	b := append(certs.EncodeCert(cert), k...)
	if err := disk.WriteFile(o.serverFile(), b, 0o600); err != nil {
		return nil, fmt.Errorf("keeping the gateway's certificate: %w", err)
	}
	return pair(b, b)
}
