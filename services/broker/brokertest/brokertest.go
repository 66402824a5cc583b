// Package brokertest gives a test a real MQTT broker of its own in one line:
//
//	url := brokertest.Start(t)
package brokertest

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"trackerdcs/services/broker/mqttd"
)

// Start runs a broker for the length of the test and returns its URL,
// tcp://127.0.0.1:port.
func Start(t testing.TB) string {
	t.Helper()
	return New(t, mqttd.Options{}).URL()
}

// Broker is a broker that a test can take away and bring back.
type Broker struct {
	t testing.TB
	o mqttd.Options
	s *mqttd.Server
}

// New runs a broker with options of the test's own for the length of the
// test. Port and data directory are chosen where they are not given.
func New(t testing.TB, o mqttd.Options) *Broker {
	t.Helper()
	if o.DataDir == "" {
		o.DataDir = t.TempDir()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	b := &Broker{t: t, o: o}
	b.Start()
	t.Cleanup(b.Stop)
	return b
}

// URL is where clients connect. It stays the same over Stop and Start.
func (b *Broker) URL() string { return b.s.URL() }

// WebsocketURL is where clients connect over WebSocket, if the options ask for it.
func (b *Broker) WebsocketURL() string { return b.s.WebsocketURL() }

// DropClients cuts all connections, as a failing network would.
func (b *Broker) DropClients() {
	b.t.Helper()
	if err := b.s.DropClients(); err != nil {
		b.t.Fatal(err)
	}
}

// Stop ends the broker; what it keeps stays on disk. Clients see their
// connections closed and new ones refused.
func (b *Broker) Stop() { b.s.Stop() }

// patience is how long a broker may take to start: compilers may run beside it.
const patience = 2 * time.Minute

// Start brings a stopped broker back on the same port with the same data.
func (b *Broker) Start() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		o := b.o
		if o.Port == 0 {
			o.Port = claim(b.t)
		}
		s, err := mqttd.Start(ctx, o)
		if err == nil {
			b.s = s
			b.o.Port = port(b.t, s.URL())
			return
		}
		if b.o.Port != 0 || !strings.Contains(err.Error(), "address already in use") {
			b.t.Fatal(err)
		}
	}
}

// claim takes a port that the system gives to no outgoing connection: while a
// broker is away any client on the machine could have got it. Nor does another
// test's process get it before this test ends: the UDP port of the same number
// says that it is taken.
func claim(t testing.TB) int {
	t.Helper()
	for range 1000 {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 20000 + rand.IntN(7000)})
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
			return c.LocalAddr().(*net.UDPAddr).Port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func port(t testing.TB, rawURL string) int {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	_, p, err := net.SplitHostPort(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
