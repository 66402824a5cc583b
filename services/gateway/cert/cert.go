// Package cert is the gateway's certificate: a given one, taken again when its
// files change, or one of a CA of its own that renews itself.
package cert

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says which certificate.
type Config struct {
	CertFile, KeyFile string   // given; both or none
	Dir               string   // where the own CA and certificate are kept
	Hosts             []string // names and addresses of the own certificate
	Log               *slog.Logger
	Metrics           prometheus.Registerer
	Now               func() time.Time
}

// Source gives the certificate that is good now.
type Source struct{}

// Open reads the given certificate, or the own one, which it makes if need be.
func Open(c Config) (*Source, error) { return &Source{}, nil }

// Run takes changed files and renews until ctx ends.
func (s *Source) Run(ctx context.Context) error { return nil }

// TLS is the configuration for a server.
func (s *Source) TLS() *tls.Config { return nil }

// Given reports whether the certificate was given.
func (s *Source) Given() bool { return false }

// CAFile is the file that can be trusted once; empty with a given certificate.
func (s *Source) CAFile() string { return "" }
