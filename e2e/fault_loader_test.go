//go:build e2e && linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// Fault 1: the loader is killed under load, again and again, at any moment of
// its life. DCS_ROUNDS says how often.
func TestFault01KilledLoader(t *testing.T) {
	rounds := number(t, "DCS_ROUNDS", 20)
	s := startStack(t)
	l := s.startLoader()
	f := s.send("killed", 20, 100*time.Millisecond)
	inWork := 0
	for i := range rounds {
		stored := func() bool { return l.figure("dcs_loader_lines_total") > 0 }
		if i%2 == 1 { // however slowly it starts
			within(t, patience, "it stores", stored)
		}
		lasts(t, 50*time.Millisecond+rand.N(1400*time.Millisecond))
		if stored() {
			inWork++
		}
		l.kill()
		l.launch()
	}
	l.awaitReady()
	t.Logf("killed %d times, %d of them after it had stored something; connected %d times", rounds, inWork, s.connected("dcs-loader"))
	assert.Greater(t, inWork, rounds/3, "it was not killed in its work")
	f.complete(allIn)
	f.agrees(l)
	t.Logf("by its ledger %.0f statuses came more than once", l.counts("dcs_loader_ledger_duplicates_total", ""))
}

// Fault 9: InfluxDB is away, for DCS_AWAY. The loader's memory stays flat, then
// the present is visible before the past is complete, and the past fills in at
// least five times as fast as it came.
func TestFault09InfluxAway(t *testing.T) {
	away := duration(t, "DCS_AWAY", 20*time.Second)
	s := startStack(t)
	l := s.startLoader()
	const rate = 1000
	f := s.send("away", 20, 20*time.Second/rate)
	lasts(t, 5*time.Second)
	// Of up to three outages one has to be made up for at that rate: a machine that
	// stands still for some seconds in one of them takes the time of the others.
	for n := 1; ; n++ {
		times, visible := f.outage(l, away)
		if times >= 5 && visible || n == 3 {
			assert.GreaterOrEqual(t, times, 5.0, "the drain against what came")
			assert.True(t, visible, "the present was not visible before the past was complete")
			break
		}
	}
	// Some segments later nobody holds what the backlog was in.
	last := func() string {
		names := segments(t, s.dir+"/loader")
		return names[len(names)-1]
	}
	before9 := last()
	within(t, 3*patience, "the next segment", func() bool { return last() != before9 })
	f.complete(allIn)
	f.agrees(l)
	assert.Less(t, memory(l.pid(), "VmHWM"), 64.0)
	within(t, patience, "the room of the backlog is free", func() bool {
		return len(segments(t, s.dir+"/loader")) == 1 && len(heldSegments(l.pid())) == 0
	})
}

