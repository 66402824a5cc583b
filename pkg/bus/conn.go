package bus

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// connection is one paho client from its CONNECT to its end. It ends when its
// network connection does, whatever paho makes of that: paho reports a loss
// only once its workers have ended, and nothing when we close by ourselves.
type connection struct {
	paho mqtt.Client
	lost chan struct{} // closed at the end
	left chan error    // we want to leave, and why

	resumed bool // the broker had kept the session

	once sync.Once
	err  error // why it ended, once lost is closed
	mu   sync.Mutex
	raw  net.Conn
}

// leaving is why we left on our own account.
type leaving struct{ reason string }

func (l leaving) Error() string { return l.reason }

func (n *connection) leave(reason string) {
	select {
	case n.left <- leaving{reason}:
	default:
	}
}

// end closes the network connection; the first error is the one that counts.
func (n *connection) end(err error) {
	n.once.Do(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.err = err
		close(n.lost)
		if n.raw != nil {
			n.raw.Close()
		}
	})
}

// disconnect takes leave, so that the last will does not fire.
func (n *connection) disconnect() {
	if !n.isLost() {
		n.paho.Disconnect(quiesce)
	}
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

// own makes the connection the owner of raw: its end closes it.
func (n *connection) own(raw net.Conn) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.isLost() {
		raw.Close()
		return n.err
	}
	n.raw = raw
	return nil
}

// open makes the network connection.
func (n *connection) open(ctx context.Context, c *Client) (net.Conn, error) {
	u := c.broker
	if u.Scheme == "ws" || u.Scheme == "wss" {
		conn, err := mqtt.NewWebsocket(u.String(), c.tls.Clone(), connectTimeout, nil, nil)
		if err != nil {
			return nil, err
		}
		if err := n.own(conn); err != nil {
			return nil, err
		}
		return newLink(conn, n.end, c.opts.Gather), nil
	}
	conn, err := c.dialTCP(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	if err := n.own(conn); err != nil {
		return nil, err
	}
	if u.Scheme == "ssl" {
		secured := tls.Client(conn, c.tls.Clone())
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = secured
	}
	return newLink(conn, n.end, c.opts.Gather), nil
}

// Why a connection ended.
var (
	errClosed = errors.New("the broker closed the connection")
	errSilent = fmt.Errorf("nothing heard from the broker for %v", silence)
)

// link is a network connection that says when it has ended: when a read or a
// write fails, when a write finds no room for writeTimeout, or when nothing
// came for so long that a broker would have answered a ping.
type link struct {
	net.Conn
	end func(error)
	in  *bufio.Reader // paho reads byte by byte

	gather time.Duration // how long to wait for more when little was there to read

	out   sync.Mutex  // paho writes its pings past its queue
	acks  []byte      // PUBACKs that wait
	flush *time.Timer // writes them
}

// readBuffer is read from the network at once.
const readBuffer = 32 << 10

func newLink(conn net.Conn, end func(error), gather time.Duration) *link {
	l := &link{Conn: conn, end: end, gather: gather}
	l.in = bufio.NewReaderSize(listener{l}, readBuffer)
	l.flush = time.AfterFunc(time.Hour, l.flushAcks)
	l.flush.Stop()
	return l
}

// caughtUp is how long a read takes at least when nothing was there to read.
const caughtUp = 100 * time.Microsecond

// listener is the link's unbuffered side.
type listener struct{ *link }

func (l listener) Read(b []byte) (int, error) {
	began := time.Now()
	err := l.Conn.SetReadDeadline(began.Add(silence))
	n := 0
	if err == nil {
		n, err = l.Conn.Read(b)
	}
	switch {
	case errors.Is(err, io.EOF):
		l.end(errClosed)
	case errors.Is(err, os.ErrDeadlineExceeded):
		l.end(errSilent)
	case err != nil:
		l.end(err)
	case l.gather > 0 && l.isAll(n < len(b), time.Since(began)):
		time.Sleep(l.gather)
	}
	return n, err
}

// isAll reports whether a read has left nothing behind: it did not fill its room
// or, where TLS and WebSockets give one record or frame at a time, it had to wait.
func (l listener) isAll(room bool, took time.Duration) bool {
	if _, plain := l.Conn.(*net.TCPConn); plain {
		return room
	}
	return took > caughtUp
}

func (l *link) Read(b []byte) (int, error) { return l.in.Read(b) }

// Confirmations wait a moment for each other: one at a time they cost as much
// as all else that is done with a message.
const (
	ackWait  = time.Millisecond
	ackBytes = 4 << 10
)

// isPuback reports whether b is one PUBACK packet (MQTT 3.1.1, 3.4).
func isPuback(b []byte) bool { return len(b) == 4 && b[0] == 0x40 && b[1] == 2 }

func (l *link) Write(b []byte) (int, error) {
	l.out.Lock()
	defer l.out.Unlock()
	if isPuback(b) && len(l.acks) < ackBytes {
		if len(l.acks) == 0 {
			l.flush.Reset(ackWait)
		}
		l.acks = append(l.acks, b...)
		return len(b), nil
	}
	if err := l.writeAcks(); err != nil {
		return 0, err
	}
	return l.write(b)
}

// flushAcks writes the confirmations that have waited.
func (l *link) flushAcks() {
	l.out.Lock()
	defer l.out.Unlock()
	_ = l.writeAcks() // it has ended the link
}

// writeAcks is called with out held.
func (l *link) writeAcks() error {
	if len(l.acks) == 0 {
		return nil
	}
	_, err := l.write(l.acks)
	l.acks = l.acks[:0]
	return err
}

// write is called with out held.
func (l *link) write(b []byte) (int, error) {
	err := l.Conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	n := 0
	if err == nil {
		n, err = l.Conn.Write(b)
	}
	if err != nil {
		l.end(err)
	}
	return n, err
}

// Close ends the waiting too.
func (l *link) Close() error {
	l.flush.Stop()
	return l.Conn.Close()
}

// The deadlines of paho would take back those of Read and Write.

func (l *link) SetDeadline(time.Time) error      { return nil }
func (l *link) SetReadDeadline(time.Time) error  { return nil }
func (l *link) SetWriteDeadline(time.Time) error { return nil }

// dial makes a connection whose subscriptions are granted. When it fails or
// ctx ends, nothing of it is left.
func (c *Client) dial(ctx context.Context) (*connection, error) {
	conn := &connection{lost: make(chan struct{}), left: make(chan error, 1)}
	o := mqtt.NewClientOptions().
		AddBroker(c.broker.String()).
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
		SetStore(noStore{}).
		// Set before CONNECT: a persistent session delivers at once.
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.dispatch(m) }).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { conn.end(err) }).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) {
			return conn.open(ctx, c)
		})
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
	connect := conn.paho.Connect()
	err := wait(ctx, conn, connect)
	if err == nil {
		token, ok := connect.(*mqtt.ConnectToken)
		conn.resumed = ok && token.SessionPresent()
		err = c.subscribeAll(ctx, conn)
	}
	if err != nil {
		conn.end(err)
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
		for _, f := range s.filters {
			filters[f] = max(filters[f], s.qos)
		}
	}
	// First, because a broker may bound how many a session has.
	former := slices.DeleteFunc(slices.Clone(c.former), func(f string) bool { _, wanted := filters[f]; return wanted })
	if len(former) > 0 {
		if err := wait(ctx, conn, conn.paho.Unsubscribe(former...)); err != nil {
			return fmt.Errorf("unsubscribing: %w", err)
		}
	}
	token := conn.paho.SubscribeMultiple(filters, nil)
	if err := wait(ctx, conn, token); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	for filter, code := range token.(*mqtt.SubscribeToken).Result() {
		if code > 2 {
			return fmt.Errorf("the broker refuses the subscription to %s: check its access list", filter)
		}
	}
	return nil
}

