package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"trackerdcs/pkg/spool"
)

const (
	// Behind by more than this, the live side leaves the rest to the backlog and
	// goes on with what comes now.
	behindBytes = 4 << 20
	behindTime  = 5 * time.Second

	// maxRanges bounds how many pieces the backlog has. The two that are closest
	// are joined beyond it, which reads twice what lies between them.
	maxRanges = 64

	// spoolRetry is how far apart attempts to read a spool are that failed.
	spoolRetry = 5 * time.Second
)

// drain makes batches out of the spool, of what comes now and of what was left
// behind in turn, so that an archive shows the present while the past fills in.
// It is one goroutine; others store the batches.
type drain struct {
	spool   *spool.Spool
	cfg     *config
	metrics *metrics
	damaged func(*batch, *spool.Damage)
	unread  func(*batch, *message, error) // a message of which something cannot be read
	own     func(*batch)                  // adds the loader's own lines
	failed  func(error)                   // reading the spool; nil is well

	live, past cursor
	backlog    []spool.Range // what past has still to do, in order; past is in the first

	out  chan<- *batch
	free <-chan *batch
}

// cursor is one place where the spool is read, and the batch that grows there.
type cursor struct {
	reader   *spool.Reader
	encoder  *encoder
	topics   names
	batch    *batch
	began    time.Time // when the batch got its first message
	arrived  int64     // of the last message
	failures int       // attempts to read the spool there that failed, one after the other
	retry    time.Time
}

func (c *cursor) close() { c.reader.Close() }

// seek goes on elsewhere.
func (c *cursor) seek(to spool.Pos) {
	c.reader.Seek(to)
	c.encoder.elsewhere()
}

// newDrain continues what is pending.
func newDrain(s *spool.Spool, cfg *config, enc func() *encoder, pending spool.Ranges) *drain {
	last := len(pending) - 1
	d := &drain{spool: s, cfg: cfg, backlog: slices.Clone(pending[:last])}
	d.live = cursor{reader: s.NewReader(pending[last].From), encoder: enc(), topics: make(names)}
	d.past = cursor{reader: s.NewReader(0), encoder: enc(), topics: make(names)}
	if len(d.backlog) > 0 {
		d.past.seek(d.backlog[0].From)
	}
	return d
}

// run makes batches until ctx ends; what is there by then is in the last one.
func (d *drain) run(ctx context.Context) {
	defer d.live.close()
	defer d.past.close()
	defer close(d.out)
	for {
		grown := d.spool.Grown() // before reading: nothing is overlooked
		live := d.fillLive()
		switch {
		case d.due(ctx):
			if !d.emit(ctx, &d.live) {
				return
			}
			if d.isBehind() {
				d.leaveBehind()
			}
		case ctx.Err() != nil:
			return
		}
		if ctx.Err() == nil && len(d.backlog) > 0 && time.Now().After(d.past.retry) {
			if !d.drainPast(ctx) {
				return
			}
			continue
		}
		if live {
			continue // there is more to read
		}
		if b := d.live.batch; b != nil && b.empty() {
			if d.own(b); !b.empty() {
				continue // it is due
			}
		}
		d.wait(ctx, grown)
	}
}

// fillLive reads what has come, up to a batch. It reports whether there is more.
func (d *drain) fillLive() bool {
	c := &d.live
	if !time.Now().After(c.retry) {
		return false
	}
	more := d.fill(c, spool.Forever)
	if c.failures > 1 && c.batch.empty() {
		d.leaveBehind() // what comes now may be readable
		c.failures, c.retry = 0, time.Time{}
	}
	return more
}

// fill reads up to a batch, or up to a position. It reports whether there is
// more.
func (d *drain) fill(c *cursor, to spool.Pos) bool {
	if c.batch == nil {
		c.batch = <-d.free
		c.batch.reset(c.reader.Pos())
	}
	b := c.batch
	if b.empty() { // the reader may have been sent elsewhere
		b.reset(c.reader.Pos())
	}
	for !d.isFull(b) {
		if c.reader.Pos() >= to {
			return false
		}
		if !d.read(c) {
			return false
		}
	}
	return true
}

// isFull reports whether a batch has reached one of its bounds. What goes to the
// dead-letter file counts: a camera on a status topic must not fill the memory.
func (d *drain) isFull(b *batch) bool {
	return b.len() >= d.cfg.BatchLines || len(b.messages) >= d.cfg.BatchLines ||
		len(b.lines)+len(b.dead) >= d.cfg.BatchBytes
}

// read takes one record into the batch. It reports false when there is none.
func (d *drain) read(c *cursor) bool {
	body, err := c.reader.Next()
	b := c.batch
	var damage *spool.Damage
	switch {
	case errors.Is(err, io.EOF):
		d.mended(c)
		return false
	case errors.As(err, &damage):
		d.damaged(b, damage)
		b.to = c.reader.Pos()
		return true
	case err != nil:
		c.failures++
		c.retry = time.Now().Add(spoolRetry)
		d.failed(err)
		return false
	}
	d.mended(c)
	pos := c.reader.Pos() - spool.Pos(len(body)+spool.RecordHeader)
	m, err := readRecord(body, c.topics)
	if err != nil {
		d.damaged(b, &spool.Damage{Pos: pos, Bytes: int64(len(body)), Raw: body})
		b.to = c.reader.Pos()
		return true
	}
	if len(b.messages) == 0 {
		c.began = time.Now()
	}
	c.arrived = m.arrived
	out, err := b.add(c.encoder, &m, pos)
	d.metrics.took(out)
	if err != nil {
		d.unread(b, &m, err)
	}
	b.to = c.reader.Pos()
	return true
}

