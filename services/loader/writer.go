package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"

	"trackerdcs/pkg/service"
)

// Waiting for InfluxDB.
const (
	firstRetry    = 250 * time.Millisecond
	lastRetry     = 10 * time.Second
	lastKnock     = 2 * time.Second // where nobody answers, or there is no bucket: it costs nobody anything
	maxRetryAfter = 10 * time.Minute

	// patience is how long writing may fail before the state says so: drivers
	// replay each time it turns ready again, and a hiccup is not worth that.
	patience = 2 * time.Second
)

// archive is InfluxDB as the writer sees it.
type archive interface {
	// Write stores lines, all or some of them. Without lines it asks whether
	// lines would be taken.
	Write(ctx context.Context, lines []byte) error

	// explain says what an operator can do about an error of Write.
	explain(err error) string
}

// influx is an archive over InfluxDB's client.
type influx struct {
	client influxdb2.Client
	cfg    *config
	record func(ctx context.Context, line ...string) error
}

func newInflux(cfg *config) *influx {
	o := influxdb2.DefaultOptions().SetApplicationName("dcs-loader/" + service.Version())
	transport := http.DefaultTransport.(*http.Transport).Clone()
	o.SetHTTPClient(&http.Client{ // without a time-out of its own: each call's context has one
		Transport: stored{newCompressor(transport)},
		// A redirect makes a GET of a write, and whoever answers that has stored nothing.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	a := &influx{client: influxdb2.NewClientWithOptions(cfg.InfluxURL, "", o), cfg: cfg}
	a.record = a.client.WriteAPIBlocking(cfg.InfluxOrg, cfg.InfluxBucket).WriteRecord
	a.authorize()
	return a
}

// stored lets no other good answer to a write pass than InfluxDB's, 204. The
// client takes any: a login page's 200 is not a point in an archive.
type stored struct{ http.RoundTripper }

func (s stored) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := s.RoundTripper.RoundTrip(r)
	if err == nil && r.Method == http.MethodPost && answer.StatusCode/100 == 2 && answer.StatusCode != http.StatusNoContent {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("a write is answered with %s instead of 204: no InfluxDB there", answer.Status)
	}
	return answer, err
}

// authorize takes the token from its file. If that fails the old one stays,
// and InfluxDB's refusal is what the operator reads.
func (a *influx) authorize() {
	if token, err := a.cfg.token(); err == nil && token != "" {
		a.client.HTTPService().SetAuthorization("Token " + token)
	}
}

// Write makes one attempt.
func (a *influx) Write(ctx context.Context, lines []byte) error {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.WriteTimeout)
	defer cancel()
	err := a.record(ctx, borrow(lines))
	switch code := statusOf(err); {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		a.authorize()
	case len(lines) == 0 && isRefusal(code):
		// InfluxDB 2 complains of a write without points when all else is
		// well. So would any server that is not InfluxDB: ask that, too.
		if _, err := a.client.Ping(ctx); err != nil {
			return fmt.Errorf("no InfluxDB there: %w", err)
		}
		return nil
	}
	return err
}

// borrow is lines as the client wants them. It copies only what the compressor
// would pass on as it is: of all else nothing reads the lines any more once
// Write has returned, also after a time-out, when the network may still be
// sending what they were packed into.
func borrow(lines []byte) string {
	if len(lines) < compressFrom {
		return string(lines)
	}
	return unsafe.String(&lines[0], len(lines))
}

// Close lets go of idle connections.
func (a *influx) Close() { a.client.Close() }

// explain says what an operator can do about an error.
func (a *influx) explain(err error) string {
	bucket := fmt.Sprintf("bucket %q of organisation %q", a.cfg.InfluxBucket, a.cfg.InfluxOrg)
	said := strings.TrimSpace(err.Error())
	var u *url.Error
	if errors.As(err, &u) {
		said = u.Err.Error() // without the address of the request
	}
	switch statusOf(err) {
	case 0:
		return fmt.Sprintf("InfluxDB does not answer at %s: %s", a.cfg.shownURL(), said)
	case http.StatusUnauthorized:
		return fmt.Sprintf("InfluxDB refuses the login (%s): check DCS_INFLUX_TOKEN_FILE", said)
	case http.StatusForbidden:
		return fmt.Sprintf("InfluxDB forbids writing to %s (%s): give the token of DCS_INFLUX_TOKEN_FILE that right", bucket, said)
	case http.StatusNotFound:
		db, _, _ := strings.Cut(a.cfg.InfluxBucket, "/")
		return fmt.Sprintf("InfluxDB has no %s (%s): create it, in InfluxDB 1.8 with CREATE DATABASE %q, or correct DCS_INFLUX_BUCKET and DCS_INFLUX_ORG", bucket, said, db)
	}
	return fmt.Sprintf("InfluxDB takes no data: %s", said)
}

