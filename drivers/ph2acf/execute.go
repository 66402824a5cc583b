package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"trackerdcs/drivers/ph2acf/keep"
	"trackerdcs/drivers/ph2acf/output"
	"trackerdcs/drivers/ph2acf/warden"
)

const (
	maxVersion = 256             // bytes of a program's version
	drain      = 2 * time.Second // for the output of what is gone to be read
)

// versionLimit is for a program to say its version. Tests, which compilers run
// beside, give it more.
var versionLimit = 2 * time.Second

// Why a program is stopped.
const (
	stopAborted = keep.Aborted
	stopLimit   = keep.Limit
	stopLeaving = keep.Leaving
)

// execution is a run under way. It has a goroutine, which tells the driver what
// happens by events: began, ended and collected, in this order; the first is
// missing where nothing could be started.
type execution struct {
	d       *driver
	record  keep.Record // as it was when the run was accepted
	program warden.Program
	version []string
	limit   time.Duration
	grace   time.Duration
	out     *output.Output     // nil if it could not be made
	cancel  context.CancelFunc // of the collecting

	mu       sync.Mutex
	reason   string // why it is stopped, the first one
	who      string
	over     bool          // it has ended: there is nothing to stop
	stopping chan struct{} // closed when there is a reason
}

// began says that the program runs.
type began struct {
	time     time.Time
	versions map[string]string
}

// ended says that the program has ended and nothing of it is left.
type ended struct {
	ending warden.Ending
	err    error // warden.ErrWarden, or why there was none
	reason string
	who    string
	log    error // why the log is not whole
}

// collected is what a run has left.
type collected struct {
	run     int64
	results keep.Results
	err     error
	last    bool // of those of an earlier start
}

// execute begins a run that was accepted.
func (d *driver) execute(ctx context.Context, r *keep.Record) {
	p := d.procedures[r.Report.Procedure]
	x := &execution{
		d: d, record: *r, version: p.Version, limit: p.Limit, grace: p.Grace, stopping: make(chan struct{}),
		program: warden.Program{
			Path: r.Program, Arguments: r.Arguments, Env: environment(r.Environment),
			Dir: r.Directory, UID: r.Report.UID, Grace: p.Grace.Seconds(),
		},
	}
	out, err := output.New(output.Options{File: d.store.Log(r.Report.Run), MaxBytes: d.cfg.LogBytes, Progress: p.Progress, Phase: p.Phase})
	if err == nil {
		x.out = out
	}
	d.x, d.lines = x, output.State{}
	ctx, x.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go x.run(ctx, err) // ends when the program's tree is gone and its files are summed up, or the driver leaves
}

// stop asks for the program's end. It returns false when it has ended.
func (x *execution) stop(reason, who string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return false
	}
	if x.reason == "" {
		x.reason, x.who = reason, who
		close(x.stopping)
	}
	return true
}

// why is why it is stopped, and who asked for that.
func (x *execution) why() (reason, who string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.reason, x.who
}

// leave stops the program, or what is done with its files.
func (x *execution) leave() {
	if !x.stop(stopLeaving, "") {
		x.cancel()
	}
}

func (x *execution) run(ctx context.Context, err error) {
	defer x.cancel()
	e := ended{err: err}
	if err == nil {
		e = x.execute(ctx)
	}
	if e.ending.Time.IsZero() {
		e.ending.Time = time.Now()
	}
	x.mu.Lock()
	x.over = true
	e.reason, e.who = x.reason, x.who
	x.mu.Unlock()
	x.d.post(e)
	if e.reason == stopLeaving {
		return // the files are collected at the next start
	}
	x.record.LogError = logError(e.log)
	results, err := x.d.store.Collect(ctx, &x.record)
	x.d.post(collected{run: x.record.Report.Run, results: results, err: err})
}

