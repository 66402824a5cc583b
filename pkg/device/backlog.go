package device

import "time"

// before is how long a status is kept after the broker has confirmed it: a
// broker that is killed may have forgotten what it had confirmed, and one that
// comes back empty confirms what no archive subscribes to yet.
const before = 30 * time.Second

// maxBytes bounds a backlog in memory, whatever its time: an hour of a supply
// with four channels at 1 Hz is 3 MB.
const maxBytes = 16 << 20

// backlog keeps statuses for replay: those that were confirmed in the last
// 30 s, and while the broker is away or does not confirm, those since then and
// of the 30 s before; but none older than limit.
type backlog struct {
	limit   time.Duration
	entries []*entry
	bytes   int       // of their payloads
	lost    time.Time // when the connection was lost, while it is
	dropped uint64    // given up although the broker never confirmed them
}

type entry struct {
	time      time.Time
	seq       uint64
	payload   []byte
	confirmed time.Time // zero while it is to be sent, for the first time or again
	once      bool      // confirmed at least once
}

func (e *entry) confirm(now time.Time) { e.confirmed, e.once = now, true }

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
	if !b.lost.IsZero() {
		since = b.lost
	}
	for _, e := range b.entries {
		if e.confirmed.IsZero() {
			if e.time.Before(since) {
				since = e.time
			}
			break
		}
	}
	since = since.Add(-before)
	oldest := now.Add(-max(b.limit, before))
	for len(b.entries) > 0 {
		e := b.entries[0]
		done := !e.confirmed.IsZero() && e.confirmed.Before(since)
		if !done && !e.time.Before(oldest) {
			return
		}
		b.shift()
	}
}

// shift lets go of the oldest.
func (b *backlog) shift() {
	e := b.entries[0]
	b.entries[0] = nil
	b.entries = b.entries[1:]
	b.bytes -= len(e.payload)
	if !e.once {
		b.dropped++
	}
}

// away takes note that the connection was lost: what was confirmed just before
// is kept until there is another one.
func (b *backlog) away(now time.Time) {
	if b.lost.IsZero() {
		b.lost = now
	}
}

// again gives what is kept, in order, to be sent once more. It counts as not
// confirmed until the broker has confirmed it anew.
func (b *backlog) again(now time.Time) []*entry {
	b.trim(now)
	b.lost = time.Time{}
	for _, e := range b.entries {
		e.confirmed = time.Time{}
	}
	return append([]*entry(nil), b.entries...)
}
