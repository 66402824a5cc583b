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

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/mqttd"
)

var brokertestOptions = mqttd.Options{}

// A run from start to the deletion of what the sink has stored.
func TestRun(t *testing.T) {
	b := newBench(t, "1m").drive()
	s := b.sink()
	s.switchDatabase(false)
	m := b.Await(0, "the meta", func(m bus.Message) bool { return m.Topic == "/cal/meta" })
	var meta wire.Meta
	require.NoError(t, json.Unmarshal(m.Payload, &meta))
	assert.Equal(t, wire.KindCalibration, meta.Kind)
	assert.Equal(t, 60.0, meta.Procedures["test"].Limit)
	assert.Equal(t, "M[0-9]{1,4}", meta.Procedures["test"].Parameters["module"].Pattern)
	assert.Contains(t, meta.Commands, "abort")

	before := time.Now()
	b.Say("/cal/cmd/start", start(42, "ok"))
	a := b.ack(0, "s42", wire.Accepted)
	assert.EqualValues(t, 42, a.Run)
	assert.Equal(t, "test", a.Value)
	assert.Equal(t, "alice", a.User)
	assert.Equal(t, wire.OK, a.Code)
	a = b.ack(0, "s42", wire.Done)
	assert.Equal(t, wire.OK, a.Code)
	assert.Empty(t, a.Message)

	r := b.ended(0, 42)
	assert.Equal(t, wire.RunFinished, r.State)
	assert.Equal(t, wire.Parameters{"module": "M12", "do": "ok", "vcal": 200.0}, r.Parameters)
	assert.Equal(t, 0, *r.Exit)
	assert.Equal(t, wire.Known(1), r.Progress)
	assert.Equal(t, "writing", r.Phase)
	assert.EqualValues(t, 8, r.Lines)
	assert.WithinRange(t, r.Start, before.Add(-time.Second), time.Now())
	assert.False(t, r.End.Before(r.Start))
	assert.Equal(t, b.boot, r.Boot)

	man := b.manifest(42)
	assert.Equal(t, "the tests' program 1.2.3", man.Versions["program"])
	assert.Contains(t, man.Versions["driver"], "ph2acf ")
	assert.Equal(t, []string{"program", "ok", "--module=M12", "--vcal", "200", "42"}, man.Arguments)
	assert.Empty(t, man.Left)
	var files []string
	for _, f := range man.Files {
		files = append(files, f.Name+" "+f.Read)
	}
	assert.Equal(t, []string{"summary.json json", "a.csv csv", "log.txt log"}, files)

	b.Await(0, "the sink's first receipt", func(m bus.Message) bool {
		var r wire.Receipt
		return json.Unmarshal(m.Payload, &r) == nil && r.Run == 42 && r.State == wire.ResultsReceived
	})
	b.Await(b.Mark(), "a status with a waiting run", func(m bus.Message) bool {
		return m.Topic == "/cal/status" && strings.Contains(string(m.Payload), `"waiting":1`)
	})
	assert.FileExists(t, filepath.Join(b.data, "runs/42/work/summary.json"), "received is not stored")
	s.switchDatabase(true)
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(b.data, "runs/42/work")); return os.IsNotExist(err) }, bustest.Patience, 5*time.Millisecond)
	assert.JSONEq(t, `{"ok":true}`, s.file(t, 42, "summary.json"))
	log := s.file(t, 42, "log.txt")
	assert.Equal(t, 8, strings.Count(log, "\n"))
	assert.Contains(t, log, "\tout\tphase=start --module=M12 --vcal 200 42\n")
	assert.Contains(t, log, "\terr\ta warning\n")
	b.Await(0, "the lines", func(m bus.Message) bool {
		return m.Topic == "/cal/log" && strings.Contains(string(m.Payload), `"text":"a warning"`)
	})
	b.Await(0, "a status without waiting runs", func(m bus.Message) bool {
		var st status
		return m.Topic == "/cal/status" && json.Unmarshal(m.Payload, &st) == nil && st.Run == 42 && st.Running == wire.No && st.Waiting == 0 && st.Sent > 0 && st.Elapsed.Valid && st.Free.Valid
	})
}

