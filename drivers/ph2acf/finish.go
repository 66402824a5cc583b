package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"trackerdcs/drivers/ph2acf/keep"
	"trackerdcs/drivers/ph2acf/procedure"
	"trackerdcs/drivers/ph2acf/warden"
	"trackerdcs/pkg/transfer"
	"trackerdcs/pkg/wire"
)

// ended takes down how the program has ended: nothing of it is left. What
// becomes of the run is said when its files are there, and the next one can be
// started then; but at once when the driver is to end.
func (d *driver) ended(ev ended) {
	d.follow(true)
	r := d.last
	r.Ending, r.Reason, r.Who = &ev.ending, ev.reason, ev.who
	switch {
	case errors.Is(ev.err, warden.ErrWarden) && ev.reason == "":
		r.Reason = keep.Died
	case ev.err != nil && !errors.Is(ev.err, warden.ErrWarden):
		r.Ending.Error = ev.err.Error()
	}
	if r.LogError = logError(ev.log); ev.log != nil {
		d.env.Log.Error("the log is not whole", "run", r.Report.Run, "error", ev.log)
	}
	r.Usage, r.Ending.Usage = ev.ending.Usage, nil
	r.Report.End, r.Report.Exit, r.Report.Signal = ev.ending.Time.UTC().Truncate(time.Microsecond), ev.ending.Exit, ev.ending.Signal
	for _, t := range d.aborts {
		d.say(t, d.ack(t, wire.Done, wire.OK, ""))
	}
	d.aborts, r.Aborts = nil, nil
	if ev.reason == stopLeaving {
		d.conclude(r, nil)
		d.finish()
		return
	}
	d.save(r)
}

// collected takes the files of a run, and says what became of it; but where that
// depends on files that could not be looked for, not before they were.
func (d *driver) collected(ctx context.Context, ev collected) {
	if ev.last {
		d.recovering = 0
	}
	r := d.records[ev.run]
	if r == nil {
		return
	}
	current := d.x != nil && r == d.last
	switch {
	case errors.Is(ev.err, context.Canceled): // the driver ends: they are collected at the next start
		if current {
			d.finish()
		}
		return
	case ev.err != nil:
		if !wire.RunEnded(r.Report.State) && d.settled(r) {
			d.conclude(r, nil)
		}
		d.put(ev.run, toCollect, ev.err, func() { d.collect(ctx, r) })
	default:
		if !wire.RunEnded(r.Report.State) {
			d.conclude(r, ev.results.Missing)
		}
		d.keepResults(r, ev.results)
	}
	switch {
	case current:
		d.finish()
	case r == d.last:
		d.report()
		d.status()
	}
}

// collect collects the files of a run once more.
func (d *driver) collect(ctx context.Context, r *keep.Record) {
	kept := *r
	go func() { // ends with the files, or with loop
		results, err := d.store.Collect(ctx, &kept)
		d.post(collected{run: kept.Report.Run, results: results, err: err})
	}()
}

// keepResults writes down what a run has left, and offers it.
func (d *driver) keepResults(r *keep.Record, results keep.Results) {
	results.Manifest.Report, results.Manifest.Versions = r.Report, r.Versions
	if err := d.store.SaveManifest(results.Manifest); err != nil {
		d.put(r.Report.Run, toCollect, err, func() { d.keepResults(r, results) })
		return
	}
	r.Collected, r.Only = true, results.Only
	d.save(r)
	d.offer(r)
}

// finish ends the execution of the last run.
func (d *driver) finish() {
	d.x = nil
	d.complain()
	d.report()
	d.status()
}

// conclude says what became of a run, and answers its start for good.
func (d *driver) conclude(r *keep.Record, missing []string) {
	state, phase, code, text := outcome(r, d.limitOf(r), missing)
	r.Report.State, r.Report.Error, r.Report.Time, r.Report.Boot = state, text, time.Now().UTC().Truncate(time.Microsecond), d.env.Boot
	if state == wire.RunFinished && r.Report.Progress.Valid {
		r.Report.Progress = wire.Known(1)
	}
	r.Ack.Time, r.Ack.Boot, r.Ack.Phase, r.Ack.Code, r.Ack.Message = d.ackTimes.Next(time.Now()), d.env.Boot, phase, code, text
	d.runs.WithLabelValues(state).Inc()
	d.save(r)
	d.env.Log.Info("run has ended", "run", r.Report.Run, "state", state, "error", text)
	if _, content, known := d.known.Find(time.Now(), r.Ack.ID); known {
		d.known.Note(time.Now(), r.Ack.ID, content, r.Ack)
	}
	d.answer(r.Ack)
}

