package backup

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/health"
)

// fakeBackup is a folder that looks like a complete one.
func fakeBackup(t *testing.T, dir string, at time.Time) (string, *Manifest) {
	t.Helper()
	name := at.UTC().Format(nameLayout)
	require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	heads, err := Heads(dir)
	require.NoError(t, err)
	m := &Manifest{Format: Format, Start: at, Parts: allParts, Scheduled: true, Sequence: 1, Files: map[string]File{"a": {Size: 42}}}
	if len(heads) > 0 {
		m.Sequence = heads[len(heads)-1].Sequence + 1
	}
	require.NoError(t, m.write(filepath.Join(dir, name)))
	return name, m
}

func TestSchedule(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		fakeBackup(t, dir, time.Now().Add(-23*time.Hour))
		began := time.Now()
		var mu sync.Mutex // of both: the bubble's clock orders them for us, and not for the race detector
		var made []time.Duration
		var broken error
		now := func(err error) {
			mu.Lock()
			defer mu.Unlock()
			made, broken = nil, err
		}
		times := func() []time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return made
		}
		s := &Schedule{
			Dir: dir, Every: 24 * time.Hour, Keep: 3, Log: slog.New(slog.DiscardHandler), Health: new(health.Health), Metrics: new(health.Figures),
			Make: func(context.Context) (string, *Manifest, error) {
				mu.Lock()
				defer mu.Unlock()
				made = append(made, time.Since(began))
				if broken != nil {
					return "", nil, broken
				}
				name, m := fakeBackup(t, dir, time.Now())
				return name, m, nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		wait := func(d time.Duration) {
			<-time.After(d)
			synctest.Wait()
		}
		wait(time.Minute)
		assert.Empty(t, times(), "the last one is young enough")
		wait(time.Hour)
		assert.Equal(t, []time.Duration{time.Hour}, times())
		wait(48 * time.Hour)
		assert.Equal(t, []time.Duration{time.Hour, 25 * time.Hour, 49 * time.Hour}, times())
		names, err := List(dir)
		require.NoError(t, err)
		assert.Len(t, names, 3, "the oldest has gone")
		assert.InDelta(t, 42, figure(t, s, "dcs_backup_bytes"), 0)
		assert.InDelta(t, began.Add(49*time.Hour).Unix(), figure(t, s, "dcs_backup_last_timestamp_seconds"), 1)

		// One that fails is tried again soon, and takes no old one with it.
		now(errors.New("the disk is full"))
		wait(24*time.Hour + 5*time.Minute)
		assert.Len(t, times(), 1)
		wait(20 * time.Minute)
		assert.Len(t, times(), 3)
		assert.InDelta(t, 3, figure(t, s, "dcs_backup_failures_total"), 0)
		assert.True(t, healthy(s), "it is only late")
		wait(24 * time.Hour)
		assert.False(t, healthy(s), "it is two days old")
		names, err = List(dir)
		require.NoError(t, err)
		assert.Len(t, names, 3)
		now(nil)
		wait(10 * time.Minute)
		assert.True(t, healthy(s))
		cancel()
		require.NoError(t, <-ended)
	})
}

func figure(t *testing.T, s *Schedule, name string) float64 {
	t.Helper()
	w := httptest.NewRecorder()
	s.Metrics.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	_, rest, found := strings.Cut(w.Body.String(), "\n"+name+" ")
	require.True(t, found, "no metric "+name)
	line, _, _ := strings.Cut(rest, "\n")
	v, err := strconv.ParseFloat(line, 64)
	require.NoError(t, err)
	return v
}

// healthy is what /healthz says.
func healthy(s *Schedule) bool {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	return w.Code == http.StatusOK
}

// said is what /healthz says of a folder of backups.
func said(s *Schedule) string {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	return w.Body.String()
}

// What a clock that was ahead has named neither counts nor pushes out what is
// made now.
func TestScheduleFuture(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		for n := range 3 {
			fakeBackup(t, dir, began.Add(time.Duration(n+1)*1000*time.Hour))
		}
		s := &Schedule{
			Dir: dir, Every: 24 * time.Hour, Keep: 2, Log: slog.New(slog.DiscardHandler), Health: new(health.Health), Metrics: new(health.Figures),
			Make: func(context.Context) (string, *Manifest, error) {
				name, m := fakeBackup(t, dir, time.Now())
				return name, m, nil
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		<-time.After(5*24*time.Hour + time.Minute)
		synctest.Wait()
		names, err := List(dir)
		require.NoError(t, err)
		assert.Len(t, names, 5, "three of the future, and two")
		assert.Equal(t, began.Add(5*24*time.Hour).UTC().Format(nameLayout), names[4])
		assert.Contains(t, said(s), names[0]+" is of the future")
		latest, err := Find("latest", dir)
		require.NoError(t, err)
		assert.Equal(t, names[4], filepath.Base(latest))
		for _, name := range names[:3] {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
		}
		assert.True(t, healthy(s), "they were moved away")
		cancel()
		require.NoError(t, <-ended)
	})
}

// Who has never made one becomes sick too, and who hangs.
func TestScheduleNever(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		broken := make(chan error)
		s := &Schedule{
			Dir: dir, Every: time.Hour, Keep: 2, Log: slog.New(slog.DiscardHandler), Health: new(health.Health), Metrics: new(health.Figures),
			Make: func(ctx context.Context) (string, *Manifest, error) {
				select {
				case err := <-broken:
					return "", nil, err
				case <-ctx.Done():
					return "", nil, ctx.Err()
				}
			},
		}
		assert.True(t, healthy(s), "it is about to begin")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		<-time.After(time.Hour)
		assert.True(t, healthy(s))
		<-time.After(time.Hour + time.Second)
		assert.Contains(t, said(s), "no backup was made since this began")
		assert.Contains(t, said(s), "it hangs")
		broken <- errors.New("the disk is full")
		synctest.Wait()
		assert.Contains(t, said(s), "the disk is full")
		cancel()
		require.NoError(t, <-ended)
	})
}

