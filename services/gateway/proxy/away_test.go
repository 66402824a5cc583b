package proxy

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/problem"
)

// shut is the address of a port where nobody listens. It is one that connections
// to 127.0.0.1 do not take meanwhile.
func shut(t *testing.T) (*url.URL, string) {
	l, err := net.Listen("tcp", "127.0.0.4:0")
	require.NoError(t, err)
	defer l.Close()
	return &url.URL{Scheme: "http", Host: l.Addr().String()}, l.Addr().String()
}

// book is a log that can be read while it is written.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestAPartThatIsAwaySaysSo(t *testing.T) {
	to, address := shut(t)
	var log book
	g := newGate(t, Config{Grafana: to, NodeRED: to, Log: slog.New(slog.NewTextHandler(&log, nil))})
	g.as(accounts.Expert, door.BySession)
	for name, path := range map[string]string{"Grafana": "/grafana/", "Node-RED": "/nodered/"} {
		res, body := g.do(t, http.MethodGet, path, browser)
		assert.Equal(t, http.StatusBadGateway, res.StatusCode)
		assert.Contains(t, body, name+" is away")
		assert.Contains(t, body, "the console works without it")
		assert.Contains(t, body, `href="/"`)
		assert.NotContains(t, body, "127.0.0.")
		assert.Equal(t, "5", res.Header.Get("Refresh"))
		assert.Equal(t, "5", res.Header.Get("Retry-After"))
		assert.Equal(t, []string{"nosniff"}, res.Header["X-Content-Type-Options"])

		res, body = g.do(t, http.MethodGet, path+"api", script)
		assert.Equal(t, http.StatusBadGateway, res.StatusCode)
		assert.Equal(t, problem.ContentType, res.Header.Get("Content-Type"))
		assert.Equal(t, "5", res.Header.Get("Retry-After"))
		assert.Contains(t, body, name+" is away")
		assert.NotContains(t, body, "127.0.0.")

		res, _ = g.upgrade(t, http.MethodGet, path+"comms", nil)
		assert.Equal(t, http.StatusBadGateway, res.StatusCode)
	}
	assert.Equal(t, 2, bytes.Count([]byte(log.String()), []byte("msg=away")), "said once for each, %s", log.String())

	s := newStand(t, nil) // and it comes back, at the same address
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	server := &http.Server{Handler: s.Config.Handler, ReadHeaderTimeout: wait}
	go server.Serve(l)
	defer server.Close()
	res, _ := g.do(t, http.MethodGet, "/grafana/", browser)
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Contains(t, log.String(), "msg=back")
}

func TestAPartThatIsNotThereAtAll(t *testing.T) {
	g := newGate(t, Config{})
	for _, c := range []struct{ path, setting string }{{"/grafana/", "DCS_GRAFANA_URL"}, {"/nodered/dashboard/power", "DCS_NODERED_URL"}, {"/nodered", "DCS_NODERED_URL"}} {
		g.as(nobody, "")
		res, _ := g.do(t, http.MethodGet, c.path, script)
		assert.Equal(t, http.StatusUnauthorized, res.StatusCode)
		g.as(accounts.Operator, door.BySession)
		res, body := g.do(t, http.MethodGet, c.path, browser)
		assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
		assert.Contains(t, body, c.setting)
		assert.Empty(t, res.Header.Get("Refresh"), "waiting does not help")
		res, _ = g.upgrade(t, http.MethodGet, c.path, nil)
		assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	}
}

func TestASlowPart(t *testing.T) {
	gone := make(chan struct{}, 4)
	s := newStand(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		gone <- struct{}{}
	})
	g := newGate(t, Config{Grafana: s.url(), Answer: 20 * time.Millisecond})
	g.as(accounts.Viewer, door.BySession)
	res, body := g.do(t, http.MethodGet, "/grafana/", browser)
	assert.Equal(t, http.StatusBadGateway, res.StatusCode)
	assert.Contains(t, body, "Grafana is away")
	<-gone // it is told
}

// A session that ends takes with it what has not been answered.
func TestASessionThatEndsWhileAPartIsSlow(t *testing.T) {
	came := make(chan struct{})
	s := newStand(t, func(_ http.ResponseWriter, r *http.Request) {
		close(came)
		<-r.Context().Done()
	})
	g := newGate(t, Config{Grafana: s.url()})
	g.as(accounts.Viewer, door.BySession)
	end := g.session()
	go func() {
		<-came
		end()
	}()
	res, body := g.do(t, http.MethodGet, "/grafana/", script)
	assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	assert.Contains(t, body, "session")
}

