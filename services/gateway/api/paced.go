package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

// unreadTime is how long somebody may take to read pacedBytes of a file.
const (
	unreadTime = 30 * time.Second
	pacedBytes = 16 << 10
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// paced is the way of a file to somebody who may read slowly, but reads: it
// fails when nothing has gone out for some time, and when ctx ends.
type paced struct {
	ctx    context.Context
	w      http.ResponseWriter
	rc     *http.ResponseController
	unread time.Duration

	mu   sync.Mutex
	over bool
}

// newPaced makes such a way. It has to be ended before the handler returns.
func newPaced(ctx context.Context, w http.ResponseWriter, unread time.Duration) (p *paced, end func()) {
	p = &paced{ctx: ctx, w: w, rc: http.NewResponseController(w), unread: unread}
	stop := context.AfterFunc(ctx, p.cut)
	return p, func() {
		stop()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.over = true // the response is not touched any more
	}
}

// cut ends a Write that waits for the reader.
func (p *paced) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.over = true
		_ = p.rc.SetWriteDeadline(longAgo)
	}
}

// Write writes b in pieces that each have their time.
func (p *paced) Write(b []byte) (n int, err error) {
	for piece := range slices.Chunk(b, pacedBytes) {
		if err := p.move(); err != nil {
			return n, err
		}
		m, err := p.w.Write(piece)
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// move gives the next piece its time.
func (p *paced) move() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return context.Cause(p.ctx)
	}
	if err := p.rc.SetWriteDeadline(time.Now().Add(p.unread)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
