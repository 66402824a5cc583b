package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

// told waits until the device is told something of its results.
func (b *bench) told(mark int, what string) {
	b.t.Helper()
	b.Await(mark, "the device is told "+what, func(m bus.Message) bool {
		return m.Topic == root.Receipts("calibration", "ph2acf") && strings.Contains(string(m.Payload), what)
	})
}

// A kill between making a folder and writing into it leaves it empty.
func TestEmptyFolderIsNoRun(t *testing.T) {
	b := newBench(t)
	b.stop()
	require.NoError(t, os.MkdirAll(filepath.Join(b.dir, "runs", "42", "files"), 0o750))
	b.start()
	b.record(life(42, wire.RunConfiguring))
	r := b.receipt(42, "a receipt", func(wire.RecordReceipt) bool { return true })
	assert.Empty(t, r.Error)
	assert.Equal(t, wire.RunConfiguring, r.State)
}

// Run control has concluded that there are no results, and the driver has some.
func TestResultsWhereThereWereNone(t *testing.T) {
	b := newBench(t)
	r := life(7, wire.RunConfiguring, wire.RunFailed)
	r.Results, r.Error = wire.ResultsNone, "ph2acf was asked 3 times to start, and did not answer"
	b.record(r)
	b.stored(7)
	b.stop()
	b.limits.record = 0
	b.start()
	b.await("the driver is told", b.deliver(offer(t, 7, 1000)))
	d, _ := b.db.doc(7)
	assert.Len(t, d.Files, 4, "the driver was told that all is stored, and deletes")
	assert.Equal(t, wire.RunFailed, d.State)
	assert.Equal(t, r.Error, d.Error)
	assert.Equal(t, wire.ResultsStored, d.Outcome)
}

// Results come, the sink is started anew, and run control speaks only then.
func TestRecordAfterARestart(t *testing.T) {
	b := newBench(t)
	stored := b.deliver(offer(t, 42, 1000))
	b.told(0, `"received"`)
	b.stop()
	b.start()
	r := life(42, wire.RunConfiguring, wire.RunRunning, wire.RunFinishing, wire.RunFailed)
	r.Error = "what end needs was not reached"
	b.record(r)
	b.await("the driver is told", stored)
	d := b.stored(42)
	assert.Equal(t, wire.RunFailed, d.State)
	assert.Equal(t, "alice", d.User)
	assert.Len(t, d.Transitions, 4)
}

// A run that was stored without its record takes it when it comes after all.
func TestRecordAfterTheRunWasStored(t *testing.T) {
	b := newBench(t)
	b.stop()
	b.limits.record = 0
	b.start()
	b.await("the driver is told", b.deliver(offer(t, 42, 1000)))
	d := b.stored(42)
	assert.Empty(t, d.User)
	r := life(42, wire.RunConfiguring, wire.RunRunning, wire.RunFinishing, wire.RunFailed)
	r.Error = "what end needs was not reached"
	b.record(r)
	require.Eventually(t, func() bool {
		d, _ = b.db.doc(42)
		return d.User == "alice"
	}, patience, 5*time.Millisecond, "the record is in the document")
	assert.Equal(t, wire.RunFailed, d.State)
	assert.Len(t, d.Transitions, 4)
	assert.Len(t, d.Files, 4)
	assert.Equal(t, wire.ResultsStored, d.Outcome)
	assert.NotNil(t, d.Capsule)
}

// Run control is no more: what the driver says is stored in the end.
func TestRecordThatNeverEnds(t *testing.T) {
	b := newBench(t)
	b.stop()
	b.limits.end = 0
	b.start()
	b.live(42)
	b.await("the driver is told", b.deliver(offer(t, 42, 1000)))
	d := b.stored(42)
	assert.Equal(t, wire.RunFinished, d.State)
	assert.Contains(t, d.Error, "run control has not said how it ended")
	assert.Equal(t, "alice", d.User)
	b.record(life(42, wholeLife...))
	require.Eventually(t, func() bool {
		d, _ = b.db.doc(42)
		return d.Error == ""
	}, patience, 5*time.Millisecond)
	assert.Len(t, d.Files, 4)
}

