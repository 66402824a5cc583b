package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// pass is what one contender did in one round.
type pass struct {
	sent    time.Duration // until the broker had confirmed the last message
	done    time.Duration // until the last point could be queried
	points  int
	cpu     time.Duration
	others  [3]time.Duration // CPU of the broker, the database and the load
	strange float64          // part of the machine that none of these used
	peak    int64            // bytes
	missing int
	delays  []time.Duration // from publish to queryable
}

func (p pass) rate() float64 { return float64(p.points-p.missing) / p.done.Seconds() }

// cpuPerMillion is in seconds.
func (p pass) cpuPerMillion() float64 {
	return p.cpu.Seconds() / float64(p.points-p.missing) * 1e6
}

// flat is the first table, flat out.
func (b *bench) flat(ctx context.Context) (table, error) {
	passes, err := b.inTurn(ctx, "flat out", b.flatPass)
	if err != nil {
		return table{}, err
	}
	figure := func(what string, digits int, g goal, f func(pass) float64) row {
		return figureOf(passes, what, digits, g, f)
	}
	return table{
		title: fmt.Sprintf("Flat out: %s messages, %s points, as fast as QoS 1 takes them; medians of %d rounds",
			number(float64(b.messages), 0), number(float64(b.messages*channels), 0), b.rounds),
		notes: quiet(passes),
		rows: []row{
			figure("sent in, s", 2, goal{}, func(p pass) float64 { return p.sent.Seconds() }),
			figure("last point queryable after, s", 2, atMost(2.0/3, "2/3"), func(p pass) float64 { return p.done.Seconds() }),
			figure("points a second", 0, goal{}, pass.rate),
			figure("CPU s per million points", 2, atMost(1.0/3, "1/3"), pass.cpuPerMillion),
			figure("peak memory, MB", 1, atMost(0.2, "1/5"), func(p pass) float64 { return float64(p.peak) / 1e6 }),
			missingOf(passes),
		},
	}, nil
}

// fixedRate is the first table at a fixed rate.
func (b *bench) fixedRate(ctx context.Context) (table, error) {
	passes, err := b.inTurn(ctx, "fixed rate", b.ratePass)
	if err != nil {
		return table{}, err
	}
	figure := func(what string, digits int, g goal, f func(pass) float64) row {
		return figureOf(passes, what, digits, g, f)
	}
	delay := func(p float64) func(pass) float64 {
		return func(x pass) float64 { return float64(percentile(x.delays, p).Microseconds()) / 1000 }
	}
	return table{
		title: fmt.Sprintf("At %s messages a second for %v, four points each; medians of %d rounds", number(float64(b.rate), 0), b.fixed, b.rounds),
		notes: quiet(passes),
		rows: []row{
			figure("CPU s per million points", 2, atMost(1.0/3, "1/3"), pass.cpuPerMillion),
			figure("peak memory, MB", 1, atMost(0.2, "1/5"), func(p pass) float64 { return float64(p.peak) / 1e6 }),
			figure("from publish to queryable, median, ms", 0, goal{}, delay(50)),
			figure("from publish to queryable, 95 %, ms", 0, goal{}, delay(95)),
			missingOf(passes),
		},
	}, nil
}

// figureOf is a row with the medians of both.
func figureOf(passes [2][]pass, what string, digits int, g goal, f func(pass) float64) row {
	var m [2]float64
	for i := range m {
		var x []float64
		for _, p := range passes[i] {
			x = append(x, f(p))
		}
		m[i] = median(x)
	}
	return row{what: what, ours: m[0], theirs: m[1], digits: digits, goal: g}
}

// missingOf is a row with the sums of both.
func missingOf(passes [2][]pass) row {
	var sum [2]float64
	for i := range sum {
		for _, p := range passes[i] {
			sum[i] += float64(p.missing)
		}
	}
	return row{what: "points missing, all rounds", ours: sum[0], theirs: sum[1], goal: atMost(0, "0"), absolute: true}
}

