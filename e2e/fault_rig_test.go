//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/brokerauth"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/device"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
)

// The rig of the fault tests: Mosquitto with the configuration of production,
// InfluxDB and loaders as processes that can be ended, killed, frozen and
// started again, and drivers inside the test, which know what they sent.

// number and duration read how long a test goes on: short in `make e2e`, in
// full in `make soak`.
func number(t *testing.T, variable string, short int) int {
	t.Helper()
	v := os.Getenv(variable)
	if v == "" {
		return short
	}
	n, err := strconv.Atoi(v)
	require.NoError(t, err, variable)
	return n
}

func duration(t *testing.T, variable string, short time.Duration) time.Duration {
	t.Helper()
	v := os.Getenv(variable)
	if v == "" {
		return short
	}
	d, err := time.ParseDuration(v)
	require.NoError(t, err, variable)
	return d
}

// lasts is the length of a fault, or of a load: nothing is waited for.
func lasts(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.FailNow()
	}
}

// part is a process of the stack, which can be started more than once.
type part struct {
	t     *testing.T
	name  string
	argv  []string
	env   []string
	log   string        // the file with its output
	ready func() bool   // nil: at once
	http  string        // serves figures
	mu    sync.Mutex    // of what follows
	cmd   *exec.Cmd     // the last process
	ended chan struct{} // closed when it has ended
	how   string        // it ended
	exit  int           // its exit code then
}

func newPart(t *testing.T, name, log string, env []string, argv ...string) *part {
	p := &part{t: t, name: name, argv: argv, env: env, log: log}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said\n%s", name, p.said(4000))
		}
	})
	return p
}

// launch starts it and does not wait.
func (p *part) launch() {
	p.t.Helper()
	f, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	defer f.Close()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // nothing outlives a test that is cut off
	require.NoError(p.t, cmd.Start())
	ended := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.ended = cmd, ended
	p.mu.Unlock()
	go func() {
		_ = cmd.Wait()
		p.mu.Lock()
		p.how, p.exit = cmd.ProcessState.String(), cmd.ProcessState.ExitCode()
		p.mu.Unlock()
		close(ended)
	}()
}

// start starts it and waits until it is ready.
func (p *part) start() {
	p.t.Helper()
	p.launch()
	p.awaitReady()
}

func (p *part) awaitReady() {
	p.t.Helper()
	if p.ready != nil {
		within(p.t, patience, p.name+" is ready", p.ready)
	}
}

// pid is that of the running process, or 0.
func (p *part) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	select {
	case <-p.ended:
		return 0
	default:
		return p.cmd.Process.Pid
	}
}

func (p *part) signal(s syscall.Signal) {
	if pid := p.pid(); pid != 0 {
		_ = syscall.Kill(pid, s)
	}
}

// kill ends it as a power cut does.
func (p *part) kill() {
	p.signal(syscall.SIGKILL)
	p.await()
}

// stop asks it to end.
func (p *part) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	p.await()
}

// await waits for its end.
func (p *part) await() {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if ended == nil {
		return
	}
	select {
	case <-ended:
	case <-time.After(patience):
		p.t.Errorf("%s does not end", p.name)
		p.signal(syscall.SIGKILL)
		<-ended
	}
}

// end is how the last process ended.
func (p *part) end() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.how
}

// code is the exit code of the last process, which has ended.
func (p *part) code() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}

// said is the end of its output.
func (p *part) said(n int) string {
	b, _ := os.ReadFile(p.log)
	return string(b[max(0, len(b)-n):])
}

// figures adds up the samples of one of its metrics; labels, if any, are as the
// metrics page writes them. It fails while nobody serves the page.
func (p *part) figures(name, labels string) (float64, error) {
	res, err := http.Get("http://" + p.http + "/metrics")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for line := range strings.SplitSeq(string(b), "\n") {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' || !strings.Contains(rest, labels) {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", line, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, errors.New("no metric " + name)
	}
	return sum, nil
}

// figure is figures of a process that may be away: what it cannot say is 0.
func (p *part) figure(name string) float64 {
	v, _ := p.figures(name, "")
	return v
}

// counts is figures of a process that has to be there.
func (p *part) counts(name, labels string) float64 {
	p.t.Helper()
	v, err := p.figures(name, labels)
	require.NoError(p.t, err)
	return v
}

