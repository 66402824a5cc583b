package warden

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Sweeping up behind a driver that was killed.
const (
	wardenPatience = OrphanGrace + 2*time.Second // for a warden to do it itself
	sweepPatience  = 10 * time.Second            // for killed processes to be gone
)

// stat is the state of a process, a letter, its parent and its group.
func stat(pid string) (state string, parent, group int) {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return "", 0, 0 // gone meanwhile
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // behind the name, which may have anything in it
	if len(f) < 3 {
		return "", 0, 0
	}
	parent, _ = strconv.Atoi(f[1])
	group, _ = strconv.Atoi(f[2])
	return f[0], parent, group
}

// processes are those there are, as in /proc.
func processes() []string {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	return slices.DeleteFunc(names, func(n string) bool { return n[0] < '0' || n[0] > '9' })
}

// process is one of a tree.
type process struct {
	pid, group int
	dead       bool
}

// descendants are a process's children, theirs and so on, those apart that only
// wait to be reaped.
func descendants(pid int) (tree []process) {
	children := make(map[int][]process)
	for _, p := range processes() {
		state, parent, group := stat(p)
		if n, err := strconv.Atoi(p); err == nil && state != "" {
			children[parent] = append(children[parent], process{n, group, isDead(state)})
		}
	}
	for todo := children[pid]; len(todo) > 0; todo = todo[1:] {
		todo = append(todo, children[todo[0].pid]...)
		if !todo[0].dead {
			tree = append(tree, todo[0])
		}
	}
	return tree
}

func isDead(state string) bool { return state == "" || state == "Z" || state == "X" }

// marked finds processes by what stands in their environment.
func marked(name, uid string) (pids []int) {
	want := []byte(name + "=" + uid)
	for _, p := range processes() {
		pid, err := strconv.Atoi(p)
		if err != nil || pid == os.Getpid() {
			continue
		}
		b, err := os.ReadFile("/proc/" + p + "/environ")
		if err != nil {
			continue // gone, or another user's
		}
		for v := range bytes.SplitSeq(b, []byte{0}) {
			if !bytes.Equal(v, want) {
				continue
			}
			if state, _, _ := stat(p); !isDead(state) {
				pids = append(pids, pid)
			}
			break
		}
	}
	return pids
}

// Sweep kills everything that is left of a run, and returns how many processes
// that were. A warden that is still at it is given the time to end by itself: it
// knows the program's children, those without the mark too.
func Sweep(uid string) int {
	killed := make(map[int]bool)
	tick := time.NewTicker(sweepGap)
	defer tick.Stop()
	begin := time.Now()
	for {
		pids := marked(Mark, uid)
		wardens := marked(wardenMark, uid)
		if time.Since(begin) > wardenPatience {
			pids = append(pids, wardens...)
		}
		if len(pids) == 0 && len(wardens) == 0 || time.Since(begin) > wardenPatience+sweepPatience {
			return len(killed)
		}
		for _, pid := range pids {
			killed[pid] = true
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-tick.C
	}
}
