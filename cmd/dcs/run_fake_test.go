package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

// memory keeps runs in memory.
type memory struct {
	runs    []runs.Run
	files   map[string]string // by run/name
	configs []runs.NamedConfiguration
	filter  runs.Filter // of the last list
	err     error
}

func (m *memory) Get(_ context.Context, n int64) (runs.Run, error) {
	if m.err != nil {
		return runs.Run{}, m.err
	}
	for _, r := range m.runs {
		if r.Number == n {
			return r, nil
		}
	}
	return runs.Run{}, fmt.Errorf("run %d: %w", n, runs.ErrNotFound)
}

func (m *memory) List(_ context.Context, f runs.Filter) ([]runs.Run, error) {
	m.filter = f
	return m.runs, m.err
}

func (m *memory) OpenFile(_ context.Context, run int64, name string) (io.ReadCloser, runs.File, error) {
	text, ok := m.files[fmt.Sprintf("%d/%s", run, name)]
	if !ok {
		return nil, runs.File{}, fmt.Errorf("file %s: %w", name, runs.ErrNotFound)
	}
	r := io.Reader(strings.NewReader(text))
	if rest, damaged := strings.CutPrefix(text, "DAMAGED"); damaged {
		r = io.MultiReader(strings.NewReader(rest), failing{runs.ErrDamaged})
	}
	return io.NopCloser(r), runs.File{Name: name}, nil
}

// failing is a reader that fails.
type failing struct{ err error }

func (b failing) Read([]byte) (int, error) { return 0, b.err }

func (m *memory) Configuration(_ context.Context, name string) (wire.Configuration, error) {
	for _, c := range m.configs {
		if c.Name == name {
			return c.Configuration, nil
		}
	}
	return wire.Configuration{}, runs.ErrNotFound
}

func (m *memory) Configurations(context.Context) ([]runs.NamedConfiguration, error) {
	return m.configs, m.err
}

func (m *memory) PutConfiguration(_ context.Context, name string, cfg wire.Configuration, user string) error {
	m.configs = append(m.configs, runs.NamedConfiguration{Name: name, Configuration: cfg, User: user, Time: runStart})
	return m.err
}

func (m *memory) RemoveConfiguration(_ context.Context, name string) error {
	before := len(m.configs)
	m.configs = slices.DeleteFunc(m.configs, func(c runs.NamedConfiguration) bool { return c.Name == name })
	if len(m.configs) == before {
		return runs.ErrNotFound
	}
	return nil
}

var runStart = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// keep adds a file to a run and its bytes to the memory.
func (m *memory) keep(r *runs.Run, name, text string) {
	sum := sha256.Sum256([]byte(text))
	if m.files == nil {
		m.files = make(map[string]string)
	}
	m.files[fmt.Sprintf("%d/%s", r.Number, name)] = text
	r.Files = append(r.Files, runs.File{Name: name, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:]), Read: wire.ReadRaw})
}

func pointer[T any](x T) *T { return &x }

