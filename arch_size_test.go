package trackerdcs_test

import (
	"os/exec"
	"strings"
	"testing"
)

// tooLarge are packages that a program must not hold, not even through another
// one: its image would be over 20 MB. The command line and templates call
// methods by their names, so that the linker keeps all of a library's.
var tooLarge = map[string][]string{
	"cmd/dcs": {
		"github.com/prometheus",                    // 2.4 MB: pkg/health has figures without it
		"github.com/influxdata/influxdb-client-go", // 1.6 MB
	},
}

func TestProgramsStaySmall(t *testing.T) {
	look(t)
	for prog, without := range tooLarge {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./"+prog).Output()
		if err != nil {
			t.Fatalf("go list -deps ./%s: %v", prog, err)
		}
		for pkg := range strings.Lines(string(out)) {
			for _, large := range without {
				if under(strings.TrimSpace(pkg), large) {
					t.Errorf("%s holds %s, which makes its image too large: go list -deps says through what", prog, strings.TrimSpace(pkg))
				}
			}
		}
	}
}
