package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	setup "trackerdcs/pkg/install"
)

// install makes an installation's folder and its volumes.
func install(t *testing.T) Source {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"install/secrets/nodered_secret":            "one",
		"install/secrets/mosquitto_acl":             "topic read #",
		"install/secrets/ca_key":                    "key",
		"install/instruments.yml":                   "instruments:\n  a: {files: ['./deep/procedures.yml:/etc/x', '/etc/passwd:/x', '../volumes/hv/locks.json:/y']}\n",
		"install/docker-compose.yml":                "services: {}",
		"install/.env":                              "A=1",
		"install/deep/procedures.yml":               "x: 1",
		"install/README.md":                         "not ours to save",
		"install/node_modules/a.yml":                "no",
		"install/grafana/provisioning/ds/a.yml":     "yes",
		"install/grafana/src/a.ts":                  "no",
		"volumes/hv/locks.json":                     `{"2":{}}`,
		"volumes/hv/lock":                           "",
		"volumes/gateway/users.json":                "[]",
		"volumes/gateway/users.json.lock":           "",
		"volumes/gateway/audit/000001.jsonl":        "{}\n",
		"volumes/loader/spool/checkpoint":           "c",
		"volumes/loader/spool/0000000000000000.seg": "s",
		"volumes/tokens_grafana/token":              "secret of another installation",
		"volumes/influxdb/engine/data":              "big",
		"volumes/nodered/node_modules/x/one":        "x",
	} {
		full := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o750))
		require.NoError(t, os.WriteFile(full, []byte(content), 0o600))
	}
	v := filepath.Join(dir, "volumes")
	require.NoError(t, os.Chmod(filepath.Join(v, "gateway", "users.json"), 0o640))
	require.NoError(t, os.Chtimes(filepath.Join(v, "hv", "locks.json"), time.Time{}, time.Unix(1000, 123456789)))
	require.NoError(t, os.Symlink("x/one", filepath.Join(v, "nodered", "node_modules", "link")))
	require.NoError(t, os.Symlink("/etc/shadow", filepath.Join(v, "nodered", "outside")))
	elsewhere := filepath.Join(dir, "elsewhere")
	require.NoError(t, os.Mkdir(elsewhere, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(elsewhere, "cert"), []byte("certificate"), 0o600))
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(v, "linked")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(v, "broken")))
	require.NoError(t, os.WriteFile(filepath.Join(v, "stray.txt"), nil, 0o600))
	require.NoError(t, os.Symlink("../../elsewhere/cert", filepath.Join(dir, "install", "secrets", "mosquitto_crt")))
	require.NoError(t, os.Symlink("../../elsewhere", filepath.Join(dir, "install", "secrets", "folder")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(v, "hv", "pipe"), 0o600))
	require.NoError(t, os.Chmod(filepath.Join(v, "hv"), 0o700))
	return Source{Volumes: v, Install: filepath.Join(dir, "install")}
}

// entriesOf lists what is in a tar, in order.
func entriesOf(t *testing.T, name string) (names []string, content map[string]string) {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	content = make(map[string]string)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, content
		}
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		names = append(names, h.Name)
		content[h.Name] = string(b)
	}
}

