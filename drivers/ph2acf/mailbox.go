package main

import (
	"sync"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// Bounds of a mailbox.
const (
	mailboxSize  = 10_000
	mailboxBytes = 8 << 20
)

// mailbox holds commands until the driver takes them, so that the handler of
// the bus never waits. Past its bounds messages are counted as lost.
type mailbox struct {
	mu    sync.Mutex
	list  []bus.Message
	bytes int
	lost  uint64
	wake  chan struct{} // holds one token while there is something
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (b *mailbox) put(m bus.Message) {
	if len(m.Payload) > wire.MaxCommand { // too long to be a command: enough of it to be refused
		m.Payload = append([]byte(nil), m.Payload[:wire.MaxCommand+1]...)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) >= mailboxSize || b.bytes+len(m.Payload) > mailboxBytes {
		b.lost++
		return
	}
	b.list = append(b.list, m)
	b.bytes += len(m.Payload)
	poke(b.wake)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take gives the oldest message.
func (b *mailbox) take() (bus.Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) == 0 {
		return bus.Message{}, false
	}
	m := b.list[0]
	b.list[0] = bus.Message{}
	b.list = b.list[1:]
	b.bytes -= len(m.Payload)
	if len(b.list) > 0 {
		poke(b.wake)
	}
	return m, true
}

func (b *mailbox) lostCount() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return float64(b.lost)
}
