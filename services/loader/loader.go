package main

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
)

const (
	// probeEvery is how long nothing may have been written before the loader
	// asks InfluxDB whether it would take something: a state that says ready
	// is true also where no device sends.
	probeEvery = 30 * time.Second

	// farewell is how long what has been received may take to be written when
	// the program ends. What is not written is not acknowledged, and comes
	// again.
	farewell = time.Second

	// logEvery is how far apart complaints about messages are.
	logEvery = 10 * time.Second
)

// run is the program.
func run(ctx context.Context, env *service.Env, cfg *config) error {
	opts := cfg.Options("dcs-" + env.Name)
	opts.Persistent, opts.ManualAck = true, true
	member, err := env.Join(opts, cfg.Root.ServiceState(env.Name))
	if err != nil {
		return err
	}
	db := newInflux(cfg)
	defer db.Close()

	l := newLoader(cfg, env, db)
	l.writer.tell = func(err error) {
		if err == nil {
			member.Set(wire.Ready, "")
		} else {
			member.Set(wire.Unreachable, db.explain(err))
		}
	}
	l.again = func() { member.Hold(0, "asking the broker for messages that found no room") }
	for _, filter := range filters(cfg.Root) {
		member.Subscribe(filter, 1, l.queue.put)
	}
	return member.Run(ctx, func(ctx context.Context) error {
		l.work(ctx)
		return nil
	})
}

// loader moves messages from the queue into the archive.
type loader struct {
	cfg     *config
	log     *slog.Logger
	metrics *metrics
	queue   *queue
	encoder *encoder
	writer  *writer
	again   func() // make a new connection, so that the broker sends again what is not acknowledged

	badLog, refusedLog occasion
}

func newLoader(cfg *config, env *service.Env, db archive) *loader {
	l := &loader{
		cfg: cfg, log: env.Log,
		queue:   newQueue(cfg.QueueMessages, cfg.QueueBytes),
		encoder: newEncoder(cfg.Root),
	}
	l.metrics = newMetrics(env.Metrics, l.queue)
	l.writer = &writer{archive: db, metrics: l.metrics, refused: l.refuse}
	return l
}

// work writes until ctx ends, and then for a moment more. A message's way is
// collect, store, acknowledge.
func (l *loader) work(ctx context.Context) {
	wctx, cancel := outlive(ctx, farewell)
	defer cancel()
	var b batch
	if l.writer.store(wctx, &b) != nil { // waits until InfluxDB is there
		return
	}
	for {
		l.collect(ctx, &b)
		if ctx.Err() != nil && len(b.messages) == 0 {
			return
		}
		if b.len() > 0 || len(b.messages) == 0 {
			if l.writer.store(wctx, &b) != nil {
				return
			}
		}
		l.metrics.stored(&b, time.Now())
		b.ack()
		b.reset()
		if l.queue.settle() {
			l.again()
		}
	}
}

// collect fills an empty batch. It returns when the batch is large or old
// enough, when nothing more comes, or without messages when nothing came for
// long. Once ctx has ended it takes what is there.
func (l *loader) collect(ctx context.Context, b *batch) {
	timer := time.NewTimer(probeEvery)
	defer timer.Stop()
	var deadline time.Time
	for b.len() < l.cfg.BatchLines && len(b.lines) < l.cfg.BatchBytes && len(b.messages) < l.cfg.BatchLines {
		if len(b.messages) > 0 && deadline.IsZero() {
			deadline = time.Now().Add(l.cfg.BatchAge)
		}
		select {
		case m := <-l.queue.ch:
			l.add(b, m)
			continue
		default:
		}
		if len(b.messages) > 0 {
			timer.Reset(min(l.cfg.BatchQuiet, time.Until(deadline)))
		}
		select {
		case m := <-l.queue.ch:
			l.add(b, m)
		case <-timer.C:
			return
		case <-ctx.Done():
			if len(l.queue.ch) == 0 {
				return
			}
		}
	}
}

// add takes a message into the batch. What cannot be read is counted and
// logged, acknowledged with the rest, and stops nothing.
func (l *loader) add(b *batch, m message) {
	l.queue.took(&m)
	out, err := b.add(l.encoder, m)
	l.metrics.messages[out.kind].Inc()
	l.metrics.skipped.Add(float64(out.skipped))
	if err == nil {
		return
	}
	l.metrics.bad.Inc()
	if more, ok := l.badLog.now(time.Now()); ok {
		l.log.Warn("a message cannot be read", "topic", wire.Echo(m.Topic), "reason", err,
			"payload", wire.Echo(string(m.Payload)), "unlogged", more)
	}
}

// refuse takes note of a line that InfluxDB will never take.
func (l *loader) refuse(m *message, line []byte, reason error) {
	l.metrics.refused.Inc()
	if more, ok := l.refusedLog.now(time.Now()); ok {
		l.log.Error("InfluxDB refuses a line", "topic", m.Topic, "reason", reason,
			"line", strings.TrimSpace(string(line[:min(len(line), 512)])), "unlogged", more)
	}
}

// occasion spaces out a kind of log line.
type occasion struct {
	next time.Time
	more int // since the last one
}

// now reports whether it is time to log, and how many were not logged.
func (o *occasion) now(t time.Time) (more int, ok bool) {
	if t.Before(o.next) {
		o.more++
		return 0, false
	}
	more, o.more, o.next = o.more, 0, t.Add(logEvery)
	return more, true
}

// outlive gives a context that ends d after ctx.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-later.Done():
		}
	})
	return later, func() { stop(); cancel() }
}
