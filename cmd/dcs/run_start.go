package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/wire"
)

type runStartCmd struct {
	commandFlags
	As            string   `help:"Who asks for it, in place of the user of the operating system." placeholder:"NAME"`
	Module        string   `help:"The parameter module." placeholder:"NAME"`
	Set           []string `help:"A parameter; may be given several times." sep:"none" placeholder:"NAME=VALUE"`
	Configuration []string `help:"What has to be reached before the program starts: a name (dcs run config), or @FILE in YAML or JSON. For another transition configure=, finish= or end= goes before it; may be given several times." sep:"none" placeholder:"NAME"`
	Device        string   `help:"Which driver is to execute it, where several can." placeholder:"NAME"`
	Procedure     string   `arg:"" help:"What is to be run, calibration for instance."`
}

// Help is what --help says behind the flags.
func (*runStartCmd) Help() string {
	return "Ctrl-C ends the following, not the run: dcs run watch goes on with it, dcs run abort ends it.\n\n" +
		"Exit codes: 0 finished, 3 rejected, 4 failed, aborted or interrupted, 5 no answer."
}

// Run starts a run.
func (c *runStartCmd) Run(ctx context.Context) error { return c.run(ctx, terminal()) }

func (c *runStartCmd) run(ctx context.Context, con console) error {
	cmd, err := c.command()
	if err != nil {
		return err
	}
	f, err := c.follower(con)
	if err != nil {
		return err
	}
	defer f.s.leave()
	if err := f.s.arrive(ctx); err != nil {
		con.notef("%s was not started: %v", c.Procedure, err)
		return noAnswerOr(ctx)
	}
	if err := f.learn(ctx, c.Procedure, c.Device); err != nil {
		return err
	}
	if cmd.Parameters, err = c.parameters(f.offers); err != nil {
		return err
	}
	cmd.Expires = time.Now().Add(expiryTime)
	if cmd, err = wire.ParseRunCommand(wire.Start, cmd.Payload()); err != nil {
		return err // it would be refused
	}
	f.cmd, f.noWait = &cmd, c.NoWait
	return f.follow(ctx)
}

// command is the command without its parameters.
func (c *runStartCmd) command() (wire.RunCommand, error) {
	cmd := wire.RunCommand{Op: wire.Start, Procedure: c.Procedure, Device: c.Device, ID: "dcs-" + rand.Text()[:16], User: c.As, Dry: c.Dry}
	if cmd.User == "" {
		cmd.User = userName()
	}
	for _, text := range c.Configuration {
		transition, one, err := configurationOf(text)
		if err != nil {
			return cmd, fmt.Errorf("--configuration: %w", err)
		}
		if _, twice := cmd.Configurations[transition]; twice {
			return cmd, fmt.Errorf("--configuration: the transition %s has two of them", transition)
		}
		if cmd.Configurations == nil {
			cmd.Configurations = make(map[string]wire.ConfigurationOrName)
		}
		cmd.Configurations[transition] = one
	}
	return cmd, nil
}

// configurationOf reads NAME, @FILE, or one of these behind a transition and an
// equals sign.
func configurationOf(text string) (transition string, one wire.ConfigurationOrName, err error) {
	transition, rest, ok := strings.Cut(text, "=")
	switch {
	case !ok || strings.HasPrefix(text, "@"):
		transition, rest = wire.RunTransition, text
	case !slices.Contains([]string{"configure", wire.RunTransition, "finish", "end"}, transition):
		return "", one, fmt.Errorf("%q is no transition: choose configure, run, finish or end", transition)
	}
	file, isFile := strings.CutPrefix(rest, "@")
	if !isFile {
		return transition, wire.ConfigurationOrName{Name: rest}, nil
	}
	cfg, err := readConfiguration(file)
	return transition, wire.ConfigurationOrName{Inline: &cfg}, err
}

// parameters reads them with the types that the drivers have said.
func (c *runStartCmd) parameters(known offers) (wire.Parameters, error) {
	p, ok, err := known.procedure(c.Procedure, c.Device)
	if err != nil {
		return nil, err
	}
	sets := c.Set
	if c.Module != "" {
		sets = append([]string{"module=" + c.Module}, sets...)
	}
	if !ok {
		found, err := parametersOf(c.Procedure, sets, nil)
		if c.Module != "" && err == nil {
			found["module"] = c.Module // a name, whatever it looks like
		}
		return found, err
	}
	return parametersOf(c.Procedure, sets, &p)
}

type runAbortCmd struct {
	commandFlags
	As     string `help:"Who asks for it, in place of the user of the operating system." placeholder:"NAME"`
	Reason string `help:"Why."`
	Number int64  `arg:"" optional:"" name:"run" help:"The number of the run; without it the one under way, whichever it is."`
}

// Run aborts a run.
func (c *runAbortCmd) Run(ctx context.Context) error { return c.run(ctx, terminal()) }

func (c *runAbortCmd) run(ctx context.Context, con console) error {
	if c.Number != 0 {
		if err := checkNumber(c.Number); err != nil {
			return err
		}
	}
	cmd := wire.RunCommand{Op: wire.Abort, Run: c.Number, Reason: c.Reason, ID: "dcs-" + rand.Text()[:16], User: c.As, Dry: c.Dry}
	if cmd.User == "" {
		cmd.User = userName()
	}
	f, err := c.follower(con)
	if err != nil {
		return err
	}
	defer f.s.leave()
	if err := f.s.arrive(ctx); err != nil {
		con.notef("abort was not sent: %v", err)
		return noAnswerOr(ctx)
	}
	cmd.Expires = time.Now().Add(expiryTime)
	if cmd, err = wire.ParseRunCommand(wire.Abort, cmd.Payload()); err != nil {
		return err
	}
	f.cmd, f.noWait, f.run = &cmd, c.NoWait, cmd.Run
	return f.follow(ctx)
}

type runWatchCmd struct{ busFlags }

// Help is what --help says behind the flags.
func (*runWatchCmd) Help() string {
	return "Exit codes: 0 it is finished, or no run is under way, 4 it failed, was aborted or interrupted, 5 no answer."
}

// Run follows the run under way.
func (c *runWatchCmd) Run(ctx context.Context) error { return c.run(ctx, terminal()) }

func (c *runWatchCmd) run(ctx context.Context, con console) error {
	f, err := c.follower(con)
	if err != nil {
		return err
	}
	defer f.s.leave()
	if err := f.s.arrive(ctx); err != nil {
		con.notef("%v", err)
		return noAnswerOr(ctx)
	}
	if err := f.follow(ctx); !errors.Is(err, errNothingUnderWay) {
		return err
	}
	return nil
}

// noAnswerOr is the exit code when nothing has come: a Ctrl-C has its own.
func noAnswerOr(ctx context.Context) error {
	if ctx.Err() != nil {
		return exitInterrupted
	}
	return exitNoAnswer
}
