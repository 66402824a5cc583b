package transfer

import (
	"context"
	"encoding/json"
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

// pauses are how long a sender waits for what. Those with a most double up to it.
type pauses struct {
	answer             time.Duration // for a receipt, before the manifest is said again
	failed, failedMost time.Duration // before a run that could not be delivered is tried again
	parked, parkedMost time.Duration // before it is asked again whether a run is in the database
	pace               time.Duration // between two such questions
}

func usualPauses() pauses {
	return pauses{
		answer: 3 * time.Second,
		failed: 5 * time.Second, failedMost: 2 * time.Minute,
		parked: 10 * time.Second, parkedMost: time.Minute,
		pace: 200 * time.Millisecond,
	}
}

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

// Sender delivers the results of runs, one run after the other, and waits until
// they are in the database. A run that cannot be delivered, or of which the
// database is not sure yet, does not keep the next ones from being sent.
type Sender struct {
	*bus.Client
	o      Options
	pauses pauses
	sent   atomic.Int64
	again  atomic.Int64 // chunks that were sent once more

	mu       sync.Mutex
	runs     map[key]*pending // all that are not in the database
	fresh    []*pending       // of them those that Run has not seen yet
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
		Client: c, o: o, pauses: usualPauses(),
		runs:     make(map[key]*pending),
		grown:    make(chan struct{}, 1),
		receipts: make(chan wire.Receipt, 256),
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
	var last wire.State // of the sink; only the connection's goroutine has it
	c.Subscribe(o.Root.ServiceState(o.Sink), 1, func(m bus.Message) {
		var st wire.State
		if json.Unmarshal(m.Payload, &st) != nil {
			return
		}
		// What is retained was said before this connection, which pokes by itself.
		if !m.Retained && st.State == wire.Ready && (last.State != wire.Ready || last.Boot != st.Boot) {
			poke(s.changed)
		}
		last = st
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

// receipt hands a receipt to Run. One that finds no room is not missed: the
// manifest is said again, and the answer to it says as much or more.
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

// Offer queues a run for delivery. A run that is queued already is not queued twice.
func (s *Sender) Offer(o Offer) {
	p := &pending{Offer: o, log: s.o.Log}
	s.mu.Lock()
	_, twice := s.runs[p.key()]
	if !twice {
		s.runs[p.key()] = p
		s.fresh = append(s.fresh, p)
	}
	s.mu.Unlock()
	poke(s.grown)
}

// Waiting is how many runs are not in the database yet.
func (s *Sender) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.runs)
}

// Sent is how many bytes of results were sent.
func (s *Sender) Sent() int64 { return s.sent.Load() }

// Problem says which run does not go on and why, and how many more wait; nothing
// when all goes on. Waiting for the database is no problem of the sender's.
func (s *Sender) Problem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}

func (s *Sender) setProblem(p string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = p
}

// take gives the runs that were offered since it was last called.
func (s *Sender) take() []*pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := s.fresh
	s.fresh = nil
	return fresh
}

// find gives the run that a receipt is about; nil if it is not waiting.
func (s *Sender) find(r wire.Receipt) *pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs[key{run: r.Run, uid: r.UID}]
}

// say publishes the manifest of a run, which the sink answers with how far it is.
func (s *Sender) say(p *pending) error {
	b := wire.Encode(p.Manifest)
	if len(b) > MaxManifest {
		return fmt.Errorf("its manifest has %d bytes, a sink takes at most %d: leave fewer files, or such with shorter names", len(b), MaxManifest)
	}
	s.Send(bus.Message{Topic: s.o.Root.Manifest(s.o.Device, p.Manifest.Run), QoS: 1, Payload: b}, nil)
	return nil
}

// forget ends with a run.
func (s *Sender) forget(p *pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, p.key())
}

// noAnswer is what is wrong when a manifest was said for nothing.
func (s *Sender) noAnswer() string { return fmt.Sprintf("the sink %s does not answer", s.o.Sink) }

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
	l := line{s: s, lost: time.Now(), parked: parked{s: s}}
	defer l.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(l.step(time.Now())))
		select {
		case <-ctx.Done():
			return nil
		case <-s.grown:
		case <-timer.C:
		case <-s.changed:
			l.wake(time.Now())
		case r := <-s.receipts:
			l.take(r, time.Now())
		}
	}
}
