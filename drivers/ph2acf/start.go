package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"trackerdcs/drivers/ph2acf/keep"
	"trackerdcs/drivers/ph2acf/procedure"
	"trackerdcs/pkg/disk"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
)

// inherited is what a program gets of our own environment. All else is ours:
// settings, and the names of files with secrets.
var inherited = []string{"PATH", "HOME", "LANG", "TZ"}

// start judges a start and, if nothing is against it, executes it.
func (d *driver) start(ctx context.Context, now time.Time, t *task) {
	r, no := d.prepare(now, t)
	switch {
	case no != nil:
		d.reject(t, no)
		return
	case t.cmd.Dry:
		d.say(t, d.ack(t, wire.Accepted, wire.Dry, "checked and not executed"))
		return
	}
	before := d.last
	r.Ack = d.ack(t, wire.Accepted, wire.OK, "")
	if err := d.store.Begin(r); err != nil {
		d.store.Abandon(r.Report.Run)
		d.reject(t, refuse(wire.Hardware, "%v", err))
		return
	}
	if before != nil && before.Stored { // it was kept as the last one
		delete(d.records, before.Report.Run)
		d.forget(before)
	}
	d.records[r.Report.Run], d.last = r, r
	d.say(t, r.Ack)
	d.execute(ctx, r)
	d.report()
	d.status()
}

// prepare checks all that can be checked before a run and says what would be
// executed. The first reason that is against it is given.
func (d *driver) prepare(now time.Time, t *task) (*keep.Record, *refusal) {
	c := &t.cmd
	p, no := d.meaning(t)
	if no != nil {
		return nil, no
	}
	given, err := p.Check(c.Parameters)
	if err != nil {
		return nil, refuse(wire.BadValue, "%v", err)
	}
	r := &keep.Record{
		Report: wire.Report{
			Run: c.Run, UID: c.UID, ID: c.ID, User: c.User, State: wire.RunRunning, Time: now.UTC().Truncate(time.Microsecond), Boot: d.env.Boot,
			Procedure: p.Name, Parameters: given,
		},
		Content: hex.EncodeToString(t.content[:]), Command: t.payload, Files: p.Files,
		Versions: map[string]string{"driver": d.env.Program + " " + service.Version()},
	}
	r.Directory, r.Shared = d.folder(p, c.Run)
	if r.Arguments, err = p.ArgumentsOf(d.call(r)); err == nil {
		r.Environment, err = p.EnvironmentOf(d.call(r))
	}
	if err != nil {
		return nil, refuse(wire.BadValue, "%v", err)
	}
	switch {
	case !c.Expires.IsZero() && now.Round(0).After(c.Expires):
		return nil, refuse(wire.Expired, "it expired at %s: compare the clocks", c.Expires.Format(time.RFC3339Nano))
	case c.Run <= d.store.Highest():
		return nil, refuse(wire.Duplicate, "run %d was executed already: each run has a number of its own, and the highest here is %d", c.Run, d.store.Highest())
	case d.x != nil:
		return nil, refuse(wire.Busy, "run %d is under way since %s", d.last.Report.Run, d.last.Report.Time.Format(time.RFC3339))
	case d.recovering != 0:
		return nil, refuse(wire.Busy, "the results of run %d, which was interrupted, are being collected: try again in a moment", d.recovering)
	}
	if run, err := d.uncollected(); err != nil {
		return nil, refuse(wire.Busy, "the results of run %d cannot be kept: %v. It is tried again, and no run is started before", run, err)
	}
	if r.Program, err = d.programOf(p); err == nil {
		err = d.ready(p, r)
	}
	if err != nil {
		return nil, refuse(wire.Hardware, "%v", err)
	}
	return r, nil
}

// meaning checks what a start says besides its parameters.
func (d *driver) meaning(t *task) (*procedure.Procedure, *refusal) {
	c := &t.cmd
	switch p := d.procedures[c.Procedure]; {
	case c.Run == 0 || c.UID == "":
		return nil, refuse(wire.BadValue, `"run" or "uid" is missing: run control gives both, send to %s`, d.Root().RunCommand(wire.Start))
	case procedure.CheckUID(c.UID) != nil:
		return nil, refuse(wire.BadValue, "%v", procedure.CheckUID(c.UID))
	case c.Device != "" && c.Device != d.env.Name:
		return nil, refuse(wire.BadValue, `"device" is %s, and this is %s`, c.Device, d.env.Name)
	case len(c.Configurations) > 0:
		return nil, refuse(wire.BadValue, "configurations are for run control: send to %s", d.Root().RunCommand(wire.Start))
	case p == nil:
		return nil, refuse(wire.BadValue, "procedure %q is not known: there are %v", wire.Echo(c.Procedure), d.procedures.Names())
	default:
		return p, nil
	}
}

func (d *driver) call(r *keep.Record) procedure.Call {
	return procedure.Call{Run: r.Report.Run, UID: r.Report.UID, Dir: r.Directory, Parameters: r.Report.Parameters}
}

// ready looks at what a run needs: a directory and room on the disk.
func (d *driver) ready(p *procedure.Procedure, r *keep.Record) error {
	if r.Shared && p.Directory == p.DirectoryOf(r.Report.Run) { // one with {run} is made
		if info, err := os.Stat(r.Directory); err != nil {
			return fmt.Errorf("the directory of %s: %w", p.Name, err)
		} else if !info.IsDir() {
			return fmt.Errorf("the directory of %s: %s is none", p.Name, r.Directory)
		}
	}
	free, err := disk.Free(d.env.DataDir)
	if err != nil {
		return err
	}
	if free < d.cfg.Reserve {
		return fmt.Errorf("the disk has %d MB free and a start needs %d (DCS_RESERVE_BYTES); %d runs wait to be stored", free/1e6, d.cfg.Reserve/1e6, d.waiting())
	}
	return nil
}

// find says where a program is, or nothing.
func find(program string) string {
	if filepath.IsAbs(program) {
		return program
	}
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), program); executable(beside) == nil {
			return beside
		}
	}
	found, err := exec.LookPath(program)
	if err != nil || !filepath.IsAbs(found) {
		return ""
	}
	return found
}

// programOf is the file that a procedure executes, which has to be there.
func (d *driver) programOf(p *procedure.Procedure) (string, error) {
	file := d.programs[p.Program]
	if file == "" {
		return "", fmt.Errorf("program %s was found neither beside the driver nor in PATH when the driver started", p.Program)
	}
	return file, executable(file)
}

func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return fmt.Errorf("program: %w", err)
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("program %s cannot be executed: it is no file, or not marked executable", file)
	}
	return nil
}

// environment is all that a program gets of it.
func environment(given []string) []string {
	var env []string
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, given...) // of two with one name the last counts
}

var errNotStarted = errors.New("it was asked to end before it was started")