// within waits for a condition with a limit of its own.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); {
		if time.Now().After(end) {
			require.FailNow(t, what, "not within %v", limit)
		}
		lasts(t, 50*time.Millisecond)
	}
}

// stack is a broker, an InfluxDB and loaders.
type stack struct {
	t          *testing.T
	access     *access
	dir        string
	broker     *part
	brokerData string
	brokerPort int
	influx     *part
	archive    archive
	ip         string   // of both
	enter      []string // goes before their command lines
}

// newStack prepares a stack; nothing of it runs yet.
func newStack(t *testing.T) *stack { return newStackAt(t, "127.0.0.1") }

// newStackAt prepares a stack whose broker and InfluxDB have another address,
// in the network namespace that enter leads to.
func newStackAt(t *testing.T, ip string, enter ...string) *stack {
	t.Helper()
	s := &stack{t: t, dir: t.TempDir(), ip: ip, enter: enter, brokerPort: freePort(t)}
	s.brokerData = filepath.Join(s.dir, "mosquitto")
	require.NoError(t, os.Mkdir(s.brokerData, 0o750))
	s.access = newAccess(t, "", accounts()...)
	listener := func(port int) string { return fmt.Sprintf("%d %s", port, ip) }
	file := s.access.conf(listener(s.brokerPort), listener(freePort(t)), s.brokerData)
	s.broker = newPart(t, "mosquitto", filepath.Join(s.dir, "mosquitto.log"), nil, append(enter, mosquittoBinary(), "-c", file)...)
	s.broker.ready = func() bool {
		conn, err := net.DialTimeout("tcp", s.address(), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}

	port := strconv.Itoa(freePort(t))
	s.archive = archive{t, "http://" + net.JoinHostPort(ip, port)}
	s.influx = newPart(t, "influxd", filepath.Join(s.dir, "influxd.log"), []string{
		"INFLUXDB_HTTP_BIND_ADDRESS=" + net.JoinHostPort(ip, port), "INFLUXDB_HTTP_FLUX_ENABLED=false",
		"INFLUXDB_META_DIR=" + filepath.Join(s.dir, "meta"), "INFLUXDB_DATA_DIR=" + filepath.Join(s.dir, "data"),
		"INFLUXDB_DATA_WAL_DIR=" + filepath.Join(s.dir, "wal"),
	}, append(enter, filepath.Join(root(t), "bin", "influxd"), "run", "-config", filepath.Join(root(t), "tools", "influxd", "influxd.conf"))...)
	s.influx.ready = func() bool {
		_, err := s.archive.post("/query", url.Values{"q": {`CREATE DATABASE "dcs" WITH NAME "autogen"`}}, "")
		return err == nil
	}
	return s
}

// startStack starts a broker and an InfluxDB.
func startStack(t *testing.T) *stack {
	t.Helper()
	s := newStack(t)
	s.broker.start()
	s.influx.start()
	return s
}

// accounts are those of all parts that tests start: programs with their own
// names and roles, some people, senders as drivers.
func accounts() (all []brokerauth.Account) {
	for role, names := range map[brokerauth.Role][]string{
		brokerauth.Loader:     {"loader", "one", "two"},
		brokerauth.Driver:     {"hv", "lv", "sensor_1", "ph2acf"},
		brokerauth.Sink:       {"calibration"},
		brokerauth.RunControl: {"runcontrol"},
		brokerauth.Gateway:    {"gateway"},
		brokerauth.Outside:    {"cleanroom"},
		brokerauth.Operator:   {"alice"},
		brokerauth.Viewer:     {"bob"},
	} {
		for _, name := range names {
			all = append(all, brokerauth.Account{Name: name, Role: role})
		}
	}
	for _, prefix := range []string{
		"away", "cutoff", "emptied", "ended", "far", "frozen", "full", "killed", "load", "memory", "order", "twice", "twin",
	} {
		for i := range 20 {
			all = append(all, brokerauth.Account{Name: senderName(prefix, i), Role: brokerauth.Driver})
		}
	}
	return all
}

func senderName(prefix string, i int) string { return fmt.Sprintf("%s%02d", prefix, i) }

func (s *stack) address() string { return net.JoinHostPort(s.ip, strconv.Itoa(s.brokerPort)) }

// bus are the settings of a member of the bus that has an account, and reaches
// the broker at an address.
func (s *stack) bus(account, address string) service.Bus {
	s.t.Helper()
	return service.Bus{Broker: "tcp://" + address, BrokerUser: account, PasswordFile: s.access.passwordFile(account)}
}

// loader prepares a loader with a name and a data folder; env comes last.
func (s *stack) loader(name, dir string, env ...string) *part {
	s.t.Helper()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(s.t)))
	b := s.bus(name, s.address())
	p := newPart(s.t, name, filepath.Join(s.dir, filepath.Base(dir)+".log"), append([]string{
		"DCS_NAME=" + name, "DCS_DATA_DIR=" + dir, "DCS_HTTP=" + addr, "DCS_INFLUX_URL=" + s.archive.url,
		"DCS_BROKER=" + b.Broker, "DCS_BROKER_USER=" + b.BrokerUser, "DCS_BROKER_PASSWORD_FILE=" + b.PasswordFile,
	}, env...), filepath.Join(root(s.t), "bin", "loader"))
	p.http = addr
	p.ready = func() bool {
		res, err := http.Get("http://" + addr + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	return p
}

// startLoader starts a loader named loader.
func (s *stack) startLoader(env ...string) *part {
	s.t.Helper()
	p := s.loader("loader", filepath.Join(s.dir, "loader"), env...)
	p.start()
	return p
}

// connected is how often a client has been let in by the broker.
func (s *stack) connected(client string) int {
	b, _ := os.ReadFile(s.broker.log)
	return strings.Count(string(b), " as "+client+" (")
}

// points is how many points the archive has of the devices whose names begin
// with a prefix; where is an InfluxQL condition or empty.
func (s *stack) points(prefix, where string) (int, error) {
	q := fmt.Sprintf(`SELECT COUNT(seq) FROM /^%s/`, prefix)
	if where != "" {
		q += " WHERE " + where
	}
	rows, err := s.ask(q)
	sum := int64(0)
	for _, row := range rows {
		n, err := row[1].Int64()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return int(sum), err
}

// newest is the time of the newest point of the devices whose names begin with
// a prefix.
func (s *stack) newest(prefix string) (time.Time, error) {
	rows, err := s.ask(fmt.Sprintf(`SELECT LAST(seq) FROM /^%s/`, prefix))
	last := int64(0)
	for _, row := range rows {
		ns, err := row[0].Int64()
		if err != nil {
			return time.Time{}, err
		}
		last = max(last, ns)
	}
	return time.Unix(0, last), err
}

// ask puts a question to InfluxDB whose answer is numbers, and returns the rows
// of all series.
func (s *stack) ask(q string) (rows [][]json.Number, err error) {
	body, err := s.archive.post("/query", url.Values{"db": {"dcs"}, "q": {q}, "epoch": {"ns"}}, "")
	if err != nil {
		return nil, err
	}
	var answer struct {
		Results []struct {
			Series []struct{ Values [][]json.Number }
			Error  string
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return nil, err
	}
	for _, r := range answer.Results {
		if r.Error != "" {
			return nil, errors.New(r.Error)
		}
		for _, series := range r.Series {
			rows = append(rows, series.Values...)
		}
	}
	return rows, nil
}

// channels of each sender.
const channels = 4

// sender is a driver: the real one but for its instrument.
type sender struct {
	name   string
	made   atomic.Uint64
	seen   *device.Device
	figure *prometheus.Registry
	silent chan struct{} // closed when it makes no more
	end    context.CancelFunc
	ended  chan struct{}
}

// fleet is senders that send until they are hushed.
type fleet struct {
	t       *testing.T
	s       *stack
	prefix  string
	senders []*sender
	paused  atomic.Bool
	quiet   chan struct{}
	hushed  sync.Once
	end     sync.Once
}

// send starts n senders with a period. Their names begin with prefix.
func (s *stack) send(prefix string, n int, period time.Duration) *fleet {
	return s.sendTo(prefix, n, period, s.address())
}

// sendTo starts senders that reach the broker at another address.
func (s *stack) sendTo(prefix string, n int, period time.Duration, address string) *fleet {
	s.t.Helper()
	f := &fleet{t: s.t, s: s, prefix: prefix, quiet: make(chan struct{})}
	for i := range n {
		f.senders = append(f.senders, f.start(senderName(prefix, i), period, address, time.Duration(i)*period/time.Duration(n)))
	}
	s.t.Cleanup(f.leave)
	return f
}

func (f *fleet) start(name string, period time.Duration, address string, offset time.Duration) *sender {
	f.t.Helper()
	d := &sender{name: name, figure: prometheus.NewRegistry(), silent: make(chan struct{}), ended: make(chan struct{})}
	env := &service.Env{Program: "sender", Name: name, Boot: service.NewBoot(), Log: slog.New(slog.DiscardHandler), Metrics: d.figure, Health: new(service.Health)}
	dev, err := device.New(env, &device.Settings{Bus: f.s.bus(name, address), Backlog: time.Hour})
	require.NoError(f.t, err)
	d.seen = dev
	ctx, cancel := context.WithCancel(context.Background())
	d.end = cancel
	go func() {
		defer close(d.ended)
		_ = dev.Run(ctx, func(ctx context.Context) error {
			silent := sync.OnceFunc(func() { close(d.silent) })
			defer silent()
			dev.Set(wire.Ready, "")
			pace := time.NewTimer(offset)
			defer pace.Stop()
			for next := time.Now().Add(offset); ; next = next.Add(period) {
				pace.Reset(time.Until(next))
				select {
				case <-pace.C:
				case <-f.quiet:
					silent()
					<-ctx.Done()
					return nil
				case <-ctx.Done():
					return nil
				}
				if !f.paused.Load() {
					d.measure(env.Boot)
				}
			}
		})
	}()
	return d
}

// measure publishes one status of four channels with all that a supply says.
func (d *sender) measure(boot string) {
	now := time.Now()
	at := d.seen.Stamp(now)
	d.made.Add(1)
	d.seen.Publish(now, func(seq uint64) []byte {
		list := make([]wire.Channel, channels)
		for i := range list {
			v := 100 + rand.Float64()
			list[i] = wire.Channel{Number: i, On: wire.Yes, VReq: wire.Known(100), IReq: wire.Known(.001), VMon: wire.Known(v), IMon: wire.Known(v * 1e-8),
				Ramp: wire.Known(5), Ramping: wire.No, Limited: wire.No, Trip: wire.No, Interlock: wire.No, Locked: wire.No, Time: at, Seq: seq, Boot: boot}
		}
		return wire.Encode(list)
	})
}

// made is how many statuses they have made so far.
func (f *fleet) made() (n int) {
	for _, d := range f.senders {
		n += int(d.made.Load())
	}
	return n
}

// counted adds up a counter of the senders' own.
func (f *fleet) counted(name string) (sum float64) {
	for _, d := range f.senders {
		families, err := d.figure.Gather()
		require.NoError(f.t, err)
		for _, m := range families {
			if m.GetName() == name {
				sum += m.GetMetric()[0].GetCounter().GetValue()
			}
		}
	}
	return sum
}

// pause holds the making of statuses up, or lets it go on.
func (f *fleet) pause(on bool) { f.paused.Store(on) }

// hush ends the making of statuses; the senders stay on the bus and replay. When
// it returns made does not grow any more.
func (f *fleet) hush() {
	f.hushed.Do(func() { close(f.quiet) })
	for _, d := range f.senders {
		select {
		case <-d.silent:
		case <-d.ended:
		}
	}
}

// leave ends the senders as a signal does: they say the number of their last
// status with their state.
func (f *fleet) leave() {
	f.end.Do(func() {
		f.hush()
		for _, d := range f.senders {
			d.end()
		}
		for _, d := range f.senders {
			<-d.ended
		}
	})
}

// verdict is the last line of dcs audit -o json.
type verdict struct {
	Verdict  string
	Devices  int
	Statuses int
	Missing  int
}

func (s *stack) audit() (v verdict, code int) {
	s.t.Helper()
	out, code := s.archive.audit("-o", "json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	_ = json.Unmarshal([]byte(lines[len(lines)-1]), &v) // what is no verdict counts nothing
	return v, code
}

// settle ends the making of statuses, waits until as many as that are in the
// archive, and ends the senders.
func (f *fleet) settle(limit time.Duration, statuses func() int) (took time.Duration) {
	f.t.Helper()
	f.hush()
	began := time.Now()
	n := 0
	for end := began.Add(limit); time.Now().Before(end); {
		if n, _ = f.s.points(f.prefix, ""); n >= channels*statuses() {
			break
		}
		lasts(f.t, 100*time.Millisecond)
	}
	took = time.Since(began)
	assert.Equal(f.t, channels*statuses(), n, "points in the archive after %v", took)
	f.leave()
	return took
}

// allIn is how long all that was made may take to be in the archive: a machine
// that was too slow for what came has all of it before it, and that is no fault.
const allIn = 3 * patience

// complete lets dcs audit judge: nothing that the senders made is missing, and
// there is no point that they did not make.
func (f *fleet) complete(limit time.Duration) {
	f.t.Helper()
	took := f.settle(limit, f.made)
	want := verdict{"nothing is missing", len(f.senders), f.made(), 0}
	var got verdict
	code := -1
	// The audit leaves out the last two seconds, and the last state is on its way.
	for end := time.Now().Add(patience); time.Now().Before(end) && (got != want || code != 0); lasts(f.t, 300*time.Millisecond) {
		got, code = f.s.audit()
	}
	if !assert.Equal(f.t, want, got, "dcs audit") || !assert.Zero(f.t, code, "exit code of dcs audit") {
		out, _ := f.s.archive.audit()
		f.t.Log(out)
		f.t.FailNow()
	}
	n, err := f.s.points(f.prefix, "")
	require.NoError(f.t, err)
	require.Equal(f.t, channels*f.made(), n, "distinct points")
	f.t.Logf("nothing is missing: %d statuses of %d devices, %d points, all there %.1f s after the last; %.0f replayed, %.0f given up by senders",
		f.made(), len(f.senders), n, took.Seconds(), f.counted("dcs_statuses_replayed_total"), f.counted("dcs_statuses_dropped_total"))
}

// agrees checks that a loader's own account says the same as the audit, and
// that nothing was put aside.
func (f *fleet) agrees(l *part) {
	f.t.Helper()
	f.agreesWithLetters(l)
	assert.Zero(f.t, l.counts("dcs_loader_dead_letters_total", ""), "put aside")
}

func (f *fleet) agreesWithLetters(l *part) {
	f.t.Helper()
	// What the archive has the loader enters when it has the answer.
	within(f.t, patience, fmt.Sprintf("%d statuses by the ledger", f.made()), func() bool {
		return l.figure("dcs_loader_ledger_seen_total") >= float64(f.made())
	})
	assert.EqualValues(f.t, f.made(), l.counts("dcs_loader_ledger_seen_total", ""), "statuses by the ledger")
	assert.Zero(f.t, l.counts("dcs_loader_ledger_missing", ""), "missing by the ledger")
	assert.Zero(f.t, l.counts("dcs_loader_spool_damaged_bytes_total", ""), "damaged")
}

// watcher hears the states on the bus, through breaks.
type watcher struct {
	t     *testing.T
	bus   *bus.Client
	mu    sync.Mutex
	heard []bus.Message
}

// watch hears what comes on some topics, for the rest of the test.
func (s *stack) watch(filters ...string) *watcher {
	s.t.Helper()
	o := s.bus(everybody, s.address()).Options(fmt.Sprintf("watcher-%d", rand.Uint32()))
	c, err := bus.New(o)
	require.NoError(s.t, err)
	w := &watcher{t: s.t, bus: c}
	up := make(chan struct{})
	c.OnConnect(sync.OnceFunc(func() { close(up) }))
	c.SubscribeAll(filters, 1, func(m bus.Message) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.heard = append(w.heard, m)
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx) })
	s.t.Cleanup(func() { cancel(); wg.Wait() })
	select {
	case <-up:
	case <-time.After(patience):
		s.t.Fatal("no connection to the broker")
	}
	return w
}

// mark is how much has been heard.
func (w *watcher) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.heard)
}

// await waits for a state on a topic, said after a mark, whose error contains
// some texts.
func (w *watcher) await(limit time.Duration, mark int, topic, state string, texts ...string) (s wire.State) {
	w.t.Helper()
	within(w.t, limit, fmt.Sprintf("%s says %s %s", topic, state, texts), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, m := range w.heard[mark:] {
			s = wire.State{}
			if m.Topic == topic && json.Unmarshal(m.Payload, &s) == nil && s.State == state &&
				!slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(s.Error, text) }) {
				return true
			}
		}
		return false
	})
	return s
}

// memory is what a process has used so far, in MB.
func memory(pid int, key string) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), key+":")
	kb, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
	return kb / 1024
}
