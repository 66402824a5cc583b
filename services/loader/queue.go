package main

import (
	"bytes"
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

// roomWait is how long the goroutine that reads the bus may be held up. While
// it is, the broker's messages wait in the network; much longer, and the
// connection would fail for want of an answer to its pings.
const roomWait = time.Second

// queue is the bounded room between the goroutine that reads the bus and the
// one that writes.
//
// What finds no room: a QoS 0 message is lost, and QoS 0 gets only half of the
// room, so that it cannot take it from the others. A QoS 1 message waits a
// moment, which slows the broker down to our speed. If that does not help it is
// let go and not acknowledged: the broker keeps it and sends it again in the
// next connection, and settle says when there is a reason to make one. We
// cannot count on the broker's window to spare us that: Mosquitto 2.0.11 goes
// far beyond its max_inflight_messages under load.
type queue struct {
	ch       chan message
	maxBytes int64
	room     chan struct{} // holds one token: something has left

	mu       sync.Mutex
	bytes    int64
	last     int64 // arrival of the latest message
	dropped  uint64
	deferred uint64
	owed     bool // something was let go: there is no order to keep, and no use in waiting
}

func newQueue(messages int, bytes int64) *queue {
	return &queue{ch: make(chan message, messages), maxBytes: bytes, room: make(chan struct{}, 1)}
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

// try reports whether a message is settled: taken over, or turned away for
// good. If it may wait, it is not turned away where waiting can help.
func (q *queue) try(m *message, mayWait bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	room, count := q.maxBytes, cap(q.ch)
	if m.QoS == 0 {
		room, count = room/2, count/2
	}
	switch full := len(q.ch) >= count || q.bytes+m.size() > room; {
	case !full:
		m.arrived = max(time.Now().UnixNano(), q.last+1)
		q.last = m.arrived
		q.bytes += m.size()
		q.ch <- *m // does not block: only try adds, under the lock
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

// took says that m has left the channel.
func (q *queue) took(m *message) {
	q.mu.Lock()
	q.bytes -= m.size()
	q.mu.Unlock()
	select {
	case q.room <- struct{}{}:
	default:
	}
}

// settle reports, once, whether messages were let go that the broker still
// holds, when there is room for them again.
func (q *queue) settle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.owed || len(q.ch) > cap(q.ch)/4 || q.bytes > q.maxBytes/4 {
		return false
	}
	q.owed = false
	return true
}

// fill is how much waits and what was turned away.
func (q *queue) fill() (messages int, bytes int64, dropped, deferred uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ch), q.bytes, q.dropped, q.deferred
}
