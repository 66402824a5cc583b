package live

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

// onBroker is a Live on a real broker.
func onBroker(t *testing.T, url string) *Live {
	t.Helper()
	l := New(Config{Root: "lab1", Name: "gateway", Boot: "b0071e"})
	c, err := bus.New(bus.Options{Broker: url, ClientID: "dcs-gateway"})
	require.NoError(t, err)
	l.Attach(c)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = c.Run(ctx) })
	group.Go(func() { _ = l.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
	return l
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, bustest.Patience, 5*time.Millisecond, what)
}

func alive(l *Live) func() bool {
	return func() bool { b := l.Snapshot().Bus; return b.Connected && b.Alive }
}

func TestOnABroker(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	lab := bustest.Listen(t, b.URL(), "lab1/+/cmd/#")
	lab.Leave("lab1/hv/meta", `{"kind":"psu","model":"m","driver":"d","period":1}`)
	lab.Leave("lab1/hv/state", stateOf("ready", "a"))
	lab.Leave("lab1/run/state", `{"run":3,"state":"finished"}`)
	lab.Leave("lab1/service/loader/state", stateOf("ready", "l"))
	bustest.AwaitRetained(t, b.URL(), "lab1/service/loader/state")
	l := onBroker(t, b.URL())
	eventually(t, "it hears itself", alive(l))
	eventually(t, "what is retained is known", func() bool {
		s := l.Snapshot()
		return len(s.Devices) == 1 && s.Devices[0].Meta != nil && s.Devices[0].State != nil && len(s.Services) == 1 && s.Run != nil && s.Run.Run == 3
	})
	lab.Say("lab1/hv/status", statusAt(time.Now(), "a", 1))
	lab.Say("hv/status", statusAt(time.Now(), "a", 1))
	eventually(t, "its status", func() bool { d, _ := l.Device("hv"); return d.Freshness == Fresh })

	done := make(chan Outcome, 1)
	go func() {
		o, err := l.Do(t.Context(), "hv", wire.Command{Op: wire.SetV, Channel: wire.One(0), Number: 100})
		assert.NoError(t, err)
		done <- o
	}()
	cmd := lab.Await(0, "the command", func(m bus.Message) bool { return m.Topic == "lab1/hv/cmd/setv/0" })
	c, err := wire.ParseCommand("setv", "0", cmd.Payload)
	require.NoError(t, err)
	lab.Say("lab1/hv/ack", `{"id":"`+c.ID+`","op":"setv","channel":0,"value":100,"phase":"done","code":"OK"}`)
	assert.Equal(t, wire.Done, (<-done).Phase)

	b.Stop()
	eventually(t, "the broker is away", func() bool { b := l.Snapshot().Bus; return !b.Connected && !b.Alive })
	_, err = l.Do(t.Context(), "hv", wire.Command{Op: wire.Clear, Channel: wire.All()})
	require.ErrorIs(t, err, bus.ErrOffline)
	b.Start()
	eventually(t, "it is back", alive(l))
	lab.Say("lab1/hv/status", statusAt(time.Now(), "a", 2))
	eventually(t, "its status", func() bool { d, _ := l.Device("hv"); return strings.Contains(string(d.Status), `"vmon":2`) })
	lab.Leave("lab1/hv/meta", "")
	lab.Leave("lab1/hv/state", "")
	eventually(t, "it is gone", func() bool { _, there := l.Device("hv"); return !there })
}

// ice is a connection to a broker that can be frozen: it stands, and nothing
// comes through.
type ice struct {
	net.Listener
	mu sync.Mutex // held while frozen
}

func freezer(t *testing.T, url string) *ice {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &ice{Listener: listener}
	var group sync.WaitGroup
	t.Cleanup(func() { listener.Close(); group.Wait() })
	carry := func(to, from net.Conn) {
		defer to.Close()
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			f.mu.Lock()
			f.mu.Unlock() //nolint:staticcheck // it waits while it is frozen
			if _, werr := to.Write(buffer[:n]); err != nil || werr != nil {
				return
			}
		}
	}
	group.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", strings.TrimPrefix(url, "tcp://"))
			if err != nil {
				near.Close()
				continue
			}
			group.Go(func() { carry(far, near) })
			group.Go(func() { carry(near, far) })
		}
	})
	return f
}

func (f *ice) url() string { return "tcp://" + f.Addr().String() }

