package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"trackerdcs/pkg/wire"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/spool"
)

// shelf is an archive in memory that a test can take away, and that takes its
// time.
type shelf struct {
	mu     sync.Mutex
	away   bool
	takes  time.Duration  // for each write
	points map[string]int // series and time → how often it was stored
	stored int            // lines
	seen   func(line string)
	change chan struct{}
}

var errAway = errors.New("nobody there")

func newShelf() *shelf {
	return &shelf{points: make(map[string]int), change: make(chan struct{})}
}

func (s *shelf) Write(ctx context.Context, lines []byte) error {
	s.mu.Lock()
	away, takes := s.away, s.takes
	s.mu.Unlock()
	if away {
		return errAway
	}
	if len(lines) == 0 {
		return nil
	}
	if err := pause(ctx, takes); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	for line := range strings.Lines(string(lines)) {
		key, _, when := cutLine(strings.TrimSpace(line))
		s.points[key+" "+when]++
		if s.seen != nil {
			s.seen(line)
		}
		s.stored++
	}
	close(s.change)
	s.change = make(chan struct{})
	return nil
}

func (s *shelf) explain(err error) string { return err.Error() }

func (s *shelf) be(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func (s *shelf) slow(takes time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takes = takes
}

// wait waits until cond, which is asked with s.mu held, is true.
func (s *shelf) wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	timeout := time.After(time.Hour) // of a bubble
	for {
		s.mu.Lock()
		ok, change := cond(), s.change
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-change:
		case <-timeout:
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Fatalf("waited in vain for %s; there are %d points", what, len(s.points))
		}
	}
}

// statusAt is a four-channel status as a driver sends it.
func statusAt(device string, seq int, at time.Time) bus.Message {
	var b strings.Builder
	for ch := range 4 {
		fmt.Fprintf(&b, `,{"number":%d,"on":1,"vreq":100.0,"ireq":0.001,"vmon":99.98,"imon":1.2e-6,"ramp":5.0,"ramping":0,"limited":0,"trip":0,"interlock":0,"locked":0,"time":%q,"seq":%d,"boot":"7f3a9c"}`,
			ch, at.UTC().Format(time.RFC3339Nano), seq)
	}
	return bus.Message{Topic: "/" + device + "/status", QoS: 1, Payload: []byte("[" + b.String()[1:] + "]")}
}

// outage is a loader in a bubble of time whose InfluxDB is away while messages
// come.
type outage struct {
	t     *testing.T
	cfg   *config
	shelf *shelf
	seq   int // of the last status of hv
}

func newOutage(t *testing.T) *outage {
	cfg := testConfig(t, "")
	cfg.QueueMessages = 5000
	cfg.QueueBytes = 4e6
	return &outage{t: t, cfg: cfg, shelf: newShelf()}
}

// say puts n statuses into the queue as fast as the disk takes them.
func (o *outage) say(l *loader, n int) {
	o.t.Helper()
	for range n {
		o.seq++
		l.queue.put(statusAt("hv", o.seq, time.Now().Add(time.Duration(o.seq)*time.Microsecond)))
	}
	if _, _, dropped, deferred := l.queue.fill(); dropped+deferred > 0 {
		o.t.Fatalf("%d dropped, %d deferred", dropped, deferred)
	}
}

// hours lets time pass in which messages come, in bursts.
func (o *outage) hours(l *loader, bursts, each int) {
	o.t.Helper()
	for range bursts {
		o.say(l, each)
		time.Sleep(2 * time.Minute)
	}
}