// statusOf is the HTTP status of an error, or 0 when there was no answer.
func statusOf(err error) int {
	var e *influxhttp.Error
	if errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

// isRefusal reports whether a status means that the lines are bad, and not the
// moment.
func isRefusal(code int) bool {
	return code == http.StatusBadRequest || code == http.StatusUnprocessableEntity
}

// writer stores batches, however long it takes.
type writer struct {
	archive archive
	metrics *metrics
	refused func(b *batch, i int, reason error) // line i, which InfluxDB will never take
	tell    func(err error)                     // how it stands: nil is well
	respite *respite                            // shared by all who write; nil for one alone
}

// respite is how long InfluxDB has asked to be left alone.
type respite struct {
	mu    sync.Mutex
	until time.Time
}

func (r *respite) ask(d time.Duration) {
	if r == nil || d <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := time.Now().Add(d); t.After(r.until) {
		r.until = t
	}
}

func (r *respite) wait(ctx context.Context) error {
	if r == nil {
		return nil
	}
	for {
		r.mu.Lock()
		d := time.Until(r.until)
		r.mu.Unlock()
		if d <= 0 {
			return nil
		}
		if err := pause(ctx, d); err != nil {
			return err
		}
	}
}

// store returns when every line of the batch has been stored or refused, or
// with an error when ctx ends. A batch without lines waits until lines would
// be taken.
func (w *writer) store(ctx context.Context, b *batch) error {
	return w.part(ctx, b, 0, b.len())
}

// isInflux asks, before lines are given up, whether it is InfluxDB that refuses
// them: 400 is also what a web server says to what it does not understand.
func (w *writer) isInflux(ctx context.Context) error {
	return w.archive.Write(ctx, nil)
}

func (w *writer) part(ctx context.Context, b *batch, i, j int) error {
	began := time.Now()
	wait := firstRetry
	for {
		if err := w.respite.wait(ctx); err != nil {
			return err
		}
		err := w.archive.Write(ctx, b.span(i, j))
		code := statusOf(err)
		switch {
		case err == nil:
			w.metrics.wrote(j - i)
			w.tell(nil)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		w.metrics.failed(code)
		if isRefusal(code) && j-i == b.len() && j > i {
			if no := w.isInflux(ctx); no != nil {
				err, code = no, statusOf(no)
			}
		}
		if j > i && (isRefusal(code) || code == http.StatusRequestEntityTooLarge) {
			w.tell(nil) // it answers
			if j-i > 1 {
				return w.halve(ctx, b, i, j)
			}
			w.refused(b, i, err)
			return nil
		}
		if time.Since(began) >= patience || isOperators(code) {
			w.tell(err)
		}
		wait = min(wait, longest(code))
		asked := retryAfter(err)
		w.respite.ask(asked)
		if err := pause(ctx, max(jitter(wait), asked)); err != nil {
			return err
		}
		wait = 2 * wait
	}
}

// halve writes the two halves of lines that were not taken together.
func (w *writer) halve(ctx context.Context, b *batch, i, j int) error {
	middle := i + (j-i)/2
	if err := w.part(ctx, b, i, middle); err != nil {
		return err
	}
	return w.part(ctx, b, middle, j)
}

// isOperators reports whether a status is one that waiting does not mend.
func isOperators(code int) bool {
	return code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusNotFound
}

// longest is how far apart attempts may be.
func longest(code int) time.Duration {
	if code == 0 || code == http.StatusNotFound {
		return lastKnock
	}
	return lastRetry
}

// retryAfter is how long InfluxDB asks to be left alone, in seconds or until a
// time.
func retryAfter(err error) time.Duration {
	var e *influxhttp.Error
	if !errors.As(err, &e) || e.Header == nil {
		return 0
	}
	var d time.Duration
	v := e.Header.Get("Retry-After")
	if s, err := strconv.ParseInt(v, 10, 32); err == nil {
		d = time.Duration(s) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		d = time.Until(t)
	}
	return min(d, maxRetryAfter)
}

// jitter is between half of d and d: many loaders that lost one InfluxDB do
// not come back in step.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
