// Package mqttd is an MQTT 3.1.1 broker inside the process: the NATS server
// with its MQTT listener, set up the way Tracker DCS needs a broker to behave.
//
// It speaks QoS 0 to 2, retained messages, last wills and persistent
// sessions. Sessions, retained messages and what waits for an absent
// subscriber are kept in JetStream in the data directory and survive a
// restart. A QoS 1 publish is acknowledged after it has been stored.
//
// Only the MQTT listener (and, if asked for, the WebSocket one) accepts
// connections: the NATS client port stays closed.
package mqttd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Options say where the broker listens and what it keeps. The zero value is a
// broker on a free port of the loopback interface; only DataDir is needed.
type Options struct {
	Host string // default 127.0.0.1
	Port int    // 0 takes a free port, see Server.URL

	// DataDir keeps sessions, retained messages and queues. It belongs to one
	// broker at a time: a second one is refused.
	DataDir string

	// User and Password, if User is set, are what every client must give.
	User, Password string

	// TLS, if set, makes the MQTT listener speak TLS only.
	TLS *tls.Config

	// Websocket opens a second listener for MQTT over WebSocket on a free
	// port, see Server.WebsocketURL. It is meant for tests: native NATS
	// clients can use that port too.
	Websocket bool

	// MaxPayload is the largest message in bytes; default 4 MiB.
	MaxPayload int

	// MaxInflight is how many messages a subscription may leave unacknowledged
	// before the broker holds the rest back; default 5000. One session may
	// subscribe 65535/MaxInflight filters at QoS 1 or 2, and a filter that
	// ends in # counts twice: 13 and 6 with the default. A filter beyond that
	// is refused in the SUBACK.
	MaxInflight uint16

	// AckWait is the time after which an unacknowledged message is sent
	// again, within a connection or across a reconnect; default 30 s.
	AckWait time.Duration

	// MaxStore bounds the data directory in bytes; default 10 GiB. A broker
	// that is full drops nothing, but it acknowledges no QoS 1 publish and
	// lets no persistent session come back, not even to fetch what waits:
	// give it more room.
	MaxStore int64

	// Sync makes every stored message reach the disk before its publish is
	// acknowledged. Without it an acknowledged message survives the death of
	// the broker, but a power cut takes what came in the last SyncInterval.
	Sync bool

	// SyncInterval is the time between two flushes to disk; default 10 s.
	SyncInterval time.Duration

	// Log gets warnings and errors, and the server's notices at debug level;
	// default slog.Default().
	Log *slog.Logger
}

// Server is a running broker.
type Server struct {
	ns       *server.Server
	url      string
	wsURL    string
	unlock   func()
	stopOnce sync.Once
}

// Start returns when the broker accepts connections and knows what it keeps,
// or says why it does not.
// The context bounds the start only; a broker with much on disk reads it
// first. End the broker with Stop.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.DataDir == "" {
		return nil, errors.New("mqttd: no data directory given")
	}
	o.Host = cmp.Or(o.Host, "127.0.0.1")
	o.Log = cmp.Or(o.Log, slog.Default())

	if err := os.MkdirAll(o.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("mqttd: data directory: %w", err)
	}
	unlock, err := lock(filepath.Join(o.DataDir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("mqttd: data directory %s: %w", o.DataDir, err)
	}

	no := natsOptions(o)
	ns, err := server.NewServer(no)
	if err != nil {
		unlock()
		return nil, fmt.Errorf("mqttd: %w", err)
	}
	log := &natsLog{log: o.Log, fatal: make(chan error, 1)}
	// Trace and debug messages are made for each packet: never ask for them.
	ns.SetLoggerV2(log, false, false, false)

	s := &Server{ns: ns, unlock: unlock}
	ready := make(chan bool, 1)
	go func() {
		ns.Start()
		// Short polls, so that it ends soon after a Shutdown.
		for !ns.ReadyForConnections(100 * time.Millisecond) {
			if !ns.Running() {
				return
			}
		}
		ready <- true
	}()
	select {
	case <-ready:
	case err = <-log.fatal:
	case <-ctx.Done():
		err = fmt.Errorf("not ready: %w", ctx.Err())
	}
	if err != nil {
		s.Stop()
		return nil, fmt.Errorf("mqttd: %w", err)
	}

	// The server writes the ports it got into the options it was given.
	scheme := "tcp"
	if o.TLS != nil {
		scheme = "ssl"
	}
	s.url = scheme + "://" + net.JoinHostPort(o.Host, strconv.Itoa(no.MQTT.Port))
	if o.Websocket {
		s.wsURL = "ws://" + net.JoinHostPort(o.Host, strconv.Itoa(no.Websocket.Port)) + "/mqtt"
	}
	if err := settle(ctx, s, o); err != nil {
		s.Stop()
		return nil, fmt.Errorf("mqttd: not ready, is the data directory full? %w", err)
	}
	return s, nil
}

func natsOptions(o Options) *server.Options {
	port := o.Port
	if port == 0 {
		port = server.RANDOM_PORT
	}
	no := &server.Options{
		ServerName:             "broker",
		DontListen:             true,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
		MaxPayload:             int32(cmp.Or(o.MaxPayload, 4<<20)),
		JetStream:              true,
		StoreDir:               o.DataDir,
		JetStreamMaxStore:      cmp.Or(o.MaxStore, 10<<30),
		JetStreamMaxMemory:     64 << 20,
		SyncAlways:             o.Sync,
		SyncInterval:           cmp.Or(o.SyncInterval, 10*time.Second),
		MQTT: server.MQTTOpts{
			Host:          o.Host,
			Port:          port,
			TLSConfig:     o.TLS,
			Username:      o.User,
			Password:      o.Password,
			JSAPITimeout:  30 * time.Second, // a disk may be slow: the default of 5 s cuts publishers off
			AckWait:       cmp.Or(o.AckWait, 30*time.Second),
			MaxAckPending: cmp.Or(o.MaxInflight, 5000),
		},
	}
	if o.Websocket {
		no.Websocket = server.WebsocketOpts{
			Host: o.Host, Port: server.RANDOM_PORT, NoTLS: true,
			Username: o.User, Password: o.Password,
		}
	}
	return no
}

// URL is where clients connect, tcp://127.0.0.1:34567 for instance.
func (s *Server) URL() string { return s.url }

// WebsocketURL is where clients connect over WebSocket, empty without
// Options.Websocket.
func (s *Server) WebsocketURL() string { return s.wsURL }

// DropClients cuts every client's connection, as a failing network would. The
// wills of the clients fire; they may connect again at once.
func (s *Server) DropClients() error {
	conns, err := s.ns.Connz(&server.ConnzOptions{Limit: 1 << 16})
	if err != nil {
		return fmt.Errorf("mqttd: %w", err)
	}
	var errs []error
	for _, c := range conns.Conns {
		if err := s.ns.DisconnectClientByID(c.Cid); err != nil && s.ns.GetClient(c.Cid) != nil {
			errs = append(errs, err) // one that has left by itself is dropped too
		}
	}
	return errors.Join(errs...)
}

// Stop ends the broker and returns when all is on disk and the port is free.
func (s *Server) Stop() {
	s.stopOnce.Do(func() {
		s.ns.Shutdown()
		s.ns.WaitForShutdown()
		s.unlock()
	})
}
