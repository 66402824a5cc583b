package install

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/brokerauth"
	"trackerdcs/pkg/install/instruments"
)

const lab = `
instruments:
  hv: {driver: psu, model: iseg, address: "tcp://10.0.0.7:10001"}
  room: {driver: sensor, model: sine}
outside: {arduino: {}}
people: {alice: operator}
`

// place is an installation in a folder of its own.
type place struct {
	t   *testing.T
	dir string
	env map[string]string
	now time.Time
}

func newPlace(t *testing.T) *place {
	return &place{t: t, dir: t.TempDir(), env: map[string]string{}, now: time.Now()}
}

func (p *place) write(name, text string) {
	p.t.Helper()
	require.NoError(p.t, os.MkdirAll(filepath.Dir(filepath.Join(p.dir, name)), 0o755))
	require.NoError(p.t, os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644))
}

func (p *place) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, name))
	require.NoError(p.t, err)
	return string(b)
}

func (p *place) secret(name string) string { return p.read("secrets/" + name) }

func (p *place) try(o Options) (*Report, error) {
	o.Dir = p.dir
	o.Getenv = func(name string) string { return p.env[name] }
	o.Now = func() time.Time { return p.now }
	return Run(p.t.Context(), o)
}

func (p *place) run(o Options) *Report {
	p.t.Helper()
	r, err := p.try(o)
	require.NoError(p.t, err)
	return r
}

// files are all files with all that must not change: content, mode, time and inode.
func (p *place) files() map[string]string {
	p.t.Helper()
	found := make(map[string]string)
	require.NoError(p.t, filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(p.t, err)
		info, err := d.Info()
		require.NoError(p.t, err)
		text := info.Mode().String() + info.ModTime().String() + inode(info)
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			require.NoError(p.t, err)
			text += string(b)
		}
		found[path] = text
		return nil
	}))
	return found
}

func states(r *Report) map[string]State {
	m := make(map[string]State)
	for _, i := range r.Items {
		m[i.Name] = i.State
	}
	return m
}

var allSecrets = []string{
	"broker_alice", "broker_arduino", "broker_calibration", "broker_dcs", "broker_gateway", "broker_health", "broker_hv", "broker_loader", "broker_nodered",
	"broker_room", "broker_runcontrol", "ca_crt", "ca_key", "first_login", "first_users", "grafana_password", "influx_password", "influx_token",
	"mongo_password", "mongo_uri", "mongo_uri_backup", "mongo_uri_calibration", "mongo_uri_gateway", "mongo_uri_runcontrol",
	"mosquitto_acl", "mosquitto_crt", "mosquitto_key", "mosquitto_passwd", "nodered_gateway", "nodered_secret",
}

func TestFirstRun(t *testing.T) {
	p := newPlace(t)
	p.write("instruments.yml", lab)
	r := p.run(Options{})
	entries, err := os.ReadDir(filepath.Join(p.dir, "secrets"))
	require.NoError(t, err)
	var names []string
	values := make(map[string]string)
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		require.NoError(t, err)
		want := forAll
		if e.Name() == "ca_key" || e.Name() == "first_login" {
			want = forOwner
		}
		assert.Equal(t, want, info.Mode(), e.Name())
		text := p.secret(e.Name())
		if other, twice := values[text]; twice {
			t.Errorf("%s and %s are the same", e.Name(), other)
		}
		values[text] = e.Name()
	}
	assert.Equal(t, allSecrets, names)
	for name, want := range map[string]fs.FileMode{"secrets": 0o700 | fs.ModeDir, instruments.OverrideName: 0o644} {
		info, err := os.Stat(filepath.Join(p.dir, name))
		require.NoError(t, err)
		assert.Equal(t, want, info.Mode(), name)
	}
	for name, state := range states(r) {
		assert.Equal(t, Made, state, name)
	}

	hashes, err := brokerauth.ParsePasswd([]byte(p.secret("mosquitto_passwd")))
	require.NoError(t, err)
	assert.Len(t, hashes, 11)
	for name, hash := range hashes {
		password := p.secret("broker_" + name)
		assert.True(t, brokerauth.Verify(hash, password), name)
		assert.GreaterOrEqual(t, len(password), 26, name)
	}
	assert.Contains(t, p.secret("mosquitto_acl"), "# driver\nuser hv\n")
	assert.Contains(t, p.secret("mosquitto_acl"), "# operator\nuser dcs\n")
	assert.Equal(t, "mongodb://dcs:"+p.secret("mongo_password")+"@mongo:27017/?authSource=admin", p.secret("mongo_uri"))
	assert.Regexp(t, `^mongodb://backup:[A-Z2-7]{26}@mongo:27017/\?authSource=admin$`, p.secret("mongo_uri_backup"))

	require.NotNil(t, r.Login)
	assert.Regexp(t, `^[a-km-np-z2-9]{5}(-[a-km-np-z2-9]{5}){3}$`, r.Login.Password)
	assert.Equal(t, "name: admin\npassword: "+r.Login.Password+"\n", p.secret("first_login"))
	store, err := accounts.Open(filepath.Join(p.dir, "secrets", "first_users"))
	require.NoError(t, err)
	u, err := store.Authenticate(t.Context(), "admin", r.Login.Password)
	require.NoError(t, err)
	assert.Equal(t, accounts.Admin, u.Role)
	assert.Equal(t, []string{"docker compose up -d"}, r.Next)
	assert.Contains(t, strings.Join(r.Notes, "\n"), "alice, arduino: the password of a login at the broker is in secrets/broker_<name>")
}

