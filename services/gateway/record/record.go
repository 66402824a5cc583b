// Package record keeps the gateway's audit log: what the gateway itself does
// for people, and what the acks on the bus say became of all commands, whoever
// sent them.
//
// It has a connection to the broker of its own, with a session that the broker
// keeps: an ack that comes while the gateway is away is recorded when it is
// back, as far as the broker's queue reaches. An ack is confirmed to the broker
// when it is on the disk. A broker that has lost its memory leaves a gap entry;
// what it drops because its queue is full cannot be seen from here.
package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/wire"
)

// Config says where the log is and which bus is listened to.
type Config struct {
	Dir     string
	Root    wire.Root
	Name    string                // of the service: the client id is dcs-<name>-audit
	Boot    string                // of the gateway, put into its own entries
	Options bus.Options           // broker and login; the rest is the recorder's
	Log     *slog.Logger          // may be nil
	Metrics prometheus.Registerer // may be nil
}

// reserve is what of the disk is kept for commands, in bytes.
const reserve = 64 << 20

// Timing.
const (
	anchorEvery = time.Minute // at most so often the head is published
	firstRetry  = time.Second // after the disk refused
	lastRetry   = 10 * time.Second
)

// Recorder keeps the log. It is safe for concurrent use.
type Recorder struct {
	conf    Config
	log     *slog.Logger
	audit   *auditlog.Log
	bus     *bus.Client
	inbox   *inbox
	metrics *metrics

	mu      sync.Mutex
	known   *recent[command]
	seen    *recent[struct{}]
	problem string
	silent  []auditlog.Entry // that wait to be written
	held    *auditlog.Head   // what the broker held at the start, until it is compared
	asked   bool             // what it held at the start was heard

	expected bool // the broker has a session of ours
	gap      bool // it had forgotten it, and the log does not say so yet

	complain rate.Sometimes // about what is no ack: the metric counts all

	up     chan struct{} // holds one token: the head may be published
	every  time.Duration // anchorEvery, but for tests
	retry0 time.Duration // firstRetry, but for tests

	free func(dir string) (int64, error) // disk.Free, but for tests
}

// New opens the log and remembers the end of it. It does not connect: Run does.
func New(c Config) (*Recorder, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{
		conf: c, log: c.Log, inbox: newInbox(), up: make(chan struct{}, 1),
		known: newRecent[command](remembered), seen: newRecent[struct{}](remembered),
		complain: rate.Sometimes{First: 10, Interval: time.Minute},
		every:    anchorEvery, retry0: firstRetry, free: disk.Free,
	}
	o := c.Options
	o.ClientID, o.Persistent, o.ManualAck, o.Will, o.Log = "dcs-"+c.Name+"-audit", true, true, nil, c.Log
	var err error
	if r.bus, err = bus.New(o); err != nil {
		return nil, err
	}
	r.bus.Subscribe(c.Root.Ack("+"), 1, r.inbox.put) // run control's, /run/ack, too
	r.bus.Subscribe(anchorTopic(c.Root, c.Name), 0, r.hear)
	r.bus.OnConnect(func() {
		r.met(r.bus.Resumed())
		r.inbox.nudge()
		r.mayAnchor()
	})
	if r.audit, err = auditlog.Open(c.Dir, auditlog.Options{Log: c.Log}); err != nil {
		return nil, err
	}
	r.metrics = newMetrics(r)
	if c.Metrics != nil {
		if err := r.metrics.register(c.Metrics); err != nil {
			return nil, errors.Join(err, r.audit.Close())
		}
	}
	if err := r.remember(context.Background()); err != nil {
		return nil, errors.Join(err, r.audit.Close())
	}
	r.expected = r.audit.Head().Seq > 0
	return r, nil
}

// met notes a new connection. One whose session the broker has not kept, although
// there has been one, means that acks may be missing.
func (r *Recorder) met(resumed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gap = r.gap || r.expected && !resumed
	r.expected = true
}

// sayGap appends the entry of a gap that was met.
func (r *Recorder) sayGap(ctx context.Context) error {
	r.mu.Lock()
	gap := r.gap
	r.mu.Unlock()
	if !gap {
		return nil
	}
	err := r.append(ctx, []auditlog.Entry{{
		Kind: auditlog.Gap, Boot: r.conf.Boot,
		Message: "the broker had not kept the session: acks since the last entry may be missing",
	}})
	if err == nil {
		r.mu.Lock()
		r.gap = false
		r.mu.Unlock()
	}
	return err
}

// Append adds an entry of the gateway's own; it is on disk when Append returns.
// A command is appended before it is sent: only then are its acks known to be
// its own, by its id, device, op, channel, value and user. They are, too, when
// the log did not take the command and it was sent all the same.
// What strangers can cause is refused when the disk is nearly full: the rest of
// it is for commands.
func (r *Recorder) Append(ctx context.Context, e auditlog.Entry) error {
	if e.Kind == auditlog.Denied || e.Kind == auditlog.Download {
		if free, err := r.free(r.conf.Dir); err == nil && free < reserve {
			return fmt.Errorf("the disk has %d MB left, which are kept for commands: make room", free>>20)
		}
	}
	if e.Boot == "" {
		e.Boot = r.conf.Boot
	}
	if e.Kind == auditlog.Command {
		r.mu.Lock()
		r.known.add(e.ID, commandOf(e))
		r.mu.Unlock()
	}
	return r.append(ctx, []auditlog.Entry{e})
}

// append puts entries into the log and counts.
func (r *Recorder) append(ctx context.Context, entries []auditlog.Entry) error {
	err := r.audit.Append(ctx, entries...)
	if err == nil {
		for i := range entries {
			r.metrics.entries.WithLabelValues(entries[i].Kind).Inc()
		}
	} else if ctx.Err() == nil {
		r.metrics.failures.Inc()
	}
	if ctx.Err() == nil {
		r.say(err)
	}
	return err
}

// say notes what is wrong with the log, and logs it when it changes.
func (r *Recorder) say(err error) {
	problem := ""
	if err != nil {
		problem = fmt.Sprintf("the audit log cannot be written: %v", err)
	}
	r.mu.Lock()
	changed := problem != r.problem
	r.problem = problem
	r.mu.Unlock()
	switch {
	case changed && problem != "":
		r.log.Error("the audit log cannot be written: acks wait at the broker, and no commands go out", "error", err)
	case changed:
		r.log.Info("the audit log can be written again")
	}
}

// Problem says why the last entry could not be written; empty when it could.
func (r *Recorder) Problem() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.problem
}

// List gives entries, the newest first; see auditlog.List.
func (r *Recorder) List(ctx context.Context, f auditlog.Filter) (entries []auditlog.Entry, next int64, err error) {
	return r.audit.List(ctx, f)
}

// Head is the last entry.
func (r *Recorder) Head() auditlog.Head { return r.audit.Head() }

// Run records acks until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	// The connection outlives the work, so that what was kept can be confirmed.
	busCtx, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	parts.Go(func() { _ = r.bus.Run(busCtx) })
	parts.Go(func() { r.anchor(ctx) })
	r.listen(ctx)
	r.endSilence()
	hangUp()
	parts.Wait()
	return nil
}

// Close writes what has come since Run ended, and closes the log.
func (r *Recorder) Close() error {
	r.endSilence()
	return r.audit.Close()
}
