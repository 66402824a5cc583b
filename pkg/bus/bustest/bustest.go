// Package bustest listens and talks on a bus for tests.
package bustest

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"trackerdcs/pkg/bus"
)

// Patience is how long a test waits for what should come: far above what a
// machine takes that has other things to do.
const Patience = time.Minute

// Listener hears what is said on a bus and can say something itself.
type Listener struct {
	t      testing.TB
	client *bus.Client

	mu     sync.Mutex
	heard  []bus.Message
	change chan struct{} // closed and made anew with each message
}

// Listen connects to a broker and subscribes; it returns once the
// subscriptions are granted and hangs up when the test ends.
func Listen(t testing.TB, url string, filters ...string) *Listener {
	t.Helper()
	c, err := bus.New(bus.Options{Broker: url, ClientID: "test-" + rand.Text()})
	if err != nil {
		t.Fatal(err)
	}
	l := &Listener{t: t, client: c, change: make(chan struct{})}
	for _, f := range filters {
		c.Subscribe(f, 1, l.hear)
	}
	up := make(chan struct{})
	var once sync.Once
	c.OnConnect(func() { once.Do(func() { close(up) }) })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	select {
	case <-up:
	case <-time.After(Patience):
		t.Fatal("no connection to the broker at ", url)
	}
	return l
}

func (l *Listener) hear(m bus.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, m)
	close(l.change)
	l.change = make(chan struct{})
}

// Say publishes with QoS 1 and waits for the broker's confirmation;
// when there is no connection, for that first.
func (l *Listener) Say(topic, payload string) { l.say(topic, payload, false) }

// Leave publishes a retained message.
func (l *Listener) Leave(topic, payload string) { l.say(topic, payload, true) }

func (l *Listener) say(topic, payload string, retained bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		err := l.client.Publish(ctx, bus.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retained: retained})
		switch {
		case err == nil:
			return
		case ctx.Err() != nil || !errors.Is(err, bus.ErrOffline):
			l.t.Fatalf("publishing on %s: %v", topic, err)
		}
		<-again.C
	}
}

// AwaitRetained waits until a retained message is given to new subscribers: a
// broker may confirm it a moment before that.
func AwaitRetained(t testing.TB, url, topic string) {
	t.Helper()
	awaitRetained(t, url, topic, func(bus.Message) bool { return true })
}

// AwaitRetainedAs waits until that is what new subscribers are given, and not
// what was retained before.
func AwaitRetainedAs(t testing.TB, url, topic, payload string) {
	t.Helper()
	awaitRetained(t, url, topic, func(m bus.Message) bool { return string(m.Payload) == payload })
}

func awaitRetained(t testing.TB, url, topic string, wanted func(bus.Message) bool) {
	t.Helper()
	for began := time.Now(); time.Since(began) < Patience; {
		l := Listen(t, url, topic)
		for range 20 {
			if m := l.Heard(topic); len(m) > 0 && wanted(m[0]) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	t.Fatalf("%s is not retained", topic)
}

// SayUnconfirmed publishes with QoS 0 and does not wait.
func (l *Listener) SayUnconfirmed(topic, payload string) {
	l.client.Send(bus.Message{Topic: topic, Payload: []byte(payload)}, nil)
}

// Heard is what has come so far on a topic.
func (l *Listener) Heard(topic string) []bus.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []bus.Message
	for _, m := range l.heard {
		if m.Topic == topic {
			out = append(out, m)
		}
	}
	return out
}

// Mark is how many messages have come; Await looks at those from a mark on.
func (l *Listener) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.heard)
}

// Await waits for a message from mark on that is as wanted; what says it in
// the failure.
func (l *Listener) Await(mark int, what string, wanted func(bus.Message) bool) bus.Message {
	l.t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for {
		l.mu.Lock()
		news, change := l.heard[mark:], l.change
		l.mu.Unlock()
		for _, m := range news {
			if wanted(m) {
				return m
			}
		}
		mark += len(news)
		select {
		case <-change:
		case <-deadline.C:
			l.t.Fatalf("waited %v in vain for %s; the last messages were\n%s", Patience, what, l.tail())
		}
	}
}

func (l *Listener) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, m := range l.heard[max(0, len(l.heard)-8):] {
		b.WriteString("  " + m.Topic + " " + string(m.Payload) + "\n")
	}
	return b.String()
}
