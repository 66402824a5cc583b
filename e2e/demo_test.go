//go:build e2e

package e2e

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what should come.
const patience = 60 * time.Second

// demo is a running `dcs demo`.
type demo struct {
	t      *testing.T
	offset int
	began  time.Time
	mark   string // in the environment of all its processes
	cmd    *exec.Cmd
	ended  chan struct{}
	table  chan struct{} // closed when the table has been printed

	mu  sync.Mutex
	out []string
}

// root is the source tree.
func root(t *testing.T) string {
	dir, err := filepath.Abs("..")
	require.NoError(t, err)
	return dir
}

// freeOffset finds a PORT_OFFSET whose ports are all free.
func freeOffset(t *testing.T) int {
	t.Helper()
next:
	for offset := 1000; offset < 30000; offset += 100 {
		for _, p := range []int{1883, 8086, 27017, 1880, 8443, 10001, 10002, 10003} {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p+offset)))
			if err != nil {
				continue next
			}
			_ = l.Close()
		}
		return offset
	}
	t.Fatal("no free ports")
	return 0
}

// startDemo starts the demonstrator as a person does, and waits for its table.
func startDemo(t *testing.T, offset int) *demo {
	t.Helper()
	var b [8]byte
	_, _ = rand.Read(b[:])
	d := &demo{t: t, offset: offset, mark: "TRACKER_E2E_MARK=" + hex.EncodeToString(b[:]), ended: make(chan struct{}), table: make(chan struct{})}
	d.cmd = exec.Command(filepath.Join(root(t), "bin", "dcs"), "demo")
	d.cmd.Dir = root(t)
	d.cmd.Env = append(os.Environ(), "PORT_OFFSET="+strconv.Itoa(offset), d.mark)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	d.cmd.Stdout, d.cmd.Stderr = w, w
	d.began = time.Now()
	require.NoError(t, d.cmd.Start())
	_ = w.Close()
	go d.read(r)
	go func() {
		_ = d.cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Log("the demonstrator said\n" + d.said())
		}
	})
	select {
	case <-d.table:
	case <-d.ended:
		t.Fatal("the demonstrator ended\n" + d.said())
	case <-time.After(2 * patience):
		t.Fatal("no table\n" + d.said())
	}
	return d
}

func (d *demo) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		d.mu.Lock()
		d.out = append(d.out, lines.Text())
		d.mu.Unlock()
		if strings.HasPrefix(lines.Text(), "Ctrl-C ends all of it") {
			close(d.table)
		}
	}
}

func (d *demo) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.out[max(0, len(d.out)-200):], "\n")
}

// stop is a Ctrl-C; it returns when the demonstrator has ended.
func (d *demo) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.t.Error("the demonstrator does not end")
		_ = d.cmd.Process.Kill()
		<-d.ended
	}
}

func (d *demo) port(p int) int { return p + d.offset }

func (d *demo) broker() string { return fmt.Sprintf("tcp://127.0.0.1:%d", d.port(1883)) }

func (d *demo) nodeRed() string { return fmt.Sprintf("http://127.0.0.1:%d/nodered", d.port(1880)) }

// processes are the demonstrator's parts by the name of their data folder, and
// whatever else carries its mark.
func (d *demo) processes() map[string]int {
	found := make(map[string]int)
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(b), d.mark) {
			continue
		}
		pid, _ := strconv.Atoi(strings.Split(f, "/")[2])
		if state(pid) == "Z" {
			continue
		}
		name := "pid " + strconv.Itoa(pid)
		for kv := range strings.SplitSeq(string(b), "\x00") {
			if v, ok := strings.CutPrefix(kv, "DCS_DATA_DIR="); ok {
				name = filepath.Base(v)
			}
			if strings.HasPrefix(kv, "INFLUXDB_DATA_DIR=") {
				name = "influxd"
			}
			if strings.HasPrefix(kv, "FERRETDB_DIR=") {
				name = "ferretdb"
			}
			if strings.HasPrefix(kv, "NODERED_PORT=") {
				name = "nodered"
			}
		}
		found[name] = pid
	}
	return found
}

func state(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	s, _, _ := strings.Cut(rest, " ")
	return s
}

// nothingLeft checks that no process of the demonstrator is there any more.
func (d *demo) nothingLeft() {
	d.t.Helper()
	eventually(d.t, "no process left", func() bool {
		left := d.processes()
		delete(left, "pid "+strconv.Itoa(d.cmd.Process.Pid))
		return len(left) == 0
	})
}

// query asks InfluxDB and returns the values of the first series.
func (d *demo) query(q string) ([][]any, error) {
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/query?%s", d.port(8086), url.Values{"db": {"dcs"}, "q": {q}, "epoch": {"ns"}}.Encode()))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var answer struct {
		Results []struct {
			Series []struct{ Values [][]any }
			Error  string
		}
		Error string
	}
	dec := json.NewDecoder(res.Body)
	dec.UseNumber()
	if err := dec.Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Error != "" || len(answer.Results) == 0 || len(answer.Results[0].Series) == 0 {
		return nil, fmt.Errorf("no series: %s", answer.Error)
	}
	return answer.Results[0].Series[0].Values, nil
}

// count is how many points a query of one count finds.
func (d *demo) count(q string) int {
	v, err := d.query(q)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(fmt.Sprint(v[0][1]))
	return n
}

// eventually waits for a condition, asked ten times a second; by the test itself,
// so that the condition may fail it.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); <-time.After(100 * time.Millisecond) {
		if time.Now().After(end) {
			require.FailNow(t, what, "not within %v", patience)
		}
	}
}

// publish is what a person types.
func (d *demo) publish(topic, payload string, args ...string) {
	d.t.Helper()
	out, err := exec.Command("mosquitto_pub", append([]string{"-p", strconv.Itoa(d.port(1883)), "-q", "1", "-t", topic, "-m", payload}, args...)...).CombinedOutput()
	require.NoError(d.t, err, string(out))
}
