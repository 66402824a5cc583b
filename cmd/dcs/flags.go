package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// exitNoAnswer is how dcs ends when nobody answered.
const exitNoAnswer = exitCode(5)

// connectTime is how long a command waits for the broker.
const connectTime = 5 * time.Second

// busFlags are the flags of every command that is on the bus.
type busFlags struct {
	Broker       string        `help:"The MQTT broker: tcp://, ssl://, ws:// or wss:// (default tcp://127.0.0.1:1883)." env:"DCS_BROKER" placeholder:"URL"`
	User         string        `help:"Login at the broker." env:"DCS_BROKER_USER"`
	PasswordFile string        `help:"File with the login's password." env:"DCS_BROKER_PASSWORD_FILE" placeholder:"FILE"`
	CAFile       string        `name:"ca-file" help:"File with the CA that signed the broker's certificate." env:"DCS_BROKER_CA_FILE" placeholder:"FILE"`
	Root         wire.Root     `help:"Goes before every topic: lab1 gives lab1/hv/status." env:"DCS_TOPIC_ROOT" placeholder:"ROOT"`
	Output       string        `short:"o" help:"text, or json with one object a line." enum:"text,json" default:"text"`
	Timeout      time.Duration `help:"Give up after this long." placeholder:"DURATION"`
	PortOffset   int           `hidden:"" env:"PORT_OFFSET"` // the demonstrator's: it moves the default broker

	settle time.Duration // settleTime, but for tests
}

// settles is how long what is retained may take to come: MQTT does not tell where it ends.
func (f *busFlags) settles() time.Duration { return cmp.Or(f.settle, settleTime) }

// broker is the broker's address.
func (f *busFlags) broker() string {
	if f.Broker != "" {
		return f.Broker
	}
	return "tcp://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(1883+f.PortOffset))
}

func (f *busFlags) json() bool { return f.Output == "json" }

// join begins to keep a connection with these subscriptions, until leave is
// called. It does not wait for the broker.
func (f *busFlags) join(filters ...string) (*session, error) {
	if err := wire.CheckRoot(f.Root); err != nil {
		return nil, err
	}
	s := &session{broker: f.broker(), inbox: inbox{wake: make(chan struct{}, 1)}, left: make(chan struct{})}
	c, err := bus.New(bus.Options{
		Broker: f.broker(), User: f.User, PasswordFile: f.PasswordFile, CAFile: f.CAFile,
		ClientID: "dcscli-" + rand.Text()[:12], // at most 23 letters and digits, as MQTT 3.1.1 promises
		Log:      slog.New(trouble(s.inbox.lost)),
	})
	if err != nil {
		return nil, err
	}
	for _, filter := range filters {
		c.Subscribe(filter, 1, s.inbox.put)
	}
	c.OnConnect(s.inbox.connected)
	s.Client = c
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() {
		defer close(s.left)
		_ = c.Run(ctx)
	}()
	return s, nil
}

// session is one stay on the bus.
type session struct {
	*bus.Client
	broker string
	inbox  inbox
	cancel context.CancelFunc
	left   chan struct{}
}

// leave disconnects.
func (s *session) leave() {
	s.cancel()
	<-s.left
}

// arrive waits until the subscriptions stand. The first failure ends it:
// whoever typed a command would rather type it again than not know.
func (s *session) arrive(ctx context.Context) error {
	limit := time.NewTimer(connectTime)
	defer limit.Stop()
	for {
		select {
		case <-s.inbox.wake:
		case <-limit.C:
			return fmt.Errorf("no broker at %s: no answer within %v", s.broker, connectTime)
		case <-ctx.Done():
			return errors.New("interrupted before the broker answered")
		}
		if up, err := s.inbox.takeFirst(); err != nil {
			return fmt.Errorf("no broker at %s: %w", s.broker, err)
		} else if up {
			return nil
		}
	}
}
