package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/drivers/sim/iseg"
	"trackerdcs/pkg/scpi"
)

// What a driver reads; README.md promises both.
var (
	progressRE = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO \[progress\] (\d{1,3}\.\d) % phase=([a-z]+)$`)
	phaseRE    = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO \[phase\] ([a-z]+): .+$`)
)

// calibrate runs in a directory of its own, as fast as it can.
func calibrate(t *testing.T, args ...string) (dir, log string) {
	t.Helper()
	c, err := parsed(t, append([]string{"--module=M12", "--duration=0s", "--megabytes=1", "--run=42"}, args...)...)
	require.NoError(t, err)
	dir = t.TempDir()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), c, printer{&out, &out}, dir), out.String())
	return dir, out.String()
}

func readSummary(t *testing.T, dir string) (s summary) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, summaryFile))
	require.NoError(t, err)
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&s))
	return s
}

func phasesOf(log string) (list []string) {
	for line := range strings.Lines(log) {
		if m := phaseRE.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			list = append(list, m[1])
		}
	}
	return list
}

func TestProcedures(t *testing.T) {
	dir, log := calibrate(t, "--procedure=calibration")
	assert.Equal(t, []string{"configuring", "pedestal", "scurves", "noise", "gain", "writing"}, phasesOf(log))
	s := readSummary(t, dir)
	require.NotNil(t, s.Signal)
	assert.InDelta(t, 20000.0/156, s.Signal.Mean, 8)
	assert.Nil(t, s.Latency)

	dir, log = calibrate(t, "--procedure=latency")
	assert.Equal(t, []string{"configuring", "pedestal", "scurves", "noise", "latency", "writing"}, phasesOf(log))
	s = readSummary(t, dir)
	require.NotNil(t, s.Latency)
	assert.InDelta(t, 100, s.Latency.Best, 2)
	assert.Greater(t, s.Latency.Efficiency, 0.95)
	assert.Nil(t, s.Signal)

	_, log = calibrate(t, "--procedure=noise", "--channels=1", "--events=1", "--megabytes=0")
	assert.Equal(t, []string{"configuring", "pedestal", "scurves", "noise", "writing"}, phasesOf(log))
}

func TestVoltageShows(t *testing.T) {
	noise, signal := map[float64]float64{}, map[float64]float64{}
	for _, v := range []float64{0, 50, 150, -300, 600} {
		dir, _ := calibrate(t, fmt.Sprintf("--bias=%v", v), "--channels=500", "--megabytes=0")
		s := readSummary(t, dir)
		assert.Equal(t, voltage{Source: "bias", Start: v, Middle: v, End: v, Unit: "V"}, s.HV)
		noise[v], signal[v] = s.Noise.Mean, s.Signal.Mean
	}
	assert.Greater(t, noise[0], 2.5*noise[-300])
	assert.Greater(t, noise[0], noise[50])
	assert.Greater(t, noise[50], noise[150])
	assert.Greater(t, noise[150], noise[-300]+0.1)
	assert.InDelta(t, noise[600], noise[-300], 0.05, "depleted")
	assert.Less(t, signal[0], 0.1*signal[-300])
	assert.Less(t, signal[150], signal[-300]-20)
}

func TestSameRunTwice(t *testing.T) {
	a, _ := calibrate(t)
	b, _ := calibrate(t)
	other, _ := calibrate(t, "--run=43")
	for _, name := range []string{curvesFile, rawFile} {
		one, err := os.ReadFile(filepath.Join(a, name))
		require.NoError(t, err)
		two, err := os.ReadFile(filepath.Join(b, name))
		require.NoError(t, err)
		three, err := os.ReadFile(filepath.Join(other, name))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(one, two), "%s of the same run differs", name)
		assert.False(t, bytes.Equal(one, three), "%s of another run is the same", name)
	}
	assert.InDelta(t, readSummary(t, a).Threshold.Mean, readSummary(t, other).Threshold.Mean, 0.2, "the same module")
}

func TestResultsAreNotOverwritten(t *testing.T) {
	dir, _ := calibrate(t)
	c, err := parsed(t, "--module=M12", "--duration=0s")
	require.NoError(t, err)
	err = run(t.Context(), c, printer{t.Output(), t.Output()}, dir)
	require.ErrorIs(t, err, errExists)
	assert.EqualError(t, err, "summary.json is there already: results are never overwritten: start in another directory")
	assert.Equal(t, exitFiles, report(printer{t.Output(), t.Output()}, err))
	assert.Equal(t, int64(42), readSummary(t, dir).Run)
}