// outage has InfluxDB away for a while. It returns how many times as fast as it
// came the past was filled in, and whether the present was visible before that.
func (f *fleet) outage(l *part, away time.Duration) (times float64, visible bool) {
	t, s := f.t, f.s
	t.Helper()
	sample := func() float64 { return memory(l.pid(), "VmRSS") }
	before := sample()
	begin, firstMade := time.Now(), f.made()
	s.influx.kill()
	var early, late float64 // the most of the first and of the second half
	for since := time.Duration(0); since < away; since = time.Since(begin) {
		if m := sample(); since < away/2 {
			early = max(early, m)
		} else {
			late = max(late, m)
		}
		lasts(t, 200*time.Millisecond)
	}
	backlog := l.counts("dcs_loader_spool_pending_bytes", "")
	s.influx.start()
	made := f.made() // before the time: what is in it is in that
	back := time.Now()
	came := float64(made-firstMade) / back.Sub(begin).Seconds()

	// Each look: what is pending, how old the newest point is, and whether what
	// came during the outage is complete.
	var first time.Time // when the first point of the backlog was there
	during := fmt.Sprintf("time >= %d AND time < %d", begin.UnixNano(), back.UnixNano())
	seen := false
	var drained time.Time
	within(t, away+2*patience, "the backlog is drained", func() bool {
		newest, err := s.newest(f.prefix)
		age := time.Since(newest)
		n, err2 := s.points(f.prefix, during)
		if err != nil || err2 != nil {
			return false
		}
		if n > 0 && first.IsZero() {
			first = time.Now()
		}
		whole := n >= channels*(made-firstMade-len(f.senders))
		if age < 3*time.Second && !whole {
			if !seen {
				t.Logf("%.1f s after InfluxDB was back the newest point was %.1f s old, with %d of some %d points of the outage there",
					time.Since(back).Seconds(), age.Seconds(), n, channels*(made-firstMade))
			}
			seen = true
		}
		drained = time.Now()
		return whole
	})
	took := drained.Sub(first)
	// A past that is there at once leaves nothing to be seen in between.
	visible = seen || took < 2*time.Second
	t.Logf("InfluxDB away for %.1f s at %.0f messages/s: %.1f MB waited in the spool; drained in %.1f s from the first of them on, %.1f s after InfluxDB was back: %.0f points/s, %.1f times as fast as they came",
		back.Sub(begin).Seconds(), came, backlog/1e6, took.Seconds(), drained.Sub(back).Seconds(),
		float64(channels*(made-firstMade))/took.Seconds(), back.Sub(begin).Seconds()/took.Seconds())
	t.Logf("loader's memory, MB: %.1f before, at most %.1f in the first half of the outage, %.1f in the second, %.1f at the peak",
		before, early, late, memory(l.pid(), "VmHWM"))
	assert.Less(t, late, 1.25*early+2, "memory grows while InfluxDB is away")
	return back.Sub(begin).Seconds() / took.Seconds(), visible
}

// Fault 15: the disk of the spool is full. Nothing is acknowledged, the state
// says why, and when there is room it goes on by itself.
func TestFault15SpoolDiskFull(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	dir := s.dir + "/loader"
	disk := newDisk(t, dir, 24<<20) // the whole data folder
	l := s.loader("loader", dir)
	l.start()
	w := s.watch(loaderState)
	f := s.send("full", 20, 40*time.Millisecond)
	within(t, patience, "points", func() bool { n, _ := s.points(f.prefix, ""); return n > 0 })

	// Filled by what InfluxDB does not take.
	mark := w.mark()
	s.influx.kill()
	disk.fill(4 << 20)
	// What cannot be stored needs room as well before the spool can give any back.
	require.NoError(t, w.bus.Publish(t.Context(), bus.Message{Topic: "/stranger/status", QoS: 1, Payload: []byte("no JSON")}))
	full := w.await(patience, mark, loaderState, wire.Unreachable, "nothing is acknowledged to the broker", "no space left on device", "InfluxDB does not answer")
	t.Logf("state: %s", full.Error)
	before := l.counts("dcs_loader_spool_errors_total", "")
	within(t, patience, "it tries again", func() bool { return l.figure("dcs_loader_spool_errors_total") > before+1 }) // more comes than the disk can take
	waiting := l.counts("dcs_loader_queue_messages", "")
	t.Logf("waiting in memory: %.0f messages, left to the broker: %.0f", waiting, l.counts("dcs_loader_deferred_total", ""))
	assert.Positive(t, waiting)

	// It can be killed now, too: the restart drains what is there.
	l.kill()
	l.launch()
	mark = w.mark()
	s.influx.start()
	w.await(patience, mark, loaderState, wire.Ready, "")
	n := f.made()
	within(t, allIn, "what was made before InfluxDB was back", func() bool {
		points, err := s.points(f.prefix, "")
		return err == nil && points >= channels*n
	})
	assert.NotZero(t, l.pid(), "the loader ended")

	// Filled by a stranger, who takes what room the loader makes, too.
	mark = w.mark()
	for began := time.Now(); time.Since(began) < 5*time.Second; lasts(t, 10*time.Millisecond) {
		disk.fill(0)
	}
	full = w.await(patience, mark, loaderState, wire.Unreachable, "nothing is acknowledged to the broker")
	t.Logf("state: %s", full.Error)
	assert.NotContains(t, full.Error, "InfluxDB")
	within(t, patience, "it waits", func() bool { disk.fill(0); return !l.ready() })
	disk.empty()
	l.awaitReady()
	f.complete(allIn)
	f.agreesWithLetters(l)
	letters, err := os.ReadFile(filepath.Join(dir, "dead-letters.jsonl"))
	require.NoError(t, err)
	assert.Contains(t, string(letters), "/stranger/status")
}

