// Package servicetest helps programs to test what all of them have.
package servicetest

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

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

// Env is what a program is given, with a data folder of the test's own and its
// log in the test's output.
func Env(t testing.TB, program, name string) *service.Env {
	t.Helper()
	return &service.Env{
		Program: program, Name: name, Boot: service.NewBoot(), DataDir: t.TempDir(),
		Log:     slog.New(slog.NewTextHandler(t.Output(), nil)),
		Metrics: prometheus.NewRegistry(),
		Health:  &service.Health{},
	}
}
