package device

import "time"

// before is how long a confirmed status is kept: a broker that is killed may
// have forgotten what it had confirmed.
const before = 30 * time.Second

// backlog keeps statuses for replay: those of the last 30 s, and while the
// broker does not confirm, those since then and 30 s before, but none older
// than limit.
type backlog struct {
	limit   time.Duration
	entries []*entry
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
	n := 0
	for n < len(b.entries) && b.entries[n].time.Before(oldest) {
		if !b.entries[n].confirmed {
			b.dropped++
		}
		b.entries[n] = nil
		n++
	}
	b.entries = b.entries[n:]
}

// all is what is kept, in order.
func (b *backlog) all(now time.Time) []*entry {
	b.trim(now)
	return append([]*entry(nil), b.entries...)
}
