package main

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// record is one of the loader's own in the archive.
type record struct {
	at     time.Time
	fields map[string]float64
}

// records are those among lines, in the order of their times.
func recordsOf(t *testing.T, lines []string) (all []record) {
	t.Helper()
	for _, p := range parseLines(t, []byte(strings.Join(lines, ""))) {
		tags := map[string]string{}
		for _, tag := range p.TagList() {
			tags[tag.Key] = tag.Value
		}
		if p.Name() != "service" || tags["record"] != "loader" {
			continue
		}
		assert.Equal(t, map[string]string{"record": "loader", "service": "loader"}, tags)
		r := record{p.Time(), map[string]float64{}}
		for _, f := range p.FieldList() {
			v, ok := f.Value.(float64)
			assert.True(t, ok, f.Key)
			r.fields[f.Key] = v
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b record) int { return a.at.Compare(b.at) })
	return all
}

// shelfWithLines keeps what it is given.
func shelfWithLines(lines *[]string) *shelf {
	s := newShelf()
	s.seen = func(line string) { *lines = append(*lines, line) }
	return s
}

// Every ten seconds the loader says how it is. While InfluxDB is away it goes on,
// and what it said is there afterwards; its own lines are no status.
func TestFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		s := shelfWithLines(&lines)
		l := openLoader(t, testConfig(t, ""), t.TempDir(), s)
		l.every = figuresEvery
		runLoader(t, l)
		seq := 0
		send := func(seconds int) {
			for range 2 * seconds {
				seq++
				l.queue.put(statusAt("hv", seq, time.Now()))
				l.queue.put(statusAt("lv", seq, time.Now()))
				time.Sleep(500 * time.Millisecond)
			}
		}
		send(25)
		l.queue.put(statusAt("hv", seq, time.Now()))                                  // once more
		l.queue.put(bus.Message{Topic: "/hv/status", QoS: 1, Payload: []byte("{")})   // cannot be read
		l.queue.put(bus.Message{Topic: "/a/b/status", QoS: 1, Payload: []byte("{}")}) // nobody's
		l.queue.put(bus.Message{Topic: "/service/x/state", QoS: 1, Payload: []byte(`{"state":"ready"}`)})
		send(10)
		s.be(true)
		send(60)
		s.be(false)
		send(15)
		time.Sleep(12 * time.Second) // nobody says anything
		synctest.Wait()

		s.mu.Lock()
		defer s.mu.Unlock()
		all := recordsOf(t, lines)
		require.Len(t, all, 12)
		for i, r := range all {
			assert.Equal(t, time.Duration(i+1)*figuresEvery, r.at.Sub(all[0].at)+figuresEvery, "none is missing, also of the outage")
		}
		first := all[0].fields
		assert.InDelta(t, 40, first["received"], 2)
		assert.InDelta(t, 4*40, first["written"], 16)
		assert.Equal(t, 2., first["devices"])
		assert.Less(t, first["delay_p50"], 1.5)
		assert.LessOrEqual(t, first["delay_p50"], first["delay_p99"])
		assert.LessOrEqual(t, first["delay_p99"], first["delay_max"])
		assert.Positive(t, first["memory"])
		assert.Positive(t, first["cpu"])
		assert.NotContains(t, first, "broker_rtt", "there is no bus here")

		third := all[3].fields // what came at 25 s
		assert.Equal(t, []float64{2, 2, 1}, []float64{third["bad"], third["dead_letters"], third["duplicates"]})
		assert.Equal(t, 2., third["devices"], "the topic of nobody counts for none")

		away := all[7].fields // 45 s into the outage
		assert.InDelta(t, 4*45+5, away["waiting"], 20)
		assert.InDelta(t, float64(4*45)*800, away["spool_bytes"], 4*45*200)
		assert.Equal(t, 2., away["devices"])
		assert.NotContains(t, away, "delay_p50", "nothing was confirmed")
		after := slices.MaxFunc(all, func(a, b record) int { return int(a.fields["delay_max"] - b.fields["delay_max"]) })
		assert.InDelta(t, 61, after.fields["delay_max"], 4, "what was live and late counts")

		last := all[len(all)-1].fields
		assert.Equal(t, 0., last["devices"])
		assert.Equal(t, 0., last["waiting"])
		assert.Equal(t, 0., last["spool_bytes"])
		assert.NotContains(t, last, "delay_p50", "the loader's own lines are no status")
		assert.Equal(t, float64(4*110+3+1), last["received"])
		page := pageOf(t, l.ledger, "hv")
		assert.Equal(t, uint64(seq), page.Seen)
	})
}

