package main

import (
	"context"
	"fmt"
	"time"
)

// trial is one contender on a stand while things go wrong.
type trial struct {
	*stand
	contender
	process *child
}

// fault happens when this part of the load is over.
type fault struct {
	at float64
	do func(context.Context, *trial) error
}

func databaseAway(_ context.Context, t *trial) error   { t.influx.kill(); return nil }
func databaseBack(ctx context.Context, t *trial) error { return t.influx.start(ctx) }

func brokerKilled(ctx context.Context, t *trial) error {
	t.broker.kill()
	return t.broker.start(ctx)
}

func contenderKilled(_ context.Context, t *trial) (err error) {
	t.process.kill()
	t.process, err = t.launch(t.contender)
	return err
}

// scenario is a row of the second table.
type scenario struct {
	what   string
	queues string
	faults []fault
}

func (b *bench) scenarios() []scenario {
	open := b.openQueues()
	away, back := fault{0.25, databaseAway}, fault{0.75, databaseBack}
	var killed []fault
	for _, at := range []float64{0.12, 0.28, 0.44, 0.60, 0.76} {
		killed = append(killed, fault{at, contenderKilled})
	}
	return []scenario{
		{"InfluxDB away for half of the time, Mosquitto's defaults", "", []fault{away, back}},
		{"the same, the broker's queues opened", open, []fault{away, back}},
		{"the same, and the broker killed in the middle", open, []fault{away, {0.5, brokerKilled}, back}},
		{"the archive's loader killed five times", open, killed},
	}
}

// missing is the second table.
func (b *bench) missing(ctx context.Context) (table, error) {
	t := table{title: fmt.Sprintf("Points missing at the end: %s messages a second for %v, %s points",
		number(float64(b.rate), 0), b.loss, number(float64(b.rate*channels)*b.loss.Seconds(), 0))}
	for _, sc := range b.scenarios() {
		var missing [2]float64
		for i, c := range b.contenders() {
			sent, stored, err := b.try(ctx, sc, c)
			if err != nil {
				return t, fmt.Errorf("%s, %s: %w", sc.what, c.name, err)
			}
			b.say("%s: %s: %d points sent, %d missing", sc.what, c.name, sent, sent-stored)
			missing[i] = float64(sent - stored)
		}
		t.rows = append(t.rows, row{what: sc.what, ours: missing[0], theirs: missing[1], goal: atMost(0, "0"), absolute: true})
	}
	return t, nil
}

// try returns how many points one contender was sent in a scenario, and how
// many are there in the end.
func (b *bench) try(ctx context.Context, sc scenario, c contender) (sent, stored int, err error) {
	s, err := b.setUp(ctx, sc.queues)
	if err != nil {
		return 0, 0, err
	}
	defer b.tearDown(s)
	t := &trial{stand: s, contender: c}
	if t.process, err = s.begin(ctx, c); err != nil {
		return 0, 0, err
	}
	defer func() { t.process.stop() }()
	ctx, cancel := context.WithCancelCause(ctx) // a fault that cannot be made ends all
	defer cancel(nil)
	f, err := connectFleet(ctx, s.broker.url(), s.dir)
	if err != nil {
		return 0, 0, err
	}
	defer f.end()

	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := t.happen(ctx, sc.faults, b.loss); err != nil {
			cancel(err)
		}
	}()
	sent = f.work(b.rate, b.loss) * channels
	<-done
	if ctx.Err() != nil {
		return sent, 0, context.Cause(ctx)
	}
	stored, _, err = s.awaitCount(ctx, "^"+prefix, sent, usual)
	return sent, stored, err
}

// happen lets the faults happen at their times.
func (t *trial) happen(ctx context.Context, faults []fault, load time.Duration) error {
	began := time.Now()
	for _, f := range faults {
		at := time.Duration(f.at * float64(load))
		if err := sleep(ctx, at-time.Since(began)); err != nil {
			return err
		}
		if err := f.do(ctx, t); err != nil {
			return err
		}
	}
	return nil
}
