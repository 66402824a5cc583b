package warden

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience is how long the slowest machine may take.
const patience = time.Minute

func TestMain(m *testing.M) {
	Main()
	if len(os.Args) > 2 && os.Args[1] == "helper" {
		helper(os.Args[2], os.Args[3:])
		return
	}
	os.Exit(m.Run())
}

// helper is a program that behaves badly. Each of its processes leaves a file
// named after it in the folder.
func helper(what string, args []string) {
	here := func(dir string) {
		_ = os.WriteFile(filepath.Join(dir, strconv.Itoa(os.Getpid())), nil, 0o600)
	}
	again := func(attr *syscall.SysProcAttr, env []string, args ...string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], append([]string{"helper"}, args...)...)
		cmd.SysProcAttr, cmd.Env, cmd.Stdout = attr, env, os.Stdout
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		return cmd
	}
	dir := ""
	if len(args) > 0 {
		dir = args[0]
	}
	switch what {
	case "exit":
		code, _ := strconv.Atoi(args[0])
		fmt.Println("good bye")
		os.Exit(code)
	case "environ":
		fmt.Print(strings.Join(os.Environ(), "\n"), "\n", strings.Join(args, "|"))
	case "sleep":
		here(dir)
		time.Sleep(time.Hour)
	case "counting": // says how often it is told to end, and does so a while after the first time
		told := make(chan os.Signal, 10)
		signal.Notify(told, syscall.SIGTERM)
		if len(args) > 1 {
			again(&syscall.SysProcAttr{Setsid: args[1] == "apart"}, nil, "counting", dir)
		}
		here(dir)
		<-told
		time.Sleep(200 * time.Millisecond)
		fmt.Printf("told %d\n", 1+len(told))
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		here(dir)
		time.Sleep(time.Hour)
	case "family": // a child in the group, one with a session of its own, and a daemon
		signal.Ignore(syscall.SIGTERM)
		again(nil, nil, "stubborn", dir)
		again(&syscall.SysProcAttr{Setsid: true}, nil, "stubborn", dir)
		again(&syscall.SysProcAttr{Setsid: true}, nil, "fork", dir)
		here(dir)
		time.Sleep(time.Hour)
	case "fork": // its child outlives it, in a session of its own
		again(&syscall.SysProcAttr{Setsid: true}, []string{}, "stubborn", dir) // without the mark
	case "leave": // ends well and leaves daemons
		again(nil, nil, "sleep", dir)
		_ = again(&syscall.SysProcAttr{Setsid: true}, nil, "fork", dir).Wait() // it is none of what is left
		for count(dir) < 2 {
			time.Sleep(time.Millisecond)
		}
	case "driver": // a driver that executes something and says who its warden is
		p, err := Start(program(args[1], args[0], args[0]))
		if err != nil {
			panic(err)
		}
		fmt.Println(p.Warden())
		<-p.Clean()
	}
}

func count(dir string) int {
	e, _ := os.ReadDir(dir)
	return len(e)
}

func program(uid string, dir string, args ...string) Program {
	self, _ := os.Executable()
	return Program{Path: self, Arguments: append([]string{"helper", "family"}, args...), Env: []string{"A=b"}, Dir: dir, UID: uid, Grace: 0.05}
}

// start executes a helper; the test ends with nothing of it left.
func start(t *testing.T, grace float64, args ...string) (*Process, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	p := program("u-"+strconv.FormatInt(time.Now().UnixNano(), 36), t.TempDir())
	p.Arguments, p.Grace, p.Stdout, p.Stderr = append([]string{"helper"}, args...), grace, w, w
	x, err := Start(p)
	require.NoError(t, err)
	_ = w.Close()
	t.Cleanup(func() {
		_ = r.Close()
		x.Stop()
		<-x.Clean()
	})
	return x, r
}

func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
}

// noneLeft waits for processes to be there, does something, and then there is
// none any more.
func noneLeft(t *testing.T, dir string, processes int, end func()) {
	t.Helper()
	require.Eventually(t, func() bool { return count(dir) == processes }, patience, 5*time.Millisecond, "%d processes", processes)
	end()
	e, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range e {
		require.Eventually(t, func() bool { state, _, _ := stat(f.Name()); return isDead(state) }, patience, 5*time.Millisecond, "process %s", f.Name())
	}
}

func TestExit(t *testing.T) {
	x, out := start(t, 1, "exit", "7")
	b, err := io.ReadAll(out)
	require.NoError(t, err)
	await(t, x.Clean())
	assert.Equal(t, "good bye\n", string(b))
	e, err := x.Ending()
	require.NoError(t, err)
	require.NotNil(t, e.Exit)
	assert.Equal(t, 7, *e.Exit)
	assert.Empty(t, e.Signal+e.Error)
	assert.WithinDuration(t, time.Now(), e.Time, patience)
	assert.Greater(t, e.Usage.MaxRSS, int64(1<<20))
	assert.Greater(t, e.Usage.User+e.Usage.System, 0.0)
}

func TestCannotBeStarted(t *testing.T) {
	p := program("u-none", t.TempDir())
	p.Path = "/does/not/exist"
	x, err := Start(p)
	require.NoError(t, err)
	await(t, x.Started())
	await(t, x.Clean())
	e, err := x.Ending()
	require.NoError(t, err)
	assert.Contains(t, e.Error, "/does/not/exist")
	assert.Contains(t, e.Error, "no such file")
}

