package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// Patience of a sender.
const (
	answerTime = 3 * time.Second  // for a receipt, before the manifest is said again
	askAgain   = 5 * time.Second  // after a sink has said that it cannot go on
	storedTime = 10 * time.Second // for a sink that has all of it to say that it is in the database
)

// File is a result that can be read at any place.
type File interface {
	io.ReaderAt
	io.Closer
}

// Offer is what a driver has of one run that has ended.
type Offer struct {
	Manifest wire.Manifest
	Open     func(i int) (File, error) // file i of the manifest
}

// Options say where a Sender sends.
type Options struct {
	Bus     bus.Options // the ClientID is that of this connection alone
	Root    wire.Root
	Device  string // the sender
	Sink    string // the service that takes the results
	Log     *slog.Logger
	Metrics *prometheus.Registry

	// Stored is called when the sink has a run in the database: the driver may
	// delete its own. It is called once for each offer, from Run's goroutine.
	Stored func(run int64, uid string)
}

// Sender delivers the results of runs, one run after the other.
type Sender struct {
	*bus.Client
	o     Options
	sent  atomic.Int64
	again atomic.Int64 // chunks that were sent once more

	mu       sync.Mutex
	queue    []Offer
	problem  string
	grown    chan struct{} // holds one token: there is an offer
	receipts chan wire.Receipt
	changed  chan struct{} // holds one token: the connection stands, or does not, or the sink has started
	buffers  chan []byte   // free ones
}

// New checks the options. It does not connect: Run does.
func New(o Options) (*Sender, error) {
	o.Bus.Log = o.Log
	c, err := bus.New(o.Bus)
	if err != nil {
		return nil, err
	}
	s := &Sender{
		Client: c, o: o,
		grown:    make(chan struct{}, 1),
		receipts: make(chan wire.Receipt, 64),
		changed:  make(chan struct{}, 1),
		buffers:  make(chan []byte, 2*wire.ChunkWindow),
	}
	if o.Metrics != nil {
		o.Metrics.MustRegister(
			prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "dcs_chunks_again_total", Help: "Chunks of results that were sent once more."},
				func() float64 { return float64(s.again.Load()) }),
			prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "dcs_results_sent_bytes_total", Help: "Bytes of results sent."},
				func() float64 { return float64(s.sent.Load()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dcs_results_waiting", Help: "Runs whose results are not in the database yet."},
				func() float64 { return float64(s.Waiting()) }))
	}
	c.Subscribe(o.Root.Receipts(o.Sink, o.Device), 1, s.receipt)
	c.Subscribe(o.Root.ServiceState(o.Sink), 1, func(m bus.Message) {
		var st wire.State
		if json.Unmarshal(m.Payload, &st) == nil && st.State == wire.Ready {
			poke(s.changed)
		}
	})
	c.OnConnect(func() { poke(s.changed) })
	c.OnLost(func(error) { poke(s.changed) })
	return s, nil
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// receipt hands a receipt to the delivery. One that finds no room is not
// missed: the next one says more.
func (s *Sender) receipt(m bus.Message) {
	var r wire.Receipt
	if json.Unmarshal(m.Payload, &r) != nil {
		return
	}
	select {
	case s.receipts <- r:
	default:
	}
}

// Offer queues a run for delivery.
func (s *Sender) Offer(o Offer) {
	s.mu.Lock()
	s.queue = append(s.queue, o)
	s.mu.Unlock()
	poke(s.grown)
}

// Waiting is how many runs are not in the database yet.
func (s *Sender) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}

// Sent is how many bytes of results were sent.
func (s *Sender) Sent() int64 { return s.sent.Load() }

// Problem says why nothing goes on, or nothing.
func (s *Sender) Problem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}

func (s *Sender) setProblem(p string) {
	s.mu.Lock()
	changed := s.problem != p
	s.problem = p
	s.mu.Unlock()
	if changed && p != "" {
		s.o.Log.Warn("results are waiting", "reason", p)
	}
}