// inTurn lets the two do the same in turn, on one broker and one database that
// run through.
func (b *bench) inTurn(ctx context.Context, what string, do func(context.Context, *stand, contender) (pass, error)) ([2][]pass, error) {
	var passes [2][]pass
	s, err := b.setUp(ctx, b.openQueues())
	if err != nil {
		return passes, err
	}
	defer b.tearDown(s)
	for round := range b.rounds {
		for i, c := range b.contenders() {
			if err := s.influx.renew(ctx); err != nil {
				return passes, err
			}
			p, err := do(ctx, s, c)
			if err != nil {
				return passes, fmt.Errorf("%s, round %d: %w", c.name, round+1, err)
			}
			b.say("%s, round %d, %s: sent in %.2f s, queryable after %.2f s, %.2f s of CPU per million points, %.1f MB, %d missing, delay %v and %v; "+
				"%.2f s of CPU, broker %.2f, database %.2f, load %.2f; others used %.0f %% of the machine",
				what, round+1, c.name, p.sent.Seconds(), p.done.Seconds(), p.cpuPerMillion(), float64(p.peak)/1e6, p.missing,
				percentile(p.delays, 50).Round(time.Millisecond), percentile(p.delays, 95).Round(time.Millisecond),
				p.cpu.Seconds(), p.others[0].Seconds(), p.others[1].Seconds(), p.others[2].Seconds(), 100*p.strange)
			passes[i] = append(passes[i], p)
		}
	}
	return passes, nil
}

// measured runs a contender while work makes the load and notes how it went.
func (s *stand) measured(ctx context.Context, c contender, work func(p *pass) error) (pass, error) {
	child, err := s.begin(ctx, c)
	if err != nil {
		return pass{}, err
	}
	defer child.stop()
	pids := []int{child.pid(), s.broker.pid(), s.influx.pid(), os.Getpid()}
	before, err := look(pids)
	if err != nil {
		return pass{}, err
	}
	var p pass
	if err := work(&p); err != nil {
		return p, fmt.Errorf("%w\n%s", err, tail(child.log))
	}
	after, err := look(pids)
	if err != nil {
		return p, err
	}
	p.cpu = after.used[0] - before.used[0]
	strange := after.busy - before.busy - p.cpu
	for i := range p.others {
		p.others[i] = after.used[i+1] - before.used[i+1]
		strange -= p.others[i]
	}
	p.strange = max(0, strange.Seconds()/(after.all-before.all).Seconds())
	p.peak, err = peak(child.pid())
	return p, err
}

// clock is what processes, and the machine, have used up to a moment.
type clock struct {
	usage
	used []time.Duration
}

func look(pids []int) (c clock, err error) {
	if c.usage, err = machineUsage(); err != nil {
		return c, err
	}
	c.used, err = cpus(pids...)
	return c, err
}

// quiet says how quiet the machine was: times mean little where others work.
func quiet(passes [2][]pass) []string {
	var x []float64
	for _, p := range slices.Concat(passes[0], passes[1]) {
		x = append(x, p.strange)
	}
	return []string{fmt.Sprintf("Of the machine, programs other than these and the kernel used %.0f %% (median), %.0f %% (most).", 100*median(x), 100*slices.Max(x))}
}

func (b *bench) flatPass(ctx context.Context, s *stand, c contender) (pass, error) {
	return s.measured(ctx, c, func(p *pass) error {
		l, err := connectLoad(ctx, s.broker.url(), prefix)
		if err != nil {
			return err
		}
		defer l.hangUp()
		began := time.Now()
		flooded := make(chan error, 1)
		go func() {
			err := l.flood(ctx, b.messages/devices)
			p.sent = time.Since(began)
			flooded <- err
		}()
		if err := s.awaitLast(ctx, b.messages/devices, flooded); err != nil {
			return err
		}
		p.points = b.messages * channels
		stored, at, err := s.awaitCount(ctx, "^"+prefix, p.points, usual)
		p.missing, p.done = p.points-stored, at.Sub(began)
		return err
	})
}

func (b *bench) ratePass(ctx context.Context, s *stand, c contender) (pass, error) {
	return s.measured(ctx, c, func(p *pass) error {
		l, err := connectLoad(ctx, s.broker.url(), prefix)
		if err != nil {
			return err
		}
		defer l.hangUp()
		w, err := s.watchDelay(ctx)
		if err != nil {
			return err
		}
		began := time.Now()
		sending, stop := context.WithTimeout(ctx, b.fixed)
		defer stop()
		if err := l.steady(sending, b.rate); err != nil {
			return err
		}
		p.sent = time.Since(began)
		watched, err := w.end()
		if err != nil {
			return err
		}
		p.points = (l.sent + watched) * channels
		stored, at, err := s.awaitCount(ctx, "^"+prefix, p.points, usual)
		p.missing, p.done, p.delays = p.points-stored, at.Sub(began), w.delays
		return err
	})
}
