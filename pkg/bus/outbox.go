package bus

import (
	"context"
	"sync"
	"time"
)

// Bounds of what waits to be sent.
const (
	window  = 256     // publishes not yet confirmed
	maxKept = 100_000 // messages kept while there is no connection
)

// outbox is the queue of messages to publish, in order. Messages that are kept
// outlive a connection: those that were not confirmed go out again, first, in
// the next one. Others fail with the connection.
type outbox struct {
	mu       sync.Mutex
	queue    []*outgoing
	flying   int
	standing bool
	dropped  uint64
	wake     chan struct{} // holds one token: look at the queue
}

type outgoing struct {
	msg  Message
	keep bool
	done func(error)
}

// Send queues a message and returns. done, which may be nil, is called once:
// with nil when the broker has confirmed (QoS 0: when it was written), or with
// ErrOffline. It must only enqueue.
func (c *Client) Send(m Message, done func(error)) { c.out.add(&outgoing{msg: m, done: done}) }

// Keep queues a message that is sent, and sent again, until the broker has
// confirmed it. It is lost only with the program, or past 100 000 waiting
// messages: Dropped counts those.
func (c *Client) Keep(m Message) { c.out.add(&outgoing{msg: m, keep: true}) }

// Dropped is how many kept messages found no room.
func (c *Client) Dropped() uint64 {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.dropped
}

// Publish sends a message and waits until the broker has confirmed it, the
// connection has ended (ErrOffline), or ctx ends.
func (c *Client) Publish(ctx context.Context, m Message) error {
	done := make(chan error, 1)
	c.Send(m, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *outbox) add(g *outgoing) {
	o.mu.Lock()
	switch {
	case !o.standing && !g.keep:
		o.mu.Unlock()
		g.finish(ErrOffline)
		return
	case g.keep && len(o.queue) >= maxKept:
		o.dropped++
		o.mu.Unlock()
		return
	}
	o.queue = append(o.queue, g)
	o.mu.Unlock()
	o.poke()
}

func (g *outgoing) finish(err error) {
	if g.done != nil {
		g.done(err)
	}
}

func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) open() {
	o.mu.Lock()
	o.standing = true
	o.mu.Unlock()
	o.poke()
}

// close fails what is not kept.
func (o *outbox) close() {
	o.mu.Lock()
	o.standing = false
	var fail []*outgoing
	kept := o.queue[:0:0]
	for _, g := range o.queue {
		if g.keep {
			kept = append(kept, g)
		} else {
			fail = append(fail, g)
		}
	}
	o.queue = kept
	o.mu.Unlock()
	for _, g := range fail {
		g.finish(ErrOffline)
	}
}

func (o *outbox) failAll() {
	o.mu.Lock()
	queue := o.queue
	o.queue = nil
	o.mu.Unlock()
	for _, g := range queue {
		g.finish(ErrOffline)
	}
}

func (o *outbox) next() *outgoing {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return nil
	}
	g := o.queue[0]
	o.queue[0] = nil
	o.queue = o.queue[1:]
	o.flying++
	return g
}

// flight is a publish whose confirmation is awaited.
type flight struct {
	*outgoing
	token interface {
		Done() <-chan struct{}
		Error() error
	}
}

// serve publishes over conn until it is lost; then what was kept and not
// confirmed is put back in front.
func (o *outbox) serve(conn *connection) {
	flights := make(chan flight, window)
	confirmed := make(chan []*outgoing)
	go func() { confirmed <- o.confirm(conn, flights) }()
	for !conn.isLost() {
		g := o.next()
		if g == nil {
			select {
			case <-o.wake:
			case <-conn.lost:
			}
			continue
		}
		t := conn.paho.Publish(g.msg.Topic, g.msg.QoS, g.msg.Retained, g.msg.Payload)
		flights <- flight{g, t} // confirm always drains, so this waits and never hangs
	}
	close(flights)
	back := <-confirmed
	o.mu.Lock()
	o.queue = append(back, o.queue...)
	o.flying = 0
	o.mu.Unlock()
}

// confirm waits for publishes in the order of their sending, and returns those
// kept ones that the connection did not confirm.
func (o *outbox) confirm(conn *connection, flights <-chan flight) (back []*outgoing) {
	for f := range flights {
		err := ErrOffline
		select {
		case <-f.token.Done():
			err = f.token.Error()
		case <-conn.lost:
		}
		if err == nil {
			o.mu.Lock()
			o.flying--
			o.mu.Unlock()
			f.finish(nil)
			continue
		}
		conn.end(err) // a publish that failed on a connection that stands says that it does not
		if f.keep {
			back = append(back, f.outgoing)
		} else {
			f.finish(ErrOffline)
		}
	}
	return back
}

// drain waits until everything queued is confirmed, for at most limit.
func (o *outbox) drain(conn *connection, limit time.Duration) {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		o.mu.Lock()
		empty := len(o.queue) == 0 && o.flying == 0
		o.mu.Unlock()
		if empty {
			return
		}
		select {
		case <-tick.C:
		case <-conn.lost:
			return
		case <-deadline.C:
			return
		}
	}
}
