package live

import (
	"math"
	"time"

	"trackerdcs/pkg/wire"
)

// Bounds of the age rule.
const (
	creep       = time.Millisecond       // a second: no sender's clock drifts as fast
	leastPace   = 200 * time.Millisecond // over which the pace is judged
	mostDiffers = 100 * 365 * 24 * time.Hour
)

// clock tells how late a device's statuses come, although its clock may be
// wrong by anything. A status says when it was measured by the sender's clock;
// arrival − measured is what the sender's clock lags behind ours plus the time
// that the message took, and the latter cannot be negative. So the smallest
// such difference that was seen is the offset of the clocks, give or take the
// quickest delivery, and a status is late by what its own difference is above it.
//
// The rule:
//
//  1. The offset is the smallest arrival − measured seen. A sender's clock that is
//     set forward makes it smaller at once. It creeps up by 1 ms a second, so that a
//     clock that is slow by up to 0.1 % is followed.
//  2. Until the pace has confirmed it, the offset is at most that of the boot
//     before, or else 0: the first status is taken at its word, because one that a
//     frozen broker delivers late looks like one of a clock that is behind. What is
//     not known to be fresh is shown as old.
//  3. The pace confirms it when statuses come at least half as fast apart as they
//     were measured, over 200 ms or more: those that had waited come faster.
//     So a clock that is an hour behind is believed from the second status on.
//  4. A new boot has to be confirmed anew, and so has a clock whose time went back,
//     which a sender that keeps to the contract does not show.
//
// Our own clock may be set while we run: only the first difference takes our wall
// clock, and what follows the monotonic one.
type clock struct {
	base    time.Time     // of our clock, where arrivals are counted from
	offset  time.Duration // in use
	touched time.Duration // arrival at which the offset last crept

	boot      string
	confirmed bool
	smallest  time.Duration // arrival − measured since it has to be confirmed
	arrival   time.Duration // of the status at which the judging of the pace began
	measured  time.Duration
	last      time.Duration // when the last status was measured
}

// late takes note of a status and returns how long it was on its way.
// One without a time is taken to come at once.
func (c *clock) late(boot string, arrival, measured time.Time) time.Duration {
	first := c.base.IsZero()
	if first {
		c.base = arrival
	}
	a := arrival.Sub(c.base)
	t := measured.Sub(c.base.Round(0)) // by the wall clock: the sender has no other
	if measured.IsZero() || t > mostDiffers || t < -mostDiffers {
		if first {
			c.base = time.Time{}
		}
		return 0
	}
	behind := a - t
	c.offset += time.Duration(float64(creep) * max(0, (a-c.touched).Seconds()))
	c.touched = a
	if first || boot != c.boot || t < c.last {
		c.doubt(boot, a, t)
	}
	c.last = t
	c.offset = min(c.offset, behind)
	if !c.confirmed {
		c.confirm(a, t)
	}
	return behind - c.offset
}

// doubt begins the judging of the pace.
func (c *clock) doubt(boot string, a, t time.Duration) {
	c.boot, c.confirmed = boot, false
	c.smallest, c.arrival, c.measured = math.MaxInt64, a, t
}

// confirm judges the pace.
func (c *clock) confirm(a, t time.Duration) {
	c.smallest = min(c.smallest, a-t)
	came, took := a-c.arrival, t-c.measured
	switch {
	case came < took/2: // it had waited: go on from here
		c.arrival, c.measured = a, t
	case took >= leastPace:
		c.confirmed, c.offset = true, c.smallest
	}
}

// How old a status may be, docs/contract.md, section 5.
const (
	freshPeriods   = 1.5
	invalidPeriods = 5
	pollJitter     = 50 * time.Millisecond // of an instrument's answers
	defaultPeriod  = time.Second
	longestPeriod  = time.Hour // that a driver can be given
)

// period is how often a device is read, as far as is known.
func period(m *wire.Meta) time.Duration {
	if m == nil || !(m.Period > 0 && m.Period <= longestPeriod.Seconds()) {
		return defaultPeriod
	}
	return time.Duration(m.Period * float64(time.Second))
}

// freshness is what a status of that age is worth. That of a device which does
// not read its instrument is at best stale, whatever its age.
func freshness(age, period time.Duration, s *wire.State) string {
	switch {
	case age > invalidPeriods*period+pollJitter:
		return Invalid
	case age > time.Duration(freshPeriods*float64(period))+pollJitter:
		return Stale
	case s != nil && (s.State == wire.Unreachable || s.State == wire.Stopped || s.State == wire.Lost):
		return Stale
	}
	return Fresh
}
