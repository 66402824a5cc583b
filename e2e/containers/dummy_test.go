//go:build e2e && linux

package containers

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the dummy stack promises, one promise after another on one installation.
func TestDummyStack(t *testing.T) {
	s := newStack(t, "docker-compose.yml", "docker-compose.dummy.yml")
	for _, step := range []struct {
		name string
		run  func(*testing.T, *stack)
	}{
		{"HealthyWithinAMinute", healthyWithinAMinute},
		{"InitAgainChangesNothing", initAgain},
		{"CommandFromNodeREDsPage", commandFromThePage},
		{"CalibrationRun", calibrationRun},
		{"SmallPrograms", smallPrograms},
		{"WhatIsKilledComesBackAlone", killed},
		{"NothingIsLost", nothingIsLost},
		{"BackupAndRestore", backupAndRestore},
	} {
		if !t.Run(step.name, func(t *testing.T) { s.t = t; step.run(t, s) }) {
			s.t = t
			return
		}
	}
	s.t = t
}

func healthyWithinAMinute(t *testing.T, s *stack) {
	out := s.init()
	assert.Contains(t, out, "first login")
	took := s.up()
	if took >= time.Minute {
		// The promise is of a machine that has time for it: where something took that
		// away, the same first start is measured once more.
		t.Logf("healthy %v after up -d", took.Round(time.Second))
		s.compose("down", "-v", "-t", "5")
		took = s.up()
	}
	all := s.containers()
	t.Logf("%d containers healthy %v after up -d", len(all), took.Round(time.Second))
	assert.Less(t, took, time.Minute)
	for _, name := range []string{"mosquitto", "influxdb", "mongo", "nodered", "gateway", "loader", "runcontrol", "calibration", "backup", "hv", "lv", "sensor_1", "dht_room", "ph2acf", "sim_hv"} {
		assert.Contains(t, all, name)
	}
}

// initAgain: what is there stays, and no container is made anew.
func initAgain(t *testing.T, s *stack) {
	before, secrets := s.containers(), s.secrets()
	s.init()
	s.compose("up", "-d", "--no-build")
	assert.Equal(t, secrets, s.secrets())
	after := s.containers()
	for name, c := range before {
		if !c.once() {
			assert.Equal(t, c.State.StartedAt, after[name].State.StartedAt, name)
		}
	}
}

// secrets are the installation's, by file.
func (s *stack) secrets() map[string]string {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir + "/secrets")
	require.NoError(s.t, err)
	all := make(map[string]string)
	for _, e := range entries {
		all[e.Name()] = s.read("secrets/" + e.Name())
	}
	return all
}

func calibrationRun(t *testing.T, s *stack) {
	out := s.dcs("run", "start", "calibration", "--module", "M12", "--set", "duration=1", "--set", "megabytes=2")
	assert.Contains(t, out, "run 1 finished")
	// Run control has said so; what it was comes to MongoDB after that.
	within(t, func() bool { return slices.Equal(s.runs(), []string{"1 finished"}) }, tick, "the run is not in MongoDB")
}

// smallPrograms: our programs together take less than 200 MB; Node-RED is told
// beside. It is what docker stats shows, memory without the files that the kernel
// can drop.
func smallPrograms(t *testing.T, s *stack) {
	ours := make(map[string]string) // by container
	for name, c := range s.containers() {
		if strings.HasPrefix(c.Config.Image, "trackerdcs/") && !c.once() {
			ours[strings.TrimPrefix(c.Name, "/")] = name
		}
	}
	var sum, programs float64
	for _, line := range strings.Split(strings.TrimSpace(docker(t, append([]string{"stats", "--no-stream", "--format", "{{.Name}}\t{{.MemUsage}}"}, slices.Collect(maps.Keys(ours))...)...)), "\n") {
		name, usage, _ := strings.Cut(line, "\t")
		mb := megabytes(t, strings.TrimSpace(strings.Split(usage, "/")[0]))
		t.Logf("%-12s %5.1f MB", ours[name], mb)
		sum += mb
		if ours[name] != "nodered" {
			programs += mb
		}
	}
	t.Logf("%d containers of ours: %.0f MB, without Node-RED %.0f MB", len(ours), sum, programs)
	assert.Less(t, programs, 200.0)
}

// megabytes reads 5.1MiB.
func megabytes(t *testing.T, text string) float64 {
	t.Helper()
	number := strings.TrimRight(text, "BKMGTki")
	v, err := strconv.ParseFloat(number, 64)
	require.NoError(t, err, text)
	units := map[string]float64{"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
	unit, ok := units[text[len(number):]]
	require.True(t, ok, text)
	return v * unit / 1e6
}

// killed: whoever is killed comes back by itself, and nobody else is started
// anew. It is killed from outside: what `docker kill` ends, the engine takes for
// stopped on purpose.
func killed(t *testing.T, s *stack) {
	all := s.containers()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name].once() {
			continue
		}
		before := s.containers()
		victim := before[name]
		require.NotZero(t, victim.State.Pid, name)
		begin := time.Now()
		require.NoError(t, syscall.Kill(victim.State.Pid, syscall.SIGKILL))
		var back container
		within(t, func() bool {
			back = s.containers()[name]
			return back.State.Status == "running" && back.State.StartedAt != victim.State.StartedAt
		}, tick, "%s does not come back", name)
		within(t, func() bool { return back.asks(t) }, tick, "%s is not healthy again", name)
		t.Logf("%-12s healthy %4.1f s after it was killed", name, time.Since(begin).Seconds())
		for other, c := range s.containers() {
			if other == name {
				continue
			}
			assert.Equal(t, before[other].State.StartedAt, c.State.StartedAt, "%s started anew when %s was killed", other, name)
			assert.Equal(t, before[other].RestartCount, c.RestartCount, "%s started anew when %s was killed", other, name)
		}
	}
	s.healthy()
}

// nothingIsLost: each number of each boot is in the archive, and all devices go on.
func nothingIsLost(t *testing.T, s *stack) {
	s.complete(time.Now(), 5)
	t.Log(s.dcs("audit"))
}

// complete waits until so many devices have statuses in the archive that are
// younger than a time, and none is missing: what is older is there for good.
func (s *stack) complete(since time.Time, devices int) {
	s.t.Helper()
	var audits []audit
	within(s.t, func() bool {
		audits = s.audit(time.Now())
		for _, a := range audits {
			if a.Missing > 0 || !a.Last.After(since) {
				return false
			}
		}
		return len(audits) == devices
	}, time.Second, "not complete, or not going on: %+v", &audits)
}

// audit is what `dcs audit` says of a device.
type audit struct {
	Device   string
	Verdict  string
	Statuses int
	Missing  int
	Last     time.Time
	Boots    []struct{ Boot string }
}

// audit looks at all devices until a time. What is missing is in what it says.
func (s *stack) audit(until time.Time) []audit {
	s.t.Helper()
	out, err := s.try("", "run", "--rm", "-T", "dcs", "audit", "-o", "json", "--until", until.UTC().Format(time.RFC3339))
	if err != nil {
		s.t.Log(err)
	}
	// The last line is about all of them.
	return slices.DeleteFunc(lines[audit](s.t, out), func(a audit) bool { return a.Device == "" })
}

// runs are the numbers and states of all runs.
func (s *stack) runs() []string {
	s.t.Helper()
	var all []string
	for _, r := range lines[struct {
		Run   int
		State string
	}](s.t, s.dcs("run", "list", "-o", "json")) {
		all = append(all, strconv.Itoa(r.Run)+" "+r.State)
	}
	return all
}
