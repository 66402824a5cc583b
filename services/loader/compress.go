package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// compressFrom is how long a body has to be for gzip to be worth it.
const compressFrom = 1 << 10

// compressor sends the bodies of requests through gzip. InfluxDB's client has a
// switch for that, which compresses harder and costs several times the
// processor's time; here it is the fastest level, which still leaves a tenth of
// the lines.
type compressor struct {
	next    http.RoundTripper
	writers sync.Pool
}

func newCompressor(next http.RoundTripper) *compressor {
	return &compressor{next: next, writers: sync.Pool{New: func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a valid one
		return w
	}}}
}

// RoundTrip is http.RoundTripper's.
func (c *compressor) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.ContentLength < compressFrom || r.Header.Get("Content-Encoding") != "" {
		return c.next.RoundTrip(r)
	}
	packed, err := c.pack(r.Body, r.ContentLength)
	if err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	z := r.Clone(r.Context())
	z.Header.Set("Content-Encoding", "gzip")
	z.ContentLength = int64(len(packed))
	z.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil }
	z.Body, _ = z.GetBody()
	return c.next.RoundTrip(z)
}

// pack compresses a body of n bytes and closes it.
func (c *compressor) pack(body io.ReadCloser, n int64) ([]byte, error) {
	out := bytes.NewBuffer(make([]byte, 0, n/6))
	w := c.writers.Get().(*gzip.Writer)
	defer c.writers.Put(w)
	w.Reset(out)
	_, err := io.Copy(w, body)
	if err == nil {
		err = w.Close()
	}
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	return out.Bytes(), err
}
