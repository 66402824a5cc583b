package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/transfer"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/calibration/capsule"
)

// sink is the program's state. Three goroutines work in it: records, which takes
// what run control says; intake, which takes results; and the storer, which puts
// into the database what is complete. They share the shelf and the ledger.
type sink struct {
	env    *service.Env
	cfg    *config
	member *service.Member
	data   *bus.Client // the connection of the results

	db       database
	shelf    *shelf
	ledger   *ledger
	recorder *capsule.Recorder
	receiver *transfer.Receiver // of the intake goroutine

	records *mailbox
	chunks  *mailbox
	calls   chan func() // to be done by the intake goroutine
	wake    chan struct{}

	// Never both at once: a record is taken, a run that is stored leaves the shelf,
	// and would take the record with it. Not for the intake goroutine, which is asked
	// to do things by who holds it.
	settling sync.Mutex

	saying sync.Mutex // what stands is seen and said in one: what is said last is retained

	mu      sync.Mutex
	stuck   int64     // the run that the database did not answer for; of the storer
	problem string    // with the database
	since   time.Time // of the connection to the broker; zero while there is none

	limits  limits // usual, but for tests
	metrics *metrics
}

// run is the sink until ctx ends.
func run(ctx context.Context, env *service.Env, cfg *config) error {
	release, err := service.HoldDir(ctx, env.DataDir, env.Log)
	if err != nil || ctx.Err() != nil {
		return err
	}
	defer release()
	db, err := runs.New(cfg.mongo())
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = db.Close(ctx) // what was acknowledged is there
	}()
	s, err := newSink(env, cfg, db)
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// newSink reads what a former process has left on the disk.
func newSink(env *service.Env, cfg *config, db database) (*sink, error) {
	s := &sink{
		env: env, cfg: cfg, db: db,
		records: newMailbox(maxRecords), chunks: newMailbox(maxChunks),
		calls: make(chan func()), wake: make(chan struct{}, 1),
		limits: usual,
	}
	var err error
	if s.ledger, err = openLedger(env.DataDir, env.Log); err != nil {
		return nil, err
	}
	dir := filepath.Join(env.DataDir, "runs")
	if s.shelf, err = openShelf(dir); err != nil {
		return nil, err
	}
	s.recorder, err = capsule.Open(capsule.Options{
		Dir: filepath.Join(env.DataDir, "journal"), Root: cfg.Root, MaxBytes: cfg.Journal, Log: env.Log, Metrics: env.Metrics,
		Again: func() { s.member.Hold(0, "asking the broker for messages that are not acknowledged") },
	})
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	options := cfg.Options("dcs-" + env.Name)
	options.Persistent, options.ManualAck = true, true
	if s.member, err = env.Join(options, cfg.Root.ServiceState(env.Name)); err != nil {
		return nil, err
	}
	options = cfg.Options("dcs-" + env.Name + "-results")
	options.Log = env.Log
	if s.data, err = bus.New(options); err != nil {
		return nil, err
	}
	s.receiver = transfer.NewReceiver(transfer.ReceiverOptions{
		Dir: dir, Boot: env.Boot, Reserve: cfg.Reserve, Log: env.Log, Metrics: env.Metrics,
		Known: s.known, Receipt: s.receipt, Received: s.received,
	})
	s.subscribe()
	s.metrics = newMetrics(s)
	return s, nil
}

func (s *sink) subscribe() {
	s.member.Subscribe(s.cfg.Root.RunRecord(), 1, func(m bus.Message) {
		if !s.records.put(m) {
			m.Ack() // run control says it again
		}
	})
	s.member.SubscribeAll(capsule.Filters(s.cfg.Root), 1, s.recorder.Put)
	s.recorder.Connected(false)
	s.member.OnConnect(func() {
		s.recorder.Connected(true)
		s.setConnected(time.Now())
		s.sayKept()
	})
	s.member.OnLost(func(error) {
		s.recorder.Connected(false)
		s.setConnected(time.Time{})
	})
	s.data.SubscribeAll([]string{s.cfg.Root.Manifests(), s.cfg.Root.Chunks()}, 1, func(m bus.Message) {
		s.chunks.put(m) // one that finds no room is sent again
	})
}

// run keeps the goroutines until ctx ends or one of them fails.
func (s *sink) run(ctx context.Context) error {
	for _, n := range s.shelf.numbers() {
		if k, _ := s.shelf.get(n); k.capsule == nil && k.record != nil {
			if err := s.recorder.Begin(n); err != nil {
				return err
			}
		}
	}
	for _, n := range s.recorder.Recorded() {
		if _, ok := s.shelf.get(n); !ok { // it was taken off the shelf by hand, or just before a crash
			if err := s.recorder.End(n); err != nil {
				return err
			}
		}
	}
	defer func() { _ = s.recorder.Close() }() // what was acknowledged is on the disk
	return s.member.Run(ctx, func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return s.data.Run(ctx) })
		g.Go(func() error { return s.recorder.Run(ctx) })
		g.Go(func() error { return s.takeRecords(ctx) })
		g.Go(func() error { return s.intake(ctx) })
		g.Go(func() error { return s.store(ctx) })
		if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
}

func (s *sink) setConnected(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = since
}

// waited is for how long what comes over the bus could have come since a time.
func (s *sink) waited(since time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() {
		return 0
	}
	if s.since.After(since) {
		since = s.since
	}
	return time.Since(since)
}

// poke wakes the storer.
func (s *sink) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sayAgain is when what is retained is said once more: a subscriber that comes
// in the same moment may have missed it.
const sayAgain = 500 * time.Millisecond

// sayKept says the highest number that the sink knows, retained.
func (s *sink) sayKept() {
	s.sendKept()
	time.AfterFunc(sayAgain, s.sendKept)
}

func (s *sink) sendKept() {
	s.saying.Lock()
	defer s.saying.Unlock()
	highest, known := s.ledger.kept()
	k := wire.Kept{
		Highest: highest, Known: known, Waiting: len(s.shelf.numbers()),
		Time: time.Now().UTC().Truncate(time.Microsecond), Boot: s.env.Boot,
	}
	s.member.Send(bus.Message{Topic: s.cfg.Root.Kept(s.env.Name), QoS: 1, Retained: true, Payload: wire.Encode(k)}, nil)
}

// sayRecord tells run control what is there of a run.
func (s *sink) sayRecord(r wire.RecordReceipt) {
	r.Boot = s.env.Boot
	s.member.Send(bus.Message{Topic: s.cfg.Root.RecordReceipts(s.env.Name), QoS: 1, Payload: wire.Encode(r)}, nil)
}

// sayResults tells run control how far the results of a run have come.
func (s *sink) sayResults(run int64) {
	k, ok := s.shelf.get(run)
	if !ok || k.record == nil {
		return
	}
	s.sayRecord(wire.RecordReceipt{Run: run, UID: k.record.UID, State: k.record.State, Results: k.results()})
}