// One that may lack something removes nothing, and is told until somebody says
// that it is meant.
func TestScheduleDoubts(t *testing.T) {
	dir := t.TempDir()
	for n := range 3 {
		fakeBackup(t, dir, time.Now().Add(time.Duration(n-9)*time.Hour))
	}
	s := &Schedule{Dir: dir, Every: 100 * time.Hour, Keep: 1, Log: slog.New(slog.DiscardHandler), Health: new(health.Health), Metrics: new(health.Figures)}
	s.Make = func(context.Context) (string, *Manifest, error) {
		name, m := fakeBackup(t, dir, time.Now())
		m.Doubts = []string{"InfluxDB's measurement hv is gone"}
		require.NoError(t, m.write(filepath.Join(dir, name)))
		return name, m, nil
	}
	s.begin(time.Now())
	require.NoError(t, s.once(t.Context()))
	names, err := List(dir)
	require.NoError(t, err)
	require.Len(t, names, 4)
	assert.Contains(t, said(s), "measurement hv is gone; nothing is removed meanwhile")
	_, m := fakeBackup(t, dir, time.Now().Add(time.Second))
	m.Scheduled = false
	require.NoError(t, m.write(filepath.Join(dir, m.Start.UTC().Format(nameLayout))))
	assert.True(t, healthy(s), "somebody has made one by hand")
}

// What a backup has lost since the last is in doubt.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	days := func(n int64) *Measurement { return &Measurement{Days: map[string]Day{"2026-11-20": {Points: n}}} }
	name, m := fakeBackup(t, dir, time.Now().Add(-2*time.Hour))
	m.Volumes = map[string]Tree{"hv": {}, "lv": {}}
	m.Mongo = &MongoPart{Collections: map[string]int64{"runs": 1000, "few": 4, "gone": 1}}
	m.Influx = &InfluxPart{Measurements: map[string]*Measurement{"hv": days(1000), "lv": days(1000), "gone": days(3)}}
	require.NoError(t, m.write(filepath.Join(dir, name)))
	// Later ones that do not count: a part, and one in doubt itself.
	for n, change := range []func(*Manifest){func(m *Manifest) { m.Parts = []string{PartInflux} }, func(m *Manifest) { m.Doubts = []string{"x"} }} {
		name, m := fakeBackup(t, dir, time.Now().Add(time.Duration(n-60)*time.Minute))
		change(m)
		require.NoError(t, m.write(filepath.Join(dir, name)))
	}
	b := &maker{log: slog.New(slog.DiscardHandler), manifest: &Manifest{
		Start: time.Now(), Volumes: map[string]Tree{"hv": {}},
		Mongo:  &MongoPart{Collections: map[string]int64{"runs": 499, "few": 1}},
		Influx: &InfluxPart{Measurements: map[string]*Measurement{"hv": days(400), "lv": days(500)}},
	}}
	heads, err := Heads(dir)
	require.NoError(t, err)
	b.compare(heads, dir)
	assert.Equal(t, []string{
		"volume lv is gone; backup " + name + " has it",
		"MongoDB's collection gone is gone; backup " + name + " has 1 of it",
		"MongoDB's collection runs has 499, less than half of the 1000 of backup " + name,
		"InfluxDB's measurement gone is gone; backup " + name + " has 3 of it",
		"InfluxDB's measurement hv has 400, less than half of the 1000 of backup " + name,
	}, b.manifest.Doubts)
}

func TestPruneAndFind(t *testing.T) {
	dir := t.TempDir()
	for n := range 4 {
		fakeBackup(t, dir, time.Unix(int64(n), 0))
	}
	for _, other := range []string{"19700101T000009Z", "notes", ".partial-19700101T000008Z"} { // no manifest
		require.NoError(t, os.Mkdir(filepath.Join(dir, other), 0o700))
	}
	// One by hand and one of a part stay, and count for nothing.
	for n, change := range []func(*Manifest){func(m *Manifest) { m.Scheduled = false }, func(m *Manifest) { m.Parts = []string{PartInflux} }} {
		name, m := fakeBackup(t, dir, time.Unix(int64(100+n), 0))
		change(m)
		require.NoError(t, m.write(filepath.Join(dir, name)))
	}
	removed, err := Prune(dir, 2, "", time.Now())
	require.NoError(t, err)
	assert.Equal(t, []string{"19700101T000000Z", "19700101T000001Z"}, removed)
	names, err := List(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{"19700101T000002Z", "19700101T000003Z", "19700101T000140Z", "19700101T000141Z"}, names)
	assert.DirExists(t, filepath.Join(dir, "notes"))
	for name, want := range map[string]string{"latest": names[2], names[0]: names[0], filepath.Join(dir, names[0]): names[0]} {
		found, err := Find(name, dir)
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(dir, want), found)
	}
	_, err = Find("x", dir)
	require.ErrorContains(t, err, "the newest in")
	_, err = Find("latest", t.TempDir())
	require.ErrorContains(t, err, "there is none")
	for _, name := range names[:3] {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
	}
	_, err = Find("latest", dir)
	require.ErrorContains(t, err, "lacks volumes, configuration, mongo")
}
