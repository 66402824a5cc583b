package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

const (
	devices  = 50
	channels = 4
	senders  = 4   // connections that share the devices
	window   = 512 // unconfirmed publishes of a connection
)

// prefix is what the names of the devices of the load begin with.
const prefix = "bench_"

func deviceName(prefix string, i int) string { return fmt.Sprintf("%s%02d", prefix, i) }

// generator makes the statuses of a power supply with four channels, as they
// stand in the contract. It is for one goroutine.
type generator struct {
	topic   string
	boot    string
	seq     uint64
	stamper wire.Stamper
}

func newGenerator(device string) *generator {
	return &generator{topic: wire.Root("").Status(device), boot: newBoot()}
}

func newBoot() string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (g *generator) next() bus.Message {
	g.seq++
	return bus.Message{Topic: g.topic, QoS: 1, Payload: appendStatus(make([]byte, 0, 1200), g.stamper.Next(time.Now()), g.seq, g.boot)}
}

// appendStatus writes a status. Only the measured values move, as on a supply
// that stands.
func appendStatus(b []byte, t time.Time, seq uint64, boot string) []byte {
	for ch := range channels {
		sep := byte(',')
		if ch == 0 {
			sep = '['
		}
		b = append(b, sep)
		b = append(b, `{"number":`...)
		b = strconv.AppendInt(b, int64(ch), 10)
		b = append(b, `,"on":1,"vreq":100,"ireq":0.001,"vmon":`...)
		noise := float64((seq*7+uint64(ch)*13)%100) / 1000
		b = strconv.AppendFloat(b, 99.95+noise, 'f', 3, 64)
		b = append(b, `,"imon":`...)
		b = strconv.AppendFloat(b, 1.2e-6+noise*1e-7, 'g', 5, 64)
		b = append(b, `,"ramp":5,"ramping":0,"limited":0,"trip":0,"interlock":0,"locked":0,"time":"`...)
		b = t.AppendFormat(b, time.RFC3339Nano)
		b = append(b, `","seq":`...)
		b = strconv.AppendUint(b, seq, 10)
		b = append(b, `,"boot":"`...)
		b = append(b, boot...)
		b = append(b, `"}`...)
	}
	return append(b, ']')
}

// load publishes the statuses of all devices over a few connections.
type load struct {
	conns   []*sender
	hangUps []func()
	gens    []*generator // of device i on connection i % senders
	sent    int
}

// sender is a connection with a bounded number of unconfirmed publishes.
type sender struct {
	*bus.Client
	free   chan struct{}
	flying sync.WaitGroup
	failed atomic.Uint64
}

// connectLoad makes a load of devices whose names begin with prefix.
func connectLoad(ctx context.Context, broker, prefix string) (*load, error) {
	l := &load{}
	for i := range senders {
		c, hangUp, err := connect(ctx, bus.Options{Broker: broker, ClientID: fmt.Sprint(prefix, "sender_", i)}, nil)
		if err != nil {
			l.hangUp()
			return nil, err
		}
		l.conns = append(l.conns, &sender{Client: c, free: make(chan struct{}, window)})
		l.hangUps = append(l.hangUps, hangUp)
	}
	for i := range devices {
		l.gens = append(l.gens, newGenerator(deviceName(prefix, i)))
	}
	return l, nil
}

func (l *load) hangUp() {
	for _, f := range l.hangUps {
		f()
	}
}

// send publishes without waiting for the confirmation, but for room.
func (s *sender) send(ctx context.Context, g *generator) error {
	select {
	case s.free <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.flying.Add(1)
	s.Send(g.next(), func(err error) {
		if err != nil {
			s.failed.Add(1)
		}
		<-s.free
		s.flying.Done()
	})
	return nil
}

// confirmed waits until the broker has confirmed everything.
func (l *load) confirmed() error {
	for _, s := range l.conns {
		s.flying.Wait() // Send calls back also when the connection is lost
		if n := s.failed.Load(); n > 0 {
			return fmt.Errorf("%d messages of the load were not confirmed by the broker", n)
		}
	}
	return nil
}

// flood sends n messages of each device as fast as the broker confirms them
// and returns when it has confirmed the last.
func (l *load) flood(ctx context.Context, n int) error {
	errs := make(chan error, senders)
	for i, s := range l.conns {
		go func() {
			for range n {
				for d := i; d < devices; d += senders {
					if err := s.send(ctx, l.gens[d]); err != nil {
						errs <- err
						return
					}
				}
			}
			errs <- nil
		}()
	}
	var first error
	for range senders {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	l.sent += n * devices
	if first != nil {
		return first
	}
	return l.confirmed()
}

// lastOnes are the devices whose last messages leave last, one a connection.
func lastOnes() []string {
	var names []string
	for d := devices - senders; d < devices; d++ {
		names = append(names, deviceName(prefix, d))
	}
	return names
}

// pace calls step so many times a second until ctx ends or step fails. What
// was late is made up for.
func pace(ctx context.Context, perSecond float64, step func() error) error {
	began := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for due := int(time.Since(began).Seconds() * perSecond); n < due; n++ {
			if err := step(); err != nil {
				return err
			}
		}
	}
}

// steady sends rate messages a second, one device after the other, until ctx
// ends; nothing is left unconfirmed.
func (l *load) steady(ctx context.Context, rate int) error {
	err := pace(ctx, float64(rate), func() error {
		d := l.sent % devices
		if err := l.conns[d%senders].send(ctx, l.gens[d]); err != nil {
			return nil // ctx has ended
		}
		l.sent++
		return nil
	})
	if err != nil {
		return err
	}
	return l.confirmed()
}
