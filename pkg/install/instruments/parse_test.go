package instruments

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/brokerauth"
)

func there(string) bool { return true }

const good = `{driver: psu, model: iseg, address: "tcp://10.0.0.7:10001"}`

func TestMistakesAreNamed(t *testing.T) {
	entry := func(what string) string { return "instruments:\n  hv: " + what + "\n" }
	for name, tt := range map[string]struct{ text, want string }{
		"empty":            {"", "the file is empty: begin it with instruments:"},
		"comment alone":    {"# nothing\n", "the file is empty: begin it with instruments:"},
		"not YAML":         {"instruments: {hv: [", "not YAML"},
		"two documents":    {"instruments:\n---\npeople: {}\n", "put everything into one, without ---"},
		"a list":           {"- hv\n", "line 1: the file has to be keys with values"},
		"unknown part":     {"instrument: {}\n", `line 1: unknown key "instrument": allowed are compose, instruments, outside, people`},
		"part twice":       {"people: {}\npeople: {}\n", "line 2"},
		"compose":          {"compose: maybe\n", "line 1: compose has to be true or false"},
		"entry is a word":  {entry("psu"), "line 2: instrument hv: an instrument has to be keys with values, each as key: value"},
		"unknown key":      {entry(`{driver: psu, model: iseg, where: "tcp://a:1"}`), `line 2: instrument hv: unknown key "where": allowed are address, base, docker, driver, files, model, settings`},
		"no driver":        {entry("{model: iseg}"), "line 2: instrument hv: driver is missing: one of ph2acf, psu, sensor"},
		"unknown driver":   {entry("{driver: pus, model: iseg}"), `line 2: instrument hv: unknown driver "pus": one of ph2acf, psu, sensor`},
		"empty driver":     {entry(`{driver: "", model: iseg}`), "driver is empty: give it a value, or leave it out"},
		"driver is a list": {entry(`{driver: [psu]}`), "driver has to be a text"},
		"two lines":        {entry(`{driver: psu, model: "is\neg", address: "tcp://a:1"}`), "model has a line end or another invisible character in it"},
		"no model":         {entry(`{driver: psu, address: "tcp://a:1"}`), "line 2: instrument hv: model is missing: psu has hmp4040, iseg"},
		"unknown model":    {entry(`{driver: psu, model: caen, address: "tcp://a:1"}`), `unknown model "caen": psu has hmp4040, iseg`},
		"model of another": {entry(`{driver: sensor, model: iseg, address: "tcp://a:1"}`), `unknown model "iseg": sensor has dht, sine`},
		"no address":       {entry("{driver: psu, model: iseg}"), "line 2: instrument hv: address is missing: where the instrument is"},
		"bad address":      {entry(`{driver: psu, model: iseg, address: "10.0.0.7"}`), "it does not begin with tcp:// or serial://"},
		"no port":          {entry(`{driver: psu, model: iseg, address: "tcp://10.0.0.7"}`), "no port"},
		"device elsewhere": {entry(`{driver: psu, model: iseg, address: "serial:///tmp/x"}`), "a serial line is below /dev/"},
		"device and colon": {entry(`{driver: psu, model: iseg, address: "serial:///dev/serial/by-path/pci-0:0"}`), "take the name below /dev/serial/by-id/"},
		"its own name":     {"instruments:\n  hv: {driver: psu, model: iseg, address: \"tcp://hv:10001\"}\n", `line 2: instrument hv: address "tcp://hv:10001": in Docker's network hv is the name of a container and not of the instrument: use its address or full name`},
		"another's name":   {"instruments:\n  hv: {driver: psu, model: iseg, address: \"tcp://LV:1\"}\n  lv: " + good + "\n", "line 2: instrument hv: address \"tcp://LV:1\": in Docker's network LV"},
		"a service's name": {entry(`{driver: psu, model: iseg, address: "tcp://mosquitto:1"}`), "in Docker's network mosquitto is the name of a container"},
		"localhost":        {entry(`{driver: psu, model: iseg, address: "tcp://localhost:1"}`), "in its container localhost is the driver itself"},
		"loopback":         {entry(`{driver: psu, model: iseg, address: "tcp://[::1]:1"}`), "in its container ::1 is the driver itself"},
		"ph2acf's model":   {entry("{driver: ph2acf, model: x, settings: {procedures: /p}}"), "model: ph2acf has none: leave it out"},
		"no procedures":    {entry("{driver: ph2acf}"), "setting procedures is missing: settings: {procedures: …}"},
		"base":             {entry(strings.Replace(good, "{", `{base: "x:1", `, 1)), "base: psu starts no programs of yours: leave it out"},
		"unknown setting":  {entry(with("limit: 1")), `unknown setting "limit": psu has limits, labels, pad_channels, period, backlog, log_level, log_format`},
		"capital setting":  {entry(with("DCS_LIMITS: 1")), `setting "DCS_LIMITS": write DCS_LIMITS as limits`},
		"own setting":      {entry(with("device: x")), "setting device: it is the entry's name"},
		"root":             {entry(with("topic_root: x")), "setting topic_root: set DCS_TOPIC_ROOT in .env: it is the same for all"},
		"bad limits":       {entry(with("limits: \"0=1\"")), `setting limits: "0=1": want channel=min:max`},
		"bad period":       {entry(with("period: 1")), `setting period: "1" is not a time, as 1s or 500ms`},
		"bad level":        {entry(with("log_level: loud")), `"loud" is not debug, info, warn or error`},
		"bad padding":      {entry(with("pad_channels: yes please")), `"yes please" is neither true nor false`},
		"legacy":           {entry(`{driver: sensor, model: sine, settings: {legacy_sensor: a/b}}`), "use letters, digits, _ and - only"},
		"files is a text":  {entry(files(`./a:/b`)), "files has to be a list"},
		"no place":         {entry(files(`["./a"]`)), `files: "./a" is not file:place, as in ./procedures.yml:/etc/dcs/procedures.yml`},
		"a volume":         {entry(files(`["a:/b"]`)), "is not file:place"},
		"over data":        {entry(files(`["./a:/data/x"]`)), "/data/x is the driver's own: choose another place"},
		"no file":          {entry(files(`["./none:/b"]`)), "files: there is no ./none: make it first, or mend the path"},
		"docker":           {entry(strings.Replace(good, "{", "{docker: [a], ", 1)), "docker has to be keys of a compose service"},
		"bad name":         {"instruments:\n  h v: " + good + "\n", `line 2: instrument h v: name "h v": use letters, digits, _ and - only`},
		"reserved":         {"instruments:\n  run: " + good + "\n", `name "run" is reserved: choose another`},
		"cmd":              {"outside:\n  cmd: {}\n", `name "cmd" is reserved: choose another`},
		"ours":             {"people:\n  Grafana: viewer\n", `line 2: person Grafana: name "Grafana" is that of a part of the stack: choose another`},
		"tokens":           {"instruments:\n  tokens_x: " + good + "\n", "is that of a part of the stack"},
		"an option":        {"outside:\n  -rf: {}\n", "would look like an option"},
		"long":             {"outside:\n  " + strings.Repeat("x", 64) + ": {}\n", "the name has 64 characters: at most 63"},
		"twice":            {"instruments:\n  hv: " + good + "\n  hv: " + good + "\n", "line 3"},
		"twice over parts": {"instruments:\n  hv: " + good + "\noutside:\n  HV: {}\n", "line 4: outside device HV: instrument hv has this name already"},
		"outside's key":    {"outside:\n  a: {topic: x}\n", `line 2: outside device a: unknown key "topic": allowed are topics`},
		"outside's topic":  {"outside:\n  a: {topics: [\"/hv/status\"]}\n", "only /sensor/<name>/… can be given away"},
		"a role":           {"people:\n  alice: admin\n", `line 2: person alice: role "admin": operator may command, viewer may look`},
		"no role":          {"people:\n  alice:\n", "line 2: person alice: the role"},
		"not heeded":       {"compose: false\n" + entry(good), "line 3: instrument hv: model: with compose: false nothing is started from here"},
		"not heeded late":  {entry("{driver: psu, settings: {limits: \"0=0:1\"}}") + "compose: false\n", "setting limits: with compose: false only legacy_sensor counts"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse([]byte(tt.text), func(f string) bool { return f != "./none" })
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

func with(setting string) string {
	return `{driver: psu, model: iseg, address: "tcp://a:1", settings: {` + setting + `}}`
}

func files(list string) string {
	return `{driver: ph2acf, settings: {procedures: /p}, files: ` + list + `}`
}

// All at once, in order of lines, each with the file's name.
func TestAllMistakesAtOnce(t *testing.T) {
	_, err := parse([]byte("people:\n  bob: boss\ninstruments:\n  hv: {driver: psu}\n  run: {driver: x}\n"), there)
	lines := strings.Split(inFile("lab.yml", err).Error(), "\n")
	require.Len(t, lines, 5)
	for i, want := range []string{"line 2: person bob", "line 4: instrument hv: model", "line 4: instrument hv: address", "line 5: instrument run: name", "line 5: instrument run: unknown driver"} {
		assert.True(t, strings.HasPrefix(lines[i], "lab.yml: "+want), lines[i])
	}
}

func TestParse(t *testing.T) {
	f, err := parse([]byte(`
people: {carol: viewer, alice: operator}
outside: {shelly: {topics: ["shellies/pump/#"]}, cleanroom: {}, arduino: }
instruments:
  hv: {driver: psu, model: iseg, address: "tcp://hv.lab.example:10001"}
  lv: {driver: psu, model: hmp4040, address: "serial:///dev/ttyACM0", settings: {period: 500ms, pad_channels: true}}
  dht: {driver: sensor, model: dht, address: "tcp://a:1", settings: {legacy_sensor: room}}
`), there)
	require.NoError(t, err)
	assert.True(t, f.Compose)
	assert.Equal(t, []string{"dht", "hv", "lv"}, f.Names())
	assert.Equal(t, map[string]string{"DCS_PERIOD": "500ms", "DCS_PAD_CHANNELS": "true"}, f.Instruments[2].Settings)
	assert.Equal(t, []brokerauth.Account{
		{Name: "dht", Role: brokerauth.Driver, Topics: []string{"/sensor/room/#"}},
		{Name: "hv", Role: brokerauth.Driver},
		{Name: "lv", Role: brokerauth.Driver},
		{Name: "arduino", Role: brokerauth.Outside},
		{Name: "cleanroom", Role: brokerauth.Outside},
		{Name: "shelly", Role: brokerauth.Outside, Topics: []string{"shellies/pump/#"}},
		{Name: "alice", Role: brokerauth.Operator},
		{Name: "carol", Role: brokerauth.Viewer},
	}, f.Accounts())
	for _, text := range []string{"instruments:\n", "instruments: {}\n", "people: {a: viewer}\n"} {
		_, err := parse([]byte(text), there)
		assert.NoError(t, err, text)
	}
}
