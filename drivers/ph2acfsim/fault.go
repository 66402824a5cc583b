package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// orphanMode is the first argument of the process that --fault orphan starts,
// orphanLife how long it lives when nobody ends it.
const (
	orphanMode = "orphan"
	orphanLife = 10 * time.Minute
)

// errFailed is matched when the procedure has failed.
var errFailed = errors.New("the procedure failed")

// faults are what can go wrong, by name; nil is nothing.
var faults = map[string]func(ctx context.Context, p printer) error{
	"none": nil,
	"fail": func(context.Context, printer) error {
		return fmt.Errorf("%w: readout board 0: no data for 5 s after 3 tries [fault]", errFailed)
	},
	"hang": func(ctx context.Context, _ printer) error {
		<-ctx.Done()
		return ctx.Err()
	},
	"crash": func(_ context.Context, p printer) error {
		_, _ = io.WriteString(p.stderr, "*** invalid memory reference in the decoder of events [fault]\n") // it dies anyway
		crash()
		return nil
	},
	"ignore-term": func(context.Context, printer) error {
		for { // a select without a case would be found to be a deadlock
			time.Sleep(time.Hour)
		}
	},
	"orphan": func(_ context.Context, p printer) error { return leaveBehind(p) },
}

// leaveBehind starts a process in a session of its own. It is not in the group
// that a parent may signal, and it holds the pipes to the parent open.
func leaveBehind(p printer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("orphan: %w", err)
	}
	cmd := exec.Command(self, orphanMode)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("orphan: %w", err)
	}
	p.warn("[orphan] pid=%d in a session of its own [fault]", cmd.Process.Pid)
	return cmd.Process.Release()
}
