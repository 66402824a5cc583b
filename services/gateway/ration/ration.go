// Package ration limits how often something that anybody can cause is done
// singly, a line in a log for instance, by who causes it. What is refused is
// counted, and the counts are reported once a minute: nothing is lost without a
// figure.
package ration

import (
	"cmp"
	"container/list"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// Interval is how long after something was refused the counts are reported.
	Interval = time.Minute
	// Keys is how many keys are remembered. Of more, that which has not asked for
	// longest is forgotten, and its count goes to those of all others.
	Keys = 4096
	// Reported is how many keys a report has of their own, the largest counts
	// first; the others are one sum.
	Reported = 20
)

// Rate is how often something may happen: Burst times at once, and once more
// each Every.
type Rate struct {
	Burst int
	Every time.Duration
}

func (r Rate) limiter() *rate.Limiter { return rate.NewLimiter(rate.Every(r.Every), r.Burst) }

// Refused is how often a key was refused since the last report.
type Refused[K comparable] struct {
	Key    K
	Count  int
	Others bool // of many keys, which have no place of their own: Key is empty
}

// Ration is such a limit. It is for use by many at once.
type Ration[K comparable] struct {
	each   Rate
	report func([]Refused[K])

	reporting sync.Mutex // one report at a time; taken before mu
	mu        sync.Mutex
	all       *rate.Limiter
	byKey     map[K]*list.Element
	order     *list.List // of *bucket[K], the last used in front
	others    int        // refused, of keys that are forgotten
	due       *time.Timer
	closed    bool
}

type bucket[K comparable] struct {
	key     K
	limiter *rate.Limiter
	refused int // since the last report
}

// New makes a limit on each key and on all together, so that many keys are no
// way around it. The report is called, never twice at a time, in a goroutine
// that ends with it: Interval after the first that was refused since the last
// report, and by Close.
func New[K comparable](each, all Rate, report func([]Refused[K])) *Ration[K] {
	return &Ration[K]{each: each, report: report, all: all.limiter(), byKey: make(map[K]*list.Element), order: list.New()}
}

// Take reports whether key may once more; if not it is counted.
func (r *Ration[K]) Take(key K) bool {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.find(key)
	if b.limiter.AllowN(now, 1) && r.all.AllowN(now, 1) {
		return true
	}
	b.refused++
	if r.due == nil && !r.closed {
		r.due = time.AfterFunc(Interval, r.tell) // it ends with the report; Close stops it
	}
	return false
}

// Close reports what was not reported yet. What is refused later is not
// reported any more.
func (r *Ration[K]) Close() {
	r.mu.Lock()
	r.closed = true
	if r.due != nil {
		r.due.Stop()
	}
	r.mu.Unlock()
	r.tell()
}

// find finds a key's bucket, or makes it.
func (r *Ration[K]) find(key K) *bucket[K] {
	if e := r.byKey[key]; e != nil {
		r.order.MoveToFront(e)
		return e.Value.(*bucket[K])
	}
	if r.order.Len() >= Keys {
		old := r.order.Remove(r.order.Back()).(*bucket[K])
		delete(r.byKey, old.key)
		r.others += old.refused
	}
	b := &bucket[K]{key: key, limiter: r.each.limiter()}
	r.byKey[key] = r.order.PushFront(b)
	return b
}

func (r *Ration[K]) tell() {
	r.reporting.Lock()
	defer r.reporting.Unlock()
	if found := r.counted(); len(found) > 0 {
		r.report(found)
	}
}

// counted takes the counts, the largest first.
func (r *Ration[K]) counted() []Refused[K] {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due = nil
	var found []Refused[K]
	for e := r.order.Front(); e != nil; e = e.Next() {
		if b := e.Value.(*bucket[K]); b.refused > 0 {
			found = append(found, Refused[K]{Key: b.key, Count: b.refused})
			b.refused = 0
		}
	}
	slices.SortStableFunc(found, func(a, b Refused[K]) int { return cmp.Compare(b.Count, a.Count) })
	others := r.others
	r.others = 0
	for len(found) > Reported {
		others += found[len(found)-1].Count
		found = found[:len(found)-1]
	}
	if others > 0 {
		found = append(found, Refused[K]{Count: others, Others: true})
	}
	return found
}
