package proxy

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// writer is the way back to the browser.
type writer struct {
	http.ResponseWriter
	ctx      context.Context
	sockets  prometheus.Gauge
	status   int
	hijacked bool
	unread   time.Duration // how long nothing may be read; 0: that is not the writer's business
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// bound cuts the answer off when the browser reads nothing for so long. Until
// there is something to read, and between two pieces of a stream, there is no
// end: then it is the part that takes its time.
func (w *writer) bound(unread time.Duration) {
	w.unread = unread
	w.deadline(time.Time{})
}

// unbound gives what is left of the answer its time.
func (w *writer) unbound() { w.expect() }

// expect begins the time within which the browser has to read on.
func (w *writer) expect() {
	if w.unread > 0 {
		w.deadline(time.Now().Add(w.unread))
	}
}

func (w *writer) deadline(at time.Time) {
	if !w.hijacked {
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(at) // a recorder of a test has none
	}
}

// Write writes, as long as the browser reads.
func (w *writer) Write(b []byte) (int, error) {
	w.expect()
	return w.ResponseWriter.Write(b)
}

// FlushError sends what was written, as long as the browser reads; httputil does
// it after each piece.
func (w *writer) FlushError() error {
	w.expect()
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if err == nil && w.unread > 0 {
		w.deadline(time.Time{})
	}
	return err
}

// WriteHeader remembers the status.
func (w *writer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Hijack gives the connection to a WebSocket, and closes it when the session
// ends: the part's side alone is not enough, because a browser's that is half
// closed would go on.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffer, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.hijacked, w.status = true, http.StatusSwitchingProtocols
	w.sockets.Inc()
	stop := context.AfterFunc(w.ctx, func() { _ = conn.Close() })
	return &socket{Conn: conn, end: sync.OnceFunc(func() { stop(); w.sockets.Dec() })}, buffer, nil
}

// socket is a browser's WebSocket.
type socket struct {
	net.Conn
	end func()
}

// Close closes it.
func (s *socket) Close() error {
	s.end()
	return s.Conn.Close()
}

// CloseWrite tells the browser that the part has said all.
func (s *socket) CloseWrite() error {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return s.Conn.Close()
}

// quiet keeps what a part says before its answer (103, early hints): nobody
// would look at those headers, and httputil forgets the gateway's own with them.
type quiet struct{ to http.RoundTripper }

// RoundTrip asks without the trace by which httputil hears of them.
func (q quiet) RoundTrip(r *http.Request) (*http.Response, error) {
	return q.to.RoundTrip(r.WithContext(untraced{r.Context()}))
}

// untraced is a context that ends with another and knows nothing.
type untraced struct{ context.Context }

// Value knows nothing.
func (untraced) Value(any) any { return nil }