// What was said in an outage is there after a restart, too.
func TestFiguresSurviveTheLoader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		s, dir := shelfWithLines(&lines), t.TempDir()
		s.be(true)
		l := openLoader(t, testConfig(t, ""), dir, s)
		l.every = figuresEvery
		stop := runLoader(t, l)
		time.Sleep(35 * time.Second)
		stop()
		require.Empty(t, lines)
		s.be(false)
		startLoader(t, testConfig(t, ""), dir, s)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		assert.Len(t, recordsOf(t, lines), 3)
	})
}

// Nothing on the bus can pass for lines of the loader's own.
func TestNoTopicIsTheLoadersOwn(t *testing.T) {
	assert.Error(t, wire.CheckName(ownTopic))
	assert.Contains(t, ownTopic, "#", "MQTT 3.1.1, 3.3.2.1: a topic name has no wildcard")
}

// A queue that is half full has no room for the loader's own.
func TestOwnLinesTakeNoRoom(t *testing.T) {
	q := newQueue(4, 1<<20)
	q.own(ownTopic, []byte("a\n"))
	q.own(ownTopic, []byte("b\n"))
	q.own(ownTopic, []byte("c\n"))
	messages, _, dropped, deferred := q.fill()
	assert.Equal(t, []uint64{2, 0, 0}, []uint64{uint64(messages), dropped, deferred})
	received, _ := q.heard(func(string) bool { return true })
	assert.Zero(t, received)
}

func TestTopicsThatAreHeardAreBounded(t *testing.T) {
	q := newQueue(10*maxHeard, 1<<30)
	for i := range 2 * maxHeard {
		q.put(bus.Message{Topic: "/" + strconv.Itoa(i) + "/status", QoS: 1})
	}
	_, topics := q.heard(func(string) bool { return true })
	assert.Equal(t, maxHeard, topics)
	_, topics = q.heard(func(string) bool { return true })
	assert.Zero(t, topics)
}

func TestDelays(t *testing.T) {
	var d delays
	assert.False(t, d.read().known)
	for _, s := range []float64{0, 1e-9, .01, 1, 59, 3600, 86400 * 30, 1e300} {
		d.take(s)
		r := d.read()
		assert.True(t, r.known)
		assert.Equal(t, s, r.longest)
		if s >= .001 && s < 1e8 {
			assert.InEpsilon(t, s, r.p50, .05, "%v s", s)
			assert.InEpsilon(t, s, r.p99, .05, "%v s", s)
		}
	}
	var all []float64
	for range 10000 {
		s := rand.ExpFloat64() * .1
		all = append(all, s)
		d.take(s)
	}
	slices.Sort(all)
	r := d.read()
	assert.InEpsilon(t, all[4999], r.p50, .05)
	assert.InEpsilon(t, all[9899], r.p99, .05)
	assert.Equal(t, all[9999], r.longest)
	assert.False(t, d.read().known, "a period begins anew")
}

func TestDelaysAllocateNothing(t *testing.T) {
	var d delays
	assert.Zero(t, testing.AllocsPerRun(1000, func() { d.take(.1) }))
	q := newQueue(100000, 1<<30)
	q.hear("/hv/status")
	assert.Zero(t, testing.AllocsPerRun(1000, func() { q.hear("/hv/status") }))
}

func TestEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echo{topic: "/service/loader/beat", boot: "b"}
		first, took := e.next()
		assert.JSONEq(t, `{"boot":"b","n":1}`, string(first.Payload))
		time.Sleep(20 * time.Millisecond)
		e.hear(bus.Message{Payload: []byte(`{"boot":"another","n":1}`)})
		e.hear(bus.Message{Payload: []byte(`{`)})
		e.hear(first)
		e.hear(first) // twice
		assert.Equal(t, 20*time.Millisecond, <-took)
		_, late := e.next()
		second, took := e.next()
		e.hear(first)
		e.hear(second)
		assert.Zero(t, <-took)
		assert.Empty(t, late)
	})
}

// On a real bus the loader hears itself, and says how often it had to come again.
func TestFiguresOnTheBus(t *testing.T) {
	r := newRigAlone(t)
	r.atStart(func(l *loader) { l.every = 500 * time.Millisecond }) // and so long may the broker take
	r.loader(r.config())
	r.state(wire.Ready)
	last := func() (got string) {
		points, newest := r.influx.series("service,record=loader,service=loader"), ""
		for when, fields := range points {
			if when > newest {
				newest, got = when, fields
			}
		}
		return got
	}
	r.influx.wait("figures", func() bool {
		return strings.Contains(last(), ",connected=1,reconnects=0,broker_rtt=")
	})
	r.broker.DropClients()
	r.influx.wait("figures after a break", func() bool {
		return strings.Contains(last(), ",connected=1,reconnects=1,broker_rtt=")
	})
}
