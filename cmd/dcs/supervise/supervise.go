// Package supervise runs a set of programs together: it starts them, starts
// one again that dies, passes their output on line by line, and leaves none of
// them behind.
package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Part is one program.
type Part struct {
	Name string
	Path string
	Args []string
	Env  []string // on top of the group's
	Dir  string
	// Stage is when the part is ended: the lowest stage first.
	Stage int
	// Ready waits until the part does its work, or ctx ends.
	Ready func(ctx context.Context) error
}

// Timing.
const (
	restartAfter = time.Second
	stopTime     = 5 * time.Second
)

// Group runs parts. Log is called with each line that a part writes, and with
// what the group has to say; it must be safe for concurrent use.
//
// Environ is what the environment of each part begins with; New sets it to the
// supervisor's own.
type Group struct {
	Log     func(part, line string)
	Environ []string

	mu       sync.Mutex
	parts    []*running
	stopping bool
	starts   chan start
	done     sync.WaitGroup
}

type running struct {
	Part
	cmd   *exec.Cmd
	ended chan struct{} // closed when the part is down for good
}

type start struct {
	cmd    *exec.Cmd
	result chan<- error
}

// New makes a group and the thread that all its parts are children of.
func New(log func(part, line string)) *Group {
	g := &Group{Log: log, Environ: os.Environ(), starts: make(chan start)}
	go g.spawner()
	return g
}

// spawner starts processes from one thread that lives as long as the program:
// the kernel ends a child whose parent thread ends, which is how nothing is
// left behind when the supervisor is killed.
func (g *Group) spawner() {
	runtime.LockOSThread()
	for s := range g.starts {
		s.result <- s.cmd.Start()
	}
	select {} // the thread must not end before its children
}

// Start starts a part and keeps it running until Stop.
func (g *Group) Start(p Part) error {
	r := &running{Part: p, ended: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopping {
		return errors.New("the group is stopping")
	}
	exited, err := g.launch(r)
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	g.parts = append(g.parts, r)
	g.done.Go(func() { g.keep(r, exited) })
	return nil
}

// launch starts the process; the channel gives how it ended.
func (g *Group) launch(r *running) (<-chan error, error) {
	cmd := exec.Command(r.Path, r.Args...) // ended by Stop in its own order, not by a context
	cmd.Env = slices.Concat(g.Environ, r.Env)
	cmd.Dir = r.Dir
	cmd.SysProcAttr = processAttributes()
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = pw, pw
	result := make(chan error)
	g.starts <- start{cmd, result}
	err = <-result
	_ = pw.Close()
	if err != nil {
		_ = pr.Close()
		return nil, err
	}
	r.cmd = cmd
	read := make(chan struct{})
	go func() {
		defer close(read)
		g.pass(r.Name, pr)
	}()
	exited := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whatever it has started
		<-read
		exited <- err
	}()
	return exited, nil
}

func (g *Group) pass(name string, r io.ReadCloser) {
	defer r.Close()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if n := len(line); n > 0 && line[n-1] == '\n' {
			line = line[:n-1]
		}
		if line != "" {
			g.Log(name, line)
		}
		if err != nil {
			return
		}
	}
}

// keep starts a part again a second after it has died.
func (g *Group) keep(r *running, exited <-chan error) {
	defer close(r.ended)
	for {
		err := <-exited
		g.mu.Lock()
		if g.stopping {
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		g.Log(r.Name, fmt.Sprintf("ended (%v): starting it again", cause(err)))
		time.Sleep(restartAfter)
		g.mu.Lock()
		if g.stopping {
			g.mu.Unlock()
			return
		}
		exited, err = g.launch(r)
		g.mu.Unlock()
		if err != nil {
			failed := make(chan error, 1)
			failed <- err
			exited = failed
		}
	}
}

func cause(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// WaitReady waits until every part is ready. onReady is called for each, as it
// gets there.
func (g *Group) WaitReady(ctx context.Context, onReady func(name string, left []string)) error {
	g.mu.Lock()
	parts := slices.Clone(g.parts)
	g.mu.Unlock()
	type result struct {
		name string
		err  error
	}
	results := make(chan result)
	left := make([]string, 0, len(parts))
	for _, r := range parts {
		left = append(left, r.Name)
		go func() {
			err := r.Ready(ctx)
			results <- result{r.Name, err}
		}()
	}
	var errs []error
	for range parts {
		res := <-results
		left = slices.DeleteFunc(left, func(n string) bool { return n == res.name })
		if res.err != nil {
			errs = append(errs, fmt.Errorf("%s is not ready: %w", res.name, res.err))
			continue
		}
		onReady(res.name, left)
	}
	return errors.Join(errs...)
}

// Stop ends all parts, stage by stage: with SIGTERM, and with SIGKILL those
// that are still there after five seconds or once hurry is closed.
func (g *Group) Stop(hurry <-chan struct{}) {
	g.mu.Lock()
	g.stopping = true
	stages := make(map[int][]*running)
	for _, r := range g.parts {
		stages[r.Stage] = append(stages[r.Stage], r)
	}
	g.mu.Unlock()
	var order []int
	for s := range stages {
		order = append(order, s)
	}
	slices.Sort(order)
	for _, s := range order {
		stopAll(stages[s], hurry)
	}
	g.done.Wait()
	close(g.starts)
}

func stopAll(parts []*running, hurry <-chan struct{}) {
	for _, r := range parts {
		signal(r, syscall.SIGTERM)
	}
	limit := time.NewTimer(stopTime)
	defer limit.Stop()
	for _, r := range parts {
		select {
		case <-r.ended:
			continue
		case <-limit.C:
		case <-hurry:
		}
		for _, r := range parts {
			signal(r, syscall.SIGKILL)
		}
		<-r.ended
	}
}

// signal reaches the part and what it has started.
func signal(r *running, s syscall.Signal) {
	select {
	case <-r.ended:
	default:
		_ = syscall.Kill(-r.cmd.Process.Pid, s)
	}
}
