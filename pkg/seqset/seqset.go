// Package seqset keeps which sequence numbers of one boot of a driver were
// seen, and when. A driver numbers what it sends (docs/contract.md, Status), so
// whoever has all numbers of a boot has lost nothing: the holes in a Set are
// the proof of what is missing.
package seqset

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
)

// A Set is a set of sequence numbers, each with the time at which it was sent.
// The zero value is empty and has no limit. It takes memory for each hole, not
// for each number. It must not be used by two goroutines at once.
type Set struct {
	spans []Span // in order, with at least one number missing between two
	limit int    // of spans; none if not positive
}

// A Span is a run of numbers that were seen: From and To and all between them,
// but for those that the set had to forget about.
type Span struct {
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`    // not below From
	Begin int64  `json:"begin"` // time of From in ns since 1970, UTC
	End   int64  `json:"end"`   // time of To in ns since 1970, UTC

	// Forgotten is how many of the numbers between From and To were not seen
	// when two spans were joined by the set's limit. Which they are and when
	// they were due is no longer known.
	Forgotten uint64 `json:"forgotten,omitempty"`
}

// seen is the number of numbers seen. It is wrong only for all 2⁶⁴ numbers in
// one span, which nobody lives to send and check does not let in.
func (s Span) seen() uint64 { return s.To - s.From + 1 - s.Forgotten }

func (s Span) check() error {
	switch {
	case s.From > s.To:
		return fmt.Errorf("it ends before it begins: from %d to %d", s.From, s.To)
	case s.Forgotten > 0 && s.Forgotten >= s.To-s.From: // From and To were seen
		return fmt.Errorf("%d forgotten numbers do not fit between %d and %d", s.Forgotten, s.From, s.To)
	case s.Forgotten == 0 && s.From == 0 && s.To == math.MaxUint64:
		return fmt.Errorf("nobody counts from %d to %d", s.From, s.To)
	}
	return nil
}

// A Gap is a run of numbers that were not seen, between two that were.
type Gap struct {
	From, To uint64 // the first and the last that are missing
	After    int64  // time of From-1 in ns since 1970, UTC
	Before   int64  // time of To+1 in ns since 1970, UTC
}

// Len is how many numbers are missing, at least 1.
func (g Gap) Len() uint64 { return g.To - g.From + 1 }

// FromSpans makes a set of what Spans returned. It refuses spans that are not
// in order, that overlap or touch, or that cannot be.
func FromSpans(spans []Span) (Set, error) {
	for i, s := range spans {
		if err := s.check(); err != nil {
			return Set{}, fmt.Errorf("seqset: span %d: %w", i, err)
		}
		if i > 0 && s.From <= spans[i-1].To {
			return Set{}, fmt.Errorf("seqset: span %d begins at %d, but the one before it ends at %d", i, s.From, spans[i-1].To)
		}
		if i > 0 && s.From == spans[i-1].To+1 {
			return Set{}, fmt.Errorf("seqset: nothing is missing between span %d, which begins at %d, and the one before it", i, s.From)
		}
	}
	return Set{spans: slices.Clone(spans)}, nil
}

// Limit bounds the memory: when there are more than n spans the two with the
// lowest numbers are joined, and the numbers between them are from then on
// Forgotten. They still count as Missing, also when they come after all: then
// Add cannot tell them from those seen before. No limit if n is not positive,
// as in the zero value.
func (s *Set) Limit(n int) {
	s.limit = n
	s.shrink()
}

// Add adds a number that was sent at t, in ns since 1970. It returns false, and
// changes nothing, if the number was seen before. The next number in order
// costs nothing to speak of; others are searched for.
func (s *Set) Add(seq uint64, t int64) (fresh bool) {
	n := len(s.spans)
	if n > 0 {
		if last := &s.spans[n-1]; seq > last.To && seq-1 == last.To {
			last.To, last.End = seq, t
			return true
		}
	}
	i, _ := slices.BinarySearchFunc(s.spans, seq, func(sp Span, seq uint64) int { return cmp.Compare(sp.To, seq) })
	if i < n && s.spans[i].From <= seq {
		return false
	}
	// seq is above span i-1 and below span i, where there are such.
	left := i > 0 && s.spans[i-1].To == seq-1
	right := i < n && s.spans[i].From == seq+1
	switch {
	case left && right:
		a, b := &s.spans[i-1], s.spans[i]
		a.To, a.End = b.To, b.End
		a.Forgotten += b.Forgotten
		s.spans = slices.Delete(s.spans, i, i+1)
	case left:
		s.spans[i-1].To, s.spans[i-1].End = seq, t
	case right:
		s.spans[i].From, s.spans[i].Begin = seq, t
	default:
		s.spans = slices.Insert(s.spans, i, Span{From: seq, To: seq, Begin: t, End: t})
		s.shrink()
	}
	return true
}

// shrink joins the lowest spans until the limit is kept.
func (s *Set) shrink() {
	over := len(s.spans) - s.limit
	if s.limit <= 0 || over <= 0 {
		return
	}
	joined := s.spans[0]
	for _, next := range s.spans[1 : over+1] {
		joined.Forgotten += next.From - joined.To - 1 + next.Forgotten
		joined.To, joined.End = next.To, next.End
	}
	s.spans[0] = joined
	s.spans = slices.Delete(s.spans, 1, over+1)
}

// Spans returns what was seen, in order of the numbers.
func (s *Set) Spans() []Span { return slices.Clone(s.spans) }

// Gaps yields the holes between the spans, in order of the numbers. What the
// set had to forget about is not among them. The set must not change meanwhile.
func (s *Set) Gaps() iter.Seq[Gap] {
	return func(yield func(Gap) bool) {
		for i := 1; i < len(s.spans); i++ {
			a, b := s.spans[i-1], s.spans[i]
			if !yield(Gap{From: a.To + 1, To: b.From - 1, After: a.End, Before: b.Begin}) {
				return
			}
		}
	}
}

// First returns the lowest number seen and its time in ns since 1970; not ok if
// the set is empty.
func (s *Set) First() (seq uint64, t int64, ok bool) {
	if len(s.spans) == 0 {
		return 0, 0, false
	}
	return s.spans[0].From, s.spans[0].Begin, true
}

// Last returns the highest number seen and its time in ns since 1970; not ok if
// the set is empty.
func (s *Set) Last() (seq uint64, t int64, ok bool) {
	if len(s.spans) == 0 {
		return 0, 0, false
	}
	last := s.spans[len(s.spans)-1]
	return last.To, last.End, true
}

// Seen is how many different numbers were added.
func (s *Set) Seen() uint64 {
	var n uint64
	for _, sp := range s.spans {
		n += sp.seen()
	}
	return n
}

// Missing is how many numbers between the first and the last were not seen, the
// forgotten ones included.
func (s *Set) Missing() uint64 {
	n := s.Forgotten()
	for g := range s.Gaps() {
		n += g.Len()
	}
	return n
}

// Forgotten is how many of the Missing numbers are in no Gap, because the limit
// joined the spans around them.
func (s *Set) Forgotten() uint64 {
	var n uint64
	for _, sp := range s.spans {
		n += sp.Forgotten
	}
	return n
}
