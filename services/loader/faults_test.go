package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// These tests are named after the numbers of the faults that they provoke, as
// docs/faults.md lists them. Those that need Mosquitto, root or a file system
// of their own are in e2e.

// allIsWell wants n statuses in InfluxDB and no gap in the ledger.
func (r *rig) allIsWell(n int) {
	r.t.Helper()
	r.stored(n)
	r.page("loader", "hv", func(p Page) bool { return p.Seen == uint64(n) && p.Missing == 0 && p.Gaps == 0 })
}

// Killed under load, again and again.
func TestFault01KilledUnderLoad(t *testing.T) {
	r := newRig(t)
	p := r.process()
	r.state(wire.Ready)
	stop := r.keepSaying(0)
	for range 10 {
		r.influx.mu.Lock()
		goal := len(r.influx.series("hv,number=0")) + 1 + rand.IntN(300)
		r.influx.mu.Unlock()
		r.influx.wait("some more", func() bool { return len(r.influx.points) > goal })
		r.kill(p)
		p = r.process()
	}
	n := stop()
	t.Logf("%d statuses", n)
	// Number 0 counts as the first here: a driver begins at 1.
	r.stored(n)
	r.page("loader", "hv", func(p Page) bool { return p.Seen == uint64(n) && p.Missing == 0 && p.Gaps == 0 })
}

// Killed when a group is on disk and not acknowledged: it comes again.
func TestFault02KilledBeforeTheAck(t *testing.T) {
	r := newRig(t)
	p := r.process(dieAt + "=synced 3")
	r.state(wire.Ready)
	stop := r.keepSaying(0)
	if err := p.Wait(); err == nil || p.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("it ended with %v", err)
	}
	r.process()
	r.state(wire.Ready)
	n := stop()
	r.allIsWell(n)
	r.page("loader", "hv", func(p Page) bool { return p.Duplicates > 0 })
}

// Killed when a batch is in InfluxDB and the checkpoint does not know it: it is
// written once more, which leaves the same points, and is no duplicate of the
// sender's.
func TestFault03KilledBeforeTheCheckpoint(t *testing.T) {
	r := newRig(t)
	p := r.process(dieAt + "=stored 3")
	r.state(wire.Ready)
	for seq := range 3 { // a batch each
		r.statuses(seq, seq+1)
		r.stored(seq + 1)
	}
	_ = p.Wait()
	if p.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatal("it was not killed")
	}
	r.influx.mu.Lock()
	before, tried := len(r.influx.points), len(r.influx.tried)
	r.influx.mu.Unlock()
	r.process()
	r.influx.wait("the third once more", func() bool {
		return slices.ContainsFunc(r.influx.tried[tried:], func(body string) bool { return strings.Contains(body, "vmon=2.5") })
	})
	r.page("loader", "hv", func(p Page) bool { return p.Seen == 3 })
	r.page("loader", "hv", func(p Page) bool { return p.Duplicates == 0 && p.Missing == 0 })
	r.stored(3)
	r.influx.mu.Lock()
	defer r.influx.mu.Unlock()
	for key := range r.influx.points {
		if strings.HasPrefix(key, "state,device=loader") || strings.HasPrefix(key, "service,") { // what the second one said itself
			before++
		}
	}
	if len(r.influx.points) > before {
		t.Errorf("%d points, before there were %d", len(r.influx.points), before)
	}
}

// fillSpool leaves n statuses in the spool, acknowledged and not stored.
func (r *rig) fillSpool(n int) {
	r.t.Helper()
	_, stop := r.loader(r.config())
	r.state(wire.Ready)
	r.influx.answer(http.StatusForbidden)
	r.statuses(0, n)
	eventually(r.t, func() bool { return bytes.Contains(r.segment(), fmt.Appendf(nil, `"seq":%d,`, n-1)) }, func() string { return "the last one in the spool" })
	stop()
	r.state(wire.Stopped)
	r.influx.answer(0)
}

// segment is what is in the spool's first file.
func (r *rig) segment() []byte {
	b, _ := os.ReadFile(r.segmentName())
	return b
}

func (r *rig) segmentName() string { return filepath.Join(r.dir, "spool", "0000000000000000.seg") }

