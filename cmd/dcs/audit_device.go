package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"trackerdcs/pkg/history"
	"trackerdcs/pkg/seqset"
	"trackerdcs/pkg/wire"
)

// warnSkew is from where on a sender's clock is wrong enough to say so, in s.
const warnSkew = 1

// bootEnd is what the states say of the end of a boot.
type bootEnd struct {
	seq   uint64 // the last number it used; 0 if it did not say
	time  int64  // when it said so
	ended bool   // its last word in the window is stopped or lost
	word  string // that last word
}

// then is the end when s has been said too; states come in order of time.
func (e bootEnd) then(s history.State, w window) bootEnd {
	if n, ok := usable(s.Seq); ok && s.State == wire.Stopped {
		e.seq, e.time = n, s.Time
	}
	if s.Time < w.to.UnixNano() {
		e.word, e.ended = s.State, s.State == wire.Stopped || s.State == wire.Lost
	}
	return e
}

// usable is a number that a driver can have given: they begin at 1, and past
// 2⁵³ a float does not tell them apart.
func usable(seq float64) (uint64, bool) {
	if seq < 1 || seq > 1<<53 || seq != math.Trunc(seq) {
		return 0, false
	}
	return uint64(seq), true
}

// boot is what the archive has of one boot of a device.
type boot struct {
	name     string
	begin    int64                  // earliest time known of it
	inWindow seqset.Set             // numbers of which something is in the window
	channels map[string]*seqset.Set // numbers by channel, those just outside the window included
	times    [2]int64               // first and last in the window, by time
	before   uint64                 // highest number before the window; 0 if there is none
	next     uint64                 // lowest number after the window; 0 if there is none
	repeated int                    // points with a number that the channel had already
}

func (b *boot) channel(name string) *seqset.Set {
	if b.channels[name] == nil {
		b.channels[name] = new(seqset.Set)
	}
	return b.channels[name]
}

// boots are the boots of one device.
type boots struct {
	by         map[string]*boot
	last       *boot // of the row before
	unnumbered int   // points without a usable number
}

func (bs *boots) get(name string, t int64) *boot {
	if bs.last != nil && bs.last.name == name {
		bs.last.begin = min(bs.last.begin, t)
		return bs.last
	}
	b := bs.by[name]
	if b == nil {
		b = &boot{name: name, begin: t, channels: make(map[string]*seqset.Set)}
		bs.by[name] = b
	}
	b.begin = min(b.begin, t)
	bs.last = b
	return b
}

// add takes in a point of the window.
func (bs *boots) add(s history.Status) error {
	seq, ok := usable(s.Seq)
	if !ok {
		bs.unnumbered++
		return nil
	}
	b := bs.get(s.Boot, s.Time)
	if b.times == [2]int64{} {
		b.times = [2]int64{s.Time, s.Time}
	}
	b.times[0], b.times[1] = min(b.times[0], s.Time), max(b.times[1], s.Time)
	b.inWindow.Add(seq, s.Time)
	if !b.channel(s.Channel).Add(seq, s.Time) {
		b.repeated++
	}
	return nil
}

// edges takes in the points just before and after the window.
func (bs *boots) edges(before, after []history.Status) {
	for _, s := range before {
		if seq, ok := usable(s.Seq); ok {
			b := bs.get(s.Boot, s.Time)
			b.before = max(b.before, seq)
			b.channel(s.Channel).Add(seq, s.Time)
		}
	}
	for _, s := range after {
		if seq, ok := usable(s.Seq); ok {
			b := bs.get(s.Boot, s.Time)
			if b.next == 0 || seq < b.next {
				b.next = seq
			}
			b.channel(s.Channel).Add(seq, s.Time)
		}
	}
}

// expected is the range of numbers that have to be there; none if to is below
// from. until is when the last of them was due, if it is known.
func (b *boot) expected(w window, end bootEnd, current bool) (from, to uint64, until int64) {
	first, _, seen := b.inWindow.First()
	last, _, _ := b.inWindow.Last()
	from = 1
	switch {
	case b.before > 0 && seen: // a clock set back can put a higher number before
		from = min(b.before+1, first)
	case b.before > 0:
		from, last = b.before+1, b.before
	}
	to = last
	if w.settled && b.next > to && last > 0 {
		to = b.next - 1
	}
	if end.seq > to && (!current || end.time < w.to.UnixNano()) {
		to, until = end.seq, end.time
	}
	return from, to, until
}

// hole is a run of numbers that one channel has not.
type hole struct {
	from, to      uint64
	after, before int64
}

// holes are the numbers between from and to that are not in the set.
func holes(s *seqset.Set, from, to uint64, until int64) []hole {
	var found []hole
	var after int64
	for _, sp := range s.Spans() {
		if sp.From > to {
			if from <= to {
				found = append(found, hole{from, to, after, sp.Begin})
			}
			return found
		}
		if sp.From > from {
			found = append(found, hole{from, sp.From - 1, after, sp.Begin})
		}
		after, from = sp.End, max(from, sp.To+1)
	}
	if from <= to {
		found = append(found, hole{from, to, after, until})
	}
	return found
}

