package wire

import "time"

// Stamper gives times that strictly increase, whatever is done to the wall
// clock: while the clock is behind what was given out, time goes on at the
// speed of the monotonic clock. The zero Stamper is ready; it is not safe for
// concurrent use.
type Stamper struct {
	last time.Time // as given out: UTC, whole microseconds
	mono time.Time // the reading it was made from, with its monotonic part
}

// Next turns a reading of the clock into the next time, in UTC and
// microseconds.
func (s *Stamper) Next(now time.Time) time.Time {
	t := now.UTC().Round(0).Truncate(time.Microsecond)
	if !s.mono.IsZero() && !t.After(s.last) {
		t = s.last.Add(max(now.Sub(s.mono).Truncate(time.Microsecond), time.Microsecond))
	}
	s.last, s.mono = t, now
	return t
}