// Run connects and delivers until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	ended := make(chan struct{})
	busCtx, leave := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(ended)
		_ = s.Client.Run(busCtx)
	}()
	defer func() {
		leave()
		<-ended
	}()
	for {
		s.mu.Lock()
		var o *Offer
		if len(s.queue) > 0 {
			o = &s.queue[0]
		}
		s.mu.Unlock()
		if o == nil {
			select {
			case <-s.grown:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		d := delivery{s: s, o: *o, files: o.Manifest.Files}
		stored := d.run(ctx)
		d.close()
		if !stored {
			return nil
		}
		s.setProblem("")
		s.o.Log.Info("results are stored", "run", o.Manifest.Run)
		run, uid := o.Manifest.Run, o.Manifest.UID
		s.mu.Lock()
		s.queue = s.queue[1:]
		s.mu.Unlock()
		if s.o.Stored != nil {
			s.o.Stored(run, uid)
		}
	}
}

// delivery is one run on its way.
type delivery struct {
	s     *Sender
	o     Offer
	files []wire.File

	going bool     // a receipt has come since the manifest was said
	done  bool     // the sink has all of it
	next  position // that is sent next
	acked position // all before it is with the sink
	most  position // the furthest that was ever sent

	open  File // file number index
	index int
}

// run delivers until the sink has it in the database, which it reports, or ctx
// ends.
func (d *delivery) run(ctx context.Context) (stored bool) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	d.ask()
	timer.Reset(answerTime)
	for {
		if d.going && !d.done && d.s.Connected() {
			if err := d.fill(); err != nil {
				// What cannot be read now may be readable later: a disk that hangs, for
				// instance. A file that has changed never will, and the operator must see it.
				d.s.setProblem(fmt.Sprintf("run %d: %v", d.o.Manifest.Run, err))
				d.going = false
				timer.Reset(askAgain)
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-d.s.changed:
			d.ask()
			timer.Reset(answerTime)
		case <-timer.C:
			if !d.s.Connected() {
				d.s.setProblem(fmt.Sprintf("run %d: no connection to the broker", d.o.Manifest.Run))
			} else if !d.going {
				d.s.setProblem(fmt.Sprintf("run %d: the sink %s does not answer", d.o.Manifest.Run, d.s.o.Sink))
			}
			d.ask()
			timer.Reset(answerTime)
		case r := <-d.s.receipts:
			if r.Run != d.o.Manifest.Run || r.UID != d.o.Manifest.UID {
				continue
			}
			switch {
			case r.State == wire.ResultsStored:
				return true
			case r.Error != "":
				d.s.setProblem(fmt.Sprintf("run %d: %s: %s", r.Run, d.s.o.Sink, r.Error))
				d.going = false
				timer.Reset(askAgain)
			case r.State == wire.ResultsReceived:
				d.s.setProblem("")
				d.done, d.going = true, true
				timer.Reset(storedTime)
			case r.State == wire.ResultsReceiving:
				d.s.setProblem("")
				d.advance(r)
				timer.Reset(answerTime)
			}
		}
	}
}

// ask says the manifest, which the sink answers with how far it is.
func (d *delivery) ask() {
	d.going = false
	if !d.s.Connected() {
		return
	}
	m := bus.Message{
		Topic: d.s.o.Root.Manifest(d.s.o.Device, d.o.Manifest.Run), QoS: 1,
		Payload: wire.Encode(d.o.Manifest),
	}
	d.s.Send(m, nil)
}

// advance takes a receipt. Without Again, and while chunks are on their way,
// one that says less than an earlier one was overtaken.
func (d *delivery) advance(r wire.Receipt) {
	at := position{file: r.File, chunk: r.Chunk}
	if at.file < 0 || at.chunk < 0 || at.file > len(d.files) || at.file == len(d.files) && at.chunk > 0 {
		return
	}
	at = at.skip(d.files)
	d.done = false
	switch {
	case !d.going || r.Again == wire.Yes:
		d.going = true
		d.acked, d.next = at, at
	case d.acked.before(at):
		d.acked = at
		if d.next.before(at) {
			d.next = at
		}
	}
}

// fill sends chunks up to the window.
func (d *delivery) fill() error {
	for d.next.file < len(d.files) && between(d.acked, d.next, d.files) < wire.ChunkWindow {
		if err := d.send(d.next); err != nil {
			return err
		}
		if d.next.before(d.most) {
			d.s.again.Add(1)
		}
		d.next = d.next.next(d.files)
		if d.most.before(d.next) {
			d.most = d.next
		}
	}
	return nil
}

// send publishes the chunk at p.
func (d *delivery) send(p position) error {
	if d.open == nil || d.index != p.file {
		d.close()
		f, err := d.o.Open(p.file)
		if err != nil {
			return fmt.Errorf("opening %s: %w", d.files[p.file].Name, err)
		}
		d.open, d.index = f, p.file
	}
	size := min(wire.ChunkSize, d.files[p.file].Size-p.chunk*wire.ChunkSize)
	var b []byte
	select {
	case b = <-d.s.buffers:
	default:
		b = make([]byte, wire.ChunkSum+wire.ChunkSize)
	}
	payload := b[:wire.ChunkSum+size]
	n, err := d.open.ReadAt(payload[wire.ChunkSum:], p.chunk*wire.ChunkSize)
	if int64(n) != size {
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("it is shorter than it was")
		}
		return fmt.Errorf("reading %s: %w", d.files[p.file].Name, err)
	}
	seal(payload)
	m := bus.Message{Topic: d.s.o.Root.Chunk(d.s.o.Device, d.o.Manifest.Run, p.file, p.chunk), Payload: payload}
	d.s.Send(m, func(err error) {
		if err == nil {
			d.s.sent.Add(size)
		}
		select {
		case d.s.buffers <- b:
		default:
		}
	})
	return nil
}

func (d *delivery) close() {
	if d.open != nil {
		_ = d.open.Close() // it was only read
		d.open = nil
	}
}
