package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

// results are files of a run, in a folder of their own.
func results(t testing.TB, run int64, sizes ...int64) Offer {
	t.Helper()
	dir := t.TempDir()
	m := wire.Manifest{Report: wire.Report{Run: run, UID: "uid" + strconv.FormatInt(run, 10), State: wire.RunFinished}}
	random := rand.NewChaCha8([32]byte{byte(run)})
	for i, size := range sizes {
		b := make([]byte, size)
		_, _ = random.Read(b)
		sum := sha256.Sum256(b)
		name := strconv.Itoa(i) + ".bin"
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
		m.Files = append(m.Files, wire.File{Name: name, Size: size, SHA256: hex.EncodeToString(sum[:]), Read: wire.ReadRaw})
	}
	return Offer{Manifest: m, Open: func(i int) (File, error) { return os.Open(filepath.Join(dir, m.Files[i].Name)) }}
}

// sink is a receiver on the bus, as services/calibration has one. It can be
// taken away without a goodbye and brought back.
type sink struct {
	t    testing.TB
	url  string
	dir  string
	slow time.Duration

	mu       sync.Mutex
	most     int // chunks that waited at once
	received map[int64]wire.Manifest
	stored   map[int64]string
	spoil    func(file int, chunk int64, payload []byte) []byte
	stop     func()
	calls    chan func(*Receiver) // for the receiver's goroutine
}

func newSink(t testing.TB, url string) *sink {
	s := &sink{t: t, url: url, dir: t.TempDir(), received: make(map[int64]wire.Manifest), stored: make(map[int64]string), calls: make(chan func(*Receiver))}
	t.Cleanup(func() { s.stop() })
	return s
}

// start returns when the sink can be heard: what is said to it is not lost.
func (s *sink) start() {
	s.t.Helper()
	c, err := bus.New(bus.Options{Broker: s.url, ClientID: "dcs-sink-data", Log: slog.New(slog.DiscardHandler)})
	require.NoError(s.t, err)
	r := NewReceiver(ReceiverOptions{
		Dir: s.dir, Boot: "b", Log: slog.New(slog.NewTextHandler(s.t.Output(), nil)),
		Known: func(run int64, uid string) (string, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.stored[run] == uid {
				return wire.ResultsStored, nil
			}
			return "", nil
		},
		Receipt: func(dev string, re wire.Receipt) {
			c.Send(bus.Message{Topic: wire.Root("").Receipts("sink", dev), Payload: wire.Encode(re)}, nil)
		},
		Received: func(_ string, m wire.Manifest) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.received[m.Run] = m
		},
	})
	inbox := make(chan bus.Message, 1000)
	put := func(m bus.Message) {
		inbox <- m
		s.mu.Lock()
		s.most = max(s.most, len(inbox))
		s.mu.Unlock()
	}
	c.SubscribeAll([]string{wire.Root("").Manifests(), wire.Root("").Chunks()}, 1, put)
	up := make(chan struct{})
	c.OnConnect(sync.OnceFunc(func() { close(up) }))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx) })
	wg.Go(func() {
		defer r.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case f := <-s.calls:
				f(r)
			case m := <-inbox:
				if s.slow > 0 {
					time.Sleep(s.slow) // a slow disk
				}
				dev, run, file, chunk, ok := wire.Root("").CutChunk(m.Topic)
				if !ok {
					r.Manifest(strings.Split(m.Topic, "/")[1], m.Payload)
					continue
				}
				s.mu.Lock()
				spoil := s.spoil
				s.mu.Unlock()
				payload := m.Payload
				if spoil != nil {
					if payload = spoil(file, chunk, payload); payload == nil {
						continue
					}
				}
				r.Chunk(dev, run, file, chunk, payload)
			}
		}
	})
	s.stop = func() {
		cancel()
		wg.Wait()
	}
	select {
	case <-up:
	case <-time.After(patience):
		s.t.Fatal("the sink finds no broker")
	}
}