func TestMakeAndRestore(t *testing.T) {
	src := install(t)
	o := Options{Dir: filepath.Join(t.TempDir(), "backups")}
	name, m, err := Make(t.Context(), src, o)
	require.NoError(t, err)
	dir := filepath.Join(o.Dir, name)
	assert.Equal(t, []string{"gateway", "hv", "linked", "loader", "nodered"}, slices.Sorted(maps.Keys(m.Volumes)))
	assert.Equal(t, []string{
		`volumes: "broken": stat ` + filepath.Join(src.Volumes, "broken") + ": no such file or directory", `volumes: "stray.txt": it is no folder`,
		"hv/pipe: it is no file, folder or link",
		"configuration/../volumes/hv/locks.json: a file of instruments that is not in the installation's folder",
		"configuration//etc/passwd: a file of instruments that is not in the installation's folder",
		"configuration/secrets/folder: a link to what is no file",
	}, m.Skipped)
	for what, mode := range map[string]fs.FileMode{dir: 0o700, filepath.Join(dir, configFile): 0o600, filepath.Join(dir, manifestName): 0o600} {
		info, err := os.Stat(what)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode().Perm(), what)
	}
	names, content := entriesOf(t, filepath.Join(dir, configFile))
	assert.Equal(t, []string{".env", "deep/procedures.yml", "docker-compose.yml", "grafana/provisioning/ds/a.yml", "instruments.yml",
		"secrets/ca_key", "secrets/mosquitto_acl", "secrets/mosquitto_crt", "secrets/nodered_secret"}, names)
	assert.Equal(t, "certificate", content["secrets/mosquitto_crt"])
	assert.Equal(t, "one", content["secrets/nodered_secret"])
	names, _ = entriesOf(t, filepath.Join(dir, volumeFile("loader")))
	assert.Equal(t, []string{"./", "spool/", "spool/checkpoint", "spool/0000000000000000.seg"}, names, "the checkpoint before what it is about")
	_, err = Verify(t.Context(), dir)
	require.NoError(t, err)

	to := Source{Volumes: filepath.Join(t.TempDir(), "new"), Install: src.Install}
	_, err = Restore(t.Context(), to, RestoreOptions{Backup: dir})
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(to.Volumes, "hv", "locks.json"))
	require.NoError(t, err)
	assert.True(t, info.ModTime().Equal(time.Unix(1000, 123456789)), info.ModTime())
	info, err = os.Stat(filepath.Join(to.Volumes, "hv"))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
	info, err = os.Stat(filepath.Join(to.Volumes, "gateway", "users.json"))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o640), info.Mode().Perm())
	target, err := os.Readlink(filepath.Join(to.Volumes, "nodered", "outside"))
	require.NoError(t, err)
	assert.Equal(t, "/etc/shadow", target)
	b, err := os.ReadFile(filepath.Join(to.Volumes, "nodered", "node_modules", "link"))
	require.NoError(t, err)
	assert.Equal(t, "x", string(b))
	assert.NoFileExists(t, filepath.Join(to.Volumes, "hv", "lock"))
	assert.NoDirExists(t, filepath.Join(to.Volumes, "tokens_grafana"))

	// What is in the way is told, all of it; --force replaces.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	release, err := lockOf(filepath.Join(to.Volumes, "gateway", "lock"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(src.Install, "secrets", "nodered_secret"), []byte("two"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(src.Install, "secrets", "mosquitto_acl"), []byte("made anew"), 0o600))
	require.NoError(t, os.Remove(filepath.Join(src.Install, "secrets", "ca_key")))
	require.NoError(t, os.RemoveAll(filepath.Join(to.Volumes, "loader")))
	require.NoError(t, os.WriteFile(filepath.Join(to.Volumes, "hv", "stray"), nil, 0o600))
	_, err = Restore(t.Context(), to, RestoreOptions{Backup: dir, Broker: "tcp://" + l.Addr().String()})
	for _, want := range []string{
		"the stack runs, its broker answers at " + l.Addr().String(), "a program runs that holds " + filepath.Join(to.Volumes, "gateway", "lock"),
		"not empty: gateway, hv, linked, nodered", "not there: loader", "secrets differ from those of the backup: ca_key, nodered_secret: dcs init --from " + dir,
	} {
		require.ErrorContains(t, err, want)
	}
	release()
	_, err = Restore(t.Context(), to, RestoreOptions{Backup: dir, Broker: "tcp://" + l.Addr().String(), Force: true, Only: []string{"volumes/hv", "volumes/loader"}})
	require.NoError(t, err)
	assert.NoFileExists(t, filepath.Join(to.Volumes, "hv", "stray"))
	assert.FileExists(t, filepath.Join(to.Volumes, "loader", "spool", "checkpoint"))
	assert.FileExists(t, filepath.Join(to.Volumes, "gateway", "lock"), "not asked for")
	for _, only := range []string{"volumes/x", "everything", "volumes/../x"} {
		_, err = Restore(t.Context(), to, RestoreOptions{Backup: dir, Force: true, Only: []string{only}})
		require.Error(t, err, only)
	}
}

// lockOf makes and holds a lock file.
func lockOf(name string) (func(), error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
}

