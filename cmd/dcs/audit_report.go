package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"trackerdcs/pkg/history"
	"trackerdcs/pkg/seqset"
	"trackerdcs/pkg/wire"
)

// What can be said of a device.
const (
	auditComplete   = "complete"
	auditMissing    = "missing"
	auditSilent     = "silent"       // no status in the window
	auditUnnumbered = "not numbered" // nothing can be proved
)

// auditReport is what was found of one device.
type auditReport struct {
	Device     string       `json:"device"`
	Verdict    string       `json:"verdict"`
	Statuses   uint64       `json:"statuses"`         // of which something is in the archive
	Missing    uint64       `json:"missing"`          // statuses that are not there, or not with all channels
	First      time.Time    `json:"first,omitzero"`   // times of the first and the last status
	Last       time.Time    `json:"last,omitzero"`    //
	LastStatus time.Time    `json:"last_at,omitzero"` // of a device that is silent or not numbered
	Quiet      bool         `json:"fell_silent,omitzero"`
	Unproved   bool         `json:"end_unproved,omitzero"` // something may have been sent that no number shows
	Boots      []auditBoot  `json:"boots,omitempty"`
	Gaps       []*auditGap  `json:"gaps,omitempty"`
	Notes      []string     `json:"notes,omitempty"`
	Ledger     *auditLedger `json:"ledger,omitempty"`
}

// auditBoot is one boot of a device.
type auditBoot struct {
	Boot     string    `json:"boot"`
	From     uint64    `json:"from"` // numbers in the window
	To       uint64    `json:"to"`
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	Statuses uint64    `json:"statuses"`
	Missing  uint64    `json:"missing"`
}

// auditGap is one run of missing numbers.
type auditGap struct {
	Boot     string    `json:"boot"`
	From     uint64    `json:"from"`
	To       uint64    `json:"to"`
	Statuses uint64    `json:"statuses"`
	After    time.Time `json:"after,omitzero"`     // time of what is there before the gap
	Before   time.Time `json:"before,omitzero"`    // and behind it
	Channels []string  `json:"channels,omitempty"` // those that are missing; none if all are
	Aside    uint64    `json:"put_aside,omitzero"` // statuses that a loader put into its dead-letter file
	Reasons  []string  `json:"reasons,omitempty"`  // why

	aside seqset.Set
	noted bool // only a loader's note says so
}

// maxReasons is how many different reasons a gap names.
const maxReasons = 5

// putAside counts a number of the gap that a loader put aside.
func (g *auditGap) putAside(seq uint64, l history.DeadLetter) {
	if g.aside.Add(seq, l.Time) { // once for all lines of a message, and for all loaders
		g.Aside++
	}
	if len(g.Reasons) < maxReasons && !slices.Contains(g.Reasons, l.Reason) {
		g.Reasons = append(g.Reasons, l.Reason)
	}
}

// auditLedger is the last word of a loader's own ledger.
type auditLedger struct {
	Loader     string    `json:"loader"`
	Time       time.Time `json:"time"`
	Duplicates float64   `json:"duplicates"`
	Skew       *float64  `json:"skew,omitempty"` // s, positive: the sender's clock is ahead
}