// waited is the most chunks, and manifests, that waited at once.
func (s *sink) waited() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

func (s *sink) has(o Offer) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, ok := s.received[o.Manifest.Run]
		return ok
	}
}

// store tells the sender that a run is in the database, as it happens or, when
// it is told nothing, when the manifest comes again.
func (s *sink) store(o Offer, tell bool) {
	s.mu.Lock()
	s.stored[o.Manifest.Run] = o.Manifest.UID
	s.mu.Unlock()
	s.calls <- func(r *Receiver) {
		receipt := r.o.Receipt
		if !tell {
			r.o.Receipt = func(string, wire.Receipt) {}
		}
		assert.NoError(s.t, r.Forget(o.Manifest.Run))
		r.o.Receipt = receipt
	}
}

// right checks that what has come is what was sent.
func (s *sink) right(o Offer) {
	s.t.Helper()
	for i, f := range o.Manifest.Files {
		b, err := os.ReadFile(FilePath(filepath.Join(s.dir, strconv.FormatInt(o.Manifest.Run, 10)), i))
		require.NoError(s.t, err)
		sum := sha256.Sum256(b)
		assert.Equal(s.t, f.SHA256, hex.EncodeToString(sum[:]), f.Name)
		assert.Len(s.t, b, int(f.Size))
	}
}

// send offers results from a device until the test ends.
func send(t testing.TB, url string, offers ...Offer) (s *Sender, stop func()) {
	t.Helper()
	return sendPausing(t, url, usualPauses(), nil, offers...)
}

// brief are pauses for tests that wait for their end.
func brief() pauses {
	return pauses{
		answer: time.Second, failed: 20 * time.Millisecond, failedMost: 100 * time.Millisecond,
		parked: 20 * time.Millisecond, parkedMost: 100 * time.Millisecond, pace: time.Millisecond,
	}
}

// patient are pauses for tests that count what is sent: on a busy machine too
// nothing is said again.
func patient() pauses {
	p := usualPauses()
	p.answer, p.parked, p.parkedMost = patience, patience, patience
	return p
}

// sendPausing is send with pauses of the test's own.
func sendPausing(t testing.TB, url string, p pauses, stored func(int64, string), offers ...Offer) (s *Sender, stop func()) {
	t.Helper()
	s, err := New(Options{
		Bus: bus.Options{Broker: url, ClientID: "dcs-ph2acf-results"}, Device: "ph2acf", Sink: "sink",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Stored: stored,
	})
	require.NoError(t, err)
	s.pauses = p
	for _, o := range offers {
		s.Offer(o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx)
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			<-ended
		})
	}
	t.Cleanup(stop)
	return s, stop
}

const patience = 2 * time.Minute

func TestDelivery(t *testing.T) {
	url := brokertest.Start(t)
	o := results(t, 42, 0, 1, wire.ChunkSize-1, 0, wire.ChunkSize, wire.ChunkSize+1, 20*wire.ChunkSize+17, 0)
	next := results(t, 43, 12*wire.ChunkSize+1)
	s := newSink(t, url)
	s.start()
	sender, _ := sendPausing(t, url, patient(), nil, o, next)
	require.Eventually(t, s.has(o), patience, time.Millisecond)
	s.right(o)
	require.Eventually(t, s.has(next), patience, time.Millisecond, "received is enough for the next one to be sent")
	s.right(next)
	assert.Zero(t, sender.again.Load(), "nothing was sent twice")
	assert.LessOrEqual(t, s.waited(), wire.ChunkWindow+1, "chunks and a manifest that waited")
	assert.Equal(t, 2, sender.Waiting(), "received is not stored")
	assert.Empty(t, sender.Problem())
}

func TestRunWithoutFiles(t *testing.T) {
	url := brokertest.Start(t)
	o := results(t, 1)
	s := newSink(t, url)
	s.start()
	send(t, url, o)
	require.Eventually(t, s.has(o), patience, time.Millisecond)
}

