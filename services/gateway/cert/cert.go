// Package cert is the gateway's certificate: a given one, taken again when its
// files change, or one from a CA of its own, which renews itself.
package cert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says which certificate.
type Config struct {
	CertFile, KeyFile string                // given; both or none
	Dir               string                // where the own CA and certificate are kept
	Hosts             []string              // names and addresses of the own certificate; default those of this machine
	Log               *slog.Logger          // may be nil
	Metrics           prometheus.Registerer // may be nil
	Now               func() time.Time      // default time.Now
}

// Timing.
const (
	look      = time.Second         // between two looks at the files
	remind    = 24 * time.Hour      // between two warnings about the same
	foresight = 14 * 24 * time.Hour // a given certificate that ends so soon is warned about
	grace     = 3                   // looks: of two files that are replaced, one comes first
)

// Source gives the certificate that is good now. It is safe for concurrent use.
type Source struct {
	conf    Config
	log     *slog.Logger
	keeper  keeper
	current atomic.Pointer[tls.Certificate]

	failed    int    // looks in a row
	complaint string // what was last said, and when
	said      time.Time
}

// keeper has a certificate on disk.
type keeper interface {
	// renew gives the certificate to use from now on; the one that is in use,
	// nil at first, when nothing has changed.
	renew(now time.Time, used *tls.Certificate) (*tls.Certificate, error)
}

// Open reads the given certificate, or the own one, which it makes if need be.
// A given one that is not there, or does not fit its key, is an error; one that
// has expired is served, and the log says so.
func Open(c Config) (*Source, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Source{conf: c, log: c.Log}
	switch {
	case (c.CertFile == "") != (c.KeyFile == ""):
		return nil, errors.New("the certificate: give both of its files, certificate and key, or none")
	case s.Given():
		s.keeper = &given{certFile: c.CertFile, keyFile: c.KeyFile}
	default:
		own, err := newOwn(c)
		if err != nil {
			return nil, err
		}
		s.keeper = own
	}
	first, err := s.keeper.renew(c.Now(), nil)
	if err != nil {
		return nil, err
	}
	s.use(first)
	if c.Metrics != nil {
		if err := c.Metrics.Register(prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: "dcs_certificate_expires_seconds", Help: "Time until the certificate that is served expires; negative when it has."},
			func() float64 { return s.current.Load().Leaf.NotAfter.Sub(c.Now()).Seconds() })); err != nil {
			return nil, fmt.Errorf("metric of the certificate: %w", err)
		}
	}
	return s, nil
}

// Run takes changed files and renews until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.look()
		case <-ctx.Done():
			return nil
		}
	}
}

// look renews the certificate if there is reason to.
func (s *Source) look() {
	used := s.current.Load()
	c, err := s.keeper.renew(s.conf.Now(), used)
	if err != nil {
		if s.failed++; s.failed >= grace {
			s.complain("the certificate cannot be renewed: going on with the old one", "error", err, "until", used.Leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		return
	}
	s.failed = 0
	if c != used {
		s.use(c)
		return
	}
	s.judge(c.Leaf)
}

// use serves a certificate from now on.
func (s *Source) use(c *tls.Certificate) {
	s.current.Store(c)
	s.complaint = ""
	s.log.Info("serving a certificate", "subject", c.Leaf.Subject.String(), "issuer", c.Leaf.Issuer.String(), "names", names(c.Leaf), "until", c.Leaf.NotAfter.UTC().Format(time.RFC3339))
	s.judge(c.Leaf)
}

// judge says what is wrong with the dates of a certificate.
func (s *Source) judge(leaf *x509.Certificate) {
	now := s.conf.Now()
	until := leaf.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case now.After(leaf.NotAfter):
		s.complain("THE CERTIFICATE HAS EXPIRED: browsers refuse it. Replace its files; no restart is needed", "until", until)
	case now.Before(leaf.NotBefore):
		s.complain("the certificate is not valid yet: is the clock right?", "from", leaf.NotBefore.UTC().Format(time.RFC3339))
	case s.Given() && leaf.NotAfter.Sub(now) < foresight:
		s.complain("the certificate expires soon: replace its files; no restart is needed", "until", until)
	default:
		s.complaint = ""
	}
}

// complain logs what is new, and once a day what is not.
func (s *Source) complain(text string, about ...any) {
	gist := text + fmt.Sprint(about...)
	now := s.conf.Now()
	if gist == s.complaint && now.Sub(s.said) < remind {
		return
	}
	s.complaint, s.said = gist, now
	s.log.Error(text, about...)
}

// TLS is the configuration for a server: TLS 1.2 and 1.3; of 1.2 those suites
// alone that keep the past secret when the key becomes known, and that
// authenticate what they encrypt.
func (s *Source) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{ // of TLS 1.2; those of 1.3 are all good
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.current.Load(), nil },
	}
}

// Given reports whether the certificate was given.
func (s *Source) Given() bool { return s.conf.CertFile != "" }

// Leaf is the certificate that is served now.
func (s *Source) Leaf() *x509.Certificate { return s.current.Load().Leaf }

// CAFile is the file that can be trusted once; empty with a given certificate.
func (s *Source) CAFile() string {
	if o, ok := s.keeper.(*own); ok {
		return o.caFile()
	}
	return ""
}