// Fault 20: a second process with the same client id, on another data folder.
// Both say so, one of the two stays away, and nothing that either took is
// missing.
func TestFault20SecondLoaderWithTheSameName(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	first := s.startLoader()
	w := s.watch(loaderState)
	f := s.send("twin", 10, 100*time.Millisecond)
	lasts(t, time.Second)
	second := s.loader("loader", s.dir+"/second")
	second.launch()
	const window = 70 * time.Second
	began := time.Now()
	lasts(t, 15*time.Second)
	early := s.connected("dcs-loader")
	w.await(patience, 0, loaderState, wire.Stopped, "another program has the name loader")
	lasts(t, max(0, window-time.Since(began)))
	all := s.connected("dcs-loader")
	t.Logf("connections with the id dcs-loader: %d in the first 15 s, %d in %v", early, all, window)
	assert.LessOrEqual(t, early, 8)
	assert.LessOrEqual(t, all, 12, "they take the session from each other again and again")
	const warning = "another program with this name has taken our place on the bus"
	for _, l := range []*part{first, second} {
		assert.Contains(t, l.said(1<<20), warning, l.log)
		t.Logf("%s: told %d times, stayed away %d times", l.log[strings.LastIndexByte(l.log, '/')+1:], strings.Count(l.said(1<<20), warning), strings.Count(l.said(1<<20), "staying away from the broker"))
	}
	// The operator ends the one that stays away.
	away, stays := first, second
	if away.counts("dcs_bus_connected", "") == 1 {
		away, stays = second, first
	}
	away.stop()
	within(t, 2*patience, "the other one is ready", stays.ready) // it may have given way by now, for a minute
	f.complete(allIn)
}

// Fault 29: three times the load that the loader can take. Memory stays
// bounded, the figures show it, and nothing of QoS 1 is lost.
func TestFault29ThreeTimesTheLoad(t *testing.T) {
	s := startStack(t)
	group := newGroup(t, "cpu")
	l := s.loader("loader", s.dir+"/loader", "DCS_QUEUE_MESSAGES=500")
	l.argv = group.begin(l.argv)
	l.start()
	f := s.send("load", 20, 20*time.Second/1500)
	lasts(t, 2*time.Second)
	made := func(over time.Duration) float64 {
		m := f.made()
		lasts(t, over)
		return float64(f.made()-m) / over.Seconds()
	}
	count := func() float64 { return l.counts("dcs_loader_messages_total", "") }

	// Its share of a core is lowered until it takes a third of what comes.
	var came, taken float64
	share := .03
	for ; ; share *= .6 {
		require.Greater(t, share, .002, "it cannot be overloaded")
		group.limitCPU(share)
		lasts(t, time.Second)
		before, began := count(), time.Now()
		came = made(2 * time.Second)
		taken = (count() - before) / time.Since(began).Seconds()
		if taken*3 <= came {
			break
		}
	}
	t.Logf("with %.1f %% of a core: %.0f messages/s came, %.0f were taken", 100*share, came, taken)
	peak := 0.0
	for range 40 {
		peak = max(peak, memory(l.pid(), "VmRSS"))
		lasts(t, 250*time.Millisecond)
	}
	deferred, waiting := l.counts("dcs_loader_deferred_total", ""), l.counts("dcs_loader_queue_messages", "")
	t.Logf("after ten more seconds: %.0f in memory, %.0f left to the broker, at most %.1f MB", waiting, deferred, peak)
	assert.LessOrEqual(t, waiting, 500.0)
	assert.Less(t, peak, 64.0)
	behind := f.made()
	n, err := s.points(f.prefix, "")
	require.NoError(t, err)
	t.Logf("%d statuses behind", behind-n/channels)
	assert.Greater(t, behind-n/channels, 1000, "it keeps up: this is no overload")
	group.limitCPU(2)
	f.complete(allIn)
	f.agrees(l)
	assert.Zero(t, l.counts("dcs_loader_dropped_total", ""))
	t.Logf("loader's peak: %.1f MB", memory(l.pid(), "VmHWM"))
}