func TestSlowSinkIsNotFlooded(t *testing.T) {
	url := brokertest.Start(t)
	o := results(t, 42, 40*wire.ChunkSize)
	s := newSink(t, url)
	s.slow = 5 * time.Millisecond
	s.start()
	sendPausing(t, url, patient(), nil, o)
	require.Eventually(t, s.has(o), patience, time.Millisecond)
	s.right(o)
	assert.LessOrEqual(t, s.waited(), wire.ChunkWindow)
}

func TestDamagedAndLostChunksComeAgain(t *testing.T) {
	url := brokertest.Start(t)
	o := results(t, 42, 30*wire.ChunkSize+5, 12*wire.ChunkSize)
	s := newSink(t, url)
	seen := make(map[string]bool)
	s.spoil = func(file int, chunk int64, payload []byte) []byte {
		key := strconv.Itoa(file) + "/" + strconv.FormatInt(chunk, 10)
		if seen[key] {
			return payload
		}
		seen[key] = true
		switch chunk % 10 {
		case 3:
			return nil
		case 7:
			bad := bytes.Clone(payload)
			bad[len(bad)/2] ^= 1
			return bad
		}
		return payload
	}
	s.start()
	send(t, url, o)
	require.Eventually(t, s.has(o), patience, time.Millisecond)
	s.right(o)
}

// Either side, or the broker, goes away in the middle, again and again.
func TestBreaks(t *testing.T) {
	for _, who := range []string{"sink", "sender", "broker", "connections"} {
		t.Run(who, func(t *testing.T) {
			broker := brokertest.New(t, mqttd.Options{})
			o := results(t, 42, 3*wire.ChunkSize/2, 60*wire.ChunkSize+9, 0)
			s := newSink(t, broker.URL())
			var limit atomic.Int64 // chunks from it on are lost until the next break
			limit.Store(18)
			s.spoil = func(_ int, chunk int64, payload []byte) []byte {
				if chunk >= limit.Load() {
					return nil
				}
				return payload
			}
			s.start()
			p := usualPauses()
			p.answer = 300 * time.Millisecond // what one of them says first the other may not hear yet
			sender, stop := sendPausing(t, broker.URL(), p, nil, o)
			for i := range 3 {
				mark := sender.Sent()
				require.Eventually(t, func() bool { return sender.Sent() > mark+8*wire.ChunkSize }, patience, time.Millisecond)
				require.False(t, s.has(o)(), "there are %d breaks to come", 3-i)
				limit.Add(18)
				switch who {
				case "sink":
					s.stop()
					s.start()
				case "sender":
					stop()
					sender, stop = sendPausing(t, broker.URL(), p, nil, o)
				case "broker":
					broker.Stop()
					broker.Start()
				case "connections":
					broker.DropClients()
				}
			}
			limit.Store(1000)
			require.Eventually(t, s.has(o), patience, time.Millisecond)
			s.right(o)
		})
	}
}

func TestStoredEndsADelivery(t *testing.T) {
	url := brokertest.Start(t)
	first, second := results(t, 1, 10), results(t, 2, 10)
	s := newSink(t, url)
	s.stored[1] = first.Manifest.UID
	s.start()
	sender, _ := send(t, url, first, second)
	require.Eventually(t, s.has(second), patience, time.Millisecond)
	assert.Equal(t, 1, sender.Waiting())
	assert.False(t, s.has(first)(), "what is in the database is not sent again")
}

func TestSecondRunWithANumberIsRefused(t *testing.T) {
	url := brokertest.Start(t)
	o := results(t, 42, 10)
	s := newSink(t, url)
	s.start()
	_, stop := send(t, url, o)
	require.Eventually(t, s.has(o), patience, time.Millisecond)
	stop()
	other := results(t, 42, 20)
	other.Manifest.UID = "another"
	sender, _ := send(t, url, other)
	require.Eventually(t, func() bool { return strings.Contains(sender.Problem(), "a number was used twice") }, patience, time.Millisecond)
	s.right(o)
}

