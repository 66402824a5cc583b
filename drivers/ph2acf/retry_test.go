package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/drivers/ph2acf/keep"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/wire"
)

// block lets nothing be written to a file of the driver's until it is called
// again, as a full disk would: a folder stands there.
func (b *bench) block(name string) (free func()) {
	b.t.Helper()
	name = filepath.Join(b.data, name)
	require.NoError(b.t, os.MkdirAll(filepath.Join(name, "x"), 0o750))
	return func() { require.NoError(b.t, os.RemoveAll(name)) }
}

// says waits for the driver's state to say what is wrong, or that nothing is.
func (b *bench) says(mark int, problem string) {
	b.t.Helper()
	b.Await(mark, "a state with the error "+problem, func(m bus.Message) bool {
		var s wire.State
		return m.Topic == "/cal/state" && json.Unmarshal(m.Payload, &s) == nil && s.State == wire.Ready &&
			(problem == "") == !strings.Contains(s.Error, "tried again") && strings.Contains(s.Error, problem)
	})
}

// The manifest cannot be written for a while: that is said, no run is started,
// and the results are offered when it can be.
func TestResultsAreKeptWhenThereIsRoomAgain(t *testing.T) {
	b := newBench(t, "1m").drive()
	payload := b.begin(1, "hang", "hanging")
	free := b.block("runs/1/manifest.json")
	mark := b.Mark()
	b.Say("/cal/cmd/abort", `{"run":1,"id":"a1"}`)
	assert.Equal(t, wire.RunAborted, b.ended(mark, 1).State, "what became of the run is known")
	b.says(mark, "run 1: keeping the manifest of run 1: ")
	b.Say("/cal/cmd/start", start(2, "ok"))
	a := b.ack(mark, "s2", wire.Rejected)
	assert.Equal(t, wire.Busy, a.Code)
	assert.Contains(t, a.Message, "the results of run 1 cannot be kept: keeping the manifest of run 1: ")
	mark = b.Mark()
	b.Say("/cal/cmd/start", payload)
	b.ack(mark, "s1", wire.Superseded)
	free()
	s := b.sink()
	b.says(mark, "")
	require.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.stored[1].State == wire.RunAborted }, bustest.Patience, 5*time.Millisecond)
	mark = b.Mark()
	b.Say("/cal/cmd/start", start(3, "ok"))
	b.ack(mark, "s3", wire.Done)
}

// A file cannot be copied for a while: whether the run has left what it has to is
// not known until then, and nothing is said of it.
func TestNoVerdictWithoutLookingForTheFiles(t *testing.T) {
	b := newBench(t, "1m")
	large := filepath.Join(b.pids, "large.bin")
	require.NoError(t, os.WriteFile(large, nil, 0o600))
	require.NoError(t, os.Truncate(large, 65<<20))
	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(large, later, later))
	b.drive()
	free := fillDisk(t, 64<<20) // enough for all but that
	payload := `{"run":1,"uid":"u1","id":"s1","procedure":"shared"}`
	b.Say("/cal/cmd/start", payload)
	b.says(0, "run 1: collecting the files of run 1: large.bin: ")
	b.Say("/cal/cmd/start", start(2, "ok"))
	a := b.ack(0, "s2", wire.Rejected)
	assert.Equal(t, wire.Busy, a.Code)
	assert.Contains(t, a.Message, "the results of run 1 cannot be kept: ")
	mark := b.Mark()
	b.Say("/cal/cmd/start", payload)
	b.ack(mark, "s1", wire.Accepted)
	b.Say("/cal/cmd/abort", `{"run":1,"id":"a1"}`)
	assert.Equal(t, "the program of run 1 has ended already, its results are being collected", b.ack(mark, "a1", wire.Rejected).Message)
	for _, m := range b.Heard("/cal/run") {
		assert.Contains(t, string(m.Payload), `"state":"running"`)
	}
	free()
	b.ack(0, "s1", wire.Done)
	assert.Equal(t, wire.RunFinished, b.ended(0, 1).State)
	assert.Len(t, b.manifest(1).Files, 3)
	assert.Empty(t, b.manifest(1).Left)
}

// fillDisk lets no file of this process grow beyond some bytes, until it is
// called again.
func fillDisk(t *testing.T, most uint64) (free func()) {
	t.Helper()
	var old syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: old.Max}))
	free = func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old)) }
	t.Cleanup(free)
	return free
}

