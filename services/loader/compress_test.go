package main

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Bodies arrive whole, however many are on their way; small ones are left as
// they are.
func TestCompressor(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || int64(len(body)) != r.ContentLength {
			t.Errorf("%d bytes, said were %d: %v", len(body), r.ContentLength, err)
		}
		w.Header().Set("Took", r.Header.Get("Content-Encoding"))
		w.Header().Set("Other", r.Header.Get("Other"))
		_, _ = w.Write(body)
	}))
	defer s.Close()
	c := &http.Client{Transport: newCompressor(http.DefaultTransport)}
	line := "hv,number=0 vmon=99.98,seq=1 1\n"
	var wg sync.WaitGroup
	for _, n := range []int{0, 1, compressFrom - 1, compressFrom, compressFrom + 1, 100_000, 1_000_000, 100_001} {
		wg.Go(func() {
			body := strings.Repeat(line, n/len(line)+1)[:n]
			req, _ := http.NewRequest(http.MethodPost, s.URL, strings.NewReader(body))
			req.Header.Set("Other", "kept")
			res, err := c.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			packed := n >= compressFrom
			if (res.Header.Get("Took") == "gzip") != packed || res.Header.Get("Other") != "kept" {
				t.Errorf("%d bytes: headers %v", n, res.Header)
			}
			var r io.Reader = res.Body
			if packed {
				if r, err = gzip.NewReader(res.Body); err != nil {
					t.Error(err)
					return
				}
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != body {
				t.Errorf("%d bytes: %d came, %v", n, len(got), err)
			}
			if req.Header.Get("Content-Encoding") != "" {
				t.Error("the caller's request was changed")
			}
		})
	}
	wg.Wait()
}

// brokenBody is a body that cannot be read to its end.
type brokenBody struct {
	io.Reader
	closed bool
}

func (b *brokenBody) Close() error {
	b.closed = true
	return nil
}

func TestCompressorErrors(t *testing.T) {
	broken := errors.New("broken")
	sent := 0
	c := newCompressor(roundTrip(func(r *http.Request) (*http.Response, error) {
		sent++
		again, err := r.GetBody() // net/http does that when a connection turns out to be closed
		if err != nil {
			return nil, err
		}
		first, _ := io.ReadAll(r.Body)
		second, _ := io.ReadAll(again)
		if string(first) != string(second) || len(first) == 0 {
			t.Errorf("%d bytes, and once more %d", len(first), len(second))
		}
		return nil, broken
	}))
	post := func(r io.Reader) (*brokenBody, error) {
		b := &brokenBody{Reader: r}
		req, _ := http.NewRequest(http.MethodPost, "http://x", b)
		req.ContentLength = 10_000
		answer, err := c.RoundTrip(req)
		if err == nil {
			_ = answer.Body.Close()
		}
		return b, err
	}
	lines := strings.Repeat("x", 10_000)
	if b, err := post(strings.NewReader(lines)); !errors.Is(err, broken) || !b.closed || sent != 1 {
		t.Errorf("%v, closed %v, sent %d", err, b.closed, sent)
	}
	if b, err := post(io.MultiReader(strings.NewReader("x"), errReader{})); !errors.Is(err, io.ErrNoProgress) || !b.closed || sent != 1 {
		t.Errorf("half a body: %v, closed %v, sent %d", err, b.closed, sent)
	}
	if _, err := post(strings.NewReader(lines)); !errors.Is(err, broken) || sent != 2 { // the writer is as good as new
		t.Errorf("%v, sent %d", err, sent)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrNoProgress }
