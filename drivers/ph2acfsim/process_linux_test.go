package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// builtIn is where the real binary is, once a test has asked for it.
var builtIn string

var built = sync.OnceValues(func() (path string, err error) {
	if builtIn, err = os.MkdirTemp("", "ph2acfsim"); err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", builtIn, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return filepath.Join(builtIn, "ph2acfsim"), nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// process is the program under way.
type process struct {
	*exec.Cmd
	dir    string
	lines  *bufio.Scanner // of its standard output
	stderr bytes.Buffer
}

func launch(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := built()
	require.NoError(t, err)
	p := &process{dir: t.TempDir()}
	p.Cmd = exec.Command(path, append([]string{"--module=M12", "--megabytes=1"}, args...)...)
	p.Dir = p.dir
	p.Stderr = &p.stderr
	p.WaitDelay = time.Minute
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill() })
	p.lines = bufio.NewScanner(out)
	return p
}

// until reads the output up to a line that matches.
func (p *process) until(t *testing.T, pattern string) {
	t.Helper()
	for re := regexp.MustCompile(pattern); p.lines.Scan(); {
		if re.MatchString(p.lines.Text()) {
			return
		}
	}
	t.Fatalf("no line %s; on standard error: %s", pattern, p.stderr.String())
}

// ended waits for its end and says how it came.
func (p *process) ended(t *testing.T) syscall.WaitStatus {
	t.Helper()
	for p.lines.Scan() {
	}
	err := p.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.ProcessState.Sys().(syscall.WaitStatus)
}

func TestGoodProcess(t *testing.T) {
	t.Parallel()
	_, err := built()
	require.NoError(t, err)
	begin := time.Now() // before it starts
	p := launch(t, "--duration=1s")
	p.until(t, `\[progress\] 100\.0 % phase=writing$`)
	assert.Equal(t, 0, p.ended(t).ExitStatus())
	assert.GreaterOrEqual(t, time.Since(begin), 900*time.Millisecond)
	assert.Empty(t, p.stderr.String())
	assert.Equal(t, "M12", readSummary(t, p.dir).Module)
}

// The peak is the kernel's: that of getrusage would be the parent's too.
func TestMemory(t *testing.T) {
	t.Parallel()
	p := launch(t, "--duration=1s", "--megabytes=200", "--fault=hang", "--fail-at=1")
	p.until(t, `\[progress\] 9[89]\.\d % phase=writing$`)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	require.NoError(t, err)
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, m)
	peak, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	t.Logf("peak %d kB", peak)
	assert.Less(t, peak, 30_000)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	assert.Equal(t, exitAborted, p.ended(t).ExitStatus())
}

func TestFail(t *testing.T) {
	p := launch(t, "--duration=0s", "--fault=fail", "--fail-at=0.9")
	assert.Equal(t, exitFailed, p.ended(t).ExitStatus())
	assert.Regexp(t, `^\S+Z ERROR the procedure failed: readout board 0: no data for 5 s after 3 tries \[fault\]\n$`, p.stderr.String())
	assertEmpty(t, p.dir)
}

func TestFailAtTheVeryEnd(t *testing.T) {
	p := launch(t, "--duration=0s", "--fault=fail", "--fail-at=1")
	assert.Equal(t, exitFailed, p.ended(t).ExitStatus())
	assertEmpty(t, p.dir)
}

func TestAbort(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for _, args := range [][]string{{"--duration=1h"}, {"--duration=0s", "--fault=hang", "--fail-at=0"}} {
			best := time.Hour // of a few: a busy machine may be slow in one
			for round := 0; round < 5 && best >= time.Second; round++ {
				p := launch(t, args...)
				p.until(t, `\[hv\] start`)
				begin := time.Now()
				require.NoError(t, p.Process.Signal(sig))
				assert.Equal(t, exitAborted, p.ended(t).ExitStatus())
				best = min(best, time.Since(begin))
				assert.Regexp(t, `^\S+Z WARN aborted\n$`, p.stderr.String())
				assertEmpty(t, p.dir)
			}
			assert.Less(t, best, time.Second)
		}
	}
}

// Who prints into a pipe that nobody reads hangs, but not for ever.
func TestAbortWhileNobodyReads(t *testing.T) {
	t.Parallel()
	path, err := built()
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close() // and with it ends what writes below
	cmd := exec.Command(path, "--module=M12", "--duration=1h", "--megabytes=1")
	cmd.Dir, cmd.Stdout = t.TempDir(), w
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	_, err = io.ReadFull(r, make([]byte, 1)) // from now on it minds signals
	require.NoError(t, err)
	var written, before atomic.Int64
	go func() {
		for err := error(nil); err == nil; { // until the other end is closed
			_, err = w.Write(make([]byte, 512))
			written.Add(512)
		}
	}()
	require.Eventually(t, func() bool {
		now := written.Load()
		return before.Swap(now) == now && now > 0
	}, time.Minute, 100*time.Millisecond, "the pipe is never full")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait()
	assert.Equal(t, exitAborted, cmd.ProcessState.ExitCode())
}

func TestCrash(t *testing.T) {
	p := launch(t, "--duration=0s", "--fault=crash", "--fail-at=0.95")
	status := p.ended(t)
	require.True(t, status.Signaled())
	assert.Equal(t, syscall.SIGSEGV, status.Signal())
	assert.NoFileExists(t, filepath.Join(p.dir, summaryFile))
	assert.NoFileExists(t, filepath.Join(p.dir, rawFile))
	assert.FileExists(t, filepath.Join(p.dir, rawFile+".part"), "a crash tidies nothing up")
}

func TestIgnoreTerm(t *testing.T) {
	t.Parallel()
	p := launch(t, "--duration=1s", "--fault=ignore-term", "--fail-at=1")
	p.until(t, `\[hv\] start`)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.Process.Signal(syscall.SIGINT))
	p.until(t, `\[progress\] 9\d\.\d % phase=writing$`) // goes on as if nothing had been
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.Process.Kill())
	assert.Equal(t, syscall.SIGKILL, p.ended(t).Signal())
	assert.NoFileExists(t, filepath.Join(p.dir, summaryFile))
}

func TestOrphan(t *testing.T) {
	path, err := built()
	require.NoError(t, err)
	dir := t.TempDir()
	// A file: the orphan would hold a pipe open.
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	cmd := exec.Command(path, "--module=M12", "--megabytes=1", "--duration=0s", "--fault=orphan")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	require.NoError(t, cmd.Run())
	readSummary(t, dir)

	text, err := os.ReadFile(log.Name())
	require.NoError(t, err)
	m := regexp.MustCompile(`WARN \[orphan\] pid=(\d+) in a session of its own`).FindSubmatch(text)
	require.NotNil(t, m, "%s", text)
	pid, err := strconv.Atoi(string(m[1]))
	require.NoError(t, err)
	session, err := unix.Getsid(pid)
	require.NoError(t, err, "it outlives its parent")
	assert.Equal(t, pid, session)
	assert.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
}
