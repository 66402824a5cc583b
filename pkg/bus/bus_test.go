package bus_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

func TestOptionsThatAreWrong(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, tt := range []struct {
		name string
		opts bus.Options
		want string
	}{
		{"none", bus.Options{}, `broker address "": begin with tcp://`},
		{"no scheme", bus.Options{Broker: "localhost:1883"}, "begin with tcp://"},
		{"wrong scheme", bus.Options{Broker: "http://localhost"}, "begin with tcp://"},
		{"no host", bus.Options{Broker: "tcp://"}, "has no host"},
		{"only a port", bus.Options{Broker: "tcp://:1883"}, "has no host"},
		{"port in words", bus.Options{Broker: "tcp://localhost:mqtt"}, "broker address"},
		{"no CA file", bus.Options{Broker: "ssl://localhost", CAFile: "nowhere.pem"}, "the broker's CA: open nowhere.pem"},
		{"no CA in it", bus.Options{Broker: "ssl://localhost", CAFile: empty}, "no certificate in"},
		{"password without user", bus.Options{Broker: "tcp://localhost", PasswordFile: "x"}, "needs a user"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := bus.New(tt.opts)
			assert.ErrorContains(t, err, tt.want)
		})
	}
	for _, good := range []string{"tcp://broker", "ssl://broker", "ws://broker:9001/mqtt", "wss://broker", "tcp://[::1]:1883", "tcp://[::1]"} {
		assert.NoError(t, bus.CheckAddress(good), good)
	}
}

// client is a client that runs for the length of a test.
type client struct {
	*bus.Client
	t    testing.TB
	in   chan bus.Message
	up   chan struct{}
	down chan error
	end  func() // ends it and waits for that
}

func options(url, id string) bus.Options { return bus.Options{Broker: url, ClientID: id} }

func start(t testing.TB, o bus.Options, filters ...string) *client {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	b, err := bus.New(o)
	require.NoError(t, err)
	c := &client{Client: b, t: t, in: make(chan bus.Message, 1000), up: make(chan struct{}, 100), down: make(chan error, 100)}
	for _, f := range filters {
		c.Subscribe(f, 1, func(m bus.Message) { c.in <- m })
	}
	c.OnConnect(func() { c.up <- struct{}{} })
	c.OnLost(func(err error) { c.down <- err })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		assert.NoError(t, b.Run(ctx))
	}()
	c.end = func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(bustest.Patience):
			t.Error("Run does not end")
		}
	}
	t.Cleanup(c.end)
	return c
}

func within[T any](t testing.TB, ch <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(bustest.Patience):
		t.Fatal("waited in vain for ", what)
	}
	return v
}

func (c *client) connected() *client {
	c.t.Helper()
	within(c.t, c.up, "a connection")
	return c
}

func (c *client) next() bus.Message {
	c.t.Helper()
	return within(c.t, c.in, "a message")
}

func (c *client) publish(topic, payload string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bustest.Patience)
	defer cancel()
	require.NoError(c.t, c.Publish(ctx, bus.Message{Topic: topic, QoS: 1, Payload: []byte(payload)}))
}

func TestClientStartsBeforeTheBroker(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	b.Stop()
	c := start(t, options(b.URL(), "c"), "/a")
	c.Keep(bus.Message{Topic: "/a", QoS: 1, Payload: []byte("kept")})
	assert.False(t, c.Connected())
	b.Start()
	c.connected()
	assert.True(t, c.Connected())
	assert.Equal(t, "kept", string(c.next().Payload))
}

// Faults 5 and 8: cut off, gone and back, gone and back with nothing left. The
// subscriptions are made anew each time.
func TestReconnect(t *testing.T) {
	o := mqttd.Options{DataDir: filepath.Join(t.TempDir(), "data")}
	b := brokertest.New(t, o)
	c := start(t, options(b.URL(), "c"), "/+/status", "/hv/ack").connected()
	for i, fault := range []func(){
		b.DropClients,
		func() { b.Stop(); b.Start() },
		func() { b.Stop(); require.NoError(t, os.RemoveAll(o.DataDir)); b.Start() },
	} {
		c.publish("/hv/status", fmt.Sprint("before ", i))
		assert.Equal(t, fmt.Sprint("before ", i), string(c.next().Payload))
		fault()
		assert.Error(t, within(t, c.down, "the end of the connection"))
		for _, s := range []string{"a", "b", "c"} {
			c.Keep(bus.Message{Topic: "/hv/ack", QoS: 1, Payload: []byte(s)})
		}
		c.connected()
		for _, s := range []string{"a", "b", "c"} {
			assert.Equal(t, s, string(c.next().Payload))
		}
	}
}

