package psutest

import (
	"bufio"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// disturbance is what happens to one answer on its way.
type disturbance struct {
	name string
	// do gives the bytes that go on instead of the line; those of late are
	// delivered at the beginning of the next connection. hangUp closes the
	// connection after it.
	do func(line []byte) (now, late []byte, hangUp bool)
}

var disturbances = []disturbance{
	{"lost", func([]byte) ([]byte, []byte, bool) { return nil, nil, false }},
	{"late", func(line []byte) ([]byte, []byte, bool) { return nil, line, false }},
	{"half", func(line []byte) ([]byte, []byte, bool) { return line[:len(line)/2], nil, false }},
	{"half late", func(line []byte) ([]byte, []byte, bool) { return line[:len(line)/2], line[len(line)/2:], false }},
	{"doubled", func(line []byte) ([]byte, []byte, bool) {
		return append(append([]byte{}, line...), line...), nil, false
	}},
	{"empty", func([]byte) ([]byte, []byte, bool) { return []byte("\r\n"), nil, false }},
	{"garbage", func(line []byte) ([]byte, []byte, bool) {
		out := make([]byte, len(line))
		for i, b := range line {
			out[i] = 0x80 | (b ^ 0x5a)
		}
		out[len(out)-1] = '\n'
		return out, nil, false
	}},
	{"words", func([]byte) ([]byte, []byte, bool) { return []byte("SYNTAX ERROR\r\n"), nil, false }},
	{"hung up", func([]byte) ([]byte, []byte, bool) { return nil, nil, true }},
	{"hung up late", func(line []byte) ([]byte, []byte, bool) { return nil, line, true }},
}

// proxy stands between a driver and an instrument, as a serial server does,
// and disturbs one answer when told to.
type proxy struct {
	target string
	l      net.Listener
	wg     sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]bool
	answers int // that have passed
	at      int // which answer to disturb, counted as answers is; 0 none
	what    disturbance
	struck  chan struct{} // closed when it has been disturbed
	late    []byte
}

func newProxy(t testing.TB, target string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{target: target, l: l, conns: map[net.Conn]bool{}}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for c := range p.conns {
			c.Close()
		}
		p.conns = nil
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) address() string { return "tcp://" + p.l.Addr().String() }

func (p *proxy) serve() {
	for {
		down, err := p.l.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.target)
		if err != nil {
			down.Close()
			continue
		}
		p.mu.Lock()
		if p.conns == nil {
			p.mu.Unlock()
			down.Close()
			up.Close()
			return
		}
		p.conns[down], p.conns[up] = true, true
		late := p.late
		p.late = nil
		p.mu.Unlock()
		if len(late) > 0 {
			_, _ = down.Write(late) // an error shows at the next line
		}
		p.wg.Go(func() { _, _ = io.Copy(up, down); up.Close() })
		p.wg.Go(func() { p.answer(down, up); down.Close(); up.Close() })
	}
}

// answer passes on what the instrument says, line by line.
func (p *proxy) answer(down, up net.Conn) {
	in := bufio.NewReader(up)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		out, hangUp := p.pass(line)
		if len(out) > 0 {
			if _, err := down.Write(out); err != nil {
				return
			}
		}
		if hangUp {
			return
		}
	}
}

func (p *proxy) pass(line []byte) (out []byte, hangUp bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers++
	if p.at != p.answers {
		return line, false
	}
	p.at = 0
	out, p.late, hangUp = p.what.do(line)
	close(p.struck)
	return out, hangUp
}

// count returns how many answers have passed.
func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answers
}

// strike disturbs the k-th answer from now; the channel is closed when it has.
func (p *proxy) strike(k int, d disturbance) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.what, p.struck = p.answers+k, d, make(chan struct{})
	return p.struck
}

// calm takes a strike back that has not happened.
func (p *proxy) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = 0
}
