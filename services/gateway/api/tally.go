package api

import (
	"fmt"
	"sync"
	"time"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/services/gateway/door"
)

const (
	// tallyTime is between two entries about the same values: a logger that
	// sends every second would else make most of the audit log.
	tallyTime = time.Hour
	// maxSensors is how many sensors of one sender have entries of their own.
	maxSensors = 100
)

// tally thins what the audit log says of values from outside: the first of
// somebody's to a sensor is an entry, what follows is summed.
type tally struct {
	now   func() time.Time
	write func(auditlog.Entry) error

	mu      sync.Mutex
	sums    map[source]*sum
	sensors map[string]int // by user, in sums
	closed  bool
}

// source is who sends values, and as which sensor; of those beyond maxSensors
// the sensor is empty.
type source struct{ user, sensor string }

// posted is what was sent.
type posted struct{ posts, values, lost int }

func (p *posted) add(more posted) {
	p.posts += more.posts
	p.values += more.values
	p.lost += more.lost
}

// sum is what was sent and has no entry yet.
type sum struct {
	posted
	who   door.Who // who sent the last
	since time.Time
	timer *time.Timer // for the next entry
}

func newTally(now func() time.Time, write func(auditlog.Entry) error) *tally {
	return &tally{now: now, write: write, sums: make(map[source]*sum), sensors: make(map[string]int)}
}

// add counts a post of which so many values went out, and others for that
// reason did not.
func (t *tally) add(who door.Who, sensor string, values, lost int, why string) {
	p := posted{1, values, lost}
	s, first := t.count(who, sensor, p)
	if !first {
		return
	}
	e := entryOf(who, auditlog.Ingest)
	e.Device, e.Value, e.Message = sensor, values, "values from outside"
	if lost > 0 {
		e.Message += fmt.Sprintf("; %d were not published: %s", lost, why)
	}
	if t.write(e) != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		s.add(p) // the next entry says it
	}
}

// count adds to a sum, or begins one.
func (t *tally) count(who door.Who, sensor string, p posted) (s *sum, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := source{who.Signed(), sensor}
	if t.sums[key] == nil && t.sensors[key.user] >= maxSensors {
		key.sensor = ""
	}
	if s = t.sums[key]; s != nil {
		s.who = who
		s.add(p)
		return s, false
	}
	s = &sum{who: who, since: t.now()}
	if t.closed {
		return s, true
	}
	s.timer = time.AfterFunc(tallyTime, func() { t.tell(key) }) // it ends with the entry; close stops it
	t.sums[key] = s
	t.sensors[key.user]++
	return s, true
}

// tell writes what a sum has come to, and forgets one to which nothing came.
func (t *tally) tell(key source) {
	t.mu.Lock()
	s := t.sums[key]
	if s == nil || s.posts == 0 {
		t.forget(key)
		t.mu.Unlock()
		return
	}
	p, since := s.posted, s.since
	e := entryOf(s.who, auditlog.Ingest)
	s.posted, s.since = posted{}, t.now()
	if !t.closed {
		s.timer.Reset(tallyTime)
	}
	t.mu.Unlock()

	e.Device, e.Value = key.sensor, p.values
	e.Message = fmt.Sprintf("values from outside: %d posts since %s", p.posts, since.UTC().Format(time.RFC3339))
	if key.sensor == "" {
		e.Message += fmt.Sprintf(", of sensors beyond %d", maxSensors)
	}
	if p.lost > 0 {
		e.Message += fmt.Sprintf("; %d values were not published", p.lost)
	}
	if t.write(e) != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		s.add(p)
		s.since = since
	}
}

// forget is called with mu held.
func (t *tally) forget(key source) {
	if t.sums[key] == nil {
		return
	}
	delete(t.sums, key)
	if t.sensors[key.user]--; t.sensors[key.user] == 0 {
		delete(t.sensors, key.user)
	}
}

// close writes all sums. What comes later has an entry each.
func (t *tally) close() {
	t.mu.Lock()
	t.closed = true
	keys := make([]source, 0, len(t.sums))
	for key, s := range t.sums {
		s.timer.Stop()
		keys = append(keys, key)
	}
	t.mu.Unlock()
	for _, key := range keys {
		t.tell(key)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.sums)
	clear(t.sensors)
}
