// Package service is what every program of the stack needs and none is for:
// settings from the environment, logs, signals, exit codes, health and metrics
// over HTTP, and a state on the bus.
package service

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"trackerdcs/pkg/health"
	"trackerdcs/pkg/version"
)

// Version is what the binary says of itself.
func Version() string { return version.Version() }

// Exit codes of programs.
const (
	exitOK       = 0
	exitFailed   = 1
	exitSettings = 2
)

// Env is what a running program is given.
type Env struct {
	Program string // the binary's name
	Name    string // the device's or service's name
	Boot    string // new at each start
	DataDir string
	Log     *slog.Logger
	Metrics *prometheus.Registry
	Health  *Health
}

// Main runs a program: it reads the settings, answers -h, -check, -version and
// -healthcheck, and calls run with a context that ends on SIGINT or SIGTERM.
// It exits with 0 when that signal ended it, 1 when run failed, 2 on bad
// settings, every one of which is named.
func Main[C any, P interface {
	*C
	Settings
}](program, about string, run func(context.Context, *Env, P) error) {
	cfg := P(new(C))
	a := app{program: program, about: about, cfg: cfg, out: os.Stdout, err: os.Stderr}
	a.run = func(ctx context.Context, e *Env) error { return run(ctx, e, cfg) }
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := a.main(ctx, os.Args[1:], os.Environ())
	stop()
	os.Exit(code)
}

// app is one call of Main, its surroundings handed in.
type app struct {
	program, about string
	cfg            Settings
	out, err       io.Writer
	run            func(context.Context, *Env) error
}

func (a *app) main(ctx context.Context, args, environ []string) int {
	mode := ""
	for _, arg := range args {
		switch name := strings.TrimLeft(arg, "-"); {
		case name == "h" || name == "help":
			usage(a.out, a.program, a.about, a.cfg)
			return exitOK
		case name == "version":
			fmt.Fprintln(a.out, a.program, Version())
			return exitOK
		case arg != name && (name == "check" || name == "healthcheck"):
			mode = name
		default:
			fmt.Fprintf(a.err, "%s: unknown argument %q: settings are environment variables, see %s -h\n", a.program, arg, a.program)
			return exitSettings
		}
	}
	if errs := load(a.cfg, environment(environ)); len(errs) > 0 {
		for _, e := range errs {
			fmt.Fprintf(a.err, "%s: %v\n", a.program, e)
		}
		fmt.Fprintf(a.err, "%s: all settings are listed by %s -h\n", a.program, a.program)
		return exitSettings
	}
	name := a.cfg.instance(a.program)
	a.cfg.setInstance(name)
	switch mode {
	case "check":
		fmt.Fprintf(a.out, "%s: the settings of %s are good\n", a.program, name)
		return exitOK
	case "healthcheck":
		return a.healthcheck(ctx)
	}
	return a.start(ctx, name)
}

func (a *app) start(ctx context.Context, name string) int {
	common := a.cfg.common()
	e := &Env{
		Program: a.program, Name: name, Boot: NewBoot(), DataDir: common.DataDir,
		Log:     common.logger(a.err, name),
		Metrics: newRegistry(),
		Health:  &Health{},
	}
	debug.SetGCPercent(50) // dozens of small programs share a machine: memory is dearer than the microseconds
	e.Log.Info("starting", "program", a.program, "version", Version(), "boot", e.Boot)

	g, gctx := errgroup.WithContext(ctx)
	gctx, cancel := context.WithCancel(gctx)
	defer cancel()
	if common.HTTP != "" {
		g.Go(func() error { return e.serveHTTP(gctx, common.HTTP) })
	}
	g.Go(func() error {
		defer cancel() // the end of run is the end of the program
		return a.run(gctx, e)
	})
	err := g.Wait()
	switch {
	case err != nil && ctx.Err() == nil:
		e.Log.Error("failed", "error", err)
		return exitFailed
	case err != nil:
		e.Log.Warn("ended on a signal, not cleanly", "error", err)
	default:
		e.Log.Info("ended")
	}
	return exitOK
}

func (a *app) healthcheck(ctx context.Context) int {
	addr := a.cfg.common().HTTP
	if addr == "" {
		fmt.Fprintf(a.err, "%s: -healthcheck needs DCS_HTTP\n", a.program)
		return exitSettings
	}
	said, err := health.Check(ctx, addr)
	if err != nil {
		fmt.Fprintf(a.err, "%s: %v\n", a.program, err)
		return exitFailed
	}
	fmt.Fprintln(a.out, said)
	return exitOK
}

// environment turns os.Environ into a map.
func environment(environ []string) map[string]string {
	m := make(map[string]string, len(environ))
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			m[k] = v
		}
	}
	return m
}

// NewBoot makes the mark of one start: ten hexadecimal digits, enough for years
// of restarts without a repetition.
func NewBoot() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails: it crashes the program instead
	return hex.EncodeToString(b[:])
}
