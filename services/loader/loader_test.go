package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

// beLoader makes the test binary a loader, so that a test can kill one.
const beLoader = "DCS_TEST_BE_LOADER"

// dieAt makes such a loader kill itself where it stands: "synced 3" when the
// third group is on disk and not acknowledged, "stored 3" when the third status
// is in InfluxDB and the checkpoint does not know it.
const dieAt = "DCS_TEST_DIE_AT"

// frugal are the settings that keep the loader, and not its tests, to one core
// and little memory.
var frugal = []string{"GOMAXPROCS", "GOMEMLIMIT"}

func TestMain(m *testing.M) {
	pagesEvery = 20 * time.Millisecond
	for _, name := range frugal {
		if os.Getenv(beLoader) == "" && os.Getenv(name) == "" {
			_ = os.Setenv(name, map[string]string{"GOMAXPROCS": fmt.Sprint(runtime.GOMAXPROCS(0)), "GOMEMLIMIT": "off"}[name])
		}
	}
	if os.Getenv(beLoader) != "" {
		var point string
		var n int
		_, _ = fmt.Sscan(os.Getenv(dieAt), &point, &n)
		die := func() {
			if n--; n == 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
		atStart = func(l *loader) {
			switch point {
			case "synced":
				l.keeper.synced = die
			case "stored": // not the third batch: the loader's own state may be one
				var there atomic.Bool
				for _, w := range l.storer.writers {
					w.archive = watched{w.archive, fmt.Appendf(nil, "vmon=%d.5,", n-1), &there}
				}
				l.storer.stored = func() {
					if there.Load() {
						n = 1
						die()
					}
				}
			}
		}
		main()
	}
	os.Exit(m.Run())
}

// watched is an archive that takes note when it has some text.
type watched struct {
	archive
	text  []byte
	there *atomic.Bool
}

func (w watched) Write(ctx context.Context, lines []byte) error {
	err := w.archive.Write(ctx, lines)
	if err == nil && bytes.Contains(lines, w.text) {
		w.there.Store(true)
	}
	return err
}

// rig is a broker, an InfluxDB and someone who speaks on the bus.
type rig struct {
	t         *testing.T
	broker    *brokertest.Broker
	influx    *fakeInflux
	dir       string // the loader's data folder
	brokerDir string
	pub       *bus.Client
	states    chan wire.State // of the loader

	connected chan struct{} // the speaker has come to the bus

	mu    sync.Mutex
	pages map[string]Page // of the ledger, by topic
}

// inVain is how long a test waits for what must come: compilers may run beside it.
const inVain = 2 * time.Minute

// newRig is for a test that runs beside others: most of its time is waiting.
func newRig(t *testing.T) *rig {
	t.Parallel()
	return newRigAlone(t)
}

// newRigOnce is newRig for a test that counts messages: the broker does not send
// again at once what a busy machine takes its time to acknowledge.
func newRigOnce(t *testing.T) *rig {
	t.Parallel()
	return newRigOn(t, mqttd.Options{})
}

// newRigAlone is for a test that lays a hand on the loaders of this process.
func newRigAlone(t *testing.T) *rig { return newRigOn(t, mqttd.Options{AckWait: time.Second}) }

// newRigOn is on a broker with options of the test's own.
func newRigOn(t *testing.T, o mqttd.Options) *rig {
	r := &rig{
		t: t, dir: t.TempDir(),
		pages:  make(map[string]Page),
		influx: newFakeInflux(t), states: make(chan wire.State, 1000), connected: make(chan struct{}, 100),
	}
	r.brokerDir = filepath.Join(t.TempDir(), "broker")
	o.DataDir = r.brokerDir
	r.broker = brokertest.New(t, o)
	r.pub, _ = bus.New(bus.Options{Broker: r.broker.URL(), ClientID: "test"})
	r.pub.OnConnect(func() { r.connected <- struct{}{} })
	r.pub.Subscribe("/service/loader/state", 1, func(m bus.Message) {
		var s wire.State
		if err := json.Unmarshal(m.Payload, &s); err != nil {
			t.Errorf("state %q: %v", m.Payload, err)
		}
		r.states <- s
	})
	r.pub.Subscribe("/service/+/ledger/+", 1, func(m bus.Message) {
		var p Page
		if err := json.Unmarshal(m.Payload, &p); err != nil {
			t.Errorf("page %q: %v", m.Payload, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.pages[m.Topic] = p
	})
	r.start(func(ctx context.Context) error { return r.pub.Run(ctx) })
	<-r.connected
	return r
}

// start runs f until the test ends, or until the function that it returns is
// called.
func (r *rig) start(f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f(ctx); err != nil {
			r.t.Error(err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	r.t.Cleanup(stop)
	return stop
}

func (r *rig) config() *config {
	cfg := testConfig(r.t, r.influx.URL)
	cfg.Bus.Broker = r.broker.URL()
	return cfg
}

// loader starts the program in this process.
func (r *rig) loader(cfg *config) (metrics *prometheus.Registry, stop func()) {
	return r.named("loader", r.dir, r.t.Output(), cfg)
}

func (r *rig) named(name, dir string, log io.Writer, cfg *config) (metrics *prometheus.Registry, stop func()) {
	env := &service.Env{
		Program: "loader", Name: name, DataDir: dir, Boot: service.NewBoot(), Metrics: prometheus.NewRegistry(), Health: new(service.Health),
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
	return env.Metrics, r.start(func(ctx context.Context) error { return run(ctx, env, cfg) })
}

// process starts the program as a process of its own.
func (r *rig) process(environ ...string) *exec.Cmd {
	r.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), beLoader+"=1", "DCS_BROKER="+r.broker.URL(), "DCS_INFLUX_URL="+r.influx.URL, "DCS_DATA_DIR="+r.dir)
	for _, name := range frugal {
		cmd.Env = append(cmd.Env, name+"=")
	}
	cmd.Env = append(cmd.Env, environ...)
	cmd.Stdout, cmd.Stderr = r.t.Output(), r.t.Output()
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.kill(cmd) })
	return cmd
}

// kill ends a process as kill -9 does, and waits for its end.
func (r *rig) kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// state waits until the loader says that it is in a state.
func (r *rig) state(want string) wire.State {
	r.t.Helper()
	timeout := time.After(inVain)
	for {
		select {
		case s := <-r.states:
			if s.State == want {
				return s
			}
		case <-timeout:
			r.t.Fatalf("waited in vain for state %s", want)
		}
	}
}

// say publishes; QoS 1 unless another is given.
func (r *rig) say(topic, payload string, qos ...byte) {
	r.t.Helper()
	m := bus.Message{Topic: topic, Payload: []byte(payload), QoS: 1}
	if len(qos) > 0 {
		m.QoS = qos[0]
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), inVain)
	defer cancel()
	if err := r.pub.Publish(ctx, m); err != nil {
		r.t.Fatal(err)
	}
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// statuses says statuses from one seq up to another, a millisecond apart.
func (r *rig) statuses(from, to int) {
	r.t.Helper()
	for seq := from; seq < to; seq++ {
		r.say("/hv/status", statusOfHV(seq))
	}
}

func statusOfHV(seq int) string {
	return fmt.Sprintf(`[{"number":0,"vmon":%d.5,"time":%q,"seq":%d,"boot":"b"}]`,
		seq, noon.Add(time.Duration(seq)*time.Millisecond).Format(time.RFC3339Nano), seq)
}

// keepSaying says statuses as a driver does, one after the other and each until
// the broker has it, from one seq on until it is stopped. What stop returns is
// the first that was not said.
func (r *rig) keepSaying(from int) (stop func() int) {
	end, ended := make(chan struct{}), make(chan int, 1)
	go func() {
		seq := from
		defer func() { ended <- seq }()
		for window := make(chan struct{}, 16); ; seq++ {
			select {
			case <-end:
				return
			case window <- struct{}{}:
			}
			r.sayUntilHeard(statusOfHV(seq), func() { <-window })
		}
	}()
	return func() int {
		close(end)
		return <-ended
	}
}

func (r *rig) sayUntilHeard(payload string, heard func()) {
	r.pub.Send(bus.Message{Topic: "/hv/status", Payload: []byte(payload), QoS: 1}, func(err error) {
		if err == nil {
			heard()
			return
		}
		select {
		case <-r.t.Context().Done():
		default:
			time.AfterFunc(10*time.Millisecond, func() { r.sayUntilHeard(payload, heard) })
		}
	})
}

// page waits until the ledger says something of a device that satisfies.
func (r *rig) page(service, device string, ok func(Page) bool) {
	r.t.Helper()
	topic := "/service/" + service + "/ledger/" + device
	var p Page
	eventually(r.t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		p = r.pages[topic]
		return ok(p)
	}, func() string { return fmt.Sprintf("a page of %s; it is %+v", topic, p) })
}

// eventually waits until cond is true.
func eventually(t testing.TB, cond func() bool, what func() string) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !cond(); <-tick.C {
		if time.Since(began) > inVain {
			t.Fatal("waited in vain for ", what())
		}
	}
}

