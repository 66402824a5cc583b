package door

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serve serves over TLS, with the door around it and its Run.
func (h *house) serve(t *testing.T, next http.Handler) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", next)
	mux.Handle("POST /logout", h.Logout())
	server := httptest.NewTLSServer(h.Identify(mux))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	return server
}

func (h *house) logout(t *testing.T, server *httptest.Server, id string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/logout", nil)
	require.NoError(t, err)
	r.AddCookie(&http.Cookie{Name: CookieName, Value: id})
	answer, err := server.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, 204, answer.StatusCode)
}

// TestServerSentEvents: each event arrives when it is written, and the stream
// can say its last word when the session ends.
func TestServerSentEvents(t *testing.T) {
	h := build(t)
	id := h.login(t, "alice", alicePassword)
	next := make(chan string)
	server := h.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		out := http.NewResponseController(w)
		for {
			select {
			case text := <-next:
				assert.NoError(t, out.SetWriteDeadline(time.Now().Add(patience)))
				fmt.Fprintf(w, "data: %s\n\n", text)
				assert.NoError(t, out.Flush())
			case <-r.Context().Done():
				fmt.Fprintf(w, "event: bye\ndata: %v\n\n", context.Cause(r.Context()))
				return
			}
		}
	}))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/stream", nil)
	require.NoError(t, err)
	r.AddCookie(&http.Cookie{Name: CookieName, Value: id})
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		next <- "one"
	}()
	answer, err := server.Client().Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	<-sent
	lines := bufio.NewReader(answer.Body)
	line := func() string {
		t.Helper()
		text, err := lines.ReadString('\n')
		require.NoError(t, err)
		_, err = lines.ReadString('\n')
		require.NoError(t, err)
		return text
	}
	assert.Equal(t, "data: one\n", line())
	next <- "two"
	assert.Equal(t, "data: two\n", line())

	h.logout(t, server, id)
	rest, err := io.ReadAll(lines)
	require.NoError(t, err)
	assert.Equal(t, "event: bye\ndata: the session has ended\n\n", string(rest))
}

// TestSocketEnds: a WebSocket through the reverse proxy ends with its session.
func TestSocketEnds(t *testing.T) {
	h := build(t)
	id := h.login(t, "alice", alicePassword)
	part := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_ = rw.Flush()
		_, _ = io.Copy(conn, rw) // says everything again
	}))
	defer part.Close()
	to, err := url.Parse(part.URL)
	require.NoError(t, err)
	server := h.serve(t, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }})

	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // a test's own server
	conn, err := dialer.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: dcs.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://dcs.example\r\nCookie: %s=%s\r\n\r\n", CookieName, id)
	require.NoError(t, err)
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
	echo := func() (string, error) {
		_, _ = io.WriteString(conn, "ping\n")
		return in.ReadString('\n')
	}
	text, err := echo()
	require.NoError(t, err)
	assert.Equal(t, "ping\n", text)

	h.logout(t, server, id)
	_, err = in.ReadByte()
	require.Error(t, err)
	assert.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}