// Every way in which a run can end.
func TestEnds(t *testing.T) {
	b := newBench(t, "1m").drive()
	for i, tt := range []struct {
		do, state, phase string
		code             wire.Code
		text             string
	}{
		{"fail", wire.RunFailed, wire.Failed, wire.Hardware, "the program ended with exit code 3: module does not answer"},
		{"crash", wire.RunFailed, wire.Failed, wire.Hardware, "the program was ended by SIGKILL"},
		{"nothing", wire.RunFailed, wire.Failed, wire.Hardware, "the program ended well, but left no summary.json, which it has to"},
		{"limit", wire.RunFailed, wire.Failed, wire.Timeout, "the program took longer than its limit of 300ms and was ended"},
	} {
		if tt.do == "limit" { // no other is to be slower than it
			b.end()
			b.edited("limit: 1m", "limit: 300ms").drive()
		}
		mark, run := b.Mark(), int64(i+1)
		b.Say("/cal/cmd/start", start(int(run), tt.do))
		a := b.ack(mark, fmt.Sprint("s", run), tt.phase)
		assert.Equal(t, tt.code, a.Code, tt.do)
		assert.Equal(t, tt.text, a.Message, tt.do)
		r := b.ended(mark, run)
		assert.Equal(t, tt.state, r.State, tt.do)
		assert.Equal(t, tt.text, r.Error, tt.do)
	}
	b.Await(0, "a status with four waiting runs", func(m bus.Message) bool {
		return m.Topic == "/cal/status" && strings.Contains(string(m.Payload), `"waiting":4`)
	})
}

func TestAbort(t *testing.T) {
	b := newBench(t, "1m").drive()
	b.Say("/cal/cmd/abort", `{"id":"a0"}`)
	assert.Equal(t, "no run is under way", b.ack(0, "a0", wire.Rejected).Message)
	b.noneLeft(0, func() { b.begin(7, "family", "family") })
	b.Say("/cal/cmd/abort", `{"id":"a1","run":6}`)
	a := b.ack(0, "a1", wire.Rejected)
	assert.Equal(t, wire.BadValue, a.Code)
	assert.Equal(t, "run 6 is not under way: it is run 7", a.Message)
	b.Say("/cal/cmd/abort", `{"id":"a2","dry":1}`)
	assert.Equal(t, wire.Dry, b.ack(0, "a2", wire.Accepted).Code)
	b.noneLeft(2, func() {
		b.Say("/cal/cmd/abort", `{"id":"a3","run":7,"user":"bob","reason":"wrong module","expires":"2020-01-01T00:00:00Z"}`)
		b.ack(0, "a3", wire.Accepted)
		b.Say("/cal/cmd/abort", `{"id":"a4"}`)
		assert.EqualValues(t, 7, b.ack(0, "a3", wire.Done).Run)
		b.ack(0, "a4", wire.Done)
	})
	a = b.ack(0, "s7", wire.Superseded)
	assert.Equal(t, wire.OK, a.Code)
	assert.Equal(t, "ended by abort by bob, id a3: wrong module", a.Message)
	assert.Equal(t, wire.RunAborted, b.ended(0, 7).State)
	assert.Equal(t, "log.txt", b.manifest(7).Files[0].Name)
}

