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
	"net"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"
)

// Timing of a connection.
const (
	keepAlive      = 10 * time.Second
	pingTimeout    = 5 * time.Second
	silence        = 2*keepAlive + pingTimeout // a broker that lives has answered a ping by then
	connectTimeout = 5 * time.Second
	answerTimeout  = 10 * time.Second // to CONNECT and SUBSCRIBE
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
	Persistent   bool          // keep the session while away; else what comes then is dropped
	ManualAck    bool          // messages are confirmed by Message.Ack
	Gather       time.Duration // wait this long for more when little was there to read: fewer, larger reads cost less
	Will         *Message      // published by the broker when the connection is lost
	Log          *slog.Logger
}

// Client is a member of the bus. Subscribe and the hooks are called before Run.
type Client struct {
	opts   Options
	broker *url.URL
	tls    *tls.Config

	dialTCP func(ctx context.Context, network, address string) (net.Conn, error)

	subs       []subscription
	former     []string // filters that a persistent session may still have
	onDial     []func()
	onConnect  []func()
	onLost     []func(error)
	out        outbox
	mu         sync.Mutex
	conn       *connection
	dialling   bool
	again      bool // the connection that is being made is to be left at once
	holdUntil  time.Time
	holdReason string
}

type subscription struct {
	filters []string
	qos     byte
	handle  Handler
}

// takes reports whether one of the filters takes a topic.
func (s *subscription) takes(topic string) bool {
	return slices.ContainsFunc(s.filters, func(f string) bool { return matches(f, topic) })
}

// New checks the options; it does not connect. Errors name the setting's
// meaning: the broker's address, the CA file.
func New(o Options) (*Client, error) {
	u, err := parseAddress(o.Broker)
	if err != nil {
		return nil, err
	}
	if o.User == "" && o.PasswordFile != "" {
		return nil, errors.New("a password for the broker needs a user") // MQTT 3.1.1, 3.1.2.9
	}
	c := &Client{opts: o, broker: u, dialTCP: (&net.Dialer{Timeout: connectTimeout}).DialContext}
	if c.opts.Log == nil {
		c.opts.Log = slog.New(slog.DiscardHandler)
	}
	c.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	if o.CAFile != "" {
		if c.tls.RootCAs, err = loadCA(o.CAFile); err != nil {
			return nil, err
		}
	}
	c.out.wake = make(chan struct{}, 1)
	return c, nil
}

// CheckAddress reports what is wrong with a broker's address.
func CheckAddress(address string) error {
	_, err := parseAddress(address)
	return err
}

// CheckCA reports why a file cannot be the broker's CA.
func CheckCA(file string) error {
	_, err := loadCA(file)
	return err
}

// parseAddress reads a broker's address and adds the port where it is left out.
func parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("broker address: %w", err)
	}
	ports := map[string]string{"tcp": "1883", "ssl": "8883", "ws": "80", "wss": "443"}
	port, ok := ports[u.Scheme]
	if !ok {
		return nil, fmt.Errorf("broker address %q: begin with tcp://, ssl://, ws:// or wss://", address)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("broker address %q has no host", address)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u, nil
}

func loadCA(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the broker's CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the broker's CA: no certificate in %s", file)
	}
	return pool, nil
}

// Subscribe adds a subscription that every connection makes anew.
func (c *Client) Subscribe(filter string, qos byte, h Handler) {
	c.SubscribeAll([]string{filter}, qos, h)
}

// SubscribeAll adds a subscription to several filters. A message that several
// of them take is handed over once.
func (c *Client) SubscribeAll(filters []string, qos byte, h Handler) {
	c.subs = append(c.subs, subscription{filters, qos, h})
}

// Unsubscribe names filters that a persistent session may still have from
// earlier settings: every connection takes them out. Those that are subscribed
// to are left alone.
func (c *Client) Unsubscribe(filters ...string) { c.former = append(c.former, filters...) }

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

// Resumed reports whether a connection stands whose session the broker had kept:
// if not, what came while a persistent client was away is lost.
func (c *Client) Resumed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil && c.conn.resumed
}

// Hold ends the connection, if any, and keeps from dialling for d. It takes
// leave of the broker, so that the last will does not fire.
func (c *Client) Hold(d time.Duration, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holdUntil, c.holdReason = time.Now().Add(d), reason
	if c.conn != nil {
		c.conn.leave(reason)
	}
	c.again = c.dialling // its messages may have come already
}

func (c *Client) setDialling(is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialling, c.again = is, false
}

// held is for how long there shall be no connection, and why.
func (c *Client) held() (time.Duration, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Until(c.holdUntil), c.holdReason
}

// Run keeps the connection until ctx ends. It then gives what is queued two
// seconds to leave and disconnects, so that the last will does not fire. It
// always returns nil: a broker that is away is waited for.
func (c *Client) Run(ctx context.Context) error {
	retry := firstRetry
	complaint := ""
	for ctx.Err() == nil {
		if wait, reason := c.held(); wait > 0 {
			c.opts.Log.Error("staying away from the broker", "for", wait.Round(time.Second).String(), "reason", reason)
			pause(ctx, wait)
			continue
		}
		for _, f := range c.onDial {
			f()
		}
		c.setDialling(true)
		conn, err := c.dial(ctx)
		if err != nil {
			c.setDialling(false)
			if ctx.Err() != nil {
				break
			}
			if gist(err) != complaint {
				c.opts.Log.Warn("waiting for the broker", "broker", c.broker.Redacted(), "error", err)
				complaint = gist(err)
			}
			pause(ctx, retry)
			retry = min(2*retry, lastRetry)
			continue
		}
		complaint = ""
		began := time.Now()
		c.opts.Log.Info("connected to the broker", "broker", c.broker.Redacted())
		err = c.stand(ctx, conn)
		if ctx.Err() != nil {
			break
		}
		if reason := (leaving{}); errors.As(err, &reason) {
			c.opts.Log.Info("left the broker", "reason", reason.Error())
			pause(ctx, firstRetry)
			continue
		}
		c.opts.Log.Warn("lost the broker", "error", err)
		if time.Since(began) > lastRetry {
			retry = firstRetry
		}
		pause(ctx, retry) // a broker that ends each connection at once is not hammered
		retry = min(2*retry, lastRetry)
	}
	c.out.failAll()
	return nil
}

// stand serves one connection to its end and returns why it ended.
func (c *Client) stand(ctx context.Context, conn *connection) error {
	c.mu.Lock()
	c.conn, c.dialling = conn, false
	held := time.Until(c.holdUntil) > 0 || c.again
	if held { // asked for while we dialled
		conn.leave(c.holdReason)
	}
	c.mu.Unlock()
	c.out.open()
	sent := make(chan struct{})
	if !held {
		for _, f := range c.onConnect {
			f()
		}
	}
	go func() {
		defer close(sent)
		c.out.serve(conn)
	}()
	var why error
	select {
	case <-conn.lost:
	case why = <-conn.left:
	case <-ctx.Done():
		c.out.drain(conn, drainTime)
		why = context.Canceled
	}
	c.mu.Lock()
	c.conn = nil
	c.mu.Unlock()
	if why != nil {
		conn.disconnect()
	} else {
		why = conn.cause()
	}
	conn.end(why) // the sender ends in any case
	<-sent
	c.out.close()
	conn.paho.Disconnect(0) // lets go of what paho still has
	for _, f := range c.onLost {
		f(why)
	}
	return why
}

// gist is what of an error stays the same from one attempt to the next.
func gist(err error) string {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error() // its addresses have a port that is new each time
	}
	return err.Error()
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
