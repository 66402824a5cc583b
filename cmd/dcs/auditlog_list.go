package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/wire"
)

type auditLogListCmd struct {
	auditLogFlags
	Device string `help:"About this device only; run is run control." placeholder:"NAME"`
	User   string `help:"Of this user only." placeholder:"NAME"`
	Kind   string `help:"Of this kind only: login, denied, logout, account, command, outcome, silence, ingest, download, gap, start." placeholder:"KIND"`
	Last   int    `help:"How many, the newest last." default:"50" placeholder:"N"`
}

// Help is what --help says behind the flags.
func (*auditLogListCmd) Help() string {
	return "A user in parentheses was named by the sender of a command, and nobody has checked that."
}

// Run prints entries.
func (c *auditLogListCmd) Run(ctx context.Context) error { return c.run(ctx, terminal()) }

func (c *auditLogListCmd) run(ctx context.Context, con console) error {
	if c.Last < 1 {
		return fmt.Errorf("--last %d: choose 1 or more", c.Last)
	}
	if c.Kind != "" && !slices.Contains(auditlog.Kinds[:], c.Kind) {
		return fmt.Errorf("--kind %q: choose one of %s", c.Kind, strings.Join(auditlog.Kinds[:], ", "))
	}
	list, err := c.last(ctx)
	if err != nil {
		return c.explain(err)
	}
	slices.Reverse(list)
	if c.json() {
		for _, e := range list {
			if err := printJSON(con, e); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		con.notef("no such entry")
		return nil
	}
	t := &table{heads: []string{">number", "time", "kind", "user", "role", "from", "device", "op", "channel", "value", "phase", "code", "message"}}
	for _, e := range list {
		t.add(entryColor(e), strconv.FormatInt(e.Seq, 10), e.Time.UTC().Format(time.RFC3339), e.Kind, entryUser(e), e.Role, entryFrom(e),
			e.Device, e.Op, e.Channel, entryValue(e), e.Phase, e.Code, cut(oneLine(e.Message), 60))
	}
	t.print(con, "")
	return nil
}

// last gives the entries that are asked for, the newest first.
func (c *auditLogListCmd) last(ctx context.Context) (list []auditlog.Entry, err error) {
	f := auditlog.Filter{Device: c.Device, User: c.User, Kind: c.Kind}
	for {
		f.Limit = c.Last - len(list)
		page, next, err := auditlog.List(ctx, c.Dir, f)
		if err != nil {
			return nil, err
		}
		if list = append(list, page...); len(list) == c.Last || next == 0 {
			return list, nil
		}
		f.Before = next
	}
}

func entryColor(e auditlog.Entry) string {
	switch {
	case e.Phase == wire.Rejected || e.Phase == wire.Failed:
		return red
	case e.Kind == auditlog.Gap, e.Kind == auditlog.Denied, e.Kind == auditlog.Silence:
		return yellow
	}
	return plain
}

func entryUser(e auditlog.Entry) string {
	if e.User != "" && !e.Verified {
		return "(" + e.User + ")"
	}
	return e.User
}

func entryFrom(e auditlog.Entry) string {
	return strings.TrimSpace(e.Via + " " + e.Address)
}

func entryValue(e auditlog.Entry) string {
	s := ""
	switch v := e.Value.(type) {
	case nil:
	case string:
		s = v
	default:
		b, err := json.Marshal(v)
		if err == nil {
			s = string(b)
		}
	}
	if e.Closest != nil {
		s = strings.TrimSpace(s + " (closest " + strconv.FormatFloat(*e.Closest, 'g', -1, 64) + ")")
	}
	return cut(oneLine(s), 40)
}
