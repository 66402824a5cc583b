// Package composecheck_test reads the compose files as Docker Compose does and
// checks what the stack promises of them. Run it with -count=1: go test does not
// see that files outside the module have changed. A module of its own keeps the
// reader's dependencies out of ours.
package composecheck_test

import (
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const root = "../.."

// The combinations that README and contract promise, with the services that
// each must have.
var combinations = []struct {
	name     string
	files    []string
	services []string
}{
	{"production", []string{"docker-compose.yml"}, production},
	{"dev", []string{"docker-compose.yml", "docker-compose.dev.yml"}, production},
	{"dummy", []string{"docker-compose.yml", "docker-compose.dummy.yml"}, dummy},
	{"dev and dummy", []string{"docker-compose.yml", "docker-compose.dev.yml", "docker-compose.dummy.yml"}, dummy},
}

var (
	production = []string{"mosquitto", "influxdb", "archive_accounts", "mongo", "runs_accounts", "grafana", "nodered", "gateway",
		"loader", "runcontrol", "calibration", "backup"}
	dummy = append(slices.Clone(production), "hv", "lv", "sensor_1", "dht_room", "ph2acf", "sim_hv", "sim_lv", "sim_dht")

	// They do their work and end; others start when they have.
	once = []string{"archive_accounts", "runs_accounts"}
	// For people: a profile keeps them from starting with the others.
	tools = []string{"init", "restore", "dcs"}

	// Settings of the programs that we run and did not write.
	foreign = []string{"DOCKER_INFLUXDB_INIT_", "INFLUXD_", "MONGO_INITDB_", "GF_", "NODERED_"}

	pinned = regexp.MustCompile(`:v?\d+\.\d+[\w.-]*$`)

	// The folders in which programs live.
	programs = []string{"drivers", "services", "cmd"}
)

func TestCombinations(t *testing.T) {
	all := append(slices.Clone(combinations), struct {
		name     string
		files    []string
		services []string
	}{"production with instruments", []string{"docker-compose.yml", made(t)}, append(slices.Clone(production), "hv", "lv", "dht_room", "ph2acf")})
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			p := load(t, tt.files)
			for _, name := range tt.services {
				if _, ok := p.Services[name]; !ok {
					t.Errorf("service %s is missing", name)
				}
			}
			for _, name := range slices.Sorted(maps.Keys(p.Services)) {
				for _, problem := range check(p.Services[name]) {
					t.Errorf("service %s: %s", name, problem)
				}
			}
			checkNames(t, p)
			for _, problem := range checkProject(p) {
				t.Error(problem)
			}
		})
	}
}

// made is the override file that dcs init makes of the example of instruments.yml.
func made(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for from, to := range map[string]string{"instruments.example.yml": "instruments.yml", "drivers/ph2acfsim/procedures.yml": "procedures.yml"} {
		b, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", "-C", root, "run", "./cmd/dcs", "init", "--dir", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("dcs init: %v: %s", err, out)
	}
	return filepath.Join(dir, "docker-compose.override.yml")
}

func checkProject(p *types.Project) []string {
	return slices.Concat(checkPorts(p), checkImages(p), checkSecrets(p), checkLogins(p), checkMounts(p), checkOrder(p), checkBackup(p))
}

