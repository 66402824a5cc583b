package capsule

import (
	"math"
	"slices"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/seqset"
	"trackerdcs/pkg/wire"
)

// Bounds of what Make keeps, so that its memory does not depend on what is in
// the journal. What is beyond is counted.
const (
	maxDevices  = 4096
	maxChannels = 256   // of a device
	maxSeries   = 40000 // fields of channels, of all devices
	maxBoots    = 1000  // of a device
	maxAllBoots = 10000
	maxSpans    = 256 // of the numbers of a boot
	recentTimes = 64  // of statuses without numbers, to know repetitions
)

// device is what is known of one device.
type device struct {
	name     string
	foreign  bool // a foreign sensor
	meta     wire.Meta
	metaAt   int64 // arrival; 0: none
	boots    []*boot
	channels []*channel
	statuses int64
	over     int64 // statuses that found no room
	first    int64 // times of statuses in the window
	last     int64

	states    []runs.Event
	moreState int64
	said      wire.State // the latest state

	recent [recentTimes]int64
	next   int
}

// boot is one start of a device's driver.
type boot struct {
	name   string
	seen   seqset.Set
	inside bool        // it has statuses in the window
	flags  []*flagRuns // by channel, and there trip and interlock
	last   uint64      // the number with which it stopped, 0 if that is not known
	lastAt int64
}

// The flags whose rises are events.
var flagNames = [...]struct{ key, what string }{{"trip", "trip"}, {"interlock", "interlock open"}}

// channel is one channel of a device.
type channel struct {
	number   int
	numbered bool
	index    int // among the device's
	series   []series
	byKey    map[string]int
	expect   int   // the series whose key is most likely next
	beforeAt int64 // time of the last reading before the window
	firstAt  int64 // of the first in it
}

const never = math.MinInt64

// series is one field of a channel.
type series struct {
	key      string
	n        int64
	firstAt  int64
	lastAt   int64
	first    float64
	last     float64
	min, max float64
	sum      sum
	beforeAt int64
	before   float64
	stamp    uint64 // of the reading that it was last in
}

// sum is a sum with what rounding took from it (Neumaier's).
type sum struct{ s, lost float64 }

func (k *sum) add(x float64) {
	t := k.s + x
	if math.Abs(k.s) >= math.Abs(x) {
		k.lost += (k.s - t) + x
	} else {
		k.lost += (x - t) + k.s
	}
	k.s = t
}

func (k *sum) total() float64 { return k.s + k.lost }

// take enters a value with its time, which is in the window.
func (s *series) take(t int64, x float64) {
	if s.n == 0 {
		s.first, s.last, s.min, s.max, s.firstAt, s.lastAt = x, x, x, x, t, t
	}
	s.n++
	s.sum.add(x)
	if x < s.min {
		s.min = x
	}
	if x > s.max {
		s.max = x
	}
	if t < s.firstAt {
		s.first, s.firstAt = x, t
	}
	if t >= s.lastAt {
		s.last, s.lastAt = x, t
	}
}

// mean is between min and max, whatever rounding does.
func (s *series) mean() float64 {
	return min(max(s.sum.total()/float64(s.n), s.min), s.max)
}

func newChannel(number int, numbered bool, index int) *channel {
	return &channel{number: number, numbered: numbered, index: index, byKey: make(map[string]int), beforeAt: never, firstAt: never}
}

// find gives the series of a key, or nil if there is no room for another one.
func (c *channel) find(key []byte, room *int) *series {
	if c.expect < len(c.series) && c.series[c.expect].key == string(key) {
		c.expect++
		return &c.series[c.expect-1]
	}
	if i, ok := c.byKey[string(key)]; ok {
		c.expect = i + 1
		return &c.series[i]
	}
	if *room <= 0 {
		return nil
	}
	*room--
	k := string(key)
	c.byKey[k] = len(c.series)
	c.series = append(c.series, series{key: k, beforeAt: never})
	c.expect = len(c.series)
	return &c.series[len(c.series)-1]
}

// channel finds a channel, or makes it.
func (d *device) channel(number int, numbered bool, hint int) *channel {
	if hint < len(d.channels) && d.channels[hint].number == number && d.channels[hint].numbered == numbered {
		return d.channels[hint]
	}
	for _, c := range d.channels {
		if c.number == number && c.numbered == numbered {
			return c
		}
	}
	if len(d.channels) >= maxChannels {
		return nil
	}
	c := newChannel(number, numbered, len(d.channels))
	d.channels = append(d.channels, c)
	return c
}

// boot finds a boot, or makes it if there is room.
func (d *device) boot(name []byte, room *int) *boot {
	for i := len(d.boots) - 1; i >= 0; i-- {
		if d.boots[i].name == string(name) {
			return d.boots[i]
		}
	}
	if len(d.boots) >= maxBoots || *room <= 0 {
		return nil
	}
	*room--
	b := &boot{name: string(name)}
	b.seen.Limit(maxSpans)
	d.boots = append(d.boots, b)
	return b
}

// flag gives the runs of a channel's flag.
func (b *boot) flag(c *channel, which int, from, to int64) *flagRuns {
	i := c.index*len(flagNames) + which
	for i >= len(b.flags) {
		b.flags = append(b.flags, nil)
	}
	if b.flags[i] == nil {
		b.flags[i] = &flagRuns{from: from, to: to}
	}
	return b.flags[i]
}

// repeated reports whether a status without number and with that time came
// lately.
func (d *device) repeated(t int64) bool {
	if slices.Contains(d.recent[:], t) {
		return true
	}
	d.recent[d.next] = t
	d.next = (d.next + 1) % recentTimes
	return false
}

// span notes that there was a status in the window.
func (d *device) span(t int64) {
	if d.statuses == 0 || t < d.first {
		d.first = t
	}
	if d.statuses == 0 || t > d.last {
		d.last = t
	}
	d.statuses++
}