// A record comes while the run is being stored without it.
func TestRecordWhileTheRunIsStored(t *testing.T) {
	b := newBench(t)
	b.stop()
	b.limits.end = 0
	stop, written, goOn := hold(t)
	b.db.wrote = stop
	b.start()
	b.live(42)
	stored := b.deliver(offer(t, 42, 1000))
	b.await("the document is written", written)
	b.record(life(42, wholeLife...))
	b.receipt(42, "the record is on the disk", func(r wire.RecordReceipt) bool { return wire.RunEnded(r.State) })
	goOn()
	b.await("the driver is told", stored)
	require.Eventually(t, func() bool {
		d, _ := b.db.doc(42)
		return d.Error == "" && len(d.Transitions) == len(wholeLife)
	}, patience, 5*time.Millisecond, "the record is in the document")
	b.receipt(42, "run control is told", func(r wire.RecordReceipt) bool {
		return wire.RunEnded(r.State) && r.Results == wire.ResultsStored
	})
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(b.dir, "runs", "42"))
		return os.IsNotExist(err)
	}, patience, 5*time.Millisecond, "the folder is gone")
}

// The broker sends a record again while its run is being stored: nothing is
// stored twice for it.
func TestRecordThatIsSentAgain(t *testing.T) {
	b := newBench(t)
	b.stop()
	stop, written, goOn := hold(t)
	b.db.wrote = stop
	b.start()
	b.live(42)
	b.record(life(42, wholeLife...))
	stored := b.deliver(offer(t, 42, 1000))
	b.await("the document is written", written)
	mark := b.Mark()
	b.record(life(42, wholeLife...))
	b.Await(mark, "it is confirmed again", func(m bus.Message) bool {
		return m.Topic == root.RecordReceipts("calibration") && strings.Contains(string(m.Payload), `"state":"finished"`)
	})
	goOn()
	b.await("the driver is told", stored)
	_, sent := b.db.written()
	assert.Equal(t, 4, sent)
}

// A sink that has lost its disk finds a run in the database as one without
// results, and its driver offers some in that moment.
func TestResultsOfferedWhileTheRunIsFound(t *testing.T) {
	b := newBench(t)
	r := life(7, wire.RunConfiguring, wire.RunFailed)
	r.Results = wire.ResultsNone
	b.record(r)
	b.stored(7)
	b.stop()
	b.dir = t.TempDir()
	stop, found, goOn := hold(t)
	b.db.read = stop
	b.start()
	b.record(r)
	b.await("the run is found", found)
	stored := b.deliver(offer(t, 7, 1000))
	b.told(0, `"received"`)
	goOn()
	b.await("the driver is told", stored)
	d, _ := b.db.doc(7)
	assert.Len(t, d.Files, 4, "the driver was told that all is stored, and deletes")
	assert.Equal(t, wire.ResultsStored, d.Outcome)
	assert.Equal(t, "alice", d.User)
}

// A run is in the database without its record, and the sink has lost the disk
// that said so, or was killed before it did.
func TestRecordOfARunThatIsFound(t *testing.T) {
	for _, late := range []bool{false, true} {
		b := newBench(t)
		b.stop()
		b.limits.record = 0
		b.start()
		b.await("the driver is told", b.deliver(offer(t, 42, 1000)))
		b.stop()
		b.dir = t.TempDir()
		b.start()
		mark := b.Mark()
		b.record(life(42, wire.RunConfiguring))
		b.Await(mark, "it is confirmed", func(m bus.Message) bool { return m.Topic == root.RecordReceipts("calibration") })
		if late { // the sink has found by then that the run is there
			b.kept(func(k wire.Kept) bool { return k.Boot == b.boot && k.Highest == 42 && k.Waiting == 0 })
		}
		b.record(life(42, wholeLife...))
		require.Eventually(t, func() bool {
			d, _ := b.db.doc(42)
			return d.User == "alice" && len(d.Transitions) == len(wholeLife)
		}, patience, 5*time.Millisecond, "the record is in the document")
		d, _ := b.db.doc(42)
		assert.Len(t, d.Files, 4, "what was there stays")
		assert.NotNil(t, d.Capsule)
		assert.Equal(t, wire.ResultsStored, d.Outcome)
		b.stop()
	}
}

