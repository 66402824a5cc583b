// Package warden executes a program so that nothing of it is left behind.
//
// The driver starts itself once more as a warden, which starts the program and
// outlives the driver: it holds one end of a pipe whose other end only the
// driver has, and when that closes, even because the driver was killed, it ends
// the program. The warden is a subreaper: whatever the program has started comes
// back to it when its parent dies, a daemon with a session of its own too, and
// is ended with it. When the warden itself is killed, the kernel kills the
// program (its parent-death signal), and the driver what else there is, by the
// process group and by a mark in the environment.
package warden

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Argument is what the driver calls itself with to be a warden.
const Argument = "\x01warden"

// OrphanGrace is what a program gets between SIGTERM and SIGKILL when the driver
// has died.
const OrphanGrace = time.Second

// Mark and wardenMark are environment variables by which the processes of a run
// and its warden are found again.
const (
	Mark       = "DCS_RUN_UID"
	wardenMark = "DCS_RUN_WARDEN"
)

// Program is what is to be executed.
type Program struct {
	Path      string   `json:"path"`
	Arguments []string `json:"arguments"` // without the program's name
	Env       []string `json:"env"`
	Dir       string   `json:"dir"`
	UID       string   `json:"uid"` // the mark
	Grace     float64  `json:"grace"`

	Stdout, Stderr *os.File `json:"-"` // that the program writes to; the caller closes its own
}

// Ending is how a program ended.
type Ending struct {
	Exit   *int      `json:"exit,omitempty"`   // nil when a signal ended it
	Signal string    `json:"signal,omitempty"` // as SIGKILL
	Time   time.Time `json:"time"`
	Error  string    `json:"error,omitempty"`  // why it could not be started
	Strays int       `json:"strays,omitempty"` // processes that it had left behind, and that were ended
	Usage  *Usage    `json:"usage,omitempty"`
}

// Usage is what a program and what it waited for have used.
type Usage struct {
	MaxRSS int64   `json:"max_rss"` // bytes
	User   float64 `json:"user"`    // s of CPU
	System float64 `json:"system"`
}

// message is a line from the warden to the driver.
type message struct {
	Started int     `json:"started,omitempty"` // the program's process group
	Ended   *Ending `json:"ended,omitempty"`   // the program; others of its tree may still be there
	Clean   bool    `json:"clean,omitempty"`   // nothing is left
}

// order is a line from the driver to the warden.
type order struct {
	Stop bool `json:"stop"`
}

// ErrWarden says that the warden died before the program: how that ended is not
// known.
var ErrWarden = errors.New("the warden of the program was killed")

// Process is a program being executed.
type Process struct {
	cmd     *exec.Cmd
	control *os.File
	uid     string
	group   int
	started chan struct{}
	ended   chan struct{} // closed when ending is set
	clean   chan struct{}
	ending  Ending
	err     error
}

// Start executes a program under a warden. The warden is started from this
// process's own executable, whose main calls Main first.
func Start(p Program) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("looking for this program's own file: %w", err)
	}
	orders, control, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	reports, tell, err := os.Pipe()
	if err != nil {
		_, _ = control.Close(), orders.Close()
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: self, Args: []string{self, Argument}, Dir: "/",
		Env:         []string{wardenMark + "=" + p.UID, "GOMAXPROCS=1"},
		Stdout:      p.Stdout,
		Stderr:      p.Stderr,
		ExtraFiles:  []*os.File{orders, tell},
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true}, // Ctrl-C in a terminal is for the driver
	}
	err = cmd.Start()
	_, _ = orders.Close(), tell.Close() // the warden has them
	if err != nil {
		_, _ = control.Close(), reports.Close()
		return nil, fmt.Errorf("starting the warden: %w", err)
	}
	x := &Process{
		cmd: cmd, control: control, uid: p.UID,
		started: make(chan struct{}), ended: make(chan struct{}), clean: make(chan struct{}),
	}
	go x.follow(reports) // ends with the warden
	if err := json.NewEncoder(control).Encode(p); err != nil {
		_ = control.Close() // the warden dies of it
		<-x.clean
		return nil, fmt.Errorf("telling the warden what to start: %w", err)
	}
	return x, nil
}

// Stop asks for the program's end: SIGTERM now, SIGKILL after the grace. It may
// be called more than once.
func (x *Process) Stop() {
	_ = json.NewEncoder(x.control).Encode(order{Stop: true}) // a warden that is gone has nothing left to end
}

// Started is closed when the program runs, or never will.
func (x *Process) Started() <-chan struct{} { return x.started }

// Ended is closed when the program has ended.
func (x *Process) Ended() <-chan struct{} { return x.ended }

// Clean is closed when the program and everything that it had started is gone.
func (x *Process) Clean() <-chan struct{} { return x.clean }

// Ending is how it ended, once Ended is closed. The error is ErrWarden.
func (x *Process) Ending() (Ending, error) { return x.ending, x.err }

// Warden is the process id of the warden.
func (x *Process) Warden() int { return x.cmd.Process.Pid }

// follow reads what the warden says, and cleans up behind one that was killed.
func (x *Process) follow(reports *os.File) {
	defer close(x.clean)
	defer reports.Close()
	defer x.control.Close()
	begun, over, clean := false, false, false
	for lines := bufio.NewScanner(reports); lines.Scan(); {
		var m message
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			continue
		}
		switch {
		case m.Started > 0 && !begun:
			begun, x.group = true, m.Started
			close(x.started)
		case m.Ended != nil && !over:
			over, x.ending = true, *m.Ended
			if !begun {
				begun = true
				close(x.started)
			}
			close(x.ended)
		case m.Clean:
			clean = true
		}
	}
	_ = x.cmd.Wait() // its end says nothing that it has not said
	if clean && over {
		return
	}
	x.err = ErrWarden
	if x.group > 1 {
		_ = syscall.Kill(-x.group, syscall.SIGKILL)
	}
	Sweep(x.uid)
	if !begun {
		close(x.started)
	}
	if !over {
		x.ending = Ending{Time: time.Now()}
		close(x.ended)
	}
}
