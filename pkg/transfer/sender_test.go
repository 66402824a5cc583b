package transfer

import (
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

// stores counts how often a sender was told that a run is in the database.
type stores [10]atomic.Int32

func (c *stores) stored(run int64, _ string) { c[run].Add(1) }

func (c *stores) is(run int64, n int32) func() bool {
	return func() bool { return c[run].Load() == n }
}

// The database is away for hours: the sink has the runs and nobody waits for it.
func TestReceivedRunsAreParked(t *testing.T) {
	url := brokertest.Start(t)
	offers := []Offer{results(t, 1, 10), results(t, 2, 10), results(t, 3, 10)}
	s := newSink(t, url)
	s.start()
	var c stores
	sender, _ := sendPausing(t, url, patient(), c.stored, offers...)
	for _, o := range offers {
		require.Eventually(t, s.has(o), patience, time.Millisecond)
	}
	s.store(offers[1], true)
	require.Eventually(t, c.is(2, 1), patience, time.Millisecond, "in any order, and unasked")
	assert.Equal(t, 2, sender.Waiting())
	assert.Empty(t, sender.Problem())
	sender.Offer(offers[0])
	assert.Equal(t, 2, sender.Waiting(), "it is queued already")
	s.store(offers[0], true)
	s.store(offers[2], true)
	require.Eventually(t, func() bool { return sender.Waiting() == 0 }, patience, time.Millisecond)
	require.Eventually(t, c.is(3, 1), patience, time.Millisecond)
	assert.True(t, c.is(1, 1)())
	assert.True(t, c.is(2, 1)())
}

// A receipt that nobody heard is asked for.
func TestParkedRunsAreAskedAbout(t *testing.T) {
	url := brokertest.Start(t)
	a, b := results(t, 1, 10), results(t, 2, 10)
	s := newSink(t, url)
	s.start()
	var c stores
	sendPausing(t, url, brief(), c.stored, a, b)
	require.Eventually(t, s.has(b), patience, time.Millisecond)
	s.store(b, false)
	require.Eventually(t, c.is(2, 1), patience, time.Millisecond)
	s.store(a, false)
	require.Eventually(t, c.is(1, 1), patience, time.Millisecond)
}

// A sink that has started, and a connection that is new, are asked at once.
func TestParkedRunsAreAskedAboutWhenTheSinkIsBack(t *testing.T) {
	for _, who := range []string{"sink", "connection"} {
		t.Run(who, func(t *testing.T) {
			url := brokertest.Start(t)
			a, b := results(t, 1, 10), results(t, 2, 10)
			s := newSink(t, url)
			s.start()
			var c stores
			p := usualPauses()
			p.parked, p.parkedMost = time.Hour, time.Hour
			sender, _ := sendPausing(t, url, p, c.stored, a, b)
			require.Eventually(t, s.has(b), patience, time.Millisecond)
			s.store(a, false)
			s.store(b, false)
			if who == "sink" {
				bustest.Listen(t, url, "/x").Leave(wire.Root("").ServiceState("sink"), `{"state":"ready","boot":"b2"}`)
			} else {
				sender.Hold(time.Millisecond, "a test") // the sink's connection stands
			}
			require.Eventually(t, c.is(1, 1), patience, time.Millisecond)
			require.Eventually(t, c.is(2, 1), patience, time.Millisecond)
		})
	}
}

// A hundred runs are not asked about in one burst.
func TestParkedRunsAreAskedAboutAtAPace(t *testing.T) {
	c, err := bus.New(bus.Options{Broker: brokertest.Start(t), ClientID: "dcs-ph2acf-results"})
	require.NoError(t, err)
	s := &Sender{Client: c, pauses: usualPauses()}
	q := parked{s: s}
	start := time.Unix(1e9, 0)
	for i := range int64(100) {
		q.add(&pending{Offer: results(t, i+1)}, start)
	}
	for _, p := range q.runs {
		p.refresh(start)
	}
	var last time.Time
	for i, now := 0, start; i < 100; i++ {
		next := q.ask(now)
		assert.Equal(t, now.Add(s.pauses.pace), next)
		assert.NotEqual(t, last, q.said, "one each time")
		last, now = q.said, next
	}
	for _, p := range q.runs {
		assert.True(t, p.asked, "run %d", p.Manifest.Run)
		assert.Equal(t, s.pauses.parked, p.gap, "once")
	}
	for range 10 {
		q.runs[0].rest(start, s.pauses.parked, s.pauses.parkedMost)
	}
	assert.Equal(t, start.Add(time.Minute), q.runs[0].after)
}

// What can never be delivered keeps nobody waiting.
func TestRunThatFailsLetsOthersPass(t *testing.T) {
	changed := results(t, 1, 10*wire.ChunkSize)
	changed.Manifest.Files[0].SHA256 = strings.Repeat("0", 64)
	gone := results(t, 1, 10)
	gone.Open = func(int) (File, error) { return nil, os.ErrNotExist }
	short := results(t, 1, 10*wire.ChunkSize)
	short.Manifest.Files[0].Size++
	large := results(t, 1, 10)
	large.Manifest.Left = []string{strings.Repeat("x", MaxManifest)}
	for want, o := range map[string]Offer{
		"run 1: sink: file 0.bin: its SHA-256 is":                  changed,
		"run 1: opening 0.bin: file does not exist":                gone,
		"run 1: reading 0.bin: it is shorter than it was":          short,
		"a sink takes at most 1048576: leave fewer files, or such": large,
	} {
		t.Run(want, func(t *testing.T) {
			url := brokertest.Start(t)
			next, last := results(t, 2, 20*wire.ChunkSize), results(t, 3, 10)
			s := newSink(t, url)
			s.slow = time.Millisecond
			s.start()
			p := patient()
			p.failed, p.failedMost = time.Hour, time.Hour
			sender, _ := sendPausing(t, url, p, nil, o, next, last)
			require.Eventually(t, s.has(last), patience, time.Millisecond)
			s.right(next)
			s.right(last)
			require.Eventually(t, func() bool { return strings.Contains(sender.Problem(), want) }, patience, time.Millisecond)
			assert.Equal(t, 3, sender.Waiting())
			assert.LessOrEqual(t, s.waited(), wire.ChunkWindow+1, "the window is one for all, and a manifest")
		})
	}
}

// A file that can be read again is sent, though nobody asked.
func TestRunThatFailedIsTriedAgain(t *testing.T) {
	url := brokertest.Start(t)
	o := results(t, 1, 3*wire.ChunkSize)
	open, tries := o.Open, 0
	o.Open = func(i int) (File, error) {
		if tries++; tries < 4 {
			return nil, os.ErrPermission
		}
		return open(i)
	}
	s := newSink(t, url)
	s.start()
	sender, _ := sendPausing(t, url, brief(), nil, o)
	require.Eventually(t, s.has(o), patience, time.Millisecond)
	s.right(o)
	require.Eventually(t, func() bool { return sender.Problem() == "" }, patience, time.Millisecond)
}

func TestRest(t *testing.T) {
	var p pending
	var gaps []time.Duration
	start, u := time.Unix(1e9, 0), usualPauses()
	for range 7 {
		p.rest(start, u.failed, u.failedMost)
		gaps = append(gaps, p.after.Sub(start)/time.Second)
	}
	assert.Equal(t, []time.Duration{5, 10, 20, 40, 80, 120, 120}, gaps)
}

// The operator is told which run waits and why, and how many more.
func TestProblem(t *testing.T) {
	broker := brokertest.New(t, mqttd.Options{})
	a, b, c := results(t, 1, 10), results(t, 2, 10), results(t, 3, 10)
	p := brief()
	p.answer, p.parked, p.parkedMost = 500*time.Millisecond, 500*time.Millisecond, time.Second // longer than an answer takes
	sender, _ := sendPausing(t, broker.URL(), p, nil, a, b, c)
	says := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool { return sender.Problem() == want }, patience, time.Millisecond, want)
	}
	says("run 1: the sink sink does not answer; 2 more wait")
	broker.Stop()
	says("run 1: no connection to the broker; 2 more wait")
	broker.Start()
	s := newSink(t, broker.URL())
	s.start()
	require.Eventually(t, s.has(c), patience, time.Millisecond)
	says("")
	s.stop()
	require.Eventually(t, func() bool { return strings.HasSuffix(sender.Problem(), "the sink sink does not answer; 2 more wait") }, patience, time.Millisecond)
	s.start()
	says("")
	assert.Equal(t, 3, sender.Waiting())
}
