package install

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/install/instruments"
)

// pack makes a packed configuration.
func pack(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range headers {
		text := h.Uname // carries the content
		h.Uname, h.Size = "", int64(len(text))
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		require.NoError(t, w.WriteHeader(&h))
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return b.Bytes()
}

func file(name, text string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Uname: text}
}

// saveTo makes a backup of what pkg/install cares for.
func saveTo(t *testing.T, packed []byte) string {
	t.Helper()
	dir := t.TempDir()
	sum := sha256.Sum256(packed)
	manifest := fmt.Sprintf(`{"format":1,"version":"0.1.0","files":{"config.tar.gz":{"size":%d,"sha256":%q}}}`, len(packed), hex.EncodeToString(sum[:]))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.tar.gz"), packed, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(manifest), 0o600))
	return dir
}

// An installation that was lost is there again, with the same secrets.
func TestFromBackup(t *testing.T) {
	lost := newPlace(t)
	lost.write("instruments.yml", lab)
	lost.write(".env", "DCS_TOPIC_ROOT=lab1\n")
	lost.run(Options{})
	headers := []tar.Header{
		{Typeflag: tar.TypeDir, Name: "secrets/", Mode: 0o700}, file("./instruments.yml", lab), file(".env", lost.read(".env")),
		file(instruments.OverrideName, lost.read(instruments.OverrideName)), file("cal/procedures.yml", "procedures:\n"), file("secrets/README.md", "old\n"),
	}
	for _, s := range allSecrets {
		headers = append(headers, file("secrets/"+s, lost.secret(s)))
	}
	backup := saveTo(t, pack(t, headers...))

	p := newPlace(t)
	p.write("secrets/README.md", "new\n") // of a clone
	r := p.run(Options{From: backup})
	for _, s := range allSecrets {
		assert.Equal(t, lost.secret(s), p.secret(s), s)
	}
	assert.Equal(t, lost.modes(), p.modes())
	assert.Equal(t, "DCS_TOPIC_ROOT=lab1\n", p.read(".env"))
	assert.Equal(t, "procedures:\n", p.read("cal/procedures.yml"))
	assert.Equal(t, "new\n", p.secret("README.md"))
	assert.Contains(t, strings.Join(r.Notes, "\n"), "secrets/README.md is another one than in the backup, and stays")
	assert.Nil(t, r.Login)
	assert.Equal(t, []string{"docker compose run --rm restore /backups/" + filepath.Base(backup), "docker compose up -d"}, r.Next)
	assert.Equal(t, 0, strings.Count(fmt.Sprint(r.Items), "made"))

	_, err := p.try(Options{From: backup})
	require.ErrorContains(t, err, "this installation has secrets already: secrets/broker_alice, ")
}

// modes are the modes of all secrets.
func (p *place) modes() map[string]os.FileMode {
	p.t.Helper()
	found := make(map[string]os.FileMode)
	for _, s := range append([]string{"."}, allSecrets...) {
		info, err := os.Stat(filepath.Join(p.dir, "secrets", s))
		require.NoError(p.t, err)
		found[s] = info.Mode()
	}
	return found
}

// The settings that come back may name another place of backups than the one in
// which this was found.
func TestFromBackupWithAnotherFolderOfBackups(t *testing.T) {
	for env, want := range map[string]string{
		"DCS_BACKUP_DIR=/mnt/disk\n": "the .env that came back has DCS_BACKUP_DIR=/mnt/disk: restore looks there now. Copy the backup to /mnt/disk/",
		"DCS_BACKUP_DIR=./backups\n": "",
		"DCS_LOG_LEVEL=info\n":       "",
	} {
		p := newPlace(t)
		backup := saveTo(t, pack(t, file(".env", env), file("secrets/influx_token", "t")))
		notes := strings.Join(p.run(Options{From: backup}).Notes, "\n")
		if want == "" {
			assert.NotContains(t, notes, "DCS_BACKUP_DIR", env)
			continue
		}
		assert.Contains(t, notes, want+filepath.Base(backup)+" before")
	}
}

func TestBadBackups(t *testing.T) {
	whole := pack(t, file("secrets/influx_token", "t"))
	link := tar.Header{Typeflag: tar.TypeSymlink, Name: "secrets/x", Linkname: "/etc/passwd"}
	hard := tar.Header{Typeflag: tar.TypeLink, Name: "secrets/x", Linkname: "instruments.yml"}
	damaged := func(name, old, text string) string {
		dir := saveTo(t, whole)
		b, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), bytes.Replace(b, []byte(old), []byte(text), 1), 0o600))
		return dir
	}
	for name, tt := range map[string]struct{ dir, want string }{
		"nothing there":    {t.TempDir(), "it is no complete backup: there is no manifest.json in it"},
		"not JSON":         {damaged("manifest.json", "{", ""), "manifest.json is damaged"},
		"newer":            {damaged("manifest.json", `"format":1`, `"format":2`), "it has format 2, made by dcs 0.1.0; this dcs knows up to 1: use a newer one"},
		"no format":        {damaged("manifest.json", `"format":1,`, ""), "is not one of dcs backup"},
		"no configuration": {damaged("manifest.json", "config.tar.gz", "volumes/hv.tar.gz"), "it has no configuration"},
		"changed":          {damaged("config.tar.gz", "\x1f", "\x00"), "config.tar.gz was changed: its SHA-256 is not the one in manifest.json"},
		"longer":           {damaged("config.tar.gz", "\x1f", "\x1f\x1f"), "config.tar.gz was changed"},
		"large":            {damaged("manifest.json", `"size":`, `"size":99999999`), "no configuration is that large"},
		"not gzip":         {saveTo(t, []byte("x")), "config.tar.gz: "},
		"up":               {saveTo(t, pack(t, file("../x", "x"))), `"../x" is no file of an installation`},
		"up within":        {saveTo(t, pack(t, file("secrets/../../x", "x"))), "is no file of an installation"},
		"absolute":         {saveTo(t, pack(t, file("/etc/x", "x"))), `"/etc/x" is no file of an installation`},
		"git":              {saveTo(t, pack(t, file(".git/hooks/post-checkout", "x"))), "is no file of an installation"},
		"link":             {saveTo(t, pack(t, link)), `"secrets/x" is neither a file nor a folder`},
		"hard link":        {saveTo(t, pack(t, hard)), "is neither a file nor a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			_, err := p.try(Options{From: tt.dir})
			require.ErrorContains(t, err, tt.want)
			assert.ErrorContains(t, err, "taking "+tt.dir)
			entries, err := os.ReadDir(p.dir)
			require.NoError(t, err)
			assert.Empty(t, entries, "nothing was made")
		})
	}
}

// A link in the installation leads nowhere.
func TestFromBackupFollowsNoLink(t *testing.T) {
	p, victim := newPlace(t), t.TempDir()
	require.NoError(t, os.Symlink(victim, filepath.Join(p.dir, "cal")))
	_, err := p.try(Options{From: saveTo(t, pack(t, file("cal/x", "x")))})
	require.Error(t, err)
	entries, err := os.ReadDir(victim)
	require.NoError(t, err)
	assert.Empty(t, entries)
}
