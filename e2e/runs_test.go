//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"trackerdcs/pkg/wire"
)

// Large results: DCS_RESULTS_MB of them arrive while statuses keep their
// period, with little memory, at a rate that is set beside the rate of writing
// the same bytes to the same server with mongo-driver alone.
func TestRunsLargeResults(t *testing.T) {
	size := number(t, "DCS_RESULTS_MB", 100)
	l := startLab(t)
	// Of up to three runs one has to keep the rate, and the supply its period: others
	// may have had the machine while one of the two rates was measured, and not while
	// the other was.
	for n := 1; ; n++ {
		share, gap := l.large(n, size)
		if n < 3 && (share <= .5 || gap >= 1500*time.Millisecond) {
			continue
		}
		assert.Greater(t, share, .5)
		assert.Less(t, gap, 1500*time.Millisecond, "stale is what is older than 1.5 periods")
		return
	}
}

// large is one run with large results. It returns our rate as a share of that of
// mongo-driver alone, and the longest time between two statuses of the supply.
func (l *lab) large(n, size int) (share float64, gap time.Duration) {
	t := l.t
	t.Helper()
	mark := l.w.mark()
	began := time.Now()
	a := l.order(wire.RunCommand{Op: wire.Start, Procedure: "calibration", ID: fmt.Sprint("large", n), User: "e2e", Parameters: wire.Parameters{
		"module": "M12", "megabytes": float64(size), "duration": 1.0, "channels": 254.0,
	}})
	require.Equal(t, wire.Accepted, a.Phase, a.Message)
	limit := patience + time.Duration(size)*time.Second/2
	r := l.ends(a.Run, limit)
	require.Equal(t, wire.RunFinished, r.State, r.Error)
	arrived := time.Since(r.End)
	d := stored(t, l.db, a.Run, limit)
	took := d.Stored.Sub(d.End)
	bytes := filesAreRight(t, l.db, d)
	assert.GreaterOrEqual(t, bytes, int64(size)*1_000_000)
	rate := float64(bytes) / 1e6 / took.Seconds()
	t.Logf("run of %.0f MB: with the sink %.1f s after its end, in the database after %.1f s: %.1f MB/s from the program's end to the complete document (all of it took %.1f s)",
		float64(bytes)/1e6, arrived.Seconds(), took.Seconds(), rate, time.Since(began).Seconds())

	sink, driver := memory(l.sink.pid(), "VmHWM"), memory(l.driver.pid(), "VmHWM")
	t.Logf("peak memory, MB: sink %.1f, driver %.1f", sink, driver)
	assert.Less(t, sink, 100.0)
	assert.Less(t, driver, 50.0)
	gap, statuses := l.w.gaps(mark)
	t.Logf("%d statuses of the supply meanwhile, at most %.2f s apart", statuses, gap.Seconds())
	assert.Positive(t, statuses)
	within(t, patience, "the driver has let go of it", func() bool {
		_, err := os.Stat(filepath.Join(l.driverDir, "runs", fmt.Sprint(a.Run), "work"))
		return os.IsNotExist(err)
	})

	straight := l.straight(a.Run)
	t.Logf("mongo-driver alone, the same bytes to the same server: %.1f MB/s; ours is %.2f of that", straight, rate/straight)
	return rate / straight, gap
}

// straight writes the files of a run once more with mongo-driver's own GridFS
// and gives the rate in MB/s.
func (l *lab) straight(run int64) float64 {
	l.t.Helper()
	c, err := mongo.Connect(options.Client().ApplyURI(l.uri))
	require.NoError(l.t, err)
	defer func() { _ = c.Disconnect(context.Background()) }()
	bucket := c.Database("straight").GridFSBucket()
	files, err := l.db.Files(l.t.Context(), run)
	require.NoError(l.t, err)
	var bytes int64
	var took time.Duration
	for _, f := range files {
		r, _, err := l.db.OpenFile(l.t.Context(), run, f.Name)
		require.NoError(l.t, err)
		tmp, err := os.Create(filepath.Join(l.dir, "straight"))
		require.NoError(l.t, err)
		n, err := io.Copy(tmp, r)
		require.NoError(l.t, err)
		_, err = tmp.Seek(0, io.SeekStart)
		require.NoError(l.t, err)
		began := time.Now()
		_, err = bucket.UploadFromStream(l.t.Context(), f.Name, tmp)
		require.NoError(l.t, err)
		took += time.Since(began)
		bytes += n
		_ = tmp.Close()
		_ = r.Close()
	}
	return float64(bytes) / 1e6 / took.Seconds()
}

