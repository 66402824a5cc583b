package composecheck_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// extras are the programs that are built into an image beside its own.
func extras(s types.ServiceConfig) []string {
	if v := s.Build.Args["EXTRA"]; v != nil {
		return strings.Fields(*v)
	}
	return nil
}

// declared reports whether a Dockerfile takes an argument.
func declared(dockerfile, arg string) bool {
	text, err := os.ReadFile(filepath.Join(root, dockerfile))
	return err == nil && regexp.MustCompile(`(?m)^ARG `+regexp.QuoteMeta(arg)+`(=|$)`).Match(text)
}

// checkPorts finds two services that want one port of the host.
func checkPorts(p *types.Project) (problems []string) {
	taken := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		for _, port := range p.Services[name].Ports {
			if other, ok := taken[port.Published]; ok {
				problems = append(problems, fmt.Sprintf("services %s and %s both want port %s", other, name, port.Published))
			}
			taken[port.Published] = name
		}
	}
	return problems
}

// checkImages finds two services that build different images of one name: which
// of them runs would depend on which was built last.
func checkImages(p *types.Project) (problems []string) {
	built := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		if s.Build == nil {
			continue
		}
		how := s.Build.Dockerfile
		for _, arg := range []string{"BIN", "EXTRA", "BASE"} {
			if v := s.Build.Args[arg]; v != nil {
				how += " " + arg + "=" + *v
			}
		}
		if other, ok := built[s.Image]; ok && other != how {
			problems = append(problems, fmt.Sprintf("image %s is built in two ways: %s, and %s", s.Image, other, how))
		}
		built[s.Image] = how
	}
	return problems
}

// checkSecrets finds secrets that nobody has, or that nobody is told of.
func checkSecrets(p *types.Project) (problems []string) {
	guide, err := os.ReadFile(filepath.Join(root, "secrets", "README.md"))
	if err != nil {
		return []string{err.Error()}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Secrets)) {
		file := p.Secrets[name].File
		told := strings.Contains(string(guide), "`"+name+"`") || strings.HasPrefix(name, "broker_") && strings.Contains(string(guide), "`broker_")
		if !told {
			problems = append(problems, "secret "+name+" is not in secrets/README.md")
		}
		if filepath.Base(file) != name || filepath.Base(filepath.Dir(file)) != "secrets" {
			problems = append(problems, "secret "+name+" is in "+file)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		for _, s := range p.Services[name].Secrets {
			if _, ok := p.Secrets[s.Source]; !ok {
				problems = append(problems, "service "+name+": no secret "+s.Source)
			}
		}
	}
	return problems
}

// checkLogins finds a program on the bus that has not a name of its own there,
// which the broker's access list goes by, and a program's own secret with another.
func checkLogins(p *types.Project) (problems []string) {
	has := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		bad := func(what string) { problems = append(problems, "service "+name+": "+what) }
		if user := s.Environment["DCS_BROKER_USER"]; user != nil {
			if device := s.Environment["DCS_DEVICE"]; *user != name && (device == nil || *device != *user) {
				bad("it is " + *user + " at the broker")
			}
			if file := s.Environment["DCS_BROKER_PASSWORD_FILE"]; file == nil || *file != "/run/secrets/broker_"+*user {
				bad("it has not the password of " + *user)
			}
		}
		for _, secret := range s.Secrets {
			if !strings.HasPrefix(secret.Source, "broker_") && !strings.HasPrefix(secret.Source, "mongo_uri_") {
				continue
			}
			if other := has[secret.Source]; other != "" && !slices.Contains(shares, name) && !slices.Contains(shares, other) {
				bad(other + " has " + secret.Source + " too")
			}
			has[secret.Source] = name
		}
	}
	return problems
}

// shares are those who have others' logins at MongoDB: who makes them, and what
// people call.
var shares = []string{"runs_accounts", "dcs", "restore"}

// checkOrder finds a part that is started before what it needs is well.
func checkOrder(p *types.Project) (problems []string) {
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		need := func(other, condition string) {
			if s.DependsOn[other].Condition != condition {
				problems = append(problems, fmt.Sprintf("service %s is started without %s: %s", name, other, condition))
			}
		}
		stays := !slices.Contains(tools, name)
		if s.Environment["DCS_BROKER_USER"] != nil && stays {
			need("mosquitto", types.ServiceConditionHealthy)
		}
		if file := s.Environment["DCS_INFLUX_TOKEN_FILE"]; file != nil && stays {
			need("archive_accounts", types.ServiceConditionCompletedSuccessfully)
		}
		if file := s.Environment["DCS_MONGO_URI_FILE"]; file != nil && stays {
			need("runs_accounts", types.ServiceConditionCompletedSuccessfully)
		}
	}
	return problems
}

