package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"trackerdcs/pkg/seqset"
)

// Bounds of what is remembered.
const (
	maxDevices = 4096 // devices; of others nothing is kept, and that is counted
	maxBoots   = 8    // of a device; older ones are added up
	maxSpans   = 256  // of a boot; gaps beyond are added up
	shownGaps  = 20   // on the bus, the latest
)

// ledger is the account of what the archive has: for each device and boot the
// numbers of the statuses that InfluxDB has confirmed. It is saved together
// with the position in the spool, so it is true for exactly that.
type ledger struct {
	mu      sync.Mutex
	devices map[string]*account
	over    uint64 // statuses of devices that found no room
	entered uint64 // messages of batches, since the start
}

// account is a device's page.
type account struct {
	Boots      []*boot `json:"boots"` // in the order in which they were first seen
	Earlier    totals  `json:"earlier"`
	Duplicates uint64  `json:"duplicates"`
	Refused    uint64  `json:"refused"`

	skew    skewMeter
	changed bool // since it was last published
}

// totals are of boots whose details are no longer kept.
type totals struct {
	Seen    uint64 `json:"seen"`
	Missing uint64 `json:"missing"`
	Gaps    uint64 `json:"gaps"`
}

// boot is one start of a device's driver.
type boot struct {
	Boot string     `json:"boot"`
	Seen spansOfSet `json:"seen"`
}

// spansOfSet is a set that is saved as its spans.
type spansOfSet struct{ seqset.Set }

func (s spansOfSet) MarshalJSON() ([]byte, error) { return json.Marshal(s.Spans()) }

func (s *spansOfSet) UnmarshalJSON(b []byte) error {
	var spans []seqset.Span
	if err := json.Unmarshal(b, &spans); err != nil {
		return err
	}
	set, err := seqset.FromSpans(spans)
	if err != nil {
		return err
	}
	set.Limit(maxSpans)
	s.Set = set
	return nil
}

func newLedger() *ledger { return &ledger{devices: make(map[string]*account)} }

// restore takes what was saved with a checkpoint.
func (l *ledger) restore(note json.RawMessage) error {
	if len(note) == 0 || string(note) == "null" {
		return nil
	}
	var devices map[string]*account
	if err := json.Unmarshal(note, &devices); err != nil {
		return fmt.Errorf("the ledger: %w", err)
	}
	for name, a := range devices {
		if a == nil || slices.Contains(a.Boots, nil) {
			return fmt.Errorf("the ledger: an empty entry for %q", name)
		}
		a.changed = true
	}
	if devices != nil {
		l.devices = devices
	}
	return nil
}

// MarshalJSON is what restore takes.
func (l *ledger) MarshalJSON() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return json.Marshal(l.devices)
}

// enter takes note of the messages of a batch that InfluxDB has confirmed.
func (l *ledger) enter(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entered += uint64(len(b.messages))
	for i := range b.messages {
		l.enterOne(&b.messages[i])
	}
}

func (l *ledger) enterOne(o *origin) {
	out := &o.outcome
	if out.kind != status && out.kind != replay || out.device == "" {
		return
	}
	a := l.devices[out.device]
	if a == nil {
		if len(l.devices) >= maxDevices {
			l.over++
			return
		}
		a = new(account)
		l.devices[out.device] = a
	}
	if out.kind == status && out.time != 0 {
		a.skew.take(o.arrived, out.time)
	}
	if o.refused {
		a.Refused++
		a.changed = true
		return
	}
	if !out.numbered {
		return
	}
	a.changed = true
	if !a.boot(out.boot).Seen.Add(out.seq, out.time) {
		a.Duplicates++
	}
}

