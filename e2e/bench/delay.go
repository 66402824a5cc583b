package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"trackerdcs/pkg/bus"
)

// watched is the device whose statuses are timed.
const watched = prefix + "watched"

// watch publishes the statuses of one device, some 20 a second, and asks the
// archive every 20 ms for the newest of them.
type watch struct {
	delays []time.Duration // once ended

	stop    context.CancelFunc
	ended   chan struct{}
	mu      sync.Mutex
	sent    []time.Time // of seq 1, 2, …
	visible int         // the highest seq that was found
	failed  error
}

func (s *stand) watchDelay(ctx context.Context) (*watch, error) {
	c, hangUp, err := connect(ctx, bus.Options{Broker: s.broker.url(), ClientID: "bench-watch"}, nil)
	if err != nil {
		return nil, err
	}
	w := &watch{ended: make(chan struct{})}
	sending, stop := context.WithCancel(ctx)
	w.stop = stop
	var both sync.WaitGroup
	both.Go(func() { w.publish(sending, c) })
	both.Go(func() { w.look(ctx, sending, s.influx) })
	go func() {
		both.Wait()
		hangUp()
		close(w.ended)
	}()
	return w, nil
}

// end stops publishing, waits until the last one is seen, and returns how many
// were sent.
func (w *watch) end() (int, error) {
	w.stop()
	<-w.ended
	return len(w.sent), w.failed
}

func (w *watch) publish(ctx context.Context, c *bus.Client) {
	g := newGenerator(watched)
	var flying sync.WaitGroup
	defer flying.Wait()
	// Not every 50 ms: that could keep step with a contender's own interval.
	for sleep(ctx, 30*time.Millisecond+rand.N(40*time.Millisecond)) == nil {
		m := g.next()
		flying.Add(1)
		w.mu.Lock()
		w.sent = append(w.sent, time.Now())
		w.mu.Unlock()
		c.Send(m, func(err error) {
			if err != nil {
				w.mu.Lock()
				w.failed = errors.Join(w.failed, err)
				w.mu.Unlock()
			}
			flying.Done()
		})
	}
}

// look notes when each status could be queried for the first time: before the
// answer came that has it, or a later one.
func (w *watch) look(ctx, sending context.Context, x *influx) {
	since := time.Now()
	for sending.Err() == nil || w.left() && time.Since(since) < usual.idle {
		if sleep(ctx, 20*time.Millisecond) != nil {
			return
		}
		seq, err := x.last(ctx, watched)
		if err != nil || seq <= w.visible {
			continue
		}
		now := time.Now()
		since = now
		w.mu.Lock()
		for ; w.visible < min(seq, len(w.sent)); w.visible++ {
			w.delays = append(w.delays, now.Sub(w.sent[w.visible]))
		}
		w.mu.Unlock()
	}
}

func (w *watch) left() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.visible < len(w.sent)
}