// What a part says bit by bit comes bit by bit, as long as the session lasts.
func TestStreams(t *testing.T) {
	s := newStand(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "one\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	g := newGate(t, Config{Grafana: s.url(), Answer: wait})
	g.as(accounts.Viewer, door.BySession)
	end := g.session()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/grafana/stream", nil)
	require.NoError(t, err)
	res, err := g.Client().Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	line := make([]byte, 4)
	_, err = io.ReadFull(res.Body, line)
	require.NoError(t, err)
	assert.Equal(t, "one\n", string(line))
	end()
	_, err = io.ReadAll(res.Body)
	assert.Error(t, err, "it is cut, not ended in order")
}

func TestSocketsEndWithTheSession(t *testing.T) {
	soonest := time.Hour // of both: a busy machine may be slow in one
	for _, via := range []string{door.BySession, door.ByToken} {
		s := newStand(t, nil)
		g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url()})
		g.as(accounts.Operator, via)
		end := g.session()
		var sockets []io.ReadWriteCloser
		for _, path := range []string{"/grafana/api/live/ws", "/nodered/dashboard/socket.io/"} {
			res, socket := g.upgrade(t, http.MethodGet, path, nil)
			require.NotNil(t, socket, res.StatusCode)
			assert.Empty(t, res.Header.Get("Server"))
			echo(t, socket)
			sockets = append(sockets, socket)
		}
		open := func() float64 { return total(t, g, "dcs_gateway_proxy_sockets") }
		assert.Equal(t, 2.0, open())
		began := time.Now()
		end()
		for _, socket := range sockets {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				io.Copy(io.Discard, socket)
			}()
			<-ended
			<-s.ended // the part's side too
		}
		soonest = min(soonest, time.Since(began))
		require.Eventually(t, func() bool { return open() == 0 }, wait, time.Millisecond)
	}
	assert.Less(t, soonest, time.Second)
}

// A part that has said all while the browser keeps its side open: the session's
// end closes that, too.
func TestAHalfClosedSocketEndsWithTheSession(t *testing.T) {
	s := newStand(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye")
		conn.Close()
	})
	g := newGate(t, Config{NodeRED: s.url()})
	g.as(accounts.Expert, door.BySession)
	end := g.session()
	_, socket := g.upgrade(t, http.MethodGet, "/nodered/comms", nil)
	require.NotNil(t, socket)
	said, _ := io.ReadAll(socket)
	assert.Equal(t, "bye", string(said))
	end()
	require.Eventually(t, func() bool { return total(t, g, "dcs_gateway_proxy_sockets") == 0 }, wait, time.Millisecond)
}

func TestSocketsHaveALimit(t *testing.T) {
	s := newStand(t, nil)
	g := newGate(t, Config{Grafana: s.url(), NodeRED: s.url(), Sockets: 1})
	g.as(accounts.Expert, door.BySession)
	_, first := g.upgrade(t, http.MethodGet, "/nodered/comms", nil)
	require.NotNil(t, first)
	res, second := g.upgrade(t, http.MethodGet, "/nodered/comms", nil)
	assert.Nil(t, second)
	assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	_, other := g.upgrade(t, http.MethodGet, "/grafana/api/live/ws", nil)
	assert.NotNil(t, other, "each part has its own")
	first.Close()
	<-s.ended
	require.Eventually(t, func() bool {
		_, again := g.upgrade(t, http.MethodGet, "/nodered/comms", nil)
		return again != nil
	}, wait, time.Millisecond)
}

// A part that answers an upgrade with something else has said its last word.
func TestAnUpgradeThatIsRefusedByThePart(t *testing.T) {
	s := newStand(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	g := newGate(t, Config{NodeRED: s.url()})
	g.as(accounts.Expert, door.BySession)
	res, _ := g.upgrade(t, http.MethodGet, "/nodered/comms", nil)
	assert.Equal(t, http.StatusBadRequest, res.StatusCode)
}

// total sums a metric over its labels.
func total(t *testing.T, g *gate, name string) (sum float64) {
	t.Helper()
	families, err := g.metrics.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
