package line

import (
	"io"
	"sync"
	"time"
)

// Faults are what goes wrong on demand. All methods are safe for concurrent
// use; counts add nothing up: a later call replaces an earlier one.
type Faults struct {
	mu       sync.Mutex
	conns    map[io.Closer]struct{}
	silent   bool
	refuse   bool
	mute     int
	garble   int
	truncate int
	late     int
	lateBy   time.Duration
	delay    time.Duration
	dropIn   int
}

// Silence makes the instrument hang: it takes what is sent, executes nothing and answers nothing.
func (f *Faults) Silence(on bool) { f.set(func() { f.silent = on }) }

// Refuse makes it close new connections at once, and lets those that stand be.
func (f *Faults) Refuse(on bool) { f.set(func() { f.refuse = on }) }

// Mute loses the next n answers; the commands are executed.
func (f *Faults) Mute(n int) { f.set(func() { f.mute = n }) }

// Garble turns the next n answers into garbage, terminator included.
func (f *Faults) Garble(n int) { f.set(func() { f.garble = n }) }

// Truncate cuts the next n answers in half and leaves out the terminator.
func (f *Faults) Truncate(n int) { f.set(func() { f.truncate = n }) }

// Late sends the next n answers only after d. The order of answers stays.
func (f *Faults) Late(n int, d time.Duration) { f.set(func() { f.late, f.lateBy = n, d }) }

// Delay is what the instrument takes for every line, before it executes it.
func (f *Faults) Delay(d time.Duration) { f.set(func() { f.delay = d }) }

// DropAfter executes n more lines and closes the connection that brought the last
// of them, before its answer. 0 takes it back.
func (f *Faults) DropAfter(n int) { f.set(func() { f.dropIn = n }) }

// Drop closes all connections now.
func (f *Faults) Drop() {
	f.set(func() {
		for c := range f.conns {
			c.Close()
		}
	})
}

// Connections returns how many connections stand.
func (f *Faults) Connections() (n int) {
	f.set(func() { n = len(f.conns) })
	return n
}

// Add takes note of a connection for Drop; a refused one is closed and false returned.
func (f *Faults) Add(c io.Closer) (ok bool) {
	f.set(func() {
		if f.refuse {
			c.Close()
			return
		}
		if f.conns == nil {
			f.conns = map[io.Closer]struct{}{}
		}
		f.conns[c] = struct{}{}
		ok = true
	})
	return ok
}

// Remove closes a connection and forgets it.
func (f *Faults) Remove(c io.Closer) {
	c.Close()
	f.set(func() { delete(f.conns, c) })
}

// Refused says whether Refuse is on.
func (f *Faults) Refused() (on bool) {
	f.set(func() { on = f.refuse })
	return on
}

func (f *Faults) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *Faults) silenced() (on bool) {
	f.set(func() { on = f.silent })
	return on
}

func (f *Faults) commandDelay() (d time.Duration) {
	f.set(func() { d = f.delay })
	return d
}

func (f *Faults) dropDue() (due bool) {
	f.set(func() { due = take(&f.dropIn) && f.dropIn == 0 })
	return due
}

// spoil returns the bytes to send for an answer, and how late.
func (f *Faults) spoil(answer, end string) (out []byte, late time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if take(&f.late) {
		late = f.lateBy
	}
	switch {
	case take(&f.mute):
		return nil, late
	case take(&f.garble):
		return garbage(answer + end), late
	case take(&f.truncate):
		return []byte(answer[:len(answer)/2]), late
	}
	return []byte(answer + end), late
}

// Spoil is spoil for who writes by itself; nothing is to be sent while the instrument is silent.
func (f *Faults) Spoil(text string) (out []byte) {
	if f.silenced() {
		return nil
	}
	out, _ = f.spoil(text, "")
	return out
}

func take(n *int) bool {
	if *n <= 0 {
		return false
	}
	*n--
	return true
}

// garbage is what a wrong baud rate makes of a text: as many bytes, none of them
// a digit, but with the line end that a line discipline would still see.
func garbage(text string) []byte {
	out := make([]byte, 0, len(text)+1)
	for i := range len(text) {
		out = append(out, 0x80|(text[i]^byte(0x5a+i)))
	}
	return append(out, '\n')
}