// Any part is killed at any point of a run, DCS_KILLS times: while the supply is
// ramped, while the program runs, while results are on their way, and while they
// are stored. Every run is stored exactly once and in a true state, and no
// process is left behind.
func TestRunsSurviveKills(t *testing.T) {
	kills := number(t, "DCS_KILLS", 5)
	l := startLab(t)
	victims := []*part{l.driver, l.sink, l.broker, l.mongo, l.control}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	points := []string{wire.RunConfiguring, wire.RunRunning, wire.RunFinishing, "storing"}
	offset := random.IntN(len(points)) // five kills would always meet the same
	type outcome struct {
		victim, state, uid string // state as run control said it when the part was killed
	}
	ran := make(map[int64]outcome)
	sometime := func(d time.Duration) { lasts(t, time.Duration(random.Int64N(int64(d)))) }
	for i := range kills {
		victim, point := victims[i%len(victims)], points[(i/len(victims)+i%len(victims)+offset)%len(points)]
		ramp := wire.ConfigurationOrName{Inline: &wire.Configuration{Setpoints: []wire.Setpoint{
			{Device: "hv", Channel: 0, Op: wire.SetV, Value: 5 + 10*float64(i%2)}, {Device: "hv", Channel: 0, Op: wire.Switch, Value: wire.On},
		}}}
		a := l.order(wire.RunCommand{
			Op: wire.Start, Procedure: "calibration", ID: fmt.Sprintf("kill-%d", i), User: "e2e",
			Parameters:     wire.Parameters{"module": "M12", "megabytes": 20.0, "duration": 2.0, "channels": 508.0},
			Configurations: map[string]wire.ConfigurationOrName{wire.RunTransition: ramp},
		})
		require.NotEqual(t, wire.Rejected, a.Phase, a.Message)
		require.NotContains(t, ran, a.Run, "a number came twice")
		reached := func(point string) { // or passed: a state may be over before we look
			states := []string{wire.RunConfiguring, wire.RunRunning, wire.RunFinishing}
			within(t, patience, fmt.Sprintf("run %d is %s", a.Run, point), func() bool {
				r := l.state()
				return r.Run == a.Run && (wire.RunEnded(r.State) || slices.Index(states, r.State) >= slices.Index(states, point))
			})
		}
		reached(wire.RunConfiguring) // the answer comes before the state, which is still the last run's
		switch point {
		case wire.RunConfiguring:
			sometime(time.Second)
		case wire.RunRunning:
			reached(wire.RunRunning)
			sometime(2 * time.Second)
		case wire.RunFinishing:
			reached(wire.RunFinishing)
			sometime(300 * time.Millisecond)
		default:
			l.ends(a.Run, patience)
			sometime(2 * time.Second)
		}
		o := outcome{victim: victim.name, state: l.state().State}
		victim.kill()
		connected := l.connections()
		sometime(time.Second)
		if victim == l.broker {
			l.afterBroker(connected)
		} else {
			victim.start()
		}
		r := l.ends(a.Run, 2*patience)
		l.allReady() // for the next one
		o.uid = r.UID
		ran[a.Run] = o
		t.Logf("run %d: %s killed while %s: %s %s", a.Run, o.victim, o.state, r.State, r.Error)
	}
	for run, o := range ran {
		d := stored(t, l.db, run, 2*patience)
		assert.Equal(t, o.uid, d.UID)
		what := fmt.Sprintf("run %d, %s killed while %s", run, o.victim, o.state)
		filesAreRight(t, l.db, d)
		assert.Contains(t, trueStates(l, o.victim, o.state), d.State, "%s: %s", what, d.Error)
		if d.State == wire.RunFinished {
			require.NotNil(t, d.Exit, what)
			assert.Zero(t, *d.Exit, what)
			assert.Len(t, d.Files, 4, what)
			assert.Equal(t, wire.ResultsStored, d.Outcome, what)
		} else {
			assert.NotEmpty(t, d.Error, what)
		}
		require.NotNil(t, d.Capsule, what)
		assert.Contains(t, d.Capsule.Devices, "hv", what)
		t.Logf("run %d: %s, %d files, %d statuses of the supply, %d missing", run, d.State, len(d.Files), d.Capsule.Devices["hv"].Statuses, d.Capsule.Missing)
	}
	within(t, patience, "no process of a run is left", func() bool { return len(l.strays()) == 0 })
	l.nothingStray(len(ran))
}

