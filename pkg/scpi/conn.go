// Package scpi is the line protocol of laboratory instruments: a command is a
// line, a query is a line that is answered by one line (IEEE 488.2 and
// SCPI-99), over TCP or a serial line.
//
// What it is careful about: an answer is never matched to another question
// than its own. When the two ends can be out of step (no answer in time, an
// answer that is not text, bytes that nobody asked for) the connection is
// given up, and the next one begins with an identity query whose answer tells
// where the new conversation starts.
package scpi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// MaxLine is the longest answer that any connection takes, in bytes.
const MaxLine = 64 << 10

// Options are what differs between instruments; the zero value works with many.
type Options struct {
	Send    string        // ends each command; default "\n"
	Accept  string        // ends each answer; default "\n", and a CR before it is dropped
	Timeout time.Duration // of one exchange; default 2 s
	MaxLine int           // bytes of an answer; default and at most MaxLine
	Quiet   time.Duration // silence that Sync waits for after its answer; default 50 ms
}

func (o Options) withDefaults() Options {
	if o.Send == "" {
		o.Send = "\n"
	}
	if o.Accept == "" {
		o.Accept = "\n"
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	if o.MaxLine <= 0 || o.MaxLine > MaxLine {
		o.MaxLine = MaxLine
	}
	if o.Quiet <= 0 {
		o.Quiet = 50 * time.Millisecond
	}
	return o
}

var (
	// ErrTimeout is matched when an exchange took longer than Options.Timeout.
	ErrTimeout = errors.New("time-out")
	// ErrOutOfStep is matched when the instrument sent what was not asked for.
	ErrOutOfStep = errors.New("out of step")
	// ErrGarbled is matched when an answer is not printable ASCII, or too long.
	ErrGarbled = errors.New("garbled answer")
	// ErrGivenUp is matched by all calls after the one that failed: the
	// connection has to be closed and dialled anew.
	ErrGivenUp = errors.New("the connection has been given up")
)

// Conn is a connection to an instrument. Exchanges are made one after the
// other; Close may be called at any time.
type Conn struct {
	rwc  io.ReadWriteCloser
	opts Options
	in   inbox
	done chan struct{} // the reader has ended

	turn sync.Mutex // held during an exchange
	echo bool       // each command comes back before its answer

	mu     sync.Mutex
	failed error // what the connection was given up for
	closed error // what closing it gave
	once   sync.Once
}

// Dial connects to an address as CheckAddress describes it.
func Dial(ctx context.Context, address string, o Options) (*Conn, error) {
	rwc, err := DialPort(ctx, address)
	if err != nil {
		return nil, err
	}
	return New(rwc, o), nil
}

// New speaks over rwc, whose Close must end a Read that waits. The connection
// owns rwc from now on.
func New(rwc io.ReadWriteCloser, o Options) *Conn {
	c := &Conn{rwc: rwc, opts: o.withDefaults(), done: make(chan struct{})}
	c.in.wake = make(chan struct{}, 1)
	c.in.max = c.opts.MaxLine + len(c.opts.Accept)
	go func() {
		defer close(c.done)
		c.in.fill(rwc)
	}()
	return c
}

// Close ends the connection.
func (c *Conn) Close() error {
	c.shut()
	<-c.done
	return c.closed
}

func (c *Conn) shut() { c.once.Do(func() { c.closed = c.rwc.Close() }) }

// Fail gives the connection up because of err, and returns err: for who finds
// that an answer cannot be the one to its question.
func (c *Conn) Fail(err error) error {
	c.mu.Lock()
	if c.failed == nil {
		c.failed = err
	}
	c.mu.Unlock()
	c.shut()
	return err
}

func (c *Conn) usable() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return fmt.Errorf("%w: %w", ErrGivenUp, c.failed)
	}
	return nil
}

// Write sends a command that is not answered.
func (c *Conn) Write(ctx context.Context, cmd string) error {
	return c.exchange(ctx, cmd, func(context.Context) error { return nil })
}

