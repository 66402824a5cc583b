package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
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

// edit changes the record of a run, as if the driver had been killed then.
func (b *bench) edit(change func(*keep.Record)) {
	file := filepath.Join(b.data, "runs/1/run.json")
	raw, err := os.ReadFile(file)
	require.NoError(b.t, err)
	var r keep.Record
	require.NoError(b.t, json.Unmarshal(raw, &r))
	change(&r)
	raw, err = json.Marshal(r)
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(file, raw, 0o600))
}

// The driver is killed between the end of a program and the end of its run: what
// the program has done counts.
func TestKilledWhileCollecting(t *testing.T) {
	for _, tt := range []struct {
		do, state, phase string
		change           func(*keep.Record)
	}{
		{"ok", wire.RunFinished, wire.Done, func(*keep.Record) {}},
		{"fail", wire.RunFailed, wire.Failed, func(*keep.Record) {}},
		{"nothing", wire.RunFailed, wire.Failed, func(*keep.Record) {}},
		{"ok", wire.RunAborted, wire.Superseded, func(r *keep.Record) { r.Reason, r.Who = keep.Aborted, "abort by bob" }},
		{"ok", wire.RunInterrupted, wire.Failed, func(r *keep.Record) { r.Ending = nil }},
	} {
		b := newBench(t, "1m").drive()
		b.Say("/cal/cmd/start", start(1, tt.do))
		b.ended(0, 1)
		b.end()
		require.NoError(t, os.Remove(filepath.Join(b.data, "runs/1/manifest.json")))
		b.edit(func(r *keep.Record) {
			r.Report.State, r.Collected, r.Ack.Phase = wire.RunRunning, false, wire.Accepted
			tt.change(r)
		})
		mark := b.Mark()
		b.drive()
		a := b.ack(mark, "s1", tt.phase)
		assert.Equal(t, b.boot, a.Boot)
		assert.Equal(t, tt.state, b.ended(mark, 1).State, tt.do)
		require.Eventually(t, func() bool { // until then the driver is busy
			_, err := os.Stat(filepath.Join(b.data, "runs/1/manifest.json"))
			return err == nil
		}, bustest.Patience, 5*time.Millisecond)
		mark = b.Mark()
		b.Say("/cal/cmd/start", start(2, "ok"))
		b.report(mark, "the next run", func(r wire.Report) bool { return r.Run == 2 })
		man, err := os.ReadFile(filepath.Join(b.data, "runs/1/manifest.json"))
		require.NoError(t, err)
		assert.Contains(t, string(man), tt.state)
		b.ended(mark, 2)
	}
}

// The broker goes away in a run: acks and the report come when it is back.
func TestBrokerAway(t *testing.T) {
	b := newBench(t, "1m").drive()
	b.begin(1, "hang", "hanging")
	b.broker.Stop()
	b.noneLeft(1, func() { // the program ends now, and not before
		pids, err := os.ReadDir(b.pids)
		require.NoError(t, err)
		pid, err := strconv.Atoi(pids[0].Name())
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	})
	require.Eventually(t, func() bool {
		raw, err := os.ReadFile(filepath.Join(b.data, "runs/1/run.json"))
		return err == nil && strings.Contains(string(raw), `"state": "failed"`)
	}, bustest.Patience, 10*time.Millisecond)
	mark := b.Mark()
	b.broker.Start()
	b.ack(mark, "s1", wire.Failed)
	assert.Equal(t, wire.RunFailed, b.ended(mark, 1).State)
	b.sink()
	b.Await(mark, "the manifest", func(m bus.Message) bool { return m.Topic == "/cal/results/1/manifest" })
}
