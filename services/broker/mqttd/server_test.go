package mqttd_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

const patience = time.Minute

// client is a paho client whose messages arrive in a channel.
type client struct {
	mqtt.Client
	t  testing.TB
	in chan mqtt.Message
}

// dial connects a client that does not reconnect by itself. It tries until it
// succeeds: the broker turns a client away, or keeps it waiting for a second,
// while it still sees an older connection with the same id.
func dial(t testing.TB, url, id string, set ...func(*mqtt.ClientOptions)) *client {
	t.Helper()
	c := &client{t: t, in: make(chan mqtt.Message, 1<<16)}
	o := mqtt.NewClientOptions().AddBroker(url).SetClientID(id).
		SetAutoReconnect(false).SetConnectTimeout(patience).SetProtocolVersion(4).
		SetConnectRetry(true).SetConnectRetryInterval(50 * time.Millisecond).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.in <- m })
	for _, f := range set {
		f(o)
	}
	c.Client = mqtt.NewClient(o)
	c.done(c.Connect())
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func persistent(o *mqtt.ClientOptions) { o.SetCleanSession(false) }
func ackByHand(o *mqtt.ClientOptions)  { o.SetAutoAckDisabled(true) }

func (c *client) done(tok mqtt.Token) {
	c.t.Helper()
	require.True(c.t, tok.WaitTimeout(patience), "no answer from the broker")
	require.NoError(c.t, tok.Error())
}

func (c *client) sub(filter string, qos byte) {
	c.t.Helper()
	c.done(c.Subscribe(filter, qos, nil))
}

func (c *client) pub(topic string, qos byte, retained bool, payload string) {
	c.t.Helper()
	c.done(c.Publish(topic, qos, retained, payload))
}

func (c *client) next() mqtt.Message {
	c.t.Helper()
	select {
	case m := <-c.in:
		return m
	case <-time.After(patience):
		c.t.Fatal("no message")
		return nil
	}
}

func TestTopicsAndQoS(t *testing.T) {
	url := brokertest.Start(t)
	for i, tt := range []struct{ filter, topic string }{
		{"/hv/status", "/hv/status"},
		{"/+/ack", "/hv/ack"},
		{"/lv/cmd/#", "/lv/cmd/setv/0"},
		{"lab1/+/status", "lab1/hv/status"},
		{"/dots/#", "/dots/a.b"},
		{"#", "/any"},
	} {
		for qos := byte(0); qos <= 2; qos++ {
			t.Run(fmt.Sprintf("%s qos %d", tt.topic, qos), func(t *testing.T) {
				s := dial(t, url, fmt.Sprintf("s%d%d", i, qos))
				s.sub(tt.filter, qos)
				dial(t, url, fmt.Sprintf("p%d%d", i, qos)).pub(tt.topic, qos, false, "payload")
				m := s.next()
				require.Equal(t, tt.topic, m.Topic())
				require.Equal(t, "payload", string(m.Payload()))
				require.Equal(t, qos, m.Qos())
				require.False(t, m.Retained())
			})
		}
	}
}

func TestRetainedIsKeptAndCleared(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	p := dial(t, b.URL(), "p")
	p.pub("/hv/state", 1, true, "ready")
	p.pub("/lv/state", 1, true, "ready")
	p.pub("/lv/state", 1, true, "") // an empty payload clears it

	b.Stop()
	b.Start()

	s := dial(t, b.URL(), "s")
	s.sub("/+/state", 1)
	m := s.next()
	require.Equal(t, "/hv/state", m.Topic())
	require.True(t, m.Retained())

	// What the broker sends next is what comes next: the other one is gone.
	dial(t, b.URL(), "q").pub("/x/state", 1, false, "live")
	m = s.next()
	require.Equal(t, "/x/state", m.Topic())
	require.False(t, m.Retained())
}

// The first to subscribe after a restart gets everything that is retained.
func TestAllRetainedAfterARestart(t *testing.T) {
	const n = 500
	b := brokertest.New(t, mqttd.Options{})
	p := dial(t, b.URL(), "p")
	for i := range n {
		p.pub(fmt.Sprintf("/%d/state", i), 1, true, "ready")
	}
	b.Stop()
	b.Start()
	s := dial(t, b.URL(), "s")
	s.sub("/+/state", 1)
	got := make(map[string]bool)
	for range n {
		m := s.next()
		require.True(t, m.Retained())
		got[m.Topic()] = true
	}
	require.Len(t, got, n)
}

