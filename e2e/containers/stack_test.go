//go:build e2e && linux

package containers

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stack is an installation in a folder of its own, with what a clone has there.
type stack struct {
	t       *testing.T
	dir     string
	project string
	port    int    // the gateway's
	config  string // docker's, with Compose as its plugin
	env     []string
}

// newStack lays an installation out; files are its compose files.
func newStack(t *testing.T, files ...string) *stack {
	t.Helper()
	s := &stack{t: t, dir: t.TempDir(), project: "dcs-e2e-" + strconv.Itoa(os.Getpid()), port: freePort(t)}
	s.clone()

	// Compose as people have it, a plugin of docker.
	plugins := filepath.Join(t.TempDir(), "cli-plugins")
	require.NoError(t, os.MkdirAll(plugins, 0o755))
	require.NoError(t, os.Symlink(filepath.Join(repository(t), "bin", "docker-compose"), filepath.Join(plugins, "docker-compose")))
	s.config = filepath.Dir(plugins)
	s.use(files...)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := output(t, s.dir, s.env, "", "docker", "compose", "logs", "--no-color", "--tail", "20")
			t.Log(out)
		}
		s.compose("down", "-v", "--remove-orphans", "-t", "3")
	})
	return s
}

// use names the compose files. Where Grafana cannot be had it is left out; nothing
// waits for it.
func (s *stack) use(files ...string) {
	s.t.Helper()
	if standIn(s.t, s.image("grafana")) == "missing" {
		s.write("without-grafana.yml", "services:\n  grafana:\n    profiles: [left-out]\n")
		files = append(files, "without-grafana.yml")
	}
	s.env = []string{
		"DOCKER_CONFIG=" + s.config, "COMPOSE_FILE=" + strings.Join(files, ":"), "COMPOSE_PROJECT_NAME=" + s.project, "DCS_GATEWAY_PORT=" + strconv.Itoa(s.port),
	}
}

// clone copies what git has of an installation's files.
func (s *stack) clone() {
	s.t.Helper()
	from := repository(s.t)
	// Whose checkout it is does not matter: root takes names from it, no more.
	list, err := output(s.t, from, nil, "", "git", "-c", "safe.directory=*", "ls-files", "docker-compose*.yml", "instruments*.yml", "mosquitto", "grafana", "secrets", "drivers/ph2acfsim/procedures.yml")
	require.NoError(s.t, err)
	for name := range strings.Lines(list) {
		name = strings.TrimSpace(name)
		b, err := os.ReadFile(filepath.Join(from, name))
		require.NoError(s.t, err)
		s.write(name, string(b))
	}
}

func (s *stack) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	require.NoError(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(s.t, os.WriteFile(path, []byte(text), 0o644))
}

func (s *stack) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	require.NoError(s.t, err)
	return string(b)
}

// image is the one that docker-compose.yml names for a service not of ours.
func (s *stack) image(name string) string {
	for line := range strings.Lines(s.read("docker-compose.yml")) {
		if word, ok := strings.CutPrefix(strings.TrimSpace(line), "image: "); ok && strings.Contains(word, name) {
			return word
		}
	}
	s.t.Fatalf("docker-compose.yml names no image of %s", name)
	return ""
}

// compose is what a person types after `docker compose`; it must succeed.
func (s *stack) compose(args ...string) string {
	s.t.Helper()
	out, err := s.try("", args...)
	require.NoError(s.t, err)
	return out
}

func (s *stack) try(stdin string, args ...string) (string, error) {
	s.t.Helper()
	return output(s.t, s.dir, s.env, stdin, "docker", append([]string{"compose", "--progress", "quiet"}, args...)...)
}

// dcs is the command line in its container.
func (s *stack) dcs(args ...string) string {
	s.t.Helper()
	return s.compose(append([]string{"run", "--rm", "-T", "dcs"}, args...)...)
}

// init makes the secrets. A stand-in for MongoDB takes names and passwords only
// where they are sent openly.
func (s *stack) init(args ...string) string {
	s.t.Helper()
	out := s.compose(append([]string{"run", "--rm", "-T", "init"}, args...)...)
	if standIn(s.t, s.image("mongo")) == "" {
		return out
	}
	uris, err := filepath.Glob(filepath.Join(s.dir, "secrets", "mongo_uri*"))
	require.NoError(s.t, err)
	require.NotEmpty(s.t, uris)
	for _, uri := range uris {
		b, err := os.ReadFile(uri)
		require.NoError(s.t, err)
		if !strings.Contains(string(b), "PLAIN") {
			require.NoError(s.t, os.WriteFile(uri, append(b, "&authMechanism=PLAIN"...), 0o444))
		}
	}
	return out
}

// up starts all, and returns how long it took until all were healthy.
func (s *stack) up() time.Duration {
	s.t.Helper()
	begin := time.Now()
	s.compose("up", "-d", "--no-build")
	s.healthy()
	return time.Since(begin)
}

// healthy waits until all are.
func (s *stack) healthy() {
	s.t.Helper()
	var bad []string
	within(s.t, func() bool {
		bad = nil
		all := s.containers()
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !all[name].well() {
				bad = append(bad, name+": "+all[name].String())
			}
		}
		return len(all) > 0 && len(bad) == 0
	}, tick, "not healthy: %v", &bad)
}

// containers are the installation's, by service.
func (s *stack) containers() map[string]container {
	s.t.Helper()
	ids := strings.Fields(docker(s.t, "ps", "-aq", "--filter", "label=com.docker.compose.project="+s.project, "--filter", "label=com.docker.compose.oneoff=False"))
	all := make(map[string]container)
	if len(ids) == 0 {
		return all
	}
	for _, c := range decode[[]container](s.t, docker(s.t, append([]string{"inspect"}, ids...)...)) {
		all[c.Config.Labels["com.docker.compose.service"]] = c
	}
	return all
}

// inVolume executes a script of Node's with a volume at /volume.
func (s *stack) inVolume(volume, script string) string {
	s.t.Helper()
	return docker(s.t, "run", "--rm", "--user", "0:0", "-v", s.project+"_"+volume+":/volume", "--entrypoint", "node", s.containers()["nodered"].Config.Image, "-e", script)
}

func (s *stack) url() string { return fmt.Sprintf("https://127.0.0.1:%d", s.port) }

// freePort is one that nobody is given who asks for any: the gateway's is opened
// later, and again after each of its starts, when a connection could have it.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", 20000+rand.IntN(10000)))
		if err == nil {
			defer l.Close()
			return l.Addr().(*net.TCPAddr).Port
		}
	}
	t.Fatal("no port is free")
	return 0
}
