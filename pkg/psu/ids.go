package psu

import (
	"crypto/sha256"
	"time"

	"trackerdcs/pkg/wire"
)

// What is known of past ids.
const (
	keptIDs = 1000
	keptFor = 10 * time.Minute
)

// idBook knows the latest ack of the last ids.
type idBook struct {
	byID map[string]*idEntry
	ring []string // ids in order of arrival
	next int
}

type idEntry struct {
	content [sha256.Size]byte
	ack     wire.Ack
	touched time.Time
	slot    int // in the ring
}

func newIDBook() *idBook {
	return &idBook{byID: make(map[string]*idEntry), ring: make([]string, keptIDs)}
}

// past reports whether the id may be forgotten: never while its command is on
// its way, or that would have two ends.
func (e *idEntry) past(now time.Time) bool {
	return e.ack.Final() && now.Sub(e.touched) > keptFor
}

// find looks an id up that is not too old.
func (b *idBook) find(now time.Time, id string) *idEntry {
	e := b.byID[id]
	if e == nil || e.past(now) {
		return nil
	}
	return e
}

// note keeps the latest ack of an id; the first also what the command was.
func (b *idBook) note(now time.Time, id string, content [sha256.Size]byte, ack wire.Ack) {
	if e := b.byID[id]; e != nil {
		if !e.past(now) {
			e.ack, e.touched = ack, now
			return
		}
		b.ring[e.slot] = "" // long past: the id is a new command's
	}
	// The oldest makes room whose command has ended. There is one: no more than
	// a few hundred can be on their way.
	for range b.ring {
		old := b.byID[b.ring[b.next]]
		if old == nil || old.ack.Final() {
			break
		}
		b.next = (b.next + 1) % len(b.ring)
	}
	delete(b.byID, b.ring[b.next])
	b.ring[b.next] = id
	b.byID[id] = &idEntry{content, ack, now, b.next}
	b.next = (b.next + 1) % len(b.ring)
}
