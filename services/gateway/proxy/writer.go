package proxy

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// writer is the way back to the browser.
type writer struct {
	http.ResponseWriter
	ctx      context.Context
	sockets  prometheus.Gauge
	status   int
	hijacked bool
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

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
