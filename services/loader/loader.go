package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/spool"
	"trackerdcs/pkg/wire"
)

const (
	// probeEvery is how long nothing may have been written before the loader
	// asks InfluxDB whether it would take something: a state that says ready
	// is true also where no device sends.
	probeEvery = 30 * time.Second

	// farewell is how long what has been received may take to be written when
	// the program ends. What is not written stays in the spool.
	farewell = time.Second

	// logEvery is how far apart complaints about messages are.
	logEvery = 10 * time.Second

	// accountEvery is how far apart the ledger's pages are in the archive.
	accountEvery = time.Minute

	// gather is in what steps the bus is read: a message at a time, waking up
	// costs several times what is done with it.
	gather = 10 * time.Millisecond

	// spoolReserve is what the spool leaves of the disk to dead letters and
	// checkpoints. Only when those are written is a segment done with, so without
	// it a disk that is full would stay full.
	spoolReserve = 32 << 20

	// batches are in use at a time: one grows of what comes, one of the backlog,
	// one waits, the others are being stored.
	batches = 3 + writes
)

// run is the program.
func run(ctx context.Context, env *service.Env, cfg *config) error {
	release, err := service.HoldDir(ctx, env.DataDir, env.Log)
	if err != nil || release == nil {
		return err
	}
	defer release()
	beFrugal(cfg)
	opts := cfg.Options("dcs-" + env.Name)
	opts.Persistent, opts.ManualAck = true, true
	opts.Gather = gather
	member, err := env.Join(opts, cfg.Root.ServiceState(env.Name))
	if err != nil {
		return err
	}
	db := newInflux(cfg)
	defer db.Close()
	l, err := newLoader(cfg, env, db)
	if err != nil {
		return err
	}
	defer l.close()
	l.standing.set = member.Set
	l.keeper.again = func() { member.Hold(0, "asking the broker for messages that are not acknowledged") }
	l.publish = func(m bus.Message) { member.Send(m, nil) }
	member.OnConnect(l.ledger.sayAgain)
	l.bus = &onBus{connected: member.Connected, send: l.publish, echo: &echo{topic: beatTopic(cfg.Root, env.Name), boot: env.Boot}}
	member.OnConnect(func() { l.bus.arrivals.Add(1) })
	if atStart != nil {
		atStart(l)
	}
	wanted := filters(cfg.Root, l.rules)
	member.SubscribeAll(wanted, 1, l.queue.put)
	member.Subscribe(l.bus.echo.topic, 0, l.bus.echo.hear) // at QoS 0 nothing of it waits for a loader that is away
	wanted = append(wanted, l.bus.echo.topic)
	if err := forgetFormer(member.Client, filepath.Join(env.DataDir, "subscriptions.json"), wanted, env.Log); err != nil {
		return err
	}
	return member.Run(ctx, func(ctx context.Context) error {
		l.work(ctx)
		return nil
	})
}

// pagesEvery is how far apart a device's pages of the ledger are on the bus;
// tests are in a hurry.
var pagesEvery = 10 * time.Second

// atStart is a test's hand on a loader that is about to work.
var atStart func(*loader)

// beFrugal makes the collector work harder before the program grows past what
// its settings ask for, and keeps to one core: it takes messages faster than
// InfluxDB can on all others, and spares what it costs to hand work from core
// to core, a fifth of all. GOMEMLIMIT and GOMAXPROCS have the last word.
func beFrugal(cfg *config) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(12<<20 + 2*cfg.QueueBytes + batches*int64(cfg.BatchBytes))
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// loader moves messages from the bus to the spool, and from the spool to the
// archive.
type loader struct {
	cfg      *config
	name     string
	log      *slog.Logger
	rules    *mapping
	metrics  *metrics
	spool    *spool.Spool
	queue    *queue
	ledger   *ledger
	standing *standing
	keeper   *keeper
	drain    *drain
	storer   *storer
	publish  func(bus.Message)
	bus      *onBus        // nil: none
	every    time.Duration // how far apart its own figures are

	badLog, refusedLog occasion

	mu        sync.Mutex
	notes     []byte    // lines of the loader's own, for the next batch
	accounts  time.Time // when the ledger was last written into a batch, and with how many entries
	accounted uint64
	skewed    map[string]bool // devices whose clock is known to be wrong
}

