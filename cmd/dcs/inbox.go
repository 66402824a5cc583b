package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"trackerdcs/pkg/bus"
)

// inboxSize is far above what a laboratory says in a second. It fills only
// when nobody reads what dcs prints.
const inboxSize = 10_000

// event is a message, or with an empty topic a change of the connection.
type event struct {
	at   time.Time // when it arrived here
	msg  bus.Message
	lost error // why there is no connection; nil says that there is one
}

// inbox holds what came in until the command takes it, so that the handlers of
// the bus never wait.
type inbox struct {
	mu      sync.Mutex
	list    []event
	dropped int
	wake    chan struct{} // holds one token: there is something
}

func (b *inbox) put(m bus.Message) { b.add(event{msg: m}) }
func (b *inbox) connected()        { b.add(event{}) }
func (b *inbox) lost(err error)    { b.add(event{lost: err}) }

func (b *inbox) add(e event) {
	e.at = time.Now()
	b.mu.Lock()
	if len(b.list) < inboxSize {
		b.list = append(b.list, e)
	} else {
		b.dropped++
	}
	b.mu.Unlock()
	b.poke()
}

func (b *inbox) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns what came in, and how much found no room.
func (b *inbox) take() (list []event, dropped int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, dropped = b.list, b.dropped
	b.list, b.dropped = nil, 0
	return list, dropped
}

// takeFirst takes the first event, which is about the connection, and leaves
// the rest.
func (b *inbox) takeFirst() (up bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.list) == 0 {
		return false, nil
	}
	for i, e := range b.list {
		if e.msg.Topic == "" { // what is retained can come before it
			b.list = append(b.list[:i:i], b.list[i+1:]...)
			if len(b.list) > 0 {
				b.poke()
			}
			return e.lost == nil, e.lost
		}
	}
	return false, nil
}

// trouble is a log that listens: the bus tells in its log why there is no
// connection.
type trouble func(error)

// Enabled reports whether a record can be about trouble.
func (trouble) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle passes on the error of a record.
func (t trouble) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			t(err)
			return false
		}
		return true
	})
	return nil
}

// WithAttrs changes nothing.
func (t trouble) WithAttrs([]slog.Attr) slog.Handler { return t }

// WithGroup changes nothing.
func (t trouble) WithGroup(string) slog.Handler { return t }
