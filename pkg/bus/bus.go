// Package bus is MQTT 3.1.1 as this project uses it.
//
// A Client keeps one connection to the broker alive: it dials again at most
// ten seconds apart, subscribes in each new connection before anything is
// published, and hands messages to handlers that only enqueue. Each connection
// is a paho client of its own, because paho's own reconnect completes the
// tokens of unfinished publishes as if they had been delivered; here a publish
// is delivered when its PUBACK came over the connection that carried it.
package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// Timing of a connection.
const (
	keepAlive      = 10 * time.Second
	pingTimeout    = 5 * time.Second
	connectTimeout = 5 * time.Second
	writeTimeout   = 5 * time.Second
	firstRetry     = 250 * time.Millisecond
	lastRetry      = 10 * time.Second
	drainTime      = 2 * time.Second
	quiesce        = 250 // ms: less, and the DISCONNECT may not leave, so that the last will fires
)

// ErrOffline says that a message was not delivered because there was no
// connection, or because it ended before the broker confirmed.
var ErrOffline = errors.New("no connection to the broker")

// Message is one MQTT message.
type Message struct {
	Topic    string
	Payload  []byte
	QoS      byte
	Retained bool

	ack func()
}

// Ack confirms a message that was received under ManualAck. Acknowledging
// after the connection has ended does nothing: the broker sends it again.
func (m Message) Ack() {
	if m.ack != nil {
		m.ack()
	}
}

// Handler takes a message over. It is called in order, from the goroutine that
// reads the connection: it must only enqueue and return.
type Handler func(Message)

// Options say which broker and how.
type Options struct {
	Broker       string // tcp://, ssl://, ws:// or wss://
	User         string
	PasswordFile string
	CAFile       string
	ClientID     string
	Persistent   bool     // keep the session while away; else what comes then is dropped
	ManualAck    bool     // messages are confirmed by Message.Ack
	Will         *Message // published by the broker when the connection is lost
	Log          *slog.Logger
}

// Client is a member of the bus. Subscribe and the hooks are called before Run.
type Client struct {
	opts Options
	tls  *tls.Config

	subs       []subscription
	onDial     []func()
	onConnect  []func()
	onLost     []func(error)
	out        outbox
	mu         sync.Mutex
	conn       *connection
	holdUntil  time.Time
	holdReason string
}

type subscription struct {
	filter string
	qos    byte
	handle Handler
}

// New checks the options; it does not connect. Errors name the setting's
// meaning: the broker's address, the CA file.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.Broker)
	if err != nil {
		return nil, fmt.Errorf("broker address: %w", err)
	}
	switch u.Scheme {
	case "tcp", "ssl", "ws", "wss":
	default:
		return nil, fmt.Errorf("broker address %q: begin with tcp://, ssl://, ws:// or wss://", o.Broker)
	}
	if u.Host == "" {
		return nil, fmt.Errorf("broker address %q has no host", o.Broker)
	}
	c := &Client{opts: o}
	if c.opts.Log == nil {
		c.opts.Log = slog.New(slog.DiscardHandler)
	}
	if u.Scheme == "ssl" || u.Scheme == "wss" {
		c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the broker's CA: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("the broker's CA: no certificate in %s", o.CAFile)
		}
		c.tls = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	c.out.wake = make(chan struct{}, 1)
	return c, nil
}

// Subscribe adds a subscription that every connection makes anew.
func (c *Client) Subscribe(filter string, qos byte, h Handler) {
	c.subs = append(c.subs, subscription{filter, qos, h})
}

// OnDial adds a hook that runs before each attempt to connect.
func (c *Client) OnDial(f func()) { c.onDial = append(c.onDial, f) }

// OnConnect adds a hook that runs when a connection stands and its
// subscriptions are granted. It must not block.
func (c *Client) OnConnect(f func()) { c.onConnect = append(c.onConnect, f) }

// OnLost adds a hook that runs when a connection that stood has ended. It must
// not block.
func (c *Client) OnLost(f func(error)) { c.onLost = append(c.onLost, f) }

// Connected reports whether a connection stands.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil
}

// Hold ends the connection, if any, and keeps from dialling for d.
func (c *Client) Hold(d time.Duration, reason string) {
	c.mu.Lock()
	c.holdUntil, c.holdReason = time.Now().Add(d), reason
	conn := c.conn
	c.mu.Unlock()
	if conn != nil {
		conn.end(errors.New(reason))
	}
}

// Run keeps the connection until ctx ends. It then gives what is queued two
// seconds to leave and disconnects, so that the last will does not fire. It
// always returns nil: a broker that is away is waited for.
func (c *Client) Run(ctx context.Context) error {
	retry := firstRetry
	complained := false
	for ctx.Err() == nil {
		if wait := c.held(); wait > 0 {
			c.opts.Log.Error("staying away from the broker", "for", wait.Round(time.Second).String(), "reason", c.holdReason)
			pause(ctx, wait)
			continue
		}
		for _, f := range c.onDial {
			f()
		}
		conn, err := c.dial(ctx)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			if !complained {
				c.opts.Log.Warn("waiting for the broker", "broker", c.opts.Broker, "error", err)
				complained = true
			}
			pause(ctx, retry)
			retry = min(2*retry, lastRetry)
			continue
		}
		complained = false
		began := time.Now()
		c.opts.Log.Info("connected to the broker", "broker", c.opts.Broker)
		c.stand(ctx, conn)
		if time.Since(began) > lastRetry {
			retry = firstRetry
		}
		pause(ctx, retry) // a broker that ends each connection at once is not hammered
		retry = min(2*retry, lastRetry)
	}
	c.out.failAll()
	return nil
}

