package mqttd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// settleTopic is where settle leaves its mark; a topic with $ in front is not
// among those of a subscriber to #.
const settleTopic = "$dcs/start"

// settle returns when the broker knows the retained messages on its disk.
//
// The server reads them in the background once the first client has connected,
// and whoever subscribes before that never gets them. It takes them up in the
// order of their storing: as soon as one stored now is found, all are known.
func settle(ctx context.Context, s *Server, o Options) error {
	c, err := dialSelf(ctx, s, o.TLS)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	r := bufio.NewReader(c)

	mark := []byte(rand.Text())
	if err := send(c, connectPacket(o.User, o.Password), publishPacket(mark)); err != nil {
		return err
	}
	if kind, body, err := receive(r); err != nil || kind>>4 != 2 || !bytes.Equal(body, []byte{0, 0}) {
		return errors.Join(errors.New("the broker turned its own client away"), err)
	}
	for !found(r, c, mark, &err) {
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
	return send(c, publishPacket(nil), []byte{0xE0, 0}) // clear the mark, DISCONNECT
}

func dialSelf(ctx context.Context, s *Server, conf *tls.Config) (net.Conn, error) {
	_, addr, _ := strings.Cut(s.url, "://")
	if conf == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	// It is itself that it talks to: there is no name to verify.
	d := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, Certificates: conf.Certificates}}
	return d.DialContext(ctx, "tcp", addr)
}

// found subscribes and reports whether the mark is among the retained messages
// that this brings. They come before the answer to the ping.
func found(r *bufio.Reader, c net.Conn, mark []byte, err *error) bool {
	if *err = send(c, subscribePacket(), []byte{0xC0, 0}); *err != nil {
		return false
	}
	seen := false
	for {
		kind, body, e := receive(r)
		if e != nil {
			*err = e
			return false
		}
		switch kind >> 4 {
		case 3: // PUBLISH; its lowest bit says that it was retained
			seen = seen || kind&1 == 1 && bytes.HasSuffix(body, mark)
		case 13: // PINGRESP
			return seen
		}
	}
}

// The packets of MQTT 3.1.1 (sections 3.1, 3.3, 3.8); all are shorter than the
// 128 bytes that one byte of length can say, but for a long password.

func connectPacket(user, password string) []byte {
	b := []byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0} // clean session, no keep-alive
	b = appendString(b, "dcs-broker-start")
	if user != "" {
		b[7] |= 0xC0
		b = appendString(appendString(b, user), password)
	}
	return packet(0x10, b)
}

func publishPacket(payload []byte) []byte {
	return packet(0x31, append(appendString(nil, settleTopic), payload...)) // QoS 0, retained
}

func subscribePacket() []byte {
	return packet(0x82, append(appendString([]byte{0, 1}, settleTopic), 0))
}

func packet(kind byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{kind}, uint64(len(body))), body...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func send(c net.Conn, packets ...[]byte) error {
	_, err := c.Write(bytes.Join(packets, nil))
	return err
}

func receive(r *bufio.Reader) (kind byte, body []byte, err error) {
	if kind, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, nil, err
	}
	if n > 1<<16 {
		return 0, nil, fmt.Errorf("packet of %d bytes", n)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return kind, body, err
}
