package cert

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const patience = time.Minute

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// records is a log.
type records struct {
	mu sync.Mutex
	b  strings.Builder
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *records) count(s string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.b.String(), s)
}

func (r *records) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

// serve is a server with a source's certificate; it gives the address.
func serve(t *testing.T, s *Source) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server.Listener.Close()
	server.Listener = tls.NewListener(listener, s.TLS())
	server.Start()
	t.Cleanup(server.Close)
	return listener.Addr().String()
}

// trusting makes a client that trusts what is in a file, and nothing else.
func trusting(t *testing.T, file string) *tls.Config {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(b))
	return &tls.Config{RootCAs: pool, ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"}}
}

// shake is a handshake.
func shake(address string, c *tls.Config) (tls.ConnectionState, error) {
	conn, err := tls.Dial("tcp", address, c)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

func TestOwnCertificateIsTrusted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "cert")
	s, err := Open(Config{Dir: dir})
	require.NoError(t, err)
	assert.False(t, s.Given())
	assert.Equal(t, filepath.Join(dir, "ca.pem"), s.CAFile())
	address := serve(t, s)
	hostname, err := os.Hostname()
	require.NoError(t, err)
	for _, name := range []string{"localhost", "127.0.0.1", "::1", hostname} {
		c := trusting(t, s.CAFile())
		c.ServerName = name
		state, err := shake(address, c)
		require.NoError(t, err, name)
		assert.Equal(t, uint16(tls.VersionTLS13), state.Version)
		assert.Equal(t, "h2", state.NegotiatedProtocol)
	}
	c := trusting(t, s.CAFile())
	c.ServerName = "elsewhere.example"
	_, err = shake(address, c)
	assert.ErrorContains(t, err, "not elsewhere.example")
	_, err = shake(address, &tls.Config{ServerName: "localhost"})
	assert.ErrorContains(t, err, "unknown authority")

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting(t, s.CAFile()), ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	answer, err := client.Get("https://" + address)
	require.NoError(t, err)
	defer answer.Body.Close()
	assert.Equal(t, http.StatusOK, answer.StatusCode)
	assert.Equal(t, "HTTP/2.0", answer.Proto)

	for name, mode := range map[string]os.FileMode{"ca.pem": 0o644, "ca-key.pem": 0o600, "server.pem": 0o600, ".": os.ModeDir | 0o700} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode(), name)
	}
	ca := s.keeper.(*own).ca.Cert
	assert.True(t, ca.IsCA && ca.MaxPathLenZero && ca.MaxPathLen == 0)
	assert.Equal(t, x509.KeyUsageCertSign, ca.KeyUsage)
	assert.False(t, s.Leaf().IsCA)
	assert.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, s.Leaf().ExtKeyUsage)
}

// A restart changes nothing, other hosts give another certificate from the same CA.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	open := func(hosts ...string) *Source {
		s, err := Open(Config{Dir: dir, Hosts: hosts})
		require.NoError(t, err)
		return s
	}
	first := open("localhost")
	trust := trusting(t, first.CAFile())
	assert.Equal(t, first.Leaf().Raw, open("localhost").Leaf().Raw)
	other := open("lab.example", "10.0.0.7", "LAB.example", "[fe80::1]", "*.lab.example")
	assert.Equal(t, []string{"lab.example", "*.lab.example", "10.0.0.7", "fe80::1"}, names(other.Leaf()))
	trust.ServerName = "10.0.0.7"
	_, err := shake(serve(t, other), trust)
	assert.NoError(t, err)
	for _, bad := range []string{"a b", "", "http://lab", "lab:8443", "-lab", "a..b", "x*.lab"} {
		_, err := Open(Config{Dir: dir, Hosts: []string{bad}})
		assert.ErrorContains(t, err, "neither the name nor the address of a host", bad)
	}
}