// Their content goes into a backup through the servers, or is made again.
var unsaved = []string{"influxdb", "influxdb-config", "mongo", "mongo-config", "tokens_loader", "tokens_grafana", "tokens_gateway", "tokens_backup"}

// checkBackup finds volumes that no backup holds, or that no restore fills.
func checkBackup(p *types.Project) (problems []string) {
	for _, volume := range slices.Sorted(maps.Keys(p.Volumes)) {
		if slices.Contains(unsaved, volume) {
			continue
		}
		for name, readOnly := range map[string]bool{"backup": true, "restore": false} {
			if !slices.ContainsFunc(p.Services[name].Volumes, func(v types.ServiceVolumeConfig) bool {
				return v.Source == volume && v.Target == "/volumes/"+volume && v.ReadOnly == readOnly
			}) {
				problems = append(problems, "the volume "+volume+" is not mounted as it should be in "+name)
			}
		}
	}
	return problems
}

// yours are what the guide tells an operator to write.
var yours = []string{"procedures.yml"}

// checkMounts finds folders and files of ours that are mounted and not there,
// volumes that our programs cannot write to, and procedures that could not be
// executed in the container.
func checkMounts(p *types.Project) (problems []string) {
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		bad := func(what string) { problems = append(problems, "service "+name+": "+what) }
		if strings.HasPrefix(s.Image, "trackerdcs/dcs:") {
			continue // reads and makes whole installations
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil && !isYours(v.Source) {
					bad(err.Error())
				}
				if !v.ReadOnly {
					bad(v.Source + " is mounted and can be written to")
				}
			} else if strings.HasPrefix(s.Image, "trackerdcs/") && v.Target != "/data" && !v.ReadOnly {
				bad("volume on " + v.Target + ": only /data belongs to the program")
			}
		}
		file := s.Environment["DCS_PROCEDURES"]
		if file == nil {
			continue
		}
		i := slices.IndexFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == *file })
		switch {
		case i < 0:
			bad("its procedures are not mounted")
		case !isYours(s.Volumes[i].Source):
			text, _ := os.ReadFile(s.Volumes[i].Source)
			for _, problem := range checkProcedures(string(text), s, p) {
				bad(problem)
			}
		}
	}
	return problems
}

func isYours(file string) bool {
	rest, err := filepath.Rel(root, file)
	if abs, e := filepath.Abs(root); err != nil && e == nil {
		rest, _ = filepath.Rel(abs, file)
	}
	return slices.Contains(yours, rest)
}

var (
	programLine = regexp.MustCompile(`(?m)^\s+program:\s*(\S+)`)
	addressIn   = regexp.MustCompile(`tcp://([^:"\s]+):`)
)

// checkProcedures finds programs that are not in the image and addresses that
// mean nothing in a container.
func checkProcedures(text string, s types.ServiceConfig, p *types.Project) (problems []string) {
	programs := programLine.FindAllStringSubmatch(text, -1)
	if len(programs) == 0 {
		problems = append(problems, "no procedures")
	}
	for _, m := range programs {
		if !slices.Contains(extras(s), m[1]) {
			problems = append(problems, "a procedure starts "+m[1]+", which is not in the image")
		}
	}
	for _, m := range addressIn.FindAllStringSubmatch(text, -1) {
		if _, ok := p.Services[m[1]]; !ok {
			problems = append(problems, "a procedure names "+m[1]+", which is no service")
		}
	}
	return problems
}

// What runs need stands where it is looked for.
func TestRuns(t *testing.T) {
	dev := load(t, []string{"docker-compose.yml", "docker-compose.dev.yml"})
	if ports := dev.Services["mongo"].Ports; len(ports) != 1 || ports[0].Published != "27017" || ports[0].Target != 27017 {
		t.Errorf("dev: MongoDB's ports are %+v", ports)
	}
	production := load(t, []string{"docker-compose.yml"})
	if ports := production.Services["mongo"].Ports; len(ports) > 0 {
		t.Errorf("production: MongoDB's ports are %+v", ports)
	}
	for _, name := range []string{"runcontrol", "calibration"} {
		if v := production.Services[name].Environment["DCS_MONGO_URI_FILE"]; v == nil || *v != "/run/secrets/mongo_uri_"+name {
			t.Errorf("%s does not know where MongoDB is", name)
		}
	}
	dummy := load(t, []string{"docker-compose.yml", "docker-compose.dummy.yml"})
	if v := dummy.Services["ph2acf"].Environment["DCS_DEVICE"]; v == nil || *v != "ph2acf" {
		t.Error("ph2acf has another name on the bus")
	}
}

