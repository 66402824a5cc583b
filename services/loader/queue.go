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

// queue is the bounded room between the goroutine that reads the bus, which
// must never wait, and the one that writes.
//
// What finds no room: a QoS 0 message is lost, and QoS 0 gets only half of the
// room, so that it cannot take it from the others. A QoS 1 message is let go
// and not acknowledged, so that the broker keeps it; it comes again in the next
// connection, and settle says when there is a reason to make one.
type queue struct {
	ch       chan message
	maxBytes int64

	mu       sync.Mutex
	bytes    int64
	last     int64 // arrival of the latest message
	dropped  uint64
	deferred uint64
	owed     bool
}

func newQueue(messages int, bytes int64) *queue {
	return &queue{ch: make(chan message, messages), maxBytes: bytes}
}

// put takes a message over, or does not.
func (q *queue) put(b bus.Message) {
	m := message{Message: b, length: len(b.Payload)}
	if m.length > maxPayload {
		m.Payload = bytes.Clone(m.Payload[:wire.EchoLen]) // enough to say what it was
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	room, count := q.maxBytes, cap(q.ch)
	if m.QoS == 0 {
		room, count = room/2, count/2
	}
	if len(q.ch) >= count || q.bytes+m.size() > room {
		if m.QoS == 0 {
			q.dropped++
			return
		}
		q.deferred++
		q.owed = true
		return
	}
	m.arrived = max(time.Now().UnixNano(), q.last+1)
	q.last = m.arrived
	q.bytes += m.size()
	q.ch <- m // has room: only put adds, and under the lock
}

// took says that m has left the channel.
func (q *queue) took(m *message) {
	q.mu.Lock()
	q.bytes -= m.size()
	q.mu.Unlock()
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
