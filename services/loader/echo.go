package main

import (
	"sync"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// beatTopic is where the loader hears itself, and so how long the broker takes.
func beatTopic(root wire.Root, name string) string {
	return string(root) + "/service/" + name + "/beat"
}

// beat is what it says there.
type beat struct {
	Boot string `json:"boot"`
	N    uint64 `json:"n"`
}

// echo measures how long a message of our own is under way to the broker and
// back. What others say on the topic, or what comes too late, is not taken for it.
type echo struct {
	topic, boot string

	mu      sync.Mutex
	n       uint64
	payload string // that is awaited; none if empty
	sent    time.Time
	took    chan time.Duration // has room for one
}

// next makes a message to send at once. How long it was under way comes out of
// the channel, if it comes back before the one after it.
func (e *echo) next() (bus.Message, <-chan time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n++
	payload := wire.Encode(beat{e.boot, e.n})
	e.payload, e.sent, e.took = string(payload), time.Now(), make(chan time.Duration, 1)
	return bus.Message{Topic: e.topic, QoS: 1, Payload: payload}, e.took
}

// hear takes a message from the topic.
func (e *echo) hear(m bus.Message) {
	m.Ack()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.payload == "" || string(m.Payload) != e.payload {
		return
	}
	e.payload = ""
	e.took <- time.Since(e.sent)
}