// newLoader opens the spool and continues where the last process ended.
func newLoader(cfg *config, env *service.Env, db archive) (*loader, error) {
	rules, err := cfg.mapping()
	if err != nil {
		return nil, service.Bad("DCS_MAPPING_FILE", "%s: %v", cfg.MappingFile, err)
	}
	sp, report, err := spool.Open(filepath.Join(env.DataDir, "spool"), spool.Options{MaxBytes: cfg.SpoolBytes, Reserve: spoolReserve})
	if err != nil {
		return nil, err
	}
	l := &loader{
		cfg: cfg, name: env.Name, log: env.Log, rules: rules, spool: sp,
		queue:    newQueue(cfg.QueueMessages, cfg.QueueBytes),
		ledger:   newLedger(),
		standing: new(standing),
		skewed:   make(map[string]bool),
		accounts: time.Now(),
		every:    figuresEvery,
	}
	l.metrics = newMetrics(env.Metrics, l.queue, l.ledger, sp)
	check, err := sp.Load()
	if err != nil {
		l.log.Error("the checkpoint cannot be read: all that is in the spool is written to InfluxDB once more", "error", err)
	}
	if err := l.ledger.restore(check.Note); err != nil {
		l.log.Error("the account of what is archived begins anew", "error", err)
	}
	l.report(report, check.Pending)

	tell := l.standing.tell
	l.keeper = &keeper{queue: l.queue, spool: sp, log: env.Log, metrics: l.metrics,
		tell: func(err error) { tell(partSpool, problem("nothing is acknowledged to the broker", err)) }}
	l.drain = newDrain(sp, cfg, func() *encoder {
		e := newEncoder(cfg.Root)
		e.rules = rules
		return e
	}, check.Pending)
	l.drain.metrics, l.drain.damaged, l.drain.unread, l.drain.own = l.metrics, l.damaged, l.unread, l.addOwn
	l.drain.failed = func(err error) { tell(partRead, problem("a part of the spool cannot be read", err)) }
	l.storer = &storer{spool: sp, ledger: l.ledger, log: env.Log, metrics: l.metrics, tell: tell, note: l.note,
		dead: newDeadLetters(env.DataDir, cfg.DeadLetterBytes), pending: slices.Clone(check.Pending), unsaved: true}
	together := new(respite)
	for i := range writes {
		part := partInflux + strconv.Itoa(i)
		l.storer.writers = append(l.storer.writers, &writer{archive: db, respite: together, metrics: l.metrics, refused: l.refuse, tell: func(err error) {
			if err == nil {
				tell(part, "")
			} else {
				tell(part, db.explain(err))
			}
		}})
	}
	return l, nil
}

func problem(what string, err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("%s: %v", what, err)
}

// report says what was found in the spool at the start.
func (l *loader) report(r spool.Report, pending spool.Ranges) {
	if r.Torn > 0 {
		l.metrics.torn.Add(float64(r.Torn))
		l.log.Warn("a write to the spool was cut off; it was not acknowledged, so the broker sends it again", "bytes", r.Torn)
	}
	for _, name := range r.Damaged {
		l.log.Error("the head of a file of the spool is damaged; its messages are read all the same", "file", name)
	}
	if n := pending.Bytes(l.spool.End()); n > 0 {
		l.log.Info("continuing with the spool", "bytes", n, "pieces", len(pending))
	}
}

func (l *loader) close() { _ = l.spool.Close() }

// work runs until ctx ends, and then for a moment more. A message's way is
// queue, spool, acknowledge; spool, batch, store, checkpoint.
func (l *loader) work(ctx context.Context) {
	wctx, cancel := outlive(ctx, farewell)
	defer cancel()
	full, free := make(chan *batch, 1), make(chan *batch, batches)
	for range batches {
		free <- new(batch)
	}
	l.drain.out, l.drain.free = full, free
	kctx, kept := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		defer kept()
		l.keeper.run(ctx)
	})
	wg.Go(func() { l.drain.run(kctx) }) // ends after the keeper: what it kept last may still be stored
	wg.Go(func() { l.storer.run(wctx, full, free) })
	wg.Go(func() { l.speak(ctx) })
	wg.Go(func() { l.figures(ctx) })
	wg.Wait()
}

// speak says the ledger's pages on the bus.
func (l *loader) speak(ctx context.Context) {
	for all := true; ; all = false {
		now := time.Now()
		for _, p := range l.ledger.pages(now, all) {
			l.publish(bus.Message{Topic: l.cfg.Root.ServiceLedger(l.name, p.Device), QoS: 1, Retained: true, Payload: wire.Encode(p)})
			l.watchClock(&p)
		}
		if pause(ctx, pagesEvery) != nil {
			return
		}
	}
}

