//go:build e2e && linux

package containers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	patience = 2 * time.Minute // for what must happen, also on a busy machine
	tick     = 200 * time.Millisecond
	long     = 4 * time.Minute // for one command of Compose
)

// repository is the checkout.
func repository(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	return dir
}

// output runs a command, and returns what it printed on standard output.
func output(t *testing.T, dir string, env []string, stdin, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long) // also what cleans up is to run
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, errs.String(), out.String())
	}
	return out.String(), nil
}

// docker is the command docker, which must succeed.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := output(t, ".", nil, "", "docker", args...)
	require.NoError(t, err)
	return out
}

// standIn says what an image is here, when it is not the real one.
func standIn(t *testing.T, image string) string {
	t.Helper()
	out, err := output(t, ".", nil, "", "docker", "image", "inspect", "-f", `{{index .Config.Labels "trackerdcs.standin"}}`, image)
	if err != nil {
		return "missing"
	}
	return strings.TrimSpace(strings.ReplaceAll(out, "<no value>", ""))
}

// container is what the engine says of one.
type container struct {
	Name  string
	Image string `json:"-"` // its image's name
	State struct {
		Status    string
		Pid       int
		ExitCode  int
		StartedAt string
		Health    *struct{ Status string }
	}
	RestartCount int
	Config       struct {
		Image       string
		Labels      map[string]string
		Healthcheck *struct{ Test []string }
	}
	NetworkSettings struct {
		Ports    map[string][]struct{ HostIP, HostPort string }
		Networks map[string]struct{ IPAddress string }
	}
}

// once says whether it is one that does its work and ends.
func (c container) once() bool { return c.Config.Healthcheck == nil }

// well says whether it is healthy, or has ended as it should.
func (c container) well() bool {
	if c.once() {
		return c.State.Status == "exited" && c.State.ExitCode == 0
	}
	return c.State.Status == "running" && c.State.Health != nil && c.State.Health.Status == "healthy"
}

func (c container) String() string {
	s := c.State.Status
	if c.State.Health != nil {
		s += ", " + c.State.Health.Status
	}
	return fmt.Sprintf("%s (exit %d)", s, c.State.ExitCode)
}

// asks executes its health check, and says whether all is well. It does not wait
// for the engine's next round.
func (c container) asks(t *testing.T) bool {
	t.Helper()
	test := c.Config.Healthcheck.Test
	args := append([]string{"exec", c.Name}, test[1:]...)
	if test[0] == "CMD-SHELL" {
		args = []string{"exec", c.Name, "sh", "-c", test[1]}
	}
	_, err := output(t, ".", nil, "", "docker", args...)
	return err == nil
}

// within waits for what must happen, in the test's own goroutine: what it asks
// may end the test.
func within(t *testing.T, ok func() bool, pause time.Duration, what string, args ...any) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(pause) {
		if time.Now().After(end) {
			require.FailNow(t, fmt.Sprintf(what, args...), "not within %v", patience)
		}
	}
}

// decode reads a JSON document.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}

// lines reads one JSON document a line.
func lines[T any](t *testing.T, text string) []T {
	t.Helper()
	var all []T
	for line := range strings.Lines(text) {
		all = append(all, decode[T](t, line))
	}
	return all
}
