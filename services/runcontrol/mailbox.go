package main

import (
	"strings"
	"sync"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// mailbox holds what the bus brings until the loop takes it, so that the
// handlers of the bus never wait. Of statuses only the latest of a device
// waits.
type mailbox struct {
	mu       sync.Mutex
	list     []*mail
	bytes    int
	statuses map[string]*mail
	lost     uint64
	wake     chan struct{} // holds one token while there is something
}

// mail is a message, or the news that a connection stands or has ended.
type mail struct {
	msg   bus.Message
	event any
}

// Bounds of a mailbox.
const (
	mailboxSize  = 50_000
	mailboxBytes = 16 << 20
	maxPayload   = 1 << 20 // of a message; no meta is as long
)

func newMailbox() *mailbox {
	return &mailbox{statuses: make(map[string]*mail), wake: make(chan struct{}, 1)}
}

func (b *mailbox) put(m bus.Message) {
	if len(m.Payload) > maxPayload {
		m.Payload = append([]byte(nil), m.Payload[:wire.MaxCommand+1]...) // enough of it to be refused
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	status := strings.HasSuffix(m.Topic, "/"+wire.KindStatus)
	if old := b.statuses[m.Topic]; status && old != nil {
		b.bytes += len(m.Payload) - len(old.msg.Payload)
		old.msg = m
		return
	}
	if len(b.list) >= mailboxSize || b.bytes+len(m.Payload) > mailboxBytes {
		b.lost++
		return
	}
	e := &mail{msg: m}
	if status {
		b.statuses[m.Topic] = e
	}
	b.bytes += len(m.Payload)
	b.add(e)
}

// tell puts an event that is never lost.
func (b *mailbox) tell(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.add(&mail{event: event})
}

func (b *mailbox) add(e *mail) {
	b.list = append(b.list, e)
	b.poke()
}

func (b *mailbox) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take gives the oldest, one at a time, so that time passes between the
// messages of a flood.
func (b *mailbox) take() *mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) == 0 {
		return nil
	}
	e := b.list[0]
	b.list[0] = nil
	b.list = b.list[1:]
	b.bytes -= len(e.msg.Payload)
	if b.statuses[e.msg.Topic] == e {
		delete(b.statuses, e.msg.Topic)
	}
	if len(b.list) > 0 {
		b.poke()
	}
	return e
}

func (b *mailbox) lostCount() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return float64(b.lost)
}