// A write that was cut off is reported, and the start goes on.
func TestFault04TornTail(t *testing.T) {
	r := newRigOnce(t)
	r.fillSpool(20)
	whole := r.segment()
	torn := whole[len(whole)-50:]
	if err := os.WriteFile(r.segmentName(), slices.Concat(whole, torn), 0o600); err != nil {
		t.Fatal(err)
	}
	metrics, _ := r.loader(r.config())
	r.state(wire.Ready)
	r.statuses(20, 40)
	r.stored(40)
	if got := count(t, metrics, "spool_torn_bytes_total", ""); got != 50 {
		t.Errorf("%v torn bytes are counted", got)
	}
}

// The broker ends cleanly and comes back.
func TestFault05BrokerEnds(t *testing.T) {
	r := newRig(t)
	r.loader(r.config())
	r.state(wire.Ready)
	stop := r.keepSaying(0)
	for range 2 {
		r.influx.mu.Lock()
		goal := len(r.influx.points) + 200
		r.influx.mu.Unlock()
		r.influx.wait("some more", func() bool { return len(r.influx.points) > goal })
		r.broker.Stop()
		r.broker.Start()
		<-r.connected
	}
	r.state(wire.Ready)
	r.allIsWell(stop())
}

// The broker loses what it had confirmed, as a killed one does with the last
// moment, and one that comes back empty with all: the gap is reported, and a
// replay closes it. (A real kill is in e2e.)
func TestFault06And08BrokerForgets(t *testing.T) {
	r := newRigOnce(t)
	_, stop := r.loader(r.config())
	r.state(wire.Ready)
	r.statuses(0, 10)
	r.stored(10)
	stop()
	r.state(wire.Stopped)
	r.statuses(10, 20) // confirmed by the broker, for a loader that is away
	r.broker.Stop()
	if err := os.RemoveAll(r.brokerDir); err != nil {
		t.Fatal(err)
	}
	r.broker.Start()
	<-r.connected
	r.loader(r.config())
	r.state(wire.Ready)
	r.statuses(20, 30)
	r.page("loader", "hv", func(p Page) bool { return p.Missing == 10 && p.Gaps == 1 && len(p.Latest) == 1 })
	r.mu.Lock()
	gap := r.pages["/service/loader/ledger/hv"].Latest[0]
	r.mu.Unlock()
	if gap.Boot != "b" || gap.From != 10 || gap.To != 19 || gap.After != "2026-11-20T12:00:00.009000Z" || gap.Before != "2026-11-20T12:00:00.020000Z" {
		t.Errorf("the gap is %+v", gap)
	}
	for seq := 5; seq < 25; seq++ {
		r.say("/hv/replay", statusOfHV(seq))
	}
	r.allIsWell(30)
	r.page("loader", "hv", func(p Page) bool { return p.Duplicates == 10 })
}

// A broker that comes back empty is told the ledger's pages anew, and so is one
// that was away when they changed: nobody says anything more of the device.
func TestFault08LedgerIsSaidAgain(t *testing.T) {
	r := newRig(t)
	r.loader(r.config())
	r.state(wire.Ready)
	r.statuses(1, 11)
	r.page("loader", "hv", func(p Page) bool { return p.Seen == 10 })
	r.broker.Stop()
	if err := os.RemoveAll(r.brokerDir); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	clear(r.pages)
	r.mu.Unlock()
	r.broker.Start()
	<-r.connected
	r.page("loader", "hv", func(p Page) bool { return p.Seen == 10 })
}

// InfluxDB takes requests and never answers.
func TestFault10InfluxHangs(t *testing.T) {
	r := newRig(t)
	cfg := r.config()
	cfg.WriteTimeout = 100 * time.Millisecond
	metrics, _ := r.loader(cfg)
	r.state(wire.Ready)
	var hung sync.WaitGroup
	r.influx.do(func(_ http.ResponseWriter, req *http.Request) {
		hung.Add(1)
		defer hung.Done()
		<-req.Context().Done()
	})
	r.statuses(0, 100)
	if s := r.state(wire.Unreachable); !strings.Contains(s.Error, "does not answer at "+r.influx.URL) {
		t.Errorf("state says %q", s.Error)
	}
	r.influx.do(nil)
	r.state(wire.Ready)
	r.allIsWell(100)
	hung.Wait() // each was given up
	if count(t, metrics, "write_errors_total", "0") == 0 {
		t.Error("no error is counted")
	}
}

