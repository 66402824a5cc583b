package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/install/instruments"
)

// What is wrong is said before anything is made.
func TestNothingIsMadeWhenSomethingIsWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		o     Options
		env   string
		want  []string
	}{
		"mistakes":         {map[string]string{"instruments.yml": "instruments: {hv: {driver: psu}}\npeople: {bob: boss}\n"}, Options{}, "", []string{"instruments.yml: line 1: instrument hv: model is missing", "instruments.yml: line 2: person bob"}},
		"no such file":     {nil, Options{Instruments: "lab.yml"}, "", []string{"there is no lab.yml: name the instruments in it, as instruments.example.yml shows"}},
		"override by hand": {map[string]string{"instruments.yml": lab, instruments.OverrideName: "services: {}\n"}, Options{}, "", []string{"docker-compose.override.yml was not made by dcs init, and is not overwritten", "remove it"}},
		"docker":           {map[string]string{"instruments.yml": "instruments: {hv: {driver: sensor, model: sine, docker: {cap_drop: x}}}\n"}, Options{}, "", []string{"instrument hv: docker: cap_drop has to be a list"}},
		"gone instruments": {map[string]string{instruments.OverrideName: "# Made by dcs init from instruments.yml\n"}, Options{}, "", []string{"instruments.yml is not there: put it back, or remove docker-compose.override.yml"}},
		"dummy":            {map[string]string{"instruments.yml": lab, "instruments.dummy.yml": "compose: false\n"}, Options{Instruments: "instruments.dummy.yml"}, "", []string{"this installation has instruments.yml: with instruments.dummy.yml, which says compose: false, its instruments would lose their logins", "Use another folder for the stack of instruments.dummy.yml"}},
		"dummy, override":  {map[string]string{instruments.OverrideName: "# Made by dcs init\n", "instruments.dummy.yml": "compose: false\n"}, Options{Instruments: "instruments.dummy.yml"}, "", []string{"this installation has docker-compose.override.yml"}},
		"no such backup":   {nil, Options{From: "/backups/20261121T020000Z"}, "", []string{"there is no /backups/20261121T020000Z: in the container only what is below the installation's folder and /backups can be seen"}},
		"root":             {nil, Options{}, "a/#", []string{"no wildcards"}},
		"host":             {nil, Options{Hosts: []string{"https://x"}}, "", []string{`"https://x" is neither the name nor the address of a host`}},
		"unknown secret":   {nil, Options{Rotate: []string{"broker_hv"}}, "", []string{`there is no secret "broker_hv" to renew: choose from broker_calibration, broker_dcs`}},
		"not yet there":    {nil, Options{Rotate: []string{"broker_dcs"}}, "", []string{"there is no secrets/broker_dcs yet: run this without --rotate"}},
		"a link":           {map[string]string{"secrets": ""}, Options{}, "", []string{"secrets is not a folder"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			for file, text := range tt.files {
				p.write(file, text)
			}
			p.env["DCS_TOPIC_ROOT"] = tt.env
			before := p.files()
			_, err := p.try(tt.o)
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Equal(t, before, p.files())
		})
	}
	_, err := Run(t.Context(), Options{Dir: filepath.Join(t.TempDir(), "none")})
	assert.ErrorContains(t, err, "the folder of the installation")
}

func TestDamagedSecrets(t *testing.T) {
	p := newPlace(t)
	p.write("instruments.yml", lab)
	p.run(Options{})
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(p.dir, "secrets", name)
		_ = os.Remove(path)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	put("influx_token", "\n")
	_, err := p.try(Options{})
	assert.ErrorContains(t, err, "secrets/influx_token is empty: remove it and run this again")
	put("influx_token", "by-hand\n")
	put("mosquitto_passwd", "dcs:nonsense\n") // is made from others
	put("mongo_password", "another")
	r := p.run(Options{})
	notes := strings.Join(r.Notes, "\n")
	assert.Contains(t, notes, "secrets/mosquitto_passwd was made anew")
	assert.Contains(t, notes, "secrets/mongo_uri has another password than secrets/mongo_password")
	assert.Equal(t, "by-hand\n", p.secret("influx_token"), "what is there stays")
	put("first_login", "x")
	require.NoError(t, os.Remove(filepath.Join(p.dir, "secrets", "first_users")))
	_, err = p.try(Options{})
	assert.ErrorContains(t, err, "secrets/first_login has no name and password")
	require.NoError(t, os.Remove(filepath.Join(p.dir, "secrets", "first_login")))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(p.dir, "secrets", "first_login")))
	_, err = p.try(Options{})
	assert.ErrorContains(t, err, "secrets/first_login is not a file")
}