// It takes its time, and says often enough but not too often how far it is.
func TestPace(t *testing.T) {
	for _, d := range []time.Duration{time.Second, 20 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			_, log := calibrate(t, "--duration="+d.String())
			assert.InEpsilon(t, d, time.Since(begin), 0.01)
			second, last, lastPart, lines, known := begin, begin, -1.0, 0, phasesOf(log)
			for line := range strings.Lines(log) {
				m := progressRE.FindStringSubmatch(strings.TrimSpace(line))
				if m == nil {
					continue
				}
				stamp, _, _ := strings.Cut(line, " ")
				now, err := time.Parse(time.RFC3339, stamp)
				require.NoError(t, err)
				assert.LessOrEqual(t, now.Sub(last), 500*time.Millisecond, line)
				part, err := strconv.ParseFloat(m[1], 64)
				require.NoError(t, err)
				assert.GreaterOrEqual(t, part, lastPart, line)
				assert.InDelta(t, 100*float64(now.Sub(begin))/float64(d), part, 1, line)
				assert.Contains(t, known, m[2])
				if lines++; now.Sub(second) >= time.Second {
					assert.LessOrEqual(t, lines, 50)
					second, lines = now, 0
				}
				last, lastPart = now, part
			}
			assert.Equal(t, 100.0, lastPart)
		})
	}
}

func TestAbortedAtOnce(t *testing.T) {
	c, err := parsed(t, "--module=M12", "--duration=1h")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	err = run(ctx, c, printer{t.Output(), t.Output()}, dir)
	assert.Equal(t, exitAborted, report(printer{t.Output(), t.Output()}, err))
	assertEmpty(t, dir)
}

func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// supply is the simulated module with channel 1 at 300 V and channel 0 off.
func supply(t *testing.T) (in *iseg.Instrument, address string) {
	t.Helper()
	var mu sync.Mutex
	now := time.Unix(0, 0)
	in = iseg.New(iseg.Options{Negative: true, Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	in.SetVoltage(1, 300)
	in.SetOn(1, true)
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() { assert.NoError(t, in.Serve(t.Context(), l)) })
	t.Cleanup(wg.Wait)
	return in, "tcp://" + l.Addr().String()
}

func TestVoltageOfTheSupply(t *testing.T) {
	in, address := supply(t)
	// The slow control is connected all the time.
	conn, err := scpi.Dial(t.Context(), address, scpi.Options{Send: "\r\n"})
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Sync(t.Context(), "*IDN?", scpi.IsIdentity)
	require.NoError(t, err)

	dir, log := calibrate(t, "--hv="+address, "--hv-channel=1", "--bias=7")
	s := readSummary(t, dir)
	assert.Equal(t, voltage{Source: address, Channel: 1, Start: -300, Middle: -300, End: -300, Unit: "V"}, s.HV)
	assert.Contains(t, log, "INFO [hv] start: -300.000 V ("+address+")\n")
	assert.InDelta(t, 6.2, s.Noise.Mean, 0.5)

	dir, _ = calibrate(t, "--hv="+address, "--hv-channel=0")
	s = readSummary(t, dir)
	assert.Zero(t, s.HV.Start)
	assert.InDelta(t, 20, s.Noise.Mean, 2)

	asked := 0
	for _, line := range in.Log() {
		if strings.HasPrefix(line, ":MEAS:VOLT? (@1)") {
			asked++
		}
	}
	assert.Equal(t, 3, asked, "start, middle, end")
	assert.Empty(t, in.Writes(), "it only asks")
}

func TestNoVoltageOfTheSupply(t *testing.T) {
	t.Parallel()
	_, address := supply(t)
	const nobody = "tcp://127.0.0.1:1" // a port that was free a moment ago may be another's
	for _, tt := range []struct{ hv, want string }{
		{nobody, "no voltage from the supply: open " + nobody + ": dial tcp "},
		{address, "no voltage from the supply: " + address + `: channel 9: ":MEAS:VOLT? (@9)": `},
	} {
		c, err := parsed(t, "--module=M12", "--hv="+tt.hv, "--hv-channel=9", "--duration=0s")
		require.NoError(t, err)
		dir := t.TempDir()
		err = run(t.Context(), c, printer{t.Output(), t.Output()}, dir)
		require.ErrorContains(t, err, tt.want)
		var out bytes.Buffer
		assert.Equal(t, exitSupply, report(printer{nil, &out}, err))
		assert.Contains(t, out.String(), " ERROR no voltage from the supply: ")
		assertEmpty(t, dir)
	}
}
