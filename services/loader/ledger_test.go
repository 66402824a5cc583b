package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trackerdcs/pkg/bus"
)

// confirm enters statuses of a boot as if InfluxDB had confirmed them.
func confirm(l *ledger, device, boot string, seqs ...uint64) {
	var b batch
	for _, seq := range seqs {
		at := noon.UnixNano() + int64(seq)*1e9
		b.messages = append(b.messages, origin{arrived: at + 1e6,
			outcome: outcome{kind: status, device: device, boot: boot, seq: seq, numbered: true, time: at}})
	}
	l.enter(&b)
}

func sequence(from, to uint64) (s []uint64) {
	for ; from <= to; from++ {
		s = append(s, from)
	}
	return s
}

func pageOf(t *testing.T, l *ledger, device string) Page {
	t.Helper()
	for _, p := range l.pages(noon, true) {
		if p.Device == device {
			return p
		}
	}
	t.Fatalf("no page of %s", device)
	return Page{}
}

func wantPage(t *testing.T, what string, p Page, seen, missing, gaps, duplicates uint64) {
	t.Helper()
	if p.Seen != seen || p.Missing != missing || p.Gaps != gaps || p.Duplicates != duplicates {
		t.Errorf("%s: %+v, want %d seen, %d missing, %d gaps, %d duplicates", what, p, seen, missing, gaps, duplicates)
	}
}

func TestLedger(t *testing.T) {
	l := newLedger()
	confirm(l, "hv", "a", sequence(1, 10)...)
	wantPage(t, "all there", pageOf(t, l, "hv"), 10, 0, 0, 0)
	confirm(l, "hv", "a", 10, 3)
	wantPage(t, "twice", pageOf(t, l, "hv"), 10, 0, 0, 2)
	confirm(l, "hv", "a", 15, 20)
	p := pageOf(t, l, "hv")
	wantPage(t, "gaps", p, 12, 8, 2, 2)
	want := []PageGap{
		{"a", 11, 14, "2026-11-20T12:00:10.000000Z", "2026-11-20T12:00:15.000000Z"},
		{"a", 16, 19, "2026-11-20T12:00:15.000000Z", "2026-11-20T12:00:20.000000Z"},
	}
	if !slices.Equal(p.Latest, want) || p.Boot != "a" || p.First != 1 || p.Last != 20 || p.Boots != 1 {
		t.Errorf("%+v", p)
	}
	confirm(l, "hv", "a", 14, 12, 11, 13) // a replay, out of order
	wantPage(t, "one filled", pageOf(t, l, "hv"), 16, 4, 1, 2)
	confirm(l, "hv", "b", 4, 5) // the first ones of a boot are missing
	p = pageOf(t, l, "hv")
	wantPage(t, "another boot", p, 18, 7, 2, 2)
	if p.Boots != 2 || !slices.Contains(p.Latest, PageGap{"b", 1, 3, "", "2026-11-20T12:00:04.000000Z"}) {
		t.Errorf("%+v", p)
	}
	confirm(l, "lv", "a", 1)
	wantPage(t, "another device", pageOf(t, l, "lv"), 1, 0, 0, 0)

	// What is not numbered, or no status, is no entry.
	var b batch
	for _, o := range []outcome{
		{kind: status, device: "dht", time: 1}, {kind: ack, device: "hv", boot: "a", seq: 100, numbered: true},
		{kind: status, numbered: true, boot: "x", seq: 7},
	} {
		b.messages = append(b.messages, origin{outcome: o})
	}
	b.messages = append(b.messages, origin{refused: true, outcome: outcome{kind: status, device: "hv", boot: "b", seq: 6, numbered: true}})
	l.enter(&b)
	p = pageOf(t, l, "hv")
	wantPage(t, "others", p, 18, 7, 2, 2)
	if p.Refused != 1 {
		t.Errorf("%+v", p)
	}
}

func TestLedgerTellsWhatChanged(t *testing.T) {
	l := newLedger()
	confirm(l, "hv", "a", 1)
	confirm(l, "lv", "a", 1)
	names := func(all bool) (n []string) {
		for _, p := range l.pages(noon, all) {
			n = append(n, p.Device)
		}
		return n
	}
	if n := names(false); !slices.Equal(n, []string{"hv", "lv"}) {
		t.Errorf("%q", n)
	}
	confirm(l, "lv", "a", 2)
	if n := names(true); len(n) != 2 {
		t.Errorf("%q", n)
	}
	if n := names(false); !slices.Equal(n, []string{"lv"}) {
		t.Errorf("%q", n)
	}
	if n := names(false); len(n) != 0 {
		t.Errorf("%q", n)
	}
}