func (d *driver) limitOf(r *keep.Record) time.Duration {
	if p := d.procedures[r.Report.Procedure]; p != nil {
		return p.Limit
	}
	return 0 // the file has changed since
}

// outcome is what became of a run: its state, and the end of the command that
// has started it.
func outcome(r *keep.Record, limit time.Duration, missing []string) (state, phase string, code wire.Code, text string) {
	failed := func(format string, args ...any) (string, string, wire.Code, string) {
		text := fmt.Sprintf(format, args...)
		if r.LastErr != "" {
			text += ": " + r.LastErr
		}
		return wire.RunFailed, wire.Failed, wire.Hardware, text
	}
	e := r.Ending
	switch {
	case r.Reason == keep.Aborted:
		return wire.RunAborted, wire.Superseded, wire.OK, "ended by " + r.Who
	case r.Reason == keep.Limit:
		return wire.RunFailed, wire.Failed, wire.Timeout, fmt.Sprintf("the program took longer than its limit of %v and was ended", limit)
	case r.Reason == keep.Leaving:
		return wire.RunInterrupted, wire.Failed, wire.Hardware, "interrupted: the driver was told to end, and has ended the program"
	case r.Reason == keep.Died:
		return wire.RunInterrupted, wire.Failed, wire.Hardware, "interrupted: the driver, or the program's warden, was killed while the program ran; what was left of it has been ended"
	case e.Error != "":
		return failed("the program could not be executed: %s", e.Error)
	case e.Signal != "":
		return failed("the program was ended by %s", e.Signal)
	case e.Exit == nil || *e.Exit != 0:
		return failed("the program ended with exit code %d", exitCode(e))
	case len(missing) > 0:
		return failed("the program ended well, but %s", strings.Join(missing, " and "))
	}
	return wire.RunFinished, wire.Done, wire.OK, ""
}

// settled reports whether it is known what became of a run without looking for
// its files.
func (d *driver) settled(r *keep.Record) bool {
	state, _, _, _ := outcome(r, d.limitOf(r), nil)
	return state != wire.RunFinished || !slices.ContainsFunc(r.Files, func(f procedure.File) bool { return f.Required })
}

func logError(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func exitCode(e *warden.Ending) int {
	if e.Exit == nil {
		return -1
	}
	return *e.Exit
}

// sweep ends what is left of a run whose driver was killed.
func (d *driver) sweep(r *keep.Record) {
	seen := d.store.LastSeen(r)
	killed := warden.Sweep(r.Report.UID)
	d.env.Log.Warn("a run was under way when the driver was killed", "run", r.Report.Run, "last_seen", seen, "processes_killed", killed)
	r.Ending, r.Report.End = &warden.Ending{Time: seen}, seen
	if r.Reason == "" { // else it was being ended already
		r.Reason = keep.Died
	}
}

// save writes a record down. When the disk does not take it the driver goes on
// and tries again.
func (d *driver) save(r *keep.Record) {
	if err := d.store.Save(r); err != nil {
		d.put(r.Report.Run, toSave, err, func() { d.save(r) })
		return
	}
	d.done(r.Report.Run, toSave)
}

// offer hands the results of a run to the sender.
func (d *driver) offer(r *keep.Record) {
	m, err := d.store.Manifest(r.Report.Run)
	if err != nil {
		d.put(r.Report.Run, toCollect, err, func() { d.offer(r) })
		return
	}
	d.done(r.Report.Run, toCollect)
	kept := *r
	d.sender.Offer(transfer.Offer{Manifest: m, Open: func(i int) (transfer.File, error) {
		if i < 0 || i >= len(m.Files) {
			return nil, os.ErrNotExist
		}
		return d.store.OpenFile(&kept, m.Files[i].Name)
	}})
}

// stored removes a run that the sink has.
func (d *driver) stored(ev stored) {
	r := d.records[ev.run]
	if r == nil || r.Report.UID != ev.uid {
		return
	}
	r.Stored = true
	d.env.Log.Info("results are stored", "run", ev.run)
	if r.Only {
		d.env.Log.Warn("its folder stays: it has files that are not among the results, see left in the manifest", "run", ev.run, "folder", d.store.Folder(ev.run))
	}
	d.forget(r)
	if r != d.last {
		delete(d.records, ev.run)
	}
	d.status()
}

// forget removes a run that the sink has.
func (d *driver) forget(r *keep.Record) {
	run := r.Report.Run
	d.done(run, toSave) // it is saved now, or never again
	if err := d.store.Forget(r); err != nil {
		d.put(run, toForget, err, func() { d.forget(r) })
		return
	}
	d.done(run, toForget)
}
