//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/backup"
	"trackerdcs/pkg/wire"
)

// backupLab is a lab with an archive, a loader and a gateway, whose programs
// have their data where backups look for it.
type backupLab struct {
	*lab
	loader, gateway           *part
	url                       string
	volumes, install, backups string
	users, locks, auditDir    string
}

func startBackupLab(t *testing.T) *backupLab {
	t.Helper()
	l := &backupLab{lab: newLab(t)}
	l.volumes, l.install, l.backups = filepath.Join(l.dir, "volumes"), filepath.Join(l.dir, "install"), filepath.Join(l.dir, "backups")
	in := func(name string) string { return filepath.Join(l.volumes, name) }
	supply := ""
	for _, e := range l.sim.env {
		supply = strings.TrimPrefix(e, "DCS_ADDRESS=tcp://")
		if supply != e {
			break
		}
	}
	l.hv = l.own("hv", "psu", in("hv"), "DCS_DEVICE=hv", "DCS_MODEL=iseg", "DCS_ADDRESS=tcp://"+supply)
	l.driverDir, l.controlDir, l.sinkDir = in("ph2acf"), in("runcontrol"), in("calibration")
	l.driver = l.own("ph2acf", "ph2acf", l.driverDir, "DCS_DEVICE=ph2acf", "DCS_PROCEDURES="+l.procedures)
	l.control = l.own("runcontrol", "runcontrol", l.controlDir, "DCS_MONGO_URI="+l.uri)
	l.sink = l.own("calibration", "calibration", l.sinkDir, "DCS_MONGO_URI="+l.uri)
	l.loader = l.stack.loader("loader", in("loader"))
	port := freePort(t)
	l.url = fmt.Sprintf("https://localhost:%d", port)
	l.gateway = l.own("gateway", "gateway", in("gateway"), fmt.Sprintf("DCS_LISTEN=127.0.0.1:%d", port),
		"DCS_INFLUX_URL="+l.archive.url, "DCS_INFLUX_BUCKET=dcs/autogen", "DCS_MONGO_URI="+l.uri)
	l.users, l.locks, l.auditDir = filepath.Join(in("gateway"), "users.json"), filepath.Join(in("hv"), "locks.json"), filepath.Join(in("gateway"), "audit")

	cmd := exec.Command(filepath.Join(root(t), "bin", "dcs"), "user", "add", "operator", "--role", "operator", "--file", l.users)
	cmd.Stdin = strings.NewReader("correct horse battery o\n")
	require.NoError(t, os.MkdirAll(in("gateway"), 0o750))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	l.put("secrets/nodered_secret", "one")
	l.put("instruments.yml", "instruments:\n  hv: {driver: psu, files: ['./limits.txt:/etc/dcs/limits.txt']}\n")
	l.put("limits.txt", "0:500\n")
	return l
}

func (l *backupLab) put(name, content string) {
	l.t.Helper()
	full := filepath.Join(l.install, name)
	require.NoError(l.t, os.MkdirAll(filepath.Dir(full), 0o750))
	require.NoError(l.t, os.WriteFile(full, []byte(content), 0o600))
}

// programs are ours, in the order in which they are started.
func (l *backupLab) programs() []*part {
	return []*part{l.loader, l.gateway, l.hv, l.sink, l.driver, l.control}
}

// dcs runs a command, and says how much memory it took, in MB.
func (l *backupLab) dcs(args ...string) (out string, code int, peak float64) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root(l.t), "bin", "dcs"), args...)
	cmd.Env = append(os.Environ(), "DCS_VOLUMES_DIR="+l.volumes, "DCS_INSTALL_DIR="+l.install, "DCS_INFLUX_URL="+l.archive.url,
		"DCS_MONGO_URI="+l.uri, "DCS_BROKER=tcp://"+l.address())
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(l.t, err)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return b.String(), cmd.ProcessState.ExitCode(), float64(usage.Maxrss) / 1024
}

// backup makes one and reads its manifest.
func (l *backupLab) backup() (string, *backup.Manifest) {
	l.t.Helper()
	out, code, peak := l.dcs("backup", l.backups)
	require.Zero(l.t, code, out)
	names, err := backup.List(l.backups)
	require.NoError(l.t, err)
	dir := filepath.Join(l.backups, names[len(names)-1])
	m, err := backup.ReadManifest(dir)
	require.NoError(l.t, err)
	l.t.Logf("%s  %.1f MB of memory at its peak", out, peak)
	assert.Less(l.t, peak, 200.0, "MB")
	return dir, m
}

// links is how many backups share a file.
func links(t *testing.T, name string) uint64 {
	t.Helper()
	info, err := os.Stat(name)
	require.NoError(t, err)
	return uint64(info.Sys().(*syscall.Stat_t).Nlink)
}

