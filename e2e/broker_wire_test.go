//go:build e2e

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/stretchr/testify/require"
)

// wireClient speaks MQTT 3.1.1 packet by packet. The broker answers a client in
// order, so when a ping is answered all that was to come before has come: what a
// test does not see then was not sent. A library's callbacks cannot say that.
type wireClient struct {
	t    *testing.T
	conn net.Conn
	id   uint16
	got  []string // payloads, in order
}

// credentials are what a client says of itself.
type credentials struct {
	id, user, password string
	will               string // topic of its last will, if any
}

// dialWire connects and returns the broker's answer: 0 lets it in, 5 does not.
func dialWire(t *testing.T, conn net.Conn, c credentials) (*wireClient, byte, error) {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion, p.CleanSession, p.Keepalive = "MQTT", 4, true, 60
	p.ClientIdentifier = c.id
	p.UsernameFlag, p.Username = c.user != "", c.user
	p.PasswordFlag, p.Password = c.password != "", []byte(c.password)
	if c.will != "" {
		p.WillFlag, p.WillTopic, p.WillMessage, p.WillQos = true, c.will, []byte("will "+c.will), 1
	}
	if err := p.Write(conn); err != nil {
		return nil, 0, err
	}
	answer, err := packets.ReadPacket(conn)
	if err != nil {
		return nil, 0, err
	}
	ack, ok := answer.(*packets.ConnackPacket)
	if !ok {
		return nil, 0, fmt.Errorf("%T in answer to a connect", answer)
	}
	return &wireClient{t: t, conn: conn}, ack.ReturnCode, nil
}

// client connects with an account.
func (b *broker) client(account string) *wireClient {
	b.t.Helper()
	return b.clientAs(credentials{id: "test-" + account, user: account, password: b.passwords[account]})
}

func (b *broker) clientAs(cred credentials) *wireClient {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.plain)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = conn.Close() })
	c, code, err := dialWire(b.t, conn, cred)
	require.NoError(b.t, err)
	require.Zero(b.t, code, "%q is let in", cred.user)
	return c
}

// trust is the CA that outside devices are given.
func (a *access) trust() *x509.CertPool {
	a.t.Helper()
	text, err := os.ReadFile(a.file("ca_crt"))
	require.NoError(a.t, err)
	pool := x509.NewCertPool()
	require.True(a.t, pool.AppendCertsFromPEM(text))
	return pool
}

// encrypted dials the listener for outside devices.
func (b *broker) encrypted(conf *tls.Config) (net.Conn, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", b.tls, conf)
	if err != nil {
		return nil, err
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	return conn, nil
}

// until reads up to a packet that is wanted, and keeps what is published to us.
func (c *wireClient) until(wanted func(packets.ControlPacket) bool) error {
	for {
		p, err := packets.ReadPacket(c.conn)
		if err != nil {
			return err
		}
		if m, ok := p.(*packets.PublishPacket); ok {
			c.got = append(c.got, string(m.Payload))
		}
		if wanted(p) {
			return nil
		}
	}
}

func (c *wireClient) send(p packets.ControlPacket) {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetDeadline(time.Now().Add(patience)))
	require.NoError(c.t, p.Write(c.conn))
}

// publish returns when the broker has dealt with it: denied or not, it says so
// in the same way.
func (c *wireClient) publish(topic, payload string, retained bool) {
	c.t.Helper()
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	c.id++
	p.TopicName, p.Payload, p.Qos, p.Retain, p.MessageID = topic, []byte(payload), 1, retained, c.id
	c.send(p)
	require.NoError(c.t, c.until(func(a packets.ControlPacket) bool {
		ack, ok := a.(*packets.PubackPacket)
		return ok && ack.MessageID == p.MessageID
	}), "%s", topic)
}

// subscribe subscribes with QoS 0, so that nothing has to be acknowledged.
func (c *wireClient) subscribe(filters ...string) {
	c.t.Helper()
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	c.id++
	p.Topics, p.Qoss, p.MessageID = filters, make([]byte, len(filters)), c.id
	c.send(p)
	require.NoError(c.t, c.until(func(a packets.ControlPacket) bool { _, ok := a.(*packets.SubackPacket); return ok }))
}

// ping returns when all has come that was on its way, or says that the
// connection has ended.
func (c *wireClient) ping() error {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := packets.NewControlPacket(packets.Pingreq).Write(c.conn); err != nil {
		return err
	}
	return c.until(func(a packets.ControlPacket) bool { _, ok := a.(*packets.PingrespPacket); return ok })
}

// heard is what has come since it was asked last.
func (c *wireClient) heard() []string {
	c.t.Helper()
	require.NoError(c.t, c.ping())
	got := c.got
	c.got = nil
	return got
}

// ended reports whether the broker has closed the connection.
func (c *wireClient) ended() bool {
	err := c.ping()
	var late net.Error
	return err != nil && (!errors.As(err, &late) || !late.Timeout())
}
