package line

import "time"

// Clock tells how much simulated time has passed since it was last asked.
type Clock struct {
	now   func() time.Time
	speed float64
	last  time.Time
}

// NewClock returns a clock that runs speed times as fast as now; nil is time.Now, 0 is 1.
func NewClock(now func() time.Time, speed float64) *Clock {
	if now == nil {
		now = time.Now
	}
	if speed <= 0 {
		speed = 1
	}
	return &Clock{now: now, speed: speed, last: now()}
}

// Lap returns the simulated time since the last call; a clock set back yields 0.
func (c *Clock) Lap() time.Duration {
	now := c.now()
	d := now.Sub(c.last)
	c.last = now
	return time.Duration(float64(max(d, 0)) * c.speed)
}
