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
	require.ErrorContains(t, r.run(t.Context(), con), "not empty: hv")
	r.Force = true
	con, out, _ = printed()
	require.NoError(t, r.run(t.Context(), con))
	assert.Contains(t, out.String(), "restored in")
	require.NoError(t, os.WriteFile(filepath.Join(name, "volumes", "hv.tar.gz"), nil, 0o600))
	require.ErrorContains(t, (&backupCmd{Verify: name}).run(t.Context(), con), "is damaged")
}

func TestBackupArguments(t *testing.T) {
	con, _, _ := printed()
	for want, c := range map[string]*backupCmd{
		"name the folder":       {Keep: 1},
		"at least one minute":   {Dir: "x", Every: time.Second, Keep: 1},
		"--keep 0: at least 1":  {Dir: "x"},
		"--only everything":     {Dir: "x", Keep: 1, savedFlags: savedFlags{Only: []string{"everything"}}},
		"needs DCS_HTTP":        {Healthcheck: true},
		"connection refused":    {Healthcheck: true, HTTP: "127.0.0.1:1"},
		"is no backup, and the": {Verify: "nothing", Dir: t.TempDir()},
	} {
		require.ErrorContains(t, c.run(t.Context(), con), want)
	}
}
