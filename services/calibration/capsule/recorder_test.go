package capsule

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
)

// statuses are those with the numbers from a to b, one a second from t0 on.
func statuses(a, b int) (out []bus.Message) {
	for i := a; i <= b; i++ {
		out = append(out, msg("/hv/status", psu("a", i, after(float64(i)), float64(i), 0)))
	}
	return out
}

func TestTheRingGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, t.TempDir(), Options{})
		put(t, r, msg("/hv/meta", `{"model":"SHQ","period":1}`))
		time.Sleep(2 * time.Hour)
		put(t, r, statuses(1, 5)...)
		time.Sleep(50 * time.Second)
		put(t, r, statuses(6, 10)...)
		time.Sleep(20 * time.Second) // the first are older than a minute
		require.NoError(t, r.Begin(7))
		require.NoError(t, r.Begin(7), "again")
		put(t, r, statuses(11, 12)...)
		c := capsuleOf(t, r, 7, t0, after(100))
		d := c.Devices["hv"]
		assert.Equal(t, "SHQ", d.Model, "said long ago")
		assert.Equal(t, int64(7), d.Statuses)
		assert.Equal(t, after(6), d.First)
		assert.Error(t, r.Begin(0))
	})
}

func TestFilters(t *testing.T) {
	r := open(t, t.TempDir(), Options{Root: "lab1"})
	require.NoError(t, r.Begin(1))
	put(t, r, msg("lab1/hv/status", psu("a", 1, after(1), 1, 0)), msg("/lv/status", psu("a", 1, after(1), 1, 0)))
	c := capsuleOf(t, r, 1, t0, after(10))
	assert.Contains(t, c.Devices, "hv")
	assert.Len(t, c.Devices, 1)
	var kinds []topicKind
	for _, f := range Filters("lab1") {
		k, name := classify("lab1", strings.ReplaceAll(f, "+", "hv"))
		assert.Contains(t, name, "hv")
		kinds = append(kinds, k)
	}
	assert.Equal(t, []topicKind{statusTopic, replayTopic, ackTopic, stateTopic, metaTopic, sensorTopic}, kinds)
	for _, topic := range []string{"lab1/run/ack", "lab1/run/state", "lab1/service/x/state", "lab1/hv", "lab1/h v/status", "lab1/hv/log", "lab2/hv/status", "lab1/sensor//t", "lab1/sensor/a/"} {
		k, _ := classify("lab1", topic)
		assert.Equal(t, noTopic, k, topic)
	}
}

func TestNothingOnDiskWithoutARun(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, Options{})
	put(t, r, statuses(1, 100)...)
	assert.Zero(t, r.journal.Size())
	require.NoError(t, r.Begin(1))
	put(t, r, statuses(101, 200)...)
	assert.NotZero(t, r.journal.Size())
	require.NoError(t, r.End(1))
	require.NoError(t, r.End(1), "again")
	assert.Zero(t, r.journal.Size())
	left, err := filepath.Glob(filepath.Join(dir, "journal", "*.seg"))
	require.NoError(t, err)
	assert.Empty(t, left)
	require.NoError(t, r.Begin(2), "and once more")
	put(t, r, statuses(201, 210)...)
	assert.Equal(t, int64(10), capsuleOf(t, r, 2, after(201), after(300)).Devices["hv"].Statuses)
}

func TestOverlappingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := open(t, dir, Options{})
		require.NoError(t, r.Begin(1))
		for i := 1; i <= 300; i++ {
			put(t, r, statuses(i, i)...)
			time.Sleep(time.Second)
			if i == 200 {
				require.NoError(t, r.Begin(2))
				assert.Greater(t, r.index.find(2).From, r.index.find(1).From, "it does not need all")
			}
		}
		require.Equal(t, []int64{1, 2}, r.Recorded())
		both := func() {
			c := capsuleOf(t, r, 2, after(190), after(290))
			assert.Equal(t, int64(101), c.Devices["hv"].Statuses)
			assert.Zero(t, c.Missing)
		}
		both()
		assert.Equal(t, int64(300), capsuleOf(t, r, 1, t0, after(300)).Devices["hv"].Statuses)
		require.NoError(t, r.Close())
		r = open(t, dir, Options{})
		require.NoError(t, r.End(1))
		both()
		require.NoError(t, r.Begin(3)) // in a new process nobody knows where a minute ago is
		assert.Equal(t, int64(100), capsuleOf(t, r, 3, after(201), after(300)).Devices["hv"].Statuses)
		require.NoError(t, r.End(2))
		require.NoError(t, r.End(3))
		assert.Zero(t, r.journal.Size())
	})
}

func TestRestartInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, Options{})
	require.NoError(t, r.Begin(1))
	put(t, r, msg("/hv/meta", `{"model":"SHQ","period":1}`))
	put(t, r, statuses(1, 50)...)
	require.NoError(t, r.Close())

	r = open(t, dir, Options{})
	assert.Equal(t, []int64{1}, r.Recorded())
	put(t, r, statuses(40, 100)...) // the broker sends some again
	c := capsuleOf(t, r, 1, t0, after(100))
	assert.Equal(t, int64(100), c.Devices["hv"].Statuses)
	assert.Equal(t, "SHQ", c.Devices["hv"].Model)
	assert.Zero(t, c.Missing+c.Dropped)
	require.NoError(t, r.Begin(2))
	assert.Equal(t, "SHQ", capsuleOf(t, r, 2, t0, after(100)).Devices["hv"].Model, "the meta is known after a restart")
}

func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, Options{})
	require.NoError(t, r.Begin(1))
	put(t, r, statuses(1, 50)...)
	require.NoError(t, r.Close())
	segments, err := filepath.Glob(filepath.Join(dir, "journal", "*.seg"))
	require.NoError(t, err)
	require.NotEmpty(t, segments)
	info, err := os.Stat(segments[0])
	require.NoError(t, err)
	require.NoError(t, os.Truncate(segments[0], info.Size()-20))

	r = open(t, dir, Options{})
	put(t, r, statuses(51, 60)...)
	c := capsuleOf(t, r, 1, t0, after(100))
	assert.Equal(t, int64(1), c.Missing, "had it been acknowledged its number would be missing")
	put(t, r, statuses(50, 50)...)
	assert.Zero(t, capsuleOf(t, r, 1, t0, after(100)).Missing)
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, Options{})
	require.NoError(t, r.Begin(1))
	put(t, r, statuses(1, 50)...)
	require.NoError(t, r.Close())
	segments, err := filepath.Glob(filepath.Join(dir, "journal", "*.seg"))
	require.NoError(t, err)
	b, err := os.ReadFile(segments[0])
	require.NoError(t, err)
	b[len(b)/2] ^= 0x55
	require.NoError(t, os.WriteFile(segments[0], b, 0o600))
	r = open(t, dir, Options{})
	c := capsuleOf(t, r, 1, t0, after(100))
	assert.Equal(t, int64(1), c.Dropped)
	assert.Equal(t, int64(1), c.Missing)
}

func TestADamagedIndex(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, Options{})
	require.NoError(t, r.Begin(1))
	put(t, r, statuses(1, 50)...)
	require.NoError(t, r.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, indexName), []byte(`{"version":`), 0o600))
	r = open(t, dir, Options{})
	assert.Empty(t, r.Recorded())
	require.NoError(t, r.Begin(1))
	put(t, r, statuses(51, 60)...)
	assert.Equal(t, int64(60), capsuleOf(t, r, 1, t0, after(100)).Devices["hv"].Statuses)

	require.NoError(t, os.WriteFile(filepath.Join(dir, indexName), []byte(`{"version":9}`), 0o600))
	_, err := Open(Options{Dir: dir})
	assert.ErrorContains(t, err, "newer version")
}

