package scpi

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// peer is the instrument's end of a connection.
type peer struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func pipe(t *testing.T, o Options) (*Conn, *peer) {
	ours, theirs := net.Pipe()
	c := New(ours, o)
	t.Cleanup(func() { c.Close(); theirs.Close() })
	return c, &peer{t: t, Conn: theirs, in: bufio.NewReader(theirs)}
}

func (p *peer) expect(want string) {
	got, err := p.in.ReadString('\n')
	assert.NoError(p.t, err)
	assert.Equal(p.t, want, got)
}

func (p *peer) say(s string) {
	_, err := io.WriteString(p, s)
	assert.NoError(p.t, err)
}

func isIDN(s string) bool { return strings.HasPrefix(s, "ACME,") }

func TestQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, Options{Send: "\r\n"})
		go func() {
			p.expect("VOLT 1\r\n")
			p.expect("VOLT?\r\n")
			p.say("1.0")
			p.say("00\r")
			p.say("\n")
			p.expect("CURR?\r\n")
			p.say("0.5\n")
		}()
		require.NoError(t, c.Write(t.Context(), "VOLT 1"))
		got, err := c.Query(t.Context(), "VOLT?")
		require.NoError(t, err)
		assert.Equal(t, "1.000", got, "an answer in pieces")
		got, err = c.Query(t.Context(), "CURR?")
		require.NoError(t, err)
		assert.Equal(t, "0.5", got)
	})
}

// What goes wrong in one exchange must never reach the next one.
func TestTheLineIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		play func(p *peer)
		want error
	}{
		"silence":          {func(p *peer) { p.expect("A?\n") }, ErrTimeout},
		"half an answer":   {func(p *peer) { p.expect("A?\n"); p.say("12.") }, ErrTimeout},
		"late answer":      {func(p *peer) { p.expect("A?\n"); time.Sleep(3 * time.Second); _, _ = io.WriteString(p, "1\n") }, ErrTimeout},
		"two answers":      {func(p *peer) { p.expect("A?\n"); p.say("1\n2\n") }, ErrOutOfStep},
		"answer and a bit": {func(p *peer) { p.expect("A?\n"); p.say("1\n2") }, ErrOutOfStep},
		"unasked":          {func(p *peer) { p.say("1\n") }, ErrOutOfStep},
		"garbage":          {func(p *peer) { p.expect("A?\n"); p.say("\xff\x81\n") }, ErrGarbled},
		"control":          {func(p *peer) { p.expect("A?\n"); p.say("1\x002\n") }, ErrGarbled},
		"without end":      {func(p *peer) { p.expect("A?\n"); _, _ = io.WriteString(p, strings.Repeat("9", MaxLine+2)) }, ErrGarbled},
		"closed":           {func(p *peer) { p.expect("A?\n"); p.Close() }, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, p := pipe(t, Options{})
				played := make(chan struct{})
				go func() { defer close(played); c.play(p) }()
				synctest.Wait()
				_, err := conn.Query(t.Context(), "A?")
				require.ErrorIs(t, err, c.want)
				for range 2 {
					got, err := conn.Query(t.Context(), "B?")
					require.ErrorIs(t, err, ErrGivenUp)
					require.ErrorIs(t, err, c.want, "and why")
					assert.Empty(t, got)
					require.ErrorIs(t, conn.Write(t.Context(), "B 1"), ErrGivenUp)
				}
				<-played
			})
		})
	}
}

func TestTimeoutIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, Options{Timeout: 300 * time.Millisecond})
		go p.expect("A?\n")
		start := time.Now()
		_, err := c.Query(t.Context(), "A?")
		require.ErrorIs(t, err, ErrTimeout)
		assert.Equal(t, 300*time.Millisecond, time.Since(start))
	})
	synctest.Test(t, func(t *testing.T) { // nobody takes what is sent
		c, _ := pipe(t, Options{Timeout: 300 * time.Millisecond})
		require.ErrorIs(t, c.Write(t.Context(), "A"), ErrTimeout)
	})
}

func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, Options{})
		go p.expect("A?\n")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		_, err := c.Query(ctx, "A?")
		require.ErrorIs(t, err, context.Canceled)
		_, err = c.Query(t.Context(), "A?")
		require.ErrorIs(t, err, ErrGivenUp, "an answer may still come")
	})
	synctest.Test(t, func(t *testing.T) { // nothing was sent, so nothing is lost
		c, p := pipe(t, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.Query(ctx, "A?")
		require.ErrorIs(t, err, context.Canceled)
		_, err = c.Query(t.Context(), "A?\nB")
		require.ErrorContains(t, err, "not a command")
		go func() { p.expect("A?\n"); p.say("1\n") }()
		got, err := c.Query(t.Context(), "A?")
		require.NoError(t, err)
		assert.Equal(t, "1", got)
	})
}

func TestSyncThrowsAwayWhatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, Options{})
		go func() {
			p.say("3.3")
			p.expect("*IDN?\n")
			p.say("00\n")
			p.say("\xff\xfe\n")
			p.say("ACME,A,1,2\n") // to a question of an earlier life
			p.say("4.400\n")
			time.Sleep(20 * time.Millisecond)
			p.say("ACME,A,1,2\n") // the answer
			p.expect("VOLT?\n")
			p.say("5.500\n")
		}()
		got, err := c.Sync(t.Context(), "*IDN?", isIDN)
		require.NoError(t, err)
		assert.Equal(t, "ACME,A,1,2", got)
		got, err = c.Query(t.Context(), "VOLT?")
		require.NoError(t, err)
		assert.Equal(t, "5.500", got)
	})
}

func TestSyncGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, Options{Timeout: time.Second})
		go func() { p.expect("*IDN?\n"); p.say("OTHER,A,1,2\n") }()
		_, err := c.Sync(t.Context(), "*IDN?", isIDN)
		require.ErrorIs(t, err, ErrTimeout)
		require.ErrorContains(t, err, "OTHER,A,1,2")
		_, err = c.Query(t.Context(), "A?")
		require.ErrorIs(t, err, ErrGivenUp)
	})
}

func TestEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, Options{})
		go func() {
			for _, s := range [][2]string{{"*IDN?", "ACME,A,1,2\n"}, {"VOLT 1", ""}, {"VOLT?", "1.0\n"}, {"CURR?", "1.0\n"}} {
				p.expect(s[0] + "\n")
				if s[0] == "CURR?" {
					s[0] = "VOLT?" // out of step by one
				}
				p.say(s[0] + "\n" + s[1])
			}
		}()
		_, err := c.Sync(t.Context(), "*IDN?", isIDN)
		require.NoError(t, err)
		require.NoError(t, c.Write(t.Context(), "VOLT 1"))
		got, err := c.Query(t.Context(), "VOLT?")
		require.NoError(t, err)
		assert.Equal(t, "1.0", got)
		_, err = c.Query(t.Context(), "CURR?")
		require.ErrorIs(t, err, ErrOutOfStep)
	})
}

func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, Options{})
		go func() {
			p.expect("A?\n")
			p.say("1\n")
			p.expect("*IDN?\n")
			p.say("ACME,A,1,2\n")
			p.expect("B?\n")
			p.expect("*IDN?\n")
			p.say("ACME,A,1,2\n")
			p.expect("C?\n")
			p.say("1\n")
			p.expect("*IDN?\n")
			p.say("2\nACME,A,1,2\n")
		}()
		got, known, err := c.Probe(t.Context(), "A?", "*IDN?", isIDN)
		require.NoError(t, err)
		assert.True(t, known)
		assert.Equal(t, "1", got)
		_, known, err = c.Probe(t.Context(), "B?", "*IDN?", isIDN)
		require.NoError(t, err)
		assert.False(t, known)
		_, known, err = c.Probe(t.Context(), "C?", "*IDN?", isIDN)
		require.ErrorIs(t, err, ErrOutOfStep)
		assert.False(t, known)
	})
}

func TestCloseEndsAnExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, Options{})
		go p.expect("A?\n")
		time.AfterFunc(time.Millisecond, func() { c.Close() })
		_, err := c.Query(t.Context(), "A?")
		require.Error(t, err)
		require.NoError(t, c.Close())
	})
}

func TestDialTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for {
			if _, err := in.ReadString('\n'); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "42\n")
		}
	}()
	c, err := Dial(t.Context(), "tcp://"+l.Addr().String(), Options{})
	require.NoError(t, err)
	got, err := c.Query(t.Context(), "A?")
	require.NoError(t, err)
	assert.Equal(t, "42", got)
	require.NoError(t, c.Close())

	const address = "127.0.0.1:1" // a port that was free a moment ago may be another's
	_, err = Dial(t.Context(), "tcp://"+address, Options{})
	require.ErrorContains(t, err, address)
}

func TestDialSerial(t *testing.T) {
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Fatalf("no pseudo-terminal: %v", err)
	}
	defer ptmx.Close()
	defer tty.Close()
	c, err := Dial(t.Context(), "serial://"+tty.Name()+"?baud=115200&data=8&parity=none&stop=1", Options{Timeout: time.Minute})
	require.NoError(t, err)
	go func() {
		in := bufio.NewReader(ptmx)
		for {
			q, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if q == "A?\n" {
				_, _ = io.WriteString(ptmx, "42\r\n")
			}
		}
	}()
	got, err := c.Query(t.Context(), "A?")
	require.NoError(t, err)
	assert.Equal(t, "42", got)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = c.Query(ctx, "B?")
	require.ErrorIs(t, err, context.DeadlineExceeded, "a deadline holds on a serial line too")
	require.NoError(t, c.Close())
}

// Fault 22: the cable is pulled out.
func TestFault22SerialUnplugged(t *testing.T) {
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Fatalf("no pseudo-terminal: %v", err)
	}
	c, err := Dial(t.Context(), "serial://"+tty.Name(), Options{Timeout: time.Minute})
	require.NoError(t, err)
	tty.Close()
	ptmx.Close()
	start := time.Now()
	_, err = c.Query(t.Context(), "A?")
	require.Error(t, err)
	assert.NotErrorIs(t, err, ErrTimeout, "noticed at once")
	assert.Less(t, time.Since(start), 30*time.Second)
	require.NoError(t, c.Close())
	_, err = Dial(t.Context(), "serial://"+tty.Name(), Options{})
	require.Error(t, err)
	assert.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}