// wait waits for an answer of the broker.
func wait(ctx context.Context, conn *connection, t mqtt.Token) error {
	timer := time.NewTimer(answerTimeout)
	defer timer.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-conn.lost:
		// Paho knows more when the broker has said why.
		select {
		case <-t.Done():
			if t.Error() != nil {
				return t.Error()
			}
		default:
		}
		return conn.cause()
	case <-timer.C:
		return fmt.Errorf("no answer from the broker within %v", answerTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dispatch hands a message to every handler whose filter takes it. Under
// ManualAck it is confirmed when all of them have done so. What a persistent
// session still subscribes to from other settings finds no handler: left
// unconfirmed it would fill the broker's window, and nothing else would come.
func (c *Client) dispatch(m mqtt.Message) {
	takers := int32(0)
	for _, s := range c.subs {
		if s.takes(m.Topic()) {
			takers++
		}
	}
	ack := m.Ack
	switch {
	case takers == 0:
		ack()
		return
	case takers > 1 && c.opts.ManualAck:
		var left atomic.Int32
		left.Store(takers)
		ack = func() {
			if left.Add(-1) == 0 {
				m.Ack()
			}
		}
	}
	for _, s := range c.subs {
		if !s.takes(m.Topic()) {
			continue
		}
		own := ack
		if takers > 1 {
			own = sync.OnceFunc(ack)
		}
		s.handle(Message{Topic: m.Topic(), Payload: m.Payload(), QoS: m.Qos(), Retained: m.Retained(), ack: own})
	}
}

// matches reports whether a filter takes a topic (MQTT 3.1.1, 4.7).
func matches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && !strings.HasPrefix(filter, "$") {
		return false
	}
	for {
		want, filterRest, moreFilter := strings.Cut(filter, "/")
		if want == "#" {
			return true
		}
		level, topicRest, moreTopic := strings.Cut(topic, "/")
		switch {
		case want != "+" && want != level:
			return false
		case !moreFilter || !moreTopic:
			return moreFilter == moreTopic || filterRest == "#" && !moreTopic
		}
		filter, topic = filterRest, topicRest
	}
}
