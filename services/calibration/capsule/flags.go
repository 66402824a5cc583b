package capsule

import (
	"cmp"
	"slices"
)

const (
	maxEvents = 100 // of a channel, and of a device's states
	maxRuns   = 256 // of equal flags that are kept apart, of a channel in a boot
)

// flagRuns finds out when a flag went from 0 to 1 within a boot, in whatever
// order the statuses come. It keeps runs of statuses with consecutive numbers
// and the same flag; what a hole in the numbers hides can still fall into
// place.
type flagRuns struct {
	runs   []flagRun // in order of the numbers
	rises  []int64   // that were given up as runs: times in ns since 1970
	more   int64     // rises beside those
	from   int64     // the window in which they count
	to     int64
	behind uint64  // up to here nothing is taken any more
	head   flagRun // the first run of all, once it was given up
}

type flagRun struct {
	from, to   uint64 // numbers
	begin, end int64  // their times, ns since 1970
	on         bool
}

// add takes the flag of the status with a number that was not there before.
func (f *flagRuns) add(seq uint64, t int64, on bool) {
	n := len(f.runs)
	if n > 0 {
		if last := &f.runs[n-1]; last.to+1 == seq && last.on == on {
			last.to, last.end = seq, t
			return
		}
	}
	if seq <= f.behind {
		return
	}
	i, found := slices.BinarySearchFunc(f.runs, seq, func(r flagRun, seq uint64) int { return cmp.Compare(r.from, seq) })
	if found || i > 0 && f.runs[i-1].to >= seq {
		return
	}
	left := i > 0 && f.runs[i-1].to+1 == seq && f.runs[i-1].on == on
	right := i < n && f.runs[i].from == seq+1 && f.runs[i].on == on
	switch {
	case left && right:
		f.runs[i-1].to, f.runs[i-1].end = f.runs[i].to, f.runs[i].end
		f.runs = slices.Delete(f.runs, i, i+1)
	case left:
		f.runs[i-1].to, f.runs[i-1].end = seq, t
	case right:
		f.runs[i].from, f.runs[i].begin = seq, t
	default:
		f.runs = slices.Insert(f.runs, i, flagRun{seq, seq, t, t, on})
		if len(f.runs) > maxRuns {
			f.shrink()
		}
	}
}

// shrink gives up the lowest run.
func (f *flagRuns) shrink() {
	a, b := &f.runs[0], &f.runs[1]
	if f.behind == 0 {
		f.head = *a
	}
	f.behind = b.from
	if a.on == b.on {
		b.from, b.begin = a.from, a.begin
	} else if !a.on && b.begin >= f.from && b.begin <= f.to {
		if len(f.rises) < maxEvents {
			f.rises = append(f.rises, b.begin)
		} else {
			f.more++
		}
	}
	f.runs = slices.Delete(f.runs, 0, 1)
}

// all gives the rises in the window, in order of the numbers. was says whether
// the flag was on at the end of the boot before; without one nothing is known.
func (f *flagRuns) all(was bool, known bool) (rises []int64, more int64) {
	if len(f.runs) == 0 {
		return nil, 0
	}
	rise := func(r flagRun) {
		if known && !was && r.on && r.begin >= f.from && r.begin <= f.to {
			rises = append(rises, r.begin)
		}
		was, known = r.on, true
	}
	first := 0
	if f.behind > 0 {
		rise(f.head)
		rises = append(rises, f.rises...)
		was, first = f.runs[0].on, 1
	}
	for _, r := range f.runs[first:] {
		rise(r)
	}
	return rises, f.more
}

// last is the flag in the last status; not ok if there is none.
func (f *flagRuns) last() (on, ok bool) {
	if len(f.runs) == 0 {
		return false, false
	}
	return f.runs[len(f.runs)-1].on, true
}
