package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
)

func TestREADME(t *testing.T) { servicetest.README(t, &config{}, "README.md") }

func good() *config {
	return &config{Listen: "tcp://127.0.0.1:0", MaxStore: 1 << 20, SyncInterval: time.Second}
}

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

func TestConfig(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*config)
		want   string // empty: it is good
	}{
		"defaults":              {func(*config) {}, ""},
		"all interfaces":        {func(c *config) { c.Listen = "tcp://0.0.0.0:1883" }, ""},
		"IPv6":                  {func(c *config) { c.Listen = "tcp://[::1]:1883" }, ""},
		"no scheme":             {func(c *config) { c.Listen = "127.0.0.1:1883" }, "DCS_LISTEN"},
		"no port":               {func(c *config) { c.Listen = "tcp://127.0.0.1" }, "DCS_LISTEN"},
		"no host":               {func(c *config) { c.Listen = "tcp://:1883" }, "DCS_LISTEN"},
		"port too large":        {func(c *config) { c.Listen = "tcp://127.0.0.1:65536" }, "not a port"},
		"port negative":         {func(c *config) { c.Listen = "tcp://127.0.0.1:-1" }, "DCS_LISTEN"},
		"port not a number":     {func(c *config) { c.Listen = "tcp://127.0.0.1:mqtt" }, "DCS_LISTEN"},
		"websocket":             {func(c *config) { c.Listen = "ws://127.0.0.1:80" }, "DCS_LISTEN"},
		"path":                  {func(c *config) { c.Listen = "tcp://127.0.0.1:1883/x" }, "DCS_LISTEN"},
		"user alone":            {func(c *config) { c.User = "dcs" }, "set both or none"},
		"password alone":        {func(c *config) { c.PasswordFile = write(t, "x") }, "set both or none"},
		"no password file":      {func(c *config) { c.User, c.PasswordFile = "dcs", "/nowhere" }, "DCS_BROKER_PASSWORD_FILE"},
		"empty password":        {func(c *config) { c.User, c.PasswordFile = "dcs", write(t, "\n") }, "is empty"},
		"ssl, no certificate":   {func(c *config) { c.Listen = "ssl://127.0.0.1:0" }, "DCS_TLS_CERT_FILE"},
		"certificate, no ssl":   {func(c *config) { c.CertFile = "x" }, "is not ssl://"},
		"store too small":       {func(c *config) { c.MaxStore = 1 }, "DCS_MAX_STORE"},
		"sync interval, no way": {func(c *config) { c.SyncInterval = -1 }, "DCS_SYNC_INTERVAL"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good()
			tt.change(c)
			err := c.Validate()
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
	c := good()
	c.Listen, c.MaxStore = "nonsense", -1
	require.ErrorContains(t, c.Validate(), "DCS_LISTEN")
	require.ErrorContains(t, c.Validate(), "DCS_MAX_STORE", "every wrong setting is named")
}

// serve runs the program until the test ends and returns the URL it logs.
func serve(t *testing.T, c *config) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	urls := make(chan string, 1)
	env := &service.Env{
		Name: "broker", DataDir: t.TempDir(), Health: &service.Health{},
		Log: slog.New(slog.NewTextHandler(urlWriter(urls), nil)),
	}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, env, c) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	select {
	case u := <-urls:
		return u
	case err := <-ended:
		ended <- err
		t.Fatal(err)
		return ""
	}
}

// urlWriter finds the URL in the log.
type urlWriter chan string

func (w urlWriter) Write(line []byte) (int, error) {
	for _, word := range strings.Fields(string(line)) {
		if u, ok := strings.CutPrefix(word, "url="); ok {
			w <- u
		}
	}
	return len(line), nil
}

func TestRunWithTLSAndPassword(t *testing.T) {
	cert, key := certificate(t)
	c := good()
	c.Listen, c.CertFile, c.KeyFile = "ssl://127.0.0.1:0", cert, key
	c.User, c.PasswordFile = "dcs", write(t, "secret\n")
	url := serve(t, c)

	roots := x509.NewCertPool()
	b, err := os.ReadFile(cert)
	require.NoError(t, err)
	require.True(t, roots.AppendCertsFromPEM(b))
	login := func(password string) error {
		cl := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(url).SetClientID("x").
			SetUsername("dcs").SetPassword(password).SetTLSConfig(&tls.Config{RootCAs: roots}))
		defer cl.Disconnect(0)
		tok := cl.Connect()
		require.True(t, tok.WaitTimeout(time.Minute))
		return tok.Error()
	}
	require.NoError(t, login("secret"))
	require.Error(t, login("secret\n"))
}

func TestRunFailsWhenThePortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c := good()
	c.Listen = "tcp://" + l.Addr().String()
	env := &service.Env{DataDir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Health: &service.Health{}}
	require.ErrorContains(t, run(t.Context(), env, c), "address already in use")
}

// certificate makes a self-signed one for 127.0.0.1.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		write(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}
