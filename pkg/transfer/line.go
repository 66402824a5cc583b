package transfer

import (
	"fmt"
	"slices"
	"time"

	"trackerdcs/pkg/wire"
)

// idle is how long the line sleeps at most when there is nothing to do.
const idle = time.Hour

const offline = "no connection to the broker"

// line are the runs of a sender on their way to the database. Each is at one of
// three places: in the queue, being delivered (one at most), or parked, which it
// is when the sink has all of it. A run whose delivery fails goes back to the
// end of the queue and rests, while others go on. It is for one goroutine.
type line struct {
	s      *Sender
	queue  []*pending
	now    *delivery // nil if none
	parked parked

	up   bool      // the connection stands
	lost time.Time // when it ended, if it does not
	away bool      // and that is worth mentioning
}

// step does what is due and says when it is to be called again at the latest.
func (l *line) step(now time.Time) (next time.Time) {
	l.gather()
	if l.up {
		next = earlier(l.deliver(now), l.parked.ask(now))
	} else if next = l.lost.Add(l.s.pauses.answer); !now.Before(next) {
		next = now.Add(idle)
		if !l.away && l.s.Waiting() > 0 {
			l.away = true
			l.s.o.Log.Warn("results are waiting", "reason", offline)
		}
	}
	l.report()
	return next
}

// gather queues what was offered.
func (l *line) gather() { l.queue = append(l.queue, l.s.take()...) }

// deliver sends what can be sent.
func (l *line) deliver(now time.Time) (next time.Time) {
	for {
		if l.now == nil && !l.choose(now) {
			next = now.Add(idle)
			for _, p := range l.queue {
				next = earlier(next, p.after)
			}
			return next
		}
		err := l.now.step(now)
		if err == nil {
			return l.now.deadline
		}
		// What cannot be read now may be readable later: a disk that hangs, for
		// instance. A file that has changed never will, and the operator must see it.
		l.fail(err.Error(), now)
	}
}

// choose begins with the first run of the queue that does not rest.
func (l *line) choose(now time.Time) bool {
	i := slices.IndexFunc(l.queue, func(p *pending) bool { return !now.Before(p.after) })
	if i < 0 {
		return false
	}
	l.now = &delivery{s: l.s, pending: l.queue[i], files: l.queue[i].Manifest.Files}
	l.now.asked = false
	l.queue = slices.Delete(l.queue, i, i+1)
	return true
}

// fail ends the delivery: its run rests at the end of the queue.
func (l *line) fail(why string, now time.Time) {
	p := l.now.pending
	l.remove(p)
	p.blame(why)
	p.rest(now, l.s.pauses.failed, l.s.pauses.failedMost)
	l.queue = append(l.queue, p)
}

// delivering reports whether a run is the one that is being delivered.
func (l *line) delivering(p *pending) bool { return l.now != nil && l.now.pending == p }

// remove takes a run from where it is.
func (l *line) remove(p *pending) {
	if l.delivering(p) {
		l.stop()
	}
	is := func(q *pending) bool { return q == p }
	l.queue = slices.DeleteFunc(l.queue, is)
	l.parked.runs = slices.DeleteFunc(l.parked.runs, is)
}

// stop ends the delivery, if there is one.
func (l *line) stop() {
	if l.now != nil {
		l.now.close()
		l.now = nil
	}
}

// wake takes note that the connection stands, or does not, or that the sink has
// started: whatever was said before may have been said to nobody.
func (l *line) wake(now time.Time) {
	if !l.s.Connected() {
		if l.up {
			l.up, l.lost = false, now
		}
		return
	}
	l.up, l.away = true, false
	if l.now != nil {
		l.now.asked, l.now.going = false, false
	}
	for _, p := range l.parked.runs {
		p.refresh(now)
	}
}

// take takes a receipt.
func (l *line) take(r wire.Receipt, now time.Time) {
	p := l.s.find(r)
	l.gather() // p may be new
	if p == nil && r.UID == "" && r.Error != "" && l.now != nil && l.now.Manifest.Run == r.Run {
		p = l.now.pending // the sink could not read from the manifest whose it is
	}
	switch {
	case p == nil:
	case r.State == wire.ResultsStored:
		l.stored(p)
	case r.Error != "":
		l.refused(p, fmt.Sprintf("%s: %s", l.s.o.Sink, r.Error), now)
	case r.State == wire.ResultsReceived:
		l.received(p, now)
	case r.State == wire.ResultsReceiving:
		l.receiving(p, r, now)
	}
}

// stored ends with a run.
func (l *line) stored(p *pending) {
	l.remove(p)
	l.s.forget(p)
	l.s.o.Log.Info("results are stored", "run", p.Manifest.Run)
	if l.s.o.Stored != nil {
		l.s.o.Stored(p.Manifest.Run, p.Manifest.UID)
	}
}

// refused is said by a sink that cannot go on with a run. One that rests already
// has been refused.
func (l *line) refused(p *pending, why string, now time.Time) {
	switch {
	case l.delivering(p):
		l.fail(why, now)
	case l.parked.has(p):
		l.requeue(p, now)
		p.blame(why)
		p.rest(now, l.s.pauses.failed, l.s.pauses.failedMost)
	}
}

// received parks a run.
func (l *line) received(p *pending, now time.Time) {
	p.why, p.asked = "", false
	if l.parked.has(p) {
		return
	}
	l.remove(p)
	l.parked.add(p, now)
}

// receiving goes on with the run that is being delivered. One that is parked has
// been lost by the sink, at least in part, and is sent once more.
func (l *line) receiving(p *pending, r wire.Receipt, now time.Time) {
	switch {
	case l.delivering(p):
		l.now.advance(r, now)
	case l.parked.has(p) && r.Again == wire.Yes:
		l.requeue(p, now)
	}
}

// requeue takes a parked run to the end of the queue.
func (l *line) requeue(p *pending, now time.Time) {
	l.remove(p)
	p.refresh(now)
	p.why = ""
	l.queue = append(l.queue, p)
}

// report makes a sentence of what does not go on.
func (l *line) report() {
	stuck := func(p *pending) bool { return l.away || p.why != "" }
	var waiting []*pending
	if l.now != nil && stuck(l.now.pending) {
		waiting = append(waiting, l.now.pending)
	}
	waiting = append(waiting, l.queue...)
	for _, p := range l.parked.runs {
		if stuck(p) {
			waiting = append(waiting, p)
		}
	}
	i := slices.IndexFunc(waiting, stuck)
	if i < 0 {
		l.s.setProblem("")
		return
	}
	why := waiting[i].why
	if l.away {
		why = offline
	}
	text := fmt.Sprintf("run %d: %s", waiting[i].Manifest.Run, why)
	if more := len(waiting) - 1; more > 0 {
		text += fmt.Sprintf("; %d more wait", more)
	}
	l.s.setProblem(text)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
