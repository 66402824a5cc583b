package instruments

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden file anew")

// TestOverride: the compose file for the example, byte for byte. `go test
// -update` writes it; tools/composecheck can load it.
func TestOverride(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(tree, "instruments.example.yml"))
	require.NoError(t, err)
	f, err := parse(text, there)
	require.NoError(t, err)
	got, err := f.Override("instruments.yml")
	require.NoError(t, err)
	golden := filepath.Join("testdata", OverrideName)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
	assert.True(t, Generated(got))
	assert.False(t, Generated([]byte("services: {}\n")))
}

// load reads it back with another reader than what wrote it.
func load(t *testing.T, file string) map[string]any {
	t.Helper()
	f, err := parse([]byte(file), there)
	require.NoError(t, err)
	b, err := f.Override("instruments.yml")
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, yaml.UnmarshalWithOptions(b, &doc, yaml.Strict()), string(b))
	return doc
}

func at(t *testing.T, doc map[string]any, path ...string) any {
	t.Helper()
	var v any = doc
	for _, key := range path {
		m, ok := v.(map[string]any)
		require.True(t, ok, "%v", path)
		v = m[key]
	}
	return v
}

func TestOverrideSaysWhatTheEntrySays(t *testing.T) {
	doc := load(t, `
instruments:
  hv:
    driver: psu
    model: iseg
    address: "tcp://10.0.0.7:10001"
    settings: {labels: "1=a $b: \"c\" # d", limits: "0=0:500", log_level: debug}
    docker:
      environment: {TZ: Europe/Paris, DCS_LOG_LEVEL: warn, ON: "on", N: 1.5}
      mem_limit: 64m
      cap_drop: [ALL, NET_RAW]
      healthcheck: {test: [CMD, x], interval: 1m}
      extra_hosts: ["a:10.0.0.1"]
      deploy: {resources: {limits: {cpus: "0.5"}}}
      volumes: [{type: tmpfs, target: /t}]
  dht: {driver: sensor, model: dht, address: "serial:///dev/ttyACM0?baud=9600"}
  cal: {driver: ph2acf, base: "b:1", settings: {procedures: /p}, files: ["./p.yml:/p:ro", "/srv/$x:/x"]}
outside: {arduino: {}}
`)
	env := []string{"services", "hv", "environment"}
	assert.Equal(t, `1=a $$b: "c" # d`, at(t, doc, append(env, "DCS_LABELS")...), "a $ is no variable")
	assert.Equal(t, "warn", at(t, doc, append(env, "DCS_LOG_LEVEL")...), "docker has the last word")
	assert.Equal(t, "Europe/Paris", at(t, doc, append(env, "TZ")...))
	assert.Equal(t, "on", at(t, doc, append(env, "ON")...))
	assert.Equal(t, "/run/secrets/broker_hv", at(t, doc, append(env, "DCS_BROKER_PASSWORD_FILE")...))
	hv := at(t, doc, "services", "hv").(map[string]any)
	assert.Equal(t, "64m", hv["mem_limit"])
	assert.Equal(t, []any{"ALL", "NET_RAW"}, hv["cap_drop"])
	assert.Equal(t, []any{"CMD", "x"}, at(t, doc, "services", "hv", "healthcheck", "test"))
	assert.Equal(t, "6s", at(t, doc, "services", "hv", "healthcheck", "timeout"))
	assert.Equal(t, "0.5", at(t, doc, "services", "hv", "deploy", "resources", "limits", "cpus"))
	assert.Equal(t, []any{"hv:/data", map[string]any{"type": "tmpfs", "target": "/t"}}, hv["volumes"])
	assert.NotContains(t, hv, "devices")

	dht := at(t, doc, "services", "dht").(map[string]any)
	assert.Equal(t, []any{"/dev/ttyACM0:/dev/ttyACM0"}, dht["devices"])
	assert.Equal(t, []any{"${DCS_SERIAL_GROUP:-20}"}, dht["group_add"])

	cal := at(t, doc, "services", "cal").(map[string]any)
	assert.Equal(t, "trackerdcs/ph2acf:${DCS_VERSION:-0.1.0}-cal", cal["image"])
	assert.Equal(t, true, cal["init"])
	assert.Equal(t, "512m", cal["mem_limit"])
	volumes := cal["volumes"].([]any)
	require.Len(t, volumes, 3)
	assert.Equal(t, map[string]any{"type": "bind", "source": "/srv/$$x", "target": "/x", "read_only": true, "bind": map[string]any{"create_host_path": false}}, volumes[2])

	assert.Equal(t, []any{"${DCS_MQTTS_BIND:-0.0.0.0}:8883:8883"}, at(t, doc, "services", "mosquitto", "ports"))
	assert.Equal(t, []any{"cal:/volumes/cal:ro", "dht:/volumes/dht:ro", "hv:/volumes/hv:ro"}, at(t, doc, "services", "backup", "volumes"))
	assert.Equal(t, []any{"cal:/volumes/cal", "dht:/volumes/dht", "hv:/volumes/hv"}, at(t, doc, "services", "restore", "volumes"))
	assert.Len(t, at(t, doc, "volumes"), 3)
	assert.Equal(t, "./secrets/broker_cal", at(t, doc, "secrets", "broker_cal", "file"))
}

// What is made here is not asked of a registry; an image of somebody else's is.
func TestOverridePulls(t *testing.T) {
	doc := load(t, `
instruments:
  a: {driver: sensor, model: sine}
  b: {driver: sensor, model: sine, docker: {image: "lab/gauge:1.0"}}
  c: {driver: sensor, model: sine, docker: {image: "lab/gauge:1.0", pull_policy: always}}
`)
	services := at(t, doc, "services").(map[string]any)
	assert.Equal(t, "never", services["a"].(map[string]any)["pull_policy"])
	assert.NotContains(t, services["b"], "pull_policy")
	assert.Equal(t, "always", services["c"].(map[string]any)["pull_policy"])
}

func TestOverrideWithoutInstruments(t *testing.T) {
	doc := load(t, "people: {alice: operator}\n")
	assert.Empty(t, at(t, doc, "services"))
	doc = load(t, "outside: {a: {}}\n")
	assert.Len(t, at(t, doc, "services"), 1)
}

func TestDockerThatDoesNotFit(t *testing.T) {
	for docker, want := range map[string]string{
		"environment: [A=b]":          "environment has to be keys with values",
		"cap_drop: ALL":               "cap_drop has to be a list",
		"mem_limit: {a: b}":           "mem_limit has to be one value",
		"healthcheck: {test: CMD x}":  "healthcheck.test has to be a list",
		"depends_on: [mosquitto]":     "depends_on has to be keys with values",
		"build: {args: {BIN: [psu]}}": "", // Compose says what it thinks of it
	} {
		f, err := parse([]byte("instruments:\n  hv: {driver: sensor, model: sine, docker: {"+docker+"}}\n"), there)
		require.NoError(t, err, docker)
		_, err = f.Override("lab.yml")
		if want == "" {
			assert.NoError(t, err)
			continue
		}
		assert.ErrorContains(t, err, "lab.yml: instrument hv: docker: "+want)
	}
}
