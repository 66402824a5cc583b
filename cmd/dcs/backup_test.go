package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/backup"
)

// saved is an installation on disk, whose databases are away.
func saved(t *testing.T) savedFlags {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"volumes/hv/locks.json": "{}", "install/instruments.yml": "instruments: {}", "install/secrets/a": "b"} {
		full := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o750))
		require.NoError(t, os.WriteFile(full, []byte(content), 0o600))
	}
	return savedFlags{Volumes: filepath.Join(dir, "volumes"), Config: filepath.Join(dir, "install"), Influx: "http://127.0.0.1:1", Org: "dcs", Bucket: "dcs",
		mongoAddress: mongoAddress{Mongo: "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100&connectTimeoutMS=100", MongoDatabase: "dcs"}}
}

func unlogged() logFlags { return logFlags{LogLevel: "error", LogFormat: "text"} }

func TestBackupCommand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backups")
	con, _, errs := printed()
	c := &backupCmd{savedFlags: saved(t), logFlags: unlogged(), Dir: dir, Keep: 7}
	c.Only = []string{backup.PartInflux}
	require.ErrorIs(t, c.run(t.Context(), con), exitNoAnswer)
	assert.Contains(t, errs.String(), "no backup was made: InfluxDB: InfluxDB does not answer")
	names, err := backup.List(dir)
	require.NoError(t, err)
	assert.Empty(t, names)

	c.Only = []string{backup.PartVolumes}
	con, out, _ := printed()
	require.NoError(t, c.run(t.Context(), con))
	assert.Contains(t, out.String(), "volumes: 1 with 1 files")
	assert.Contains(t, out.String(), "it holds secrets")
	name := strings.Split(out.String(), "\n")[0]
	con, out, _ = printed()
	require.NoError(t, (&backupCmd{Verify: name}).run(t.Context(), con))
	assert.Contains(t, out.String(), "is as it was made")

	to := saved(t)
	r := &restoreCmd{savedFlags: to, logFlags: unlogged(), Backup: filepath.Base(name), Backups: dir, Broker: "tcp://127.0.0.1:1"}
	require.ErrorContains(t, r.run(t.Context(), con), "the backup has no mongo, influx: it has volumes; take another, or name what is to be restored: --only volumes")
	r.Only = []string{backup.PartVolumes}
	require.ErrorContains(t, r.run(t.Context(), con), "not empty: hv")
	r.Force = true
	con, out, _ = printed()
	require.NoError(t, r.run(t.Context(), con))
	assert.Contains(t, out.String(), "restored in")
	assert.Contains(t, out.String(), "not a whole backup, it lacks configuration, mongo, influx")
	require.NoError(t, os.WriteFile(filepath.Join(name, "volumes", "hv.tar.gz"), nil, 0o600))
	require.ErrorContains(t, (&backupCmd{Verify: name}).run(t.Context(), con), "is damaged")
}

func TestBackupArguments(t *testing.T) {
	con, _, _ := printed()
	for want, c := range map[string]*backupCmd{
		"name the folder":       {Keep: 1},
		"at least one minute":   {Dir: "x", Every: time.Second, Keep: 1},
		"whole backups":         {Dir: "x", Every: time.Hour, Keep: 1, savedFlags: savedFlags{Only: []string{"influx"}}},
		"--keep 0: at least 1":  {Dir: "x"},
		"--only everything":     {Dir: "x", Keep: 1, savedFlags: savedFlags{Only: []string{"everything"}}},
		"needs DCS_HTTP":        {Healthcheck: true},
		"connection refused":    {Healthcheck: true, HTTP: "127.0.0.1:1"},
		"is no backup, and the": {Verify: "nothing", Dir: t.TempDir()},
	} {
		require.ErrorContains(t, c.run(t.Context(), con), want)
	}
}

// TestBackupThenInit: an installation that is gone comes back from a backup: its
// secrets by init, and then a restore finds nothing in the way.
func TestBackupThenInit(t *testing.T) {
	dir := t.TempDir()
	old, anew, volumes := filepath.Join(dir, "old"), filepath.Join(dir, "new"), filepath.Join(dir, "volumes")
	for _, d := range []string{old, anew, filepath.Join(volumes, "nodered")} {
		require.NoError(t, os.MkdirAll(d, 0o750))
	}
	require.NoError(t, os.WriteFile(filepath.Join(old, "instruments.yml"), []byte("people: {alice: operator}\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(volumes, "nodered", "flows_cred.json"), []byte("{}"), 0o600))
	con, _, _ := printed()
	require.NoError(t, (&initCmd{Dir: old, Instruments: "instruments.yml"}).run(t.Context(), con))
	name, _, err := backup.Make(t.Context(), backup.Source{Volumes: volumes, Install: old}, backup.Options{Dir: filepath.Join(dir, "backups")})
	require.NoError(t, err)
	from := filepath.Join(dir, "backups", name)

	to := backup.Source{Volumes: filepath.Join(dir, "restored"), Install: anew}
	_, err = backup.Restore(t.Context(), to, backup.RestoreOptions{Backup: from})
	require.ErrorContains(t, err, "nodered_secret")
	require.NoError(t, (&initCmd{Dir: anew, Instruments: "instruments.yml", From: from}).run(t.Context(), con))
	for _, file := range []string{"instruments.yml", "secrets/nodered_secret", "secrets/ca_key", "secrets/broker_alice"} {
		was, err := os.ReadFile(filepath.Join(old, file))
		require.NoError(t, err)
		is, err := os.ReadFile(filepath.Join(anew, file))
		require.NoError(t, err)
		assert.Equal(t, was, is, file)
	}
	_, err = backup.Restore(t.Context(), to, backup.RestoreOptions{Backup: from})
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(to.Volumes, "nodered", "flows_cred.json"))
}

// What is not in a backup is said where one looks.
func TestBackupSummary(t *testing.T) {
	m := &backup.Manifest{Skipped: make([]string, maxSkipped+1), Doubts: []string{"MongoDB's collection runs is gone"}}
	m.Skipped[0] = "hv/pipe"
	said := summary(m)
	assert.Contains(t, said, "WARNING: not in it, or not as it is (11): hv/pipe; ")
	assert.Contains(t, said, "all in manifest.json")
	assert.Contains(t, said, "LOOK AT THIS: MongoDB's collection runs is gone")
}