// skewLimit is how wrong a sender's clock may be before the log says so, in s.
const skewLimit = 1.0

// watchClock says when a sender's clock turns out to be wrong, and when it is
// right again.
func (l *loader) watchClock(p *Page) {
	if p.Skew == nil {
		return
	}
	wrong := *p.Skew >= skewLimit || *p.Skew <= -skewLimit
	switch {
	case wrong && !l.skewed[p.Device]:
		l.log.Warn("a sender's clock differs from ours: its points stand at the wrong time; check both clocks' synchronisation",
			"device", p.Device, "ahead_seconds", *p.Skew)
	case !wrong && l.skewed[p.Device]:
		l.log.Info("a sender's clock agrees with ours again", "device", p.Device)
	}
	l.skewed[p.Device] = wrong
}

// addOwn adds the loader's own lines to a batch: notes, and once a minute the
// ledger's pages.
func (l *loader) addOwn(b *batch) {
	l.mu.Lock()
	notes := l.notes
	l.notes = nil
	l.mu.Unlock()
	b.addOwn(notes)
	now := time.Now()
	entries := l.ledger.entries()
	if since := now.Sub(l.accounts); since < accountEvery && since >= 0 || entries == l.accounted {
		return
	}
	l.accounts, l.accounted = now, entries
	var lines []byte
	for _, p := range l.ledger.pages(now, true) {
		lines = p.appendLine(lines, l.name, now)
	}
	b.addOwn(lines)
}

// unread puts a message aside of which something cannot be read. The rest of it
// is stored.
func (l *loader) unread(b *batch, m *message, reason error) {
	l.metrics.bad.Inc()
	b.dead = newLetter(m, reason).append(b.dead)
	b.deads++
	o := &b.messages[len(b.messages)-1].outcome
	b.addOwn(appendNote(nil, l.name, o, m.Topic, reason.Error(), time.Now()))
	if more, ok := l.badLog.now(time.Now()); ok {
		l.log.Warn("a message cannot be read", "topic", wire.Echo(m.Topic), "reason", reason,
			"payload", wire.Echo(string(m.Payload)), "unlogged", more)
	}
}

// damaged puts aside what is left of messages that the spool has lost.
func (l *loader) damaged(b *batch, d *spool.Damage) {
	l.metrics.damaged.Add(float64(d.Bytes))
	l.log.Error("the spool is damaged: check the disk", "bytes", d.Bytes, "position", uint64(d.Pos))
	m := message{arrived: time.Now().UnixNano(), length: int(d.Bytes)}
	m.Payload = d.Raw
	b.dead = newLetter(&m, d).append(b.dead)
	b.deads++
	b.addOwn(appendNote(nil, l.name, new(outcome), "", d.Error(), time.Now()))
}

// refuse puts a line aside that InfluxDB will never take.
func (l *loader) refuse(b *batch, i int, reason error) {
	l.metrics.refused.Inc()
	line := strings.TrimSpace(string(b.span(i, i+1)))
	if more, ok := l.refusedLog.now(time.Now()); ok {
		l.log.Error("InfluxDB refuses a line", "reason", reason, "line", line[:min(len(line), 512)], "unlogged", more)
	}
	m := &message{arrived: time.Now().UnixNano()}
	o := b.owner(i)
	if o != nil {
		if again, err := l.reread(o.pos); err == nil {
			m = &again
		}
		o.refused = true
		l.note(appendNote(nil, l.name, &o.outcome, m.Topic, reason.Error(), time.Now()))
	}
	letter := newLetter(m, reason)
	letter.Line = line
	b.dead = letter.append(b.dead)
	b.deads++
}

// note adds lines of the loader's own to the next batch.
func (l *loader) note(lines []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, lines...)
}

// reread fetches a message from the spool again.
func (l *loader) reread(pos spool.Pos) (message, error) {
	r := l.spool.NewReader(pos)
	defer r.Close()
	body, err := r.Next()
	if err != nil {
		return message{}, err
	}
	return readRecord(body, make(names)) // the body is the reader's, which goes away
}

// occasion spaces out a kind of log line.
type occasion struct {
	mu   sync.Mutex
	next time.Time
	more int // since the last one
}

// now reports whether it is time to log, and how many were not logged.
func (o *occasion) now(t time.Time) (more int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
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
