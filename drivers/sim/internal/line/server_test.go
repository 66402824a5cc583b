package line

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pipes is a listener within the test: its connections know the time of synctest.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (p *pipes) Dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- there
	return here
}

// client talks as a driver does.
type client struct {
	net.Conn
	in *bufio.Reader
}

func (p *pipes) client() client {
	c := p.Dial()
	return client{c, bufio.NewReader(c)}
}

func (c client) say(t *testing.T, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

func (c client) ask(t *testing.T, text string) string {
	t.Helper()
	c.say(t, text+"\r\n")
	answer, err := c.in.ReadString('\n')
	require.NoError(t, err)
	return answer
}

// echo starts a server that answers "re <line>" to what ends with a question mark.
func echo(t *testing.T) (*Server, *pipes) {
	var log []string
	s := NewServer("\r\n", func(text string) string {
		log = append(log, text)
		if strings.HasSuffix(text, "?") {
			return "re " + text
		}
		return ""
	})
	p := newPipes()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, p) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
		assert.Zero(t, s.Connections())
	})
	return s, p
}

func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := echo(t)
		a, b := p.client(), p.client()
		assert.Equal(t, "re a?\r\n", a.ask(t, "a?"))
		assert.Equal(t, "re b?\r\n", b.ask(t, "b?"))
		a.say(t, "set\nhalf")
		assert.Equal(t, "re half?\r\n", a.ask(t, "?"))
		a.say(t, strings.Repeat("x", 3*maxLine)+"?\r\n")
		assert.Equal(t, "re next?\r\n", a.ask(t, "next?"), "a line too long is dropped whole")
	})
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := echo(t)
		c := p.client()

		s.Garble(1)
		garbled := c.ask(t, "1?")
		assert.NotContains(t, garbled, "re")
		assert.False(t, strings.ContainsAny(garbled, "0123456789"))
		assert.Equal(t, "re 2?\r\n", c.ask(t, "2?"))

		s.Truncate(1)
		c.say(t, "12345?\r\n")
		half := make([]byte, 4)
		_, err := io.ReadFull(c.in, half)
		require.NoError(t, err)
		assert.Equal(t, "re 1", string(half))
		assert.Equal(t, "re 3?\r\n", c.ask(t, "3?"), "the rest never comes")

		s.Mute(1)
		c.say(t, "lost?\r\n")
		assert.Equal(t, "re 4?\r\n", c.ask(t, "4?"))

		start := time.Now()
		s.Late(1, time.Minute)
		assert.Equal(t, "re 5?\r\n", c.ask(t, "5?"))
		assert.Equal(t, time.Minute, time.Since(start))

		s.Delay(100 * time.Millisecond)
		start = time.Now()
		c.say(t, "set\n")
		assert.Equal(t, "re 6?\r\n", c.ask(t, "6?"))
		assert.Equal(t, 200*time.Millisecond, time.Since(start))
		s.Delay(0)

		s.Silence(true)
		c.say(t, "never?\r\n")
		c.SetReadDeadline(time.Now().Add(time.Hour))
		_, err = c.in.ReadString('\n')
		assert.ErrorContains(t, err, "timeout")
		c.SetReadDeadline(time.Time{})
		s.Silence(false)
		assert.Equal(t, "re 7?\r\n", c.ask(t, "7?"))
	})
}

func TestConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := echo(t)
		c := p.client()
		c.ask(t, "1?")
		s.Refuse(true)
		_, err := p.Dial().Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
		assert.Equal(t, "re 2?\r\n", c.ask(t, "2?"), "what stands is let be")
		s.Refuse(false)

		s.Drop()
		_, err = c.in.ReadByte()
		assert.ErrorIs(t, err, io.EOF)

		c = p.client()
		s.DropAfter(2)
		assert.Equal(t, "re 3?\r\n", c.ask(t, "3?"))
		c.say(t, "4?\r\n")
		_, err = c.in.ReadByte()
		assert.ErrorIs(t, err, io.EOF)
		assert.Equal(t, "re 5?\r\n", p.client().ask(t, "5?"))
	})
}

func TestEndDoesNotWaitForADelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := echo(t)
		s.Delay(time.Hour)
		c := p.client()
		c.say(t, "1?\r\n")
		synctest.Wait()
	})
}

type broken struct{ *pipes }

func (broken) Accept() (net.Conn, error) { return nil, errors.New("no more file descriptors") }

func TestServeReportsABrokenListener(t *testing.T) {
	s := NewServer("\n", func(string) string { return "" })
	assert.ErrorContains(t, s.Serve(t.Context(), broken{newPipes()}), "no more file descriptors")
}

func TestJournalIsBounded(t *testing.T) {
	var j Journal
	for range 2 * journalSize {
		j.Heard("x")
		j.Altered(1, "y")
	}
	j.Altered(-1, "*RST")
	assert.LessOrEqual(t, len(j.Log()), journalSize)
	writes := j.Writes()
	assert.LessOrEqual(t, len(writes), journalSize)
	assert.Equal(t, []string{"1 y", "- *RST"}, writes[len(writes)-2:])
}

func TestClock(t *testing.T) {
	now := time.Unix(0, 0)
	c := NewClock(func() time.Time { return now }, 10)
	now = now.Add(time.Second)
	assert.Equal(t, 10*time.Second, c.Lap())
	now = now.Add(-time.Hour)
	assert.Zero(t, c.Lap(), "set back")
	now = now.Add(time.Second)
	assert.Equal(t, 10*time.Second, c.Lap())
}