func TestLastWill(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	o := options(b.URL(), "c")
	o.Will = &bus.Message{Topic: "/hv/state", QoS: 1, Retained: true, Payload: []byte("lost")}
	listener := bustest.Listen(t, b.URL(), "/hv/state")
	c := start(t, o).connected()
	c.Hold(0, "a test") // a reconnect on purpose is no loss
	c.connected()
	c.publish("/hv/state", "leaving")
	c.end()
	listener.Say("/hv/state", "mark")
	listener.Await(0, "the mark", func(m bus.Message) bool { return string(m.Payload) == "mark" })
	for _, m := range listener.Heard("/hv/state") {
		assert.NotEqual(t, "lost", string(m.Payload), "the will fired at a clean end")
	}

	start(t, o).connected()
	b.DropClients()
	listener.Await(0, "the last will", func(m bus.Message) bool { return string(m.Payload) == "lost" })
}

func TestPassword(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{User: "hv", Password: "secret", Log: slog.New(slog.DiscardHandler)})
	o := options(b.URL(), "c")
	log := &records{}
	o.User, o.PasswordFile, o.Log = "hv", filepath.Join(t.TempDir(), "password"), slog.New(slog.NewTextHandler(log, nil))
	require.NoError(t, os.WriteFile(o.PasswordFile, []byte("wrong\n"), 0o600))
	c := start(t, o)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "uthorized") }, bustest.Patience, time.Millisecond)
	assert.False(t, c.Connected())
	assert.NotContains(t, log.String(), "wrong")
	require.NoError(t, os.WriteFile(o.PasswordFile, []byte("secret\n"), 0o600))
	c.connected() // without a restart
}

func TestPasswordFileThatIsGone(t *testing.T) {
	log := &records{}
	o := options(brokertest.Start(t), "c")
	o.User, o.PasswordFile, o.Log = "hv", "nowhere", slog.New(slog.NewTextHandler(log, nil))
	start(t, o)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "the broker's password: open nowhere") }, bustest.Patience, time.Millisecond)
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

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// certificate makes one for 127.0.0.1 that signs itself.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestTLS(t *testing.T) {
	cert, ca := certificate(t)
	b := brokertest.New(t, mqttd.Options{TLS: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, Log: slog.New(slog.DiscardHandler)})
	o := options(b.URL(), "c")
	require.True(t, strings.HasPrefix(o.Broker, "ssl://"))

	log := &records{}
	stranger := o
	stranger.Log = slog.New(slog.NewTextHandler(log, nil))
	c := start(t, stranger)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "certificate signed by unknown authority") }, bustest.Patience, time.Millisecond)
	assert.False(t, c.Connected())
	c.end()

	o.CAFile = ca
	c = start(t, o, "/a").connected()
	c.publish("/a", "secured")
	assert.Equal(t, "secured", string(c.next().Payload))
	b.DropClients()
	c.connected()
	c.publish("/a", "again")
	assert.Equal(t, "again", string(c.next().Payload))
}

func TestWebsocket(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{Websocket: true})
	c := start(t, options(b.WebsocketURL(), "c"), "/a").connected()
	for i := range 100 {
		c.Send(bus.Message{Topic: "/a", QoS: 1, Payload: fmt.Append(nil, i)}, nil)
	}
	for i := range 100 {
		assert.Equal(t, fmt.Sprint(i), string(c.next().Payload))
	}
	b.DropClients()
	c.connected()
}

// What a persistent session did not confirm comes again.
func TestUnconfirmedComesAgain(t *testing.T) {
	t.Parallel()
	b := brokertest.New(t, mqttd.Options{AckWait: 5 * time.Second}) // what comes again comes after the other, also when that takes a while
	o := options(b.URL(), "loader")
	o.Persistent, o.ManualAck = true, true
	c := start(t, o, "/hv/status").connected()
	other := start(t, options(b.URL(), "hv")).connected()
	other.publish("/hv/status", "1")
	other.publish("/hv/status", "2")
	first, second := c.next(), c.next()
	assert.Equal(t, "1 2", string(first.Payload)+" "+string(second.Payload))
	first.Ack()
	c.end()
	other.publish("/hv/status", "3") // while away
	c = start(t, o, "/hv/status")
	got := map[string]bool{}
	for len(got) < 2 {
		m := c.next()
		got[string(m.Payload)] = true
		m.Ack()
	}
	assert.Equal(t, map[string]bool{"2": true, "3": true}, got)
	first.Ack() // of a connection that is gone: nothing
	second.Ack()
}

// A clean session gets nothing of what was said while it was away.
func TestCleanSession(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	c := start(t, options(b.URL(), "c"), "/hv/cmd/#").connected()
	c.end()
	other := start(t, options(b.URL(), "o")).connected()
	other.publish("/hv/cmd/setv/0", "away")
	c = start(t, options(b.URL(), "c"), "/hv/cmd/#").connected()
	other.publish("/hv/cmd/setv/0", "back")
	assert.Equal(t, "back", string(c.next().Payload))
}

