package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"trackerdcs/pkg/auditlog"
)

// exitBroken is how dcs ends when the audit log is not what it was.
const exitBroken = exitCode(1)

// auditLogCmds are about the gateway's log of who did what.
type auditLogCmds struct {
	Verify auditLogVerifyCmd `cmd:"" help:"Prove that nothing was changed in it, or say what was and where."`
	Head   auditLogHeadCmd   `cmd:"" help:"Print the number and hash of its last entry, to be written down elsewhere."`
	List   auditLogListCmd   `cmd:"" help:"Print its last entries."`
}

// auditLogFlags are the flags of all of them.
type auditLogFlags struct {
	Dir    string `help:"The folder of the log." env:"DCS_AUDIT_DIR" default:"data/gateway/audit" placeholder:"DIR"`
	Output string `short:"o" help:"text, or json with one object a line." enum:"text,json" default:"text"`
	JSON   bool   `name:"json" help:"The same as -o json."`
}

func (f *auditLogFlags) json() bool { return f.JSON || f.Output == "json" }

// explain says what to do about a log that cannot be read.
func (f *auditLogFlags) explain(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no audit log in %s: name its folder with --dir, it is audit in the gateway's data folder", f.Dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: only who runs the gateway may read its log", err)
	}
	return err
}

type auditLogVerifyCmd struct {
	auditLogFlags
	Known []string `name:"head" help:"A head that was written down once, as dcs audit-log head prints it: it must still be in the log. Can be given several times." placeholder:"SEQ:HASH" sep:"none"`
}

// Help is what --help says behind the flags.
func (*auditLogVerifyCmd) Help() string {
	return "Each entry has the hash of the one before it. Without --head that proves that no entry was changed, removed or moved by somebody who did not compute all later hashes anew, and not that the end is still there; with a head from a logbook, or from the retained topic /service/gateway/audit, it proves both up to that entry.\n\n" +
		"Exit codes: 0 the chain is whole, 1 it is broken, or the log cannot be read."
}

// Run verifies the log.
func (c *auditLogVerifyCmd) Run(ctx context.Context) error { return c.run(ctx, terminal()) }

func (c *auditLogVerifyCmd) run(ctx context.Context, con console) error {
	var known []auditlog.Head
	for _, s := range c.Known {
		h, err := auditlog.ParseHead(s)
		if err != nil {
			return fmt.Errorf("--head: %w", err)
		}
		known = append(known, h)
	}
	r, err := auditlog.Verify(ctx, c.Dir, known...)
	if err != nil {
		return c.explain(err)
	}
	if c.json() {
		err = printJSON(con, r)
	} else {
		c.print(con, r)
	}
	if err == nil && !r.OK() {
		return exitBroken
	}
	return err
}

func (c *auditLogVerifyCmd) print(con console, r auditlog.Report) {
	line := counted(uint64(r.Entries), "entry", "entries") + " in " + counted(uint64(r.Segments), "file", "files")
	if r.Entries > 0 {
		line += fmt.Sprintf(", %s to %s", r.First.UTC().Format(time.RFC3339), r.Last.UTC().Format(time.RFC3339))
	}
	fmt.Fprintln(con.out, line)
	if r.Head.Seq > 0 {
		fmt.Fprintln(con.out, "head", r.Head)
	}
	if r.Gaps > 0 {
		fmt.Fprintf(con.out, "%s where the gateway itself says that something may be missing: dcs audit-log list --kind gap\n", counted(uint64(r.Gaps), "entry", "entries"))
	}
	if r.Unfinished > 0 {
		fmt.Fprintf(con.out, "%s behind the last entry: one that is being written, or was when the power failed\n", counted(uint64(r.Unfinished), "byte", "bytes"))
	}
	for _, p := range r.Problems {
		fmt.Fprintln(con.out, con.paint(red, "BROKEN  "+seen(p.String())))
	}
	switch {
	case r.MoreFollows:
		fmt.Fprintln(con.out, con.paint(red, "BROKEN  and in more places"))
	case r.OK() && len(c.Known) == 0:
		fmt.Fprintln(con.out, con.paint(green, "The chain is whole.")+" Whether its end was cut off, or all of it written anew, only a head tells that was written down: --head.")
	case r.OK():
		fmt.Fprintln(con.out, con.paint(green, "The chain is whole, and what was written down is in it."))
	}
}

type auditLogHeadCmd struct {
	auditLogFlags
}

// Run prints the head.
func (c *auditLogHeadCmd) Run(ctx context.Context) error { return c.run(ctx, terminal()) }

func (c *auditLogHeadCmd) run(ctx context.Context, con console) error {
	list, _, err := auditlog.List(ctx, c.Dir, auditlog.Filter{Limit: 1})
	if err != nil {
		return c.explain(err)
	}
	if len(list) == 0 {
		return fmt.Errorf("the audit log in %s has no entries", c.Dir)
	}
	head := auditlog.Head{Seq: list[0].Seq, Hash: list[0].Hash, Time: list[0].Time}
	if c.json() {
		return printJSON(con, head)
	}
	_, err = fmt.Fprintln(con.out, head)
	return err
}
