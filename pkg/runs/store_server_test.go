//go:build e2e

package runs

import (
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"trackerdcs/pkg/wire"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func sample(number int64) Run {
	exit, channel := 0, 0
	at := noon.Add(time.Duration(number) * time.Minute)
	low := 15.0
	return Run{
		Number: number, UID: "uid-of-it", State: wire.RunFinished, Procedure: "calibration", Module: "M12",
		Parameters: map[string]any{"module": "M12", "vcal": 200.0, "fast": true}, User: "alice", ID: "nr-17", Device: "ph2acf",
		Asked: at, Start: at.Add(time.Second), End: at.Add(time.Minute), Duration: 59, Stored: at.Add(2 * time.Minute),
		Configurations: map[string]wire.Configuration{"run": {
			Setpoints: []wire.Setpoint{{Device: "hv", Channel: 0.0, Op: "setv", Value: 100.0}, {Device: "lv", Channel: "all", Op: "switch", Value: "off"}},
			Sensors:   []wire.Require{{Device: "dht_room", Field: "temperature", Min: &low}}, Timeout: 600,
		}},
		Transitions: []Transition{{Name: "run", From: "configuring", To: "running", Time: at}},
		Program:     "/usr/bin/ph2acf", Arguments: []string{"-c", "calibration"}, Exit: &exit, Versions: map[string]string{"python3.11": "3.11.2"},
		Log: []LogLine{{Time: at, Stream: "out", Text: "threshold 120 µV"}}, Outcome: wire.ResultsStored,
		Results: map[string]any{"summary.json": map[string]any{"$x": int64(1), "noise": []any{1.5, 2.5}, "map": []any{[]any{int64(1), int64(2)}, []any{}}}},
		Files:   []File{{ID: fileID(number, "scurves.csv"), Name: "scurves.csv", Size: 3, SHA256: "abc", Read: wire.ReadCSV}},
		Capsule: &Capsule{From: at, To: at, Devices: map[string]Device{"hv": {Kind: "psu", Statuses: 60, Channels: []Channel{{
			Number: &channel, Before: map[string]float64{"vreq": 100}, At: at, Fields: map[string]Field{"vmon": {First: 1, Last: 2, Min: 1, Max: 2, Mean: 1.5, Count: 60, Unit: "V"}},
		}}}}},
		Influx: &Range{Bucket: "dcs", From: at, To: at},
	}
}

func TestServerRuns(t *testing.T) {
	s, c := prepared(t)
	ctx := t.Context()
	highest, err := c.Highest(ctx)
	require.NoError(t, err)
	require.Zero(t, highest)
	_, err = c.Get(ctx, 42)
	require.ErrorIs(t, err, ErrNotFound)

	run := sample(42)
	require.NoError(t, c.Put(ctx, run))
	got, err := c.Get(ctx, 42)
	require.NoError(t, err)
	require.Equal(t, run, got)

	run.State = wire.RunFailed
	require.NoError(t, c.Put(ctx, run))
	require.NoError(t, c.Put(ctx, run))
	n, err := s.straight(t).Collection(Collection).CountDocuments(ctx, bson.D{})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	got, err = c.Get(ctx, 42)
	require.NoError(t, err)
	require.Equal(t, run, got)

	other := run
	other.UID = "another"
	err = c.Put(ctx, other)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, `storing run 42: MongoDB at `+s.address+`: conflict: there is a run of that number with uid "uid-of-it"`)
	got, err = c.Get(ctx, 42)
	require.NoError(t, err)
	require.Equal(t, run, got)
}

func TestServerList(t *testing.T) {
	_, c := prepared(t)
	ctx := t.Context()
	for n := int64(1); n <= 12; n++ {
		run := sample(n)
		if n%3 == 0 {
			run.Module, run.State = "M13", wire.RunFailed
		}
		if n == 7 {
			run.Procedure = "noise"
		}
		require.NoError(t, c.Put(ctx, run))
	}
	for name, tt := range map[string]struct {
		f    Filter
		want []int64
	}{
		"all":       {Filter{}, []int64{12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}},
		"procedure": {Filter{Procedure: "noise"}, []int64{7}},
		"module":    {Filter{Module: "M13", Limit: 2}, []int64{12, 9}},
		"go on":     {Filter{Module: "M13", Limit: 2, Before: 9}, []int64{6, 3}},
		"state":     {Filter{State: wire.RunFailed, Module: "M12"}, []int64{}},
		"time":      {Filter{From: noon.Add(3 * time.Minute), To: noon.Add(5 * time.Minute)}, []int64{4, 3}},
	} {
		found, err := c.List(ctx, tt.f)
		require.NoError(t, err, name)
		numbers := []int64{}
		for _, r := range found {
			numbers = append(numbers, r.Number)
			require.Nil(t, r.Log)
			require.Nil(t, r.Results)
			require.Nil(t, r.Capsule)
			require.NotEmpty(t, r.Files)
		}
		require.Equal(t, tt.want, numbers, name)
	}
	highest, err := c.Highest(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 12, highest)
}