func TestBusyAndRepeats(t *testing.T) {
	b := newBench(t, "1m").drive()
	payload := b.begin(41, "hang", "hanging")
	say := func(id, p string) wire.Ack {
		mark := b.Mark()
		b.Say("/cal/cmd/start", p)
		return b.ack(mark, id, wire.Rejected)
	}
	a := say("s42", start(42, "ok"))
	assert.Equal(t, wire.Busy, a.Code)
	assert.Contains(t, a.Message, "run 41 is under way since 20")
	a = say("s41", start(41, "ok"))
	assert.Equal(t, wire.Duplicate, a.Code, "other content")
	a = say("other", strings.Replace(payload, `"id":"s41"`, `"id":"other"`, 1))
	assert.Equal(t, wire.Duplicate, a.Code, "other id")
	assert.Equal(t, "run 41 was executed already: each run has a number of its own, and the highest here is 41", a.Message)

	mark := b.Mark()
	b.Say("/cal/cmd/start", payload)
	b.ack(mark, "s41", wire.Accepted)
	b.Say("/cal/cmd/abort", `{}`)
	b.ack(mark, "s41", wire.Superseded)

	// The same after a restart, which also shows that the number is kept.
	b.end()
	b.drive()
	mark = b.Mark()
	b.Say("/cal/cmd/start", payload)
	b.ack(mark, "s41", wire.Superseded)
	a = say("s40", start(40, "ok"))
	assert.Equal(t, wire.Duplicate, a.Code)
	a = say("s41", start(41, "ok"))
	assert.Equal(t, wire.Duplicate, a.Code)
	mark = b.Mark()
	b.Say("/cal/cmd/start", start(42, "ok"))
	b.ack(mark, "s42", wire.Done)
}

func TestRefusals(t *testing.T) {
	b := newBench(t, "1m")
	b.Leave("/cal/cmd/start", start(1, "ok"))
	bustest.AwaitRetained(t, b.url, "/cal/cmd/start")
	b.drive()
	a := b.ack(0, "s1", wire.Rejected)
	assert.Equal(t, wire.Retained, a.Code)
	b.Await(0, "the clearing", func(m bus.Message) bool { return m.Topic == "/cal/cmd/start" && len(m.Payload) == 0 })
	for i, tt := range []struct {
		topic, more string
		code        wire.Code
		text        string
	}{
		{"/cal/cmd/start/1", "", wire.NoChannel, `there are no channels ("1"): send to /cal/cmd/start`},
		{"/cal/cmd/abort/all", "", wire.NoChannel, `there are no channels ("all"): send to /cal/cmd/abort`},
		{"/cal/cmd/setv/0", "", wire.BadOp, `"setv" is not a command of this driver: it takes start and abort`},
		{"/cal/cmd", "", wire.BadOp, `"" is not a command of this driver: it takes start and abort`},
		{"/cal/cmd/start", `"dri":1`, wire.BadValue, `unknown key "dri"`},
		{"/cal/cmd/start", `"procedure":"x"`, wire.BadValue, `"run" or "uid" is missing: run control gives both, send to /run/cmd/start`},
		{"/cal/cmd/start", `"procedure":"x","run":1,"uid":"a b"`, wire.BadValue, `"uid" "a b": use letters, digits, . _ and -, a letter or digit first`},
		{"/cal/cmd/start", `"procedure":"x","run":1,"uid":"../x"`, wire.BadValue, `"uid" "../x": use letters, digits, . _ and -, a letter or digit first`},
		{"/cal/cmd/start", `"procedure":"x","run":1,"uid":"u"`, wire.BadValue, `procedure "x" is not known: there are [gone shared test]`},
		{"/cal/cmd/start", `"procedure":"shared","run":1,"uid":"u","device":"other"`, wire.BadValue, `"device" is other, and this is cal`},
		{"/cal/cmd/start", `"procedure":"shared","run":1,"uid":"u","configuration":"hv"`, wire.BadValue, `configurations are for run control: send to /run/cmd/start`},
		{"/cal/cmd/start", `"procedure":"shared","run":1,"uid":"u","parameters":{"module":"; rm -rf /"}`, wire.BadValue, `parameter module: "; rm -rf /" does not fit the pattern M[0-9]{1,4}`},
		{"/cal/cmd/start", `"procedure":"shared","run":1,"uid":"u","expires":"2020-01-01T00:00:00Z"`, wire.Expired, `it expired at 2020-01-01T00:00:00Z: compare the clocks`},
		{"/cal/cmd/start", `"procedure":"gone","run":1,"uid":"u","dry":1`, wire.Hardware, `program: stat /no/such/program: no such file or directory`},
	} {
		id := fmt.Sprint("r", i)
		p := `{"id":"` + id + `"}`
		if tt.more != "" {
			p = strings.TrimSuffix(p, "}") + "," + tt.more + "}"
		}
		mark := b.Mark()
		b.Say(tt.topic, p)
		a := b.ack(mark, id, wire.Rejected)
		assert.Equal(t, tt.code, a.Code, tt.more)
		assert.Equal(t, tt.text, a.Message, tt.more)
	}
	mark := b.Mark()
	b.Say("/cal/cmd/start", "not JSON")
	b.Await(mark, "an answer without an id", func(m bus.Message) bool {
		return m.Topic == "/cal/ack" && strings.Contains(string(m.Payload), "BAD_VALUE")
	})
	b.Say("/cal/cmd/start", start(3, "ok", `"dry":1`))
	assert.Equal(t, wire.Dry, b.ack(mark, "s3", wire.Accepted).Code)
	entries, err := os.ReadDir(filepath.Join(b.data, "runs"))
	require.NoError(t, err)
	assert.Empty(t, entries, "nothing has happened")

	b.end()
	b.cfg.Reserve = 1 << 60
	b.drive()
	mark = b.Mark()
	b.Say("/cal/cmd/start", start(3, "ok"))
	a = b.ack(mark, "s3", wire.Rejected)
	assert.Equal(t, wire.Hardware, a.Code)
	assert.Contains(t, a.Message, "DCS_RESERVE_BYTES")
}

