package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"trackerdcs/drivers/ph2acf/warden"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/device"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
	"trackerdcs/pkg/transfer"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
)

func TestMain(m *testing.M) {
	warden.Main()
	leaveMargin, versionLimit = bustest.Patience, bustest.Patience
	if len(os.Args) > 2 && os.Args[1] == "program" {
		program(os.Args[2], os.Args[3:])
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "driver" { // the driver as a process of its own, to be killed
		os.Args = os.Args[:1]
		main()
		return
	}
	os.Exit(m.Run())
}

// procedureFile has one procedure, whose program is this test's own binary.
const procedureFile = `
procedures:
  test:
    title: A program of the tests
    program: %[1]s
    arguments: [program, "{do}", "--module={module}", "--vcal", "{vcal}", "{run}"]
    environment: {GORACE: atexit_sleep_ms=0, PIDS: %[2]s, WHO: "{module} in {run}"}
    limit: %[3]s
    grace: 100ms
    parameters:
      do: {type: string, values: [ok, fail, crash, hang, family, nothing, flood, limit, locked, pipe], required: true}
      module: {type: string, pattern: "M[0-9]{1,4}", required: true}
      vcal: {type: int, min: 0, max: 255, default: 200, unit: DAC}
    progress: '\[progress\] (?P<percent>[0-9.]+) %%'
    phase: 'phase=(?P<phase>\w+)'
    version: [program, version]
    files:
      - {glob: summary.json, read: json, required: true}
      - {glob: "*.csv", read: csv}
  shared:
    program: %[1]s
    arguments: [program, ok, "x{module}"]
    directory: %[2]s
    parameters:
      module: {type: string, pattern: "M[0-9]{1,4}", default: M1}
    files: [{glob: "summary.json", read: json, required: true}, {glob: "*.bin", read: raw}]
  gone:
    program: /no/such/program
`

// program is what the tests execute.
func program(do string, args []string) {
	switch do {
	case "version":
		fmt.Println("the tests' program 1.2.3\nand more")
	case "ok":
		fmt.Println("phase=start", strings.Join(args, " "))
		fmt.Fprintln(os.Stderr, "a warning")
		for i := range 5 {
			fmt.Printf("[progress] %d %%\n", 20*i)
		}
		fmt.Println("phase=writing")
		_ = os.WriteFile("summary.json", []byte(`{"ok":true}`), 0o600)
		_ = os.WriteFile("a.csv", []byte("x,y\n1,2\n"), 0o600)
	case "nothing":
	case "locked": // leaves a folder that nothing can be removed from
		_ = os.WriteFile("summary.json", []byte(`{}`), 0o600)
		_ = os.MkdirAll("sub/sub", 0o700)
		_ = os.WriteFile("sub/sub/x", nil, 0o400)
		_ = os.Chmod("sub/sub", 0o000)
		_ = os.Chmod("sub", 0o555)
	case "pipe": // leaves something that is not what it has to leave
		_ = syscall.Mkfifo("summary.json", 0o600)
		_ = os.WriteFile("a.csv", []byte("x\n1\n"), 0o600)
	case "fail":
		fmt.Fprint(os.Stderr, "module does not answer\n\n")
		os.Exit(3)
	case "crash":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "hang", "limit":
		mark()
		fmt.Println("phase=hanging")
		fmt.Println("[progress] 50 %")
		time.Sleep(time.Hour)
	case "family":
		signal.Ignore(syscall.SIGTERM)
		cmd := exec.Command(os.Args[0], "program", "hang")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		_ = cmd.Start()
		mark()
		fmt.Println("phase=family")
		time.Sleep(time.Hour)
	case "flood":
		for i := range 200_000 {
			fmt.Println("line", i+1)
		}
		_ = os.WriteFile("summary.json", []byte(`{}`), 0o600)
	}
}

// mark leaves a file named after the process.
func mark() {
	_ = os.WriteFile(filepath.Join(os.Getenv("PIDS"), strconv.Itoa(os.Getpid())), nil, 0o600)
}

// bench is a driver, a broker and somebody who listens.
type bench struct {
	*bustest.Listener
	t      *testing.T
	broker *brokertest.Broker
	url    string
	data   string
	pids   string
	cfg    config
	end    func() // the driver's, as on SIGTERM
	boot   string
}

func newBench(t *testing.T, limit string) *bench {
	t.Helper()
	broker := brokertest.New(t, brokertestOptions)
	b := &bench{t: t, broker: broker, url: broker.URL(), data: t.TempDir(), pids: t.TempDir()}
	b.Listener = bustest.Listen(t, b.url, "/#")
	self, err := os.Executable()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "procedures.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, procedureFile, self, b.pids, limit), 0o600))
	b.cfg = config{Procedures: file, Sink: "sink", LogBytes: 1 << 30, Settings: device.Settings{
		Device: service.Device{Device: "cal"}, Bus: service.Bus{Broker: b.url}, Period: 50 * time.Millisecond, Backlog: time.Hour,
	}}
	require.NoError(t, b.cfg.Validate())
	return b
}

// edited changes the file of procedures, for the next start of the driver.
func (b *bench) edited(before, after string) *bench {
	b.t.Helper()
	file, err := os.ReadFile(b.cfg.Procedures)
	require.NoError(b.t, err)
	require.Contains(b.t, string(file), before)
	require.NoError(b.t, os.WriteFile(b.cfg.Procedures, []byte(strings.Replace(string(file), before, after, 1)), 0o600))
	return b
}

// drive begins the driver in this process.
func (b *bench) drive() *bench {
	b.t.Helper()
	env := servicetest.Env(b.t, "ph2acf", "cal")
	env.DataDir, b.boot = b.data, env.Boot
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	cfg := b.cfg
	go func() { ended <- run(ctx, env, &cfg) }()
	b.end = sync.OnceFunc(func() {
		cancel()
		require.NoError(b.t, <-ended)
	})
	b.t.Cleanup(b.end)
	b.awaitState(wire.Ready)
	return b
}

// driveApart begins the driver as a process of its own.
func (b *bench) driveApart() *exec.Cmd {
	b.t.Helper()
	mark := b.Mark()
	cmd := exec.Command(os.Args[0], "driver")
	cmd.Env = append(os.Environ(), "DCS_DEVICE=cal", "DCS_BROKER="+b.url, "DCS_PROCEDURES="+b.cfg.Procedures, "DCS_SINK=sink",
		"DCS_DATA_DIR="+b.data, "DCS_PERIOD=50ms", "DCS_RESERVE_BYTES=0", "GORACE=atexit_sleep_ms=0")
	require.NoError(b.t, cmd.Start())
	b.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	b.Await(mark, "the driver's ready", func(m bus.Message) bool {
		return m.Topic == "/cal/state" && strings.Contains(string(m.Payload), `"ready"`)
	})
	return cmd
}

func (b *bench) awaitState(state string) {
	b.t.Helper()
	b.Await(0, "state "+state, func(m bus.Message) bool {
		return m.Topic == "/cal/state" && strings.Contains(string(m.Payload), `"state":"`+state+`"`) && strings.Contains(string(m.Payload), b.boot)
	})
}

// start is the payload of a start.
func start(run int, do string, more ...string) string {
	return fmt.Sprintf(`{"run":%d,"uid":"u%d-%s","id":"s%d","user":"alice","procedure":"test","parameters":{"module":"M12","do":%q}%s}`,
		run, run, service.NewBoot(), run, do, strings.Join(append([]string{""}, more...), ","))
}

// begin starts a run and waits until its program says a phase.
func (b *bench) begin(run int, do, phase string) (payload string) {
	b.t.Helper()
	payload = start(run, do)
	mark := b.Mark()
	b.Say("/cal/cmd/start", payload)
	b.ack(mark, fmt.Sprint("s", run), wire.Accepted)
	if phase != "" {
		b.report(mark, "phase "+phase, func(r wire.Report) bool { return r.Phase == phase })
	}
	return payload
}

// ack waits for an ack.
func (b *bench) ack(mark int, id, phase string) (a wire.Ack) {
	b.t.Helper()
	b.Await(mark, "ack "+phase+" of "+id, func(m bus.Message) bool {
		a = wire.Ack{}
		return m.Topic == "/cal/ack" && json.Unmarshal(m.Payload, &a) == nil && a.ID == id && a.Phase == phase
	})
	return a
}

// report waits for a report.
func (b *bench) report(mark int, what string, wanted func(wire.Report) bool) (r wire.Report) {
	b.t.Helper()
	b.Await(mark, "a report: "+what, func(m bus.Message) bool {
		r = wire.Report{}
		return m.Topic == "/cal/run" && json.Unmarshal(m.Payload, &r) == nil && wanted(r)
	})
	return r
}

// ended waits for the report of a run's end.
func (b *bench) ended(mark int, run int64) wire.Report {
	b.t.Helper()
	return b.report(mark, fmt.Sprint("end of run ", run), func(r wire.Report) bool { return r.Run == run && wire.RunEnded(r.State) })
}

// manifest waits for what is offered of a run.
func (b *bench) manifest(run int64) (m wire.Manifest) {
	b.t.Helper()
	msg := b.Await(0, "the manifest", func(m bus.Message) bool { return m.Topic == fmt.Sprintf("/cal/results/%d/manifest", run) })
	require.NoError(b.t, json.Unmarshal(msg.Payload, &m))
	require.NoError(b.t, transfer.CheckManifest(&m))
	return m
}

// noneLeft waits for processes to be there, ends them, and then there is none.
func (b *bench) noneLeft(processes int, end func()) {
	b.t.Helper()
	var pids []os.DirEntry
	require.Eventually(b.t, func() bool {
		pids, _ = os.ReadDir(b.pids)
		return len(pids) >= processes
	}, bustest.Patience, 5*time.Millisecond)
	end()
	for _, f := range pids {
		pid, err := strconv.Atoi(f.Name())
		require.NoError(b.t, err)
		require.Eventually(b.t, func() bool {
			stat, err := os.ReadFile("/proc/" + f.Name() + "/stat")
			return err != nil || strings.Contains(string(stat), ") Z ")
		}, bustest.Patience, 5*time.Millisecond, "process %d", pid)
		require.NoError(b.t, os.Remove(filepath.Join(b.pids, f.Name())))
	}
}

// sink takes results as the real one does: it has received them, and some time
// later they are stored.
type sink struct {
	mu       sync.Mutex
	dir      string
	database bool // is there
	received []offered
	stored   map[int64]wire.Manifest
}

type offered struct {
	device   string
	manifest wire.Manifest
}

// storing is how often a sink stores what it has received.
const storing = 50 * time.Millisecond

// switchDatabase takes the sink's database away, or gives it back.
func (s *sink) switchDatabase(there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.database = there
}

// store stores what was received.
func (s *sink) store() (stored []offered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.database {
		return nil
	}
	stored, s.received = s.received, nil
	for _, o := range stored {
		s.stored[o.manifest.Run] = o.manifest
	}
	return stored
}

func (b *bench) sink() *sink {
	b.t.Helper()
	s := &sink{dir: b.t.TempDir(), database: true, stored: make(map[int64]wire.Manifest)}
	env := servicetest.Env(b.t, "calibration", "sink")
	c, err := bus.New(bus.Options{Broker: b.url, ClientID: "dcs-sink", Log: env.Log})
	require.NoError(b.t, err)
	root := wire.Root("")
	say := func(dev string, r wire.Receipt) {
		c.Send(bus.Message{Topic: root.Receipts("sink", dev), QoS: 1, Payload: wire.Encode(r)}, nil)
	}
	r := transfer.NewReceiver(transfer.ReceiverOptions{
		Dir: s.dir, Boot: env.Boot, Log: env.Log, Receipt: say,
		Known: func(int64, string) (string, error) { return "", nil },
		Received: func(dev string, m wire.Manifest) {
			s.mu.Lock()
			s.received = append(s.received, offered{dev, m})
			s.mu.Unlock()
		},
	})
	work := make(chan bus.Message, 1000)
	put := func(m bus.Message) { work <- m }
	c.Subscribe(root.Manifests(), 1, put)
	c.Subscribe(root.Chunks(), 0, put)
	ctx, cancel := context.WithCancel(context.Background())
	var ends sync.WaitGroup
	ends.Go(func() { _ = c.Run(ctx) })
	ends.Go(func() {
		tick := time.NewTicker(storing)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				for _, o := range s.store() {
					say(o.device, wire.Receipt{Run: o.manifest.Run, UID: o.manifest.UID, Boot: env.Boot, State: wire.ResultsStored})
				}
			case m := <-work:
				if dev, run, file, chunk, ok := root.CutChunk(m.Topic); ok {
					r.Chunk(dev, run, file, chunk, m.Payload)
				} else if l, ok := root.Cut(m.Topic); ok {
					r.Manifest(l[0], m.Payload)
				}
			}
		}
	})
	b.t.Cleanup(func() { cancel(); ends.Wait(); r.Close() })
	return s
}

// file is a stored file.
func (s *sink) file(t *testing.T, run int64, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.stored[run].Files {
		if f.Name == name {
			in, err := os.Open(transfer.FilePath(filepath.Join(s.dir, strconv.FormatInt(run, 10)), i))
			require.NoError(t, err)
			defer in.Close()
			b, err := io.ReadAll(in)
			require.NoError(t, err)
			return string(b)
		}
	}
	t.Fatal(errors.New("no such file: " + name))
	return ""
}