// missing lays the holes of the channels over each other: where all have one, a
// status is missing; where some have, a part of one.
func (b *boot) missing(w window, end bootEnd, current bool) []*auditGap {
	from, to, until := b.expected(w, end, current)
	names := slices.Sorted(maps.Keys(b.channels))
	if len(names) == 0 { // nothing ever came
		names = []string{""}
		b.channel("")
	}
	slices.SortFunc(names, byNumber)
	by := make([][]hole, len(names))
	var cuts []uint64
	for i, name := range names {
		by[i] = holes(b.channels[name], from, to, until)
		for _, h := range by[i] {
			cuts = append(cuts, h.from, h.to+1)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var gaps []*auditGap
	for i := 1; i < len(cuts); i++ {
		g := &auditGap{Boot: b.name, From: cuts[i-1], To: cuts[i] - 1, Statuses: cuts[i] - cuts[i-1]}
		var after, before int64
		for c, name := range names {
			for len(by[c]) > 0 && by[c][0].to < g.From {
				by[c] = by[c][1:]
			}
			if len(by[c]) == 0 || by[c][0].from > g.From {
				continue
			}
			h := by[c][0]
			g.Channels = append(g.Channels, name)
			after = max(after, h.after)
			if before == 0 || h.before > 0 && h.before < before {
				before = h.before
			}
		}
		if len(g.Channels) == 0 {
			continue
		}
		if len(g.Channels) == len(names) {
			g.Channels = nil
		}
		g.After, g.Before = at(after), at(before)
		gaps = append(gaps, g)
	}
	return gaps
}

// byNumber orders channels as people count.
func byNumber(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// auditDevice looks at one device.
func auditDevice(ctx context.Context, a archive, name string, w window, ends map[string]bootEnd) (*auditReport, error) {
	bs := boots{by: make(map[string]*boot)}
	if err := a.Statuses(ctx, name, w.from, w.to, bs.add); err != nil {
		return nil, err
	}
	before, err := a.Before(ctx, name, w.from)
	if err != nil {
		return nil, err
	}
	after, err := a.After(ctx, name, w.to)
	if err != nil {
		return nil, err
	}
	bs.edges(before, after)
	for boot, e := range ends {
		if e.seq > 0 {
			bs.get(boot, e.time)
		}
	}
	r := &auditReport{Device: name}
	r.judge(&bs, w, ends)
	if len(r.Boots) == 0 {
		if err := r.silence(ctx, a, before, bs.unnumbered, w); err != nil {
			return nil, err
		}
	}
	if err := r.explain(ctx, a, w, &bs); err != nil {
		return nil, err
	}
	return r, r.ledger(ctx, a, w)
}

// judge fills the report from the boots.
func (r *auditReport) judge(bs *boots, w window, ends map[string]bootEnd) {
	inOrder := slices.SortedFunc(maps.Values(bs.by), func(a, b *boot) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.name, b.name))
	})
	var current *boot // the last one of which something is in the window
	repeated := 0
	for _, b := range inOrder {
		if b.inWindow.Seen() > 0 {
			current = b
		}
	}
	for _, b := range inOrder {
		end := ends[b.name]
		isCurrent := current == nil || b == current || b.begin > current.begin
		gaps := b.missing(w, end, isCurrent)
		if b.inWindow.Seen() == 0 && len(gaps) == 0 {
			continue // it lies outside
		}
		repeated += b.repeated
		r.addBoot(b, gaps)
		if b.inWindow.Seen() > 0 && end.seq == 0 && (end.ended || !isCurrent) {
			r.Unproved = true
			r.Notes = append(r.Notes, unproved(b, end))
		} else if b == current && b.fellSilent(w) && !end.ended {
			r.Quiet, r.Unproved = true, true
			r.Notes = append(r.Notes, fmt.Sprintf("silent since %s: whether it sent anything from then on cannot be proved", stamp(at(b.times[1]))))
		}
	}
	for _, boot := range slices.Sorted(maps.Keys(ends)) {
		if bs.by[boot] == nil && ends[boot].word != "" {
			r.Unproved = true
			r.Notes = append(r.Notes, fmt.Sprintf("boot %s said that it was %s, and no status of it is in the archive: whether it sent any cannot be proved", boot, ends[boot].word))
		}
	}
	if repeated > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s in the archive with a number that its channel had at another time", counted(uint64(repeated), "point is", "points are")))
	}
	if bs.unnumbered > 0 && len(r.Boots) > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s no usable number: of them nothing can be proved", counted(uint64(bs.unnumbered), "point has", "points have")))
	}
	r.decide()
}

// unproved says that the end of a boot is not known.
func unproved(b *boot, end bootEnd) string {
	seq, t, _ := b.inWindow.Last()
	how := "ended without a word (killed or lost)"
	if end.word == wire.Stopped {
		how = "stopped without saying its last number"
	}
	return fmt.Sprintf("boot %s %s: statuses after number %d at %s, if there were any, cannot be proved", b.name, how, seq, stamp(at(t)))
}