// Run again it changes no byte, no mode, no time and no inode.
func TestSecondRunChangesNothing(t *testing.T) {
	p := newPlace(t)
	p.write("instruments.yml", lab)
	p.run(Options{})
	for _, without := range []string{"", "ca_key", "first_login"} { // kept elsewhere, as the README says
		if without != "" {
			require.NoError(t, os.Remove(filepath.Join(p.dir, "secrets", without)))
		}
		before := p.files()
		r := p.run(Options{})
		assert.Equal(t, before, p.files())
		assert.Nil(t, r.Login)
		for name, state := range states(r) {
			assert.Equal(t, There, state, name)
		}
	}
	// Modes that somebody has opened are put right.
	require.NoError(t, os.Chmod(filepath.Join(p.dir, "secrets"), 0o755))
	require.NoError(t, os.Chmod(filepath.Join(p.dir, "secrets", "influx_token"), 0o644))
	p.run(Options{})
	info, err := os.Stat(filepath.Join(p.dir, "secrets"))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
	info, err = os.Stat(filepath.Join(p.dir, "secrets", "influx_token"))
	require.NoError(t, err)
	assert.Equal(t, forAll, info.Mode())
}

// A new instrument, and one that is gone: the broker's lists follow, in place.
func TestInstrumentsComeAndGo(t *testing.T) {
	p := newPlace(t)
	p.write("instruments.yml", lab)
	p.run(Options{})
	before := p.files()
	hash := func() map[string]string {
		h, err := brokerauth.ParsePasswd([]byte(p.secret("mosquitto_passwd")))
		require.NoError(t, err)
		return h
	}
	old := hash()
	p.write("instruments.yml", "instruments: {lv: {driver: psu, model: hmp4040, address: \"tcp://a:1\"}}\n")
	r := p.run(Options{})
	assert.Equal(t, Made, states(r)["broker_lv"])
	for _, name := range []string{"mosquitto_passwd", "mosquitto_acl", instruments.OverrideName} {
		assert.Equal(t, Changed, states(r)[name], name)
	}
	now := hash()
	assert.Contains(t, now, "lv")
	assert.NotContains(t, now, "hv")
	assert.Equal(t, old["loader"], now["loader"], "a hash that is right stays")
	assert.NotContains(t, p.secret("mosquitto_acl"), "user hv\n")
	assert.NotContains(t, p.read(instruments.OverrideName), "hv")
	assert.Contains(t, strings.Join(r.Notes, "\n"), "secrets/broker_alice, secrets/broker_arduino, secrets/broker_hv, secrets/broker_room: no account has this name any more")
	assert.Equal(t, []string{"docker compose exec mosquitto sh -c 'kill -HUP 1'", "docker compose up -d"}, r.Next)
	after := p.files()
	for path, text := range before {
		if strings.Contains(path, "mosquitto_") && strings.HasSuffix(path, "passwd") {
			assert.NotEqual(t, text, after[path])
			info, err := os.Stat(path)
			require.NoError(t, err)
			assert.Contains(t, text, inode(info), "the same file, which the broker has mounted")
		} else if strings.Contains(path, "broker_") {
			assert.Equal(t, text, after[path], path)
		}
	}
	// What comes back has its old password.
	p.write("instruments.yml", lab)
	password := p.secret("broker_hv")
	p.run(Options{})
	assert.Equal(t, password, p.secret("broker_hv"))
	assert.True(t, brokerauth.Verify(hash()["hv"], password))
}