// A kill came between the ledger and the end of the folder.
func TestFolderOfARunThatIsStored(t *testing.T) {
	b := newBench(t)
	r := life(7, wire.RunConfiguring, wire.RunFailed)
	r.Results = wire.ResultsNone
	b.record(r)
	b.receipt(7, "it is stored", func(r wire.RecordReceipt) bool { return r.Results == wire.ResultsNone })
	b.stop()
	left := filepath.Join(b.dir, "runs", "7")
	require.NoError(t, os.MkdirAll(left, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(left, "record.json"), wire.Encode(r), 0o600))
	b.start()
	require.Eventually(t, func() bool {
		_, err := os.Stat(left)
		return os.IsNotExist(err)
	}, patience, 5*time.Millisecond, "the folder is gone")
	b.kept(func(k wire.Kept) bool { return k.Boot == b.boot && k.Waiting == 0 })
}

// Run control comes back while a run is being stored that it has said nothing of,
// and does not say its end yet: what is stored stands.
func TestLiveRecordWhileTheRunIsStored(t *testing.T) {
	b := newBench(t)
	b.stop()
	b.limits.record = 0
	stop, written, goOn := hold(t)
	b.db.wrote = stop
	b.start()
	stored := b.deliver(offer(t, 42, 1000))
	b.await("the document is written", written)
	b.record(life(42, wire.RunConfiguring, wire.RunRunning))
	b.receipt(42, "the record is on the disk", func(r wire.RecordReceipt) bool { return r.State == wire.RunRunning })
	goOn()
	b.await("the driver is told", stored)
	d, _ := b.db.doc(42)
	assert.False(t, d.Stored.IsZero())
	assert.Len(t, d.Files, 4)
	b.record(life(42, wholeLife...))
	require.Eventually(t, func() bool {
		d, _ = b.db.doc(42)
		return len(d.Transitions) == len(wholeLife)
	}, patience, 5*time.Millisecond, "the end of the record is in the document")
	assert.Len(t, d.Files, 4)
}

// The clocks of the driver and of run control differ.
func TestRunThatEndsBeforeItStarts(t *testing.T) {
	b := newBench(t)
	r := life(7, wire.RunConfiguring, wire.RunRunning, wire.RunFailed)
	r.Results, r.End = wire.ResultsNone, r.Start.Add(-time.Hour)
	b.record(r)
	b.stored(7)
}

// The driver offers some results, loses its disk, and run control gives up.
func TestGivenUpResultsOfWhichSomeCame(t *testing.T) {
	b := newBench(t)
	b.stop()
	b.limits.giveUp = 0
	b.start()
	b.live(42)
	manifest := string(wire.Encode(offer(t, 42, 1000).Manifest))
	require.Eventually(t, func() bool { // as a driver does: the sink may not hear it yet
		b.Say(root.Manifest("ph2acf", 42), manifest)
		return len(b.Heard(root.Receipts("calibration", "ph2acf"))) > 0
	}, patience, 200*time.Millisecond)
	b.told(0, `"receiving"`)
	r := life(42, wire.RunConfiguring, wire.RunRunning, wire.RunFinishing, wire.RunAborted)
	r.Results = wire.ResultsMissing
	b.record(r)
	d := b.stored(42)
	assert.Equal(t, wire.RunAborted, d.State)
	assert.Equal(t, wire.ResultsMissing, d.Outcome)
	b.receipt(42, "run control is told", func(r wire.RecordReceipt) bool { return r.Results == wire.ResultsMissing })
	puts, _ := b.db.written()
	b.await("they come after all", b.deliver(offer(t, 42, 1000)))
	d = b.stored(42)
	assert.Len(t, d.Files, 4)
	assert.Equal(t, wire.RunAborted, d.State)
	now, _ := b.db.written()
	assert.Equal(t, puts+1, now)
}

// A file on the sink's disk is damaged after it was received: the driver has it.
func TestDamagedFileIsAskedForAgain(t *testing.T) {
	b := newBench(t)
	b.db.setAway(true)
	b.live(42)
	stored := b.deliver(offer(t, 42, 1000))
	b.receipt(42, "the results are received", func(r wire.RecordReceipt) bool { return r.Results == wire.ResultsReceived })
	b.record(life(42, wholeLife...))
	b.receipt(42, "the end is kept", func(r wire.RecordReceipt) bool { return r.State == wire.RunFinished })
	require.NoError(t, os.Remove(filepath.Join(b.dir, "runs", "42", "files", "2")))
	b.db.setAway(false)
	b.await("the driver is told", stored)
	assert.Len(t, b.stored(42).Files, 4)
}

