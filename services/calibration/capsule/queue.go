package capsule

import (
	"context"
	"sync"
	"time"

	"trackerdcs/pkg/bus"
)

const (
	queueMessages = 5000
	queueBytes    = 4 << 20
	perMessage    = 128 // bytes that a message costs beside topic and payload

	// roomWait is how long the goroutine that reads the bus may be held up:
	// much longer, and the connection would fail for want of answers to pings.
	roomWait = 3 * time.Second
)

// How a batch that goes to disk grows: each sync has its price. But a broker
// may let only so many messages be unconfirmed and wait for us, so a batch that
// has grown fast and then stands still is not waited for.
const (
	batchTime     = 100 * time.Millisecond
	batchMessages = 500
	batchStep     = 20 * time.Millisecond
	batchBurst    = 8
)

// queue is the bounded room between the goroutine that reads the bus and Run.
// Where there is no room a QoS 0 message is lost, which is counted. The others
// wait a moment, which slows the broker down; if that does not help they are
// let go without an ack, and settle says when the broker is to send them again.
type queue struct {
	room   chan struct{} // holds one token: something has left
	filled chan struct{} // holds one token: something has come

	mu       sync.Mutex
	waiting  []entry
	taken    int   // messages that Run works on
	oldest   int64 // arrival of the first of those
	bytes    int64 // of both
	dropped  int64 // since Run last asked
	deferred uint64
	owed     bool
}

// entry is a message that waits.
type entry struct {
	message
	bus bus.Message // to be acknowledged
}

func (m *message) size() int64 { return int64(len(m.topic) + len(m.payload) + perMessage) }

func newQueue() *queue {
	return &queue{room: make(chan struct{}, 1), filled: make(chan struct{}, 1)}
}

// put takes a message over, or does not.
func (q *queue) put(b bus.Message) {
	e := entry{bus: b, message: message{topic: b.Topic, payload: b.Payload, retained: b.Retained, arrival: time.Now().UnixNano()}}
	e.bus.Payload = nil
	if q.try(&e, true) {
		return
	}
	timer := time.NewTimer(roomWait)
	defer timer.Stop()
	for {
		select {
		case <-q.room:
			if q.try(&e, true) {
				return
			}
		case <-timer.C:
			q.try(&e, false)
			return
		}
	}
}

// try reports whether a message is settled: taken over, or turned away.
func (q *queue) try(e *entry, mayWait bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	count, bytes := queueMessages, int64(queueBytes)
	if e.bus.QoS == 0 { // it shall not take the room from the others
		count, bytes = count/2, bytes/2
	}
	switch n := len(q.waiting) + q.taken; {
	case n == 0 || n < count && q.bytes+e.size() <= bytes:
		q.waiting = append(q.waiting, *e)
		q.bytes += e.size()
		poke(q.filled)
	case e.bus.QoS == 0:
		q.dropped++
	case mayWait && !q.owed:
		return false
	default:
		q.deferred++
		q.owed = true
	}
	return true
}

// take waits for messages and appends them to batch[:0]. It gives none when ctx
// has ended and nothing waits. What it gave goes back with done.
func (q *queue) take(ctx context.Context, batch []entry, gather bool) []entry {
	batch = batch[:0]
	for q.len() == 0 {
		select {
		case <-q.filled:
		case <-ctx.Done():
			if q.len() == 0 {
				return batch
			}
		}
	}
	if gather {
		q.gather(ctx)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), batchMessages)
	batch = append(batch, q.waiting[:n]...)
	left := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[left:])
	q.waiting = q.waiting[:left]
	q.taken, q.oldest = n, batch[0].arrival
	return batch
}

// gather waits for more to come.
func (q *queue) gather(ctx context.Context) {
	n := q.len()
	for began := time.Now(); n < batchMessages && time.Since(began) < batchTime; {
		t := time.NewTimer(batchStep)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		before := n
		if n = q.len(); n == before && n >= batchBurst {
			return
		}
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// done ends the work on a batch and reports how many QoS 0 messages were lost
// since the last time, and whether the broker is to send again what was let go.
func (q *queue) done(batch []entry) (dropped int64, again bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range batch {
		q.bytes -= batch[i].size()
	}
	clear(batch)
	q.taken = 0
	poke(q.room)
	dropped, q.dropped = q.dropped, 0
	if again = q.owed && len(q.waiting) <= queueMessages/4 && q.bytes <= queueBytes/4; again {
		q.owed = false
	}
	return dropped, again
}

// has reports whether something that came until t, in ns since 1970, waits.
func (q *queue) has(t int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.taken > 0 && q.oldest <= t || len(q.waiting) > 0 && q.waiting[0].arrival <= t || q.owed
}

// fill is what waits.
func (q *queue) fill() (messages int, bytes int64, deferred uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) + q.taken, q.bytes, q.deferred
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
