package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// states watches the states of devices and services on the bus. Those that the
// broker kept from an earlier life of the demonstrator do not count.
type states struct {
	client *bus.Client
	began  time.Time

	mu     sync.Mutex
	latest map[string]wire.State // by topic
	change chan struct{}         // closed and made anew at each change
}

func newStates(broker string) *states {
	s := &states{began: time.Now(), latest: make(map[string]wire.State), change: make(chan struct{})}
	c, err := bus.New(bus.Options{Broker: broker, ClientID: fmt.Sprintf("dcs-demo-%d", os.Getpid())})
	if err != nil {
		panic("dcs: " + err.Error()) // the address is our own
	}
	c.Subscribe("/+/state", 1, s.take)
	c.Subscribe("/service/+/state", 1, s.take)
	s.client = c
	return s
}

func (s *states) run(ctx context.Context) { _ = s.client.Run(ctx) }

func (s *states) take(m bus.Message) {
	var st wire.State
	if json.Unmarshal(m.Payload, &st) != nil || st.Time.Before(s.began) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest[m.Topic] = st
	close(s.change)
	s.change = make(chan struct{})
}

// ready waits until the state on a topic is ready.
func (s *states) ready(topic string) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			s.mu.Lock()
			st, ok := s.latest[topic]
			change := s.change
			s.mu.Unlock()
			if ok && st.State == wire.Ready {
				return nil
			}
			select {
			case <-change:
			case <-ctx.Done():
				if !ok {
					return errors.New("it has said nothing on " + topic)
				}
				return fmt.Errorf("its state is %s: %s", st.State, st.Error)
			}
		}
	}
}
