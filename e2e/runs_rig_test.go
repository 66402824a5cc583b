//go:build e2e && linux

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

// lab is all that calibration runs need, as processes: Mosquitto, FerretDB, a
// supply with its driver, the driver of calibrations, run control and the sink.
type lab struct {
	*stack
	uri                                        string
	mongo, sim, hv, driver, control, sink      *part
	driverDir, controlDir, sinkDir, procedures string
	db                                         *runs.Client
	w                                          *watcher
}

// own prepares one of our programs, with the account of its name; env comes last.
func (s *stack) own(name, binary, dir string, env ...string) *part {
	s.t.Helper()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(s.t)))
	b := s.bus(name, s.address())
	p := newPart(s.t, name, filepath.Join(s.dir, name+".log"), append([]string{
		"DCS_DATA_DIR=" + dir, "DCS_HTTP=" + addr,
		"DCS_BROKER=" + b.Broker, "DCS_BROKER_USER=" + b.BrokerUser, "DCS_BROKER_PASSWORD_FILE=" + b.PasswordFile,
	}, env...), filepath.Join(root(s.t), "bin", binary))
	p.http = addr
	p.ready = func() bool {
		res, err := http.Get("http://" + addr + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	return p
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{stack: newStack(t)}
	mongo := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
	l.uri = "mongodb://" + mongo
	l.mongo = newPart(t, "ferretdb", filepath.Join(l.dir, "ferretdb.log"),
		[]string{"FERRETDB_LISTEN=" + mongo, "FERRETDB_DIR=" + filepath.Join(l.dir, "ferretdb")}, filepath.Join(root(t), "bin", "ferretdb"))
	l.mongo.ready = listens(mongo)

	supply := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
	l.sim = newPart(t, "sim", filepath.Join(l.dir, "sim.log"),
		[]string{"DCS_MODEL=iseg", "DCS_ADDRESS=tcp://" + supply, "DCS_DATA_DIR=" + filepath.Join(l.dir, "sim")}, filepath.Join(root(t), "bin", "sim"))
	l.sim.ready = listens(supply)
	l.hv = l.own("hv", "psu", filepath.Join(l.dir, "hv"), "DCS_DEVICE=hv", "DCS_MODEL=iseg", "DCS_ADDRESS=tcp://"+supply)

	shipped, err := os.ReadFile("../drivers/ph2acfsim/procedures.yml")
	require.NoError(t, err)
	require.Contains(t, string(shipped), "sim_hv:10001")
	l.procedures = filepath.Join(l.dir, "procedures.yml")
	require.NoError(t, os.WriteFile(l.procedures, []byte(strings.ReplaceAll(string(shipped), "sim_hv:10001", supply)), 0o600))
	l.driverDir, l.controlDir, l.sinkDir = filepath.Join(l.dir, "ph2acf"), filepath.Join(l.dir, "runcontrol"), filepath.Join(l.dir, "calibration")
	l.driver = l.own("ph2acf", "ph2acf", l.driverDir, "DCS_DEVICE=ph2acf", "DCS_PROCEDURES="+l.procedures)
	l.control = l.own("runcontrol", "runcontrol", l.controlDir, "DCS_MONGO_URI="+l.uri)
	l.sink = l.own("calibration", "calibration", l.sinkDir, "DCS_MONGO_URI="+l.uri)

	l.db, err = runs.New(runs.Config{URI: l.uri, Database: "dcs"})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = l.db.Close(ctx)
	})
	return l
}

// startLab starts all of it.
func startLab(t *testing.T) *lab {
	t.Helper()
	l := newLab(t)
	for _, p := range []*part{l.broker, l.mongo, l.sim} {
		p.start()
	}
	for _, p := range []*part{l.hv, l.sink, l.driver, l.control} {
		p.launch()
	}
	l.allReady()
	l.w = l.watch("/run/#", "/hv/status", "/ph2acf/#", "/service/#")
	return l
}

func listens(address string) func() bool {
	return func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
}

// say publishes, whenever the broker is there again.
func (w *watcher) say(topic string, payload []byte) {
	w.t.Helper()
	within(w.t, patience, "published on "+topic, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return w.bus.Publish(ctx, bus.Message{Topic: topic, QoS: 1, Payload: payload}) == nil
	})
}

// last is the last message on a topic from a mark on that is as wanted.
func (w *watcher) last(mark int, topic string, wanted func(payload []byte) bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.heard) - 1; i >= mark; i-- {
		if m := w.heard[i]; m.Topic == topic && wanted(m.Payload) {
			return true
		}
	}
	return false
}

