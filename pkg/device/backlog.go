package device

import "time"

// before is how long a confirmed status is kept: a broker that is killed may
// have forgotten what it had confirmed.
const before = 30 * time.Second

// maxBytes bounds a backlog in memory, whatever its time: an hour of a supply
// with four channels at 1 Hz is 3 MB.
const maxBytes = 16 << 20

// backlog keeps statuses for replay: those of the last 30 s, and while the
// broker does not confirm, those since then and 30 s before, but none older
// than limit.
type backlog struct {
	limit   time.Duration
	entries []*entry
	bytes   int    // of their payloads
	dropped uint64 // given up unconfirmed
}

type entry struct {
	time      time.Time
	seq       uint64
	payload   []byte
	confirmed bool
}

func (b *backlog) add(now time.Time, seq uint64, payload []byte) *entry {
	b.trim(now)
	e := &entry{time: now, seq: seq, payload: payload}
	b.entries = append(b.entries, e)
	b.bytes += len(payload)
	for b.bytes > maxBytes && len(b.entries) > 1 {
		b.shift()
	}
	return e
}

// trim lets go of what need not be kept any more. Times are compared by their
// monotonic part: a clock that is set changes nothing.
func (b *backlog) trim(now time.Time) {
	since := now
	for _, e := range b.entries {
		if !e.confirmed {
			since = e.time
			break
		}
	}
	oldest := since.Add(-before)
	if limit := now.Add(-max(b.limit, before)); oldest.Before(limit) {
		oldest = limit
	}
	for len(b.entries) > 0 && b.entries[0].time.Before(oldest) {
		b.shift()
	}
}

// shift lets go of the oldest.
func (b *backlog) shift() {
	e := b.entries[0]
	b.entries[0] = nil
	b.entries = b.entries[1:]
	b.bytes -= len(e.payload)
	if !e.confirmed {
		b.dropped++
	}
}

// all is what is kept, in order.
func (b *backlog) all(now time.Time) []*entry {
	b.trim(now)
	return append([]*entry(nil), b.entries...)
}
