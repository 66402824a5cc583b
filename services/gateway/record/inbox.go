package record

import (
	"sync"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// Bounds of an inbox, and of what is recorded in one go. A broker sends a few
// thousand acks at most that are not confirmed; those of QoS 0 it does not count.
const (
	inboxMessages = 20_000
	inboxBytes    = 16 << 20
	batchSize     = 500
)

// inbox holds acks until they can be written, so that the handler never waits.
type inbox struct {
	max   int // messages
	mu    sync.Mutex
	list  []bus.Message
	bytes int
	lost  bool          // some found no room: they were not confirmed
	wake  chan struct{} // holds one token: look
}

func newInbox() *inbox { return &inbox{max: inboxMessages, wake: make(chan struct{}, 1)} }

func (b *inbox) put(m bus.Message) {
	if len(m.Payload) > wire.MaxCommand {
		m.Payload = nil // no ack is as long: it is refused without being kept
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) >= b.max || b.bytes+len(m.Payload) > inboxBytes {
		b.lost = true
	} else {
		b.list = append(b.list, m)
		b.bytes += len(m.Payload)
	}
	b.nudge()
}

// nudge has somebody look.
func (b *inbox) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take gives the oldest. When there are none it says whether some were lost
// since it was last said.
func (b *inbox) take() (batch []bus.Message, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.list), batchSize)
	if n == 0 {
		lost, b.lost = b.lost, false
		b.list = nil
		return nil, lost
	}
	batch = append(batch, b.list[:n]...)
	clear(b.list[:n])
	b.list = b.list[n:]
	for _, m := range batch {
		b.bytes -= len(m.Payload)
	}
	return batch, false
}

func (b *inbox) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.list)
}
