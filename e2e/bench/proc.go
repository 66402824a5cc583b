package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc: USER_HZ is 100 on every Linux that Go
// runs on.
const tick = 10 * time.Millisecond

// parseCPU reads utime and stime out of /proc/<pid>/stat.
func parseCPU(stat string) (time.Duration, error) {
	_, rest, ok := cutLast(stat, ")") // the program's name may contain anything
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("/proc/<pid>/stat %.40q: too short", stat)
	}
	var ticks uint64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/<pid>/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// parsePeak reads the largest resident set, in bytes, out of /proc/<pid>/status.
func parsePeak(status string) (int64, error) {
	for line := range strings.Lines(status) {
		value, ok := strings.CutPrefix(line, "VmHWM:")
		if !ok {
			continue
		}
		kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/<pid>/status: %w", err)
		}
		return kb << 10, nil
	}
	return 0, fmt.Errorf("/proc/<pid>/status has no VmHWM")
}

// usage is what all cores of the machine did so far.
type usage struct{ busy, all time.Duration }

// parseUsage reads the first line of /proc/stat. Waiting for a disk is not
// being busy; what the hypervisor took away is.
func parseUsage(stat string) (usage, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return usage{}, fmt.Errorf("/proc/stat %.40q: not as known", stat)
	}
	var u usage
	for i, f := range fields[1:9] { // user nice system idle iowait irq softirq steal
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return usage{}, fmt.Errorf("/proc/stat: %w", err)
		}
		d := time.Duration(n) * tick
		u.all += d
		if i != 3 && i != 4 {
			u.busy += d
		}
	}
	return u, nil
}

func machineUsage() (usage, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return usage{}, err
	}
	return parseUsage(string(b))
}

// cpu is what a process has used so far.
func cpu(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseCPU(string(b))
}

// cpus is what several have used so far.
func cpus(pids ...int) ([]time.Duration, error) {
	used := make([]time.Duration, len(pids))
	for i, pid := range pids {
		var err error
		if used[i], err = cpu(pid); err != nil {
			return nil, err
		}
	}
	return used, nil
}

// peak is the largest resident set of a process so far, in bytes.
func peak(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return parsePeak(string(b))
}
