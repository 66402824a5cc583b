package warden

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The warden's files: standard output and error are the program's.
const (
	ordersFD  = 3
	reportsFD = 4
)

// sweepGap is how far apart the attempts are to kill what is left of a tree.
const sweepGap = 20 * time.Millisecond

// Main is the warden, when this process was called to be one; else it returns.
// It has to be called first in main, on the main thread, whose end would be the
// program's: the parent-death signal belongs to the thread.
func Main() {
	if len(os.Args) != 2 || os.Args[1] != Argument {
		return
	}
	runtime.LockOSThread()
	w := &warden{told: make(map[int]bool), tell: json.NewEncoder(os.NewFile(reportsFD, "reports"))}
	w.run(os.NewFile(ordersFD, "orders"))
	syscall.Exit(0) // at once: the driver waits for it, and there is nothing to flush
}

type warden struct {
	tell  *json.Encoder
	grace time.Duration
	pid   int          // of the program, and its process group
	told  map[int]bool // which processes have got SIGTERM
}

// reaped is a child that has ended.
type reaped struct {
	pid    int
	status syscall.WaitStatus
	usage  syscall.Rusage
	time   time.Time
}

func (w *warden) say(m message) { _ = w.tell.Encode(m) } // a driver that is gone needs no report

func (w *warden) run(orders *os.File) {
	// Signals for all of a container or a unit are the driver's to act on. They
	// are caught and not ignored: the program would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	syscall.CloseOnExec(ordersFD)
	syscall.CloseOnExec(reportsFD)
	in := bufio.NewReader(orders)
	dec := json.NewDecoder(in)
	var p Program
	if dec.Decode(&p) != nil {
		return // the driver is gone: nothing has been started
	}
	w.grace = time.Duration(p.Grace * float64(time.Second))
	if err := w.start(p); err != nil {
		w.say(message{Ended: &Ending{Error: err.Error(), Time: time.Now()}})
		w.say(message{Clean: true})
		return
	}
	w.say(message{Started: w.pid})

	stop := make(chan time.Duration, 1) // graces
	go func() {                         // ends with the process
		for {
			var o order
			if dec.Decode(&o) != nil {
				stop <- min(w.grace, OrphanGrace)
				return
			}
			if o.Stop {
				stop <- w.grace
			}
		}
	}()
	children := make(chan reaped)
	go reap(children) // ends with the last child
	w.watch(stop, children)
	w.say(message{Clean: true})
}

func (w *warden) start(p Program) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("becoming the reaper of the program's children: %w", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	w.pid, err = syscall.ForkExec(p.Path, append([]string{p.Path}, p.Arguments...), &syscall.ProcAttr{
		Dir: p.Dir, Env: append(p.Env, Mark+"="+p.UID), Files: []uintptr{null.Fd(), 1, 2},
		Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return fmt.Errorf("starting %s in %s: %w", p.Path, p.Dir, err)
	}
	// The pipes are the program's now: its reader sees their end when the last
	// process has left them.
	for _, fd := range []int{1, 2} {
		_ = unix.Dup3(int(null.Fd()), fd, 0) // else they close with the warden
	}
	return nil
}

// reap waits for children until there is none. As a subreaper the warden has
// every orphan of the tree for its child: when it has none, nothing is left.
func reap(children chan<- reaped) {
	defer close(children)
	for {
		var r reaped
		pid, err := syscall.Wait4(-1, &r.status, 0, &r.usage)
		switch {
		case err == syscall.EINTR: //nolint:errorlint // Wait4 returns bare numbers
			continue
		case err != nil:
			return
		}
		r.pid, r.time = pid, time.Now()
		children <- r
	}
}

// watch ends the tree when it is told to, or when the program has ended.
func (w *warden) watch(stop <-chan time.Duration, children <-chan reaped) {
	var ending *Ending
	var deadline time.Time
	kill := time.NewTimer(time.Hour)
	kill.Stop()
	finish := func(grace time.Duration) {
		if t := time.Now().Add(grace); deadline.IsZero() || t.Before(deadline) {
			deadline = t
			kill.Reset(grace)
		}
	}
	for {
		select {
		case grace := <-stop:
			w.terminate(ending == nil)
			finish(grace)
		case <-kill.C:
			w.kill(ending == nil)
			kill.Reset(sweepGap) // what was started meanwhile
		case r, ok := <-children:
			if !ok {
				return
			}
			delete(w.told, r.pid) // another can get the number now
			if r.pid != w.pid || ending != nil {
				continue
			}
			ending = endingOf(r)
			ending.Strays = len(descendants(os.Getpid()))
			w.say(message{Ended: ending})
			if ending.Strays > 0 {
				w.terminate(false)
				finish(w.grace)
			}
		}
	}
}

func endingOf(r reaped) *Ending {
	e := &Ending{Time: r.time, Usage: &Usage{
		MaxRSS: r.usage.Maxrss << 10, // Linux counts in KiB
		User:   time.Duration(r.usage.Utime.Nano()).Seconds(),
		System: time.Duration(r.usage.Stime.Nano()).Seconds(),
	}}
	if r.status.Signaled() {
		e.Signal = unix.SignalName(r.status.Signal())
	} else {
		code := r.status.ExitStatus()
		e.Exit = &code
	}
	return e
}

// terminate tells the program's group, as long as the program's number is its
// own, and every other descendant to end. Who was told is not told again: many
// programs take a second signal for an order to end at once.
func (w *warden) terminate(group bool) {
	tree := descendants(os.Getpid()) // before: what the group gets meanwhile gets the signal with it
	if group && !w.told[w.pid] {
		w.told[w.pid] = true
		for _, p := range tree {
			w.told[p.pid] = w.told[p.pid] || p.group == w.pid
		}
		_ = syscall.Kill(-w.pid, syscall.SIGTERM) // it may be gone by now
	}
	for _, p := range tree {
		if !w.told[p.pid] {
			w.told[p.pid] = true
			_ = syscall.Kill(p.pid, syscall.SIGTERM)
		}
	}
}

// kill ends the group and every descendant.
func (w *warden) kill(group bool) {
	if group {
		_ = syscall.Kill(-w.pid, syscall.SIGKILL) // it may be gone by now
	}
	for _, p := range descendants(os.Getpid()) {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
}