// An installation under load is saved, loses everything, and goes on from what
// was saved.
func TestBackupRestore(t *testing.T) {
	l := startBackupLab(t)
	for _, p := range []*part{l.broker, l.influx, l.mongo, l.sim} {
		p.start()
	}
	for _, p := range l.programs() {
		p.launch()
	}
	for _, p := range l.programs() {
		p.awaitReady()
	}
	l.w = l.watch("/run/#", "/hv/#", "/ph2acf/#", "/service/#")

	// Three days of the past, and things that are hard to write down.
	today := time.Now().UTC().Truncate(24 * time.Hour)
	const perDay = 3000
	for n := range 3 {
		l.archive.write(statuses("old", fmt.Sprint("b", n), today.AddDate(0, 0, n-4), 1, perDay/4, nil)...)
	}
	l.archive.write(`odd\,\ one,where=a\ b\=c text="say \"x\" \\ ` + "\n" + `next",yes=true,n=-3i,x=0.1 1000000000123456789`)

	f := l.send("load", 20, 50*time.Millisecond)
	op := newDoor(t, l.url, filepath.Join(l.volumes, "gateway", "tls", "ca.pem")).enter("operator", "correct horse battery o")
	l.w.say("/hv/cmd/lock/2", []byte(`{"reason":"backup"}`))
	within(t, patience, "the lock", func() bool { _, err := os.Stat(l.locks); return err == nil })
	a := l.order(wire.RunCommand{Op: wire.Start, Procedure: "calibration", ID: "first", User: "e2e", Parameters: wire.Parameters{
		"module": "M12", "megabytes": 10.0, "duration": 1.0,
	}})
	require.Equal(t, wire.Accepted, a.Phase, a.Message)
	l.ends(a.Run, 2*patience)
	run := stored(t, l.db, a.Run, 2*patience)

	first, m := l.backup()
	require.Empty(t, m.Skipped)
	assert.Contains(t, m.Files, "config.tar.gz")
	assert.Equal(t, 3, m.Config.Files)
	oldDay := func(dir string, n int) string {
		return filepath.Join(dir, "influx", "old", today.AddDate(0, 0, n-4).Format(time.DateOnly)+".lp.gz")
	}
	assert.EqualValues(t, 1, links(t, oldDay(first, 0)))

	// Late for the second day: that one is read anew, the others are linked.
	l.archive.write(fmt.Sprintf("old,number=0 seq=9999,boot=\"b1\" %d", today.AddDate(0, 0, -3).Add(20*time.Hour).UnixNano()))
	head, code, _ := l.dcs("audit-log", "head", "--dir", l.auditDir)
	require.Zero(t, code, head)
	second, m := l.backup()
	assert.EqualValues(t, 2, links(t, oldDay(second, 0)))
	assert.EqualValues(t, 1, links(t, oldDay(second, 1)), "something came late")
	assert.EqualValues(t, 2, links(t, oldDay(second, 2)))
	assert.EqualValues(t, 3*perDay+1, m.Influx.Measurements["old"].Points())
	for what, args := range map[string][]string{"verify": {"backup", "--verify", second}, "by name": {"backup", "--verify", "latest", l.backups}} {
		out, code, _ := l.dcs(args...)
		require.Zero(t, code, "%s: %s", what, out)
	}
	wasUsers, wasLocks := readAll(t, l.users), readAll(t, l.locks)

	// The stack is in the way of a restore.
	out, code, _ := l.dcs("restore", second)
	require.Equal(t, 1, code, out)
	for _, want := range []string{"the stack runs", "not empty: calibration, gateway, hv", "InfluxDB is not empty", "MongoDB is not empty", "a program runs that holds"} {
		assert.Contains(t, out, want)
	}

	// Everything is lost.
	made := f.made()
	f.leave()
	for _, p := range append(l.programs(), l.sim, l.broker, l.influx, l.mongo) {
		p.kill()
	}
	for _, lost := range []string{"volumes", "meta", "data", "wal", "ferretdb", "mosquitto"} {
		require.NoError(t, os.RemoveAll(filepath.Join(l.dir, lost)), lost)
	}
	require.NoError(t, os.MkdirAll(l.brokerData, 0o750))
	out, code, _ = l.dcs("restore", second)
	require.Equal(t, 5, code, "no database: %s", out)
	l.influx.start()
	l.mongo.start()
	l.put("secrets/nodered_secret", "two")
	out, code, _ = l.dcs("restore", second)
	require.Equal(t, 1, code, out)
	assert.Contains(t, out, "secrets differ from those of the backup: nodered_secret: dcs init --from")
	l.put("secrets/nodered_secret", "one")

	out, code, peak := l.dcs("restore", second)
	require.Zero(t, code, out)
	t.Logf("%s  %.1f MB of memory at its peak", out, peak)

	// What was saved is what is there.
	n, err := l.points("old", "")
	require.NoError(t, err)
	assert.Equal(t, 3*perDay+1, n)
	text, err := l.archive.post("/query", url.Values{"db": {"dcs"}, "epoch": {"ns"}, "q": {`SELECT * FROM "odd, one"`}}, "")
	require.NoError(t, err)
	assert.Contains(t, text, `[1000000000123456789,-3,"say \"x\" \\ \nnext","a b=c",0.1,true]`)
	assert.Equal(t, wasUsers, readAll(t, l.users))
	assert.Equal(t, wasLocks, readAll(t, l.locks))
	again, err := l.db.Get(t.Context(), a.Run)
	require.NoError(t, err)
	assert.Equal(t, run, again)
	assert.GreaterOrEqual(t, filesAreRight(t, l.db, again), int64(10_000_000))

	// It goes on: the spool is emptied into the archive, which misses nothing.
	l.broker.start()
	l.sim.start()
	for _, p := range l.programs() {
		p.launch()
	}
	for _, p := range l.programs() {
		p.awaitReady()
	}
	within(t, patience, "an empty spool", func() bool { return l.loader.figure("dcs_loader_spool_pending_bytes") == 0 })
	// What the drivers said before the loader was there comes again.
	var v verdict
	for end := time.Now().Add(patience); time.Now().Before(end); lasts(t, 300*time.Millisecond) {
		if v, code = l.audit(); code == 0 {
			break
		}
	}
	if !assert.Zero(t, code, "dcs audit: %+v", v) {
		out, _ := l.archive.audit()
		t.Log(out)
	}
	assert.Zero(t, v.Missing)
	t.Logf("dcs audit: %+v; the senders had made %d statuses by the end", v, made)
	out, code, _ = l.dcs("audit-log", "verify", "--dir", l.auditDir, "--head", strings.Fields(head)[0])
	assert.Zero(t, code, out)
	status, answer := op.call("GET", "/devices", nil)
	assert.Equal(t, 200, status, "the session of before: %v", answer)
	l.w = l.watch("/run/#", "/hv/#", "/ph2acf/#", "/service/#")
	within(t, patience, "the lock", func() bool {
		return l.w.last(0, "/hv/status", func(b []byte) bool {
			var list []wire.Channel
			return json.Unmarshal(b, &list) == nil && len(list) > 2 && list[2].Locked == wire.Yes && list[1].Locked == wire.No
		})
	})
	next := l.order(wire.RunCommand{Op: wire.Start, Procedure: "calibration", ID: "second", User: "e2e", Parameters: wire.Parameters{"module": "M12", "duration": 1.0}})
	require.Equal(t, wire.Accepted, next.Phase, next.Message)
	assert.Equal(t, a.Run+1, next.Run, "the number goes on")
}

