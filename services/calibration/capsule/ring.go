package capsule

import "time"

// What is kept in memory while no run is recorded.
const (
	before       = time.Minute
	ringBytes    = 8 << 20
	latestTopics = 4096
	latestBytes  = 4 << 20
)

// ring keeps what came in the last minute, in order.
type ring struct {
	entries []held
	bytes   int64
	lost    int64     // messages that had to go before their time
	lostAt  time.Time // the last of them
}

type held struct {
	message
	at time.Time // arrival, with its monotonic part: a clock that is set changes nothing
}

func (r *ring) add(m message, now time.Time) {
	r.trim(now)
	r.entries = append(r.entries, held{m, now})
	r.bytes += m.size()
	for r.bytes > ringBytes {
		r.shift()
		r.lost, r.lostAt = r.lost+1, now
	}
}

// trim lets go of what is older than a minute.
func (r *ring) trim(now time.Time) {
	for len(r.entries) > 0 && now.Sub(r.entries[0].at) > before {
		r.shift()
	}
	if r.lost > 0 && now.Sub(r.lostAt) > before {
		r.lost = 0
	}
}

func (r *ring) shift() {
	r.bytes -= r.entries[0].size()
	r.entries[0] = held{}
	r.entries = r.entries[1:]
}

// latest keeps what was last said on each topic that is retained: metas and
// states, which may have been said long ago.
type latest struct {
	said  map[string]message
	bytes int64
}

func (l *latest) add(m message) {
	old, is := l.said[m.topic]
	if is {
		l.bytes -= old.size()
	}
	if len(l.said) >= latestTopics && !is || l.bytes+m.size() > latestBytes {
		delete(l.said, m.topic)
		return
	}
	if l.said == nil {
		l.said = make(map[string]message)
	}
	l.said[m.topic] = m
	l.bytes += m.size()
}
