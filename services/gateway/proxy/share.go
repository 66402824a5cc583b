package proxy

import (
	"context"
	"sync"
	"time"
)

// shares are what each person may have of something at once, so that nobody
// takes the part of the others.
type shares struct {
	most int

	mu sync.Mutex
	by map[string]*share // of those who have or want something now
}

type share struct {
	users int           // have, or wait
	taken chan struct{} // one element for each that is had
}

func newShares(most int) *shares { return &shares{most: most, by: make(map[string]*share)} }

// take takes one of somebody's, and waits for it as long as it may. What it
// gives has to be called once; it is nil when there was none in time.
func (s *shares) take(ctx context.Context, key string, patience time.Duration) (leave func()) {
	s.mu.Lock()
	own := s.by[key]
	if own == nil {
		own = &share{taken: make(chan struct{}, s.most)}
		s.by[key] = own
	}
	own.users++
	s.mu.Unlock()
	leave = func() {
		<-own.taken
		s.forget(key, own)
	}
	select {
	case own.taken <- struct{}{}:
		return leave
	default:
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case own.taken <- struct{}{}:
		return leave
	case <-late.C:
	case <-ctx.Done():
	}
	s.forget(key, own)
	return nil
}

func (s *shares) forget(key string, own *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(s.by, key)
	}
}
