//go:build e2e && linux

package containers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// kept is what has to be there again.
type kept struct {
	Statuses map[string]int // by device, and boot for boot as many
	Runs     []string
	Files    string // of a run, with their sums
	Flows    string // somebody's own
	Grafana  string // somebody's own dashboards
	Users    string
}

func (s *stack) kept(until time.Time) kept {
	s.t.Helper()
	k := kept{Statuses: make(map[string]int), Runs: s.runs()}
	for _, a := range s.audit(until) {
		k.Statuses[a.Device] = a.Statuses
		assert.Zero(s.t, a.Missing, a.Device)
	}
	sums := `const fs = require('fs'), c = require('crypto')
		console.log(NAMES.map((n) => n + ' ' + c.createHash('sha256').update(fs.readFileSync('/volume/' + n)).digest('hex')).join('\n'))`
	k.Flows = s.inVolume("nodered", strings.ReplaceAll(sums, "NAMES", "['mine.json', ...fs.readdirSync('/volume').filter((n) => /^flows.*json$/.test(n))]"))
	k.Grafana = s.inVolume("grafana", strings.ReplaceAll(sums, "NAMES", "['mine.db']"))
	k.Users = s.dcs("user", "list")
	k.Files = s.dcs("run", "files", "1")
	return k
}

// backupAndRestore: all volumes and secrets are lost, and come back from a backup
// that was made while everything ran.
func backupAndRestore(t *testing.T, s *stack) {
	s.inVolume("nodered", `require('fs').writeFileSync('/volume/mine.json', '[{"id":"mine","type":"tab"}]')`)
	s.inVolume("grafana", `require('fs').writeFileSync('/volume/mine.db', 'dashboards of mine')`)
	before := time.Now()
	s.complete(before, 5) // nothing of before is still under way
	was := s.kept(before)
	require.Len(t, was.Statuses, 5)
	require.NotEmpty(t, was.Runs)

	begin := time.Now()
	s.compose("run", "--rm", "-T", "backup", "backup", "/backups")
	t.Logf("backed up in %v, while all went on", time.Since(begin).Round(time.Millisecond))
	backups, err := filepath.Glob(filepath.Join(s.dir, "backups", "2*Z"))
	require.NoError(t, err)
	require.NotEmpty(t, backups)
	backup := filepath.Base(backups[len(backups)-1])

	secrets := s.secrets()
	s.compose("down", "-v", "-t", "5")
	for name := range secrets {
		if name != "README.md" && name != ".gitignore" {
			require.NoError(t, os.Remove(filepath.Join(s.dir, "secrets", name)))
		}
	}

	begin = time.Now()
	s.init("--from", "backups/"+backup)
	assert.Equal(t, secrets, s.secrets())
	t.Log(s.compose("run", "--rm", "-T", "restore", backup))
	s.up()
	t.Logf("from nothing to healthy with all that was in the backup in %v", time.Since(begin).Round(time.Second))

	is := s.kept(before)
	assert.Equal(t, was, is)
	total := 0
	for _, n := range is.Statuses {
		total += n
	}
	fmt.Fprintf(t.Output(), "back: %d statuses of %d devices, runs %v, flows and dashboards by their sums\n", total, len(is.Statuses), is.Runs)

	// It goes on: the run after the last, and the supply's command.
	assert.Contains(t, s.dcs("run", "start", "calibration", "--module", "M12", "--set", "duration=1", "--set", "megabytes=1"), fmt.Sprintf("run %d finished", len(is.Runs)+1))
	s.dcs("set", "hv/0", "5")
}