// complete wants every status of hv on the shelf: four points each, and each
// stored once if once is set.
func (o *outage) complete(l *loader, once bool) {
	o.t.Helper()
	o.shelf.wait(o.t, "the rest", func() bool { return o.shelf.count("hv,") >= 4*o.seq })
	if got := o.shelf.count("hv,"); got != 4*o.seq {
		o.t.Errorf("%d points, want %d", got, 4*o.seq)
	}
	for key, n := range o.shelf.points {
		if once && n != 1 && strings.HasPrefix(key, "hv,") {
			o.t.Fatalf("%s was stored %d times", key, n)
		}
	}
	synctest.Wait()
	time.Sleep(3 * time.Second) // a checkpoint
	synctest.Wait()
	p := l.ledger.pages(time.Now(), true)
	for _, p := range p {
		if p.Device == "hv" && (p.Seen != uint64(o.seq) || p.Missing != 0 || p.Duplicates != 0) {
			o.t.Errorf("the ledger says %+v", p)
		}
	}
	c, err := l.spool.Load()
	if err != nil || c.Pending.Bytes(l.spool.End()) != 0 || len(c.Pending) != 1 {
		o.t.Errorf("pending are %v, %v; the end is %d", c.Pending, err, l.spool.End())
	}
}

func (s *shelf) count(series string) (n int) {
	for key := range s.points {
		if strings.HasPrefix(key, series) {
			n++
		}
	}
	return n
}

// InfluxDB is away for hours: memory stays as it was while the spool grows. When
// it is back what is said then is there at once, while most of the backlog is
// not; and in the end everything is, once.
func TestFault09InfluxAwayForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t)
		l := openLoader(t, o.cfg, t.TempDir(), o.shelf)
		runLoader(t, l)
		o.say(l, 100)
		o.shelf.wait(t, "the first ones", func() bool { return o.shelf.count("hv,") == 400 })
		o.shelf.be(true)
		o.hours(l, 10, 400)
		before, spooled := heap(), l.spool.Size()
		o.hours(l, 90, 400)
		after, grown := heap(), l.spool.Size()-spooled
		t.Logf("the heap went from %d to %d kB while the spool grew by %d kB", before>>10, after>>10, grown>>10)
		if grown < 20e6 || after > before+2e6 {
			t.Errorf("the heap went from %d to %d bytes while the spool grew by %d", before, after, grown)
		}

		// Each write takes 20 ms from now on, a batch a second's worth of 250
		// supplies: still much faster than messages came.
		o.shelf.slow(20 * time.Millisecond)
		o.shelf.be(false)
		o.shelf.wait(t, "a first batch", func() bool { return o.shelf.stored > 400 })
		began := time.Now()
		l.queue.put(statusAt("now", 1, time.Now()))
		o.shelf.wait(t, "what is said now", func() bool { return o.shelf.count("now,") == 4 })
		delay := time.Since(began)
		o.shelf.mu.Lock()
		past := o.shelf.count("hv,")
		o.shelf.mu.Unlock()
		t.Logf("what was said came after %v, when %d of %d were there", delay, past/4, o.seq)
		if delay > time.Second || past > 4*o.seq/4 {
			t.Errorf("what is said now came after %v, when %d of %d of the past were there", delay, past/4, o.seq)
		}
		o.complete(l, true)
	})
}

// heap is what is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// InfluxDB goes away again while the backlog drains, twice.
func TestFault09AwayAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t)
		l := openLoader(t, o.cfg, t.TempDir(), o.shelf)
		runLoader(t, l)
		o.shelf.be(true)
		o.hours(l, 30, 400)
		o.shelf.slow(100 * time.Millisecond)
		for range 3 {
			o.shelf.mu.Lock()
			goal := o.shelf.stored + 8000
			o.shelf.mu.Unlock()
			o.shelf.be(false)
			o.shelf.wait(t, "a part", func() bool { return o.shelf.stored > goal })
			o.say(l, 10)
			o.shelf.be(true)
			o.hours(l, 20, 400)
		}
		o.shelf.be(false)
		o.complete(l, true)
	})
}