func load(t *testing.T, files []string) *types.Project {
	t.Helper()
	var paths []string
	for _, f := range files {
		if !filepath.IsAbs(f) {
			f = filepath.Join(root, f)
		}
		paths = append(paths, f)
	}
	// No variable set: what an operator gets who sets none.
	opts, err := cli.NewProjectOptions(paths, cli.WithWorkingDirectory(root), cli.WithEnv(nil), cli.WithProfiles([]string{"tools"}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := opts.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// check returns what is wrong with a service.
func check(s types.ServiceConfig) (problems []string) {
	bad := func(what string) { problems = append(problems, what) }
	if !pinned.MatchString(s.Image) {
		bad("image " + s.Image + " is not pinned to a version")
	}
	stays := !slices.Contains(once, s.Name) && !slices.Contains(tools, s.Name)
	if stays && (s.HealthCheck == nil || s.HealthCheck.Disable || len(s.HealthCheck.Test) == 0) {
		bad("no health check")
	}
	if stays && s.Restart != "unless-stopped" || slices.Contains(once, s.Name) && s.Restart != "on-failure" {
		bad("it does not come back after a failure")
	}
	for what, there := range map[string]bool{
		"its file system can be written to":    s.ReadOnly,
		"it has capabilities":                  slices.Equal(s.CapDrop, []string{"ALL"}),
		"it can gain privileges":               slices.Contains(s.SecurityOpt, "no-new-privileges:true"),
		"its memory has no limit":              s.MemLimit > 0,
		"its number of processes has no limit": s.PidsLimit > 0,
		"its log has no limit":                 s.Logging != nil && s.Logging.Options["max-size"] != "",
	} {
		if !there {
			bad(what)
		}
	}
	for _, p := range s.Ports {
		door := s.Name == "gateway" || s.Name == "mosquitto" && p.Target == 8883 // for people; with TLS for devices outside
		if a, err := netip.ParseAddr(p.HostIP); !door && (err != nil || !a.IsLoopback()) {
			bad("port " + p.Published + " is open to the network (" + p.HostIP + ")")
		}
	}
	for key := range s.Environment {
		known := strings.HasPrefix(key, "DCS_") ||
			slices.ContainsFunc(foreign, func(p string) bool { return strings.HasPrefix(key, p) })
		if !known {
			bad("unknown setting " + key)
		}
		for _, secret := range []string{"PASSWORD", "TOKEN", "SECRET"} {
			if strings.Contains(key, secret) && !strings.HasSuffix(key, "_FILE") && !strings.HasSuffix(key, "_DIR") {
				bad("setting " + key + " is a secret in the clear: use its _FILE")
			}
		}
	}
	for key, v := range s.Environment {
		if v != nil && strings.Contains(*v, "://") && strings.Contains(*v, "@") {
			bad("setting " + key + " has a login in the clear: use its _FILE")
		}
		if strings.HasSuffix(key, "_FILE") && v != nil && *v != "" {
			if !mounted(s, *v) {
				bad("setting " + key + " names " + *v + ", which is not mounted")
			}
		}
	}
	return append(problems, checkBuild(s)...)
}

// mounted tells whether a container has a file: a secret, a token, or what is in
// a volume of its own.
func mounted(s types.ServiceConfig, file string) bool {
	if name, ok := strings.CutPrefix(file, "/run/secrets/"); ok {
		return slices.ContainsFunc(s.Secrets, func(r types.ServiceSecretConfig) bool { return r.Source == name })
	}
	return slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return strings.HasPrefix(file, v.Target+"/") })
}

// checkBuild compares what is built with what is there.
func checkBuild(s types.ServiceConfig) (problems []string) {
	ours := strings.HasPrefix(s.Image, "trackerdcs/")
	if ours && s.PullPolicy != types.PullPolicyNever {
		problems = append(problems, "a registry is asked for the image "+s.Image+", where anybody may have the name")
	}
	switch {
	case ours && s.Build == nil:
		return append(problems, "image "+s.Image+" is ours and has no build")
	case !ours:
		return nil
	}
	bin := s.Build.Args["BIN"]
	if bin == nil {
		if s.Build.Dockerfile == "" || s.Build.Dockerfile == "Dockerfile" {
			return append(problems, "no BIN says what is built")
		}
		if !exists(s.Build.Dockerfile) {
			return append(problems, "no file "+s.Build.Dockerfile)
		}
		return problems
	}
	for _, name := range append([]string{*bin}, extras(s)...) {
		if !slices.ContainsFunc(programs, func(dir string) bool { return exists(filepath.Join(dir, name, "main.go")) }) {
			problems = append(problems, "there is no program "+name)
		}
	}
	for arg := range s.Build.Args {
		if !declared("Dockerfile", arg) {
			problems = append(problems, "the Dockerfile has no argument "+arg)
		}
	}
	if !strings.HasPrefix(s.Image, "trackerdcs/"+*bin+":") {
		problems = append(problems, "image "+s.Image+" is built from "+*bin)
	}
	return problems
}

func exists(file string) bool {
	_, err := os.Stat(filepath.Join(root, file))
	return err == nil
}

// checkNames finds two programs with one name on the bus, and addresses of
// services that are not there.
func checkNames(t *testing.T, p *types.Project) {
	t.Helper()
	devices := make(map[string]string)
	host := regexp.MustCompile(`^(?:tcp|http)://([a-z_0-9]+):`)
	for name, s := range p.Services {
		if d := s.Environment["DCS_DEVICE"]; d != nil {
			if other, ok := devices[*d]; ok {
				t.Errorf("services %s and %s are both device %s", name, other, *d)
			}
			devices[*d] = name
		}
		for key, v := range s.Environment {
			if v == nil {
				continue
			}
			m := host.FindStringSubmatch(*v)
			if m == nil {
				continue
			}
			if _, ok := p.Services[m[1]]; !ok {
				t.Errorf("service %s: %s names %s, which is no service", name, key, m[1])
			}
		}
	}
}

// Grafana takes the word of whoever reaches it for who somebody is, and in
// Node-RED people run code of their own; drivers need no database.
func TestNetworks(t *testing.T) {
	p := load(t, []string{"docker-compose.yml", "docker-compose.dummy.yml"})
	share := func(a, b string) bool {
		for n := range p.Services[a].Networks {
			if _, ok := p.Services[b].Networks[n]; ok {
				return true
			}
		}
		return false
	}
	for _, apart := range [][2]string{
		{"nodered", "hv"}, {"nodered", "ph2acf"}, {"nodered", "grafana"}, {"nodered", "influxdb"}, {"nodered", "mongo"}, {"hv", "grafana"}, {"hv", "influxdb"}, {"hv", "mongo"},
		{"mosquitto", "mongo"}, {"loader", "mongo"}, {"calibration", "influxdb"}, {"grafana", "mosquitto"}, {"backup", "mosquitto"},
	} {
		if share(apart[0], apart[1]) {
			t.Errorf("%s reaches %s", apart[0], apart[1])
		}
	}
	for _, together := range [][2]string{
		{"gateway", "grafana"}, {"gateway", "nodered"}, {"gateway", "influxdb"}, {"gateway", "mongo"}, {"gateway", "mosquitto"}, {"grafana", "influxdb"},
		{"loader", "influxdb"}, {"loader", "mosquitto"}, {"calibration", "mongo"}, {"runcontrol", "mongo"}, {"hv", "mosquitto"}, {"hv", "sim_hv"}, {"ph2acf", "sim_hv"},
		{"nodered", "mosquitto"}, {"calibration", "mosquitto"}, {"runcontrol", "mosquitto"},
	} {
		if !share(together[0], together[1]) {
			t.Errorf("%s does not reach %s", together[0], together[1])
		}
	}
	for name, s := range p.Services {
		if len(s.Ports) > 0 && name != "gateway" {
			t.Errorf("%s has a port: the gateway is the only door", name)
		}
	}
	for _, name := range []string{"archive", "runs"} {
		if !p.Networks[name].Internal {
			t.Errorf("the network %s leads outside", name)
		}
	}
}

// The checks find what they are for.
func TestCheckFindsWhatIsBad(t *testing.T) {
	good := func() types.ServiceConfig {
		var s types.ServiceConfig
		s.Image, s.Restart = "mongo:8.0.12", "unless-stopped"
		s.HealthCheck = &types.HealthCheckConfig{Test: []string{"CMD", "true"}}
		s.Ports = []types.ServicePortConfig{{HostIP: "127.0.0.1", Published: "27017"}}
		s.ReadOnly, s.CapDrop, s.SecurityOpt = true, []string{"ALL"}, []string{"no-new-privileges:true"}
		s.MemLimit, s.PidsLimit, s.Logging = 1<<20, 10, &types.LoggingConfig{Options: types.Options{"max-size": "1m"}}
		return s
	}
	str := func(s string) *string { return &s }
	if p := check(good()); len(p) > 0 {
		t.Fatalf("a good service: %q", p)
	}
	for name, tt := range map[string]struct {
		change func(*types.ServiceConfig)
		want   string
	}{
		"latest":        {func(s *types.ServiceConfig) { s.Image = "mongo:latest" }, "not pinned"},
		"no tag":        {func(s *types.ServiceConfig) { s.Image = "mongo" }, "not pinned"},
		"major only":    {func(s *types.ServiceConfig) { s.Image = "mongo:8" }, "not pinned"},
		"no health":     {func(s *types.ServiceConfig) { s.HealthCheck = nil }, "no health check"},
		"no restart":    {func(s *types.ServiceConfig) { s.Restart = "" }, "come back"},
		"written to":    {func(s *types.ServiceConfig) { s.ReadOnly = false }, "can be written to"},
		"capabilities":  {func(s *types.ServiceConfig) { s.CapDrop = nil }, "has capabilities"},
		"privileges":    {func(s *types.ServiceConfig) { s.SecurityOpt = nil }, "gain privileges"},
		"memory":        {func(s *types.ServiceConfig) { s.MemLimit = 0 }, "memory has no limit"},
		"processes":     {func(s *types.ServiceConfig) { s.PidsLimit = 0 }, "processes has no limit"},
		"log":           {func(s *types.ServiceConfig) { s.Logging = nil }, "log has no limit"},
		"open port":     {func(s *types.ServiceConfig) { s.Ports[0].HostIP = "" }, "open to the network"},
		"all addresses": {func(s *types.ServiceConfig) { s.Ports[0].HostIP = "0.0.0.0" }, "open to the network"},
		"misspelt": {func(s *types.ServiceConfig) {
			s.Environment = types.MappingWithEquals{"DSC_BROKER": str("x")}
		}, "unknown setting"},
		"password": {func(s *types.ServiceConfig) {
			s.Environment = types.MappingWithEquals{"DCS_BROKER_PASSWORD": str("x")}
		}, "in the clear"},
		"secret not mounted": {func(s *types.ServiceConfig) {
			s.Environment = types.MappingWithEquals{"DCS_BROKER_PASSWORD_FILE": str("/run/secrets/x")}
		}, "not mounted"},
		"no such program": {func(s *types.ServiceConfig) {
			s.Image = "trackerdcs/nothing:0.1.0"
			s.Build = &types.BuildConfig{Args: types.MappingWithEquals{"BIN": str("nothing")}}
		}, "no program nothing"},
		"no such program beside it": {func(s *types.ServiceConfig) {
			s.Image = "trackerdcs/psu:0.1.0"
			s.Build = &types.BuildConfig{Args: types.MappingWithEquals{"BIN": str("psu"), "EXTRA": str("sim nothing")}}
		}, "no program nothing"},
		"no such argument": {func(s *types.ServiceConfig) {
			s.Image = "trackerdcs/psu:0.1.0"
			s.Build = &types.BuildConfig{Args: types.MappingWithEquals{"BIN": str("psu"), "EXTAR": str("sim")}}
		}, "no argument EXTAR"},
		"login in an address": {func(s *types.ServiceConfig) {
			s.Environment = types.MappingWithEquals{"DCS_MONGO_URI": str("mongodb://dcs:x@mongo:27017")}
		}, "in the clear"},
		"pulled":   {func(s *types.ServiceConfig) { s.Image = "trackerdcs/psu:0.1.0" }, "a registry is asked"},
		"no build": {func(s *types.ServiceConfig) { s.Image = "trackerdcs/psu:0.1.0" }, "no build"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			tt.change(&s)
			if got := strings.Join(check(s), "; "); !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
