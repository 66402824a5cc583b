package record

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/wire"
)

const headTopic = string(root) + "/service/gateway/audit"

// leave retains a message, and waits until it is what the broker gives.
func (d *desk) leave(topic, payload string) {
	d.t.Helper()
	d.bus.Leave(topic, payload)
	bustest.AwaitRetainedAs(d.t, d.url, topic, payload)
}

// awaitHead waits until the broker holds that head.
func (d *desk) awaitHead(h auditlog.Head) {
	d.t.Helper()
	d.bus.Await(0, "the head "+h.String(), func(m bus.Message) bool {
		got, err := parseHead(m.Payload)
		return m.Topic == headTopic && err == nil && got.Seq == h.Seq && got.Hash == h.Hash
	})
}

// While the gateway was away somebody has changed its log. What the broker holds
// proves it, and the log says so before that is replaced.
func TestLogThatWasCutWhileAway(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, dir string)
		gaps   int
	}{
		"nothing": {func(*testing.T, string) {}, 0},
		"cut off": {func(t *testing.T, dir string) {
			file := filepath.Join(dir, "audit-000001.jsonl")
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			n := 0
			for i, c := range b {
				if c == '\n' {
					if n++; n == 2 {
						require.NoError(t, os.WriteFile(file, b[:i+1], 0o600))
						return
					}
				}
			}
		}, 1},
		"taken away": {func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(dir)) }, 1},
		"written anew": {func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(dir))
			l, err := auditlog.Open(dir, auditlog.Options{})
			require.NoError(t, err)
			for range 9 {
				require.NoError(t, l.Append(t.Context(), auditlog.Entry{Kind: auditlog.Start}))
			}
			require.NoError(t, l.Close())
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			r := d.start()
			for range 4 {
				require.NoError(t, r.Append(t.Context(), sent()))
			}
			held := r.Head()
			r.stop() // first: it publishes heads too
			d.leave(headTopic, string(wire.Encode(held)))
			tt.change(t, d.dir)

			r = d.start()
			require.NoError(t, r.Append(t.Context(), auditlog.Entry{Kind: auditlog.Start}))
			d.say("hv", d.ack()) // heard after what is retained
			gaps := func() (out []auditlog.Entry) {
				for _, e := range r.list() {
					if e.Kind == auditlog.Gap {
						out = append(out, e)
					}
				}
				return out
			}
			require.Eventually(t, func() bool { return r.metric("dcs_audit_entries_total") >= float64(2+tt.gaps) && !r.comparing() }, bustest.Patience, time.Millisecond)
			got := gaps()
			require.Len(t, got, tt.gaps)
			for _, e := range got {
				assert.Contains(t, e.Message, held.String())
				assert.Contains(t, e.Message, "cut off or written anew")
			}
			r.stop()
			d.leave(headTopic, string(wire.Encode(r.Head())))
			r = d.start()
			d.say("hv", d.ack(func(a *wire.Ack) { a.ID = "next" }))
			r.awaitMetric("dcs_audit_entries_total", 1)
			assert.Len(t, gaps(), tt.gaps, "it is said once")
		})
	}
}

// What the disk refuses to be said is not replaced at the broker meanwhile.
func TestHeadStaysWhileItCannotBeCompared(t *testing.T) {
	d := newDesk(t)
	other := auditlog.Head{Seq: 7, Hash: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
	d.leave(headTopic, string(wire.Encode(other)))
	r := d.start()
	entries := r.await(1)
	assert.Contains(t, entries[0].Message, other.String())
	d.awaitHead(r.Head())

	r.mu.Lock()
	r.held = &other
	r.mu.Unlock()
	r.inbox.nudge()
	r.await(2)
	require.Eventually(t, func() bool { return !r.comparing() }, bustest.Patience, time.Millisecond)
}

func TestHeadThatCannotBeRead(t *testing.T) {
	d := newDesk(t)
	d.leave(headTopic, `{"seq":-1}`)
	r := d.start()
	d.say("hv", d.ack())
	assert.Equal(t, auditlog.Outcome, r.await(1)[0].Kind)
}

func FuzzHead(f *testing.F) {
	for _, s := range []string{"", "{}", "null", `{"seq":1}`, `{"seq":7,"hash":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","time":"2026-11-20T12:00:00Z"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		h, err := parseHead(payload)
		if err == nil && (h.Seq < 1 || len(h.Hash) != 64) {
			t.Errorf("%+v passes", h)
		}
	})
}
