package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/wire"
)

// patience is far above what anything here takes.
const patience = time.Minute

// fake is a device on the bus that answers as a test tells it to.
type fake struct {
	t      *testing.T
	broker string
	name   string
	boot   string
	*bus.Client

	mu     sync.Mutex
	got    []wire.Command
	answer func(wire.Command) []wire.Ack
}

// newFake is a device that is on the bus for the length of the test.
func newFake(t *testing.T, broker, name string) *fake {
	t.Helper()
	c, err := bus.New(bus.Options{Broker: broker, ClientID: "fake-" + name})
	require.NoError(t, err)
	f := &fake{t: t, broker: broker, name: name, boot: "b00", Client: c}
	c.Subscribe(wire.Root("").Commands(name), 2, f.command)
	up := make(chan struct{})
	var once sync.Once
	c.OnConnect(func() { once.Do(func() { close(up) }) })
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan struct{})
	go func() {
		defer close(left)
		_ = c.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-left
	})
	select {
	case <-up:
	case <-time.After(patience):
		require.Fail(t, "the fake device found no broker")
	}
	return f
}

// answers has every command answered with these acks, of which only what
// matters need be said.
func (f *fake) answers(acks ...wire.Ack) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = func(wire.Command) []wire.Ack { return acks }
}

func (f *fake) command(m bus.Message) {
	op, channel, _ := wire.Root("").CutCommand(f.name, m.Topic)
	cmd, err := wire.ParseCommand(op, channel, m.Payload)
	if err != nil {
		f.t.Errorf("%s %s: %v", m.Topic, m.Payload, err)
		return
	}
	f.mu.Lock()
	f.got = append(f.got, cmd)
	answer := f.answer
	f.mu.Unlock()
	if answer == nil {
		return
	}
	for _, a := range answer(cmd) {
		if a.ID == "" {
			a.ID = cmd.ID
		}
		if a.Code == "" {
			a.Code = wire.OK
		}
		a.Boot, a.Op, a.Channel, a.Value, a.User = f.boot, cmd.Op, cmd.Channel, cmd.Value(), cmd.User
		f.Send(bus.Message{Topic: wire.Root("").Ack(f.name), QoS: 1, Payload: wire.Encode(a)}, nil)
	}
}

func (f *fake) commands() []wire.Command {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got
}

// says publishes and waits until the broker has it, and gives it to those who come
// when it is retained.
func (f *fake) says(topic string, retained bool, payload any) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(f.t, f.Publish(ctx, bus.Message{Topic: topic, QoS: 1, Retained: retained, Payload: wire.Encode(payload)}))
	if retained {
		bustest.AwaitRetainedAs(f.t, f.broker, topic, string(wire.Encode(payload)))
	}
}

func (f *fake) saysState(state, problem string) {
	f.t.Helper()
	f.says(wire.Root("").State(f.name), true, wire.State{State: state, Boot: f.boot, Error: problem})
}

// keepsSaying publishes statuses until the test ends, so that whoever comes to
// listen hears the next one.
func (f *fake) keepsSaying(status string) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f.Send(bus.Message{Topic: wire.Root("").Status(f.name), QoS: 1, Payload: []byte(status)}, nil)
			case <-ctx.Done():
				return
			}
		}
	}()
	f.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// paper is what a command prints on. A test can wait for words on it.
type paper struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{} // holds one token
}

func newPaper() *paper { return &paper{changed: make(chan struct{}, 1)} }

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default:
	}
	return p.b.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

func (p *paper) await(t *testing.T, words string) {
	t.Helper()
	limit := time.After(patience)
	for !strings.Contains(p.String(), words) {
		select {
		case <-p.changed:
		case <-limit:
			text := p.String()
			require.Failf(t, "not printed", "%q is not in …%s", words, text[max(0, len(text)-2000):])
		}
	}
}

// printed is a console that is no terminal.
func printed() (con console, out, err *paper) {
	out, err = newPaper(), newPaper()
	return console{out: out, err: err, size: func() (int, int, bool) { return 0, 0, false }}, out, err
}

// codeOf is how dcs would end.
func codeOf(t *testing.T, err error) int {
	t.Helper()
	var code exitCode
	if err == nil {
		return 0
	}
	if !errors.As(err, &code) {
		return 1
	}
	return int(code)
}

// jsonLines reads one object a line.
func jsonLines(t *testing.T, text string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(text) {
		var o map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &o), line)
		out = append(out, o)
	}
	return out
}
