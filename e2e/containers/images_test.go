//go:build e2e && linux

package containers

import (
	"archive/tar"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shells and what else somebody who has got in would look for.
var tools = []string{"sh", "bash", "dash", "ash", "busybox", "env", "perl", "python3", "apt-get", "apk", "su", "wget", "curl"}

// Our images are small, have nothing in them but our programs, and nobody in them
// is root. Node-RED's is Node's with our modules: of these things it has one.
func TestImages(t *testing.T) {
	s := newStack(t, "docker-compose.yml", "docker-compose.dummy.yml")
	images := slices.Compact(slices.Sorted(slices.Values(strings.Fields(s.compose("--profile", "tools", "config", "--images")))))
	seen := 0
	for _, image := range images {
		if !strings.HasPrefix(image, "trackerdcs/") {
			continue
		}
		seen++
		t.Run(image, func(t *testing.T) {
			about := decode[[]struct {
				Size   int64
				Config struct{ User string }
			}](t, docker(t, "image", "inspect", image))[0]
			user, _, _ := strings.Cut(about.Config.User, ":")
			assert.NotContains(t, []string{"", "0", "root"}, user)
			if strings.HasPrefix(image, "trackerdcs/nodered:") {
				return
			}
			t.Logf("%.1f MB", float64(about.Size)/1e6)
			assert.Less(t, about.Size, int64(20e6))
			for _, f := range contents(t, image) {
				assert.NotContains(t, tools, path.Base(f.Name), f.Name)
				assert.Zero(t, f.FileInfo().Mode().Perm()&0o002, "%s may be written by everybody", f.Name)
				assert.Zero(t, f.Mode&0o6000, "%s gives rights to who executes it", f.Name)
			}
		})
	}
	assert.GreaterOrEqual(t, seen, 10)
}

// contents are an image's files; folders and links are left out.
func contents(t *testing.T, image string) []*tar.Header {
	t.Helper()
	id := strings.TrimSpace(docker(t, "create", image))
	t.Cleanup(func() { docker(t, "rm", id) })
	cmd := exec.CommandContext(t.Context(), "docker", "export", id)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var files []*tar.Header
	for r := tar.NewReader(out); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if h.Typeflag == tar.TypeReg {
			files = append(files, h)
		}
	}
	require.NoError(t, cmd.Wait())
	return files
}
