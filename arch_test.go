// Package trackerdcs_test holds the tree to its architecture: small programs
// that know nothing of each other and meet only on the bus.
package trackerdcs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "trackerdcs/"

// What an instrument folder may import of ours: it turns bytes into volts and
// knows neither the bus nor the process that it runs in.
var instrumentMayImport = []string{"pkg/psu", "pkg/sensor", "pkg/scpi", "pkg/wire"}

// Libraries that stay behind one door, so that what surprises in them is dealt
// with in one place.
var doors = map[string][]string{
	"github.com/eclipse/paho.mqtt.golang":      {"pkg/bus"},
	"github.com/influxdata/influxdb-client-go": {"services/loader", "pkg/history"},
	"go.mongodb.org/mongo-driver":              {"services/calibration", "pkg/runs", "pkg/provision"},
	"github.com/nats-io/nats-server":           {"services/broker"},
}

// Parts of programs that tests everywhere may use.
var testsMayImport = []string{"drivers/sim", "services/broker", "services/gateway/api/apitest"}

// listed is what go list says of a package. Its paths lose the module's name
// in local.
type listed struct {
	ImportPath                         string
	Name                               string
	Imports, TestImports, XTestImports []string
}

// local is the path within the module, or empty for a package of others.
func local(importPath string) string {
	p, ok := strings.CutPrefix(importPath, module)
	if !ok {
		return ""
	}
	return p
}

// under reports whether p is dir or below it.
func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

func underAny(p string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return under(p, d) })
}

// program is the program that a package belongs to, services/loader for
// instance, or empty.
func program(p string) string {
	parts := strings.Split(p, "/")
	if len(parts) < 2 || !slices.Contains([]string{"drivers", "services", "cmd"}, parts[0]) {
		return ""
	}
	return path.Join(parts[0], parts[1])
}

// instrument reports whether p is an instrument's folder, or below one.
func instrument(p string) bool {
	parts := strings.Split(p, "/")
	return len(parts) > 2 && (under(p, "drivers/psu") || under(p, "drivers/sensor")) && parts[2] != "internal"
}

func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".") && first != strings.TrimSuffix(module, "/")
}

// violations returns, in a sentence each, how the packages break the rules.
func violations(pkgs []listed) []string {
	var found []string
	for _, pkg := range pkgs {
		p := local(pkg.ImportPath)
		for _, imp := range pkg.Imports {
			if why := forbidden(p, imp); why != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", p, strings.TrimPrefix(imp, module), why))
			}
		}
		for _, imp := range slices.Concat(pkg.TestImports, pkg.XTestImports) {
			if why := forbiddenInTest(p, imp); why != "" {
				found = append(found, fmt.Sprintf("%s imports %s in a test: %s", p, strings.TrimPrefix(imp, module), why))
			}
		}
	}
	return found
}

// forbidden says why package p must not import imp, or nothing.
func forbidden(p, imp string) string {
	for library, allowed := range doors {
		if under(imp, library) && !underAny(p, allowed) {
			return "only " + strings.Join(allowed, " and ") + " may"
		}
	}
	if p == "pkg/wire" && !standard(imp) {
		return "pkg/wire imports the standard library alone"
	}
	to := local(imp)
	switch {
	case to == "":
		return ""
	case under(p, "pkg") && program(to) != "":
		return "pkg never imports programs"
	case program(p) != "" && program(to) != "" && program(p) != program(to):
		return "no program imports another: they meet on the bus"
	case instrument(p) && !underAny(to, instrumentMayImport) && path.Join(strings.Split(p, "/")[:3]...) != path.Join(strings.Split(to+"//", "/")[:3]...):
		return "an instrument imports only " + strings.Join(instrumentMayImport, ", ") + " of ours"
	}
	return ""
}

func forbiddenInTest(p, imp string) string {
	to := local(imp)
	if program(to) == "" || program(to) == program(p) || underAny(to, testsMayImport) {
		return ""
	}
	return "of other programs a test may use only " + strings.Join(testsMayImport, " and ")
}

