package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/wire"
)

type auditLogListCmd struct {
	auditLogFlags
	Device string `help:"About this device only; run is run control." placeholder:"NAME"`
	User   string `help:"Of this user only." placeholder:"NAME"`
	Kind   string `help:"Of this kind only: login, denied, logout, account, command, outcome, silence, ingest, download, proxy, gap, start." placeholder:"KIND"`
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
			if _, err := fmt.Fprintf(con.out, "%s\n", escapeUnseen(string(wire.Encode(e)))); err != nil {
				return fmt.Errorf("printing: %w", err)
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
		t.add(entryColor(e), strconv.FormatInt(e.Seq, 10), e.Time.UTC().Format(time.RFC3339), seen(e.Kind), seen(entryUser(e)), seen(e.Role), seen(entryFrom(e)),
			seen(e.Device), seen(e.Op), seen(e.Channel), entryValue(e), seen(e.Phase), seen(e.Code), cut(seen(e.Message), 60))
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
	return cut(seen(s), 40)
}

// unseen reports characters that show as nothing and change how the others
// show: controls, and those that turn the direction of writing around.
func unseen(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// seen is what others have sent, with a space for what cannot be seen: an entry
// must not be able to look like another one.
func seen(s string) string {
	return strings.Map(func(r rune) rune {
		if unseen(r) {
			return ' '
		}
		return r
	}, s)
}

// escapeUnseen is the same JSON, with what cannot be seen as \u….
func escapeUnseen(text string) string {
	if strings.IndexFunc(text, unseen) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if !unseen(r) {
			b.WriteRune(r)
			continue
		}
		for _, half := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, half)
		}
	}
	return b.String()
}