// Query sends a query and returns its answer without the terminator.
func (c *Conn) Query(ctx context.Context, cmd string) (answer string, err error) {
	err = c.exchange(ctx, cmd, func(ctx context.Context) error {
		if answer, err = c.line(ctx); err != nil {
			return err
		}
		if n := c.in.waiting(); n > 0 {
			return fmt.Errorf("%w: %d bytes after the answer %.40q", ErrOutOfStep, n, answer)
		}
		return nil
	})
	return answer, err
}

// Ask sends a query and parses its answer. One that cannot be parsed is none
// to this question, and a reason to give the connection up: the right one may
// still come.
func Ask[T any](ctx context.Context, c *Conn, query string, parse func(answer string) (T, error)) (T, error) {
	var none T
	answer, err := c.Query(ctx, query)
	if err != nil {
		return none, err
	}
	v, err := parse(answer)
	if err != nil {
		return none, c.Fail(fmt.Errorf("%.60q: %w", query, err))
	}
	return v, nil
}

// exchange sends a command and lets rest do what follows, within the time-out.
func (c *Conn) exchange(ctx context.Context, cmd string, rest func(context.Context) error) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	if err := c.ready(ctx, cmd); err != nil {
		return fmt.Errorf("%.60q: %w", cmd, err)
	}
	if n := c.in.waiting(); n > 0 {
		return c.Fail(fmt.Errorf("%.60q not sent: %w: %d bytes that nobody asked for", cmd, ErrOutOfStep, n))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.opts.Timeout, ErrTimeout)
	defer cancel()
	err := c.send(ctx, cmd)
	if err == nil && c.echo {
		err = c.takeEcho(ctx, cmd)
	}
	if err == nil {
		err = rest(ctx)
	}
	if err != nil {
		return c.Fail(fmt.Errorf("%.60q: %w", cmd, err))
	}
	return nil
}

// ready says whether cmd can be sent. When it cannot, nothing has happened.
func (c *Conn) ready(ctx context.Context, cmd string) error {
	if err := c.usable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("not sent: %w", err)
	}
	if cmd == "" || !printable(cmd) {
		return errors.New("not a command: it is empty or has control characters")
	}
	return nil
}

// send writes a command in a goroutine of its own, because a serial line has
// no deadline and may wait for its other end for ever.
func (c *Conn) send(ctx context.Context, cmd string) error {
	out := []byte(cmd + c.opts.Send)
	sent := make(chan error, 1)
	go func() {
		n, err := c.rwc.Write(out)
		if err == nil && n < len(out) {
			err = io.ErrShortWrite
		}
		sent <- err
	}()
	select {
	case err := <-sent:
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("send: %w", context.Cause(ctx))
	}
}

func (c *Conn) takeEcho(ctx context.Context, cmd string) error {
	got, err := c.line(ctx)
	if err != nil {
		return fmt.Errorf("echo: %w", err)
	}
	if got != cmd {
		return fmt.Errorf("%w: %.40q came instead of the echo", ErrOutOfStep, got)
	}
	return nil
}

// line waits for the next line and makes sure that it is text.
func (c *Conn) line(ctx context.Context) (string, error) {
	raw, err := c.in.line(ctx, c.opts.Accept)
	if err != nil {
		return "", err
	}
	if !printable(raw) {
		return "", fmt.Errorf("%w: %.40q", ErrGarbled, raw)
	}
	return raw, nil
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return (r < ' ' && r != '\t') || r > '~' }) < 0
}

