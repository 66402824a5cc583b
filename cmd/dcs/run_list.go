package main

import (
	"context"
	"fmt"
	"time"

	"trackerdcs/pkg/runs"
)

type runListCmd struct {
	mongoFlags
	Procedure string `help:"Of this procedure only." placeholder:"NAME"`
	Module    string `help:"Of this module only." placeholder:"NAME"`
	State     string `help:"In this state only: finished, failed, aborted, interrupted." enum:",finished,failed,aborted,interrupted,configuring,running,finishing" default:"" placeholder:"STATE"`
	From      string `help:"Asked for from then on: a time as dcs audit takes it (2026-11-20, 3d, monday)." placeholder:"WHEN"`
	To        string `help:"Asked for before then." placeholder:"WHEN"`
	Before    int64  `help:"With a number below this one, to go on where a list ended." placeholder:"N"`
	Limit     int    `help:"How many at most, up to 1000." default:"20"`
}

// Run lists runs.
func (c *runListCmd) Run(ctx context.Context) error {
	con := terminal()
	return c.with(ctx, con, func(s runStore) error { return c.run(ctx, con, s, time.Now()) })
}

func (c *runListCmd) run(ctx context.Context, con console, store runStore, now time.Time) error {
	f := runs.Filter{Procedure: c.Procedure, Module: c.Module, State: c.State, Before: c.Before, Limit: c.Limit}
	if c.Limit < 1 || c.Limit > runs.MaxLimit {
		return fmt.Errorf("--limit %d: choose 1 to %d", c.Limit, runs.MaxLimit)
	}
	var err error
	if c.From != "" {
		if f.From, err = parseMoment(c.From, now); err != nil {
			return fmt.Errorf("--from: %w", err)
		}
	}
	if c.To != "" {
		if f.To, err = parseMoment(c.To, now); err != nil {
			return fmt.Errorf("--to: %w", err)
		}
	}
	list, err := store.List(ctx, f)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		for _, r := range list {
			if err := printJSON(con, r); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		con.notef("no such run")
		return nil
	}
	t := &table{heads: []string{">run", "state", "procedure", "module", "asked for", ">took", "by", "error"}}
	for _, r := range list {
		took := ""
		if r.Duration > 0 {
			took = durationText(time.Duration(r.Duration * float64(time.Second)))
		}
		t.add(stateColor(r.State), fmt.Sprint(r.Number), r.State, r.Procedure, r.Module, stampSeconds(r.Asked, r.Start), took, r.User, cut(oneLine(r.Error), 60))
	}
	t.print(con, "")
	if len(list) == c.Limit {
		con.notef("there may be more: --before %d goes on, --limit takes up to %d", list[len(list)-1].Number, runs.MaxLimit)
	}
	return nil
}

// stampSeconds is the first of these times that is known, to the second.
func stampSeconds(times ...time.Time) string {
	for _, t := range times {
		if !t.IsZero() {
			return t.UTC().Format(time.RFC3339)
		}
	}
	return ""
}