func list(t *testing.T) []listed {
	t.Helper()
	look(t)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Name,Imports,TestImports,XTestImports", "./...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// look looks at every Go file, so that go test knows on what the result depends:
// it does not see what go list reads and would show a cached "ok".
func look(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"cmd", "drivers", "pkg", "services"} {
		err := filepath.WalkDir(dir, func(file string, _ fs.DirEntry, err error) error {
			if err == nil && path.Ext(file) == ".go" {
				_, err = os.Stat(file)
			}
			if errors.Is(err, fs.ErrNotExist) { // not there yet, or just gone
				return nil
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestImports(t *testing.T) {
	for _, v := range violations(list(t)) {
		t.Error(v)
	}
}

func TestPrograms(t *testing.T) {
	const most = 25
	for _, pkg := range list(t) {
		p := local(pkg.ImportPath)
		if pkg.Name != "main" || program(p) != p {
			continue
		}
		if _, err := os.Stat(path.Join(p, "README.md")); err != nil {
			t.Errorf("%s has no README.md: every program says what it is for", p)
		}
		b, err := os.ReadFile(path.Join(p, "main.go"))
		if err != nil {
			t.Errorf("%s has no main.go", p)
		}
		if n := bytes.Count(b, []byte("\n")); n > most {
			t.Errorf("%s/main.go has %d lines, at most %d: what the program does goes into run", p, n, most)
		}
	}
}

// Adding an instrument is one folder and one line; this finds the forgotten line.
func TestInstrumentsAreInTheTable(t *testing.T) {
	pkgs := list(t)
	for _, prog := range []string{"drivers/psu", "drivers/sensor"} {
		table := prog + "/instruments.go"
		f, err := parser.ParseFile(token.NewFileSet(), table, nil, parser.ImportsOnly)
		if err != nil {
			t.Errorf("the table of instruments cannot be read: %v", err)
			continue
		}
		var imports []string
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports = append(imports, imp)
		}
		for _, missing := range notInTable(prog, pkgs, imports) {
			t.Errorf("%s is not in the table of %s: add its line", missing, table)
		}
	}
}

// notInTable returns the instruments of a program that its table does not import.
func notInTable(prog string, pkgs []listed, imports []string) (missing []string) {
	for _, pkg := range pkgs {
		p := local(pkg.ImportPath)
		if instrument(p) && path.Dir(p) == prog && !slices.Contains(imports, pkg.ImportPath) {
			missing = append(missing, p)
		}
	}
	return missing
}

func TestRulesFindWhatIsBad(t *testing.T) {
	for _, tt := range []struct {
		pkg, imp string
		test     bool   // imported by a test
		want     string // empty: it is allowed
	}{
		{pkg: "pkg/wire", imp: "github.com/stretchr/testify/require", want: "standard library alone"},
		{pkg: "pkg/wire", imp: "trackerdcs/pkg/scpi", want: "standard library alone"},
		{pkg: "pkg/wire", imp: "encoding/json"},
		{pkg: "pkg/bus", imp: "trackerdcs/services/broker/mqttd", want: "pkg never imports programs"},
		{pkg: "pkg/psu", imp: "trackerdcs/drivers/psu", want: "pkg never imports programs"},
		{pkg: "pkg/psu/contract", imp: "trackerdcs/cmd/dcs", want: "pkg never imports programs"},
		{pkg: "pkg/bus", imp: "trackerdcs/services/broker/brokertest", test: true},
		{pkg: "pkg/bus", imp: "trackerdcs/services/loader", test: true, want: "a test may use only"},
		{pkg: "pkg/bus", imp: "trackerdcs/pkg/wire"},
		{pkg: "drivers/psu/iseg", imp: "trackerdcs/pkg/bus", want: "an instrument imports only"},
		{pkg: "drivers/psu/iseg", imp: "trackerdcs/pkg/service", want: "an instrument imports only"},
		{pkg: "drivers/psu/iseg", imp: "trackerdcs/drivers/psu/hmp4040", want: "an instrument imports only"},
		{pkg: "drivers/psu/iseg", imp: "trackerdcs/drivers/psu", want: "an instrument imports only"},
		{pkg: "drivers/psu/iseg", imp: "trackerdcs/pkg/scpi"},
		{pkg: "drivers/psu/iseg", imp: "trackerdcs/drivers/psu/iseg/internal/frame"},
		{pkg: "drivers/psu/iseg", imp: "trackerdcs/drivers/sim/iseg", test: true},
		{pkg: "drivers/psu/iseg", imp: "trackerdcs/drivers/sim/iseg", want: "no program imports another"},
		{pkg: "drivers/sensor/dht", imp: "trackerdcs/pkg/bus", want: "an instrument imports only"},
		{pkg: "drivers/psu", imp: "trackerdcs/drivers/psu/iseg"},
		{pkg: "drivers/psu", imp: "trackerdcs/pkg/service"},
		{pkg: "drivers/psu", imp: "trackerdcs/drivers/sensor", want: "no program imports another"},
		{pkg: "services/loader", imp: "trackerdcs/services/broker/mqttd", want: "no program imports another"},
		{pkg: "services/loader", imp: "trackerdcs/services/broker/brokertest", test: true},
		{pkg: "cmd/dcs", imp: "trackerdcs/services/loader", want: "no program imports another"},
		{pkg: "services/loader", imp: "github.com/eclipse/paho.mqtt.golang", want: "only pkg/bus may"},
		{pkg: "services/loader", imp: "github.com/eclipse/paho.mqtt.golang", test: true},
		{pkg: "pkg/bus", imp: "github.com/eclipse/paho.mqtt.golang"},
		{pkg: "pkg/bus", imp: "github.com/influxdata/influxdb-client-go/v2", want: "only services/loader and pkg/history may"},
		{pkg: "services/loader", imp: "github.com/influxdata/influxdb-client-go/v2/api"},
		{pkg: "services/gateway", imp: "go.mongodb.org/mongo-driver/v2/mongo", want: "only services/calibration and pkg/runs and pkg/provision may"},
		{pkg: "pkg/bus", imp: "github.com/nats-io/nats-server/v2/server", want: "only services/broker may"},
		{pkg: "services/broker/mqttd", imp: "github.com/nats-io/nats-server/v2/server"},
	} {
		p := listed{ImportPath: module + tt.pkg}
		if tt.test {
			p.XTestImports = []string{tt.imp}
		} else {
			p.Imports = []string{tt.imp}
		}
		got := strings.Join(violations([]listed{p}), "; ")
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s imports %s: got %q, want %q", tt.pkg, tt.imp, got, tt.want)
		}
	}

	pkgs := []listed{
		{ImportPath: module + "drivers/psu", Name: "main"},
		{ImportPath: module + "drivers/psu/iseg"},
		{ImportPath: module + "drivers/psu/caen"},
		{ImportPath: module + "drivers/psu/caen/internal/frame"},
		{ImportPath: module + "drivers/psu/internal/x"},
		{ImportPath: module + "drivers/sensor/dht"},
	}
	got := notInTable("drivers/psu", pkgs, []string{module + "drivers/psu/iseg"})
	if !slices.Equal(got, []string{"drivers/psu/caen"}) {
		t.Errorf("not in the table: %v, want drivers/psu/caen", got)
	}
}