// TestDamage: whatever is changed in a backup is found before a restore changes
// anything.
func TestDamage(t *testing.T) {
	src := install(t)
	o := Options{Dir: t.TempDir()}
	name, m, err := Make(t.Context(), src, o)
	require.NoError(t, err)
	dir := filepath.Join(o.Dir, name)
	to := Source{Volumes: filepath.Join(t.TempDir(), "new")}
	for file := range m.Files {
		whole, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		flipped := bytes.Clone(whole)
		flipped[len(flipped)/2] ^= 1
		for want, b := range map[string][]byte{"was changed": flipped, "bytes, not": whole[:len(whole)-1]} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), b, 0o600))
			_, err = Restore(t.Context(), to, RestoreOptions{Backup: dir, Force: true})
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, file)
		}
		require.NoError(t, os.Remove(filepath.Join(dir, file)))
		_, err = Restore(t.Context(), to, RestoreOptions{Backup: dir, Force: true})
		require.ErrorContains(t, err, file+" is missing")
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), whole, 0o600))
	}
	assert.NoDirExists(t, to.Volumes, "nothing was changed")
	manifest, err := os.ReadFile(filepath.Join(dir, manifestName))
	require.NoError(t, err)
	for want, change := range map[string]func(map[string]any){
		"use a newer one": func(m map[string]any) { m["format"] = Format + 1 },
		"which is not in it": func(m map[string]any) {
			m["files"].(map[string]any)["../../etc/passwd"] = map[string]any{"size": 1, "sha256": ""}
		},
		"not one of dcs backup": func(m map[string]any) { delete(m, "files") },
		"which cannot be": func(m map[string]any) {
			m["volumes"] = map[string]any{"../x": map[string]any{"files": 1, "bytes": 1}}
		},
	} {
		var changed map[string]any
		require.NoError(t, json.Unmarshal(manifest, &changed))
		change(changed)
		b, err := json.Marshal(changed)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, manifestName), b, 0o600))
		_, err = Restore(t.Context(), to, RestoreOptions{Backup: dir})
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, os.Remove(filepath.Join(dir, manifestName)))
	_, err = Restore(t.Context(), to, RestoreOptions{Backup: dir})
	require.ErrorContains(t, err, "no complete backup")
}

// tarOf makes a tar of headers; regular files have their own name as content.
func tarOf(t *testing.T, headers ...tar.Header) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode, h.Format = 0o600, tar.FormatPAX
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		require.NoError(t, w.WriteHeader(&h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, h.Name)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return &b
}

// TestHostileArchive: nothing is written outside of a volume.
func TestHostileArchive(t *testing.T) {
	file := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}
	}
	for what, headers := range map[string][]tar.Header{
		"absolute":              {file("/etc/passwd")},
		"upwards":               {file("../victim")},
		"upwards, hidden":       {file("a/../../victim")},
		"folder upwards":        {{Name: "../new/", Typeflag: tar.TypeDir}},
		"through a link":        {link("a", ".."), file("a/victim")},
		"through an absolute":   {link("a", "OUTSIDE"), file("a/victim")},
		"over a link":           {link("a", "../victim"), file("a")},
		"through a link, twice": {link("a", "b"), link("b", ".."), file("a/victim")},
		"a link up a link":      {link("a", ".."), link("a/victim", "x")},
		"hard link":             {{Name: "a", Linkname: "../victim", Typeflag: tar.TypeLink}},
		"device":                {{Name: "a", Typeflag: tar.TypeBlock}},
		"twice":                 {file("a"), file("a")},
		"no name":               {file(".")},
	} {
		t.Run(what, func(t *testing.T) {
			outside := t.TempDir()
			volume := filepath.Join(outside, "volume")
			require.NoError(t, os.Mkdir(volume, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(outside, "victim"), []byte("precious"), 0o600))
			for i := range headers {
				headers[i].Linkname = strings.ReplaceAll(headers[i].Linkname, "OUTSIDE", outside)
			}
			root, err := os.OpenRoot(volume)
			require.NoError(t, err)
			defer root.Close()
			_, err = unpack(t.Context(), root, tarOf(t, headers...), false)
			require.Error(t, err)
			b, err := os.ReadFile(filepath.Join(outside, "victim"))
			require.NoError(t, err)
			assert.Equal(t, "precious", string(b))
			entries, err := os.ReadDir(outside)
			require.NoError(t, err)
			assert.Len(t, entries, 2)
		})
	}
}