// A program sees what it is given, and nothing of ours.
func TestEnvironment(t *testing.T) {
	t.Setenv("DCS_SECRET", "x")
	arguments := []string{"; rm -rf /", "$(id)", "a\tb", `"`, "*", ""}
	x, out := start(t, 1, append([]string{"environ"}, arguments...)...)
	b, err := io.ReadAll(out)
	require.NoError(t, err)
	lines := strings.Split(string(b), "\n")
	assert.Equal(t, "A=b", lines[0])
	assert.True(t, strings.HasPrefix(lines[1], Mark+"=u-"), lines[1])
	assert.Equal(t, strings.Join(arguments, "|"), lines[2])
	assert.Len(t, lines, 3)
	await(t, x.Clean())
}

func TestSIGTERMThenSIGKILL(t *testing.T) {
	dir := t.TempDir()
	x, _ := start(t, 3600, "sleep", dir)
	noneLeft(t, dir, 1, func() { x.Stop(); await(t, x.Clean()) })
	e, err := x.Ending()
	require.NoError(t, err)
	assert.Equal(t, "SIGTERM", e.Signal)

	dir = t.TempDir()
	x, _ = start(t, 0.05, "stubborn", dir)
	noneLeft(t, dir, 1, func() { x.Stop(); x.Stop(); await(t, x.Clean()) })
	e, err = x.Ending()
	require.NoError(t, err)
	assert.Equal(t, "SIGKILL", e.Signal)
}

// A program that ends at once when it is told twice is told once; so is what it
// has started, in its group or in another, and what outlives it.
func TestEveryProcessGetsOneSIGTERM(t *testing.T) {
	for _, where := range []string{"together", "apart"} {
		dir := t.TempDir()
		x, out := start(t, 3600, "counting", dir, where)
		noneLeft(t, dir, 2, func() {
			x.Stop()
			x.Stop()
			await(t, x.Clean())
		})
		said, err := io.ReadAll(out)
		require.NoError(t, err)
		assert.Equal(t, "told 1\ntold 1\n", string(said), where)
	}
}

// Children that ignore SIGTERM, have sessions of their own, or are daemons
// without the mark, all end with the program.
func TestNothingIsLeft(t *testing.T) {
	dir := t.TempDir()
	x, _ := start(t, 0.05, "family", dir)
	noneLeft(t, dir, 4, func() { x.Stop(); await(t, x.Clean()) })
}

func TestWhatAProgramLeavesIsEnded(t *testing.T) {
	dir := t.TempDir()
	x, out := start(t, 0.05, "leave", dir)
	noneLeft(t, dir, 2, func() {
		_, err := io.ReadAll(out) // ends when the last of them is gone
		require.NoError(t, err)
		await(t, x.Clean())
	})
	e, err := x.Ending()
	require.NoError(t, err)
	require.NotNil(t, e.Exit)
	assert.Zero(t, *e.Exit)
	assert.Equal(t, 2, e.Strays)
}

func TestSIGKILLOfTheWarden(t *testing.T) {
	dir := t.TempDir()
	// Not the family: a daemon without the mark whose warden is killed as well
	// cannot be known.
	x, _ := start(t, 3600, "stubborn", dir)
	noneLeft(t, dir, 1, func() {
		require.NoError(t, syscall.Kill(x.Warden(), syscall.SIGKILL))
		await(t, x.Clean())
	})
	_, err := x.Ending()
	assert.ErrorIs(t, err, ErrWarden)
}

// The driver is killed: its warden ends the tree within a second or two.
func TestSIGKILLOfTheDriver(t *testing.T) {
	dir, uid := t.TempDir(), "u-orphan-"+strconv.Itoa(os.Getpid())
	driver := exec.Command(os.Args[0], "helper", "driver", dir, uid)
	require.NoError(t, driver.Start())
	noneLeft(t, dir, 4, func() {
		require.NoError(t, driver.Process.Kill())
		_ = driver.Wait()
	})
	require.Eventually(t, func() bool { return len(marked(wardenMark, uid)) == 0 }, patience, 5*time.Millisecond, "the warden ends with them")
}

// Driver and warden are killed: what has the mark is found.
func TestSweep(t *testing.T) {
	dir, uid := t.TempDir(), "u-swept-"+strconv.Itoa(os.Getpid())
	driver := exec.Command(os.Args[0], "helper", "driver", dir, uid)
	driver.Stdout = io.Discard
	require.NoError(t, driver.Start())
	require.Eventually(t, func() bool { return count(dir) == 4 }, patience, 5*time.Millisecond)
	daemon := unmarked(t, dir, uid)
	wardens := marked(wardenMark, uid)
	require.Len(t, wardens, 1)
	require.NoError(t, driver.Process.Kill())
	require.NoError(t, syscall.Kill(wardens[0], syscall.SIGKILL))
	_ = driver.Wait()
	Sweep(uid)
	assert.Empty(t, marked(Mark, uid))
	require.NoError(t, syscall.Kill(daemon, syscall.SIGKILL)) // that one is beyond reach, and ours to end
	noneLeft(t, dir, 4, func() {})
}

// unmarked is the one of the processes that has no mark.
func unmarked(t *testing.T, dir, uid string) int {
	e, err := os.ReadDir(dir)
	require.NoError(t, err)
	with := fmt.Sprint(marked(Mark, uid))
	for _, f := range e {
		if !strings.Contains(" "+strings.Trim(with, "[]")+" ", " "+f.Name()+" ") {
			pid, err := strconv.Atoi(f.Name())
			require.NoError(t, err)
			return pid
		}
	}
	t.Fatal("all have the mark")
	return 0
}

func TestOrdersAreJSON(t *testing.T) {
	b, err := json.Marshal(Program{Path: "/p", Arguments: []string{"\u2028", "\x7f"}})
	require.NoError(t, err)
	var p Program
	require.NoError(t, json.Unmarshal(b, &p))
	assert.Equal(t, []string{"\u2028", "\x7f"}, p.Arguments)
}