// boot finds a boot's page, or begins it.
func (a *account) boot(name string) *boot {
	for i := len(a.Boots) - 1; i >= 0; i-- {
		if a.Boots[i].Boot == name {
			return a.Boots[i]
		}
	}
	b := &boot{Boot: name}
	b.Seen.Limit(maxSpans)
	a.Boots = append(a.Boots, b)
	if len(a.Boots) > maxBoots {
		i := a.oldest()
		a.Earlier.add(a.Boots[i])
		a.Boots = slices.Delete(a.Boots, i, i+1)
	}
	return b
}

// oldest is the boot, but for the last, that was silent for longest: while a
// backlog drains beside what comes, that is not the one seen first.
func (a *account) oldest() (oldest int) {
	least := int64(math.MaxInt64)
	for i, b := range a.Boots[:len(a.Boots)-1] {
		if _, t, _ := b.Seen.Last(); t < least {
			oldest, least = i, t
		}
	}
	return oldest
}

func (t *totals) add(b *boot) {
	t.Seen += b.Seen.Set.Seen()
	t.Missing += b.missing()
	t.Gaps += b.gaps()
}

// missing counts the numbers that are not there up to the last one that is.
// The first status of a boot has number 1.
func (b *boot) missing() uint64 { return b.Seen.Missing() + b.before() }

func (b *boot) before() uint64 {
	first, _, ok := b.Seen.First()
	if !ok || first <= 1 {
		return 0
	}
	return first - 1
}

func (b *boot) gaps() uint64 {
	n := uint64(max(len(b.Seen.Spans()), 1) - 1)
	if b.before() > 0 {
		n++
	}
	return n
}

// Page is what the ledger says of a device, on the bus and to InfluxDB.
type Page struct {
	Time   string `json:"time"`
	Device string `json:"device"`
	Boot   string `json:"boot"`  // the latest
	First  uint64 `json:"first"` // of that boot
	Last   uint64 `json:"last"`

	// Of all boots that this loader has seen.
	Boots      int      `json:"boots"`
	Seen       uint64   `json:"seen"`
	Missing    uint64   `json:"missing"`
	Gaps       uint64   `json:"gaps"`
	Duplicates uint64   `json:"duplicates"`
	Refused    uint64   `json:"refused"`
	Skew       *float64 `json:"skew,omitempty"` // s; positive: the sender's clock is ahead

	Latest []PageGap `json:"latest_gaps"`
}

// PageGap is a run of numbers that are missing. The times are those of the
// statuses around it.
type PageGap struct {
	Boot   string `json:"boot"`
	From   uint64 `json:"from"`
	To     uint64 `json:"to"`
	After  string `json:"after,omitempty"`
	Before string `json:"before"`
}

// pages gives the pages that have changed since the last time, or all.
func (l *ledger) pages(now time.Time, all bool) []Page {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Page
	for _, name := range slices.Sorted(maps.Keys(l.devices)) {
		if a := l.devices[name]; all || a.changed {
			out = append(out, a.page(name, now))
			if !all {
				a.changed = false
			}
		}
	}
	return out
}

// sayAgain makes all pages as good as changed: a broker may have lost them, and
// what was said without one was heard by nobody.
func (l *ledger) sayAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.devices {
		a.changed = true
	}
}

func (a *account) page(name string, now time.Time) Page {
	p := Page{
		Time: now.UTC().Format(time.RFC3339Nano), Device: name, Boots: len(a.Boots),
		Seen: a.Earlier.Seen, Missing: a.Earlier.Missing, Gaps: a.Earlier.Gaps,
		Duplicates: a.Duplicates, Refused: a.Refused, Latest: []PageGap{},
	}
	if s, ok := a.skew.seconds(); ok {
		p.Skew = &s
	}
	var latest int64 = math.MinInt64
	for _, b := range a.Boots {
		p.Seen += b.Seen.Set.Seen()
		p.Missing += b.missing()
		p.Gaps += b.gaps()
		spans := b.Seen.Spans()
		if len(spans) == 0 {
			continue
		}
		if end := spans[len(spans)-1].End; end > latest {
			latest, p.Boot, p.First, p.Last = end, b.Boot, spans[0].From, spans[len(spans)-1].To
		}
		if b.before() > 0 {
			p.Latest = append(p.Latest, PageGap{Boot: b.Boot, From: 1, To: b.before(), Before: stamp(spans[0].Begin)})
		}
		for g := range b.Seen.Gaps() {
			p.Latest = append(p.Latest, PageGap{b.Boot, g.From, g.To, stamp(g.After), stamp(g.Before)})
		}
	}
	slices.SortStableFunc(p.Latest, func(a, b PageGap) int { return cmp.Compare(a.Before, b.Before) })
	p.Latest = p.Latest[max(0, len(p.Latest)-shownGaps):]
	return p
}

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000Z") }

