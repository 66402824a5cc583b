// Package servicetest helps programs to test what all of them have.
package servicetest

import (
	"os"
	"strings"
	"testing"

	"trackerdcs/pkg/service"
)

// The marks between which a README carries the table of settings.
const (
	begin = "<!-- settings -->\n"
	end   = "<!-- /settings -->"
)

// README checks that the table of settings in a program's README is the one
// that its code makes. With UPDATE=1 in the environment it writes it there.
func README(t *testing.T, cfg service.Settings, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table of settings between %q and %q", file, strings.TrimSpace(begin), end)
	}
	want := before + begin + service.SettingsTable(cfg) + end + after
	if string(b) == want {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatalf("the settings in %s are not those of the code: run the test with UPDATE=1", file)
	}
	if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
