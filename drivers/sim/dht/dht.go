// Package dht simulates an Arduino with a DHT11 or DHT22 that prints what it
// measures on its serial line, as the sketch of the original stack does: a line
// "Temperature: 21.30" with its end and "Humidity: 40.20" without one, so that
// the next temperature follows in the same line.
//
// The stream goes to every TCP connection and to a pseudo-terminal. As on an
// Arduino, a reader only gets what is printed after it has come.
package dht

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"trackerdcs/drivers/sim/internal/line"
	"trackerdcs/drivers/sim/physics"
)

// Options is how a simulated board is made; the zero value works.
type Options struct {
	Period      time.Duration    // between two measurements; default 2 s
	EndLines    bool             // a well-behaved sketch: ends the humidity's line too
	FailEvery   int              // every n-th measurement fails and prints an error; 0: none
	Temperature float64          // mean in °C; both zero: 21.3
	Humidity    float64          // mean relative humidity in %; both zero: 40.2
	Seed        uint64           // of the walk
	Now         func() time.Time // for the climate; default time.Now
	Speed       float64          // how much faster than Now the climate changes; default 1
}

// What the sketch prints; println ends a line with CR LF.
const (
	lineEnd   = "\r\n"
	failTemp  = "Error reading temperature!" + lineEnd
	failHumid = "Error reading humidity!" + lineEnd
)

// Instrument is a simulated board. All methods are safe for concurrent use.
type Instrument struct {
	wire line.Faults
	opts Options

	mu       sync.Mutex
	clock    *line.Clock
	climate  *physics.Climate
	count    int
	badTemp  int
	badHumid int
	frozen   bool
	shown    [2]float64
}

// New returns a board that measures.
func New(opts Options) *Instrument {
	if opts.Period <= 0 {
		opts.Period = 2 * time.Second
	}
	if opts.Temperature == 0 && opts.Humidity == 0 {
		opts.Temperature, opts.Humidity = 21.3, 40.2
	}
	return &Instrument{
		opts:    opts,
		clock:   line.NewClock(opts.Now, opts.Speed),
		climate: physics.NewClimate(opts.Temperature, opts.Humidity, opts.Seed),
	}
}

// Serve prints to every connection that l accepts, until ctx ends; then it
// closes all of them, waits for its goroutines and returns nil.
func (in *Instrument) Serve(ctx context.Context, l net.Listener) error {
	return in.wire.Accept(ctx, l, func(ctx context.Context, conn net.Conn) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		defer conn.Close()
		wg.Go(func() { // sees the end of the connection; the sketch reads nothing
			defer cancel()
			buf := make([]byte, 256)
			for {
				if _, err := conn.Read(buf); err != nil {
					return
				}
			}
		})
		in.print(ctx, func(out []byte) error {
			// Who does not read loses the connection; no reader may hold up the board.
			if err := conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
				return err
			}
			_, err := conn.Write(out)
			return err
		})
	})
}

// print writes one measurement a period until ctx ends or a write fails.
func (in *Instrument) print(ctx context.Context, write func([]byte) error) {
	tick := time.NewTicker(in.opts.Period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if out := in.wire.Spoil(in.Print()); len(out) > 0 {
			if err := write(out); err != nil {
				return
			}
		}
	}
}

// Print measures once and returns what the sketch prints for it.
func (in *Instrument) Print() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	t, h := in.read()
	in.count++
	fail := in.opts.FailEvery > 0 && in.count%in.opts.FailEvery == 0
	text := fmt.Sprintf("Temperature: %.2f%s", t, lineEnd)
	if fail || take(&in.badTemp) {
		text = failTemp
	}
	if fail || take(&in.badHumid) {
		return text + failHumid
	}
	text += fmt.Sprintf("Humidity: %.2f", h)
	if in.opts.EndLines {
		text += lineEnd
	}
	return text
}

func (in *Instrument) read() (t, h float64) {
	in.climate.Advance(in.clock.Lap())
	if !in.frozen {
		in.shown[0], in.shown[1] = in.climate.Read()
	}
	return in.shown[0], in.shown[1]
}

func take(n *int) bool {
	if *n <= 0 {
		return false
	}
	*n--
	return true
}
