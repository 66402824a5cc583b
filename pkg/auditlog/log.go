package auditlog

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// DefaultSegment is how many bytes a segment has, about.
const DefaultSegment = 16 << 20

// ErrClosed says that the log has been closed.
var ErrClosed = errors.New("the audit log is closed")

// Options of a log. Zero values are replaced by defaults.
type Options struct {
	SegmentBytes int64            // a segment that is this long is closed; default DefaultSegment
	Now          func() time.Time // default time.Now
	Log          *slog.Logger
}

// Log is an open log. It is safe for concurrent use; the folder is the
// caller's to hold, so that no second program writes there.
type Log struct {
	dir  string
	opts Options

	mu     sync.Mutex // of these:
	head   Head
	queue  []*request
	closed bool

	turn chan struct{} // takes one token: whoever put it in there writes
	w    writer
}

// request is one Append that waits.
type request struct {
	entries []Entry
	done    chan error // takes one
}

// Head is the last entry on the disk.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Append adds entries, one behind the other, and returns when they are on the
// disk. It fills in Seq, Prev, Hash and, where it is zero, Time. After an error
// none of them is in the log, and the next Append tries anew. Callers that come
// at the same time share one sync of the disk. A ctx that ends while others are
// being written takes the entries back; what is being written is waited for.
func (l *Log) Append(ctx context.Context, entries ...Entry) error {
	r := &request{entries: entries, done: make(chan error, 1)}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.queue = append(l.queue, r)
	l.mu.Unlock()
	select {
	case l.turn <- struct{}{}: // the first writes for all who wait
		l.mu.Lock()
		batch := l.queue
		l.queue = nil
		l.mu.Unlock()
		if len(batch) > 0 { // else somebody has just written it for us
			l.write(batch)
		}
		<-l.turn
		return <-r.done
	case err := <-r.done:
		return err
	case <-ctx.Done():
	}
	if l.withdraw(r) {
		return ctx.Err()
	}
	return <-r.done
}

// withdraw takes a request back that nobody has begun to write.
func (l *Log) withdraw(r *request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.queue, r)
	if i < 0 {
		return false
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	return true
}

// write writes what has been asked for, and answers. The turn is the caller's.
func (l *Log) write(batch []*request) {
	answer := func(err error) {
		for _, r := range batch {
			r.done <- err
		}
	}
	if err := l.w.ready(); err != nil {
		answer(err)
		return
	}
	now := l.opts.Now().UTC()
	head := l.Head()
	var b []byte
	add := func(entries []Entry) error {
		mark, before := len(b), head
		for i := range entries {
			if entries[i].Time.IsZero() {
				entries[i].Time = now
			}
			var err error
			if b, head, err = appendLine(b, head, &entries[i]); err != nil {
				b, head = b[:mark], before
				return err
			}
		}
		return nil
	}
	if err := add(l.w.notes); err != nil {
		answer(err)
		return
	}
	batch = slices.DeleteFunc(batch, func(r *request) bool {
		err := add(r.entries)
		if err != nil {
			r.done <- err // it alone
		}
		return err != nil
	})
	if err := l.w.append(b); err != nil {
		answer(err)
		return
	}
	l.w.notes = nil
	l.mu.Lock()
	l.head = head
	l.mu.Unlock()
	answer(nil)
}

// List gives entries that are on the disk, the newest first; see List.
func (l *Log) List(ctx context.Context, f Filter) (entries []Entry, next int64, err error) {
	end := l.Head().Seq + 1
	if f.Before <= 0 || f.Before > end {
		f.Before = end
	}
	return List(ctx, l.dir, f)
}

// Close waits for what is being written and closes the log.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	// Those that came before have their turn: they wait for it too.
	for {
		l.turn <- struct{}{}
		l.mu.Lock()
		batch := l.queue
		l.queue = nil
		l.mu.Unlock()
		if len(batch) == 0 {
			break
		}
		l.write(batch)
		<-l.turn
	}
	return l.w.close() // the turn is kept: nobody writes any more
}