// A run that the database takes too long over does not hold up the others.
func TestRunThatCannotBeStored(t *testing.T) {
	b := newBench(t)
	b.db.mu.Lock()
	b.db.fail = func(name string) error {
		if name == "raw.bin" {
			return fmt.Errorf("storing: %w", runs.ErrNoAnswer)
		}
		return nil
	}
	b.db.mu.Unlock()
	b.live(42)
	b.deliver(offer(t, 42, 1000))
	b.record(life(42, wholeLife...))
	b.receipt(42, "the results are received", func(r wire.RecordReceipt) bool {
		return r.State == wire.RunFinished && r.Results == wire.ResultsReceived
	})
	r := life(43, wire.RunConfiguring, wire.RunFailed)
	r.Results = wire.ResultsNone
	b.record(r)
	b.stored(43)
}

// A run that is taken off the disk by hand is not recorded for ever.
func TestFolderThatWasMovedAway(t *testing.T) {
	b := newBench(t)
	b.live(42)
	b.receipt(42, "the record is kept", func(r wire.RecordReceipt) bool { return r.State == wire.RunFinishing })
	b.record(life(43, wire.RunConfiguring))
	b.receipt(43, "the one before it is acknowledged: it does not come again", func(wire.RecordReceipt) bool { return true })
	b.stop()
	require.NoError(t, os.RemoveAll(filepath.Join(b.dir, "runs", "42")))
	b.start()
	index, err := os.ReadFile(filepath.Join(b.dir, "journal", "runs.json"))
	require.NoError(t, err)
	assert.NotContains(t, string(index), `"run":42`)
}

// Records that the disk does not take stop nothing else.
func TestRecordsThatCannotBeKept(t *testing.T) {
	b := newBench(t)
	blocked := filepath.Join(b.dir, "runs", "7")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	for range 30 {
		b.record(life(7, wire.RunConfiguring))
	}
	r := b.receipt(7, "a refusal", func(r wire.RecordReceipt) bool { return r.Error != "" })
	assert.Contains(t, r.Error, "runs/7")
	require.NoError(t, os.Remove(blocked))
	b.record(life(7, wire.RunConfiguring))
	b.receipt(7, "the record is kept", func(r wire.RecordReceipt) bool { return r.State == wire.RunConfiguring })
}

func TestLedgerWithHalfALine(t *testing.T) {
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	l, err := openLedger(dir, log)
	require.NoError(t, err)
	f, err := os.OpenFile(l.name, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"run":6,`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, l.add(entry{Run: 7, UID: "u", Results: wire.ResultsNone})) // behind half a line
	require.NoError(t, l.add(entry{Run: 8, UID: "u", Results: wire.ResultsNone}))
	l, err = openLedger(dir, log)
	require.NoError(t, err, "one line is not worth all others")
	_, ok := l.find(8)
	assert.True(t, ok)
}

// All results together have a bound, whatever each of them has.
func TestManyResults(t *testing.T) {
	content := `{"a":[` + strings.Repeat("1.5,", 250_000) + "1]}"
	d, budget := runs.Run{Number: 1}, allMax
	for i := range 60 {
		f := runs.File{Name: fmt.Sprintf("f%d.json", i), Read: wire.ReadJSON, Size: int64(len(content))}
		require.NoError(t, interpret(&d, f, strings.NewReader(content), &budget))
	}
	assert.Len(t, d.Results, 60)
	b, err := json.Marshal(d.Results)
	require.NoError(t, err)
	assert.Less(t, len(b), allMax+60*100)
	assert.Contains(t, string(b), "too_large")
}

func TestResultNames(t *testing.T) {
	d, budget := runs.Run{Number: 1}, allMax
	for _, name := range []string{"a/b.json", "a_b.json", "a.b.json", "a$b.json"} {
		require.NoError(t, interpret(&d, runs.File{Name: name, Read: wire.ReadJSON}, strings.NewReader(`{"from":"`+name+`"}`), &budget))
	}
	assert.Len(t, d.Results, 4, "none takes another's place")
}
