package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

type runShowCmd struct {
	mongoFlags
	Number int64 `arg:"" name:"run" help:"The number of the run."`
}

// Run prints a run.
func (c *runShowCmd) Run(ctx context.Context) error {
	con := terminal()
	return c.with(ctx, con, func(s runStore) error { return c.run(ctx, con, s) })
}

func (c *runShowCmd) run(ctx context.Context, con console, store runStore) error {
	r, err := fetchRun(ctx, store, c.Number)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(con, r)
	}
	p := runPrinter{con}
	p.head(r)
	p.parameters(r)
	p.configurations(r)
	p.transitions(r)
	p.results(r)
	p.files(r)
	if r.Capsule != nil {
		p.capsule(r.Capsule)
	}
	return nil
}

// runPrinter prints the parts of a run's document for people.
type runPrinter struct{ con console }

func (p runPrinter) section(title string) { fmt.Fprintf(p.con.out, "\n%s\n", p.con.paint(bold, title)) }

// facts are lines of a name and what it is; those that are not known are left
// out.
type facts struct{ table }

func newFacts() *facts { return &facts{table{heads: []string{"", ""}}} }

func (f *facts) fact(name, what string) {
	if what != "" {
		f.add(plain, name, what)
	}
}

func (p runPrinter) head(r runs.Run) {
	title := fmt.Sprintf("run %d  ", r.Number)
	fmt.Fprintln(p.con.out, p.con.paint(bold, title)+p.con.paint(stateColor(r.State), oneLine(r.State)))
	f := newFacts()
	if !wire.RunEnded(r.State) {
		f.add(yellow, "not complete", "what is under way is not stored yet: dcs run watch")
	}
	f.fact("error", r.Error)
	f.fact("procedure", r.Procedure)
	f.fact("module", r.Module)
	f.fact("device", r.Device)
	f.fact("asked for", strings.TrimSpace(stampIf(r.Asked)+" "+by(r.User)))
	f.fact("start", stampIf(r.Start))
	f.fact("end", stampIf(r.End))
	if r.Duration > 0 {
		f.fact("took", durationText(time.Duration(r.Duration*float64(time.Second))))
	}
	f.fact("program", strings.TrimSpace(r.Program+" "+strings.Join(r.Arguments, " ")))
	if r.Exit != nil {
		f.fact("exit code", strconv.Itoa(*r.Exit))
	}
	f.fact("ended by", r.Signal)
	f.fact("versions", pairs(r.Versions))
	f.fact("results", r.Outcome)
	f.fact("stored", stampIf(r.Stored))
	if r.Influx != nil {
		f.fact("archive", fmt.Sprintf("%s from %s to %s", r.Influx.Bucket, stamp(r.Influx.From), stamp(r.Influx.To)))
	}
	if n := int64(len(r.Log)) + r.LogCut; n > 0 {
		f.fact("log", fmt.Sprintf("%d lines: dcs run log %d", n, r.Number))
	}
	f.fact("id", r.ID)
	f.fact("uid", r.UID)
	f.print(p.con, "  ")
}

func by(user string) string {
	if user == "" {
		return ""
	}
	return "by " + user
}

func stampIf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}

func pairs(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+" "+m[k])
	}
	return strings.Join(parts, ", ")
}

func (p runPrinter) parameters(r runs.Run) {
	if len(r.Parameters) == 0 {
		return
	}
	p.section("parameters")
	f := newFacts()
	for _, k := range slices.Sorted(maps.Keys(r.Parameters)) {
		f.add(plain, k, settingText(r.Parameters[k]))
	}
	f.print(p.con, "  ")
}

// settingText is what somebody has set, with all of its digits: of a number as
// long as nobody would write it with an exponent.
func settingText(v any) string {
	x, is := v.(float64)
	switch {
	case !is:
		return fmt.Sprint(v)
	case x != 0 && (math.Abs(x) < 1e-6 || math.Abs(x) >= 1e21): // as in JSON
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

func (p runPrinter) configurations(r runs.Run) {
	for _, transition := range slices.Sorted(maps.Keys(r.Configurations)) {
		cfg := r.Configurations[transition]
		p.section(strings.TrimSpace("configuration of " + oneLine(transition) + "  " + oneLine(cfg.Name)))
		p.configuration(cfg)
	}
}

// configuration prints what a transition needs.
func (p runPrinter) configuration(cfg wire.Configuration) {
	f := newFacts()
	for _, s := range cfg.Setpoints {
		what := s.Op
		if s.Value != nil {
			what = strings.TrimSpace(fmt.Sprintf("%s %s %s", s.Op, settingText(s.Value), unitOf(s.Op)))
		}
		f.add(plain, fmt.Sprintf("%s/%v", s.Device, s.Channel), what)
	}
	for _, s := range cfg.Sensors {
		name := s.Device
		if s.Channel != nil {
			name += "/" + strconv.Itoa(*s.Channel)
		}
		f.add(plain, name, s.Field+" "+limits(s))
	}
	if cfg.Timeout > 0 {
		f.add(plain, "timeout", quantity(cfg.Timeout, "s"))
	}
	if cfg.Wait > 0 {
		f.add(plain, "wait", quantity(cfg.Wait, "s"))
	}
	f.print(p.con, "  ")
}

func limits(s wire.Require) string {
	var text string
	switch {
	case s.Min != nil && s.Max != nil:
		text = fmt.Sprintf("from %g to %g", *s.Min, *s.Max)
	case s.Min != nil:
		text = fmt.Sprintf("from %g", *s.Min)
	case s.Max != nil:
		text = fmt.Sprintf("up to %g", *s.Max)
	default:
		text = "fresh"
	}
	if s.MaxAge > 0 {
		text += fmt.Sprintf(", at most %g s old", s.MaxAge)
	}
	return text
}

func (p runPrinter) transitions(r runs.Run) {
	if len(r.Transitions) == 0 {
		return
	}
	p.section("transitions")
	t := &table{heads: []string{"", "", "", ""}}
	for _, x := range r.Transitions {
		t.add(plain, stamp(x.Time), x.Name, x.From+" to "+x.To, x.Reason)
	}
	t.print(p.con, "  ")
}

func (p runPrinter) files(r runs.Run) {
	if len(r.Files) == 0 && len(r.Left) == 0 {
		return
	}
	p.section("files")
	fileTable(r.Files).print(p.con, "  ")
	for _, why := range r.Left {
		fmt.Fprintln(p.con.out, p.con.paint(yellow, "  left out: "+oneLine(why)))
	}
}

// fileTable lists files.
func fileTable(files []runs.File) *table {
	t := &table{heads: []string{"name", ">size", "SHA-256", "read", "error"}}
	for _, f := range files {
		color := plain
		if f.Error != "" {
			color = red
		}
		t.add(color, f.Name, sizeText(f.Size), f.SHA256, f.Read, f.Error)
	}
	return t
}