// SIGTERM of the driver: the run is interrupted, and said to be before it leaves.
func TestLeaving(t *testing.T) {
	b := newBench(t, "1m").drive()
	b.begin(5, "family", "family")
	b.noneLeft(2, b.end)
	a := b.ack(0, "s5", wire.Failed)
	assert.Equal(t, wire.Hardware, a.Code)
	assert.Contains(t, a.Message, "interrupted: the driver was told to end")
	assert.Equal(t, wire.RunInterrupted, b.ended(0, 5).State)
	mark := b.Mark()
	b.drive()
	r := b.ended(mark, 5)
	assert.Equal(t, wire.RunInterrupted, r.State)
	assert.Equal(t, "alice", r.User)
	assert.Equal(t, wire.RunInterrupted, b.manifest(5).State)
}

// SIGKILL of the driver, with and without its warden: no process is left, and
// the run is interrupted.
func TestSIGKILL(t *testing.T) {
	for _, both := range []bool{false, true} {
		b := newBench(t, "1m")
		driver := b.driveApart()
		payload := b.begin(9, "family", "family")
		b.noneLeft(2, func() {
			var wardens []int
			if both {
				wardens = wardensOf(t, driver.Process.Pid)
				require.Len(t, wardens, 1)
			}
			require.NoError(t, driver.Process.Kill())
			for _, pid := range wardens {
				require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			}
			_ = driver.Wait()
			if both { // what has a session of its own is found when the driver is back
				b.drive()
			}
		})
		if !both {
			b.drive()
		}
		a := b.ack(0, "s9", wire.Failed)
		assert.Equal(t, wire.Hardware, a.Code)
		assert.Contains(t, a.Message, "interrupted: ")
		r := b.ended(0, 9)
		assert.Equal(t, wire.RunInterrupted, r.State)
		assert.False(t, r.End.IsZero())
		man := b.manifest(9)
		assert.Equal(t, "log.txt", man.Files[len(man.Files)-1].Name)
		mark := b.Mark()
		b.Say("/cal/cmd/start", payload)
		b.ack(mark, "s9", wire.Failed)
		b.Say("/cal/cmd/start", start(10, "ok"))
		b.ack(mark, "s10", wire.Done)
	}
}