func TestLastWill(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	withWill := func(o *mqtt.ClientOptions) { o.SetWill("/hv/state", "lost", 1, true) }

	t.Run("an abrupt drop fires it", func(t *testing.T) {
		w := dial(t, b.URL(), "w")
		w.sub("/hv/state", 1)
		var conn net.Conn
		dial(t, b.URL(), "hv", withWill, func(o *mqtt.ClientOptions) {
			o.SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (c net.Conn, err error) {
				conn, err = net.Dial("tcp", u.Host)
				return conn, err
			})
		})
		require.NoError(t, conn.Close())
		require.Equal(t, "lost", string(w.next().Payload()))
	})
	t.Run("a clean disconnect does not", func(t *testing.T) {
		dial(t, b.URL(), "clear").pub("/hv/state", 1, true, "")
		dial(t, b.URL(), "hv", withWill).Disconnect(250)
		w := dial(t, b.URL(), "w")
		w.sub("/#", 1)
		dial(t, b.URL(), "mark").pub("/mark", 1, false, "")
		require.Equal(t, "/mark", w.next().Topic())
	})
	t.Run("the broker cutting the connection fires it", func(t *testing.T) {
		dial(t, b.URL(), "hv", withWill)
		b.DropClients()
		w := dial(t, b.URL(), "w")
		// What is retained is given to new subscriptions a moment after it was
		// published: who subscribes in between gets it neither way.
		for again := time.Now().Add(patience); len(w.in) == 0 && time.Now().Before(again); time.Sleep(50 * time.Millisecond) {
			w.sub("/hv/state", 1)
		}
		require.Equal(t, "lost", string(w.next().Payload()))
	})
}

// What an absent subscriber with a persistent session missed, and what it had
// not acknowledged, comes after a restart of the broker.
func TestPersistentSessionOutlivesTheBroker(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{AckWait: time.Second})
	s := dial(t, b.URL(), "loader", persistent, ackByHand)
	s.sub("/+/status", 1)
	p := dial(t, b.URL(), "p")

	p.pub("/hv/status", 1, false, "acked")
	s.next().Ack()
	p.pub("/hv/status", 1, false, "not acked")
	require.Equal(t, "not acked", string(s.next().Payload()))
	s.Disconnect(250)
	for i := range 100 {
		p.pub("/hv/status", 1, false, fmt.Sprint(i))
	}

	b.Stop()
	b.Start()

	s = dial(t, b.URL(), "loader", persistent, ackByHand)
	got := make(map[string]bool) // a set: the order is not kept over a reconnect
	for len(got) < 101 {
		m := s.next()
		m.Ack()
		got[string(m.Payload())] = true
	}
	require.NotContains(t, got, "acked")
	require.Contains(t, got, "not acked")
}

// A consumer that acknowledges after writing a batch has thousands in flight.
func TestManyInFlight(t *testing.T) {
	const n = 5000
	url := brokertest.Start(t)
	s := dial(t, url, "loader", persistent, ackByHand)
	s.sub("/+/status", 1)
	p := dial(t, url, "p")
	toks := make([]mqtt.Token, n)
	for i := range toks {
		toks[i] = p.Publish("/hv/status", 1, false, fmt.Sprint(i))
	}
	for _, tok := range toks {
		p.done(tok)
	}
	held := make([]mqtt.Message, n)
	for i := range held {
		held[i] = s.next()
		require.Equal(t, fmt.Sprint(i), string(held[i].Payload()), "order")
	}
	for _, m := range held {
		m.Ack()
	}
}

func TestLargePayload(t *testing.T) {
	url := brokertest.Start(t)
	s := dial(t, url, "s")
	s.sub("/big", 1)
	big := strings.Repeat("x", 2<<20)
	dial(t, url, "p").pub("/big", 1, false, big)
	require.Len(t, s.next().Payload(), len(big))
}

func TestPassword(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{User: "dcs", Password: "secret"})
	login := func(user, password string) error {
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(b.URL()).SetClientID("x").
			SetUsername(user).SetPassword(password))
		defer c.Disconnect(0)
		tok := c.Connect()
		require.True(t, tok.WaitTimeout(patience))
		return tok.Error()
	}
	require.Error(t, login("", ""))
	require.Error(t, login("dcs", "wrong"))
	require.NoError(t, login("dcs", "secret"))
}

func TestWebsocket(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{Websocket: true})
	s := dial(t, b.WebsocketURL(), "s")
	s.sub("/hv/status", 1)
	dial(t, b.URL(), "p").pub("/hv/status", 1, false, "over tcp")
	require.Equal(t, "over tcp", string(s.next().Payload()))
}

func TestStartRefuses(t *testing.T) {
	running := brokertest.New(t, mqttd.Options{DataDir: t.TempDir()})
	u, err := url.Parse(running.URL())
	require.NoError(t, err)
	var taken int
	_, err = fmt.Sscan(u.Port(), &taken)
	require.NoError(t, err)
	dir := t.TempDir()
	shared, err := mqttd.Start(t.Context(), mqttd.Options{DataDir: dir})
	require.NoError(t, err)
	defer shared.Stop()

	file := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	for name, tt := range map[string]struct {
		o    mqttd.Options
		want string
	}{
		"no directory":        {mqttd.Options{}, "no data directory"},
		"directory is a file": {mqttd.Options{DataDir: file}, "not a directory"},
		"directory in use":    {mqttd.Options{DataDir: dir}, "in use by another broker"},
		"port in use":         {mqttd.Options{DataDir: t.TempDir(), Port: taken}, "address already in use"},
		"no such address":     {mqttd.Options{DataDir: t.TempDir(), Host: "192.0.2.1"}, "cannot assign"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mqttd.Start(t.Context(), tt.o)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestTwoBrokersInOneTest(t *testing.T) {
	urls := []string{brokertest.Start(t), brokertest.Start(t)}
	require.Len(t, slices.Compact(urls), 2)
}
