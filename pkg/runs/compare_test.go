package runs

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

func TestCompare(t *testing.T) {
	run := func(vcal, vreq, mean float64, list ...any) Run {
		number := 0
		return Run{
			Number: 1, Procedure: "calibration", Module: "M12", Parameters: map[string]any{"vcal": vcal, "fast": true},
			Versions:       map[string]string{"ph2acf": "1.0"},
			Configurations: map[string]wire.Configuration{"run": {Setpoints: []wire.Setpoint{{Device: "hv", Channel: 0, Op: "setv", Value: vreq}}}},
			Capsule: &Capsule{Devices: map[string]Device{
				"hv":       {Channels: []Channel{{Number: &number, Before: map[string]float64{"vreq": vreq, "vmon": vreq + 0.1}}}},
				"dht_room": {Channels: []Channel{{Before: map[string]float64{"temperature": 21}}}},
			}},
			Results: map[string]any{
				"s.csv":  map[string]any{"columns": []any{map[string]any{"name": "threshold", "mean": mean}}},
				"a.json": map[string]any{"list": list, "text": "no number", "n": int64(3)},
			},
		}
	}
	a, b := run(200, 100, 120, 1.0, 0.0), run(210, 100, 126, 1.0, 2.0)
	b.Module = ""
	got := make(map[string]Difference)
	var order []string
	for _, d := range Compare(a, b) {
		got[d.Path] = d
		order = append(order, d.Path)
	}
	float := func(f float64) *float64 { return &f }
	require.Equal(t, Difference{Part: Setting, Path: "parameters/vcal", A: 200.0, B: 210.0, Delta: float(10), Relative: float(0.05)}, got["parameters/vcal"])
	require.Equal(t, Difference{Part: Result, Path: "s.csv/columns/threshold/mean", A: 120.0, B: 126.0, Delta: float(6), Relative: float(0.05)}, got["s.csv/columns/threshold/mean"])
	require.Equal(t, Difference{Part: Setting, Path: "module", A: "M12"}, got["module"])
	require.Equal(t, Difference{Part: Result, Path: "a.json/list/1", A: 0.0, B: 2.0, Delta: float(2)}, got["a.json/list/1"])
	for path, d := range got {
		differs := slices.Contains([]string{"parameters/vcal", "s.csv/columns/threshold/mean", "module", "a.json/list/1"}, path)
		require.Equal(t, !differs, d.Equal, path)
	}
	require.Equal(t, []string{
		"configurations/run/setpoints/0/channel", "configurations/run/setpoints/0/device", "configurations/run/setpoints/0/op",
		"configurations/run/setpoints/0/value", "module", "parameters/fast", "parameters/vcal", "procedure", "setpoints/hv/0/vreq", "versions/ph2acf",
		"a.json/list/0", "a.json/list/1", "a.json/n", "s.csv/columns/threshold/mean",
	}, order)
	require.Empty(t, Compare(Run{}, Run{}))
}

func TestPathsAreInOrder(t *testing.T) {
	want := []string{"a", "a/2", "a/10", "a/1a", "a/b", "b"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, byPath)
	require.Equal(t, want, got)
}

func TestFit(t *testing.T) {
	small := sampleOf(map[string]any{"a": "x"}, 10, 10)
	fitted := small
	require.NoError(t, Fit(&fitted))
	require.Equal(t, small, fitted)

	mib := func(n int) string { return strings.Repeat("x", n<<20) }
	for name, tt := range map[string]struct {
		run  Run
		cut  []string // results
		log  int      // lines left; -1: all
		more bool     // events were cut
	}{
		"one too large":  {sampleOf(map[string]any{"a": mib(5), "b": mib(3)}, 10, 1), []string{"a"}, -1, false},
		"many large":     {sampleOf(map[string]any{"a": mib(3), "b": mib(3) + "x", "c": mib(3) + "xx", "d": mib(3), "e": mib(3), "f": mib(2)}, 10, 1), []string{"c"}, -1, false},
		"a long log":     {sampleOf(map[string]any{"a": mib(1)}, 200_000, 1), []string{"a"}, 1, false},
		"a long capsule": {sampleOf(nil, 10, 300_000), nil, 0, true},
	} {
		run := tt.run
		require.NoError(t, Fit(&run), name)
		n, err := size(run)
		require.NoError(t, err)
		require.LessOrEqual(t, n, MaxDocument, name)
		var cut []string
		for file, r := range run.Results {
			if m, ok := r.(map[string]any); ok {
				require.Greater(t, m["too_large"], int64(1<<20))
				cut = append(cut, file)
			}
			require.IsType(t, "", tt.run.Results[file], "the caller's stay as they are")
		}
		slices.Sort(cut)
		require.Equal(t, tt.cut, cut, name)
		require.Equal(t, int64(len(tt.run.Log)), int64(len(run.Log))+run.LogCut, name)
		if tt.log < 0 {
			require.Zero(t, run.LogCut, name)
		}
		if tt.log > 0 {
			require.Greater(t, len(run.Log), 1000, name)
			require.Equal(t, tt.run.Log[0], run.Log[0])
			require.Equal(t, tt.run.Log[len(tt.run.Log)-1], run.Log[len(run.Log)-1])
		}
		require.Equal(t, tt.more, run.Capsule.More > 0, name)
		require.Equal(t, len(tt.run.Capsule.Refused), len(run.Capsule.Refused)+int(run.Capsule.More), name)
	}
}

func sampleOf(results map[string]any, lines, refused int) Run {
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	run := Run{Number: 1, UID: "u", Results: results, Capsule: &Capsule{Devices: map[string]Device{"hv": {Channels: []Channel{{}}}}}}
	for i := range lines {
		run.Log = append(run.Log, LogLine{Time: at, Stream: "out", Text: strings.Repeat("y", 60) + strconv.Itoa(i)})
	}
	for range refused {
		run.Capsule.Refused = append(run.Capsule.Refused, Refusal{Time: at, Device: "hv", Op: "setv"})
	}
	return run
}
