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
	id      string
	device  string // or runControl
	outcome Outcome
	waiting bool          // somebody waits for its end
	changed chan struct{} // closed and made anew with each ack
}

func newBook() *book { return &book{entries: make(map[string]*entry)} }

// open enters a command that is about to be sent. One with a known id takes the
// other's place.
func (b *book) open(device, id string) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &entry{id: id, device: device, waiting: true, changed: make(chan struct{}), outcome: Outcome{ID: id, Phase: PhaseSent}}
	if old := b.entries[id]; old != nil {
		b.remove(old)
	}
	for i := 0; i < len(b.order) && len(b.order) >= keptCommands; {
		if b.order[i].waiting {
			i++
			continue
		}
		b.remove(b.order[i])
	}
	b.entries[id] = e
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
// Of one that nobody has answered it is not known what became of it.
func (b *book) close(e *entry) Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.waiting = false
	if e.outcome.Phase == PhaseSent {
		e.outcome.Phase = PhaseUnanswered
	}
	return e.outcome
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

// note takes an ack. The end of a command is not taken back by what is not one: acks
// may come twice.
func (b *book) note(device string, a wire.Ack) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[a.ID]
	if e == nil || e.device != device || e.outcome.ended() && !a.Final() {
		return
	}
	e.outcome = outcomeOf(a)
	e.change()
}

// restarted takes note that a driver began anew, or ended. It will say no more of
// what it had accepted: docs/contract.md, section 4.
func (b *book) restarted(device string, s wire.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.order {
		a := e.outcome.Ack
		if e.device != device || a == nil || a.Final() || e.outcome.Phase == PhaseUnanswered || !s.Time.After(a.Time) ||
			s.Boot == a.Boot && s.State != wire.Stopped {
			continue
		}
		e.outcome.Phase = PhaseUnanswered
		e.outcome.Message = "it was accepted, and then the driver ended: what became of it is not known"
		e.change()
	}
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
