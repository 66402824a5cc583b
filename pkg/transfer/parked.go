package transfer

import (
	"slices"
	"time"
)

// parked are the runs that the sink has on its disk and not yet in the database.
// It says when they are; the manifests are said again now and then all the same,
// because it may have told nobody, or have lost them. They are said at a pace:
// there may be a hundred when MongoDB was away for a night.
type parked struct {
	s    *Sender
	runs []*pending
	said time.Time // the last of the manifests
}

func (q *parked) has(p *pending) bool { return slices.Contains(q.runs, p) }

func (q *parked) add(p *pending, now time.Time) {
	p.gap = 0
	p.rest(now, q.s.pauses.parked, q.s.pauses.parkedMost)
	q.runs = append(q.runs, p)
}

// ask says the manifest of the run whose turn it is, and when it is the next
// one's.
func (q *parked) ask(now time.Time) (next time.Time) {
	for len(q.runs) > 0 {
		p := slices.MinFunc(q.runs, func(a, b *pending) int { return a.after.Compare(b.after) })
		next = p.after
		if pace := q.said.Add(q.s.pauses.pace); next.Before(pace) {
			next = pace
		}
		if now.Before(next) {
			return next
		}
		if p.asked {
			p.blame(q.s.noAnswer())
		}
		q.said, p.asked = now, true
		p.rest(now, q.s.pauses.parked, q.s.pauses.parkedMost)
		if err := q.s.say(p); err != nil {
			p.blame(err.Error())
		}
	}
	return now.Add(idle)
}
