// Package line is the wire of a simulated instrument: it takes connections,
// hands over line by line and writes the answers, and it provokes on demand
// the faults that real wires and real instruments show.
package line

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// maxLine is what an instrument's input buffer holds; a longer line is dropped whole.
const maxLine = 4096

// Handler executes one line, given without its terminator. An empty answer is
// none. It is never called twice at a time.
type Handler func(line string) (answer string)

// Server is the wire. Make it with NewServer.
type Server struct {
	Faults
	end    string
	handle Handler
	exec   sync.Mutex // one command at a time, as in the instrument
}

// NewServer returns a wire whose answers end with end.
func NewServer(end string, handle Handler) *Server {
	return &Server{end: end, handle: handle}
}

// Serve accepts connections until ctx ends; then it closes all of them and
// the listener, waits for its goroutines and returns nil. It returns an
// error when the listener breaks.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.Accept(ctx, l, s.talk)
}

// talk serves one connection until it breaks or is closed.
func (s *Server) talk(ctx context.Context, conn net.Conn) {
	in := bufio.NewReaderSize(conn, maxLine)
	for {
		raw, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = in.ReadSlice('\n')
			}
			if err == nil {
				continue
			}
		}
		if err != nil {
			return
		}
		text := string(bytes.TrimRight(raw, "\r\n"))
		if !s.silenced() {
			s.answer(ctx, conn, text)
		}
	}
}

// answer executes a line and writes what comes of it. A write that fails needs
// no care: the next read of the connection fails too.
func (s *Server) answer(ctx context.Context, conn net.Conn, text string) {
	s.exec.Lock()
	ok := sleep(ctx, s.commandDelay())
	var answer string
	if ok {
		answer = s.handle(text)
	}
	s.exec.Unlock()
	if s.dropDue() {
		conn.Close()
		return
	}
	if !ok || answer == "" {
		return
	}
	out, late := s.spoil(answer, s.end)
	if sleep(ctx, late) && len(out) > 0 {
		_, _ = conn.Write(out) // a connection that is gone is seen by its reader
	}
}

// Accept runs serve for every connection, each in a goroutine of its own,
// until ctx ends; then it closes all and waits for them.
func (f *Faults) Accept(ctx context.Context, l net.Listener, serve func(context.Context, net.Conn)) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer f.Drop()
	defer cancel()
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { l.Close(); f.Drop() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		if !f.Add(conn) {
			continue
		}
		wg.Go(func() {
			defer f.Remove(conn)
			if ctx.Err() == nil { // the end may have come between Accept and Add
				serve(ctx, conn)
			}
		})
	}
}

// sleep waits for d and says whether ctx lives on.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
