// Package capsule hears what all devices say, keeps it on disk while a run is
// under way, and makes a runs.Capsule of it when the run's window is known.
//
// # No measurement is lost without a figure that says so
//
// While a run is recorded a message is acknowledged to the broker when it is on
// disk and not before: with a persistent session a recorder that is killed gets
// the rest when it is back. While no run is, the last minute is kept in memory
// and messages are acknowledged at once. What comes faster than it can be kept
// slows the broker down; see queue.
//
// What is lost all the same shows in the capsule. Missing counts the statuses
// that are known to lack by their numbers (docs/contract.md, section 2): holes
// between two numbers of a boot, what lacks at the end of a boot whose driver said
// with which number it stopped, and what lacks at the head of a boot that
// followed another one, since numbers begin at 1. Of a hole across an edge of
// the window the share counts that lies inside by time, rounded up. Nothing is known of the
// end of a boot that did not say its last number, of what came before the
// first and after the last status that were heard of a device, and of
// foreign sensors, which do not count: Device.First and Device.Last say from when to
// when there were readings. Dropped counts messages that found no room: the
// journal was full, the disk was, or a message without delivery guarantee (QoS
// 0) came when there was no room.
//
// Replays and repetitions count once, by boot and number. Foreign sensors have
// no numbers and no time: theirs is the time of arrival, and a message that the
// broker sends again after a crash counts twice.
//
// # Journal, version 1
//
// The journal is a spool (pkg/spool) in the folder "journal". A message's record
// has, little-endian:
//
//	 0  1  version, 1
//	 1  1  bit 0: the message was retained
//	 2  8  time of arrival, ns since 1970
//	10  2  length of the topic
//	12     topic, payload
//
// The file "runs.json" beside it says which runs are recorded and where in the
// journal each begins.
package capsule

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/spool"
	"trackerdcs/pkg/wire"
)

const (
	defaultMax = 2 << 30
	reserve    = 32 << 20 // of the disk, for what else the sink has to write
)

// Filters are the subscriptions that a Recorder needs, with QoS 1.
func Filters(root wire.Root) []string {
	return []string{root.Status("+"), root.Replay("+"), root.Ack("+"), root.State("+"), root.Meta("+"), root.Sensor("+", "+")}
}

// Options say where a Recorder keeps what it hears.
type Options struct {
	Dir      string // the caller locks it
	Root     wire.Root
	MaxBytes int64 // of the journal; default 2 GiB
	Log      *slog.Logger
	Metrics  *prometheus.Registry // may be nil

	// Again asks for a new connection to the broker, in which it sends again
	// what was not acknowledged. It must not block.
	Again func()
}

// Recorder keeps what devices say. Its methods are safe for concurrent use.
type Recorder struct {
	root    wire.Root
	dir     string
	log     *slog.Logger
	again   func()
	metrics *metrics
	queue   *queue
	synced  func() // between the disk and the acks; a test's

	link    sync.Mutex // a hook of the bus must not wait for a disk
	offline bool
	up      time.Time // when the connection was made; zero if that was not told

	mu      sync.Mutex
	journal *spool.Spool
	index   index
	marks   []mark
	ring    ring
	latest  latest
	track   *tracker
	records []byte // of one batch
	full    bool   // the journal takes nothing
}

// mark is where the journal ended at a time.
type mark struct {
	at  time.Time
	pos spool.Pos
}

const markEvery = 5 * time.Second

// Open reads what a former process left. The Recorder does its work in Run.
func Open(o Options) (*Recorder, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMax
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{root: o.Root, dir: o.Dir, log: o.Log, again: o.Again, queue: newQueue(), track: newTracker(o.Root)}
	journal, report, err := spool.Open(filepath.Join(o.Dir, "journal"), spool.Options{MaxBytes: o.MaxBytes, Reserve: reserve})
	if err != nil {
		return nil, fmt.Errorf("open the journal of measurements: %w", err)
	}
	r.journal = journal
	if report.Torn > 0 {
		r.log.Warn("a write to the journal of measurements was cut off; it was not acknowledged, so the broker sends it again", "bytes", report.Torn)
	}
	for _, name := range report.Damaged {
		r.log.Error("the head of a file of the journal is damaged; what follows is read all the same", "file", name)
	}
	r.index, err = loadIndex(o.Dir)
	switch {
	case errors.Is(err, errIndex):
		r.log.Error("which runs were recorded is not known: all of the journal is kept for those that are asked for next", "error", err)
		r.marks = []mark{{}}
	case err != nil:
		return nil, err
	default:
		r.adopt()
	}
	r.metrics = newMetrics(o.Metrics, r)
	return r, nil
}

// adopt goes on with the runs of a former process.
func (r *Recorder) adopt() {
	end := r.journal.End()
	for _, n := range r.index.Runs {
		n.From = min(n.From, end) // the journal is shorter than it was: what it has is read
	}
	if len(r.index.Runs) == 0 {
		r.release()
		return
	}
	r.marks = []mark{{pos: r.index.from()}}
	r.relive()
	r.log.Info("continuing to record", "runs", r.index.numbers(), "bytes", r.journal.Size())
}

// relived is how much of the journal is read at a start to know again how it
// stands with the devices: some 20 minutes of 50 of them.
const relived = 64 << 20

// relive tells the tracker and latest what was said before.
func (r *Recorder) relive() {
	from := r.index.from()
	if end := r.journal.End(); end > relived {
		from = max(from, end-relived)
	}
	now := time.Now()
	_, _ = r.read(from, r.journal.End(), func(m *message) error { // what is damaged is said by Make
		k, name := r.track.target(m.topic)
		if k == metaTopic || k == stateTopic {
			r.latest.add(message{m.topic, bytes.Clone(m.payload), m.arrival, m.retained})
		}
		r.track.take(k, name, m, now)
		return nil
	})
}

// Close closes the journal. Run has ended before.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.journal.Close()
}

// Put takes a message over from the bus, as its handler. It only enqueues; when
// there is no room it waits, three seconds at most. The message is acknowledged
// by Run.
func (r *Recorder) Put(m bus.Message) {
	if len(m.Payload) > maxPayload { // it cannot be a status
		m.Payload = bytes.Clone(m.Payload[:wire.EchoLen])
	}
	r.queue.put(m)
}