func TestCheckManifest(t *testing.T) {
	good := func() wire.Manifest {
		return wire.Manifest{
			Report: wire.Report{Run: 1, UID: "u", State: wire.RunFailed},
			Files:  []wire.File{{Name: "a/b.json", Size: 1, SHA256: strings.Repeat("0", 64)}},
		}
	}
	m := good()
	require.NoError(t, CheckManifest(&m))
	for want, spoil := range map[string]func(*wire.Manifest){
		"number":                                 func(m *wire.Manifest) { m.Run = 0 },
		"the highest number is 9007199254740991": func(m *wire.Manifest) { m.Run = 1 << 53 },
		"has 1099511627777 bytes":                func(m *wire.Manifest) { m.Files[0].Size = MaxSize + 1 },
		"of all files together": func(m *wire.Manifest) {
			for _, name := range []string{"b", "c"} {
				f := m.Files[0]
				f.Name, f.Size = name, MaxSize/2
				m.Files = append(m.Files, f)
			}
		},
		"uid":                       func(m *wire.Manifest) { m.UID = "" },
		"only runs that have ended": func(m *wire.Manifest) { m.State = wire.RunRunning },
		"at most 1000":              func(m *wire.Manifest) { m.Files = make([]wire.File, 1001) },
		"twice":                     func(m *wire.Manifest) { m.Files = append(m.Files, m.Files[0]) },
		"has -1 bytes":              func(m *wire.Manifest) { m.Files[0].Size = -1 },
		"64 hexadecimal":            func(m *wire.Manifest) { m.Files[0].SHA256 = strings.Repeat("G", 64) },
		"plain relative path":       func(m *wire.Manifest) { m.Files[0].Name = "../x" },
		"a file name of 0":          func(m *wire.Manifest) { m.Files[0].Name = "" },
		"control character":         func(m *wire.Manifest) { m.Files[0].Name = "a\nb" },
		"path":                      func(m *wire.Manifest) { m.Files[0].Name = "/etc/passwd" },
	} {
		m := good()
		spoil(&m)
		require.ErrorContains(t, CheckManifest(&m), want)
	}
}

// FuzzReceiver gives a receiver manifests and chunks that anybody may have written.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte(`{"run":1,"uid":"u","state":"finished","files":[{"name":"a","size":3,"sha256":"`+strings.Repeat("0", 64)+`"}]}`), []byte("\x00\x00\x00\x00abc"), 0, int64(0))
	f.Add([]byte(`{"run":1,"uid":"u","state":"finished","files":[]}`), []byte(""), 1, int64(1))
	f.Fuzz(func(t *testing.T, manifest, payload []byte, file int, chunk int64) {
		dir := t.TempDir()
		var answers int
		r := NewReceiver(ReceiverOptions{
			Dir: dir, Log: slog.New(slog.DiscardHandler),
			Known:    func(int64, string) (string, error) { return "", nil },
			Receipt:  func(string, wire.Receipt) { answers++ },
			Received: func(string, wire.Manifest) {},
		})
		r.Manifest("d", manifest)
		var m wire.Manifest
		if json.Unmarshal(manifest, &m) == nil && m.Run > 0 {
			assert.Positive(t, answers, "whoever says a manifest is answered")
		}
		r.Chunk("d", m.Run, file, chunk, payload)
		r.Close()
		entries, err := os.ReadDir(filepath.Dir(dir))
		require.NoError(t, err)
		assert.Len(t, entries, 1, "nothing is written beside the folder")
	})
}

// BenchmarkDelivery is how fast results go from disk to disk over the bus.
func BenchmarkDelivery(b *testing.B) {
	url := brokertest.Start(b)
	const size = 100 << 20
	b.SetBytes(size)
	for b.Loop() {
		b.StopTimer()
		o := results(b, 1, size)
		s := newSink(b, url)
		s.start()
		b.StartTimer()
		_, stop := send(b, url, o)
		for !s.has(o)() {
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		stop()
		s.stop()
		b.StartTimer()
	}
}