// Killed while the backlog drains, at any moment: the next one goes on, and
// nothing is missing.
func TestFault09KilledWhileDraining(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t)
		dir := t.TempDir()
		l := openLoader(t, o.cfg, dir, o.shelf)
		stop := runLoader(t, l)
		o.shelf.be(true)
		o.hours(l, 60, 400)
		o.shelf.slow(200 * time.Millisecond)
		o.shelf.be(false)
		for round := range 4 {
			o.shelf.mu.Lock()
			goal := o.shelf.stored + 5000
			o.shelf.mu.Unlock()
			o.shelf.wait(t, "a part", func() bool { return o.shelf.stored > goal })
			o.say(l, 10)
			time.Sleep(time.Duration(50+110*round) * time.Millisecond) // what was said is in the spool
			synctest.Wait()                                            // all wait for the archive: the folder is what a kill would leave now
			image := t.TempDir()
			if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			o.shelf.be(true) // what the old one does from now on did not happen
			stop()
			o.shelf.be(false)
			dir = image
			l = openLoader(t, o.cfg, dir, o.shelf)
			stop = runLoader(t, l)
		}
		o.complete(l, false)
	})
}

// prefill puts messages into a spool that no loader has opened yet.
func prefill(t *testing.T, dir string, messages []message) {
	t.Helper()
	s, _, err := spool.Open(filepath.Join(dir, "spool"), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var records []byte
	for i := range messages {
		messages[i].length = len(messages[i].Payload)
		if records = appendRecord(records, &messages[i]); len(records) > 1<<20 || i == len(messages)-1 {
			if err := s.Append(records); err != nil {
				t.Fatal(err)
			}
			records = records[:0]
		}
	}
}

// A clock that was set back or forth: what came by another time is stored as
// fast as ever.
func TestFault21ClockSet(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, -2 * time.Second, -100 * time.Millisecond, 100 * time.Millisecond, time.Hour, 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			var all []message
			for i := range 10 {
				m := statusAt("hv", i+1, time.Now().Add(time.Duration(i)*time.Millisecond))
				all = append(all, message{Message: m, arrived: time.Now().Add(off).UnixNano() + int64(i)})
			}
			prefill(t, dir, all)
			s := newShelf()
			l := startLoader(t, testConfig(t, ""), dir, s)
			began := time.Now()
			s.wait(t, "what is there", func() bool { return s.count("hv,") == 40 })
			if took := time.Since(began); took > 200*time.Millisecond {
				t.Errorf("off by %v: stored after %v", off, took)
			}
			// The arrival of the last one was by the other clock.
			l.queue.mu.Lock()
			l.queue.last = time.Now().Add(off).UnixNano()
			l.queue.mu.Unlock()
			began = time.Now()
			for range 5 {
				l.queue.put(bus.Message{Topic: "/sensor/a/b", Payload: []byte("1"), QoS: 1})
			}
			s.wait(t, "what comes", func() bool { return s.count("sensor,") == 5 }) // each at a time of its own
			if took := time.Since(began); took > 200*time.Millisecond {
				t.Errorf("off by %v: stored after %v", off, took)
			}
			near := 0
			for key := range s.points {
				if strings.HasPrefix(key, "sensor,") {
					var ns int64
					_, _ = fmt.Sscan(key[strings.LastIndexByte(key, ' ')+1:], &ns)
					if d := time.Unix(0, ns).Sub(began); d > -time.Second && d < 2*time.Second {
						near++
					}
				}
			}
			if near != 5 {
				t.Errorf("off by %v: %d of 5 arrived about now", off, near)
			}
		})
	}
}

