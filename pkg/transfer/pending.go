package transfer

import (
	"log/slog"
	"time"
)

// key tells runs apart.
type key struct {
	run int64
	uid string
}

// pending is a run that is not in the database yet. But for its offer it is
// Run's goroutine's.
type pending struct {
	Offer
	log *slog.Logger

	why   string        // it does not go on; empty while all is well
	after time.Time     // when it is sent, or asked about, at the earliest
	gap   time.Duration // the last pause before that
	asked bool          // its manifest was said, and no receipt has come since
	most  position      // the furthest that was ever sent
}

func (p *pending) key() key { return key{run: p.Manifest.Run, uid: p.Manifest.UID} }

// blame takes down why a run does not go on.
func (p *pending) blame(why string) {
	if p.why != why {
		p.log.Warn("results are waiting", "run", p.Manifest.Run, "reason", why)
	}
	p.why = why
}

// rest makes a run wait, each time twice as long up to most.
func (p *pending) rest(now time.Time, first, most time.Duration) {
	p.gap = min(max(2*p.gap, first), most)
	p.after = now.Add(p.gap)
}

// refresh lets a run wait no more, and little the next time.
func (p *pending) refresh(now time.Time) { p.after, p.gap, p.asked = now, 0, false }