// Sync finds the beginning of the conversation: it sends a query whose answer
// cannot be mistaken, discards what comes until matches recognises it, and
// then what comes until it is quiet. Answers to questions of an earlier
// connection, which serial lines and serial servers deliver late, end here:
// instruments answer in order. It also notices whether the instrument echoes
// commands, and takes the echoes off from then on.
func (c *Conn) Sync(ctx context.Context, query string, matches func(answer string) bool) (answer string, err error) {
	c.turn.Lock()
	defer c.turn.Unlock()
	if err := c.ready(ctx, query); err != nil {
		return "", fmt.Errorf("%.60q: %w", query, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.opts.Timeout, ErrTimeout)
	defer cancel()
	c.in.discard()
	if err := c.send(ctx, query); err != nil {
		return "", c.Fail(fmt.Errorf("%.60q: %w", query, err))
	}
	var last string
	for answer = ""; !matches(answer); {
		last = answer
		if answer, err = c.in.line(ctx, c.opts.Accept); err != nil {
			return "", c.Fail(fmt.Errorf("%.60q: no answer that fits, last %.60q: %w", query, last, err))
		}
	}
	if !printable(answer) {
		return "", c.Fail(fmt.Errorf("%.60q: %w: %.60q", query, ErrGarbled, answer))
	}
	c.echo = last == query
	if err := c.in.quiet(ctx, c.opts.Quiet); err != nil {
		return "", c.Fail(fmt.Errorf("%.60q: after the answer: %w", query, err))
	}
	return answer, nil
}

// Probe asks what an instrument may not know, and finds out without waiting
// for a time-out: it sends the query and after it one that is always answered.
// known is false when no answer came before that one's.
func (c *Conn) Probe(ctx context.Context, query, sync string, matches func(answer string) bool) (answer string, known bool, err error) {
	err = c.exchange(ctx, query, func(ctx context.Context) error {
		if err := c.send(ctx, sync); err != nil {
			return err
		}
		for {
			got, err := c.line(ctx)
			switch {
			case err != nil:
				return err
			case c.echo && got == sync:
			case matches(got):
				if n := c.in.waiting(); n > 0 {
					return fmt.Errorf("%w: %d bytes after the answer %.40q", ErrOutOfStep, n, got)
				}
				return nil
			case known:
				return fmt.Errorf("%w: a second answer %.40q", ErrOutOfStep, got)
			default:
				answer, known = got, true
			}
		}
	})
	return answer, known && err == nil, err
}

// inbox holds what the instrument sent and nobody has taken yet.
type inbox struct {
	mu   sync.Mutex
	buf  []byte
	err  error         // why nothing more comes
	wake chan struct{} // something has changed
	max  int
}

// fill takes what r gives until it ends, or until more is waiting than any
// answer has.
func (in *inbox) fill(r io.Reader) {
	chunk := make([]byte, 4096)
	for {
		n, err := r.Read(chunk)
		in.mu.Lock()
		in.buf = append(in.buf, chunk[:n]...)
		if err == nil && len(in.buf) > in.max {
			err = fmt.Errorf("%w: more than %d bytes without end", ErrGarbled, in.max)
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the instrument closed the connection
		}
		in.err = err
		in.mu.Unlock()
		select {
		case in.wake <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (in *inbox) waiting() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.buf)
}

func (in *inbox) discard() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.buf = nil
}

// line waits for a whole line and takes it.
func (in *inbox) line(ctx context.Context, end string) (string, error) {
	for {
		in.mu.Lock()
		line, rest, found := bytes.Cut(in.buf, []byte(end))
		if found {
			s := string(bytes.TrimRight(line, "\r\n"))
			in.buf = bytes.Clone(rest)
			in.mu.Unlock()
			return s, nil
		}
		n, err := len(in.buf), in.err
		in.mu.Unlock()
		if err != nil {
			return "", fmt.Errorf("%d bytes without line end, then: %w", n, err)
		}
		select {
		case <-in.wake:
		case <-ctx.Done():
			return "", fmt.Errorf("%d bytes without line end, then: %w", n, context.Cause(ctx))
		}
	}
}

// quiet discards what comes until nothing has come for d.
func (in *inbox) quiet(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		in.mu.Lock()
		err := in.err
		in.buf = nil
		in.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-t.C:
			in.discard()
			return nil
		case <-in.wake:
			t.Reset(d)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