// mended says, once, that the spool can be read again.
func (d *drain) mended(c *cursor) {
	if c.failures > 0 {
		c.failures = 0
		d.failed(nil)
	}
}

// due reports whether the live batch is large enough, old enough, or will not
// grow for the moment.
func (d *drain) due(ctx context.Context) bool {
	b := d.live.batch
	switch {
	case b == nil || b.empty():
		return false
	case ctx.Err() != nil:
		return true
	case d.isFull(b):
		return true
	}
	return time.Since(d.live.began) >= d.cfg.BatchAge || d.isQuiet()
}

// isQuiet reports whether nothing has come for a moment.
func (d *drain) isQuiet() bool {
	since := time.Since(time.Unix(0, d.live.arrived))
	return since >= d.cfg.BatchQuiet || since < 0 // a clock that was set back: do not wait for it
}

// emit hands a batch over to be stored. It reports false when ctx ended first
// and nobody takes it.
func (d *drain) emit(ctx context.Context, c *cursor) bool {
	d.own(c.batch)
	select {
	case d.out <- c.batch:
		c.batch = nil
		return true
	case <-ctx.Done():
	}
	select {
	case d.out <- c.batch: // the last one, if it can be taken at once
		c.batch = nil
		return true
	case <-time.After(farewell):
		return false
	}
}

// isBehind reports whether the live side has so much to catch up with that what
// comes now would have to wait.
func (d *drain) isBehind() bool {
	if d.live.batch != nil && !d.live.batch.empty() {
		return false
	}
	return d.spool.End() > d.live.reader.Pos()+behindBytes &&
		time.Since(time.Unix(0, d.live.arrived)) > behindTime
}

// leaveBehind gives what the live side has not read to the backlog.
func (d *drain) leaveBehind() {
	from, to := d.live.reader.Pos(), d.spool.End()
	d.live.seek(to)
	d.backlog = append(d.backlog, spool.Range{From: from, To: to})
	if len(d.backlog) == 1 {
		d.past.seek(from)
	}
	if len(d.backlog) > maxRanges {
		d.backlog = joinClosest(d.backlog)
	}
}

// joinClosest makes one of the two ranges with the least between them. The
// first is left alone: it is being read.
func joinClosest(r []spool.Range) []spool.Range {
	slices.SortFunc(r[1:], func(a, b spool.Range) int { return cmp.Compare(a.From, b.From) })
	best := 2
	for i := 3; i < len(r); i++ {
		if r[i].From-r[i-1].To < r[best].From-r[best-1].To {
			best = i
		}
	}
	r[best-1].To = r[best].To
	return slices.Delete(r, best, best+1)
}

// drainPast stores one batch of the backlog.
func (d *drain) drainPast(ctx context.Context) bool {
	to := d.backlog[0].To
	d.fill(&d.past, to)
	if b := d.past.batch; !b.empty() && !d.emit(ctx, &d.past) {
		return false
	}
	if d.past.failures > 0 { // the others first
		d.putOff(to)
		return true
	}
	// At the end of what there is, a range of the backlog is done too: it ends
	// where a segment did.
	if d.past.reader.Pos() >= to || d.past.failures == 0 && d.past.batch != nil && d.past.batch.empty() {
		d.backlog = d.backlog[1:]
		if len(d.backlog) > 0 {
			d.past.seek(d.backlog[0].From)
		} else {
			d.past.reader.Close() // or the disk keeps its segment after it is removed
		}
	}
	return true
}

// putOff leaves what cannot be read of a segment for the end of the backlog.
func (d *drain) putOff(to spool.Pos) {
	from := d.past.reader.Pos()
	end := min(d.spool.SegmentEnd(from), to)
	d.backlog = append(d.backlog[1:], spool.Range{From: from, To: end})
	if end < to {
		d.backlog = slices.Insert(d.backlog, 0, spool.Range{From: end, To: to})
		d.past.retry = time.Time{} // what follows has not been tried yet
	}
	d.past.seek(d.backlog[0].From)
}

// wait returns when something has come, when the live batch may be due, or when
// ctx has ended.
func (d *drain) wait(ctx context.Context, grown <-chan struct{}) {
	t := probeEvery
	if b := d.live.batch; b != nil && !b.empty() {
		quiet := d.cfg.BatchQuiet - time.Since(time.Unix(0, d.live.arrived))
		t = max(0, min(quiet, d.cfg.BatchQuiet, time.Until(d.live.began.Add(d.cfg.BatchAge))))
	} else if !d.live.retry.IsZero() || !d.past.retry.IsZero() {
		t = spoolRetry
	}
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-grown:
	case <-timer.C:
	case <-ctx.Done():
	}
}
