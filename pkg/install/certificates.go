package install

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/certs"
)

// The files of the certificates.
const (
	caCert, caKey         = "ca_crt", "ca_key"
	serverCert, serverKey = "mosquitto_crt", "mosquitto_key"
)

// soon is how long before its end a certificate is spoken of.
const soon = 90 * day

// certificates makes a CA of the installation's own, and the broker's certificate
// for its port with TLS. An own certificate of the operator's is left alone.
func (s *session) certificates(context.Context) error {
	have := make(map[string]string)
	for _, name := range []string{caCert, caKey, serverCert, serverKey} {
		text, there, err := s.secret(name)
		if err != nil {
			return err
		}
		if there {
			have[name] = text
		}
	}
	pair := (have[serverCert] != "") == (have[serverKey] != "")
	if !pair && !s.renews(serverCert) {
		return fmt.Errorf("of secrets/%s and secrets/%s only one is there: put the other back, or renew both with --rotate %s", serverCert, serverKey, serverCert)
	}
	if have[serverCert] == "" || s.renews(serverCert) {
		if err := s.issue(have); err != nil {
			return err
		}
	} else {
		for _, f := range certFiles {
			if have[f.name] == "" {
				continue // the CA's key may be kept elsewhere
			}
			if err := s.settle(secretPath(f.name), f.mode); err != nil {
				return err
			}
			s.add(GroupCertificates, f.name, There)
		}
	}
	leaf, err := parseCert(have[serverCert])
	if err != nil {
		return fmt.Errorf("secrets/%s: %w: renew it with --rotate %s", serverCert, err, serverCert)
	}
	if _, err := tls.X509KeyPair([]byte(have[serverCert]), []byte(have[serverKey])); err != nil {
		return fmt.Errorf("secrets/%s and secrets/%s: %w: renew both with --rotate %s", serverCert, serverKey, err, serverCert)
	}
	s.report.Until, s.report.Hosts = leaf.NotAfter, namesOf(leaf)
	return s.judge(leaf)
}

// issue makes the broker's certificate, and the CA before if need be. What is
// written is in have afterwards.
func (s *session) issue(have map[string]string) error {
	hosts, err := s.wantedHosts()
	if err != nil {
		return err
	}
	old, err := parseCert(have[serverCert])
	if err == nil {
		for _, h := range namesOf(old) { // who has asked for them once has not to ask again
			if !slices.Contains(hosts, h) {
				hosts = append(hosts, h)
			}
		}
	}
	ca, err := s.authority(have)
	if err != nil {
		return err
	}
	if old != nil && !s.renews(caCert) && old.CheckSignatureFrom(ca.Cert) != nil {
		return fmt.Errorf("secrets/%s was not made here: replace it and secrets/%s by new ones from where it comes from; or remove both, and one is made", serverCert, serverKey)
	}
	key, err := certs.NewKey()
	if err != nil {
		return err
	}
	keyPEM, err := certs.EncodeKey(key)
	if err != nil {
		return err
	}
	leaf, err := sign(ca, key, hosts, s.Now())
	if err != nil {
		return err
	}
	have[serverKey], have[serverCert] = string(keyPEM), string(certs.EncodeCert(leaf))
	for _, f := range certFiles { // in this order: what depends on another comes later
		if have[f.name] == "" {
			continue
		}
		if err := s.keep(GroupCertificates, f.name, []byte(strings.TrimSpace(have[f.name])+"\n"), f.mode); err != nil {
			return err
		}
	}
	return nil
}

var certFiles = []struct {
	name string
	mode fs.FileMode
}{{caKey, forOwner}, {caCert, forAll}, {serverKey, forAll}, {serverCert, forAll}}

// authority is the CA that is there, or a new one.
func (s *session) authority(have map[string]string) (*certs.Authority, error) {
	renew := s.renews(caCert)
	if !renew && have[caCert] != "" && have[caKey] == "" {
		return nil, fmt.Errorf("secrets/%s is not there: put it back, or make a new CA with --rotate %s; devices outside need the new secrets/%s then", caKey, caCert, caCert)
	}
	var key *ecdsa.PrivateKey
	var err error
	if have[caKey] != "" && !renew {
		if key, err = parseKey(have[caKey]); err != nil {
			return nil, fmt.Errorf("secrets/%s: %w: put it back, or make a new CA with --rotate %s", caKey, err, caCert)
		}
	} else if key, err = certs.NewKey(); err != nil {
		return nil, err
	}
	if have[caCert] != "" && !renew {
		cert, err := parseCert(have[caCert])
		if err == nil && !key.PublicKey.Equal(cert.PublicKey) {
			err = errors.New("it does not belong to " + caKey)
		}
		if err == nil && !s.Now().Before(cert.NotAfter.Add(-day)) {
			err = errors.New("it has expired")
		}
		if err != nil {
			return nil, fmt.Errorf("secrets/%s: %w: put the right one back, or make a new CA with --rotate %s", caCert, err, caCert)
		}
		return &certs.Authority{Cert: cert, Key: key}, nil
	}
	ca, err := newAuthority(key, s.Now())
	if err != nil {
		return nil, err
	}
	keyPEM, err := certs.EncodeKey(key)
	if err != nil {
		return nil, err
	}
	have[caKey], have[caCert] = string(keyPEM), string(certs.EncodeCert(ca.Cert))
	return ca, nil
}

// judge says what somebody should know of the broker's certificate.
func (s *session) judge(leaf *x509.Certificate) error {
	renewing := s.typed() + " run --rm init --rotate " + serverCert
	switch left := leaf.NotAfter.Sub(s.Now()); {
	case left <= 0:
		s.notef("THE BROKER'S CERTIFICATE HAS EXPIRED: devices outside cannot connect. %s renews it", renewing)
	case left < soon:
		s.notef("the broker's certificate ends in %d days: %s renews it", int(left/day), renewing)
	}
	hosts, err := s.wantedHosts()
	if err != nil {
		return err
	}
	names := namesOf(leaf)
	missing := slices.DeleteFunc(hosts, func(h string) bool { return slices.Contains(names, h) })
	if len(missing) > 0 {
		s.notef("the broker's certificate is not for %s: %s --host %s puts that in", strings.Join(missing, ", "), renewing, strings.Join(missing, " --host "))
	}
	return nil
}

func parseCert(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no certificate in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

func parseKey(text string) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no key in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an ECDSA key")
	}
	return ec, nil
}

// namesOf are the names and addresses that a certificate is for.
func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

const day = 24 * time.Hour