// InfluxDB asks to be left alone for a while, and is.
func TestFault11RetryAfter(t *testing.T) {
	for _, code := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			r := newRig(t)
			r.loader(r.config())
			r.state(wire.Ready)
			var asked, next time.Time
			var first []byte // what is to wait; another writer's lines may be on their way already
			var mu sync.Mutex
			r.influx.do(func(w http.ResponseWriter, req *http.Request) {
				body, _ := io.ReadAll(req.Body)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case asked.IsZero():
					asked, first = time.Now(), body
					w.Header().Set("Retry-After", "2")
					w.WriteHeader(code)
				case next.IsZero() && bytes.Equal(body, first):
					next = time.Now()
					w.WriteHeader(http.StatusInternalServerError)
				default:
					req.Body = io.NopCloser(bytes.NewReader(body))
					r.influx.store(req)
					w.WriteHeader(http.StatusNoContent)
				}
			})
			r.statuses(0, 10)
			r.stored(10)
			var waited time.Duration
			eventually(t, func() bool {
				mu.Lock()
				defer mu.Unlock()
				waited = next.Sub(asked)
				return !next.IsZero()
			}, func() string { return "what was to wait" })
			if waited < 2*time.Second {
				t.Errorf("%d: asked to wait for 2s, it waited for %v", code, waited)
			}
		})
	}
}

// readLetters reads the dead-letter file.
func readLetters(t testing.TB, dir string) (all []letter) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, deadLetterFile))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var l letter
		if err := json.Unmarshal(line, &l); err != nil {
			t.Errorf("letter %.200q: %v", line, err)
		}
		all = append(all, l)
	}
	return all
}

