package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/drivers/ph2acf/keep"
	"trackerdcs/drivers/ph2acf/output"
	"trackerdcs/drivers/ph2acf/procedure"
	"trackerdcs/pkg/device"
	"trackerdcs/pkg/ids"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/transfer"
	"trackerdcs/pkg/wire"
)

// leaveMargin is what the driver takes at its end besides the program's grace.
// Tests, which compilers run beside, give it more.
var leaveMargin = 2 * time.Second

// run executes what it is told to until ctx ends.
func run(ctx context.Context, env *service.Env, cfg *config) error {
	release, err := service.HoldDir(ctx, env.DataDir, env.Log)
	if err != nil || ctx.Err() != nil {
		return err
	}
	defer release()
	procedures, err := cfg.procedures()
	if err != nil {
		return fmt.Errorf("DCS_PROCEDURES: %w", err)
	}
	store, records, err := keep.Open(env.DataDir, env.Log)
	if err != nil {
		return err
	}
	dev, err := device.New(env, &cfg.Settings)
	if err != nil {
		return err
	}
	d := &driver{
		Device: dev, env: env, cfg: cfg, procedures: procedures, store: store,
		programs: lookUp(procedures), commands: newMailbox(), known: ids.New(), records: make(map[int64]*keep.Record), retries: make(map[chore]*retry),
		events: make(chan any), gone: make(chan struct{}), connected: make(chan struct{}, 1),
	}
	d.meter(env.Metrics)
	d.sender, err = transfer.New(transfer.Options{
		Bus: cfg.Options("dcs-" + env.Name + "-results"), Root: cfg.Root, Device: env.Name, Sink: cfg.Sink,
		Log: env.Log, Metrics: env.Metrics, Stored: func(run int64, uid string) { d.post(stored{run, uid}) },
	})
	if err != nil {
		return err
	}
	dev.Subscribe(cfg.Root.Commands(env.Name), 1, d.commands.put)
	dev.OnConnect(func() { poke(d.connected) })
	return dev.Run(ctx, func(ctx context.Context) error {
		sendCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan error, 1)
		go func() { ended <- d.sender.Run(sendCtx) }()
		err := d.loop(ctx, records)
		close(d.gone)
		cancel()
		return errors.Join(err, <-ended)
	})
}

// driver executes runs; loop alone touches its state.
type driver struct {
	*device.Device
	env        *service.Env
	cfg        *config
	procedures procedure.Procedures
	programs   map[string]string // where programs are, by how the file names them
	store      *keep.Store
	sender     *transfer.Sender

	commands  *mailbox
	events    chan any      // from the goroutines of runs and from the sender
	gone      chan struct{} // closed when nobody takes events any more
	connected chan struct{} // holds one token: there is a new connection

	records    map[int64]*keep.Record // those that are not stored, and the last
	last       *keep.Record           // under way, or else the last
	x          *execution             // nil while nothing is under way
	recovering int64                  // a run of an earlier start whose files are being collected, or 0
	aborts     []*task                // of the run under way
	retries    map[chore]*retry
	known      *ids.Book
	made       int // ids made up
	ackTimes   wire.Stamper
	said       said // the last report
	lines      output.State

	acks    *prometheus.CounterVec
	runs    *prometheus.CounterVec
	printed prometheus.Counter
	dropped prometheus.Counter
}

// stored says that the sink has a run.
type stored struct {
	run int64
	uid string
}

func (d *driver) meter(r *prometheus.Registry) {
	d.acks = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_acks_total", Help: "Answers to commands."}, []string{"phase", "code"})
	d.runs = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_runs_total", Help: "Runs that have ended."}, []string{"state"})
	d.printed = prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_log_lines_total", Help: "Lines that programs have printed."})
	d.dropped = prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_log_lines_dropped_total", Help: "Lines that were too many to be sent as they came; they are in the log."})
	r.MustRegister(d.acks, d.runs, d.printed, d.dropped, prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: "dcs_commands_dropped_total", Help: "Commands that found no room in the mailbox."}, d.commands.lostCount))
}

// post hands an event to loop, as long as there is one.
func (d *driver) post(ev any) {
	select {
	case d.events <- ev:
	case <-d.gone:
	}
}