func TestAFullJournal(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, Options{MaxBytes: 20_000})
	require.NoError(t, r.Begin(1))
	put(t, r, statuses(1, 50)...)
	for i := 51; i <= 200; i++ {
		put(t, r, statuses(i, i)...)
	}
	c := capsuleOf(t, r, 1, t0, after(300))
	kept := c.Devices["hv"].Statuses
	assert.Less(t, kept, int64(200))
	assert.Equal(t, 200-kept, c.Dropped)
	require.NoError(t, r.Close())
	r = open(t, dir, Options{MaxBytes: 20_000})
	assert.Equal(t, c.Dropped, capsuleOf(t, r, 1, t0, after(300)).Dropped, "a restart does not forget it")
	require.NoError(t, r.End(1))
	require.NoError(t, r.Begin(2))
	put(t, r, statuses(201, 210)...)
	c = capsuleOf(t, r, 2, after(201), after(300))
	assert.Zero(t, c.Dropped, "there is room again")
	assert.Equal(t, int64(10), c.Devices["hv"].Statuses)
}

func TestSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, t.TempDir(), Options{})
		begun := time.Now()
		at := func(seq int, s float64) bus.Message {
			return msg("/hv/status", psu("a", seq, begun.Add(time.Duration(s*float64(time.Second))), 1, 0))
		}
		end := begun.Add(10 * time.Second)
		settled := func() string { _, what := r.Settled(1, begun, end); return what }
		put(t, r, msg("/hv/meta", `{"period":2}`))
		require.NoError(t, r.Begin(1))
		put(t, r, at(1, 1), at(2, 2))
		assert.Contains(t, settled(), "hv: a status later than")
		r.Put(at(3, 11))
		assert.Contains(t, settled(), "not on disk")
		put(t, r, at(3, 11))
		assert.Empty(t, settled())

		put(t, r, at(4, 4), at(7, 12)) // 5 and 6 lack
		assert.Contains(t, settled(), "5 to 6")
		time.Sleep(5 * time.Second)
		assert.NotEmpty(t, settled(), "a replay may begin")
		put(t, r, msg("/hv/replay", psu("a", 6, begun.Add(6*time.Second), 1, 0)))
		time.Sleep(7 * time.Second)
		assert.Empty(t, settled(), "what is missing will not come")

		put(t, r, msg("/lv/meta", `{"period":2}`), msg("/lv/status", psu("b", 1, begun, 1, 0)))
		assert.Contains(t, settled(), "lv")
		put(t, r, msg("/lv/state", `{"state":"lost","boot":"b"}`))
		assert.Contains(t, settled(), "lv", "older statuses may come after it")
		time.Sleep(quiet)
		assert.Empty(t, settled())
		put(t, r, msg("/lv/state", `{"state":"ready","boot":"b","since":"2026-11-20T12:00:00Z"}`))
		assert.Contains(t, settled(), "lv")
		time.Sleep(11 * time.Second)
		assert.Empty(t, settled(), "silent for five periods")

		put(t, r, msg("/lv/status", psu("b", 2, begun, 1, 0)))
		r.Connected(false)
		time.Sleep(time.Hour)
		assert.Contains(t, settled(), "the broker")
		r.Connected(true)
		time.Sleep(5 * time.Second)
		assert.Contains(t, settled(), "hv: its statuses 5 to 5", "the broker may send it again")
		put(t, r, at(5, 5))
		time.Sleep(4 * time.Second)
		assert.Contains(t, settled(), "lv", "it has not had the time to be heard")
		time.Sleep(2 * time.Second)
		assert.Empty(t, settled())
		ok, _ := r.Settled(99, begun, end)
		assert.True(t, ok, "not recorded")
	})
}

// A run is heard of long after it began, by a recorder that was away: what the
// broker kept of it comes in any order.
func TestSettledOfARunThatIsHeardOfLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, t.TempDir(), Options{})
		r.Connected(true)
		now := time.Now()
		from, to := now.Add(-time.Hour), now.Add(-time.Hour+10*time.Second)
		said := func(a, b int) {
			for seq := a; seq <= b; seq++ {
				put(t, r, msg("/hv/status", psu("a", seq, from.Add(time.Duration(seq)*time.Second), 1, 0)))
			}
		}
		require.NoError(t, r.Begin(1))
		said(0, 3)
		said(6, 12)
		_, what := r.Settled(1, from, to)
		assert.Contains(t, what, "4 to 5")
		said(4, 5)
		ok, _ := r.Settled(1, from, to)
		assert.True(t, ok)
	})
}

func TestNoRoomInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		again := 0
		r := open(t, t.TempDir(), Options{Again: func() { again++ }})
		for i := range queueMessages {
			r.Put(msg("/hv/status", fmt.Sprint(i)))
		}
		began := time.Now()
		r.Put(msg("/hv/status", `x`))
		assert.Equal(t, roomWait, time.Since(began), "the broker is slowed down")
		r.Put(msg("/hv/status", `x`))
		assert.Equal(t, roomWait, time.Since(began), "once: there is no order to keep any more")
		zero := msg("/hv/status", `x`)
		zero.QoS = 0
		r.Put(zero)
		assert.Equal(t, roomWait, time.Since(began))
		require.NoError(t, r.Begin(1))
		assert.Contains(t, func() string { _, s := r.Settled(1, t0, t0); return s }(), "not on disk")
		for range queueMessages / batchMessages {
			put(t, r, msg("/sensor/a/b", `1`))
		}
		assert.Equal(t, 1, again, "the broker is asked for them, once")
		assert.Equal(t, int64(1), capsuleOf(t, r, 1, t0, t0).Dropped)
	})
}

// TestMemory records 200 s of 50 devices and makes a capsule of it.
func TestMemory(t *testing.T) {
	r := open(t, t.TempDir(), Options{})
	require.NoError(t, r.Begin(1))
	var messages []bus.Message
	const seconds = 200
	for s := range seconds {
		p := wide(s+1, after(float64(s)))
		for d := range 50 {
			messages = append(messages, msg(fmt.Sprintf("/dev%d/status", d), p))
		}
		if len(messages) >= batchMessages {
			put(t, r, messages...)
			messages = messages[:0]
		}
	}
	put(t, r, messages...)
	t.Logf("%d bytes a status in the journal, of which %d are the payload", r.journal.Size()/(50*seconds), len(wide(1, t0)))
	idle := heap()
	var busy uint64
	m := newMaker("", t0, after(seconds))
	_, err := r.read(r.index.from(), r.journal.End(), func(x *message) error { m.take(x); return nil })
	require.NoError(t, err)
	busy = heap()
	t.Logf("recorder %d kB, maker %d kB more", idle>>10, (busy-min(idle, busy))>>10)
	assert.Less(t, busy, uint64(30<<20))
	assert.Less(t, busy-min(idle, busy), uint64(4<<20))
	assert.Equal(t, int64(seconds*50), func() (n int64) {
		for _, d := range m.capsule().Devices {
			n += d.Statuses
		}
		return n
	}())
	runtime.KeepAlive(r)
}

func heap() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func TestAllAtOnce(t *testing.T) {
	r := open(t, t.TempDir(), Options{})
	require.NoError(t, r.Begin(1))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.Run(ctx) })
	for run := range int64(5) {
		wg.Go(func() {
			for range 10 {
				assert.NoError(t, r.Begin(run+2))
				_, err := r.Make(context.Background(), run+2, t0, after(1e6))
				assert.NoError(t, err)
				r.Settled(run+2, t0, t0)
				assert.NoError(t, r.End(run+2))
			}
		})
	}
	for _, m := range statuses(1, 3000) {
		r.Put(m)
	}
	require.Eventually(t, func() bool { n, _, _ := r.queue.fill(); return n == 0 }, time.Minute, 20*time.Millisecond)
	cancel()
	wg.Wait()
	c := capsuleOf(t, r, 1, t0, after(3000))
	assert.Equal(t, int64(3000), c.Devices["hv"].Statuses)
	assert.Zero(t, c.Missing+c.Dropped)
}
