package api

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	maxHeavy      = 4               // answers of the databases that are made at a time
	maxHeavyOfOne = 2               // of one person
	heavyWait     = 5 * time.Second // that somebody waits for room
)

// slots have room for the answers that are made at a time and take much memory.
// They are for the making alone: who does not read an answer keeps nobody else
// from one.
type slots struct {
	all chan struct{}

	mu  sync.Mutex
	own map[string]*ownSlots
}

type ownSlots struct {
	room  chan struct{}
	users int // who have or want room; at 0 it is forgotten
}

func newSlots() *slots {
	return &slots{all: make(chan struct{}, maxHeavy), own: make(map[string]*ownSlots)}
}

// take waits for room, for heavyWait at most, and is undone by the function that
// it returns, which may be called more than once.
func (s *slots) take(ctx context.Context, person string) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, heavyWait)
	defer cancel()
	own := s.enter(person)
	select {
	case own.room <- struct{}{}:
	case <-ctx.Done():
		s.leave(person)
		return nil, refuse(http.StatusServiceUnavailable, "busy", "%d answers for you are being made, which takes long: wait for them, and try again.", maxHeavyOfOne)
	}
	select {
	case s.all <- struct{}{}:
	case <-ctx.Done():
		<-own.room
		s.leave(person)
		return nil, refuse(http.StatusServiceUnavailable, "busy", "Too much is being asked for at once: try again.")
	}
	return sync.OnceFunc(func() {
		<-s.all
		<-own.room
		s.leave(person)
	}), nil
}

func (s *slots) enter(person string) *ownSlots {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.own[person]
	if own == nil {
		own = &ownSlots{room: make(chan struct{}, maxHeavyOfOne)}
		s.own[person] = own
	}
	own.users++
	return own
}

func (s *slots) leave(person string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.own[person]
	if own.users--; own.users == 0 {
		delete(s.own, person)
	}
}

// heavy answers with what make makes, in its slot; the answer is written when
// the slot is free again.
func (s *server) heavy(w http.ResponseWriter, r *http.Request, make func() (any, error)) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	release, err := s.slots.take(r.Context(), who.Signed())
	if err != nil {
		return err
	}
	defer release() // of what fails, or panics
	v, err := make()
	if err != nil {
		return err
	}
	body, err := encode(v)
	if err != nil {
		return err
	}
	release()
	writeBody(w, http.StatusOK, body)
	return nil
}
