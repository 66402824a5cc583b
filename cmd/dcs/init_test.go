package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// initLine runs dcs init with these flags.
func initLine(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var c struct {
		Init initCmd `cmd:""`
	}
	parser, err := kong.New(&c, kong.Name("dcs"), kong.Exit(func(int) { t.Error("kong wants to exit") }))
	require.NoError(t, err)
	_, err = parser.Parse(append([]string{"init"}, args...))
	require.NoError(t, err)
	con, out, _ := printed()
	err = c.Init.run(t.Context(), con)
	return out.String(), err
}

func TestInit(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DCS_INSTRUMENTS", "lab.yml")
	t.Setenv("DCS_TOPIC_ROOT", "")
	t.Setenv("DCS_TLS_HOSTS", "")
	_, err := initLine(t, "--dir", dir)
	require.ErrorContains(t, err, "there is no lab.yml")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lab.yml"), []byte("instruments: {hv: {driver: sensor, model: sine}}\n"), 0o644))

	out, err := initLine(t, "--dir", dir, "--host", "mqtt.lab.example", "--host", "10.0.0.9")
	require.NoError(t, err)
	password, err := os.ReadFile(filepath.Join(dir, "secrets", "broker_hv"))
	require.NoError(t, err)
	assert.NotContains(t, out, string(password), "only the first login is shown")
	assert.Contains(t, out, "broker logins      8 made  calibration dcs gateway health hv loader nodered runcontrol\n")
	assert.Contains(t, out, "for mosquitto, localhost, mqtt.lab.example, 127.0.0.1, ::1, 10.0.0.9, until ")
	assert.Contains(t, out, "instruments        1 made  hv\n")
	assert.Contains(t, out, "Next:\n    docker compose up -d\n")
	assert.Regexp(t, `    name      admin\n    password  [a-z2-9-]{23}\n$`, out)

	out, err = initLine(t, "--dir", dir)
	require.NoError(t, err)
	assert.NotContains(t, out, "password  ")
	assert.NotContains(t, out, "made")
	out, err = initLine(t, "--dir", dir, "--rotate", "broker_hv", "--rotate", "mosquitto_crt")
	require.NoError(t, err)
	assert.Contains(t, out, "broker logins      1 renewed, 7 there  hv\n")
	assert.Contains(t, out, "docker compose restart hv\n")
	out, err = initLine(t, "--dir", dir, "--rotate", "first_login")
	require.NoError(t, err)
	assert.NotContains(t, out, "https://localhost", "a gateway that runs does not know it")
	assert.Regexp(t, `\nThis counts for a gateway that has no users yet\. .* there docker compose run --rm dcs user passwd admin changes the password\. It is also in secrets/first_login, .*:\n\n    name      admin\n    password  [a-z2-9-]{23}\n$`, out)
	_, err = initLine(t, "--dir", dir, "--from", filepath.Join(dir, "none"))
	require.ErrorContains(t, err, "this installation has secrets already")
}