// trueStates are those that a run can truly end in when a part was killed while
// run control said that it was in a state. It may have gone on by a step before
// the part was gone.
func trueStates(l *lab, victim, state string) []string {
	switch {
	case victim == l.driver.name && state == wire.RunRunning:
		return []string{wire.RunInterrupted, wire.RunFinished} // its program may just have ended
	case victim == l.driver.name && state == wire.RunConfiguring:
		return []string{wire.RunInterrupted, wire.RunFinished, wire.RunFailed} // it may be back in time, or not
	case victim == l.control.name && state == wire.RunConfiguring:
		return []string{wire.RunInterrupted, wire.RunFinished} // the driver may just have been asked
	case victim == l.broker.name && state == wire.RunConfiguring:
		return []string{wire.RunFinished, wire.RunFailed} // an ack of the supply may be lost with it
	}
	return []string{wire.RunFinished}
}

// nothingStray checks that the database has those documents and nothing else,
// and every chunk a file.
func (l *lab) nothingStray(n int) {
	l.t.Helper()
	c, err := mongo.Connect(options.Client().ApplyURI(l.uri))
	require.NoError(l.t, err)
	defer func() { _ = c.Disconnect(context.Background()) }()
	db := c.Database("dcs")
	ctx := l.t.Context()
	docs, err := db.Collection("runs").CountDocuments(ctx, map[string]any{})
	require.NoError(l.t, err)
	assert.EqualValues(l.t, n, docs, "documents")
	cursor, err := db.Collection("fs.files").Find(ctx, map[string]any{})
	require.NoError(l.t, err)
	var files []struct {
		Length    int64 `bson:"length"`
		ChunkSize int64 `bson:"chunkSize"`
	}
	require.NoError(l.t, cursor.All(ctx, &files))
	var want int64
	for _, f := range files {
		want += (f.Length + f.ChunkSize - 1) / f.ChunkSize
	}
	chunks, err := db.Collection("fs.chunks").CountDocuments(ctx, map[string]any{})
	require.NoError(l.t, err)
	assert.Equal(l.t, want, chunks, "chunks of %d files", len(files))
}

// A number never comes twice, whoever loses its disk.
func TestRunsNumbersAfterALostDisk(t *testing.T) {
	l := startLab(t)
	quick := func(id string) wire.Run {
		a := l.order(wire.RunCommand{Op: wire.Start, Procedure: "calibration", ID: id, Parameters: wire.Parameters{
			"module": "M12", "megabytes": 0.0, "duration": 0.0, "channels": 16.0,
		}})
		require.Equal(t, wire.Accepted, a.Phase, a.Message)
		r := l.ends(a.Run, patience)
		require.Equal(t, wire.RunFinished, r.State, r.Error)
		stored(t, l.db, a.Run, patience)
		return r
	}
	last := quick("first").Run
	for _, lose := range []struct {
		what string
		part *part
		dir  string
	}{
		{"run control's disk", l.control, l.controlDir},
		{"the sink's disk", l.sink, l.sinkDir},
		{"the driver's disk", l.driver, l.driverDir},
		{"the broker's disk", l.broker, l.brokerData},
	} {
		lose.part.stop()
		require.NoError(t, os.RemoveAll(lose.dir))
		require.NoError(t, os.MkdirAll(lose.dir, 0o750))
		if lose.part == l.broker {
			l.afterBroker(l.connections())
		} else {
			lose.part.start()
		}
		l.allReady()
		r := quick("after " + lose.what)
		assert.Greater(t, r.Run, last, lose.what)
		last = r.Run
	}
}
