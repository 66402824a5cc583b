//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"trackerdcs/pkg/wire"
)

// proxy is a network between somebody and the broker. A direction that is cut
// is as one whose packets are dropped: what is sent stays on its way, the end
// of a connection included, until the direction is whole again.
type proxy struct {
	t    *testing.T
	l    net.Listener
	to   string
	up   gate // towards the broker
	down gate
	wg   sync.WaitGroup
}

// gate lets through or holds up.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // while it is shut; closed when it opens
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case open && g.shut != nil:
		close(g.shut)
		g.shut = nil
	case !open && g.shut == nil:
		g.shut = make(chan struct{})
	}
}

// pass returns when the gate is open.
func (g *gate) pass() {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{t: t, l: l, to: to}
	var conns sync.Map
	p.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			conns.Store(in, true)
			conns.Store(out, true)
			p.wg.Go(func() { carry(in, out, &p.up) })
			p.wg.Go(func() { carry(out, in, &p.down) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
		p.up.set(true)
		p.down.set(true)
		p.wg.Wait()
	})
	return p
}

// carry moves what comes from one side to the other, and then its end.
func carry(from, to net.Conn, g *gate) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		g.pass()
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

func (p *proxy) address() string { return p.l.Addr().String() }

// Faults 17 and 18: a sender is cut off from the broker, or one direction of
// its connection is. Its state turns lost, it notices by itself, and when the
// network is whole again nothing is missing.
func TestFault17SenderCutOff(t *testing.T)   { cutOff(t, false, false) }
func TestFault18NothingArrives(t *testing.T) { cutOff(t, false, true) }
func TestFault18NoAnswers(t *testing.T)      { cutOff(t, true, false) }

func cutOff(t *testing.T, up, down bool) {
	t.Parallel()
	s := startStack(t)
	l := s.startLoader()
	p := newProxy(t, s.address())
	w := s.watch("/+/state")
	f := s.sendTo("cutoff", 1, 50*time.Millisecond, p.address())
	lasts(t, 2*time.Second)
	mark, began := w.mark(), time.Now()
	p.up.set(up)
	p.down.set(down)
	// With both ways cut the broker's keep-alive of 15 s ends it; a sender that
	// hears nothing goes after 25 s, and its new connections are not answered.
	w.await(35*time.Second, mark, "/cutoff00/state", wire.Lost, "")
	lost := time.Since(began)
	if up { // the broker has ended the session for the new connection, or heard of its end
		assert.Greater(t, lost, 10*time.Second)
	}
	within(t, 35*time.Second, "the sender notices", func() bool { return !f.senders[0].seen.Connected() })
	noticed := time.Since(began)
	lasts(t, 3*time.Second)
	mark = w.mark()
	p.up.set(true)
	p.down.set(true)
	whole := time.Now()
	w.await(patience, mark, "/cutoff00/state", wire.Ready, "")
	t.Logf("lost after %.1f s, noticed by the sender after %.1f s, ready %.1f s after the end", lost.Seconds(), noticed.Seconds(), time.Since(whole).Seconds())
	lasts(t, time.Second)
	f.complete(allIn)
	f.agrees(l)
}

// The loader's connection is cut, one way or both: what it could not
// acknowledge comes again.
func TestFault18LoaderCutOff(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	p := newProxy(t, s.address())
	l := s.startLoader("DCS_BROKER=tcp://" + p.address())
	f := s.send("cutoff", 10, 50*time.Millisecond)
	for _, way := range []struct {
		name     string
		up, down bool
	}{{"its acknowledgements are lost", false, true}, {"it hears nothing", true, false}} {
		lasts(t, 2*time.Second)
		began := time.Now()
		p.up.set(way.up)
		p.down.set(way.down)
		within(t, 40*time.Second, "it notices", func() bool { return l.figure("dcs_bus_connected") == 0 })
		noticed := time.Since(began)
		p.up.set(true)
		p.down.set(true)
		l.awaitReady()
		t.Logf("%s: noticed after %.1f s", way.name, noticed.Seconds())
	}
	lasts(t, time.Second)
	f.complete(allIn)
	f.agrees(l)
}

// wan is a network between this machine and a network namespace of its own,
// made of packets that the test carries: it delays and loses them as netem
// would, which not every kernel has (the ones we test on do not).
type wan struct {
	t         *testing.T
	near, far *os.File
	space     string // the namespace
	ip        string // of the far end
	bad       atomic.Bool
	carried   atomic.Int64
	lost      atomic.Int64
}

