package bus

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// fakeBroker answers on pipes, as each test has it answer, in the time of a
// synctest bubble.
type fakeBroker struct {
	// answer is asked about every packet that came over the n-th connection,
	// from 1, and returns what is answered.
	answer func(n int, p packets.ControlPacket) []packets.ControlPacket

	mu    sync.Mutex
	away  bool        // refuses connections
	dials []time.Time // all attempts
	got   []packets.ControlPacket
	conns []net.Conn
}

func (b *fakeBroker) dial(context.Context, string, string) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dials = append(b.dials, time.Now())
	if b.away {
		return nil, errors.New("refused")
	}
	ours, theirs := net.Pipe()
	b.conns = append(b.conns, ours)
	go b.serve(len(b.conns), ours)
	return theirs, nil
}

func (b *fakeBroker) serve(n int, conn net.Conn) {
	defer conn.Close()
	for {
		p, err := packets.ReadPacket(conn)
		if err != nil {
			return
		}
		b.mu.Lock()
		b.got = append(b.got, p)
		b.mu.Unlock()
		for _, a := range b.answer(n, p) {
			if a.Write(conn) != nil {
				return
			}
		}
	}
}

// hold runs f with the broker locked.
func (b *fakeBroker) hold(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// cut closes the connection that stands.
func (b *fakeBroker) cut() {
	b.hold(func() { b.conns[len(b.conns)-1].Close() })
}

// published are the payloads of all PUBLISH packets so far.
func (b *fakeBroker) published() (out []string) {
	b.hold(func() {
		for _, p := range b.got {
			if m, ok := p.(*packets.PublishPacket); ok {
				out = append(out, string(m.Payload))
			}
		}
	})
	return out
}

// took counts the packets of the kind of p so far.
func (b *fakeBroker) took(p packets.ControlPacket) (n int) {
	b.hold(func() {
		for _, q := range b.got {
			if reflect.TypeOf(q) == reflect.TypeOf(p) {
				n++
			}
		}
	})
	return n
}

// obliging answers as a broker does.
func obliging(_ int, p packets.ControlPacket) []packets.ControlPacket {
	switch p := p.(type) {
	case *packets.ConnectPacket:
		return list(packets.NewControlPacket(packets.Connack))
	case *packets.SubscribePacket:
		a := packets.NewControlPacket(packets.Suback).(*packets.SubackPacket)
		a.MessageID, a.ReturnCodes = p.MessageID, p.Qoss
		return list(a)
	case *packets.PublishPacket:
		a := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
		a.MessageID = p.MessageID
		return list(a)
	case *packets.PingreqPacket:
		return list(packets.NewControlPacket(packets.Pingresp))
	}
	return nil
}

func list(p ...packets.ControlPacket) []packets.ControlPacket { return p }

func count(log *logBuffer, s string) int { return strings.Count(log.String(), s) }

// logBuffer is what a client has logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// inBubble runs a client of a fake broker in a bubble of time. The bubble ends
// only when no goroutine is left, so each of these tests is a test of that.
func inBubble(t *testing.T, b *fakeBroker, prepare, test func(t *testing.T, c *Client, log *logBuffer)) {
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		c, err := New(Options{Broker: "tcp://fake", ClientID: "me", Log: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		c.dialTCP = b.dial
		if b.answer == nil {
			b.answer = obliging
		}
		if prepare != nil {
			prepare(t, c, log)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = c.Run(ctx)
		}()
		synctest.Wait()
		test(t, c, log)
		began := time.Now()
		cancel()
		<-ended
		if took := time.Since(began); took > drainTime+time.Second {
			t.Errorf("Run took %v to end", took)
		}
		b.hold(func() {
			for _, conn := range b.conns {
				conn.Close()
			}
		})
	})
}