// unpackLetter is the payload of a letter.
func unpackLetter(t testing.TB, l letter) string {
	t.Helper()
	if !l.Base64 {
		return l.Payload
	}
	b, err := base64.StdEncoding.DecodeString(l.Payload)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// The connection is reset in the middle of an answer: InfluxDB has the lines
// and the loader does not know it.
func TestFault14Reset(t *testing.T) {
	r := newRigOnce(t)
	metrics, _ := r.loader(r.config())
	r.state(wire.Ready)
	var resets atomic.Int32
	r.influx.do(func(w http.ResponseWriter, req *http.Request) {
		r.influx.store(req)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 204 No Con"))
		_ = conn.(*net.TCPConn).SetLinger(0) // RST
		_ = conn.Close()
		if resets.Add(1) == 3 {
			r.influx.do(nil)
		}
	})
	r.statuses(0, 50)
	r.allIsWell(50)
	r.page("loader", "hv", func(p Page) bool { return p.Duplicates == 0 })
	eventually(t, func() bool { return count(t, metrics, "write_errors_total", "0") == float64(resets.Load()) },
		func() string {
			return fmt.Sprintf("%v errors; %v are counted", resets.Load(), count(t, metrics, "write_errors_total", "0"))
		})
}

// The spool cannot be written: nothing is acknowledged, the operator is told,
// and it goes on by itself. (With a real full disk in e2e.)
func TestFault15SpoolFull(t *testing.T) {
	r := newRigAlone(t)
	disk := r.disk()
	_, stop := r.loader(r.config())
	r.state(wire.Ready)
	disk.fail(fmt.Errorf("spool: %w", syscall.ENOSPC))
	r.statuses(0, 50)
	s := r.state(wire.Unreachable)
	if !strings.Contains(s.Error, "nothing is acknowledged") || !strings.Contains(s.Error, "no space left on device") {
		t.Errorf("state says %q", s.Error)
	}
	// One that ends now has acknowledged nothing: the next gets all of it.
	stop()
	r.state(wire.Stopped)
	r.influx.mu.Lock()
	if n := len(r.influx.series("hv,number=0")); n > 0 {
		t.Errorf("%d statuses are stored that are not in the spool", n)
	}
	r.influx.mu.Unlock()
	metrics, _ := r.loader(r.config())
	r.statuses(50, 60)
	s = r.state(wire.Unreachable)
	disk.fail(nil)
	r.state(wire.Ready)
	r.statuses(60, 70)
	r.allIsWell(70)
	if count(t, metrics, "spool_errors_total", "") == 0 {
		t.Error("no error is counted")
	}
}

// A bit has turned round in the spool: reported, the rest kept.
func TestFault16FlippedBit(t *testing.T) {
	r := newRigOnce(t)
	r.fillSpool(20)
	b := r.segment()
	i := bytes.Index(b, []byte(`"vmon":7.5`))
	b[i+1] ^= 1
	if err := os.WriteFile(r.segmentName(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	metrics, _ := r.loader(r.config())
	r.influx.wait("the rest", func() bool { return len(r.influx.series("hv,number=0")) == 19 })
	eventually(t, func() bool { return count(t, metrics, "dead_letters_total", "") == 1 }, func() string { return "a dead letter" })
	if count(t, metrics, "spool_damaged_bytes_total", "") < 50 {
		t.Error("no damage is counted")
	}
	letters := readLetters(t, r.dir)
	if len(letters) != 1 || !strings.Contains(letters[0].Reason, "damaged") || !strings.Contains(unpackLetter(t, letters[0]), `"wmon":7.5`) {
		t.Errorf("letters %+v", letters)
	}
	r.influx.wait("a note", func() bool {
		return r.influx.has("service,record=dead_letter,service=loader ")
	})
	r.page("loader", "hv", func(p Page) bool { return p.Missing == 1 && p.Seen == 19 })
}

// A second program with the same name and folder waits, and says so. When the
// first ends it goes on with what is there.
func TestFault20SameNameSameFolder(t *testing.T) {
	r := newRig(t)
	_, stop := r.loader(r.config())
	r.state(wire.Ready)
	r.statuses(0, 10)
	log := new(safeBuffer)
	r.named("loader", r.dir, log, r.config())
	eventually(t, func() bool { return strings.Contains(log.String(), "waiting for the data folder") }, log.String)
	r.statuses(10, 20)
	r.stored(20)
	r.influx.answer(http.StatusForbidden)
	r.statuses(20, 30)
	stop()
	r.influx.answer(0)
	r.statuses(30, 40)
	r.allIsWell(40)
}

// A second program with the same name and another folder, as on another
// machine: one of the two stays away and says why, there is no endless
// take-over, and between the two nothing is lost.
func TestFault20SameNameOtherFolder(t *testing.T) {
	r := newRig(t)
	first, second := new(safeBuffer), new(safeBuffer)
	r.named("loader", r.dir, first, r.config())
	r.state(wire.Ready)
	stop := r.keepSaying(0)
	r.named("loader", t.TempDir(), second, r.config())
	both := func() string { return first.String() + second.String() }
	eventually(t, func() bool {
		return strings.Contains(both(), "another program with this name is on the bus: end one of the two or rename it")
	}, both)
	r.stored(stop())
	if n := strings.Count(both(), `msg="connected to the broker"`); n > 8 {
		t.Errorf("%d connections", n)
	}
}

// Everything is started in the wrong order.
func TestFault32WrongOrder(t *testing.T) {
	r := newRig(t)
	r.broker.Stop()
	r.influx.do(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	r.loader(r.config())
	r.influx.wait("an attempt", func() bool { return len(r.influx.tried) > 2 })
	r.broker.Start()
	<-r.connected
	r.state(wire.Unreachable)
	r.statuses(0, 20)
	r.influx.do(nil)
	r.state(wire.Ready)
	r.statuses(20, 40)
	r.allIsWell(40)
}

// Two loaders side by side: every point that carries a time is there once, and
// each keeps its own account.
func TestTwoLoaders(t *testing.T) {
	r := newRig(t)
	_, stop := r.loader(r.config())
	r.named("other", t.TempDir(), t.Output(), r.config())
	r.state(wire.Ready)
	r.influx.wait("the other", func() bool {
		return r.influx.has("state,device=other ")
	})
	r.statuses(0, 50)
	r.page("loader", "hv", func(p Page) bool { return p.Seen == 50 && p.Missing == 0 })
	r.page("other", "hv", func(p Page) bool { return p.Seen == 50 && p.Missing == 0 })
	stop() // the machine of one dies
	r.statuses(50, 100)
	r.stored(100)
	r.page("other", "hv", func(p Page) bool { return p.Seen == 100 && p.Missing == 0 })
}

// What an earlier DCS_TOPIC_ROOT subscribed to does not come any more.
func TestFormerRoot(t *testing.T) {
	r := newRig(t)
	list := filepath.Join(r.dir, "subscriptions.json")
	subscribed := func() (l []string) {
		b, err := os.ReadFile(list)
		if err == nil {
			err = json.Unmarshal(b, &l)
		}
		if err != nil {
			t.Error(err)
		}
		return l
	}
	_, stop := r.loader(r.config())
	r.state(wire.Ready)
	if l := subscribed(); !slices.Contains(l, "/+/status") {
		t.Errorf("subscribed to %q", l)
	}
	stop()
	cfg := r.config()
	cfg.Root = "lab1"
	_, stop = r.loader(cfg)
	eventually(t, func() bool {
		l := subscribed()
		return slices.Contains(l, "lab1/+/status") && !slices.Contains(l, "/+/status")
	}, func() string { return fmt.Sprint("other subscriptions; they are ", subscribed()) })
	stop()
	r.statuses(0, 10) // under the old root, while it is away
	r.say("lab1/hv/status", statusOfHV(0))
	metrics, _ := r.loader(cfg)
	r.say("lab1/hv/status", statusOfHV(1))
	r.stored(2)
	if got := count(t, metrics, "messages_total", "unknown"); got != 0 {
		t.Errorf("%v foreign messages", got)
	}
}

// One bad line in a batch of 5000: the others are stored, and it is in the
// dead-letter file with all that is known of it, in the metrics, in a note in the
// archive, and in the ledger.
func TestFault12BadLine(t *testing.T) {
	f := newFakeInflux(t)
	f.do(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if bytes.Contains(body, []byte("vmon=1234.5,")) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"code":"invalid","message":"field type conflict"}`))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.store(r)
		w.WriteHeader(http.StatusNoContent)
	})
	cfg := testConfig(t, f.URL)
	db := newInflux(cfg)
	defer db.Close()
	dir := t.TempDir()
	var all []message
	for seq := 1; seq <= 5000; seq++ {
		all = append(all, message{Message: bus.Message{Topic: "/hv/status", QoS: 1, Payload: []byte(statusOfHV(seq))}, arrived: noon.UnixNano() + int64(seq)})
	}
	prefill(t, dir, all)
	l := startLoader(t, cfg, dir, db)
	f.wait("the others", func() bool { return len(f.series("hv,number=0")) == 4999 })
	eventually(t, func() bool { return len(readLetters(t, dir)) > 0 }, func() string { return "a letter" })
	letters := readLetters(t, dir)
	if len(letters) != 1 {
		t.Fatalf("%d letters", len(letters))
	}
	x := letters[0]
	if x.Topic != "/hv/status" || x.Payload != statusOfHV(1234) || !strings.Contains(x.Reason, "field type conflict") ||
		!strings.HasPrefix(x.Line, "hv,number=0 vmon=1234.5,") || x.QoS != 1 || x.Time != stamp(noon.UnixNano()+1234) {
		t.Errorf("%+v", x)
	}
	l.queue.put(bus.Message{Topic: "/lv/status", QoS: 1, Payload: []byte(statusOfHV(1))}) // the note goes with what comes next
	f.wait("a note", func() bool { return f.has("service,device=hv,record=dead_letter,service=loader ") })
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, fields := range f.points {
		if strings.Contains(key, "record=dead_letter") && !(strings.Contains(fields, `topic="/hv/status"`) &&
			strings.Contains(fields, "field type conflict") && strings.HasSuffix(fields, `boot="b",seq=1234`)) {
			t.Errorf("the note says %s", fields)
		}
	}
	if n := len(f.tried); n > 40 {
		t.Errorf("%d writes", n)
	}
	var p Page // the note may be there before the batch that it is about is entered
	eventually(t, func() bool {
		for _, of := range l.ledger.pages(noon, true) {
			if of.Device == "hv" {
				p = of
			}
		}
		return p.Refused == 1 && p.Missing == 1 && p.Seen == 4999
	}, func() string { return fmt.Sprintf("the page: %+v", p) })
}