func (c *Client) held() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Until(c.holdUntil)
}

// stand serves one connection to its end.
func (c *Client) stand(ctx context.Context, conn *connection) {
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	c.out.open()
	for _, f := range c.onConnect {
		f()
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		c.out.serve(conn)
	}()
	select {
	case <-conn.lost:
	case <-ctx.Done():
		c.out.drain(conn, drainTime)
	}
	c.mu.Lock()
	c.conn = nil
	c.mu.Unlock()
	if ctx.Err() != nil && !conn.isLost() {
		conn.paho.Disconnect(quiesce)
		conn.end(context.Canceled)
	}
	conn.end(ErrOffline) // the sender ends in any case
	<-sent
	c.out.close()
	cause := conn.cause()
	if ctx.Err() == nil {
		conn.paho.Disconnect(0)
		c.opts.Log.Warn("lost the broker", "error", cause)
	}
	for _, f := range c.onLost {
		f(cause)
	}
}

// connection is one paho client from its CONNECT to its end.
type connection struct {
	paho mqtt.Client
	lost chan struct{}
	once sync.Once
	err  error
}

func (n *connection) end(err error) {
	n.once.Do(func() {
		n.err = err
		close(n.lost)
	})
}

func (n *connection) isLost() bool {
	select {
	case <-n.lost:
		return true
	default:
		return false
	}
}

func (n *connection) cause() error {
	<-n.lost
	return n.err
}

func (c *Client) dial(ctx context.Context) (*connection, error) {
	conn := &connection{lost: make(chan struct{})}
	o := mqtt.NewClientOptions().
		AddBroker(c.opts.Broker).
		SetClientID(c.opts.ClientID).
		SetProtocolVersion(4).
		SetCleanSession(!c.opts.Persistent).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetKeepAlive(keepAlive).
		SetPingTimeout(pingTimeout).
		SetConnectTimeout(connectTimeout).
		SetWriteTimeout(writeTimeout).
		SetAutoAckDisabled(c.opts.ManualAck).
		SetOrderMatters(true).
		// What a persistent session still subscribes to from other settings finds no
		// handler. Unconfirmed it would fill the broker's window, and nothing else
		// would come.
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { m.Ack() }).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { conn.end(err) })
	if c.tls != nil {
		o.SetTLSConfig(c.tls.Clone())
	}
	if c.opts.User != "" {
		o.SetUsername(c.opts.User)
	}
	if c.opts.PasswordFile != "" {
		b, err := os.ReadFile(c.opts.PasswordFile) // each time: a rotated password is taken without a restart
		if err != nil {
			return nil, fmt.Errorf("the broker's password: %w", err)
		}
		o.SetPassword(strings.TrimRight(string(b), "\r\n"))
	}
	if w := c.opts.Will; w != nil {
		o.SetBinaryWill(w.Topic, w.Payload, w.QoS, w.Retained)
	}
	conn.paho = mqtt.NewClient(o)
	for _, s := range c.subs { // before CONNECT: a persistent session delivers at once
		conn.paho.AddRoute(s.filter, func(_ mqtt.Client, m mqtt.Message) {
			s.handle(Message{Topic: m.Topic(), Payload: m.Payload(), QoS: m.Qos(), Retained: m.Retained(), ack: m.Ack})
		})
	}
	if err := wait(ctx, conn, conn.paho.Connect(), 2*connectTimeout); err != nil {
		conn.paho.Disconnect(0)
		return nil, err
	}
	if err := c.subscribeAll(ctx, conn); err != nil {
		conn.paho.Disconnect(0)
		return nil, err
	}
	return conn, nil
}

func (c *Client) subscribeAll(ctx context.Context, conn *connection) error {
	if len(c.subs) == 0 {
		return nil
	}
	filters := make(map[string]byte, len(c.subs))
	for _, s := range c.subs {
		filters[s.filter] = s.qos
	}
	token := conn.paho.SubscribeMultiple(filters, nil)
	if err := wait(ctx, conn, token, 2*connectTimeout); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	for filter, code := range token.(*mqtt.SubscribeToken).Result() {
		if code > 2 {
			return fmt.Errorf("the broker refuses the subscription to %s: check its access list", filter)
		}
	}
	return nil
}

func wait(ctx context.Context, conn *connection, t mqtt.Token, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-conn.lost:
		return conn.cause()
	case <-timer.C:
		return fmt.Errorf("no answer from the broker within %v", limit)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
