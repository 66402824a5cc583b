package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/door"
)

// wait is for what is to come; it never comes late when all is well.
const wait = time.Minute

// stand stands in for a part: it notes what it is asked, and echoes what comes
// in through a WebSocket.
type stand struct {
	*httptest.Server
	answer http.HandlerFunc // nil: an empty 200
	ended  chan struct{}    // one element for each socket that has ended

	mu    sync.Mutex
	asked []*http.Request
}

func newStand(t *testing.T, answer http.HandlerFunc) *stand {
	s := &stand{answer: answer, ended: make(chan struct{}, 16)}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *stand) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r)
	s.mu.Unlock()
	if r.Header.Get("Upgrade") != "" && s.answer == nil {
		conn, buffer, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nServer: secret\r\n\r\n")
		io.Copy(conn, buffer)
		s.ended <- struct{}{}
		return
	}
	if s.answer != nil {
		s.answer(w, r)
	}
}

func (s *stand) url() *url.URL {
	u, err := url.Parse(s.URL)
	if err != nil {
		panic(err)
	}
	return u
}

// last is the last thing it was asked; nil when it was asked nothing.
func (s *stand) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == 0 {
		return nil
	}
	return s.asked[len(s.asked)-1]
}

func (s *stand) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = nil
}

// gate is a proxy with a door that lets in whom the test names.
type gate struct {
	*httptest.Server
	metrics *prometheus.Registry

	mu  sync.Mutex
	who *door.Who
	ctx context.Context // of the session
}

func newGate(t *testing.T, cfg Config) *gate {
	g := &gate{metrics: prometheus.NewRegistry(), ctx: context.Background()}
	cfg.Metrics = g.metrics
	p := New(cfg)
	if p.notes != nil {
		p.notes.time = wait // a busy machine is no disk that hangs
	}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		who, session := g.who, g.ctx
		g.mu.Unlock()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(session, cancel)()
		if who != nil {
			ctx = door.With(ctx, *who)
		}
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin") // as the gateway does
		w.Header().Set("X-Content-Type-Options", "nosniff")
		part := p.NodeRED() // a http.ServeMux would clean paths before they are looked at
		if strings.HasPrefix(r.URL.Path, "/grafana") {
			part = p.Grafana()
		}
		part.ServeHTTP(w, r.WithContext(ctx))
	}))
	g.Server.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}} // the client of Client asks for the latter
	g.Server.StartTLS()
	g.Server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(g.Close)
	return g
}

// http2 is a client that speaks HTTP/2.
func (g *gate) http2() *http.Client {
	trust := g.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: trust}}}
}

// as lets somebody in; an empty role is nobody.
func (g *gate) as(role accounts.Role, via string) { g.is(role, via, "ada") }

// is lets in somebody with a name.
func (g *gate) is(role accounts.Role, via, name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.who = nil
	if role != "" {
		g.who = &door.Who{Name: name, Role: role, Via: via, Address: "192.0.2.1"}
	}
}

// session begins one, and gives what ends it.
func (g *gate) session() context.CancelFunc {
	ctx, cancel := context.WithCancel(context.Background())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ctx = ctx
	return cancel
}

// header makes one of pairs.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

// answer is one whose body has been read, or is a socket's.
type answer struct {
	StatusCode int
	Header     http.Header
}

// do asks; path goes out as it stands.
func (g *gate) do(t *testing.T, method, path string, h http.Header) (answer, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, g.URL, nil)
	require.NoError(t, err)
	rest, query, _ := strings.Cut(path, "?")
	r.URL.Opaque, r.URL.RawQuery = "//"+r.URL.Host+rest, query
	if h != nil {
		r.Header = h
	}
	res, err := g.Client().Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res.StatusCode, res.Header}, string(body)
}

// upgrade opens a socket; it is nil when the answer is not 101.
func (g *gate) upgrade(t *testing.T, method, path string, more http.Header) (answer, io.ReadWriteCloser) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.URL+path, nil)
	require.NoError(t, err)
	r.Header = header("Connection", "Upgrade", "Upgrade", "websocket", "Origin", g.URL)
	for name, values := range more {
		r.Header[name] = values
		if len(values) == 1 && values[0] == "" {
			delete(r.Header, name)
		}
	}
	res, err := g.Client().Do(r)
	require.NoError(t, err)
	if res.StatusCode != http.StatusSwitchingProtocols {
		res.Body.Close()
		return answer{res.StatusCode, res.Header}, nil
	}
	socket := res.Body.(io.ReadWriteCloser)
	t.Cleanup(func() { socket.Close() })
	return answer{res.StatusCode, res.Header}, socket
}

// echo says something and hears it.
func echo(t *testing.T, socket io.ReadWriter) {
	t.Helper()
	_, err := io.WriteString(socket, "tick\n")
	require.NoError(t, err)
	line, err := bufio.NewReader(socket).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "tick\n", line)
}