// A broker that is frozen keeps its connections: within 3 s nothing is shown as live
// any more, and what it delivers when it thaws is as old as it is.
func TestFrozenBroker(t *testing.T) {
	url := brokertest.Start(t)
	between := freezer(t, url)
	lab := bustest.Listen(t, url, "none")
	l := onBroker(t, between.url())
	eventually(t, "it hears itself", alive(l))
	for seq := range 3 { // the pace has to be known
		lab.Say("lab1/hv/status", statusAt(time.Now(), "a", seq+1))
		eventually(t, "its status", func() bool {
			d, _ := l.Device("hv")
			return strings.Contains(string(d.Status), `"seq":`+string(rune('1'+seq)))
		})
	}

	between.mu.Lock()
	thaw := sync.OnceFunc(between.mu.Unlock)
	defer thaw()
	frozen := time.Now()
	lab.Say("lab1/hv/status", statusAt(frozen, "a", 4))
	eventually(t, "it is noticed", func() bool { return !l.Snapshot().Bus.Alive })
	assert.Less(t, time.Since(frozen), 3*time.Second)
	assert.True(t, l.Snapshot().Bus.Connected)
	eventually(t, "it is stale", func() bool { d, _ := l.Device("hv"); return d.Freshness == Stale })
	o, err := l.Do(t.Context(), "hv", wire.Command{Op: wire.Clear, Channel: wire.All()})
	require.NoError(t, err)
	assert.Equal(t, PhaseUnanswered, o.Phase)
	thaw()

	eventually(t, "what was late comes", func() bool { d, _ := l.Device("hv"); return strings.Contains(string(d.Status), `"seq":4`) })
	d, _ := l.Device("hv")
	assert.NotEqual(t, Fresh, d.Freshness, "and is not fresh")
	assert.WithinDuration(t, frozen, time.UnixMilli(d.At), 300*time.Millisecond)
	eventually(t, "it hears itself again", alive(l))
	lab.Say("lab1/hv/status", statusAt(time.Now(), "a", 5))
	eventually(t, "it is live again", func() bool { d, _ := l.Device("hv"); return d.Freshness == Fresh })
}

// Streams over real connections, of HTTP/1.1 and HTTP/2: they go on, end and leave
// nothing behind.
func TestStreamsOverTheNetwork(t *testing.T) {
	url := brokertest.Start(t)
	lab := bustest.Listen(t, url, "none")
	l := onBroker(t, url)
	eventually(t, "it hears itself", alive(l))
	for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			var ends sync.Map // by the request's name
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, end := context.WithCancelCause(r.Context())
				ends.Store(r.Header.Get("Name"), end)
				l.ServeStream(w, r.WithContext(ctx))
			}))
			server.EnableHTTP2 = h2
			server.StartTLS()
			ctx, cancel := context.WithTimeout(t.Context(), bustest.Patience)
			defer cancel()
			open := func(name string) *bufio.Reader {
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/?device=hv", nil)
				require.NoError(t, err)
				r.Header.Set("Name", name)
				res, err := server.Client().Do(r)
				require.NoError(t, err)
				t.Cleanup(func() { res.Body.Close() })
				assert.Equal(t, h2, res.ProtoMajor == 2)
				return bufio.NewReader(res.Body)
			}
			until := func(r *bufio.Reader, want string) {
				t.Helper()
				for {
					line, err := r.ReadString('\n')
					require.NoError(t, err, "waiting for %q", want)
					if strings.Contains(line, want) {
						return
					}
				}
			}
			a, b, c := open("a"), open("b"), open("c")
			until(a, "retry: 1000")
			for _, r := range []*bufio.Reader{a, b, c} {
				until(r, "event: hello")
			}
			lab.Say("lab1/hv/status", statusAt(time.Now(), name, 1))
			until(a, "event: status")
			until(b, `"vmon":1`)
			until(b, "event: tick")
			end, _ := ends.Load("b")
			end.(context.CancelCauseFunc)(errors.New("log in again"))
			until(b, "event: bye")
			until(b, `"reason":"log in again"`)
			_, err := io.ReadAll(b)
			require.NoError(t, err, "it ends in order")
			lab.Say("lab1/hv/status", statusAt(time.Now(), name, 2))
			until(c, `"vmon":2`)
			server.CloseClientConnections()
			server.Client().CloseIdleConnections()
			server.Close()
			eventually(t, "nobody is left", func() bool { return l.hub.count() == 0 && !strings.Contains(stacks(), "ServeStream") })
		})
	}
}

// stacks are those of all goroutines.
func stacks() string {
	b := make([]byte, 4<<20)
	return string(b[:runtime.Stack(b, true)])
}
