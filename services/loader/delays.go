package main

import (
	"math"
	"sync"
)

// delays counts how long live statuses were on their way, in classes that are
// 1/16 of a doubling wide: what is read back is right to 5 %.
type delays struct {
	mu      sync.Mutex
	classes [delayClasses]uint32
	n       uint64
	longest float64
}

const (
	delaySteps   = 4   // bits: a doubling has 16 classes
	delayLeast   = -14 // exponent of the shortest, 61 µs
	delayMost    = 27  // exponent of the longest, four years
	delayClasses = (delayMost - delayLeast) << delaySteps
	delayFirst   = (1023 + delayLeast) << delaySteps // its class among all floats
)

// take counts one, in s.
func (d *delays) take(s float64) {
	class := int(math.Float64bits(s)>>(52-delaySteps)) - delayFirst
	d.classes[min(max(class, 0), delayClasses-1)]++
	d.n++
	d.longest = max(d.longest, s)
}

// reading is what the delays of a period were, in s.
type reading struct {
	known             bool
	p50, p99, longest float64
}

// read returns what was counted since the last time, and begins anew.
func (d *delays) read() (r reading) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n == 0 {
		return r
	}
	r = reading{true, d.quantile(.5), d.quantile(.99), d.longest}
	clear(d.classes[:])
	d.n, d.longest = 0, 0
	return r
}

// quantile is the middle of the class in which it lies, but no longer than the longest.
func (d *delays) quantile(q float64) float64 {
	rank := uint64(math.Ceil(q * float64(d.n)))
	sum := uint64(0)
	for i, n := range d.classes {
		if sum += uint64(n); sum >= rank {
			low, high := delayEdge(i), delayEdge(i+1)
			return min((low+high)/2, d.longest)
		}
	}
	return d.longest
}

// delayEdge is where a class begins.
func delayEdge(class int) float64 {
	return math.Float64frombits(uint64(class+delayFirst) << (52 - delaySteps))
}