// stored waits until all statuses from 0 to n are in InfluxDB.
func (r *rig) stored(n int) {
	r.t.Helper()
	r.influx.wait(fmt.Sprintf("%d statuses", n), func() bool { return len(r.influx.series("hv,number=0")) >= n })
	r.influx.mu.Lock()
	defer r.influx.mu.Unlock()
	points := r.influx.series("hv,number=0")
	for seq := range n {
		when := fmt.Sprint(noon.UnixNano() + int64(seq)*1e6)
		if got, want := points[when], fmt.Sprintf(`vmon=%d.5,seq=%d,boot="b"`, seq, seq); got != want {
			r.t.Errorf("seq %d at %s: %s, want %s", seq, when, got, want)
		}
	}
	if len(points) != n {
		r.t.Errorf("%d points, want %d", len(points), n)
	}
}

// count is the value of a counter, or of a counter's label.
func count(t *testing.T, r *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "dcs_loader_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" || m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

func TestEverythingIsArchived(t *testing.T) {
	r := newRigOnce(t)
	metrics, stop := r.loader(r.config())
	r.state(wire.Ready)
	at := `"time":"2026-11-20T19:25:49.920528Z"`
	r.say("/lv/status", `[{"number":0,"on":0,"vreq":0},{"number":1,"vmon":1,`+at+`,"seq":1,"boot":"b"}]`)
	r.say("/lv/replay", `[{"number":1,"vmon":2,`+at+`,"seq":0,"boot":"b"},{"number":2,"vmon":2,`+at+`,"seq":0,"boot":"b"}]`)
	r.say("/lv/status", `out of order`)
	r.say("/lv/state", `{"state":"ready",`+at+`,"boot":"b","error":""}`)
	r.say("/lv/ack", `{"time":"2026-11-20T19:25:49.920528001Z","op":"setv","value":1}`)
	r.say("/lv/meta", `{"kind":"psu"}`)
	r.say("/lv/cmd/setv/1", `1`)
	r.say("/sensor/room/temperature", `21.5`, 0)
	r.say("/sensor/room/humidity", `{"value":40}`, 2)
	const ns = " 1795202749920528000"
	want := map[string]string{
		"lv,number=1" + ns:                                   `vmon=2,seq=0,boot="b"`, // the replayed one came last
		"lv,number=2" + ns:                                   `vmon=2,seq=0,boot="b"`,
		"state,device=lv" + ns:                               `state="ready",boot="b",error=""`,
		"ack,device=lv 1795202749920528001":                  `op="setv",value=1`,
		"sensor,measurement=temperature,sensor=room arrival": `value=21.5`,
		"sensor,measurement=humidity,sensor=room arrival":    `value=40`,
		"dead letter":                                        `topic="/lv/status",reason="not JSON: 'o' at`,
	}
	got := make(map[string]string)
	r.influx.wait("all of it", func() bool {
		clear(got)
		for key, fields := range r.influx.points {
			switch {
			case strings.HasPrefix(key, "state,device=loader"), strings.Contains(key, "record=ledger"), strings.Contains(key, "record=loader"): // its own
				continue
			case strings.HasPrefix(key, "service,") && strings.Contains(key, "record=dead_letter"):
				key = "dead letter"
				fields, _, _ = strings.Cut(fields, " byte")
			case strings.HasPrefix(key, "sensor,"):
				key = key[:strings.LastIndexByte(key, ' ')] + " arrival"
			}
			got[key] = fields
		}
		return maps.Equal(got, want)
	})
	stop()
	r.state(wire.Stopped)
	for name, want := range map[string]float64{"bad_messages_total": 1, "skipped_channels_total": 1, "delay_seconds": 1, "dropped_total": 0, "refused_lines_total": 0} {
		if got := count(t, metrics, name, ""); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for kind, want := range map[string]float64{"status": 2, "replay": 1, "ack": 1, "sensor": 2, "unknown": 0} {
		if got := count(t, metrics, "messages_total", kind); got != want {
			t.Errorf("%v messages of kind %s, want %v", got, kind, want)
		}
	}
}

// What a loader had not written to InfluxDB when it was killed is in its spool,
// or comes again.
func TestKilledBeforeTheWrite(t *testing.T) {
	r := newRig(t)
	first := r.process()
	r.state(wire.Ready)
	r.influx.do(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }) // takes, and never answers
	r.statuses(0, 100)
	r.influx.wait("a write under way", func() bool {
		return slices.ContainsFunc(r.influx.tried, func(body string) bool { return strings.Contains(body, "hv,number=0") })
	})
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	r.state(wire.Lost)
	r.influx.do(nil)
	r.process()
	r.stored(100)
}

func TestFault13TokenRefused(t *testing.T) {
	r := newRig(t)
	metrics, _ := r.loader(r.config())
	r.state(wire.Ready)
	r.statuses(0, 10)
	r.stored(10)
	r.influx.answer(http.StatusUnauthorized)
	r.statuses(10, 50)
	if s := r.state(wire.Unreachable); !strings.Contains(s.Error, "DCS_INFLUX_TOKEN_FILE") {
		t.Errorf("state says %q", s.Error)
	}
	r.influx.answer(0)
	r.state(wire.Ready)
	r.stored(50)
	if count(t, metrics, "write_errors_total", "401") == 0 {
		t.Error("no error is counted")
	}
}

func TestInfluxComesLate(t *testing.T) {
	r := newRig(t)
	r.influx.answer(http.StatusNotFound)
	r.loader(r.config())
	if s := r.state(wire.Unreachable); !strings.Contains(s.Error, "CREATE DATABASE") {
		t.Errorf("state says %q", s.Error)
	}
	r.statuses(0, 10)
	r.influx.answer(0)
	r.state(wire.Ready)
	r.stored(10)
}

// What finds no room in memory stays with the broker, and comes when there is
// room. QoS 0 has no such place.
func TestNoRoom(t *testing.T) {
	r := newRigAlone(t)
	cfg := r.config()
	cfg.QueueMessages, cfg.BatchLines = 20, 5
	disk := r.disk()
	metrics, _ := r.loader(cfg)
	r.state(wire.Ready)
	disk.fail(syscall.EIO)
	r.statuses(0, 100)
	for range 30 {
		r.say("/sensor/a/b", "1", 0)
	}
	r.state(wire.Unreachable)
	for count(t, metrics, "deferred_total", "") == 0 || count(t, metrics, "dropped_total", "") == 0 {
		r.say("/poke/meta", "1") // a round trip through the broker
	}
	disk.fail(nil)
	r.stored(100)
}

// spoolDisk is a spool that a test can take away.
type spoolDisk struct {
	records
	mu  sync.Mutex
	err error
}

func (d *spoolDisk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *spoolDisk) Append(b []byte) error {
	d.mu.Lock()
	err := d.err
	d.mu.Unlock()
	if err != nil {
		return err
	}
	return d.records.Append(b)
}

// disk makes the loaders that start from now on write to the spool through it.
func (r *rig) disk() *spoolDisk {
	d := new(spoolDisk)
	r.atStart(func(l *loader) { d.records, l.keeper.spool = l.keeper.spool, d })
	return d
}

// atStart lays a hand on the loaders that start from now on in this process.
func (r *rig) atStart(f func(*loader)) {
	atStart = f
	r.t.Cleanup(func() { atStart = nil })
}

func TestBrokerGoesAndComes(t *testing.T) {
	r := newRig(t)
	r.loader(r.config())
	r.state(wire.Ready)
	r.statuses(0, 50)
	r.broker.DropClients()
	<-r.connected
	r.statuses(50, 100)
	r.stored(100)
}

// What has been received is written when the program is asked to end.
func TestLastWordsAreWritten(t *testing.T) {
	r := newRig(t)
	cfg := r.config()
	cfg.BatchQuiet, cfg.BatchAge = time.Hour, time.Hour // a batch never closes by itself
	metrics, stop := r.loader(cfg)
	r.state(wire.Ready)
	r.statuses(0, 30)
	for count(t, metrics, "messages_total", "status") < 30 {
		r.say("/poke/meta", "1") // a round trip through the broker
	}
	stop()
	r.stored(30)
}

// While InfluxDB is away the end does not wait for it, and nothing is lost.
func TestEndWithoutInflux(t *testing.T) {
	r := newRig(t)
	_, stop := r.loader(r.config())
	r.state(wire.Ready)
	r.influx.answer(http.StatusForbidden)
	r.statuses(0, 30)
	r.state(wire.Unreachable)
	began := time.Now()
	stop()
	if took := time.Since(began); took > farewell+inVain { // it would wait for ever
		t.Errorf("the end took %v", took)
	}
	r.influx.answer(0)
	r.loader(r.config())
	r.stored(30)
}

// Batches close on lines, bytes, age and quiet.
func TestBatches(t *testing.T) {
	for _, tt := range []struct {
		name  string
		set   func(*config)
		every time.Duration // between messages of one line
		count int
		want  []int // lines of the batches
	}{
		{"lines", func(c *config) { c.BatchLines = 4 }, 0, 8, []int{4, 4}},
		{"bytes", func(c *config) { c.BatchBytes = 100 }, 0, 8, []int{4, 4}}, // a line has 31
		{"quiet", func(*config) {}, 60 * time.Millisecond, 3, []int{1, 1, 1}},
		{"age", func(*config) {}, 45 * time.Millisecond, 60, []int{23, 23, 14}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []int
				var mu sync.Mutex
				done := make(chan struct{})
				cfg := testConfig(t, "")
				cfg.BatchQuiet = 50 * time.Millisecond
				tt.set(cfg)
				l := startLoader(t, cfg, t.TempDir(), archiveFunc(func(_ context.Context, lines []byte) error {
					if len(lines) == 0 {
						return nil
					}
					mu.Lock()
					defer mu.Unlock()
					if got = append(got, bytes.Count(lines, []byte("\n"))); len(got) == len(tt.want) {
						close(done)
					}
					return nil
				}))
				for i := range tt.count {
					if i > 0 {
						time.Sleep(tt.every)
					}
					l.queue.put(bus.Message{Topic: "/dht/status", QoS: 1, Payload: []byte(`{"a":1,"b":1}`)})
				}
				<-done
				if !slices.Equal(got, tt.want) {
					t.Errorf("batches of %v lines, want %v", got, tt.want)
				}
			})
		})
	}
}