// Fault 32: the parts are started in any order.
func TestFault32AnyOrder(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			l := s.loader("loader", s.dir+"/loader")
			var f *fleet
			parts := []struct {
				name  string
				start func()
			}{
				{"broker", s.broker.launch}, {"influxd", func() { s.influx.launch(); go s.influx.ready() }},
				{"loader", l.launch}, {"senders", func() { f = s.send("order", 5, 100*time.Millisecond) }},
			}
			rand.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			order := ""
			for _, p := range parts {
				order += " " + p.name
				p.start()
				lasts(t, 200*time.Millisecond+rand.N(1500*time.Millisecond))
			}
			t.Log("started:" + order)
			s.influx.awaitReady() // makes the database, as an operator does
			l.awaitReady()
			lasts(t, time.Second)
			f.complete(allIn)
			f.agrees(l)
		})
	}
}

// Fault 33: the memory limit. With InfluxDB away and under load the loader
// lives in 64 MB; where it is killed for want of memory, again and again, in its
// work and at its start, nothing is lost.
func TestFault33MemoryLimit(t *testing.T) {
	s := startStack(t)
	group, narrow := newGroup(t, "memory"), newGroup(t, "memory") // before the loader: they go after it
	group.limitMemory(64 << 20)
	narrow.limitMemory(128 << 10)
	dir := s.dir + "/loader"
	l := s.loader("loader", dir)
	l.argv = group.begin(l.argv)
	l.start()
	f := s.send("memory", 20, 25*time.Millisecond)
	lasts(t, 2*time.Second)
	s.influx.kill()
	lasts(t, 8*time.Second)
	require.NotZero(t, l.pid(), "killed with 64 MB")
	s.influx.start()
	l.awaitReady()
	within(t, patience, "drained", func() bool { return l.figure("dcs_loader_spool_pending_bytes") < 100_000 })
	require.NotZero(t, l.pid(), "killed with 64 MB")
	t.Logf("with 64 MB it lives: peak %.1f MB", memory(l.pid(), "VmHWM"))
	l.kill()

	// Under load: put where there is next to nothing left for it.
	s.influx.kill()
	for range 4 {
		l.launch()
		stored := spooled(t, dir)
		within(t, patience, "a megabyte in the spool", func() bool { return spooled(t, dir) > stored+1<<20 })
		narrow.take(l.pid())
		within(t, patience, "killed", func() bool { return l.pid() == 0 })
		t.Logf("%s, with %.1f MB in the spool", l.end(), float64(spooled(t, dir))/1e6)
	}

	// From its start on with less than it needs.
	killed, rounds := 0, 0
	for limit := int64(9 << 20); killed < 2; limit -= 1 << 20 {
		require.Greater(t, limit, int64(3<<20), "it is never killed")
		group.limitMemory(limit)
		for range 2 {
			rounds++
			stored := spooled(t, dir)
			l.launch()
			within(t, patience, "killed or well", func() bool { return l.pid() == 0 || spooled(t, dir) > stored+1<<20 })
			if l.pid() == 0 {
				killed++
				t.Logf("%s with %d MB, %.1f MB into the spool", l.end(), limit>>20, float64(spooled(t, dir)-stored)/1e6)
			}
			l.kill()
		}
	}
	t.Logf("of %d starts with too little the limit ended %d", rounds, killed)
	group.limitMemory(1 << 30)
	s.influx.start()
	l.start()
	f.complete(allIn)
	f.agrees(l)
}
