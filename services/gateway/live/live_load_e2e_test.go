//go:build e2e

package live

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
)

// The load: what a large laboratory has, and more pages than people.
const (
	loadDevices  = 50
	loadChannels = 4
	loadStreams  = 200
	loadTime     = 10 * time.Second
	loadDelay    = 100 * time.Millisecond // from publish to event, at the 99th percentile
	loadMemory   = 100 << 10              // kB
)

// TestMain is the gateway or its readers when the test starts itself anew: each is
// a process of its own, as in life.
func TestMain(m *testing.M) {
	var err error
	switch os.Getenv("LIVE_TEST_PART") {
	case "":
		os.Exit(m.Run())
	case "gateway":
		err = loadGateway(os.Getenv("LIVE_TEST_URL"))
	case "readers":
		err = loadReaders(os.Getenv("LIVE_TEST_URL"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// loadGateway serves streams until its input ends, and then says how much memory it
// took at most.
func loadGateway(broker string) error {
	c, err := bus.New(bus.Options{Broker: broker, ClientID: "dcs-gateway"})
	if err != nil {
		return err
	}
	l := New(Config{Name: "gateway", Boot: "b0071e"})
	l.Attach(c)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = c.Run(ctx) })
	group.Go(func() { _ = l.Run(ctx) })
	server := httptest.NewUnstartedServer(http.HandlerFunc(l.ServeStream))
	server.EnableHTTP2 = true
	server.StartTLS()
	fmt.Println(server.URL)
	_, err = io.Copy(io.Discard, os.Stdin)
	cancel()
	group.Wait()
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "VmHWM:") {
			fmt.Println(strings.Fields(line)[1])
		}
	}
	return err
}

// loadResult is what the readers found.
type loadResult struct {
	Delays []float64 // ms, sorted
	Least  int       // statuses that a reader had
}

// loadReaders reads all streams until its input ends.
func loadReaders(url string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	results := make([][]float64, loadStreams)
	errs := make(chan error, loadStreams)
	var begun, ended sync.WaitGroup
	begun.Add(loadStreams)
	for i := range loadStreams {
		ended.Go(func() {
			var err error
			if results[i], err = loadReader(ctx, url, begun.Done); err != nil && ctx.Err() == nil {
				errs <- fmt.Errorf("reader %d: %w", i, err)
			}
		})
	}
	begun.Wait()
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	cancel()
	ended.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	r := loadResult{Least: len(results[0])}
	for _, delays := range results {
		r.Least = min(r.Least, len(delays))
		r.Delays = append(r.Delays, delays...)
	}
	slices.Sort(r.Delays)
	return json.NewEncoder(os.Stdout).Encode(r)
}

// loadReader reads one stream over a connection of its own.
func loadReader(ctx context.Context, url string, begun func()) (delays []float64, err error) {
	once := sync.OnceFunc(begun)
	defer once()
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v1/stream", nil)
	if err != nil {
		return nil, err
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 || res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s", res.Proto, res.Status)
	}
	in := bufio.NewScanner(res.Body)
	in.Buffer(nil, 16<<20)
	event := ""
	for in.Scan() {
		line := in.Bytes()
		if name, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			event = string(name)
			continue
		}
		switch {
		case len(line) == 0 || line[0] != 'd':
		case event == EventHello:
			once()
		case event == EventStatus:
			_, after, _ := bytes.Cut(line, []byte(`"time":"`))
			text, _, _ := bytes.Cut(after, []byte(`"`))
			at, err := time.Parse(time.RFC3339Nano, string(text))
			if err != nil {
				return nil, err
			}
			delays = append(delays, float64(time.Since(at))/float64(time.Millisecond))
		}
	}
	return delays, in.Err()
}

// part is a process of the test.
type loadPart struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

func startPart(t *testing.T, name, url string) *loadPart {
	t.Helper()
	p := &loadPart{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.cmd.Env = append(os.Environ(), "LIVE_TEST_PART="+name, "LIVE_TEST_URL="+url)
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.in, p.out = in, bufio.NewReader(out)
	require.NoError(t, p.cmd.Start())
	return p
}

func (p *loadPart) line() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	require.NoError(p.t, err)
	return strings.TrimSpace(line)
}

// end closes the part's input and gives its last line.
func (p *loadPart) end() string {
	p.t.Helper()
	require.NoError(p.t, p.in.Close())
	line := p.line()
	require.NoError(p.t, p.cmd.Wait())
	return line
}

// TestStreams200: 200 pages are open at 50 devices of 4 channels and 1 Hz.
func TestStreams200(t *testing.T) {
	broker := brokertest.Start(t)
	gateway := startPart(t, "gateway", broker)
	readers := startPart(t, "readers", gateway.line())
	require.Equal(t, "ready", readers.line())

	ctx, cancel := context.WithTimeout(t.Context(), loadTime)
	defer cancel()
	var lab sync.WaitGroup
	for i := range loadDevices {
		c, err := bus.New(bus.Options{Broker: broker, ClientID: fmt.Sprintf("dcs-hv%02d", i)})
		require.NoError(t, err)
		lab.Go(func() { _ = c.Run(ctx) })
		lab.Go(func() { loadDevice(ctx, c, i) })
	}
	lab.Wait()

	var r loadResult
	require.NoError(t, json.Unmarshal([]byte(readers.end()), &r))
	var memory int
	_, err := fmt.Sscan(gateway.end(), &memory)
	require.NoError(t, err)
	require.NotEmpty(t, r.Delays)
	at := func(q float64) float64 { return r.Delays[int(q*float64(len(r.Delays)-1))] }
	t.Logf("%d readers, %d events, at least %d each: p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms; gateway %d kB at most",
		loadStreams, len(r.Delays), r.Least, at(0.5), at(0.9), at(0.99), at(0.999), at(1), memory)
	assert.Greater(t, r.Least, loadDevices*int(loadTime.Seconds()-3), "events that each reader had")
	assert.Less(t, at(0.99), float64(loadDelay.Milliseconds()))
	assert.Less(t, memory, loadMemory)
}

// loadDevice publishes the statuses of a device, which are not at the same moment as
// those of the others.
func loadDevice(ctx context.Context, c *bus.Client, i int) {
	phase := time.NewTimer(time.Duration(i*17%loadDevices) * time.Second / loadDevices)
	defer phase.Stop()
	select {
	case <-phase.C:
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for seq := uint64(1); ; seq++ {
		channels := make([]wire.Channel, loadChannels)
		now := time.Now().UTC()
		for n := range channels {
			channels[n] = wire.Channel{
				Number: n, On: wire.Yes, VReq: wire.Known(100), IReq: wire.Known(0.008), VMon: wire.Known(99.98 + float64(seq)/1000), IMon: wire.Known(4.9e-7),
				Ramp: wire.Known(10), Ramping: wire.No, Limited: wire.No, Trip: wire.No, Interlock: wire.No, Locked: wire.No, Time: now, Seq: seq, Boot: "6c885afb1f",
			}
		}
		c.Send(bus.Message{Topic: wire.Root("").Status(fmt.Sprintf("hv%02d", i)), QoS: 1, Payload: wire.Encode(channels)}, nil)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
