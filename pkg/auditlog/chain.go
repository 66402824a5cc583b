package auditlog

import (
	"errors"
	"fmt"
)

// chain follows the entries of a log from one to the next.
type chain struct {
	head  Head  // of what was followed so far
	aside *Head // of entries that stand where they do not belong
	loose bool  // what comes next cannot be checked against head

	gaps []gap // numbers that were passed over
}

// gap are numbers that were not there where they should have been.
type gap struct {
	from, to int64
	problem  int // its place in the report
}

// Kinds of problem.
const (
	changed  = "changed"  // what stands there is not what the hash was made of
	missing  = "missing"  // entries are not there
	order    = "order"    // they are, elsewhere
	rehashed = "rehashed" // does not belong to the entry before it
	garbage  = "garbage"  // is no entry
)

// fault is what is wrong with one line; an empty kind: nothing.
type fault struct {
	kind string
	what string
	gap  gap
}

// next follows to the next line.
func (c *chain) next(line []byte) (Entry, fault) {
	e, err := readLine(line)
	if err != nil {
		c.loose = true
		kind := garbage
		if errors.Is(err, errChanged) {
			kind = changed
		}
		return e, fault{kind: kind, what: err.Error()}
	}
	here := Head{Seq: e.Seq, Hash: e.Hash, Time: e.Time}
	was, loose := c.head, c.loose
	follows := func(h Head) bool { return e.Seq == h.Seq+1 && e.Prev == h.Hash }
	switch {
	case follows(was), loose && e.Seq > was.Seq:
		c.head, c.loose = here, false
		return e, fault{}
	case c.aside != nil && follows(*c.aside):
		c.aside = &here
		return e, fault{}
	case e.Seq <= was.Seq:
		c.aside = &here
		return e, fault{kind: order, what: fmt.Sprintf("entry %d stands behind entry %d: out of order, or twice", e.Seq, was.Seq)}
	case e.Seq == was.Seq+1:
		c.head = here
		return e, fault{kind: rehashed, what: fmt.Sprintf("entry %d does not belong to the one before it: entry %d was changed and given a new hash, or this one was", e.Seq, was.Seq)}
	}
	c.head = here
	g := gap{from: was.Seq + 1, to: e.Seq - 1}
	return e, fault{kind: missing, gap: g, what: fmt.Sprintf("%s missing: entry %d follows entry %d", g.text(), e.Seq, was.Seq)}
}

func (g gap) text() string {
	if g.from == g.to {
		return fmt.Sprintf("entry %d is", g.from)
	}
	return fmt.Sprintf("entries %d to %d are", g.from, g.to)
}
