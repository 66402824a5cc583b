package main

import (
	"sync"

	"trackerdcs/pkg/bus"
)

// mailbox holds messages until the driver takes them, so that the handler of
// the bus never waits. Its bound is far above what a driver judges in a
// second: past it messages are counted as lost.
type mailbox struct {
	mu   sync.Mutex
	list []bus.Message
	lost uint64
	wake chan struct{} // holds one token: there is something
}

const mailboxSize = 100_000

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (b *mailbox) put(m bus.Message) {
	b.mu.Lock()
	if len(b.list) >= mailboxSize {
		b.lost++
	} else {
		b.list = append(b.list, m)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *mailbox) take() []bus.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.list
	b.list = nil
	return list
}

func (b *mailbox) lostCount() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return float64(b.lost)
}