// With a topic in two subscriptions both handlers get each message, and it is
// confirmed when both have done so.
func TestTwoHandlersOfOneMessage(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{AckWait: 300 * time.Millisecond})
	o := options(b.URL(), "c")
	o.Persistent, o.ManualAck = true, true
	quick, slow := make(chan bus.Message, 100), make(chan bus.Message, 100)
	run := func() *client {
		var c *client
		cl, err := bus.New(o)
		require.NoError(t, err)
		cl.Subscribe("/hv/state", 1, func(m bus.Message) { m.Ack(); quick <- m })
		cl.Subscribe("/+/state", 1, func(m bus.Message) { slow <- m })
		c = &client{Client: cl, t: t, up: make(chan struct{}, 10)}
		cl.OnConnect(func() { c.up <- struct{}{} })
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = cl.Run(ctx) }()
		c.end = func() { cancel(); <-ended }
		t.Cleanup(c.end)
		return c.connected()
	}
	c := run()
	c.publish("/hv/state", "x")
	within(t, quick, "the first handler")
	within(t, slow, "the second handler")
	c.end()
	c = run()
	within(t, slow, "what the second handler has not confirmed").Ack()
	c.end()
}

// No goroutine outlives Run, whatever happens to the connection.
func TestNothingIsLeftRunning(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	before := runtime.NumGoroutine()
	c := start(t, options(b.URL(), "c"), "/a").connected()
	for range 3 {
		b.DropClients()
		c.connected()
	}
	c.end()
	gone(t, before)
}

// gone waits until no more goroutines run than before.
func gone(t *testing.T, before int) {
	t.Helper()
	tick, deadline := time.NewTicker(time.Millisecond), time.After(bustest.Patience)
	defer tick.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-deadline:
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// A listener that accepts and never answers does not keep Run from ending.
func TestBlackHoleDoesNotKeepRunFromEnding(t *testing.T) {
	_, ca := certificate(t)
	for _, scheme := range []string{"tcp", "ssl", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			before := runtime.NumGoroutine()
			o := options(scheme+"://"+l.Addr().String(), "c")
			o.CAFile = ca
			c := start(t, o)
			conn, err := l.Accept()
			require.NoError(t, err)
			defer conn.Close()
			began := time.Now()
			c.end()
			assert.Less(t, time.Since(began), 4*time.Second, "the time-outs are longer")
			if scheme == "ws" {
				conn.Close() // gorilla's handshake takes no context: it ends with its time-out, or now
			}
			gone(t, before)
		})
	}
}

// Reading in steps slows nobody down who has something to say, also where each
// read gives one record or frame.
func TestGatherKeepsUp(t *testing.T) {
	cert, ca := certificate(t)
	secured := brokertest.New(t, mqttd.Options{TLS: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}})
	plain := brokertest.New(t, mqttd.Options{Websocket: true})
	for _, url := range []string{plain.URL(), plain.WebsocketURL(), secured.URL()} {
		scheme, _, _ := strings.Cut(url, ":")
		t.Run(scheme, func(t *testing.T) {
			const n = 900
			o := options(url, "reader")
			o.CAFile, o.Gather = ca, 10*time.Millisecond
			reader := start(t, o, "/a").connected()
			o.ClientID, o.Gather = "other", 0
			other := start(t, o, "/b").connected()
			o.ClientID = "writer"
			writer := start(t, o).connected()
			takes := func(c *client, topic string) time.Duration {
				began := time.Now()
				for range n {
					writer.Send(bus.Message{Topic: topic, QoS: 1, Payload: make([]byte, 600)}, nil)
				}
				for range n {
					c.next()
				}
				return time.Since(began)
			}
			// A machine that does other things is slow without that, too, and now and then
			// slower still.
			const steps = n * 10 * time.Millisecond
			took, without := takes(reader, "/a"), time.Duration(0)
			for i := 0; took >= steps/2+without && i < 5; i++ {
				without = 2 * takes(other, "/b")
				took = min(took, takes(reader, "/a"))
			}
			assert.Less(t, took, steps/2+without, "one step for each message")
		})
	}
}

func BenchmarkPublish(b *testing.B) {
	c := start(b, options(brokertest.Start(b), "c")).connected()
	payload := make([]byte, 900)
	done := make(chan error, 1024)
	b.ReportAllocs()
	flying := 0
	for b.Loop() {
		c.Send(bus.Message{Topic: "/hv/status", QoS: 1, Payload: payload}, func(err error) { done <- err })
		if flying++; flying >= 1000 {
			<-done
			flying--
		}
	}
	for ; flying > 0; flying-- {
		<-done
	}
}