func readAll(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(b)
}

// An archive with what should not be in one: what can be saved comes back, and
// what cannot is told.
func TestBackupRestoreOdd(t *testing.T) {
	from, to := newArchive(t), newArchive(t)
	ask := func(a archive, q string) string {
		out, err := a.post("/query", url.Values{"db": {"dcs"}, "epoch": {"ns"}, "q": {q}}, "")
		require.NoError(t, err, out)
		return out
	}
	const month = int64(30 * 24 * time.Hour)
	at := func(n int64) string { return fmt.Sprint(1_700_000_000_000_000_000 + n*month) }
	// One field of four types, each in a week of its own; the outer ones are those
	// of which InfluxQL says nothing by itself.
	from.write(`mix,a=1 v=true `+at(0), `mix,a=1 v=3i,w=1 `+at(1), `mix,a=1 v=3.5 `+at(2), `mix,a=1 v="s" `+at(3), `mix,a=1 v=9007199254740993i `+at(4), `mix,a=1 v=false `+at(5))
	from.write(`half v=4i `+at(0), `half v=1.5 `+at(2), `wide v=1.7e308 `+at(0), `wide,b=1 v=1.7e308 `+at(0))
	from.write("edge i=1i -9223372036854775806", "edge i=3i -9223372036854775000", "edge i=2i 9223372036854775806")
	from.write("tag,k=\xf1 v=1 "+at(0), "tag,k=\xf2 v=1 "+at(0), "bad\xff v=1 "+at(0), "text s=\"x\xfd\" "+at(0))
	ask(from, "CREATE RETENTION POLICY other ON dcs DURATION INF REPLICATION 1")
	_, err := from.post("/write", url.Values{"db": {"dcs"}, "rp": {"other"}}, "elsewhere v=1 "+at(0))
	require.NoError(t, err)

	dir := t.TempDir()
	l := &backupLab{lab: &lab{stack: &stack{t: t, dir: dir, archive: from, ip: "127.0.0.1", brokerPort: freePort(t)}}, volumes: dir, install: dir}
	backups := filepath.Join(t.TempDir(), "backups")
	out, code, _ := l.dcs("backup", "--only", "influx", backups)
	require.Zero(t, code, out)
	_, said, found := strings.Cut(out, "WARNING: not in it, or not as it is (")
	require.True(t, found, out)
	for _, want := range []string{
		"5)", "retention policy other with elsewhere: save it with --bucket DATABASE/other", `: its name is no UTF-8`,
		`"tag": 2 points hold U+FFFD`, `"text": 1 points hold U+FFFD`, `"mix": 1 whole numbers from 2^53 on`,
	} {
		assert.Contains(t, said, want)
	}
	assert.NotContains(t, out, "LOOK AT THIS")
	names, err := backup.List(backups)
	require.NoError(t, err)
	name := filepath.Join(backups, names[0])
	l.archive = to
	out, code, _ = l.dcs("restore", name)
	require.Equal(t, 1, code, out)
	assert.Contains(t, out, "the backup has no volumes, mongo: it has influx; take another, or name what is to be restored: --only influx")
	out, code, _ = l.dcs("restore", "--only", "influx", name)
	require.Zero(t, code, out)
	for _, q := range []string{
		`SELECT "v"::float, "v"::string, "v"::boolean, w FROM mix`, "SELECT v::float FROM half", "SELECT i FROM edge", "SELECT v FROM wide GROUP BY *",
	} {
		assert.Equal(t, ask(from, q), ask(to, q), q)
	}
	assert.Contains(t, ask(to, `SELECT COUNT(v) FROM "tag"`), ",1]", "two that are one in the copy")

	// A database that is not there is no empty one.
	out, code, _ = l.dcs("backup", "--only", "influx", "--bucket", "nope", backups)
	require.Equal(t, 1, code, out)
	assert.Contains(t, out, "no such database: nope")
}

