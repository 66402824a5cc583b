package main

import (
	"bytes"

	"trackerdcs/pkg/spool"
)

// batch is lines on their way to InfluxDB, and the messages they came from: a
// piece of the spool.
type batch struct {
	from, to spool.Pos // of the spool; equal when nothing is of it

	lines    []byte // each with its line feed
	ends     []int  // where each line ends
	owners   []int  // which message each line came from, or -1: the loader's own
	messages []origin
	dead     []byte // for the dead-letter file
	deads    int    // how many letters that is
}

// origin is a message of a batch.
type origin struct {
	pos     spool.Pos
	arrived int64 // ns since 1970
	outcome outcome
	refused bool // InfluxDB will not take one of its lines
}

// reset empties the batch and keeps its memory.
func (b *batch) reset(at spool.Pos) {
	b.from, b.to = at, at
	clear(b.messages) // let go of what their outcomes hold
	b.lines, b.ends, b.owners = b.lines[:0], b.ends[:0], b.owners[:0]
	b.messages, b.dead, b.deads = b.messages[:0], b.dead[:0], 0
}

// len is how many lines there are.
func (b *batch) len() int { return len(b.ends) }

// empty reports whether there is nothing to do.
func (b *batch) empty() bool { return b.from == b.to && b.len() == 0 }

// add appends a message, which stands at pos in the spool, and its lines.
func (b *batch) add(e *encoder, m *message, pos spool.Pos) (outcome, error) {
	begin := len(b.lines)
	lines, out, err := e.appendLines(b.lines, m)
	b.lines = lines
	b.own(begin, len(b.messages))
	b.messages = append(b.messages, origin{pos: pos, arrived: m.arrived, outcome: out})
	return out, err
}

// addOwn appends lines of the loader's own.
func (b *batch) addOwn(lines []byte) {
	begin := len(b.lines)
	b.lines = append(b.lines, lines...)
	b.own(begin, -1)
}

func (b *batch) own(begin, owner int) {
	for begin < len(b.lines) {
		begin += bytes.IndexByte(b.lines[begin:], '\n') + 1
		b.ends = append(b.ends, begin)
		b.owners = append(b.owners, owner)
	}
}

// span is the lines from i up to j.
func (b *batch) span(i, j int) []byte {
	if i == j {
		return nil
	}
	begin := 0
	if i > 0 {
		begin = b.ends[i-1]
	}
	return b.lines[begin:b.ends[j-1]]
}

// owner is the message that line i came from, or nil.
func (b *batch) owner(i int) *origin {
	if b.owners[i] < 0 {
		return nil
	}
	return &b.messages[b.owners[i]]
}