// A run that is cut short anywhere is made whole by the next one.
func TestMissingFilesAreMade(t *testing.T) {
	p := newPlace(t)
	p.write("instruments.yml", lab)
	login := p.run(Options{}).Login
	for _, name := range slices.Concat(allSecrets, []string{"../" + instruments.OverrideName}) {
		if name == "mosquitto_crt" || name == "mosquitto_key" || name == "ca_crt" || name == "ca_key" {
			continue // TestCertificates
		}
		require.NoError(t, os.Remove(filepath.Join(p.dir, "secrets", name)))
		if name == "first_login" {
			require.NoError(t, os.Remove(filepath.Join(p.dir, "secrets", "first_users")))
		}
		r := p.run(Options{})
		assert.Equal(t, Made, states(r)[filepath.Base(name)], name)
		if name == "first_users" {
			require.NotNil(t, r.Login)
			assert.NotEqual(t, login, r.Login, "first_login was made anew before")
			assert.Contains(t, p.secret("first_login"), r.Login.Password)
		}
	}
}

func TestSettingsOfCompose(t *testing.T) {
	p := newPlace(t)
	p.write(".env", "# our lab\nDCS_TOPIC_ROOT='lab1' # x\nexport DCS_TLS_HOSTS=gw.lab.example, 10.0.0.1\nX\n")
	r := p.run(Options{Hosts: []string{"[fe80::1]", "GW.lab.example"}})
	assert.Contains(t, p.secret("mosquitto_acl"), "topic write lab1/+/cmd/#")
	assert.Equal(t, []string{"mosquitto", "localhost", "gw.lab.example", "127.0.0.1", "::1", "10.0.0.1", "fe80::1"}, r.Hosts)
	p.env["DCS_TOPIC_ROOT"] = "lab2" // as Compose does it
	r = p.run(Options{})
	assert.Contains(t, p.secret("mosquitto_acl"), "topic write lab2/+/cmd/#")
	assert.Equal(t, []string{"docker compose exec mosquitto sh -c 'kill -HUP 1'", "docker compose up -d"}, r.Next, "the broker first: what starts anew finds its rights")
	assert.NoFileExists(t, filepath.Join(p.dir, instruments.OverrideName), "nothing names instruments")
}

func TestComposeFalse(t *testing.T) {
	p := newPlace(t)
	p.write("dummy.yml", "compose: false\ninstruments: {hv: {driver: psu}}\n")
	p.write(instruments.OverrideName, "services: {}\n")
	r := p.run(Options{Instruments: "dummy.yml"})
	assert.Equal(t, "services: {}\n", p.read(instruments.OverrideName))
	assert.FileExists(t, filepath.Join(p.dir, "secrets", "broker_hv"))
	assert.Contains(t, strings.Join(r.Notes, "\n"), "dummy.yml says compose: false: give docker compose the same -f as for this")
	assert.Equal(t, []string{"docker compose -f … up -d"}, r.Next)
}

// What is typed next starts the dummy stack, and not production.
func TestNextOfTheDummy(t *testing.T) {
	const both = "docker compose -f docker-compose.yml -f docker-compose.dummy.yml "
	p := newPlace(t)
	p.write("instruments.dummy.yml", "compose: false\ninstruments: {hv: {driver: psu}}\n")
	p.write("docker-compose.dummy.yml", "services: {}\n")
	dummy := Options{Instruments: "instruments.dummy.yml"}
	r := p.run(dummy)
	assert.Equal(t, []string{both + "up -d"}, r.Next)
	assert.Empty(t, r.Notes)
	dummy.Rotate = []string{"broker_hv", "first_login", "mongo_uri_gateway"}
	r = p.run(dummy)
	assert.Equal(t, []string{both + "exec mosquitto sh -c 'kill -HUP 1'", both + "run --rm runs_accounts", both + "restart gateway hv"}, r.Next)
	assert.Contains(t, r.LoginIf, both+"run --rm dcs user passwd admin")
	dummy.Rotate = []string{"influx_token"}
	_, err := p.try(dummy)
	require.ErrorContains(t, err, both+"exec influxdb")
	dummy.Rotate = nil
	p.write(".env", "COMPOSE_FILE=docker-compose.yml:docker-compose.local.yml\n")
	assert.Equal(t, []string{both + "up -d"}, p.run(dummy).Next)
	p.write(".env", "COMPOSE_FILE=docker-compose.yml:docker-compose.dummy.yml\n")
	assert.Equal(t, []string{"docker compose up -d"}, p.run(dummy).Next)
}
