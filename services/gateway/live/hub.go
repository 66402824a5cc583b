package live

import (
	"errors"
	"sync"
	"time"
)

// Bounds of what waits for a reader of the stream, and how many there are.
const (
	maxStreams   = 1000
	queueBatches = 150
	queueBytes   = 2 << 20
	queueAge     = 2 * time.Second // a page that is further behind shows what was
)

// Why there is no stream for a reader.
var (
	errManyStreams = errors.New("too many pages are open")
	errEnding      = errors.New("the gateway is ending")
)

// event is an event as it goes over the wire, encoded once for all readers.
type event struct {
	device string // whose it is; empty when it is for everybody
	frame  []byte
}

// batch is what goes to the readers at once. It is not changed.
type batch struct {
	events []event
	whole  []byte // all frames
}

func newBatch(events []event, size int) *batch {
	b := &batch{events: events, whole: make([]byte, 0, size)}
	for _, e := range events {
		b.whole = append(b.whole, e.frame...)
	}
	return b
}

// filter are the devices that a reader wants; nil for all.
type filter map[string]bool

func (f filter) takes(device string) bool { return f == nil || device == "" || f[device] }

// of is what a reader with that filter gets of a batch.
func (b *batch) of(f filter) []byte {
	if f == nil {
		return b.whole
	}
	var out []byte
	for _, e := range b.events {
		if f.takes(e.device) {
			out = append(out, e.frame...)
		}
	}
	return out
}

// size is how many bytes that is.
func (b *batch) size(f filter) int {
	if f == nil {
		return len(b.whole)
	}
	n := 0
	for _, e := range b.events {
		if f.takes(e.device) {
			n += len(e.frame)
		}
	}
	return n
}

// reader is one stream. What waits for it is shared with the others.
type reader struct {
	filter filter
	wake   chan struct{} // holds one token while something waits
	gone   chan struct{} // closed when nothing more will come

	mu    sync.Mutex
	queue []*batch
	bytes int
	begun bool      // what it begins with has been written
	since time.Time // when the first in the queue came; zero when there is none
	taken time.Time // since, of what is being written
}

// put adds a batch and reports whether there was room, and the reader keeps up.
func (r *reader) put(b *batch, now time.Time) bool {
	size := b.size(r.filter)
	if size == 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.behind(now) > queueAge || len(r.queue) >= queueBatches || r.bytes+size > queueBytes {
		return false
	}
	if r.since.IsZero() {
		r.since = now
	}
	r.add(b, size)
	return true
}

// behind is how long the oldest has waited that is not written; what a stream begins
// with may take its time. It is called with mu held.
func (r *reader) behind(now time.Time) time.Duration {
	switch {
	case !r.begun:
		return 0
	case !r.taken.IsZero():
		return now.Sub(r.taken)
	case !r.since.IsZero():
		return now.Sub(r.since)
	}
	return 0
}

// first adds what a stream begins with, whatever its size.
func (r *reader) first(b *batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(b, 0)
}

func (r *reader) add(b *batch, size int) {
	r.queue = append(r.queue, b)
	r.bytes += size
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take gives all that waits. Who has written it says so with wrote.
func (r *reader) take() []*batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.queue
	r.queue, r.bytes = nil, 0
	r.taken, r.since = r.since, time.Time{}
	return taken
}

// wrote takes note that what was taken has been written.
func (r *reader) wrote(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun && len(r.queue) > 0 {
		r.since = now // it had to wait for the beginning
	}
	r.begun, r.taken = true, time.Time{}
}

// end lets go of what waits.
func (r *reader) end() {
	close(r.gone)
	r.take()
}

// hub has the readers.
type hub struct {
	mu      sync.Mutex
	readers map[*reader]bool // true once they have had their first event
	joining []*reader
	ended   bool
	wake    chan struct{} // holds one token while somebody is joining
}

func newHub() *hub {
	return &hub{readers: make(map[*reader]bool), wake: make(chan struct{}, 1)}
}

// join adds a reader.
func (h *hub) join(f filter) (*reader, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return nil, errEnding
	case len(h.readers) >= maxStreams:
		return nil, errManyStreams
	}
	r := &reader{filter: f, wake: make(chan struct{}, 1), gone: make(chan struct{})}
	h.readers[r] = false
	h.joining = append(h.joining, r)
	select {
	case h.wake <- struct{}{}:
	default:
	}
	return r, nil
}

// leave takes a reader out.
func (h *hub) leave(r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers, r)
}

// send gives a batch to all readers who have had their first event, and drops those
// that have no room for it or are behind. It returns how many, and who is new and still there.
func (h *hub) send(b *batch, now time.Time) (dropped int, joining []*reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r, begun := range h.readers {
		if begun && !r.put(b, now) {
			delete(h.readers, r)
			r.end()
			dropped++
		}
	}
	for _, r := range h.joining {
		if _, there := h.readers[r]; there {
			h.readers[r] = true
			joining = append(joining, r)
		}
	}
	h.joining = nil
	return dropped, joining
}

// count is how many readers there are.
func (h *hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.readers)
}

// end ends all streams, and there will be no more.
func (h *hub) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for r := range h.readers {
		delete(h.readers, r)
		r.end()
	}
}