// How fast the archive goes out and in: DCS_BACKUP_POINTS of what a supply says.
func TestBackupRate(t *testing.T) {
	points := number(t, "DCS_BACKUP_POINTS", 200_000)
	from, to := newArchive(t), newArchive(t)
	begin := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3)
	step := 3 * 24 * time.Hour / time.Duration(points/channels+1)
	lines := make([]string, 0, 5000)
	for n := range points {
		at, v := begin.Add(time.Duration(n/channels)*step), 100+float64(n%1013)*1e-3
		lines = append(lines, fmt.Sprintf(`hv,number=%d on=1,vreq=100,ireq=0.001,vmon=%v,imon=%v,ramp=5,ramping=0,limited=0,trip=0,interlock=0,locked=0,seq=%d,boot="7f3a9c" %d`,
			n%channels, v, v*1e-8, n/channels+1, at.UnixNano()))
		if len(lines) == cap(lines) || n == points-1 {
			from.write(lines...)
			lines = lines[:0]
		}
	}
	dir := t.TempDir()
	l := &backupLab{lab: &lab{stack: &stack{t: t, dir: dir, archive: from, ip: "127.0.0.1", brokerPort: freePort(t)}}, volumes: dir, install: dir}
	l.backups = filepath.Join(t.TempDir(), "backups")
	var name string
	for _, what := range []string{"all of it", "again, linked"} {
		began := time.Now()
		out, code, peak := l.dcs("backup", "--only", "influx", l.backups)
		took := time.Since(began).Seconds() - 5 // of waiting for what is under way
		require.Zero(t, code, out)
		names, err := backup.List(l.backups)
		require.NoError(t, err)
		name = filepath.Join(l.backups, names[len(names)-1])
		m, err := backup.ReadManifest(name)
		require.NoError(t, err)
		require.EqualValues(t, points, m.Influx.Points())
		size := int64(0)
		for _, f := range m.Files {
			size += f.Size
		}
		t.Logf("out, %s: %d points in %.1f s: %.0f a second, %.1f bytes a point, %.1f MB of memory at its peak",
			what, points, took, float64(points)/took, float64(size)/float64(points), peak)
		assert.Less(t, peak, 200.0, "MB")
	}
	l.archive = to
	began := time.Now()
	out, code, peak := l.dcs("restore", "--only", "influx", name)
	require.Zero(t, code, out)
	took := time.Since(began).Seconds()
	t.Logf("in: %d points in %.1f s: %.0f a second, %.1f MB of memory at its peak", points, took, float64(points)/took, peak)
	assert.Less(t, peak, 200.0, "MB")
}
