package main

import (
	"context"
	"time"
)

// askEvery is how often the archive is asked at most; a question that takes
// long is asked less often, so that it does not become a load of its own.
const askEvery = 100 * time.Millisecond

// patience is for how long, without any progress and in all, what is not in the
// archive is waited for.
type patience struct{ idle, total time.Duration }

var usual = patience{10 * time.Second, 120 * time.Second}

// awaitLast waits until the last messages of a flood, which are numbered n, can
// be queried, or until the flood is over and no more come.
func (s *stand) awaitLast(ctx context.Context, n int, flooded <-chan error) error {
	todo := lastOnes()
	highest, moved, over := 0, time.Now(), false
	for len(todo) > 0 {
		select {
		case err := <-flooded:
			if err != nil {
				return err
			}
			over, flooded, moved = true, nil, time.Now()
		case <-time.After(askEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
		seq, err := s.influx.last(ctx, todo[0])
		switch {
		case err != nil:
			return err
		case seq == n:
			todo = todo[1:]
			highest, moved = 0, time.Now()
		case seq > highest:
			highest, moved = seq, time.Now()
		case over && time.Since(moved) > usual.idle:
			return nil // the count will say what is missing
		}
	}
	if !over {
		return <-flooded
	}
	return nil
}

// awaitCount waits until the archive holds so many points of the devices whose
// name matches, or no more come. It returns how many there are and since when
// they were there.
func (s *stand) awaitCount(ctx context.Context, names string, want int, limit patience) (stored int, at time.Time, err error) {
	began := time.Now()
	at = began
	for {
		asked := time.Now()
		n, err := s.influx.count(ctx, names)
		if err != nil {
			return stored, at, err
		}
		if n > stored {
			stored, at = n, asked
		}
		if stored >= want || time.Since(at) > limit.idle || time.Since(began) > limit.total {
			return stored, at, nil
		}
		if err := sleep(ctx, max(askEvery, 10*time.Since(asked))); err != nil {
			return stored, at, err
		}
	}
}