// appendLine appends the page as a line for the archive.
func (p *Page) appendLine(dst []byte, service string, now time.Time) []byte {
	dst = append(dst, "service,device="...)
	dst = append(dst, escaped(p.Device)...)
	dst = append(dst, ",record=ledger,service="...)
	dst = append(dst, escaped(service)...)
	dst = append(dst, " boot="...)
	dst = appendQuoted(dst, p.Boot)
	for _, f := range []struct {
		name  string
		value uint64
	}{
		{"first", p.First}, {"last", p.Last}, {"seen", p.Seen}, {"missing", p.Missing},
		{"gaps", p.Gaps}, {"duplicates", p.Duplicates}, {"refused", p.Refused},
	} {
		dst = append(append(append(dst, ','), f.name...), '=')
		dst = strconv.AppendUint(dst, f.value, 10) // without a suffix it is a float
	}
	if p.Skew != nil {
		dst = strconv.AppendFloat(append(dst, ",skew="...), *p.Skew, 'f', -1, 64)
	}
	dst = strconv.AppendInt(append(dst, ' '), now.UnixNano(), 10)
	return append(dst, '\n')
}

// appendQuoted appends a text as the value of a field, in one line.
func appendQuoted(dst []byte, s string) []byte {
	if len(s) > maxText {
		s = string(cut([]byte(s), maxText))
	}
	dst = append(dst, '"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c == 0x7f:
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// skewMeter measures how far a sender's clock is from ours: the least that its
// live statuses seemed to be on their way, in the last minute or two. On the way they
// lose milliseconds; what is longer is a delay in one and a clock in all.
type skewMeter struct {
	begin   int64 // of the window, by our clock
	least   int64 // arrival - time
	before  int64 // the least of the window before
	windows int   // 0: nothing measured, 1: the first window
}

const skewWindow = int64(time.Minute)

func (s *skewMeter) take(arrived, sent int64) {
	d := arrived - sent
	switch {
	case s.windows == 0:
		s.begin, s.least, s.before, s.windows = arrived, d, d, 1
	case arrived < s.begin-skewWindow || arrived >= s.begin+2*skewWindow:
		// Of a time that has passed, or after a pause or a jump of our own clock.
		if arrived < s.begin && d >= s.least {
			return
		}
		s.begin, s.least, s.before = arrived, d, d
	case arrived >= s.begin+skewWindow:
		s.begin, s.before, s.least = arrived, s.least, d
	case arrived >= s.begin:
		s.least = min(s.least, d)
	}
}

// seconds is the sender's clock less ours.
func (s *skewMeter) seconds() (float64, bool) {
	if s.windows == 0 {
		return 0, false
	}
	ms := math.Round(float64(-min(s.least, s.before)) / 1e6)
	return ms / 1e3, true
}

// overflow is how many statuses were of devices that found no room.
func (l *ledger) overflow() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// duplicates is how many statuses came more than once, of all devices.
func (l *ledger) duplicates() (n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.devices {
		n += a.Duplicates
	}
	return n
}

// entries counts what was entered since the start: the ledger has changed when
// it has.
func (l *ledger) entries() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entered
}