// execute executes the program until nothing of it is left.
func (x *execution) execute(ctx context.Context) (e ended) {
	if x.record.Shared {
		if err := os.MkdirAll(x.record.Directory, 0o750); err != nil { // one with the run's number in it
			return ended{ending: warden.Ending{Error: err.Error()}}
		}
	}
	versions := x.versions()
	select {
	case <-x.stopping:
		return ended{ending: warden.Ending{Error: errNotStarted.Error()}}
	default:
	}
	var readers sync.WaitGroup
	var pipes []*os.File
	read := func(to **os.File, stream string) error {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		*to, pipes = w, append(pipes, r)
		readers.Go(func() { _ = x.out.Read(&output.Pipe{File: r}, stream) })
		return nil
	}
	err := read(&x.program.Stdout, output.Out)
	if err == nil {
		err = read(&x.program.Stderr, output.Err)
	}
	var p *warden.Process
	if err == nil {
		x.record.Report.Start = time.Now().UTC().Truncate(time.Microsecond)
		p, err = warden.Start(x.program)
	}
	for _, w := range []*os.File{x.program.Stdout, x.program.Stderr} {
		_ = w.Close() // the program has its own
	}
	if err == nil {
		x.watch(p, versions)
		e.ending, e.err = p.Ending()
	} else {
		e.err = err
	}
	for _, r := range pipes {
		_ = r.SetReadDeadline(time.Now().Add(drain)) // all writers are gone, or out of reach
	}
	readers.Wait()
	for _, r := range pipes {
		_ = r.Close()
	}
	e.log = x.out.Close()
	return e
}

// watch waits for the program and stops it when there is a reason.
func (x *execution) watch(p *warden.Process, versions map[string]string) {
	<-p.Started()
	select {
	case <-p.Ended():
		if e, _ := p.Ending(); e.Error != "" { // it never ran
			<-p.Clean()
			return
		}
	default:
	}
	x.d.post(began{x.record.Report.Start, versions})
	limit := time.NewTimer(x.limit)
	defer limit.Stop()
	stopping := x.stopping
	for {
		select {
		case <-p.Ended():
			x.mu.Lock()
			x.over = true
			x.mu.Unlock()
			<-p.Clean()
			return
		case <-limit.C:
			x.stop(stopLimit, "")
		case <-stopping:
			stopping = nil
			p.Stop()
		}
	}
}

// versions asks the program for its version, if it has one to say.
func (x *execution) versions() map[string]string {
	versions := maps.Clone(x.record.Versions)
	if x.version == nil {
		return versions
	}
	r, w, err := os.Pipe()
	if err != nil {
		return versions
	}
	defer r.Close()
	ask := x.program
	ask.Arguments, ask.Grace, ask.Stdout, ask.Stderr = x.version, 0, w, w
	p, err := warden.Start(ask)
	_ = w.Close()
	if err != nil {
		return versions
	}
	said := make(chan []byte, 1)
	go func() { // ends with the program's output
		b, _ := io.ReadAll(io.LimitReader(r, 16*maxVersion))
		said <- b
		_, _ = io.Copy(io.Discard, r)
	}()
	timeout := time.NewTimer(versionLimit)
	defer timeout.Stop()
	select {
	case <-p.Clean():
	case <-timeout.C:
		p.Stop()
	case <-x.stopping:
		p.Stop()
	}
	<-p.Clean()
	_ = r.SetReadDeadline(time.Now().Add(drain))
	line, _, _ := bytes.Cut(bytes.TrimSpace(<-said), []byte("\n"))
	text := strings.TrimSpace(strings.ToValidUTF8(string(line[:min(len(line), maxVersion)]), ""))
	if e, err := p.Ending(); err == nil && e.Exit != nil && *e.Exit == 0 && text != "" {
		versions["program"] = text
	} else {
		x.d.env.Log.Warn("the program does not say its version", "program", x.record.Program, "arguments", x.version, "says", text)
	}
	return versions
}
