//go:build e2e && linux

package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

const loaderState = "/service/loader/state"

// Fault 5: the broker ends cleanly and comes back.
func TestFault05BrokerEndsAndComesBack(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	l := s.startLoader()
	f := s.send("ended", 20, 100*time.Millisecond)
	for range 2 {
		lasts(t, 2*time.Second)
		s.broker.stop()
		lasts(t, 3*time.Second)
		s.broker.start()
		within(t, patience, "the loader is back", func() bool { return l.figure("dcs_bus_connected") == 1 })
	}
	lasts(t, time.Second)
	f.complete(allIn)
	f.agrees(l)
}

// Fault 6: the broker is killed, and is back at once or some seconds later.
// What it had confirmed within its last second it has forgotten; drivers send
// that again.
func TestFault06BrokerKilled(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	l := s.startLoader()
	f := s.send("killed", 20, 100*time.Millisecond)
	for _, away := range []time.Duration{0, 5 * time.Second} {
		lasts(t, 2*time.Second)
		s.broker.kill()
		lasts(t, away)
		s.broker.start()
		within(t, patience, "the loader is back", func() bool { return l.figure("dcs_bus_connected") == 1 })
	}

	// Killed while it holds messages for a loader that is away: what came since
	// it last wrote its database is only in the senders.
	forgotten := 0
	arrived := func() {
		t.Helper()
		within(t, allIn, "all that was made", func() bool {
			n, err := s.points(f.prefix, "")
			return err == nil && n >= channels*f.made()
		})
	}
	for round := 0; forgotten <= 0 && round < 6; round++ {
		f.pause(true) // nothing comes while the loader ends: it would be held, and not counted
		lasts(t, 20*time.Millisecond)
		arrived()
		l.stop()
		taken := f.made()
		f.pause(false)
		lasts(t, 2500*time.Millisecond)
		f.pause(true)
		lasts(t, 20*time.Millisecond) // all is confirmed
		held := f.made() - taken
		s.broker.kill()
		s.broker.start()
		l.start()
		arrived()
		forgotten = held - int(l.counts("dcs_loader_messages_total", `kind="status"`))
		t.Logf("of %d statuses that it had confirmed the broker has forgotten %d", held, forgotten)
		f.pause(false)
	}
	assert.Positive(t, forgotten, "it forgot nothing: this shows nothing")
	lasts(t, time.Second)
	f.complete(allIn)
	f.agrees(l)
}

// Fault 7: the broker is frozen, for DCS_FROZEN. Its silence is noticed, and
// when it goes on everybody comes back.
func TestFault07BrokerFrozen(t *testing.T) {
	t.Parallel()
	frozen := duration(t, "DCS_FROZEN", 40*time.Second)
	s := startStack(t)
	l := s.startLoader()
	w := s.watch(loaderState)
	f := s.send("frozen", 20, 100*time.Millisecond)
	lasts(t, 2*time.Second)
	mark := w.mark()
	began := time.Now()
	s.broker.signal(syscall.SIGSTOP)
	t.Cleanup(func() { s.broker.signal(syscall.SIGCONT) })
	within(t, 30*time.Second, "the loader notices", func() bool { return l.figure("dcs_bus_connected") == 0 })
	noticed := time.Since(began)
	lasts(t, frozen-noticed)
	s.broker.signal(syscall.SIGCONT)
	went := time.Now()
	within(t, patience, "the loader is back", func() bool { return l.figure("dcs_bus_connected") == 1 })
	w.await(patience, mark, loaderState, wire.Ready, "")
	t.Logf("noticed after %.1f s; back %.1f s after the broker went on", noticed.Seconds(), time.Since(went).Seconds())
	lasts(t, time.Second)
	f.complete(allIn)
	f.agrees(l)
}

// Fault 8: the broker comes back with an empty database. Subscriptions are made
// anew; what it held for longer than drivers keep what it had confirmed is
// lost, and that is reported.
func TestFault08BrokerComesBackEmpty(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	l := s.startLoader()
	f := s.send("emptied", 10, 100*time.Millisecond)
	empty := func() {
		s.broker.stop()
		files, err := os.ReadDir(s.brokerData)
		require.NoError(t, err)
		require.NotEmpty(t, files, "it has no database")
		for _, file := range files {
			require.NoError(t, os.Remove(filepath.Join(s.brokerData, file.Name())))
		}
		s.broker.start()
	}
	lasts(t, 2*time.Second)
	empty()
	within(t, patience, "the loader is back", func() bool { return l.figure("dcs_bus_connected") == 1 })
	lasts(t, time.Second)
	whole := f.made()
	within(t, allIn, "nothing is missing", func() bool {
		n, err := s.points(f.prefix, "")
		return err == nil && n >= channels*whole
	})

	// The loader is away for longer than the 30 s, and then its queue is gone.
	l.kill()
	lasts(t, 35*time.Second)
	empty()
	l.start()
	lasts(t, time.Second)
	f.hush()
	// All that drivers have kept has been replayed when the numbers stand still, for
	// longer than a busy machine does.
	there, again, since := -1, -1.0, time.Now()
	within(t, 3*patience, "all that is left", func() bool {
		n, err := s.points(f.prefix, "")
		replayed := f.counted("dcs_statuses_replayed_total")
		if err != nil || n != there || replayed != again {
			there, again, since = n, replayed, time.Now()
		}
		return time.Since(since) > 10*time.Second
	})
	f.leave()
	missing := f.made() - there/channels
	t.Logf("%d of %d statuses are lost with the broker's database", missing, f.made())
	assert.Equal(t, 0, there%channels)
	assert.Greater(t, missing, 10, "nothing was lost: this shows nothing")
	assert.Less(t, missing, 10*10*15, "more than what was older than 30 s")
	var got verdict
	code := -1
	want := verdict{"missing", len(f.senders), f.made() - missing, missing}
	for end := time.Now().Add(patience); time.Now().Before(end) && (got != want || code != 4); lasts(t, 300*time.Millisecond) {
		got, code = s.audit()
	}
	assert.Equal(t, want, got, "dcs audit reports the gap")
	assert.Equal(t, 4, code)
	assert.EqualValues(t, missing, l.counts("dcs_loader_ledger_missing", ""), "the ledger reports the gap")
	assert.EqualValues(t, len(f.senders), l.counts("dcs_loader_ledger_gaps", ""))
}
