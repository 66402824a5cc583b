// Package servicetest helps programs to test what all of them have.
package servicetest

import (
	"fmt"
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
	if err := readme(cfg, file, os.Getenv("UPDATE") != ""); err != nil {
		t.Fatal(err)
	}
}

func readme(cfg service.Settings, file string, update bool) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no table of settings between %q and %q", file, strings.TrimSpace(begin), end)
	}
	want := before + begin + service.SettingsTable(cfg) + end + after
	switch {
	case string(b) == want:
		return nil
	case !update:
		return fmt.Errorf("the settings in %s are not those of the code: run the test with UPDATE=1", file)
	}
	return os.WriteFile(file, []byte(want), 0o644)
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
