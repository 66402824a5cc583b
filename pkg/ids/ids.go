// Package ids is rule 5 of commands, docs/contract.md, section 3: a command
// whose id is known and whose content is equal gets its latest ack again and is
// not executed again; with other content it is refused.
package ids

import (
	"crypto/sha256"
	"time"

	"trackerdcs/pkg/wire"
)

// What is known of past ids.
const (
	Kept    = 1000             // ids, those of commands on their way among them
	KeptFor = 10 * time.Minute // after the latest ack
)

// Content is the hash of what makes two commands with one id the same: all but
// when they expire.
type Content [sha256.Size]byte

// ContentOf hashes what a command says.
func ContentOf(said []byte) Content { return sha256.Sum256(said) }

// ContentOfRun is the content of a command about runs. One that could not be
// read, with err, is its bytes.
func ContentOfRun(c wire.RunCommand, err error, payload []byte) Content {
	head := []byte(c.Op + "\x00")
	if err != nil {
		return ContentOf(append(head, payload...))
	}
	c.Expires = time.Time{}
	return ContentOf(append(head, c.Payload()...)) // the keys of maps are in order there
}

// Book knows the latest ack of the last ids. It is for one goroutine.
type Book struct {
	byID map[string]*entry
	ring []string // ids in order of arrival
	next int
}

type entry struct {
	content Content
	ack     wire.Ack
	touched time.Time
	slot    int // in the ring
}

// New makes an empty book.
func New() *Book {
	return &Book{byID: make(map[string]*entry), ring: make([]string, Kept)}
}

// past reports whether the id may be forgotten: never while its command is on
// its way, or that would have two ends.
func (e *entry) past(now time.Time) bool {
	return e.ack.Final() && now.Sub(e.touched) > KeptFor
}

// Find looks an id up that is not too old: its latest ack, and what its command
// was.
func (b *Book) Find(now time.Time, id string) (ack wire.Ack, content Content, ok bool) {
	e := b.byID[id]
	if e == nil || e.past(now) {
		return wire.Ack{}, Content{}, false
	}
	return e.ack, e.content, true
}

// Used reports whether an id is in the book, however old: one that is made up
// should be none of those.
func (b *Book) Used(id string) bool { return b.byID[id] != nil }

// Len is how many ids are in the book.
func (b *Book) Len() int { return len(b.byID) }

// Note keeps the latest ack of an id; the first also what the command was.
func (b *Book) Note(now time.Time, id string, content Content, ack wire.Ack) {
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
	b.byID[id] = &entry{content, ack, now, b.next}
	b.next = (b.next + 1) % len(b.ring)
}
