// Package dht is a DHT11 or DHT22, temperature and humidity, on an Arduino that
// prints what it measures, 9600 baud:
//
//	Temperature: 21.30
//	Humidity: 40.20Temperature: 21.31
//	Error reading humidity!
//
// The sketch that is in laboratories ends the temperature with a line end and
// the humidity without one, so a humidity is complete when the next text begins
// or, with as many decimals as the temperature, when nothing follows for a
// moment. One that ends both lines is read as well, at once.
package dht

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"trackerdcs/pkg/scpi"
	"trackerdcs/pkg/sensor"
)

// A reading that nobody takes for this long is not given any more: its time
// would be wrong.
const maxAge = time.Second

// quiet is how long nothing comes between two measurements, at least; within
// one a byte follows a byte after a millisecond.
const quiet = 250 * time.Millisecond

// maxQueue is how many readings wait, in a burst.
const maxQueue = 16

// Sensor is a DHT at the other end of a connection.
type Sensor struct {
	port io.ReadWriteCloser
	wake chan struct{} // something has changed
	done chan struct{} // the reader has ended

	mu     sync.Mutex
	parser parser
	last   time.Time // when something came
	queue  []stamped
	err    error // why nothing more comes
}

type stamped struct {
	sensor.Reading
	at time.Time
}

// Open connects to serial:///dev/ttyUSB0?baud=9600, or over TCP to a serial
// server. Nothing is sent. It is a sensor.Opener.
func Open(ctx context.Context, address string) (sensor.Sensor, error) {
	port, err := scpi.DialPort(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("dht: %w", err)
	}
	return New(port), nil
}

// New reads from a port whose Close ends a Read that waits; it owns the port.
func New(port io.ReadWriteCloser) *Sensor {
	s := &Sensor{port: port, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.fill()
	return s
}

// Info implements sensor.Sensor.
func (s *Sensor) Info() sensor.Info {
	return sensor.Info{Model: "DHT", Streams: true, Fields: map[string]sensor.Field{
		temperature: {Unit: "°C", Min: -40, Max: 80},
		humidity:    {Unit: "%", Min: 0, Max: 100},
	}}
}

// Close implements sensor.Sensor.
func (s *Sensor) Close() error {
	err := s.port.Close()
	<-s.done
	return err
}

// Skipped returns how many pieces of the stream were not understood, or came
// too late.
func (s *Sensor) Skipped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parser.skipped
}

// Read implements sensor.Sensor: a temperature with the humidity that was
// measured after it; one of them alone when the other could not be read.
func (s *Sensor) Read(ctx context.Context) (sensor.Reading, error) {
	for {
		if r, err := s.take(); r != nil || err != nil {
			return r, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, fmt.Errorf("dht: no measurement: %w", ctx.Err())
		}
	}
}

// take takes the oldest reading that is still fresh.
func (s *Sensor) take() (sensor.Reading, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 {
		first := s.queue[0]
		s.queue = s.queue[1:]
		if time.Since(first.at) < maxAge {
			return first.Reading, nil
		}
	}
	if s.err != nil {
		return nil, fmt.Errorf("dht: %w", s.err)
	}
	return nil, nil
}

func (s *Sensor) fill() {
	defer close(s.done)
	settle := time.AfterFunc(quiet, s.settle)
	defer settle.Stop()
	chunk := make([]byte, 256)
	for {
		n, err := s.port.Read(chunk)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the other end closed
		}
		s.mu.Lock()
		s.last, s.err = time.Now(), err
		s.put(s.parser.feed(chunk[:n], s.last))
		s.mu.Unlock()
		if err != nil {
			return
		}
		settle.Reset(quiet)
	}
}

// settle is called when nothing has come for a moment.
func (s *Sensor) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.err == nil && now.Sub(s.last) >= quiet {
		s.put(s.parser.settle(now))
	}
}

// put queues readings, with s.mu held.
func (s *Sensor) put(readings []sensor.Reading) {
	for _, r := range readings {
		s.queue = append(s.queue, stamped{r, s.parser.now})
	}
	if over := len(s.queue) - maxQueue; over > 0 {
		s.queue = s.queue[over:]
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