// run42 is a run with everything in it.
func run42() runs.Run {
	at := func(s float64) time.Time { return runStart.Add(time.Duration(s * float64(time.Second))) }
	return runs.Run{
		Number: 42, UID: "u42", State: wire.RunFinished, Procedure: "calibration", Module: "M12",
		Parameters: map[string]any{"module": "M12", "vcal": 200., "fast": false},
		User:       "alice", ID: "nr-17", Device: "ph2acf", Asked: at(-2), Start: at(0), End: at(8.125), Duration: 8.125, Stored: at(9),
		Configurations: map[string]wire.Configuration{"run": {
			Name:      "hv-on",
			Setpoints: []wire.Setpoint{{Device: "hv", Channel: 0., Op: wire.SetV, Value: 100.}, {Device: "hv", Channel: "all", Op: wire.Clear}},
			Sensors:   []wire.Require{{Device: "dht_room", Field: "temperature", Min: pointer(15.), Max: pointer(30.)}, {Device: "hv", Channel: pointer(0), Field: "vmon", Min: pointer(95.), MaxAge: 3}},
			Timeout:   600,
		}},
		Transitions: []runs.Transition{{Name: "configure", From: "idle", To: "configuring", Time: at(-2)}, {Name: "end", From: "finishing", To: "finished", Time: at(9), Reason: "all\x1b is there"}},
		Program:     "ph2acfsim", Arguments: []string{"--module", "M12"}, Exit: pointer(0), Versions: map[string]string{"ph2acf": "1.0", "ph2acfsim": "2.1"},
		Log:     []runs.LogLine{{Time: at(0.5), Stream: "out", Text: "phase=scan"}, {Time: at(1), Stream: "err", Text: "careful\x1b[2J"}},
		Outcome: wire.ResultsStored,
		Results: map[string]any{"scurves": map[string]any{"rows": int64(2032), "columns": []any{map[string]any{"name": "noise", "count": int64(2032), "min": 5.9, "max": 24.4, "mean": 7.1}}}, "summary": map[string]any{"noise": 4.25, "chips": []any{map[string]any{"name": "c0", "threshold": int64(120)}, map[string]any{"name": "c1", "threshold": int64(121)}}}},
		Files:   []runs.File{{Name: "summary.json", Size: 1234, SHA256: "abc", Read: wire.ReadJSON}, {Name: "raw.bin", Size: 20_000_000, SHA256: "def", Read: wire.ReadRaw, Error: "too big"}},
		Left:    []string{"core: not asked for"},
		Capsule: &runs.Capsule{
			From: at(0), To: at(8.125), Missing: 1,
			Devices: map[string]runs.Device{
				"hv": {
					Model: "NR", Serial: "42", Driver: "psu 0.1", Statuses: 9, Missing: 1, Boots: []string{"a", "b"},
					States: []runs.Event{{Time: at(3), What: "unreachable: no route"}},
					Channels: []runs.Channel{{
						Number: pointer(0), Label: "module A", Before: map[string]float64{"vreq": 100, "on": 1, "seq": 7},
						Fields: map[string]runs.Field{"vmon": {First: 99, Last: 101, Min: 98, Max: 102, Mean: 100, Count: 9, Unit: "V"}, "on": {First: 1, Last: 1, Min: 1, Max: 1, Mean: 1, Count: 9}, "limited": {Count: 9}},
						Trips:  []runs.Event{{Time: at(2), What: "trip"}},
					}},
				},
				"dht_room": {Statuses: 4, Channels: []runs.Channel{{Fields: map[string]runs.Field{"temperature": {First: 21, Last: 22, Min: 21, Max: 22, Mean: 21.5, Unit: "°C"}}}}},
			},
			Refused: []runs.Refusal{{Time: at(4), Device: "hv", Channel: "1", Op: "setv", Value: "1e9", User: "bob", Phase: "rejected", Code: "OUT_OF_RANGE", Message: "too much"}},
			More:    3,
		},
		Influx: &runs.Range{Bucket: "dcs", From: at(0), To: at(8.125)},
	}
}

// storeFlags are the flags of a command about what is kept.
func storeFlags(output string) mongoFlags { return mongoFlags{Output: output} }

func TestMongoAddress(t *testing.T) {
	con, _, errs := printed()
	f := mongoFlags{mongoAddress: mongoAddress{Mongo: "mongodb://127.0.0.1:1"}, Timeout: 300 * time.Millisecond}
	err := f.with(t.Context(), con, func(s runStore) error {
		_, err := s.Get(t.Context(), 42)
		return err
	})
	if codeOf(t, err) != 5 || !strings.Contains(errs.String(), "127.0.0.1:1") {
		t.Errorf("%v, %q", err, errs.String())
	}
	f.Mongo = ""
	f.PortOffset = -27016 // the default port moves
	err = f.with(t.Context(), con, func(s runStore) error {
		if a := s.(*runs.Client).Address(); !strings.Contains(a, "127.0.0.1:1") {
			t.Error(a)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	f.Mongo = "http://nowhere"
	if err := f.with(t.Context(), con, nil); codeOf(t, err) != 1 {
		t.Error(err)
	}
}