// More boots than are kept are added up, and nothing is counted twice.
func TestLedgerManyBoots(t *testing.T) {
	l := newLedger()
	for i := range uint64(3 * maxBoots) {
		confirm(l, "hv", fmt.Sprint("boot", i), sequence(1+i%2, 10)...) // every other lacks its first
		confirm(l, "hv", fmt.Sprint("boot", i), 12, 12)
	}
	p := pageOf(t, l, "hv")
	n := uint64(3 * maxBoots)
	wantPage(t, "many boots", p, 11*n-n/2, n+n/2, n+n/2, n)
	if len(l.devices["hv"].Boots) != maxBoots || len(p.Latest) > shownGaps {
		t.Errorf("%d boots, %d gaps", len(l.devices["hv"].Boots), len(p.Latest))
	}
}

// After an outage in which a driver was started many times, its present boot is
// drained beside the past ones: none is forgotten before its end.
func TestLedgerBootsBesideABacklog(t *testing.T) {
	l := newLedger()
	now := uint64(1_000_000) // the numbers are times, too
	const boots = 2 * maxBoots
	live := uint64(0)
	for i := range uint64(boots) {
		for seq := range uint64(10) {
			var b batch
			at := noon.UnixNano() + int64(i*100+seq)*1e9
			b.messages = append(b.messages, origin{arrived: at, outcome: outcome{kind: status, device: "hv", boot: fmt.Sprint("past", i), seq: seq + 1, numbered: true, time: at}})
			live++
			at = noon.UnixNano() + int64(now+live)*1e9
			b.messages = append(b.messages, origin{arrived: at, outcome: outcome{kind: status, device: "hv", boot: "present", seq: live, numbered: true, time: at}})
			l.enter(&b)
		}
	}
	p := pageOf(t, l, "hv")
	wantPage(t, "beside a backlog", p, boots*10*2, 0, 0, 0)
	if p.Boot != "present" {
		t.Errorf("the latest is %s", p.Boot)
	}
}

// Memory is bounded for what senders may invent.
func TestLedgerIsBounded(t *testing.T) {
	l := newLedger()
	for i := range maxDevices + 10 {
		confirm(l, fmt.Sprint("dev", i), "a", 1)
	}
	if len(l.devices) != maxDevices || l.overflow() != 10 {
		t.Errorf("%d devices, %d over", len(l.devices), l.overflow())
	}
	for i := range uint64(3 * maxSpans) {
		confirm(l, "dev1", "a", 3+2*i)
	}
	b := l.devices["dev1"].Boots[0]
	if n := len(b.Seen.Spans()); n > maxSpans {
		t.Errorf("%d spans", n)
	}
	p := pageOf(t, l, "dev1")
	if p.Seen != 1+3*maxSpans || p.Missing != 3*maxSpans {
		t.Errorf("%+v", p)
	}
}

// What is saved with a checkpoint is what the next process knows.
func TestLedgerRestore(t *testing.T) {
	l := newLedger()
	for i := range 2 * maxBoots {
		for range 50 {
			confirm(l, "hv", fmt.Sprint("boot", i), 1+rand.Uint64N(100))
		}
	}
	confirm(l, "lv", "", 7)
	note, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	again := newLedger()
	if err := again.restore(note); err != nil {
		t.Fatal(err)
	}
	first, second := l.pages(noon, true), again.pages(noon, true)
	for i := range first {
		first[i].Skew, second[i].Skew = nil, nil
	}
	if a, b := fmt.Sprintf("%+v", first), fmt.Sprintf("%+v", second); a != b {
		t.Errorf("saved %s, restored %s", a, b)
	}
	if n := len(again.pages(noon, false)); n != 2 {
		t.Errorf("%d pages are to be said anew", n)
	}
	confirm(again, "hv", "boot15", 1000, 1000)
	if a, b := pageOf(t, l, "hv"), pageOf(t, again, "hv"); b.Seen != a.Seen+1 || b.Duplicates != a.Duplicates+1 {
		t.Errorf("then %+v", b)
	}
	for _, nothing := range []string{"", "null", "{}"} {
		l := newLedger()
		if err := l.restore(json.RawMessage(nothing)); err != nil || len(l.pages(noon, true)) != 0 {
			t.Errorf("%q: %v", nothing, err)
		}
		confirm(l, "hv", "a", 1)
	}
	for _, bad := range []string{`[]`, `{"hv":null}`, `{"hv":{"boots":[null]}}`, `{"hv":{"boots":[{"boot":"a","seen":[{"from":5,"to":1}]}]}}`, `{"hv":{"boots":7}}`} {
		l := newLedger()
		if err := l.restore(json.RawMessage(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
		confirm(l, "hv", "a", 1)
		wantPage(t, bad, pageOf(t, l, "hv"), 1, 0, 0, 0)
	}
}

// Once a minute the pages go to InfluxDB.
func TestLedgerInTheArchive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		s := newShelf()
		s.seen = func(line string) {
			if strings.HasPrefix(line, "service,") {
				lines = append(lines, line)
			}
		}
		l := startLoader(t, testConfig(t, ""), t.TempDir(), s)
		for seq := 1; seq <= 190; seq++ {
			if seq != 30 {
				l.queue.put(statusAt("hv", seq, time.Now()))
			}
			time.Sleep(time.Second)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(lines) < 3 || len(lines) > 4 {
			t.Fatalf("%d lines: %q", len(lines), lines)
		}
		last := lines[len(lines)-1]
		if !strings.HasPrefix(last, `service,device=hv,record=ledger,service=loader boot="7f3a9c",first=1,last=18`) ||
			!strings.Contains(last, `,missing=1,gaps=1,duplicates=0,refused=0,skew=`) {
			t.Errorf("%s", last)
		}
		parseLines(t, []byte(strings.Join(lines, "")))
	})
}