// The checks of a whole project find what they are for.
func TestProjectChecksFindWhatIsBad(t *testing.T) {
	str := func(s string) *string { return &s }
	build := func(args types.MappingWithEquals) *types.BuildConfig { return &types.BuildConfig{Args: args} }
	there, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	bind := func(source string) types.ServiceVolumeConfig {
		return types.ServiceVolumeConfig{Type: types.VolumeTypeBind, Source: filepath.Join(there, source), Target: "/p.yml", ReadOnly: true}
	}
	service := func(change func(*types.ServiceConfig)) (s types.ServiceConfig) {
		change(&s)
		return s
	}
	publishing := service(func(s *types.ServiceConfig) { s.Ports = []types.ServicePortConfig{{Published: "9100"}} })
	image := func(args types.MappingWithEquals) types.ServiceConfig {
		return service(func(s *types.ServiceConfig) { s.Image, s.Build = "x:1.0", build(args) })
	}
	with := func(v ...types.ServiceVolumeConfig) types.ServiceConfig {
		return service(func(s *types.ServiceConfig) {
			s.Image, s.Build = "trackerdcs/ph2acf:0.1.0", build(types.MappingWithEquals{"BIN": str("ph2acf")})
			s.Environment = types.MappingWithEquals{"DCS_PROCEDURES": str("/p.yml")}
			s.Volumes = v
		})
	}
	for name, tt := range map[string]struct {
		project types.Project
		want    string
	}{
		"one port twice": {types.Project{Services: types.Services{
			"a": publishing, "b": publishing,
		}}, "a and b both want port 9100"},
		"one image in two ways": {types.Project{Services: types.Services{
			"a": image(types.MappingWithEquals{"BIN": str("ph2acf")}),
			"b": image(types.MappingWithEquals{"BIN": str("ph2acf"), "EXTRA": str("ph2acfsim")}),
		}}, "built in two ways"},
		"a secret that nobody makes": {types.Project{Secrets: types.Secrets{"x": {File: "secrets/x"}}}, "not in secrets/README.md"},
		"a secret elsewhere":         {types.Project{Secrets: types.Secrets{"mongo_uri": {File: "/etc/mongo_uri"}}}, "is in /etc"},
		"a secret that is not there": {types.Project{Services: types.Services{
			"a": service(func(s *types.ServiceConfig) { s.Secrets = []types.ServiceSecretConfig{{Source: "x"}} }),
		}}, "no secret x"},
		"another's name": {types.Project{Services: types.Services{
			"a": service(func(s *types.ServiceConfig) { s.Environment = types.MappingWithEquals{"DCS_BROKER_USER": str("b")} }),
		}}, "it is b at the broker"},
		"another's password": {types.Project{Services: types.Services{
			"a": service(func(s *types.ServiceConfig) { s.Secrets = []types.ServiceSecretConfig{{Source: "broker_a"}} }),
			"b": service(func(s *types.ServiceConfig) { s.Secrets = []types.ServiceSecretConfig{{Source: "broker_a"}} }),
		}}, "a has broker_a too"},
		"too early": {types.Project{Services: types.Services{
			"a": service(func(s *types.ServiceConfig) { s.Environment = types.MappingWithEquals{"DCS_BROKER_USER": str("a")} }),
		}}, "a is started without mosquitto"},
		"not in a backup":          {types.Project{Volumes: types.Volumes{"a": {}}}, "the volume a is not mounted"},
		"procedures not mounted":   {types.Project{Services: types.Services{"a": with()}}, "not mounted"},
		"a file that is not there": {types.Project{Services: types.Services{"a": with(bind("no.yml"))}}, "no such file"},
		"no procedures":            {types.Project{Services: types.Services{"a": with(bind("LICENSE"))}}, "no procedures"},
		"program not in the image": {types.Project{Services: types.Services{"a": with(bind("drivers/ph2acfsim/procedures.yml"))}}, "starts ph2acfsim, which is not in the image"},
		"unknown address":          {types.Project{Services: types.Services{"a": with(bind("drivers/ph2acfsim/procedures.yml"))}}, "which is no service"},
		"a volume elsewhere": {types.Project{Services: types.Services{"a": with(types.ServiceVolumeConfig{Type: types.VolumeTypeVolume, Target: "/runs"})}},
			"only /data"},
		"a mount that can be written": {types.Project{Services: types.Services{"a": with(types.ServiceVolumeConfig{Type: types.VolumeTypeBind, Source: there, Target: "/x"})}},
			"can be written"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &tt.project
			got := strings.Join(checkProject(p), "; ")
			if !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	own := with(bind("procedures.yml"))
	if got := checkMounts(&types.Project{Services: types.Services{"a": own}}); len(got) > 0 {
		t.Errorf("procedures that the operator writes: %q", got)
	}
}