// TestMakeFails: what is not complete is not there.
func TestMakeFails(t *testing.T) {
	src := install(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(src.Volumes, "hv", "bad.db"), append(make([]byte, 16), 0xED, 0xDA, 0x0C, 0xED, 2, 0, 0, 0), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	_, _, err := Make(ctx, src, Options{Dir: dir})
	require.ErrorContains(t, err, "volumes: hv: bad.db is a bbolt database and was not whole")
	names, err := List(dir)
	require.NoError(t, err)
	assert.Empty(t, names)
	left, err := filepath.Glob(filepath.Join(dir, ".partial*"))
	require.NoError(t, err)
	assert.Empty(t, left)
	_, _, err = Make(ctx, src, Options{Dir: dir, KeepPartial: true})
	require.Error(t, err)
	left, err = filepath.Glob(filepath.Join(dir, ".partial*"))
	require.NoError(t, err)
	assert.Len(t, left, 1)
	require.NoError(t, os.Remove(filepath.Join(src.Volumes, "hv", "bad.db")))
	_, _, err = Make(ctx, src, Options{Dir: dir})
	require.NoError(t, err)
	left, err = filepath.Glob(filepath.Join(dir, ".partial*"))
	require.NoError(t, err)
	assert.Empty(t, left, "the next one tidies up")

	release, err := hold(dir)
	require.NoError(t, err)
	_, _, err = Make(ctx, src, Options{Dir: dir})
	require.ErrorIs(t, err, ErrBusy)
	names, err = List(dir)
	require.NoError(t, err)
	_, err = Restore(ctx, Source{Volumes: t.TempDir()}, RestoreOptions{Backup: filepath.Join(dir, names[0])})
	require.ErrorIs(t, err, ErrBusy)
	release()
	release, err = share(dir)
	require.NoError(t, err)
	_, _, err = Make(ctx, src, Options{Dir: dir})
	require.ErrorIs(t, err, ErrBusy, "one is being restored")
	release()
	_, _, err = Make(ctx, src, Options{Dir: filepath.Join(src.Volumes, "backups")})
	require.ErrorContains(t, err, "choose another folder")
	_, _, err = Make(ctx, Source{Volumes: filepath.Join(dir, "none")}, Options{Dir: dir, Now: func() time.Time { return time.Unix(1, 0) }})
	require.ErrorContains(t, err, "DCS_VOLUMES_DIR")
}

// TestGrowingFile: a log that is written to all the time is saved up to some
// place, in one piece.
func TestGrowingFile(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	f, err := root.Create("log")
	require.NoError(t, err)
	defer f.Close()
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = f.WriteString("one line of a log\n")
			}
		}
	}()
	c := &copier{root: root, temp: t.TempDir(), gap: time.Millisecond}
	out, err := c.copyFile(t.Context(), "log")
	close(stop)
	<-ended
	require.NoError(t, err)
	defer out.remove()
	b, err := io.ReadAll(out)
	require.NoError(t, err)
	assert.Len(t, b, int(out.size))
	assert.Equal(t, strings.Repeat("one line of a log\n", len(b)/18+1)[:len(b)], string(b))
	_, err = c.copyFile(t.Context(), "gone")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestSQLite(t *testing.T) {
	page := func(pages, counter, valid byte) []byte {
		b := make([]byte, 3*4096)
		copy(b, sqlMagic)
		b[16], b[31], b[27], b[95] = 16, pages, counter, valid
		return b
	}
	for what, tt := range map[string]struct {
		b    []byte
		want string
	}{
		"whole":                         {page(3, 7, 7), ""},
		"cut":                           {page(4, 7, 7), "it has 3 pages of 4"},
		"of a version without the size": {page(4, 7, 6), ""},
		"torn":                          {page(3, 7, 7)[:5000], "no whole pages"},
		"no pages":                      {append([]byte(sqlMagic), make([]byte, 100)...), "cannot be"},
	} {
		err := checkSQLite(bytes.NewReader(tt.b), int64(len(tt.b)))
		if tt.want == "" {
			require.NoError(t, err, what)
		} else {
			require.ErrorContains(t, err, tt.want, what)
		}
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "grafana.db"), page(3, 7, 7), 0o600))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	c := &copier{root: root, temp: t.TempDir()}
	out, err := c.copyOnce("grafana.db")
	require.NoError(t, err)
	defer out.remove()
	assert.Equal(t, sqlFile, out.kind)
	assert.Empty(t, out.doubt)
	assert.Nil(t, out.log)
	was := c.siblings("grafana.db")
	journal := filepath.Join(dir, "grafana.db-journal")
	require.NoError(t, os.WriteFile(journal, []byte("\xd9\xd5\x05\xf9 \xa1c\xd7"), 0o600))
	assert.NotEqual(t, was, c.siblings("grafana.db"))
	torn, err := c.copyOnce("grafana.db")
	require.NoError(t, err)
	torn.remove()
	assert.Contains(t, torn.doubt, "a transaction was under way")
	for _, ended := range []string{"", strings.Repeat("\x00", 100)} {
		require.NoError(t, os.WriteFile(journal, []byte(ended), 0o600))
		out, err := c.copyOnce("grafana.db")
		require.NoError(t, err)
		out.remove()
		assert.Empty(t, out.doubt)
	}

	// A database and its log are one; its index is made again.
	for _, name := range []string{"grafana.db-wal", "grafana.db-shm", "other.db-wal"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("log"), 0o600))
	}
	b := &maker{dir: t.TempDir(), log: slog.New(slog.DiscardHandler), manifest: &Manifest{Files: map[string]File{}}}
	_, err = b.archive("a.tar.gz", root, func(p *packer) error { return p.folder(t.Context(), ".") })
	require.NoError(t, err)
	names, content := entriesOf(t, filepath.Join(b.dir, "a.tar.gz"))
	assert.Equal(t, []string{"./", "grafana.db", "grafana.db-wal", "other.db-wal"}, names)
	assert.Equal(t, "log", content["grafana.db-wal"])
}