// The pages are retained: who comes later, and after the loader, is told.
func TestLedgerOnTheBus(t *testing.T) {
	r := newRigOnce(t)
	_, stop := r.loader(r.config())
	r.state("ready")
	r.statuses(1, 5)
	r.statuses(4, 11)
	r.page("loader", "hv", func(p Page) bool { return p.Seen == 10 && p.Duplicates == 1 })
	stop()
	late, err := bus.New(bus.Options{Broker: r.broker.URL(), ClientID: "late"})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan bus.Message, 10)
	late.Subscribe("/service/loader/ledger/hv", 1, func(m bus.Message) { got <- m })
	r.start(late.Run)
	select {
	case m := <-got:
		var p Page
		if err := json.Unmarshal(m.Payload, &p); err != nil || !m.Retained {
			t.Errorf("%s: %v", m.Payload, err)
		}
		wantPage(t, "late", p, 10, 0, 0, 1)
		if p.Device != "hv" || p.Boot != "b" || p.First != 1 || p.Last != 10 || p.Skew == nil {
			t.Errorf("%s", m.Payload)
		}
	case <-time.After(inVain):
		t.Fatal("nothing retained")
	}
}

// Fault 21: a clock that is wrong is measured, whoever's it is.
func TestFault21Skew(t *testing.T) {
	const ms = int64(time.Millisecond)
	for _, tt := range []struct {
		name string
		off  func(i int64) (ours, theirs int64) // of the true time, in ns
		want float64
	}{
		{"right", func(int64) (int64, int64) { return 0, 0 }, 0},
		{"ahead", func(int64) (int64, int64) { return 0, 3600_000 * ms }, 3600},
		{"behind", func(int64) (int64, int64) { return 0, -3600_000 * ms }, -3600},
		{"ours ahead", func(int64) (int64, int64) { return 3600_000 * ms, 0 }, -3600},
		{"set forth", func(i int64) (int64, int64) { return 0, i / 400 * 3600_000 * ms }, 3600},
		{"set back", func(i int64) (int64, int64) { return 0, -i / 400 * 3600_000 * ms }, -3600},
		{"put right", func(i int64) (int64, int64) { return 0, (1 - i/400) * 3600_000 * ms }, 0},
		{"ours set forth", func(i int64) (int64, int64) { return i / 400 * 3600_000 * ms, 0 }, -3600},
		{"ours set back", func(i int64) (int64, int64) { return -i / 400 * 3600_000 * ms, 0 }, 3600},
		{"drifts", func(i int64) (int64, int64) { return 0, i * ms }, 0.799},
	} {
		var s skewMeter
		if _, ok := s.seconds(); ok {
			t.Error("measured before anything came")
		}
		for i := range int64(800) { // one a second
			ours, theirs := tt.off(i)
			now := noon.UnixNano() + i*1e9
			delay := 5*ms + rand.Int64N(400)*ms // on its way
			if i%20 == 0 {
				delay = 5 * ms
			}
			s.take(now+ours+delay, now+theirs)
		}
		got, ok := s.seconds()
		if !ok || got < tt.want-0.15 || got > tt.want+0.15 {
			t.Errorf("%s: %v, want about %v", tt.name, got, tt.want)
		}
	}
}