// fellSilent reports whether the window goes on for much longer than the boot
// does: for ten seconds, and for five of its periods.
func (b *boot) fellSilent(w window) bool {
	silent := w.to.Sub(at(b.times[1]))
	first, _, _ := b.inWindow.First()
	last, _, _ := b.inWindow.Last()
	period := time.Duration(0)
	if last > first {
		period = time.Duration((b.times[1] - b.times[0]) / int64(last-first))
	}
	return silent > auditQuiet && silent > 5*period && b.next == 0
}

// silence says when a device without a status in the window was last heard.
func (r *auditReport) silence(ctx context.Context, a archive, before []history.Status, unnumbered int, w window) error {
	r.Verdict = auditSilent
	for _, s := range before {
		if _, ok := usable(s.Seq); ok && s.At().After(r.LastStatus) {
			r.LastStatus = s.At()
		}
	}
	if unnumbered == 0 && !r.LastStatus.IsZero() {
		return nil
	}
	newest, ok, err := a.Newest(ctx, r.Device, w.to)
	if err != nil {
		return err
	}
	if ok && newest.After(r.LastStatus) {
		r.Verdict, r.LastStatus = auditUnnumbered, newest
	}
	return nil
}

// explain looks for the missing numbers in what the loaders put aside.
func (r *auditReport) explain(ctx context.Context, a archive, w window, bs *boots) error {
	gaps := make(map[string][]*auditGap) // by boot, in order
	for _, g := range r.Gaps {
		gaps[g.Boot] = append(gaps[g.Boot], g)
	}
	others, reason := uint64(0), ""
	known := make(map[string]*auditGap) // by boot: numbers that are not, or not wholly, in the archive
	err := a.DeadLetters(ctx, r.Device, w.from, func(l history.DeadLetter) error {
		seq, _ := usable(l.Seq)
		if g := gapOf(gaps[l.Boot], seq); g != nil {
			g.putAside(seq, l)
		} else if l.Time < w.to.UnixNano() && seq > 0 && l.Boot != "" && !bs.by[l.Boot].holds(seq) {
			if known[l.Boot] == nil {
				known[l.Boot] = new(auditGap)
			}
			known[l.Boot].putAside(seq, l)
		} else if l.Time < w.to.UnixNano() {
			others++
			reason = l.Reason
		}
		return nil
	})
	r.addAside(known)
	if others > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s put aside in a loader's dead-letter file, not among the numbers missing here; the last: %s", counted(others, "message or line was", "messages or lines were"), reason))
	}
	return err
}

// addAside adds the statuses that the numbers in the archive do not show to be
// missing, and of which a loader says that it could not store them, or a part
// of them: the last ones of a boot, all of a channel, all of a device.
func (r *auditReport) addAside(known map[string]*auditGap) {
	for _, boot := range slices.Sorted(maps.Keys(known)) {
		for _, sp := range known[boot].aside.Spans() {
			n := sp.To - sp.From + 1
			r.Gaps = append(r.Gaps, &auditGap{Boot: boot, From: sp.From, To: sp.To, Statuses: n, Aside: n, Reasons: known[boot].Reasons, noted: true})
			r.Missing += n
		}
	}
	if len(known) > 0 {
		r.decide()
	}
}

// holds reports whether every channel of the boot that the archive knows has a
// number: what was put aside was sent again, and stored.
func (b *boot) holds(seq uint64) bool {
	if b == nil || len(b.channels) == 0 {
		return false
	}
	for _, set := range b.channels {
		if !slices.ContainsFunc(set.Spans(), func(sp seqset.Span) bool { return sp.From <= seq && seq <= sp.To }) {
			return false
		}
	}
	return true
}

// gapOf returns the gap in which a number is missing, or nil.
func gapOf(gaps []*auditGap, seq uint64) *auditGap {
	i, _ := slices.BinarySearchFunc(gaps, seq, func(g *auditGap, seq uint64) int { return cmp.Compare(g.To, seq) })
	if i < len(gaps) && gaps[i].From <= seq {
		return gaps[i]
	}
	return nil
}

// ledger adds what the loader that spoke last says of the device.
func (r *auditReport) ledger(ctx context.Context, a archive, w window) error {
	ledgers, err := a.Ledgers(ctx, r.Device, w.from, w.to)
	if err != nil || len(ledgers) == 0 {
		return err
	}
	l := slices.MaxFunc(ledgers, func(a, b history.Ledger) int { return cmp.Compare(a.Time, b.Time) })
	r.Ledger = &auditLedger{Loader: l.Loader, Time: time.Unix(0, l.Time).UTC(), Duplicates: l.Duplicates}
	if !l.HasSkew {
		return nil
	}
	r.Ledger.Skew = &l.Skew
	if math.Abs(l.Skew) >= warnSkew {
		way := "ahead of"
		if l.Skew < 0 {
			way = "behind"
		}
		r.Notes = append(r.Notes, fmt.Sprintf("its clock is %.3g s %s the loader's: the times here are the sender's", math.Abs(l.Skew), way))
	}
	return nil
}
