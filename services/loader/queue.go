package main

import (
	"bytes"
	"context"
	"sync"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// maxPayload is the largest message that is looked at: a larger one cannot be
// a status.
const maxPayload = 1 << 20

// perMessage is what a waiting message costs beside topic and payload.
const perMessage = 128

// message is what the bus brought, and when.
type message struct {
	bus.Message
	arrived int64 // ns since 1970; no two messages have the same
	length  int   // of the payload as it came; longer than Payload when it was cut
}

func (m *message) size() int64 { return int64(len(m.Topic) + len(m.Payload) + perMessage) }

// group is messages that go to disk together.
type group struct {
	records []byte        // as the spool takes them
	acks    []bus.Message // without topic and payload: only to be acknowledged
	bytes   int64
}

func (g *group) reset() {
	clear(g.acks)
	g.records, g.acks, g.bytes = g.records[:0], g.acks[:0], 0
}

// How a group grows. While one is synced the next fills by itself. Else it waits
// for company, because each sync has its price, until nothing came for a moment:
// then a broker may have sent all that it lets be unconfirmed, and wait for us.
const (
	lingerStep  = 12 * time.Millisecond // more than gather
	lingerTime  = 100 * time.Millisecond
	lingerBytes = 64 << 10
)

// roomWait is how long the goroutine that reads the bus may be held up. While
// it is, the broker's messages wait in the network; much longer, and the
// connection would fail for want of an answer to its pings.
const roomWait = 3 * time.Second

// queue is the bounded room between the goroutine that reads the bus and the
// one that writes to disk.
//
// What finds no room: a QoS 0 message is lost, and QoS 0 gets only half of the
// room, so that it cannot take it from the others. A QoS 1 message waits a
// moment, which slows the broker down to our speed. If that does not help it is
// let go and not acknowledged: the broker keeps it and sends it again in the
// next connection, and settle says when there is a reason to make one. We
// cannot count on the broker's window to spare us that: Mosquitto 2.0.11 goes
// far beyond its max_inflight_messages under load.
type queue struct {
	maxMessages int
	maxBytes    int64
	room        chan struct{} // holds one token: something has left
	filled      chan struct{} // holds one token: something has come

	mu       sync.Mutex
	group    *group // being filled
	spare    *group // the other one, while it is not being written
	messages int    // in both
	bytes    int64  // in both
	last     int64  // arrival of the latest message
	dropped  uint64
	deferred uint64
	received uint64              // that found room, since the start
	topics   map[string]struct{} // of statuses that came since they were last counted
	owed     bool                // something was let go: there is no order to keep, and no use in waiting

	window int // how many the broker seems to let be unconfirmed; 0: not known. It is the taker's
}

func newQueue(messages int, bytes int64) *queue {
	return &queue{
		maxMessages: messages, maxBytes: bytes,
		room: make(chan struct{}, 1), filled: make(chan struct{}, 1),
		group: new(group), spare: new(group), topics: make(map[string]struct{}),
	}
}

// put takes a message over, or does not.
func (q *queue) put(b bus.Message) {
	m := message{Message: b, length: len(b.Payload)}
	if m.length > maxPayload {
		m.Payload = bytes.Clone(m.Payload[:wire.EchoLen]) // enough to say what it was
	}
	if q.try(&m, m.QoS > 0) {
		return
	}
	timer := time.NewTimer(roomWait)
	defer timer.Stop()
	for {
		select {
		case <-q.room:
			if q.try(&m, true) {
				return
			}
		case <-timer.C:
			q.try(&m, false)
			return
		}
	}
}

// sameClock is how far back the clock may go and arrivals still be kept in
// order. What is set back further is a new time, and taken as it is.
const sameClock = int64(time.Second)

// try reports whether a message is settled: taken over, or turned away for
// good. If it may wait, it is not turned away where waiting can help.
func (q *queue) try(m *message, mayWait bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	topic := m.Topic // add lets go of it
	room, count := q.maxBytes, q.maxMessages
	if m.QoS == 0 {
		room, count = room/2, count/2
	}
	switch full := q.messages >= count || q.bytes+m.size() > room; {
	case !full:
		q.add(m)
		q.hear(topic)
	case m.QoS == 0:
		q.dropped++
	case mayWait && !q.owed:
		return false
	default:
		q.deferred++
		q.owed = true
	}
	return true
}

func (q *queue) add(m *message) {
	m.arrived = time.Now().UnixNano()
	if m.arrived <= q.last && m.arrived > q.last-sameClock {
		m.arrived = q.last + 1
	}
	q.last = m.arrived
	g := q.group
	g.records = appendRecord(g.records, m)
	g.bytes += m.size()
	q.messages++
	q.bytes += m.size()
	m.Topic, m.Payload = "", nil
	g.acks = append(g.acks, m.Message)
	poke(q.filled)
}

// take waits for messages and hands them over, all that are there. It returns
// nil when ctx has ended and there are none. The group goes back with done.
func (q *queue) take(ctx context.Context) *group {
	for {
		if n, _ := q.waiting(); n > 0 {
			q.linger(ctx)
			q.mu.Lock()
			g := q.group
			q.group, q.spare = q.spare, nil
			q.mu.Unlock()
			return g
		}
		select {
		case <-q.filled:
		case <-ctx.Done():
			if n, _ := q.waiting(); n == 0 {
				return nil
			}
		}
	}
}

// waiting is what the next group has.
func (q *queue) waiting() (messages, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.group.acks), len(q.group.records)
}

// linger waits for more, as long as more comes.
func (q *queue) linger(ctx context.Context) {
	n, bytes := q.waiting()
	for began := time.Now(); bytes < lingerBytes && time.Since(began) < lingerTime; {
		if q.window > 0 && n >= q.window || pause(ctx, lingerStep) != nil {
			return
		}
		before := n
		if n, bytes = q.waiting(); n == before {
			q.window = n
			return
		}
	}
}

// synced is called before the messages of a group are acknowledged. If others
// have come meanwhile it was no window that ended the group.
func (q *queue) synced() {
	if n, _ := q.waiting(); n > 0 {
		q.window = 0
	}
}

// done takes back a group that is on disk.
func (q *queue) done(g *group) {
	q.mu.Lock()
	q.messages -= len(g.acks)
	q.bytes -= g.bytes
	g.reset()
	q.spare = g
	q.mu.Unlock()
	poke(q.room)
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// owe says that the broker is to send again what it has not had acknowledged.
func (q *queue) owe() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.owed = true
}

// settle reports, once, whether messages were let go that the broker still
// holds, when there is room for them again.
func (q *queue) settle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.owed || q.messages > q.maxMessages/4 || q.bytes > q.maxBytes/4 {
		return false
	}
	q.owed = false
	return true
}

// fill is how much waits and what was turned away.
func (q *queue) fill() (messages int, bytes int64, dropped, deferred uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.messages, q.bytes, q.dropped, q.deferred
}
