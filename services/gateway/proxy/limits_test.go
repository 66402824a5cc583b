package proxy

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/door"
)

// begin asks without waiting for the answer.
func begin(t *testing.T, g *gate, path string) <-chan int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+path, nil)
	require.NoError(t, err)
	status := make(chan int, 1)
	go func() {
		res, err := g.Client().Do(r)
		if err != nil {
			status <- 0
			return
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		status <- res.StatusCode
	}()
	return status
}

func TestRequestsOfOnePersonAreLimited(t *testing.T) {
	came, let := make(chan struct{}, 10), make(chan struct{})
	s := newStand(t, func(http.ResponseWriter, *http.Request) {
		came <- struct{}{}
		<-let
	})
	open := sync.OnceFunc(func() { close(let) })
	defer open()
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url(), RequestsEach: 2, Queue: 50 * time.Millisecond})
	g.is(accounts.Operator, door.BySession, "ada")
	var under []<-chan int
	for range 2 {
		under = append(under, begin(t, g, "/grafana/"))
		<-came
	}
	res, body := g.do(t, http.MethodGet, "/grafana/", script)
	assert.Equal(t, http.StatusTooManyRequests, res.StatusCode)
	assert.Contains(t, body, "wait until some have been answered")
	assert.NotEmpty(t, res.Header.Get("Retry-After"))

	under = append(under, begin(t, g, "/nodered/dashboard/"))
	<-came // each part for itself
	g.is(accounts.Operator, door.BySession, "bob")
	under = append(under, begin(t, g, "/grafana/"))
	<-came // and each person
	g.is(accounts.Operator, door.ByToken, "ada")
	under = append(under, begin(t, g, "/grafana/"))
	<-came // a token is not the user of the same name
	open()
	for _, status := range under {
		assert.Equal(t, http.StatusOK, <-status)
	}
}

// A page asks for more than that at once, and gets all of it.
func TestRequestsThatAreTooManyWait(t *testing.T) {
	came, let := make(chan struct{}, 10), make(chan struct{})
	s := newStand(t, func(http.ResponseWriter, *http.Request) {
		came <- struct{}{}
		<-let
	})
	g := newGate(t, Config{Grafana: s.url(), RequestsEach: 1, Queue: wait})
	g.as(accounts.Viewer, door.BySession)
	var under []<-chan int
	for range 5 {
		under = append(under, begin(t, g, "/grafana/"))
	}
	for range 5 {
		<-came
		assert.Empty(t, came, "one at a time")
		let <- struct{}{}
	}
	for _, status := range under {
		assert.Equal(t, http.StatusOK, <-status)
	}
}

func TestSocketsOfOnePersonAreLimited(t *testing.T) {
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url(), SocketsEach: 1})
	g.is(accounts.Expert, door.BySession, "ada")
	_, first := g.upgrade(t, http.MethodGet, "/nodered/comms", nil)
	require.NotNil(t, first)
	res, second := g.upgrade(t, http.MethodGet, "/nodered/comms", nil)
	assert.Nil(t, second)
	assert.Equal(t, http.StatusTooManyRequests, res.StatusCode)
	_, other := g.upgrade(t, http.MethodGet, "/grafana/api/live/ws", nil)
	assert.NotNil(t, other, "each part for itself")
	g.is(accounts.Expert, door.BySession, "bob")
	_, his := g.upgrade(t, http.MethodGet, "/nodered/comms", nil)
	assert.NotNil(t, his, "and each person")
	g.is(accounts.Expert, door.BySession, "ada")
	first.Close()
	require.Eventually(t, func() bool {
		_, again := g.upgrade(t, http.MethodGet, "/nodered/comms", nil)
		return again != nil
	}, wait, time.Millisecond)
}

// An answer that nobody reads is cut off, with HTTP/2 too; one that comes slowly
// is not.
func TestAnswersThatNobodyReadsEnd(t *testing.T) {
	const unread = 500 * time.Millisecond
	large := bytes.Repeat([]byte("x"), 64<<20) // more than the machine's buffers take
	ended := make(chan struct{}, 10)
	s := newStand(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/grafana/slow" {
			for range 3 {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(unread + 100*time.Millisecond):
				case <-r.Context().Done():
				}
			}
			return
		}
		_, _ = w.Write(large)
		ended <- struct{}{}
	})
	g := newGate(t, Config{Grafana: s.url(), Unread: unread})
	g.as(accounts.Viewer, door.BySession)
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		client := g.Client()
		if proto == "HTTP/2.0" {
			client = g.http2()
		}
		get := func(path string) *http.Response {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+path, nil)
			require.NoError(t, err)
			res, err := client.Do(r)
			require.NoError(t, err)
			require.Equal(t, proto, res.Proto)
			return res
		}
		res := get("/grafana/large")
		defer res.Body.Close()
		select {
		case <-ended: // the part is rid of it
		case <-time.After(wait):
			require.Fail(t, "it waits for the browser", proto)
		}
		n, err := io.Copy(io.Discard, res.Body)
		assert.Error(t, err)
		assert.Less(t, n, int64(len(large)))

		// A machine that does nothing for as long as nothing may be read cuts it too: not
		// each time.
		var body []byte
		for range 10 {
			res = get("/grafana/slow")
			body, err = io.ReadAll(res.Body)
			res.Body.Close()
			if err == nil {
				break
			}
		}
		assert.NoError(t, err, "%s: it takes its time, and is read", proto)
		assert.Equal(t, "xxx", string(body))
	}
}
