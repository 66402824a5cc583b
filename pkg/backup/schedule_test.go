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
	m := &Manifest{Format: Format, Start: at, Files: map[string]File{"a": {Size: 42}}}
	require.NoError(t, m.write(filepath.Join(dir, name)))
	return name, m
}

func TestSchedule(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		fakeBackup(t, dir, time.Now().Add(-23*time.Hour))
		var made []time.Duration
		began := time.Now()
		var broken error
		s := &Schedule{
			Dir: dir, Every: 24 * time.Hour, Keep: 3, Log: slog.New(slog.DiscardHandler), Health: new(health.Health), Metrics: new(health.Figures),
			Make: func(context.Context) (string, *Manifest, error) {
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
		assert.Empty(t, made, "the last one is young enough")
		wait(time.Hour)
		assert.Equal(t, []time.Duration{time.Hour}, made)
		wait(48 * time.Hour)
		assert.Equal(t, []time.Duration{time.Hour, 25 * time.Hour, 49 * time.Hour}, made)
		names, err := List(dir)
		require.NoError(t, err)
		assert.Len(t, names, 3, "the oldest has gone")
		assert.InDelta(t, 42, figure(t, s, "dcs_backup_bytes"), 0)
		assert.InDelta(t, began.Add(49*time.Hour).Unix(), figure(t, s, "dcs_backup_last_timestamp_seconds"), 1)

		// One that fails is tried again soon, and takes no old one with it.
		broken = errors.New("the disk is full")
		made = nil
		wait(24*time.Hour + 5*time.Minute)
		assert.Len(t, made, 1)
		wait(20 * time.Minute)
		assert.Len(t, made, 3)
		assert.InDelta(t, 3, figure(t, s, "dcs_backup_failures_total"), 0)
		assert.True(t, healthy(s.Health), "it is only late")
		wait(24 * time.Hour)
		assert.False(t, healthy(s.Health), "it is two days old")
		names, err = List(dir)
		require.NoError(t, err)
		assert.Len(t, names, 3)
		broken = nil
		wait(10 * time.Minute)
		assert.True(t, healthy(s.Health))
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
func healthy(h *health.Health) bool {
	w := httptest.NewRecorder()
	health.Handler(h, new(health.Figures)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	return w.Code == http.StatusOK
}

// A clock that was set back puts the next backup off by one interval at most.
func TestScheduleInThePast(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	fakeBackup(t, dir, now.Add(1000*time.Hour))
	wait, err := (&Schedule{Dir: dir, Every: time.Hour}).wait(now)
	require.NoError(t, err)
	assert.Equal(t, time.Hour, wait)
	wait, err = (&Schedule{Dir: t.TempDir(), Every: time.Hour}).wait(now)
	require.NoError(t, err)
	assert.Zero(t, wait, "there is none yet")
}

func TestPruneAndFind(t *testing.T) {
	dir := t.TempDir()
	for n := range 4 {
		fakeBackup(t, dir, time.Unix(int64(n), 0))
	}
	for _, other := range []string{"19700101T000009Z", "notes", ".partial-19700101T000008Z"} { // no manifest
		require.NoError(t, os.Mkdir(filepath.Join(dir, other), 0o700))
	}
	removed, err := Prune(dir, 2)
	require.NoError(t, err)
	assert.Equal(t, []string{"19700101T000000Z", "19700101T000001Z"}, removed)
	names, err := List(dir)
	require.NoError(t, err)
	assert.Equal(t, []string{"19700101T000002Z", "19700101T000003Z"}, names)
	assert.DirExists(t, filepath.Join(dir, "notes"))
	for name, want := range map[string]string{"latest": names[1], names[0]: names[0], filepath.Join(dir, names[0]): names[0]} {
		found, err := Find(name, dir)
		require.NoError(t, err)
		assert.Equal(t, filepath.Join(dir, want), found)
	}
	_, err = Find("x", dir)
	require.ErrorContains(t, err, "the newest in")
	_, err = Find("latest", t.TempDir())
	require.ErrorContains(t, err, "there is none")
}