// Three times what the disk takes: QoS 1 is held back and nothing of it lost,
// QoS 0 is dropped and counted, and memory has its bounds at every moment.
func TestFault29TooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig(t, "")
		cfg.QueueMessages = 300
		s := newShelf()
		l := openLoader(t, cfg, t.TempDir(), s)
		l.keeper.spool = slowDisk{l.keeper.spool, 100 * time.Millisecond} // a group of 300 at most: 3000 a second
		runLoader(t, l)
		settled := make(chan struct{}, 100)
		l.keeper.again = func() { settled <- struct{}{} }
		const rounds = 900
		began := time.Now()
		said := make(chan struct{})
		go func() {
			defer close(said)
			for i := range rounds { // 9000 a second, if it were taken
				for j := range 10 {
					qos := byte(j % 2)
					l.queue.put(bus.Message{Topic: fmt.Sprintf("/sensor/q%d/m%d", qos, j), QoS: qos, Payload: []byte("1")})
				}
				_ = i
				time.Sleep(10 * time.Millisecond / 9)
			}
		}()
		for done := false; !done; {
			select {
			case <-said:
				done = true
			case <-time.After(time.Millisecond):
			}
			if messages, bytes, _, _ := l.queue.fill(); messages > cfg.QueueMessages || bytes > cfg.QueueBytes {
				t.Fatalf("%d messages, %d bytes", messages, bytes)
			}
		}
		_, _, dropped, deferred := l.queue.fill()
		s.wait(t, "the rest", func() bool {
			n := 0
			for key := range s.points {
				if strings.HasPrefix(key, "sensor,") {
					n++
				}
			}
			return n == 10*rounds-int(dropped)-int(deferred)
		})
		if n := s.count("sensor,measurement=m1,sensor=q1"); n != rounds || deferred != 0 {
			t.Errorf("%d of %d at QoS 1, %d deferred", n, rounds, deferred)
		}
		t.Logf("%v for %d messages, %d dropped", time.Since(began), 10*rounds, dropped)
		if dropped == 0 || dropped > 5*rounds {
			t.Errorf("%d dropped", dropped)
		}
	})
}

// slowDisk is a spool on a disk that takes its time.
type slowDisk struct {
	records
	takes time.Duration
}

func (d slowDisk) Append(b []byte) error {
	time.Sleep(d.takes)
	return d.records.Append(b)
}

// Large messages that cannot be read are put aside a few at a time: a batch is
// bounded in what it holds of them, too.
func TestLargeDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var all []message
		for i := range 40 {
			all = append(all, message{Message: bus.Message{Topic: "/cam/status", QoS: 1, Payload: []byte(strings.Repeat("\xff", 500_000))}, arrived: int64(i + 1)})
		}
		prefill(t, dir, all)
		l := openLoader(t, testConfig(t, ""), dir, newShelf())
		largest := 0
		unread := l.drain.unread
		l.drain.unread = func(b *batch, m *message, err error) {
			unread(b, m, err)
			largest = max(largest, len(b.dead))
		}
		runLoader(t, l)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := len(readLetters(t, dir)); n != 40 {
			t.Errorf("%d letters", n)
		}
		if largest > 3e6 {
			t.Errorf("%d bytes of dead letters in one batch", largest)
		}
	})
}

// A part of the spool that cannot be read holds up nothing else, is said, and
// is stored when it can be read after all.
func TestUnreadablePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for seq := range 3 { // each time a segment of its own
			prefill(t, dir, []message{{Message: statusAt("hv", seq+1, noon.Add(time.Duration(seq)*time.Second)), arrived: noon.UnixNano()}})
		}
		o := newOutage(t)
		l := openLoader(t, o.cfg, dir, o.shelf)
		var mu sync.Mutex
		var said []string
		l.standing.set = func(state, problem string) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, state+" "+problem)
		}
		files, _ := filepath.Glob(filepath.Join(dir, "spool", "*.seg"))
		if len(files) != 3 {
			t.Fatalf("%d segments", len(files))
		}
		if err := os.Rename(files[1], files[1]+".away"); err != nil {
			t.Fatal(err)
		}
		runLoader(t, l)
		o.shelf.wait(t, "the first", func() bool { return o.shelf.count("hv,") == 4 })
		time.Sleep(3 * spoolRetry)
		l.queue.put(statusAt("hv", 4, noon.Add(time.Minute)))
		o.shelf.wait(t, "what comes now", func() bool { return o.shelf.count("hv,") >= 8 })
		mu.Lock()
		if !slices.ContainsFunc(said, func(s string) bool {
			return strings.HasPrefix(s, wire.Unreachable) && strings.Contains(s, filepath.Base(files[1]))
		}) {
			t.Errorf("said %q", said)
		}
		mu.Unlock()
		if err := os.Rename(files[1]+".away", files[1]); err != nil {
			t.Fatal(err)
		}
		o.seq = 4
		o.complete(l, true)
		mu.Lock()
		defer mu.Unlock()
		if last := said[len(said)-1]; last != wire.Ready+" " {
			t.Errorf("in the end it says %q", last)
		}
	})
}