// wardensOf are the children of a driver.
func wardensOf(t *testing.T, pid int) (pids []int) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var child, parent int
		var state string
		_, rest, _ := strings.Cut(string(b), ") ")
		if n, _ := fmt.Sscan(rest, &state, &parent); n == 2 && parent == pid {
			_, err := fmt.Sscan(string(b), &child)
			require.NoError(t, err)
			pids = append(pids, child)
		}
	}
	return pids
}

// The warden alone is killed: the driver says so at once.
func TestSIGKILLOfTheWarden(t *testing.T) {
	b := newBench(t, "1m")
	driver := b.driveApart()
	b.begin(3, "hang", "hanging")
	b.noneLeft(1, func() {
		wardens := wardensOf(t, driver.Process.Pid)
		require.Len(t, wardens, 1)
		require.NoError(t, syscall.Kill(wardens[0], syscall.SIGKILL))
		assert.Equal(t, wire.RunInterrupted, b.ended(0, 3).State)
	})
	mark := b.Mark()
	b.Say("/cal/cmd/start", start(4, "ok"))
	b.ack(mark, "s4", wire.Done)
}

// A directory that runs share: old files are not a run's, and the next run
// cannot overwrite what is not yet stored.
func TestSharedDirectory(t *testing.T) {
	b := newBench(t, "1m")
	old := filepath.Join(b.pids, "summary.json")
	require.NoError(t, os.WriteFile(old, []byte(`{"old":true}`), 0o600))
	past := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(old, past, past))
	b.drive()
	for run := range 2 {
		id := fmt.Sprint("h", run)
		b.Say("/cal/cmd/start", fmt.Sprintf(`{"run":%d,"uid":"u%d","id":%q,"procedure":"shared"}`, run+1, run, id))
		b.ack(0, id, wire.Done)
	}
	for run := range 2 {
		kept, err := os.ReadFile(filepath.Join(b.data, "runs", fmt.Sprint(run+1), "files/summary.json"))
		require.NoError(t, err)
		assert.JSONEq(t, `{"ok":true}`, string(kept))
	}
	s := b.sink()
	require.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.stored) == 2 }, bustest.Patience, 5*time.Millisecond)
	assert.JSONEq(t, `{"ok":true}`, s.file(t, 1, "summary.json"))
	require.Eventually(t, func() bool {
		e, _ := os.ReadDir(filepath.Join(b.data, "runs"))
		return len(e) == 1
	}, bustest.Patience, 5*time.Millisecond, "of the last run its record stays")
}

// A program that prints as fast as it can: all of it is in the log, of the rest
// every line is sent or counted, and statuses keep their period.
func TestFlood(t *testing.T) {
	b := newBench(t, "1m").drive()
	s := b.sink()
	b.Say("/cal/cmd/start", start(1, "flood"))
	require.Eventually(t, func() bool { // a busy machine takes minutes
		acks := b.Heard("/cal/ack")
		return len(acks) > 0 && strings.Contains(string(acks[len(acks)-1].Payload), `"done"`)
	}, 5*time.Minute, 50*time.Millisecond)
	b.ack(0, "s1", wire.Done)
	require.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.stored) == 1 }, bustest.Patience, 5*time.Millisecond)
	log := s.file(t, 1, "log.txt")
	assert.Equal(t, 200_000, strings.Count(log, "\n"))
	assert.True(t, strings.HasSuffix(log, "\tout\tline 200000\n"))
	next := int64(1)
	for _, m := range b.Heard("/cal/log") {
		var batch wire.LogBatch
		require.NoError(t, json.Unmarshal(m.Payload, &batch))
		require.LessOrEqual(t, len(m.Payload), 64<<10)
		require.Equal(t, next+batch.Dropped, batch.First)
		for i, l := range batch.Lines {
			require.Equal(t, fmt.Sprint("line ", batch.First+int64(i)), l.Text)
		}
		next = batch.First + int64(len(batch.Lines))
	}
	assert.EqualValues(t, 200_001, next)
}
