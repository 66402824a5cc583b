package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// The exit codes.
const (
	exitOK      = 0
	exitFiles   = 1
	exitUsage   = 2
	exitFailed  = 3
	exitSupply  = 4
	exitAborted = 130
)

// start does what the arguments say until it is done or a signal ends it, and
// returns the exit code.
func start(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == orphanMode {
		time.Sleep(orphanLife)
		return exitOK
	}
	p := printer{stdout, stderr}
	c, err := parse(args, stdout, stderr, os.Exit)
	if err != nil {
		p.error("%v", err)
		return exitUsage
	}
	ctx := context.Background()
	if c.Fault == "ignore-term" {
		signal.Ignore(syscall.SIGTERM, os.Interrupt)
	} else {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
		defer stop()
		// A parent that does not read holds up who prints; it ends all the same.
		defer context.AfterFunc(ctx, func() {
			time.Sleep(900 * time.Millisecond)
			os.Exit(exitAborted)
		})()
	}
	return report(p, run(ctx, c, p, "."))
}

// report says how it ended and returns the exit code.
func report(p printer, err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		p.warn("aborted")
		return exitAborted
	case errors.Is(err, errFailed):
		p.error("%v", err)
		return exitFailed
	case errors.Is(err, errSupply):
		p.error("%v", err)
		return exitSupply
	}
	p.error("%v", err)
	return exitFiles
}

// run calibrates a module and leaves the results in dir, all of them or none.
func run(ctx context.Context, c *config, p printer, dir string) error {
	if err := vacant(dir); err != nil {
		return err
	}
	r := newRun(c, p)
	if fault := faults[c.Fault]; fault != nil {
		r.pace.faultAt = c.FailAt
		r.pace.fault = func(ctx context.Context) error { return fault(ctx, p) }
	}
	for _, phase := range r.phases() {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	files := &results{dir: dir}
	defer files.discard()
	if err := r.write(ctx, files); err != nil {
		return err
	}
	r.pace.progress(1)
	p.info("run %d done in %v", c.Run, time.Since(r.pace.start).Round(time.Millisecond))
	return nil
}