const (
	wanDelay = 500 * time.Millisecond // each way
	wanLoss  = .1                     // of the packets
)

func newWAN(t *testing.T) *wan {
	t.Helper()
	id := os.Getpid() % 10000
	near, far := fmt.Sprintf("dcsn%d", id), fmt.Sprintf("dcsf%d", id)
	net1 := fmt.Sprintf("10.213.%d", id%250)
	w := &wan{t: t, space: fmt.Sprintf("trackerdcs-%d", id), ip: net1 + ".2"}
	w.near, w.far = tun(t, near), tun(t, far)
	ip := func(args ...string) {
		t.Helper()
		out, err := exec.Command("ip", args...).CombinedOutput()
		require.NoError(t, err, "ip %q: %s", args, out)
	}
	ip("netns", "add", w.space)
	t.Cleanup(func() { ip("netns", "del", w.space) })
	ip("link", "set", far, "netns", w.space)
	ip("addr", "add", net1+".1/30", "dev", near)
	ip("link", "set", near, "up", "mtu", "1500")
	ip("-n", w.space, "addr", "add", w.ip+"/30", "dev", far)
	ip("-n", w.space, "link", "set", far, "up", "mtu", "1500")
	ip("-n", w.space, "link", "set", "lo", "up")
	var wg sync.WaitGroup
	wg.Go(func() { w.carry(w.near, w.far) })
	wg.Go(func() { w.carry(w.far, w.near) })
	t.Cleanup(func() {
		_ = w.near.Close()
		_ = w.far.Close()
		wg.Wait()
	})
	return w
}

// tun makes a network interface whose packets are read from a file. It needs root.
func tun(t *testing.T, name string) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	var req struct {
		name  [unix.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(req.name[:], name)
	req.flags = unix.IFF_TUN | unix.IFF_NO_PI
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&req)))
	require.Zero(t, errno, "TUNSETIFF")
	return os.NewFile(uintptr(fd), name)
}

// carry takes packets from one end to the other, one way.
func (w *wan) carry(from, to *os.File) {
	type packet struct {
		due  time.Time
		data []byte
	}
	under := make(chan packet, 10_000)
	var wg sync.WaitGroup
	wg.Go(func() {
		for p := range under {
			time.Sleep(time.Until(p.due))
			_, _ = to.Write(p.data) // an interface that is down drops it
		}
	})
	for b := make([]byte, 2000); ; {
		n, err := from.Read(b)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) && !errors.Is(err, io.EOF) {
				w.t.Errorf("%s: %v", from.Name(), err)
			}
			close(under)
			wg.Wait()
			return
		}
		p := packet{due: time.Now(), data: append([]byte(nil), b[:n]...)}
		w.carried.Add(1)
		if w.bad.Load() {
			if rand.Float64() < wanLoss {
				w.lost.Add(1)
				continue
			}
			p.due = p.due.Add(wanDelay)
		}
		under <- p
	}
}

// Fault 19: half a second of delay and a tenth of the packets lost, both ways,
// between drivers and loader on this side and broker and InfluxDB on the other.
func TestFault19DelayAndLoss(t *testing.T) {
	t.Parallel()
	w := newWAN(t)
	s := newStackAt(t, w.ip, "ip", "netns", "exec", w.space)
	s.broker.start()
	s.influx.start()
	l := s.startLoader()
	f := s.send("far", 4, time.Second)
	lasts(t, 2*time.Second)
	w.bad.Store(true)
	before, began := f.made(), time.Now()
	lasts(t, duration(t, "DCS_LOSSY", 40*time.Second))
	arrived, err := s.points(f.prefix, fmt.Sprintf("time >= %d", began.UnixNano()))
	for err != nil { // the question has to get through, too
		arrived, err = s.points(f.prefix, fmt.Sprintf("time >= %d", began.UnixNano()))
	}
	t.Logf("%d of %d packets lost; of %d statuses made meanwhile %d were there at the end of it; the loader connected %d times, the senders %d times",
		w.lost.Load(), w.carried.Load(), f.made()-before, arrived/channels, s.connected("dcs-loader"), s.connected("dcs-far00")+s.connected("dcs-far01")+s.connected("dcs-far02")+s.connected("dcs-far03"))
	assert.Positive(t, arrived, "slower, but not dead")
	assert.Positive(t, w.lost.Load())
	w.bad.Store(false)
	f.complete(allIn)
	f.agrees(l)
}
