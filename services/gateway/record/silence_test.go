package record

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/wire"
)

// A command that was accepted, and whose driver has ended: whose it was stands in it.
func TestSilence(t *testing.T) {
	d := newDesk(t)
	r := d.start()
	require.NoError(t, r.Append(t.Context(), sent()))
	last := d.ack(func(a *wire.Ack) { a.Phase = wire.Accepted })
	r.Silence("hv", last, "the driver ended")
	last.User = "eve"
	r.Silence("hv", last, strings.Repeat("x", 3*maxMessage))
	list := r.await(3)
	e := list[1]
	assert.Equal(t, "silence unanswered  hv setv 0 100 gw-1 b1 alice operator session 10.0.0.9 true the driver ended",
		fmt.Sprint(e.Kind, " ", e.Phase, " ", e.Code, " ", e.Device, " ", e.Op, " ", e.Channel, " ", e.Value, " ", e.ID, " ", e.Boot, " ", e.User, " ", e.Role, " ", e.Via, " ", e.Address, " ", e.Verified, " ", e.Message))
	assert.False(t, list[2].Verified)
	assert.Len(t, list[2].Message, maxMessage)
}

// What waits for the disk is bounded, and written when there is room again, or at the end.
func TestSilenceWhileTheDiskRefuses(t *testing.T) {
	d := newDesk(t)
	r := d.start()
	unblock := d.block()
	last := d.ack(func(a *wire.Ack) { a.Phase = wire.Accepted })
	for range maxSilent + 10 {
		r.Silence("hv", last, "the driver ended")
	}
	r.awaitMetric("dcs_audit_failures_total", 2)
	r.mu.Lock()
	assert.Len(t, r.silent, maxSilent)
	r.mu.Unlock()
	unblock()
	require.Eventually(t, func() bool { return r.metric("dcs_audit_entries_total") >= maxSilent }, bustest.Patience, time.Millisecond)
}

// The end of the recorder is no end of what waits.
func TestSilenceAtTheEnd(t *testing.T) {
	d := newDesk(t)
	r := d.start(func(r *Recorder) { r.retry0 = lastRetry })
	unblock := d.block()
	r.Silence("hv", d.ack(), "at the end")
	r.awaitMetric("dcs_audit_failures_total", 1)
	unblock()
	r.stop()
	r = d.start()
	entries := r.list()
	require.NotEmpty(t, entries)
	assert.Equal(t, "at the end", entries[len(entries)-1].Message)
	assert.Equal(t, auditlog.Silence, entries[len(entries)-1].Kind)
}

// Who says it may end a moment later than the recorder, when the gateway ends.
func TestSilenceAfterTheEnd(t *testing.T) {
	d := newDesk(t)
	r := d.start()
	r.end()
	r.Silence("hv", d.ack(), "after the end")
	r.stop()
	r = d.start()
	entries := r.list()
	require.NotEmpty(t, entries)
	assert.Equal(t, "after the end", entries[len(entries)-1].Message)
}
