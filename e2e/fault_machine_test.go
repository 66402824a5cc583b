//go:build e2e && linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// disk is a small one, in memory. It needs root.
type disk struct {
	t   *testing.T
	dir string
}

func newDisk(t *testing.T, dir string, size int) disk {
	t.Helper()
	require.NoError(t, os.Mkdir(dir, 0o750))
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+strconv.Itoa(size)))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return disk{t, dir}
}

func (d disk) filler() string { return filepath.Join(d.dir, "somebody-elses") }

// fill leaves no more than some bytes free.
func (d disk) fill(free int) {
	d.t.Helper()
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(d.t, err)
	defer f.Close()
	page := make([]byte, 4096)
	for d.free() > free {
		if _, err := f.Write(page); err != nil {
			require.ErrorIs(d.t, err, unix.ENOSPC)
			return
		}
	}
}

func (d disk) free() int {
	var s unix.Statfs_t
	require.NoError(d.t, unix.Statfs(d.dir, &s))
	return int(s.Bavail) * int(s.Bsize)
}

// empty takes away what fill has put there.
func (d disk) empty() { require.NoError(d.t, os.Remove(d.filler())) }

// segments are the files of the spool in a loader's data folder, in order.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "spool", "*.seg"))
	require.NoError(t, err)
	return files
}

// spooled is how many bytes they have.
func spooled(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	for _, f := range segments(t, dir) {
		if info, err := os.Stat(f); err == nil { // it may have gone by now
			bytes += info.Size()
		}
	}
	return bytes
}

// heldSegments are those that a process has open although they are deleted:
// their room on the disk is not free yet.
func heldSegments(pid int) (names []string) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, f := range files {
		if name, err := os.Readlink(f); err == nil && strings.HasSuffix(name, ".seg (deleted)") {
			names = append(names, name)
		}
	}
	return names
}

// group is a control group, of version 1 or 2. It needs root.
type group struct {
	t   *testing.T
	dir string
	v2  bool
}

var groups atomic.Int32

func newGroup(t *testing.T, controller string) group {
	t.Helper()
	const base = "/sys/fs/cgroup"
	g := group{t: t, dir: filepath.Join(base, controller)}
	if _, err := os.Stat(g.dir); err != nil {
		g.v2, g.dir = true, base
		require.NoError(t, os.WriteFile(filepath.Join(base, "cgroup.subtree_control"), []byte("+"+controller), 0o600))
	}
	g.dir = filepath.Join(g.dir, fmt.Sprintf("trackerdcs-e2e-%d-%d", os.Getpid(), groups.Add(1)))
	require.NoError(t, os.Mkdir(g.dir, 0o750))
	t.Cleanup(func() { // the test's context has ended by then
		var err error
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if err = os.Remove(g.dir); err == nil {
				return
			}
		}
		t.Errorf("the group is not empty: %v", err)
	})
	return g
}

// begin is a command line that enters the group before it becomes the program:
// one that is put there once it runs may have its memory elsewhere already.
func (g group) begin(argv []string) []string {
	return append([]string{"/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs")}, argv...)
}

func (g group) write(file, value string) {
	g.t.Helper()
	// A limit below what is used is refused until that has been given back.
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = os.WriteFile(filepath.Join(g.dir, file), []byte(value), 0o600); err == nil {
			return
		}
	}
	require.NoError(g.t, err)
}

// take puts a process into the group.
func (g group) take(pid int) { g.write("cgroup.procs", strconv.Itoa(pid)) }

// limitCPU gives a share of a core.
func (g group) limitCPU(share float64) {
	const period = 500_000 // µs; the least that can be given is 1000
	quota := int(share * period)
	if g.v2 {
		g.write("cpu.max", fmt.Sprint(quota, period))
		return
	}
	g.write("cpu.cfs_period_us", fmt.Sprint(period))
	g.write("cpu.cfs_quota_us", fmt.Sprint(quota))
}

// limitMemory bounds what the group's processes have, the disk's cache included.
func (g group) limitMemory(bytes int64) {
	if g.v2 {
		g.write("memory.max", fmt.Sprint(bytes))
		return
	}
	g.write("memory.limit_in_bytes", fmt.Sprint(bytes))
}