// order starts a run, and says so again until it is answered: a part that was
// killed may have taken the command, or the answer, with it.
func (l *lab) order(c wire.RunCommand) wire.Ack {
	l.t.Helper()
	var a wire.Ack
	mark, said := l.w.mark(), time.Time{}
	within(l.t, 2*patience, "an answer to start", func() bool {
		if time.Since(said) > 5*time.Second {
			c.Expires = time.Now().Add(10 * time.Second)
			l.w.say("/run/cmd/start", c.Payload())
			said = time.Now()
		}
		return l.w.last(mark, "/run/ack", func(b []byte) bool {
			a = wire.Ack{}
			return json.Unmarshal(b, &a) == nil && a.ID == c.ID
		})
	})
	return a
}

// state is the last record of run control.
func (l *lab) state() (r wire.Run) {
	l.w.last(0, "/run/state", func(b []byte) bool {
		r = wire.Run{}
		return json.Unmarshal(b, &r) == nil
	})
	return r
}

// ends waits until a run has ended as run control sees it.
func (l *lab) ends(run int64, limit time.Duration) (r wire.Run) {
	l.t.Helper()
	within(l.t, limit, fmt.Sprintf("the end of run %d", run), func() bool {
		r = l.state()
		return r.Run == run && wire.RunEnded(r.State)
	})
	return r
}

// afterBroker starts the broker again, in which connected is how often each of
// those who have to do with runs had been let in, and waits until all of them are
// there and have said so.
func (l *lab) afterBroker(connected map[string]int) {
	l.t.Helper()
	mark := l.w.mark()
	l.broker.start()
	within(l.t, patience, "all are on the bus again", func() bool {
		for name, n := range l.connections() {
			if n <= connected[name] {
				return false
			}
		}
		return true
	})
	l.allReady()
	for _, topic := range []string{"/ph2acf/state", "/service/calibration/state", "/service/runcontrol/state"} {
		l.w.await(patience, mark, topic, wire.Ready)
	}
}

// connections is how often each of those who have to do with runs has been let
// in by the broker.
func (l *lab) connections() map[string]int {
	n := map[string]int{}
	for _, name := range []string{"dcs-hv", "dcs-ph2acf", "dcs-calibration", "dcs-runcontrol"} {
		n[name] = l.connected(name)
	}
	return n
}

// allReady waits until all of our programs say so.
func (l *lab) allReady() {
	l.t.Helper()
	for _, p := range []*part{l.hv, l.sink, l.driver, l.control} {
		p.awaitReady()
	}
}

// stored waits for the complete document of a run.
func stored(t *testing.T, db *runs.Client, run int64, limit time.Duration) (d runs.Run) {
	t.Helper()
	within(t, limit, fmt.Sprintf("the document of run %d", run), func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		var err error
		d, err = db.Get(ctx, run)
		return err == nil && !d.Stored.IsZero()
	})
	return d
}

// filesAreRight reads every file of a run out of GridFS and compares its sum.
func filesAreRight(t *testing.T, db *runs.Client, d runs.Run) (bytes int64) {
	t.Helper()
	for _, f := range d.Files {
		assert.Empty(t, f.Error, f.Name)
		r, file, err := db.OpenFile(t.Context(), d.Number, f.Name)
		require.NoError(t, err, f.Name)
		n, err := io.Copy(io.Discard, r) // the end is an error where the sum is wrong
		require.NoError(t, err, f.Name)
		require.NoError(t, r.Close())
		assert.Equal(t, f.Size, n, f.Name)
		assert.Equal(t, f.SHA256, file.SHA256, f.Name)
		bytes += n
	}
	return bytes
}

// strays are the processes of the stand-in that are still there, in this lab.
func (l *lab) strays() (found []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, f := range files {
		if dir, err := os.Readlink(f); err == nil && strings.HasPrefix(dir, l.driverDir+"/runs/") {
			pid := strings.Split(f, "/")[2]
			if n, _ := strconv.Atoi(pid); state(n) != "Z" {
				line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
				found = append(found, pid+" "+strings.ReplaceAll(string(line), "\x00", " "))
			}
		}
	}
	return found
}

// gaps are the times between the statuses of the supply from a mark on.
func (w *watcher) gaps(mark int) (most time.Duration, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var last time.Time
	for _, m := range w.heard[mark:] {
		var list []wire.Channel
		if m.Topic != "/hv/status" || json.Unmarshal(m.Payload, &list) != nil || len(list) == 0 {
			continue
		}
		if !last.IsZero() {
			most = max(most, list[0].Time.Sub(last))
		}
		last = list[0].Time
		n++
	}
	return most, n
}