// auditSum is the verdict on all devices.
type auditSum struct {
	Verdict  string    `json:"verdict"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Devices  int       `json:"devices"` // with statuses in the window
	Silent   int       `json:"silent"`
	Quiet    int       `json:"fell_silent"`  // of the devices
	Open     int       `json:"end_unproved"` // of the devices
	Unproved int       `json:"not_numbered"`
	Statuses uint64    `json:"statuses"`
	Missing  uint64    `json:"missing"`
	Gaps     int       `json:"gaps"`
}

// What can be said of all.
const (
	sumComplete = "nothing is missing"
	sumMissing  = "missing"
	sumNothing  = "nothing can be proved"
)

func (r *auditReport) addBoot(b *boot, gaps []*auditGap) {
	ab := auditBoot{Boot: b.name, Statuses: b.inWindow.Seen()}
	if ab.Statuses > 0 {
		ab.From, _, _ = b.inWindow.First()
		ab.To, _, _ = b.inWindow.Last()
		ab.First, ab.Last = at(b.times[0]), at(b.times[1])
		if r.First.IsZero() || ab.First.Before(r.First) {
			r.First = ab.First
		}
		if ab.Last.After(r.Last) {
			r.Last = ab.Last
		}
	}
	for _, g := range gaps {
		ab.Missing += g.Statuses
	}
	r.Gaps = append(r.Gaps, gaps...)
	r.Boots = append(r.Boots, ab)
	r.Statuses += ab.Statuses
	r.Missing += ab.Missing
}

func (r *auditReport) decide() {
	r.Verdict = auditComplete
	if r.Missing > 0 {
		r.Verdict = auditMissing
	}
}

func (s *auditSum) add(r *auditReport) {
	switch r.Verdict {
	case auditSilent:
		s.Silent++
	case auditUnnumbered:
		s.Unproved++
	default:
		s.Devices++
	}
	if r.Quiet {
		s.Quiet++
	}
	if r.Unproved {
		s.Open++
	}
	s.Statuses += r.Statuses
	s.Missing += r.Missing
	s.Gaps += len(r.Gaps)
}

func (s *auditSum) decide() {
	switch {
	case s.Missing > 0:
		s.Verdict = sumMissing
	case s.Statuses > 0:
		s.Verdict = sumComplete
	default:
		s.Verdict = sumNothing
	}
}

// exit is how the program ends.
func (s *auditSum) exit() error {
	switch s.Verdict {
	case sumMissing:
		return exitFailed
	case sumNothing:
		return exitCode(1)
	}
	return nil
}

// auditPrinter prints an audit while it is made.
type auditPrinter interface {
	begin(devices []string, w window)
	device(r *auditReport)
	end(s auditSum)
}

type auditJSON struct{ con console }

func (*auditJSON) begin([]string, window)  {}
func (p *auditJSON) device(r *auditReport) { fmt.Fprintf(p.con.out, "%s\n", wire.Encode(r)) }
func (p *auditJSON) end(s auditSum)        { fmt.Fprintf(p.con.out, "%s\n", wire.Encode(s)) }

type auditText struct {
	con     console
	width   int
	reports []*auditReport // with gaps or notes: they come behind
}

func (p *auditText) begin(devices []string, _ window) {
	for _, d := range devices {
		p.width = max(p.width, len(d))
	}
}

func (p *auditText) device(r *auditReport) {
	var line, color string
	switch r.Verdict {
	case auditSilent:
		line, color = "silent: it has no status in the archive", yellow
		if !r.LastStatus.IsZero() {
			line = "silent: its last status is of " + stamp(r.LastStatus)
		}
	case auditUnnumbered:
		line, color = "not numbered: nothing can be proved; its last point is of "+stamp(r.LastStatus), yellow
	default:
		line, color = p.counted(r)
	}
	fmt.Fprintln(p.con.out, p.con.paint(color, fmt.Sprintf("%-*s  %s", p.width, r.Device, line)))
	if len(r.Gaps)+len(r.Notes) > 0 {
		p.reports = append(p.reports, r)
	}
}

// counted is the line of a device that sent numbers.
func (p *auditText) counted(r *auditReport) (line, color string) {
	words := []string{counted(uint64(len(r.Boots)), "boot", "boots"), counted(r.Statuses, "status", "statuses")}
	if !r.First.IsZero() {
		words = append(words, stamp(r.First)+" to "+stamp(r.Last))
	}
	if l := r.Ledger; l != nil {
		if l.Duplicates > 0 {
			words = append(words, counted(uint64(l.Duplicates), "duplicate", "duplicates"))
		}
		if l.Skew != nil {
			words = append(words, fmt.Sprintf("skew %+.3f s", *l.Skew))
		}
	}
	if r.Verdict == auditMissing {
		return strings.Join(append(words, grouped(r.Missing)+" MISSING"), "  "), red
	}
	return strings.Join(append(words, "complete"), "  "), green
}

func (p *auditText) end(s auditSum) {
	if len(p.reports) > 0 {
		fmt.Fprintln(p.con.out)
	}
	for _, r := range p.reports {
		for _, g := range r.Gaps {
			fmt.Fprintln(p.con.out, p.con.paint(red, r.Device+": "+g.sentence()))
		}
		for _, n := range r.Notes {
			fmt.Fprintln(p.con.out, r.Device+": "+n)
		}
	}
	fmt.Fprintln(p.con.out)
	color := red
	if s.Verdict == sumComplete {
		color = green
	}
	fmt.Fprintln(p.con.out, p.con.paint(color, s.sentence()))
}

func (g *auditGap) sentence() string {
	numbers := "number " + strconv.FormatUint(g.From, 10)
	if g.To > g.From {
		numbers = fmt.Sprintf("numbers %d to %d", g.From, g.To)
	}
	what := counted(g.Statuses, "status", "statuses")
	switch len(g.Channels) {
	case 0:
	case 1:
		what = "channel " + g.Channels[0] + " of " + what
	default:
		what = "channels " + strings.Join(g.Channels, ", ") + " of " + what
	}
	s := fmt.Sprintf("boot %s, %s: %s missing", g.Boot, numbers, what)
	switch {
	case g.noted:
		s += ", or a part of each"
	case g.After.IsZero() && g.Before.IsZero():
		s += ", all that it sent"
	case g.After.IsZero():
		s += ", from its start to " + stamp(g.Before)
	case g.Before.IsZero():
		s += ", after " + stamp(g.After)
	default:
		s += fmt.Sprintf(" between %s and %s", stamp(g.After), stamp(g.Before))
	}
	if g.Aside > 0 {
		s += fmt.Sprintf("; %s put aside in the dead-letter file: %s", ofAll(g.Aside, g.Statuses), strings.Join(g.Reasons, "; "))
	}
	return s
}

// ofAll says how many of n.
func ofAll(k, n uint64) string {
	if k == n {
		return "all"
	}
	return grouped(k) + " of them"
}

func (s *auditSum) sentence() string {
	between := fmt.Sprintf("between %s and %s", stamp(s.Since), stamp(s.Until))
	var line string
	switch s.Verdict {
	case sumMissing:
		gaps := counted(uint64(s.Gaps), "gap", "gaps")
		line = fmt.Sprintf("Missing: %s in %s %s; %s of %s are there.", counted(s.Missing, "status", "statuses"), gaps, between,
			counted(s.Statuses, "status", "statuses"), counted(uint64(s.Devices), "device", "devices"))
	case sumComplete:
		line = fmt.Sprintf("Nothing is missing: %s of %s %s, every number",
			counted(s.Statuses, "status", "statuses"), counted(uint64(s.Devices), "device", "devices"), between)
		if s.Open > 0 {
			line += " that is known of" // what was sent last before an end without a word is not
		}
		line += " accounted for."
		if s.Open > 0 {
			line += fmt.Sprintf(" Not proved to the end: %s.", counted(uint64(s.Open), "device", "devices"))
		}
	default:
		line = fmt.Sprintf("Nothing can be proved: there is no numbered status %s.", between)
	}
	for _, but := range []struct {
		what string
		n    int
	}{{"Fell silent", s.Quiet}, {"Silent", s.Silent}, {"Not numbered", s.Unproved}} {
		if but.n > 0 && s.Statuses > 0 {
			line += fmt.Sprintf(" %s: %s.", but.what, counted(uint64(but.n), "device", "devices"))
		}
	}
	return line
}

// at is a time in ns since 1970, or no time for 0.
func at(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// stamp writes a time as RFC 3339 in UTC, to the millisecond.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func counted(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// grouped writes a number with a space before each three digits.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
