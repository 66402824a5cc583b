package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeInflux is InfluxDB as far as the loader sees it: it stores points and
// answers as the test says.
type fakeInflux struct {
	*httptest.Server
	t testing.TB

	mu      sync.Mutex
	script  http.HandlerFunc  // instead of storing, if set
	points  map[string]string // series and time → fields
	tried   []string          // bodies, in the order in which they came
	changed chan struct{}     // closed when any of this changes
}

func newFakeInflux(t testing.TB) *fakeInflux {
	f := &fakeInflux{t: t, points: make(map[string]string), changed: make(chan struct{})}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeInflux) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/ping" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body, err := f.read(r)
	if err != nil {
		return // the loader has gone away in the middle
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	script := f.script
	f.tried = append(f.tried, string(body))
	f.wake()
	f.mu.Unlock()
	if script != nil {
		script(w, r)
		return
	}
	f.store(r)
	w.WriteHeader(http.StatusNoContent)
}

// read gives the body as it was before it was compressed.
func (f *fakeInflux) read(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Encoding") != "gzip" {
		return body, err
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err == nil {
		body, err = io.ReadAll(z)
	}
	if err != nil {
		f.t.Errorf("a body that is not what its header says: %v", err)
	}
	return body, err
}

// wake makes those who wait look again. It is called with f.mu held.
func (f *fakeInflux) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// cutLine takes apart a line whose tags have no spaces in them.
func cutLine(line string) (series, fields, when string) {
	series, rest, _ := strings.Cut(line, " ")
	i := strings.LastIndexByte(rest, ' ')
	return series, rest[:max(i, 0)], rest[i+1:]
}

// answer makes it answer with a status, or well again with 0.
func (f *fakeInflux) answer(status int) {
	f.do(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"code":"scripted","message":"answer %d"}`, status)
	})
	if status == 0 {
		f.do(nil)
	}
}

func (f *fakeInflux) do(script http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = script
}

// wait waits until cond, which is asked with f.mu held whenever something has
// changed, is true.
func (f *fakeInflux) wait(what string, cond func() bool) {
	f.t.Helper()
	timeout := time.After(inVain)
	for {
		f.mu.Lock()
		ok, changed := cond(), f.changed
		f.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			f.mu.Lock()
			defer f.mu.Unlock()
			f.t.Fatalf("waited in vain for %s; there are %d points", what, len(f.points))
		}
	}
}

// series returns the points whose series is s, time → fields. It is called
// with f.mu held.
func (f *fakeInflux) series(s string) map[string]string {
	got := make(map[string]string)
	for key, fields := range f.points {
		if series, when, _ := strings.Cut(key, " "); series == s {
			got[when] = fields
		}
	}
	return got
}

// store takes the lines of a request.
func (f *fakeInflux) store(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	parseLines(f.t, body)
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range strings.Lines(string(body)) {
		key, fields, when := cutLine(strings.TrimSpace(line))
		f.points[key+" "+when] = merged(f.points[key+" "+when], fields)
	}
	f.wake()
}

// merged is what InfluxDB keeps of a point that comes again: the fields of both,
// and of one that is in both the later value.
func merged(before, fields string) string {
	if before == "" {
		return fields
	}
	var names []string
	values := make(map[string]string)
	for _, f := range append(cutFields(before), cutFields(fields)...) {
		name, value, _ := strings.Cut(f, "=")
		if _, known := values[name]; !known {
			names = append(names, name)
		}
		values[name] = value
	}
	for i, name := range names {
		names[i] = name + "=" + values[name]
	}
	return strings.Join(names, ",")
}

// cutFields takes fields apart. A comma in a text does not part them.
func cutFields(fields string) (list []string) {
	begin, quoted := 0, false
	for i := 0; i < len(fields); i++ {
		switch {
		case fields[i] == '\\':
			i++
		case fields[i] == '"':
			quoted = !quoted
		case fields[i] == ',' && !quoted:
			list = append(list, fields[begin:i])
			begin = i + 1
		}
	}
	return append(list, fields[begin:])
}

// has reports whether there is a point whose series begins so. It is called with
// f.mu held.
func (f *fakeInflux) has(prefix string) bool {
	for key := range f.points {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