// Names are bytes: one that is no UTF-8 comes back as it was.
func TestNamesOfBytes(t *testing.T) {
	src := Source{Volumes: filepath.Join(t.TempDir(), "volumes")}
	name := filepath.Join(src.Volumes, "hv", "caf\xe9")
	require.NoError(t, os.MkdirAll(name, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(name, "\xff\xfe"), []byte("x"), 0o600))
	require.NoError(t, os.Symlink("\xff\xfe", filepath.Join(name, "link\xe9")))
	o := Options{Dir: t.TempDir()}
	made, _, err := Make(t.Context(), src, o)
	require.NoError(t, err)
	to := Source{Volumes: t.TempDir()}
	_, err = Restore(t.Context(), to, RestoreOptions{Backup: filepath.Join(o.Dir, made)})
	require.NoError(t, err)
	b, err := os.ReadFile(filepath.Join(to.Volumes, "hv", "caf\xe9", "link\xe9"))
	require.NoError(t, err)
	assert.Equal(t, "x", string(b))
}

// What dcs init --from would not take is not saved in vain, and nothing is saved
// where there is nothing.
func TestConfigTooLarge(t *testing.T) {
	assert.EqualValues(t, setup.MaxConfig, maxConfig)
	src := Source{Install: t.TempDir()}
	name := filepath.Join(src.Install, "instruments.dump.yml")
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	require.NoError(t, os.Truncate(name, maxConfig+1))
	_, _, err := Make(t.Context(), src, Options{Dir: t.TempDir()})
	require.ErrorContains(t, err, "configuration: it has 67108865 bytes, and a restore takes 67108864: the largest file is instruments.dump.yml")
	empty := t.TempDir()
	_, _, err = Make(t.Context(), Source{Volumes: empty}, Options{Dir: t.TempDir()})
	require.ErrorContains(t, err, "volumes: there is none in "+empty)
	backups := t.TempDir()
	require.NoError(t, os.Symlink(backups, filepath.Join(empty, "self")))
	_, _, err = Make(t.Context(), Source{Volumes: empty}, Options{Dir: filepath.Join(backups, "in")})
	require.ErrorContains(t, err, "choose another folder")
}
