package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// settings are what the flags say.
type settings struct {
	only     []string
	rounds   int
	messages int           // flat out
	rate     int           // messages a second, where it is fixed
	fixed    time.Duration // how long at the fixed rate
	loss     time.Duration // how long the load of the second table lasts; faults scale with it
	backlog  int           // messages that wait while InfluxDB is away
	bin, dir string
	influxd  string // its configuration
	mqttd    string

	undelivered, batch int // Telegraf's max_undelivered_messages and metric_batch_size
	inflight           int // Mosquitto's max_inflight_messages where its queues are open

	out  string
	keep bool
}

var parts = []string{"flat", "rate", "missing", "backlog"}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	only := f.String("only", strings.Join(parts, ","), "the parts to run")
	quick := f.Bool("quick", false, "small figures, to try it: the results mean little")
	f.IntVar(&s.rounds, "rounds", 3, "rounds of flat and rate")
	f.IntVar(&s.messages, "messages", 100_000, "messages of a round of flat, four points each")
	f.IntVar(&s.rate, "rate", 1000, "messages a second in rate, missing and backlog")
	f.DurationVar(&s.fixed, "fixed", 20*time.Second, "how long a round of rate lasts")
	f.DurationVar(&s.loss, "loss", 40*time.Second, "how long the load of each row of missing lasts")
	f.IntVar(&s.backlog, "backlog", 250_000, "messages that wait for InfluxDB in backlog")
	f.StringVar(&s.bin, "bin", "bin", "where loader, influxd and telegraf are")
	f.StringVar(&s.dir, "dir", "data", "where the broker's and the database's files go; a disk, not a tmpfs")
	f.StringVar(&s.influxd, "influxd-conf", "tools/influxd/influxd.conf", "configuration of influxd")
	f.StringVar(&s.mqttd, "mosquitto", "", "the broker (default: the one in the path, else /usr/sbin/mosquitto)")
	f.IntVar(&s.undelivered, "undelivered", 5000, "Telegraf's max_undelivered_messages")
	f.IntVar(&s.inflight, "inflight", 5000, "Mosquitto's max_inflight_messages where its queues are open; 0 is without limit")
	f.IntVar(&s.batch, "batch", 5000, "Telegraf's metric_batch_size")
	f.StringVar(&s.out, "out", "", "write the tables into this file too")
	f.BoolVar(&s.keep, "keep", false, "keep the folder with logs and data")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	s.only = strings.Split(*only, ",")
	for _, p := range s.only {
		if !slices.Contains(parts, p) {
			return s, fmt.Errorf("-only %s: choose from %s", p, strings.Join(parts, ","))
		}
	}
	if *quick {
		s.rounds, s.messages, s.fixed, s.loss, s.backlog = 1, 20_000, 5*time.Second, 12*time.Second, 25_000
	}
	s.messages -= s.messages % devices
	s.backlog -= s.backlog % devices
	if s.rounds < 1 || s.messages < devices || s.rate < devices || s.backlog < devices {
		return s, fmt.Errorf("at least one round, and at least one message a device (%d)", devices)
	}
	return s, nil
}

// run does what the arguments ask for and reports whether all goals are met.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (bool, error) {
	s, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	b := bench{settings: s, out: stdout, log: stderr}
	if s.out != "" {
		f, err := os.Create(s.out)
		if err != nil {
			return false, err
		}
		defer f.Close()
		b.out = io.MultiWriter(stdout, f)
	}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return false, err
	}
	if b.dir, err = os.MkdirTemp(s.dir, "bench-"); err != nil {
		return false, err
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil { // children run elsewhere
		return false, err
	}
	if s.keep {
		b.say("files are kept in %s", b.dir)
	} else {
		defer func() { _ = os.RemoveAll(b.dir) }()
	}
	return b.run(ctx)
}

// bench is one run of this program.
type bench struct {
	settings
	out, log io.Writer
	stands   int // numbers the folders
}

// say tells who waits what is going on.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.log, "bench: "+format+"\n", args...)
}

func (b *bench) run(ctx context.Context) (bool, error) {
	facts, err := b.machine(ctx)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(b.out, "# The loader and Telegraf\n\n%s", facts.markdown())
	ok := true
	for _, part := range []struct {
		name string
		run  func(context.Context) (table, error)
	}{
		{"flat", b.flat}, {"rate", b.fixedRate}, {"missing", b.missing}, {"backlog", b.drain},
	} {
		if !slices.Contains(b.only, part.name) {
			continue
		}
		t, err := part.run(ctx)
		if err != nil {
			return false, fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Fprint(b.out, "\n", t.markdown())
		ok = ok && t.ok()
	}
	return ok, nil
}
