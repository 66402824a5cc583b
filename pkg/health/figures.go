package health

import (
	"bytes"
	"math"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Figures are what a program shows at /metrics, in Prometheus' text format. The
// zero Figures shows nothing.
type Figures struct {
	mu  sync.Mutex
	all []figure // by name
}

type figure struct {
	name, help, kind string
	value            func() float64
}

// Number is a figure that is set or counted.
type Number struct{ bits atomic.Uint64 }

// Set says what the number is now.
func (n *Number) Set(v float64) { n.bits.Store(math.Float64bits(v)) }

// Value is what was last set.
func (n *Number) Value() float64 { return math.Float64frombits(n.bits.Load()) }

// Inc counts one more.
func (n *Number) Inc() {
	for {
		old := n.bits.Load()
		if n.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+1)) {
			return
		}
	}
}

// Gauge adds a number that rises and falls.
func (f *Figures) Gauge(name, help string) *Number {
	n := new(Number)
	f.add(figure{name, help, "gauge", n.Value})
	return n
}

// Counter adds a number that only rises.
func (f *Figures) Counter(name, help string) *Number {
	n := new(Number)
	f.add(figure{name, help, "counter", n.Value})
	return n
}

// add puts a figure in its place. A name that is there already panics: there
// would be two of one name in the answer.
func (f *Figures) add(n figure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, found := slices.BinarySearchFunc(f.all, n.name, func(o figure, name string) int { return strings.Compare(o.name, name) })
	if found {
		panic("health: two figures have the name " + n.name)
	}
	f.all = slices.Insert(f.all, at, n)
}

// began is near enough to when the process was started.
var began = time.Now()

// clockTicks are the units in which Linux gives a process' times to its
// programs, per second, on every machine that Go knows.
const clockTicks = 100

// AddProcess adds what the process takes, by the names that Prometheus' library
// gives it. Where there is no /proc some of it is 0.
func (f *Figures) AddProcess() {
	f.add(figure{"go_goroutines", "Number of goroutines that currently exist.", "gauge", func() float64 { return float64(runtime.NumGoroutine()) }})
	f.add(figure{"process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", "counter", func() float64 {
		text, _ := os.ReadFile("/proc/self/stat")
		_, rest, _ := strings.Cut(string(text), ") ")           // the program's name may have blanks
		return (field(rest, 11) + field(rest, 12)) / clockTicks // utime and stime
	}})
	f.add(figure{"process_resident_memory_bytes", "Resident memory size in bytes.", "gauge", func() float64 {
		text, _ := os.ReadFile("/proc/self/statm")
		return field(string(text), 1) * float64(os.Getpagesize())
	}})
	f.add(figure{"process_start_time_seconds", "Start time of the process since unix epoch in seconds.", "gauge", func() float64 {
		return float64(began.UnixMilli()) / 1000
	}})
}

// field is the number in the n-th place of a line, from 0; 0 where there is none.
func field(line string, n int) float64 {
	fields := strings.Fields(line)
	if n >= len(fields) {
		return 0
	}
	v, _ := strconv.ParseFloat(fields[n], 64)
	return v
}

var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`)

// ServeHTTP writes all figures.
func (f *Figures) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	all := slices.Clone(f.all)
	f.mu.Unlock()
	var b bytes.Buffer
	for _, n := range all {
		b.WriteString("# HELP " + n.name + " " + escape.Replace(n.help) + "\n# TYPE " + n.name + " " + n.kind + "\n")
		b.WriteString(n.name + " " + strconv.FormatFloat(n.value(), 'g', -1, 64) + "\n")
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // who has gone away learns nothing
}