// A required file that is there and cannot be taken is a lack like any other.
func TestRequiredFileThatIsLeftOut(t *testing.T) {
	b := newBench(t, "1m").drive()
	b.Say("/cal/cmd/start", start(1, "pipe"))
	a := b.ack(0, "s1", wire.Failed)
	assert.Equal(t, "the program ended well, but of what it has to leave one file cannot be taken: summary.json: it is no regular file", a.Message)
	assert.Equal(t, wire.RunFailed, b.ended(0, 1).State)
	assert.Equal(t, []string{"summary.json: it is no regular file"}, b.manifest(1).Left)
}

// The log was cut by the disk: whoever reads the results is told.
func TestCutLogIsSaidInTheManifest(t *testing.T) {
	b := newBench(t, "1m").drive()
	b.Say("/cal/cmd/start", start(1, "ok"))
	b.ended(0, 1)
	b.end()
	require.NoError(t, os.Remove(filepath.Join(b.data, "runs/1/manifest.json")))
	b.edit(func(r *keep.Record) { r.Collected, r.LogError = false, "write log.txt: no space left on device" })
	b.drive()
	var left []string
	require.Eventually(t, func() bool {
		raw, err := os.ReadFile(filepath.Join(b.data, "runs/1/manifest.json"))
		var m wire.Manifest
		left = nil
		if err == nil && json.Unmarshal(raw, &m) == nil {
			left = m.Left
		}
		return left != nil
	}, bustest.Patience, 5*time.Millisecond)
	assert.Equal(t, []string{"log.txt: it is not whole: write log.txt: no space left on device"}, left)
}

// The folders that a program leaves are removed whatever rights they have.
func TestLockedFoldersAreRemoved(t *testing.T) {
	b := newBench(t, "1m").drive()
	b.sink()
	b.Say("/cal/cmd/start", start(1, "locked"))
	b.ack(0, "s1", wire.Done)
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(b.data, "runs/1/work")); return os.IsNotExist(err) }, bustest.Patience, 5*time.Millisecond)
}

// The driver is killed between an abort and the end of the program: the run was
// aborted all the same, and the abort has its end.
func TestAbortOutlivesTheDriver(t *testing.T) {
	b := newBench(t, "1m").edited("grace: 100ms", "grace: 1m") // in which the driver can be killed
	cmd := b.driveApart()
	payload := b.begin(1, "family", "family")
	mark := b.Mark()
	b.Say("/cal/cmd/abort", `{"run":1,"id":"a1","user":"bob","reason":"wrong module"}`)
	b.Say("/cal/cmd/abort", `{"run":1,"id":"a2"}`)
	b.ack(mark, "a1", wire.Accepted)
	b.ack(mark, "a2", wire.Accepted)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	b.driveApart()
	r := b.ended(mark, 1)
	assert.Equal(t, wire.RunAborted, r.State)
	assert.Equal(t, "ended by abort by bob, id a1: wrong module", r.Error)
	b.ack(mark, "s1", wire.Superseded)
	assert.EqualValues(t, 1, b.ack(mark, "a1", wire.Done).Run)
	b.ack(mark, "a2", wire.Done)
	mark = b.Mark()
	b.Say("/cal/cmd/abort", `{"run":1,"id":"a1","user":"bob","reason":"wrong module"}`)
	b.ack(mark, "a1", wire.Done)
	b.Say("/cal/cmd/start", payload)
	b.ack(mark, "s1", wire.Superseded)
}

// An abort comes while the program is being started: it ends as aborted, with
// nothing left, wherever the abort has caught it.
func TestAbortAtTheStart(t *testing.T) {
	b := newBench(t, "1m").drive()
	for run := 1; run <= 8; run++ {
		id := fmt.Sprint("a", run)
		b.Say("/cal/cmd/start", start(run, "hang"))
		time.Sleep(time.Duration(run-1) * 5 * time.Millisecond) // anywhere will do
		b.Say("/cal/cmd/abort", fmt.Sprintf(`{"run":%d,"id":%q}`, run, id))
		b.ack(0, id, wire.Done)
		b.ack(0, fmt.Sprint("s", run), wire.Superseded)
		assert.Equal(t, wire.RunAborted, b.ended(0, int64(run)).State)
	}
	b.noneLeft(0, func() {})
}
