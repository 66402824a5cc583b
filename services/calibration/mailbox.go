package main

import (
	"sync"

	"trackerdcs/pkg/bus"
)

// Bounds of what waits for a goroutine, in bytes.
const (
	messageCost = 256 // of a message besides its payload

	maxRecords = 4 << 20
	maxChunks  = 16 << 20 // several devices' windows
)

// mailbox hands messages from the bus, whose handlers must not wait, to a
// goroutine.
type mailbox struct {
	limit int

	mu    sync.Mutex
	list  []bus.Message
	bytes int
	ready chan struct{} // holds one token: there is something
}

func newMailbox(limit int) *mailbox { return &mailbox{limit: limit, ready: make(chan struct{}, 1)} }

// put reports whether there was room.
func (b *mailbox) put(m bus.Message) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	cost := messageCost + len(m.Payload)
	if b.bytes+cost > b.limit {
		return false
	}
	b.list = append(b.list, m)
	b.bytes += cost
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return true
}

// take gives what has come.
func (b *mailbox) take() []bus.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.list
	b.list, b.bytes = nil, 0
	return list
}
