package live

import (
	"slices"
	"sync"

	"trackerdcs/pkg/wire"
)

// keptCommands is how many commands are remembered.
const keptCommands = 1000

// book knows what became of the last commands that went through the gateway.
type book struct {
	mu      sync.Mutex
	entries map[string]*entry // by id
	order   []*entry          // the oldest first
}

// entry is a command. It is guarded by the book.
type entry struct {
	request
	outcome Outcome
	acked   uint64        // the number of the message with its last ack
	waiting bool          // somebody waits for its end
	changed chan struct{} // closed and made anew with each ack
}

// request is what of a command its acks repeat. Ids are seen by all on the bus: only
// an ack that repeats all of it is taken for one of this command, as the audit log
// does it.
type request struct {
	device string // or runControl
	id     string
	op     string
	ch     string // a number, all, or empty
	value  any    // of setv, seti, ramp and switch; else it is not compared
}

// meant reports whether an ack is about the command.
func (q *request) meant(device string, a *wire.Ack) bool {
	if q.device != device || q.id != a.ID || wire.Echo(q.op) != a.Op {
		return false
	}
	if a.Phase == wire.Rejected && a.Channel.Kind == wire.NoneChannel {
		return true // by a device that has no channels, and so cannot say which was meant
	}
	if q.ch != a.Channel.String() {
		return false
	}
	switch q.op {
	case wire.SetV, wire.SetI, wire.Ramp, wire.Switch:
		return q.value == plain(a.Value)
	}
	return true
}

// plain is a value that can be compared.
func plain(v any) any {
	switch v := v.(type) {
	case float64, string, bool:
		return v
	}
	return nil
}

func newBook() *book { return &book{entries: make(map[string]*entry)} }

// open enters a command that is about to be sent. One with a known id takes the
// other's place.
func (b *book) open(q request) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &entry{request: q, waiting: true, changed: make(chan struct{}), outcome: Outcome{ID: q.id, Phase: PhaseSent}}
	if old := b.entries[q.id]; old != nil {
		b.remove(old)
	}
	for i := 0; i < len(b.order) && len(b.order) >= keptCommands; {
		if b.order[i].waiting {
			i++
			continue
		}
		b.remove(b.order[i])
	}
	b.entries[q.id] = e
	b.order = append(b.order, e)
	return e
}

// cancel strikes out a command that was not sent.
func (b *book) cancel(e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(e)
}

// remove is called with mu held.
func (b *book) remove(e *entry) {
	if i := slices.Index(b.order, e); i >= 0 {
		b.order = slices.Delete(b.order, i, i+1)
		delete(b.entries, e.id)
	}
}

// close says that nobody waits for a command any more, and what is known of it.
// Of one that nobody has answered it is not known what became of it: that it was
// given up just now is news.
func (b *book) close(e *entry) (o Outcome, gaveUp bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.waiting = false
	if e.outcome.Phase == PhaseSent {
		e.outcome.Phase, gaveUp = PhaseUnanswered, true
	}
	return e.outcome, gaveUp
}

// look is what is known of a command, and a channel that is closed when that changes.
func (b *book) look(e *entry) (Outcome, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.outcome, e.changed
}

// find looks a command up.
func (b *book) find(id string) (Outcome, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[id]
	if e == nil {
		return Outcome{}, false
	}
	return e.outcome, true
}

// note takes the ack in the nth message. The end of a command is not taken back: acks
// may come twice. What was accepted cannot be rejected any more: that is said of
// another command that somebody has sent with the same id.
func (b *book) note(device string, a wire.Ack, n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[a.ID]
	if e == nil || !e.meant(device, &a) || e.outcome.ended() || a.Phase == wire.Rejected && e.outcome.Ack != nil {
		return
	}
	e.outcome, e.acked = outcomeOf(a), n
	e.change()
}

// ending is a command that the book has ended, although no ack did.
type ending struct {
	OutcomeOf
	awaited bool // somebody waits for it, and is told
}

// restarted takes note that a driver began anew, or ended, in the nth message. It will
// say no more of what it had accepted: docs/contract.md, section 4. What was ended by
// that is returned.
func (b *book) restarted(device string, s wire.State, n uint64, retained bool) (ended []ending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.order {
		a := e.outcome.Ack
		if e.device != device || a == nil || a.Final() || e.outcome.Phase == PhaseUnanswered || !outlived(*a, s, n > e.acked && !retained) {
			continue
		}
		e.outcome.Phase = PhaseUnanswered
		e.outcome.Message = "it was accepted, and then the driver ended: what became of it is not known"
		e.change()
		ended = append(ended, ending{OutcomeOf{e.device, e.outcome}, e.waiting})
	}
	return ended
}

// outlived reports whether a state says that who wrote the ack has ended since.
//
// Of two messages of one boot, and of what was retained, which may have been said
// before, the time tells which is newer. The clock of another boot may be behind that
// of the one before: there the order in which they came counts. But the last words of
// another boot say nothing of this one, and a last will has no time: the driver may
// have lost the broker alone, and comes back with the same boot.
func outlived(a wire.Ack, s wire.State, later bool) bool {
	if s.Boot == a.Boot {
		return s.State == wire.Stopped && s.Time.After(a.Time)
	}
	return s.Time.After(a.Time) || later && s.State != wire.Stopped && s.State != wire.Lost
}

// change wakes who waits; it is called with the book's mu held.
func (e *entry) change() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// ended reports whether nothing more will be said of the command.
func (o *Outcome) ended() bool { return o.Ack != nil && o.Ack.Final() }

// settled reports whether there is nothing to wait for.
func (o *Outcome) settled() bool { return o.ended() || o.Phase == PhaseUnanswered }

// outcomeOf is what an ack says.
func outcomeOf(a wire.Ack) Outcome {
	return Outcome{
		ID: a.ID, Phase: a.Phase, Code: string(a.Code), Message: a.Message,
		Closest: number(a.Closest), Readback: number(a.Readback), Run: a.Run, Ack: &a,
	}
}

func number(v wire.Value) *float64 {
	if !v.Valid {
		return nil
	}
	return &v.V
}