func (d *driver) loop(ctx context.Context, records []*keep.Record) error {
	d.describe()
	d.recover(ctx, records)
	d.complain()
	d.status()
	period := time.NewTicker(d.cfg.Period)
	defer period.Stop()
	tick := time.NewTicker(output.BatchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			d.leave(ctx)
			return nil
		case <-d.commands.wake:
			if m, ok := d.commands.take(); ok {
				d.command(ctx, m)
			}
		case ev := <-d.events:
			d.event(ctx, ev)
		case <-d.connected:
			d.report()
		case <-tick.C:
			d.follow(false)
		case now := <-period.C:
			d.tryAgain(now)
			d.complain()
			d.status()
		}
	}
}

// leave ends the run under way, if any, and waits for that as long as its
// program may take and a little more. What comes later is found at the next start.
func (d *driver) leave(ctx context.Context) {
	if d.x == nil {
		return
	}
	d.env.Log.Info("ending the run under way", "run", d.last.Report.Run)
	d.x.leave()
	timeout := time.NewTimer(d.x.grace + leaveMargin)
	defer timeout.Stop()
	for d.x != nil {
		select {
		case ev := <-d.events:
			d.event(ctx, ev)
		case <-timeout.C:
			d.x.cancel() // of the collecting, if it has come to that
			d.env.Log.Warn("the program is not gone yet: its warden is still at it", "run", d.last.Report.Run)
			return
		}
	}
}

// event takes what a goroutine tells.
func (d *driver) event(ctx context.Context, ev any) {
	switch ev := ev.(type) {
	case began:
		d.last.Report.Start, d.last.Versions = ev.time, ev.versions
		d.save(d.last)
		d.report()
	case ended:
		d.ended(ev)
	case collected:
		d.collected(ctx, ev)
	case stored:
		d.stored(ev)
	}
}

// recover takes up what an earlier start has left: a run that was under way is
// interrupted, and what is not stored is offered.
func (d *driver) recover(ctx context.Context, records []*keep.Record) {
	var uncollected []keep.Record
	for i, r := range records {
		if r.Stored && i < len(records)-1 {
			d.forget(r)
			continue
		}
		d.records[r.Report.Run], d.last = r, r
		if r.Report.State == wire.RunRunning && r.Ending == nil {
			d.sweep(r)
		}
		if r.Report.State == wire.RunRunning && d.settled(r) {
			d.conclude(r, nil)
		}
		d.answerAborts(r)
		switch {
		case r.Stored:
		case !r.Collected:
			uncollected = append(uncollected, *r)
		default:
			d.offer(r)
		}
	}
	if len(uncollected) > 0 {
		d.recovering = uncollected[0].Report.Run
		go func() { // ends with the last of them, or with loop
			for i := range uncollected {
				r := &uncollected[i]
				results, err := d.store.Collect(ctx, r)
				d.post(collected{run: r.Report.Run, results: results, err: err, last: i == len(uncollected)-1})
			}
		}()
	}
	d.report()
}

// lookUp finds the programs: a plain name beside our own, then in PATH. What is
// not found is not there: a start is refused, and it says so.
func lookUp(procedures procedure.Procedures) map[string]string {
	found := make(map[string]string)
	for _, p := range procedures {
		found[p.Program] = find(p.Program)
	}
	return found
}

// complain says that the driver is ready, and what is wrong all the same.
func (d *driver) complain() { d.Set(wire.Ready, d.complaint()) }

// complaint says what cannot be kept or executed as things are.
func (d *driver) complaint() string {
	if trouble := d.trouble(); trouble != "" {
		return trouble
	}
	if problem := d.sender.Problem(); problem != "" {
		return problem
	}
	for _, name := range d.procedures.Names() {
		if _, err := d.programOf(d.procedures[name]); err != nil {
			return fmt.Sprintf("procedure %s: %v", name, err)
		}
	}
	return ""
}

// folder is where a run of a procedure is executed.
func (d *driver) folder(p *procedure.Procedure, run int64) (dir string, shared bool) {
	if dir := p.DirectoryOf(run); dir != "" {
		return filepath.Clean(dir), true
	}
	return d.store.Work(run), false
}
