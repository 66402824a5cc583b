package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// facts are what the figures depend on besides the programs.
type facts struct {
	cores                        int
	cpu                          string
	goVersion                    string
	mosquitto, influxd, telegraf string
	fsync50, fsync95             time.Duration
}

func (f facts) markdown() string {
	return fmt.Sprintf("%d cores (%s), %s, %s, %s, %s; writing 4 kB to disk and fsync: %.1f ms (median), %.1f ms (95 %%).\n",
		f.cores, f.cpu, f.goVersion, f.mosquitto, f.influxd, f.telegraf, ms(f.fsync50), ms(f.fsync95))
}

func ms(d time.Duration) float64 { return math.Round(float64(d.Microseconds())/100) / 10 }

// machine finds out; it fails when one of the programs is not there.
func (b *bench) machine(ctx context.Context) (facts, error) {
	f := facts{cores: runtime.NumCPU(), goVersion: runtime.Version()}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		f.cpu = parseModel(string(info))
	}
	out, err := exec.CommandContext(ctx, b.broker(), "-h").Output()
	f.mosquitto, _, _ = strings.Cut(string(out), "\n")
	if !strings.HasPrefix(f.mosquitto, "mosquitto version ") { // its exit code says nothing
		return f, fmt.Errorf("no Mosquitto at %s: %w", b.broker(), err)
	}
	f.mosquitto = "Mosquitto " + strings.TrimPrefix(f.mosquitto, "mosquitto version ")
	for _, p := range []struct {
		binary, module, name string
		version              *string
	}{
		{"influxd", "github.com/influxdata/influxdb", "InfluxDB", &f.influxd},
		{"telegraf", "github.com/influxdata/telegraf", "Telegraf", &f.telegraf},
	} {
		info, err := buildinfo.ReadFile(filepath.Join(b.bin, p.binary))
		if err != nil {
			return f, err
		}
		if info.Main.Path != p.module {
			return f, fmt.Errorf("%s is not built from %s", p.binary, p.module)
		}
		*p.version = p.name + " " + strings.TrimPrefix(info.Main.Version, "v")
	}
	f.fsync50, f.fsync95, err = fsyncs(b.dir)
	return f, err
}

// parseModel reads the name of the CPU out of /proc/cpuinfo.
func parseModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return runtime.GOARCH
}

// fsyncs measures how long it takes until something small is on the disk.
func fsyncs(dir string) (p50, p95 time.Duration, err error) {
	f, err := os.CreateTemp(dir, "fsync-")
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer f.Close()
	block := make([]byte, 4096)
	var took []time.Duration
	for range 100 {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		took = append(took, time.Since(began))
	}
	return percentile(took, 50), percentile(took, 95), nil
}
