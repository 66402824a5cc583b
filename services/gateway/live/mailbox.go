package live

import (
	"sync"
	"time"
)

// Bounds of a mailbox.
const (
	mailboxSize  = 20_000
	mailboxBytes = 16 << 20
)

// mail is a message, or the news that a connection stands or has ended.
type mail struct {
	address
	payload    []byte
	retained   bool
	arrival    time.Time
	connection int       // counted from 0
	n          uint64    // in the order in which messages came, also of those that took another's place
	ended      OutcomeOf // of itsOutcome
}

// The kinds of mail that are not from the bus: news of the connection, and that a
// command was given up.
const (
	itStands   kind = "connected"
	itEnded    kind = "lost"
	itsOutcome kind = "outcome"
)

// mailbox holds what the bus brings until the loop takes it, so that the handlers
// of the bus never wait. Where only the latest message counts only the latest waits.
type mailbox struct {
	mu         sync.Mutex
	list       []*mail
	bytes      int
	waiting    map[address]*mail
	connection int
	n          uint64 // of messages so far
	missed     bool   // something that the broker retains
	dropped    uint64
	wake       chan struct{} // holds one token while there is something
}

func newMailbox() *mailbox {
	return &mailbox{waiting: make(map[address]*mail), wake: make(chan struct{}, 1)}
}

// put adds a message.
func (b *mailbox) put(m mail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	m.connection, m.n = b.connection, b.n
	old := b.waiting[m.address]
	if old != nil {
		b.bytes -= len(old.payload)
	}
	if b.bytes+len(m.payload) > mailboxBytes || old == nil && len(b.list) >= mailboxSize {
		b.dropped++
		b.missed = b.missed || m.isRetained()
		if old != nil {
			b.bytes += len(old.payload)
		}
		return
	}
	b.bytes += len(m.payload)
	if old != nil {
		*old = m
		return
	}
	if m.latest() {
		b.waiting[m.address] = &m
	}
	b.add(&m)
}

// stands and ended put news of the connection, and gaveUp that of a command, which
// are never dropped.
func (b *mailbox) stands(now time.Time) { b.tell(mail{address: address{kind: itStands}, arrival: now}) }

func (b *mailbox) gaveUp(o OutcomeOf) { b.tell(mail{address: address{kind: itsOutcome}, ended: o}) }

func (b *mailbox) ended(now time.Time) {
	b.tell(mail{address: address{kind: itEnded}, arrival: now})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.connection++
}

func (b *mailbox) tell(m mail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m.connection = b.connection
	b.add(&m)
}

func (b *mailbox) add(m *mail) {
	b.list = append(b.list, m)
	b.poke()
}

func (b *mailbox) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take gives at most n, the oldest first.
func (b *mailbox) take(n int) []*mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, len(b.list))
	taken := b.list[:n:n]
	b.list = b.list[n:]
	for _, m := range taken {
		b.bytes -= len(m.payload)
		if b.waiting[m.address] == m {
			delete(b.waiting, m.address)
		}
	}
	if len(b.list) > 0 {
		b.poke()
	} else {
		b.list = nil
	}
	return taken
}

// missedSome reports whether something that the broker retains was dropped since
// it was last asked, once all else is taken.
func (b *mailbox) missedSome() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	missed := b.missed && len(b.list) == 0
	if missed {
		b.missed = false
	}
	return missed
}

func (b *mailbox) droppedCount() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return float64(b.dropped)
}
