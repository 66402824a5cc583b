package live

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/problem"
)

// Limits of a stream.
const (
	writeWait = 5 * time.Second // for one write
	maxFilter = 100
)

// begin is what a stream begins with: who has lost it comes again after a second.
const begin = "retry: 1000\n\n"

// ServeStream answers GET /api/v1/stream with server-sent events until the
// request's context ends. When its cause is another than context.Canceled, its text
// is said in a last event. A reader that does not keep up is dropped.
func (l *Live) ServeStream(w http.ResponseWriter, r *http.Request) {
	f, err := filterOf(r.URL.RawQuery)
	if err != nil {
		problem.Write(w, problem.Problem{Status: http.StatusBadRequest, Slug: "bad-request", Detail: err.Error()})
		return
	}
	if r.Method == http.MethodHead {
		header(w)
		return
	}
	rd, err := l.hub.join(f)
	if err != nil {
		l.metrics.refused.Inc()
		w.Header().Set("Retry-After", "5")
		problem.Write(w, problem.Problem{Status: http.StatusServiceUnavailable, Slug: "no-stream", Detail: "There is no stream to be had: " + err.Error() + ". Close what is not needed and try again."})
		return
	}
	defer l.hub.leave(rd)
	header(w)
	out := stream{w, http.NewResponseController(w)}
	if out.write([]byte(begin)) != nil {
		return
	}
	for {
		select {
		case <-rd.wake:
		case <-rd.gone:
			return
		case <-r.Context().Done():
			out.bye(context.Cause(r.Context()))
			return
		}
		var frames [][]byte
		for _, b := range rd.take() {
			frames = append(frames, b.of(f))
		}
		if out.write(frames...) != nil {
			return // who has gone away needs no more
		}
		rd.wrote(l.c.Now())
	}
}

func header(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
}

// stream writes to one reader.
type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// write writes frames and flushes them, or fails in time.
func (s stream) write(frames ...[]byte) error {
	if err := s.rc.SetWriteDeadline(time.Now().Add(writeWait)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	for _, f := range frames {
		if _, err := s.w.Write(f); err != nil {
			return err
		}
	}
	return s.rc.Flush()
}

// bye says why the stream ends, unless it is the reader who has left.
func (s stream) bye(cause error) {
	if errors.Is(cause, context.Canceled) {
		return
	}
	if frame, err := encode(EventBye, Bye{cause.Error()}); err == nil {
		_ = s.write(frame) // who does not hear it has gone
	}
}

// filterOf reads the query.
func filterOf(query string) (filter, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("the query cannot be read: %w", err)
	}
	for key := range q {
		if key != "device" {
			return nil, fmt.Errorf("parameter %q is not known: give device, or none", wire.Echo(key))
		}
	}
	names := q["device"]
	if len(names) > maxFilter {
		return nil, fmt.Errorf("%d devices are asked for: name at most %d, or none for all", len(names), maxFilter)
	}
	if len(names) == 0 {
		return nil, nil
	}
	f := make(filter, len(names))
	for _, name := range names {
		if err := wire.CheckName(name); err != nil || len(name) > maxName {
			return nil, fmt.Errorf("device %q: use letters, digits, _ and - only", wire.Echo(name))
		}
		f[name] = true
	}
	return f, nil
}