func TestRenewal(t *testing.T) {
	clock, log := newClock(), &records{}
	metrics := prometheus.NewRegistry()
	s, err := Open(Config{Dir: t.TempDir(), Now: clock.Now, Log: log.logger(), Metrics: metrics})
	require.NoError(t, err)
	address := serve(t, s)
	trust := trusting(t, s.CAFile())
	trust.Time = clock.Now
	served := func() *x509.Certificate {
		t.Helper()
		s.look()
		state, err := shake(address, trust)
		require.NoError(t, err)
		return state.PeerCertificates[0]
	}
	expires := func() time.Duration {
		t.Helper()
		families, err := metrics.Gather()
		require.NoError(t, err)
		return time.Duration(families[0].GetMetric()[0].GetGauge().GetValue() * float64(time.Second))
	}
	first := served()
	assert.InDelta(t, 90, expires().Hours()/24, 0.01)
	clock.pass(60*day - time.Hour)
	assert.Equal(t, first.Raw, served().Raw)
	assert.InDelta(t, 30, expires().Hours()/24, 0.1)
	clock.pass(2 * time.Hour)
	second := served()
	assert.NotEqual(t, first.Raw, second.Raw)
	assert.NotEqual(t, first.PublicKey, second.PublicKey)
	assert.InDelta(t, 90, expires().Hours()/24, 0.01)

	// Ten years of it, with the CA trusted once: it is renewed a year before its
	// end, and who trusts the old one has that year.
	old, err := os.ReadFile(s.CAFile())
	require.NoError(t, err)
	for clock.Now().Before(first.NotBefore.Add(caLife - caEarly - 40*day)) {
		clock.pass(30 * day)
		served()
	}
	assert.Zero(t, log.count("CA was renewed"))
	clock.pass(41 * day)
	served()
	assert.Equal(t, 1, log.count("CA was renewed"))
	now, err := os.ReadFile(s.CAFile())
	require.NoError(t, err)
	assert.NotEqual(t, old, now)
	clock.pass(300 * day)
	served()
	trust = trusting(t, s.CAFile())
	trust.Time = clock.Now
	clock.pass(5 * 365 * day)
	served()
	assert.Equal(t, 1, log.count("CA was renewed"))
	assert.Zero(t, log.count("level=ERROR"))
}

// A clock that was wrong at the first start leaves nothing behind that is never valid.
func TestClockThatWasAhead(t *testing.T) {
	clock, dir := newClock(), t.TempDir()
	clock.pass(20 * 365 * day)
	s, err := Open(Config{Dir: dir, Now: clock.Now})
	require.NoError(t, err)
	clock.pass(-20 * 365 * day)
	s.look()
	_, err = shake(serve(t, s), trusting(t, s.CAFile()))
	assert.NoError(t, err)
}

func TestDamagedFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		file    string
		damage  func(t *testing.T, file string)
		trusted bool // the CA is still the same
	}{
		"server.pem damaged": {"server.pem", garble, true},
		"server.pem gone":    {"server.pem", remove, true},
		"ca.pem damaged":     {"ca.pem", garble, false},
		"ca-key.pem damaged": {"ca-key.pem", garble, false},
		"ca-key.pem gone":    {"ca-key.pem", remove, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, log := t.TempDir(), &records{}
			s, err := Open(Config{Dir: dir})
			require.NoError(t, err)
			trust := trusting(t, s.CAFile())
			tt.damage(t, filepath.Join(dir, tt.file))
			s, err = Open(Config{Dir: dir, Log: log.logger()})
			require.NoError(t, err)
			address := serve(t, s)
			_, err = shake(address, trust)
			assert.Equal(t, tt.trusted, err == nil, err)
			_, err = shake(address, trusting(t, s.CAFile()))
			assert.NoError(t, err)
			assert.Equal(t, !tt.trusted, log.count("CA IS DAMAGED") == 1)
		})
	}
	t.Run("a start that was cut short", func(t *testing.T) {
		dir := t.TempDir()
		s, err := Open(Config{Dir: dir})
		require.NoError(t, err)
		key := s.keeper.(*own).ca.Key
		remove(t, s.CAFile())
		s, err = Open(Config{Dir: dir})
		require.NoError(t, err)
		assert.True(t, key.Equal(s.keeper.(*own).ca.Key))
		_, err = shake(serve(t, s), trusting(t, s.CAFile()))
		assert.NoError(t, err)
	})
}

func garble(t *testing.T, file string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, []byte("garbage"), 0o600))
}

func remove(t *testing.T, file string) {
	t.Helper()
	require.NoError(t, os.Remove(file))
}

// issued is a certificate from elsewhere, in files.
// One that has expired is served, so that people can click it away, and the log
// is loud about it.
// What a scanner would want: nothing old.
