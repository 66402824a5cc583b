package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// maxPause is the longest between two attempts.
const maxPause = time.Minute

// What is tried again when the disk, full or broken, has not let it be done.
const (
	toCollect = "collect" // the results of a run, up to their offer: no run is started meanwhile
	toSave    = "save"    // its record
	toForget  = "forget"  // all of it
)

// chore is something to be done for a run.
type chore struct {
	run  int64
	what string
}

// retry is when it is tried again, and why it could not be done.
type retry struct {
	err   error
	due   time.Time // zero while it is being tried
	pause time.Duration
	try   func() // which ends with put or with done
}

// put has something tried again, later each time.
func (d *driver) put(run int64, what string, err error, try func()) {
	c := chore{run, what}
	r := d.retries[c]
	if r == nil {
		r = &retry{pause: d.cfg.Period}
		d.retries[c] = r
	} else {
		r.pause = min(2*r.pause, maxPause)
	}
	r.err, r.try, r.due = err, try, time.Now().Add(r.pause)
	d.env.Log.Error("it is tried again", "run", run, "in", r.pause, "error", err)
	d.complain()
}

// done takes what could be done off the list.
func (d *driver) done(run int64, what string) {
	if _, ok := d.retries[chore{run, what}]; ok {
		delete(d.retries, chore{run, what})
		d.complain()
	}
}

// tryAgain does what is due.
func (d *driver) tryAgain(now time.Time) {
	for _, c := range d.chores() {
		if r := d.retries[c]; r != nil && !r.due.IsZero() && !now.Before(r.due) {
			r.due = time.Time{}
			r.try()
		}
	}
}

// chores are those to be tried again, in order.
func (d *driver) chores() []chore {
	list := make([]chore, 0, len(d.retries))
	for c := range d.retries {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b chore) int {
		return cmp.Or(cmp.Compare(a.what, b.what), cmp.Compare(a.run, b.run)) // first those that keep runs from being started
	})
	return list
}

// uncollected is the first run whose results cannot be collected, and why.
func (d *driver) uncollected() (run int64, err error) {
	for _, c := range d.chores() {
		if c.what == toCollect {
			return c.run, d.retries[c].err
		}
	}
	return 0, nil
}

// trouble says what is tried again, the first of it.
func (d *driver) trouble() string {
	list := d.chores()
	if len(list) == 0 {
		return ""
	}
	text := fmt.Sprintf("run %d: %v; it is tried again", list[0].run, d.retries[list[0]].err)
	if list[0].what == toCollect {
		text += ", and no run is started before"
	}
	if more := len(list) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more like this)", more)
	}
	return text
}
