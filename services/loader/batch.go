package main

import "bytes"

// batch is lines on their way to InfluxDB, and the messages they came from.
type batch struct {
	lines    []byte // each with its line feed
	ends     []int  // where each line ends
	owners   []int  // which message each line came from
	messages []message
	outcomes []outcome // of each message
}

// reset empties the batch and keeps its memory.
func (b *batch) reset() {
	clear(b.messages) // let go of the payloads
	b.lines, b.ends, b.owners = b.lines[:0], b.ends[:0], b.owners[:0]
	b.messages, b.outcomes = b.messages[:0], b.outcomes[:0]
}

// len is how many lines there are.
func (b *batch) len() int { return len(b.ends) }

// add appends a message and its lines.
func (b *batch) add(e *encoder, m message) (outcome, error) {
	begin := len(b.lines)
	lines, out, err := e.appendLines(b.lines, &m)
	b.lines = lines
	for begin < len(lines) {
		begin += bytes.IndexByte(lines[begin:], '\n') + 1
		b.ends = append(b.ends, begin)
		b.owners = append(b.owners, len(b.messages))
	}
	b.messages = append(b.messages, m)
	b.outcomes = append(b.outcomes, out)
	return out, err
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

// owner is the message that line i came from.
func (b *batch) owner(i int) *message { return &b.messages[b.owners[i]] }

// ack confirms the messages to the broker.
func (b *batch) ack() {
	for i := range b.messages {
		b.messages[i].Ack()
	}
}
