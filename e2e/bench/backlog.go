package main

import (
	"context"
	"fmt"
	"math"
	"time"
)

// live is what the names of the devices begin with that go on while the backlog
// of the others is drained.
const live = "live_"

// drain is how fast our loader catches up after an outage, while live data go
// on.
func (b *bench) drain(ctx context.Context) (table, error) {
	liveRate := b.rate * channels
	points := b.backlog * channels
	t := table{title: fmt.Sprintf("A backlog of %s points, drained while %s points a second go on", number(float64(points), 0), number(float64(liveRate), 0))}
	s, err := b.setUp(ctx, b.openQueues())
	if err != nil {
		return t, err
	}
	defer b.tearDown(s)
	process, err := s.begin(ctx, b.loader())
	if err != nil {
		return t, err
	}
	defer process.stop()

	s.influx.kill()
	past, err := connectLoad(ctx, s.broker.url(), prefix)
	if err != nil {
		return t, err
	}
	began := time.Now()
	err = past.flood(ctx, b.backlog/devices)
	past.hangUp()
	if err != nil {
		return t, err
	}
	came := float64(points) / time.Since(began).Seconds()
	b.say("backlog: sent in %.1f s", time.Since(began).Seconds())

	now, err := connectLoad(ctx, s.broker.url(), live)
	if err != nil {
		return t, err
	}
	defer now.hangUp()
	sending, stop := context.WithCancel(ctx)
	defer stop()
	steady := make(chan error, 1)
	go func() { steady <- now.steady(sending, b.rate) }()
	if err := s.influx.start(ctx); err != nil {
		return t, err
	}
	w, err := s.watchDelay(ctx)
	if err != nil {
		return t, err
	}
	back := time.Now()
	stored, at, err := s.awaitCount(ctx, "^"+prefix+"[0-9]", points, patience{60 * time.Second, 10 * time.Minute})
	stop()
	if err != nil {
		return t, err
	}
	if _, err := w.end(); err != nil {
		return t, err
	}
	if err := <-steady; err != nil {
		return t, err
	}
	took := at.Sub(back).Seconds()
	liveStored, _, err := s.awaitCount(ctx, "^"+live, now.sent*channels, usual)
	if err != nil {
		return t, err
	}
	top, err := peak(process.pid())
	if err != nil {
		return t, err
	}
	ours := func(what string, x float64, digits int, g goal) {
		t.rows = append(t.rows, row{what: what, ours: x, theirs: math.NaN(), digits: digits, goal: g, absolute: true})
	}
	ours("came while InfluxDB was away, points a second", came, 0, goal{})
	ours("in the archive after, s", took, 1, goal{})
	least := float64(5 * liveRate)
	ours("drained, points a second", float64(stored)/took, 0, atLeast(least, number(least, 0)))
	ours("live, from publish to queryable, median, ms", ms(percentile(w.delays, 50)), 0, goal{})
	ours("live, from publish to queryable, 95 %, ms", ms(percentile(w.delays, 95)), 0, goal{})
	ours("peak memory, MB", float64(top)/1e6, 1, goal{})
	ours("points missing, backlog", float64(points-stored), 0, atMost(0, "0"))
	ours("points missing, live", float64(now.sent*channels-liveStored), 0, atMost(0, "0"))
	return t, nil
}
