package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"trackerdcs/pkg/accounts"
)

// tokenCmds are the commands about tokens, with which scripts use the gateway's
// API.
type tokenCmds struct {
	Add    tokenAddCmd    `cmd:"" help:"Make a token for a script, and print its secret, once."`
	List   tokenListCmd   `cmd:"" help:"List tokens."`
	Remove tokenRemoveCmd `cmd:"" help:"Let a token in no more."`
}

type tokenAddCmd struct {
	accountFlags
	Name   string `arg:"" help:"What it is for, as labview-dewpoint: letters, digits and . _ @ -"`
	Role   string `help:"What it may do: viewer, operator, expert or admin." enum:"viewer,operator,expert,admin" required:""`
	For    string `help:"For how long, up to a year: 12h, 30d, 26w." required:"" placeholder:"DURATION"`
	Output string `short:"o" help:"text, or json." enum:"text,json" default:"text"`
}

// Help is what --help says behind the flags.
func (*tokenAddCmd) Help() string {
	return `The secret stands alone on the standard output, so that it can go into a file:

    dcs token add labview --role operator --for 180d > labview.token
    curl -H "Authorization: Bearer $(cat labview.token)" https://localhost:8443/api/v1/devices

` + rolesHelp
}

// Run makes a token.
func (c *tokenAddCmd) Run(ctx context.Context) error { return c.run(ctx, terminal(), time.Now()) }

func (c *tokenAddCmd) run(ctx context.Context, con console, now time.Time) error {
	life, ok := parseAgo(c.For)
	if !ok {
		return fmt.Errorf("--for %q: want how long, as 12h, 30d or 26w", c.For)
	}
	store, err := accounts.Open(c.File)
	if err != nil {
		return err
	}
	end := now.Add(life).UTC().Truncate(time.Second)
	secret, err := store.AddToken(ctx, c.Name, accounts.Role(c.Role), end)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(con, map[string]any{"name": c.Name, "role": c.Role, "end": end, "secret": secret})
	}
	con.notef("%s may come in as %s until %s, with this secret, which is shown once:", c.Name, c.Role, end.Format(time.RFC3339))
	fmt.Fprintln(con.out, secret)
	return nil
}

type tokenListCmd struct {
	accountFlags
	Output string `short:"o" help:"text, or json with one object a line." enum:"text,json" default:"text"`
}

// Run lists tokens.
func (c *tokenListCmd) Run() error { return c.run(terminal(), time.Now()) }

func (c *tokenListCmd) run(con console, now time.Time) error {
	store, err := accounts.Open(c.File)
	if err != nil {
		return err
	}
	t := &table{heads: []string{"name", "role", "made", "until", "note"}}
	for _, k := range store.Tokens() {
		if c.Output == "json" {
			if err := printJSON(con, k); err != nil {
				return err
			}
			continue
		}
		color, note := plain, ""
		if !now.Before(k.End) {
			color, note = dim, "has ended"
		}
		t.add(color, k.Name, string(k.Role), k.Made.Format(time.RFC3339), k.End.Format(time.RFC3339), note)
	}
	switch {
	case c.Output == "json":
	case len(t.rows) == 0:
		con.notef("there are no tokens: dcs token add NAME --role viewer --for 30d makes one")
	default:
		t.print(con, "")
	}
	return nil
}

type tokenRemoveCmd struct {
	accountFlags
	Name string `arg:"" help:"Which."`
}

// Run removes a token.
func (c *tokenRemoveCmd) Run(ctx context.Context) error { return c.run(ctx, terminal()) }

func (c *tokenRemoveCmd) run(ctx context.Context, con console) error {
	store, err := accounts.Open(c.File)
	if err != nil {
		return err
	}
	err = store.RemoveToken(ctx, c.Name)
	if errors.Is(err, accounts.ErrNoToken) {
		return fmt.Errorf("there is no token %q: dcs token list shows those that there are", c.Name)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(con.out, "%s: removed\n", c.Name)
	return nil
}