// A run that is as large and as deep as may be.
func TestServerLargeRun(t *testing.T) {
	_, c := prepared(t)
	run := sample(1)
	deep, err := Document([]byte(strings.Repeat(`[{"a":`, MaxDepth/2) + "1" + strings.Repeat("}]", MaxDepth/2)))
	require.NoError(t, err)
	nests, err := Document([]byte(strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)))
	require.NoError(t, err)
	run.Results = map[string]any{"deep.json": deep, "nests.json": nests}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		run.Results[name] = strings.Repeat(name, 3<<20)
	}
	run.Results["huge"] = strings.Repeat("x", 17<<20)
	require.NoError(t, c.Put(t.Context(), run))
	got, err := c.Get(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, deep, got.Results["deep.json"])
	require.Equal(t, nests, got.Results["nests.json"])
	require.Contains(t, got.Results["huge"], "too_large")
	cut := 0
	for _, r := range got.Results {
		if m, ok := r.(map[string]any); ok && m["too_large"] != nil {
			cut++
		}
	}
	require.Greater(t, cut, 1)
	require.Less(t, cut, 6)
	require.IsType(t, "", run.Results["huge"], "the caller's map is as it was")
}

func TestServerIndexes(t *testing.T) {
	s, c := prepared(t)
	require.NoError(t, c.Prepare(t.Context()), "a second time")
	for collection, want := range map[string][]string{
		Collection:         {"_id_", "asked_-1", "module_1_start_-1", "procedure_1_start_-1", "start_-1", "state_1_start_-1"},
		Bucket + ".chunks": {"_id_", "files_id_1_n_1"},
		Bucket + ".files":  {"_id_", "filename_1_uploadDate_1"},
	} {
		specs, err := s.straight(t).Collection(collection).Indexes().ListSpecifications(t.Context())
		require.NoError(t, err)
		names := map[string]bool{}
		for _, spec := range specs {
			names[spec.Name] = spec.Unique != nil && *spec.Unique
		}
		require.Equal(t, want, slices.Sorted(maps.Keys(names)))
		require.Equal(t, collection == Bucket+".chunks", names["files_id_1_n_1"], "unique")
	}
}

func TestServerConfigurations(t *testing.T) {
	_, c := prepared(t)
	ctx := t.Context()
	_, err := c.Configuration(ctx, "hv-on")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, `"hv-on"`)
	require.ErrorIs(t, c.RemoveConfiguration(ctx, "hv-on"), ErrNotFound)

	cfg := sample(1).Configurations["run"]
	require.NoError(t, c.PutConfiguration(ctx, "hv-on", cfg, "alice"))
	require.NoError(t, c.PutConfiguration(ctx, "a", wire.Configuration{}, "bob"))
	cfg.Timeout = 60
	require.NoError(t, c.PutConfiguration(ctx, "hv-on", cfg, "bob"))
	got, err := c.Configuration(ctx, "hv-on")
	require.NoError(t, err)
	cfg.Name = "hv-on"
	require.Equal(t, cfg, got)

	all, err := c.Configurations(ctx)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "a", all[0].Name)
	require.Equal(t, cfg, all[1].Configuration)
	require.Equal(t, "bob", all[1].User)
	require.WithinDuration(t, time.Now(), all[1].Time, time.Minute)

	require.NoError(t, c.RemoveConfiguration(ctx, "a"))
	require.ErrorContains(t, c.PutConfiguration(ctx, "", cfg, ""), "1 to")
}

func TestServerAway(t *testing.T) {
	s, patient := prepared(t)
	require.NoError(t, patient.Put(t.Context(), sample(1)))
	c := s.client(t, time.Second) // it never sees a server: an answer may take longer than that
	s.kill()
	refused := func(try func() error) (err error) {
		best := time.Hour // of some tries: the machine may stand still in one of them
		for range 5 {
			begin := time.Now()
			err = try()
			require.ErrorIs(t, err, ErrNoAnswer)
			if best = min(best, time.Since(begin)); best < 2*time.Second {
				break
			}
		}
		require.Less(t, best, 2*time.Second)
		return err
	}
	err := refused(func() error { return c.Put(t.Context(), sample(1)) })
	require.ErrorContains(t, err, s.address)
	require.Less(t, len(err.Error()), 400)
	t.Log(err)
	f, r := fileOf(t, "x", 10)
	_ = refused(func() error { return c.PutFile(t.Context(), 1, "u", f, r) })

	s.start(t)
	require.Eventually(t, func() bool { return patient.Put(t.Context(), sample(1)) == nil }, patience, 50*time.Millisecond)
	_, err = net.Dial("tcp", s.address)
	require.NoError(t, err)
}