// startLoader runs a loader without a bus until the test ends.
func startLoader(t *testing.T, cfg *config, dir string, db archive) *loader {
	t.Helper()
	l := openLoader(t, cfg, dir, db)
	runLoader(t, l)
	return l
}

// openLoader makes a loader without a bus.
func openLoader(t *testing.T, cfg *config, dir string, db archive) *loader {
	t.Helper()
	env := &service.Env{Name: "loader", DataDir: dir, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	l, err := newLoader(cfg, env, db)
	if err != nil {
		t.Fatal(err)
	}
	l.standing.set = func(string, string) {}
	l.keeper.again = func() {}
	l.publish = func(bus.Message) {}
	l.every = time.Hour // its own figures are another test's
	return l
}

// runLoader works until the test ends, or until the function that it returns
// is called.
func runLoader(t *testing.T, l *loader) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.work(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
		l.close()
	})
	t.Cleanup(stop)
	return stop
}

// Where nothing comes InfluxDB is asked how it is, so that a state that says
// ready is true.
func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var probes []time.Duration
		startLoader(t, testConfig(t, ""), t.TempDir(), archiveFunc(func(_ context.Context, lines []byte) error {
			if len(lines) > 0 {
				t.Errorf("lines out of nothing: %q", lines)
			}
			probes = append(probes, time.Since(began))
			return nil
		}))
		time.Sleep(3*probeEvery + time.Second)
		synctest.Wait()
		if want := []time.Duration{0, probeEvery, 2 * probeEvery, 3 * probeEvery}; !slices.Equal(probes, want) {
			t.Errorf("asked after %v", probes)
		}
	})
}

func TestOccasion(t *testing.T) {
	var o occasion
	for i, tt := range []struct {
		after time.Duration
		more  int
		ok    bool
	}{{0, 0, true}, {1, 0, false}, {logEvery - 1, 0, false}, {logEvery, 2, true}, {2*logEvery - 1, 0, false}, {3 * logEvery, 1, true}} {
		if more, ok := o.now(noon.Add(tt.after)); more != tt.more || ok != tt.ok {
			t.Errorf("%d: %d, %v", i, more, ok)
		}
	}
}
