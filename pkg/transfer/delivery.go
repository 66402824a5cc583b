package transfer

import (
	"errors"
	"fmt"
	"io"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// errShorter is a file that has lost bytes since its manifest was written.
var errShorter = errors.New("it is shorter than it was")

// delivery is a run that is being sent.
type delivery struct {
	*pending
	s     *Sender
	files []wire.File

	deadline time.Time // for a receipt
	going    bool      // one has come since the manifest was said in this connection
	next     position  // that is sent next
	acked    position  // all before it is with the sink

	open  File // file number index
	index int
}

// step says the manifest when no receipt has come, or else sends what the window
// has room for.
func (d *delivery) step(now time.Time) error {
	switch {
	case !d.asked && !d.going || !now.Before(d.deadline):
		if d.asked {
			d.blame(d.s.noAnswer())
		}
		d.asked, d.going, d.deadline = true, false, now.Add(d.s.pauses.answer)
		return d.s.say(d.pending)
	case d.going:
		return d.fill()
	}
	return nil
}

// advance takes a receipt. Without Again, and while chunks are on their way,
// one that says less than an earlier one was overtaken.
func (d *delivery) advance(r wire.Receipt, now time.Time) {
	at := position{file: r.File, chunk: r.Chunk}
	if at.file < 0 || at.chunk < 0 || at.file > len(d.files) || at.file == len(d.files) && at.chunk > 0 {
		return
	}
	at = at.skip(d.files)
	d.why, d.deadline = "", now.Add(d.s.pauses.answer)
	switch {
	case !d.going || r.Again == wire.Yes:
		d.going, d.asked = true, false
		d.acked, d.next = at, at
	case d.acked.before(at):
		d.acked = at
		if d.next.before(at) {
			d.next = at
		}
	}
}

// fill sends chunks up to the window.
func (d *delivery) fill() error {
	for d.next.file < len(d.files) && between(d.acked, d.next, d.files) < wire.ChunkWindow {
		if err := d.send(d.next); err != nil {
			return err
		}
		if d.next.before(d.most) {
			d.s.again.Add(1)
		}
		d.next = d.next.next(d.files)
		if d.most.before(d.next) {
			d.most = d.next
		}
	}
	return nil
}

// send publishes the chunk at p.
func (d *delivery) send(p position) error {
	if d.open == nil || d.index != p.file {
		d.close()
		f, err := d.Open(p.file)
		if err != nil {
			return fmt.Errorf("opening %s: %w", d.files[p.file].Name, err)
		}
		d.open, d.index = f, p.file
	}
	size := min(wire.ChunkSize, d.files[p.file].Size-p.chunk*wire.ChunkSize)
	var b []byte
	select {
	case b = <-d.s.buffers:
	default:
		b = make([]byte, wire.ChunkSum+wire.ChunkSize)
	}
	payload := b[:wire.ChunkSum+size]
	n, err := d.open.ReadAt(payload[wire.ChunkSum:], p.chunk*wire.ChunkSize)
	if int64(n) != size {
		if err == nil || errors.Is(err, io.EOF) {
			err = errShorter
		}
		return fmt.Errorf("reading %s: %w", d.files[p.file].Name, err)
	}
	seal(payload)
	m := bus.Message{Topic: d.s.o.Root.Chunk(d.s.o.Device, d.Manifest.Run, p.file, p.chunk), Payload: payload}
	d.s.Send(m, func(err error) {
		if err != nil {
			return // a connection that has ended may still be reading the buffer
		}
		d.s.sent.Add(size)
		select {
		case d.s.buffers <- b:
		default:
		}
	})
	return nil
}

func (d *delivery) close() {
	if d.open != nil {
		_ = d.open.Close() // it was only read
		d.open = nil
	}
}
