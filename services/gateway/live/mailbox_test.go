package live

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"trackerdcs/pkg/bus"
)

func TestMailbox(t *testing.T) {
	b := newMailbox()
	hv, lv := address{kind: aStatus, name: "hv"}, address{kind: aStatus, name: "lv"}
	ack := address{kind: anAck, name: "hv"}
	put := func(a address, payload string) { b.put(mail{address: a, payload: []byte(payload)}) }
	put(hv, "1")
	put(ack, "2")
	put(lv, "3")
	put(hv, "4")
	put(ack, "5")
	b.ended(time.Now())
	put(lv, "6")
	var got []string
	for _, m := range b.take(100) {
		got = append(got, string(m.kind)+string(m.payload))
	}
	assert.Equal(t, []string{"status4", "ack2", "status6", "ack5", "lost"}, got, "of statuses only the latest waits")
	assert.Zero(t, b.bytes)
	put(hv, "7")
	m := b.take(1)[0]
	assert.Equal(t, 1, m.connection)
	put(hv, "8")
	assert.Equal(t, "7", string(m.payload), "what was taken is not changed")

	for range mailboxSize + 10 {
		put(ack, "x")
	}
	put(hv, "9")
	assert.EqualValues(t, 11, b.droppedCount())
	assert.False(t, b.missedSome())
	put(address{kind: aState, name: "hv"}, "{}")
	assert.False(t, b.missedSome(), "first what is there")
	b.stands(time.Now())
	var last *mail
	for taken := b.take(1000); len(taken) > 0; taken = b.take(1000) {
		last = taken[len(taken)-1]
	}
	assert.Equal(t, itStands, last.kind, "news of the connection is not dropped")
	assert.True(t, b.missedSome())
	assert.False(t, b.missedSome())
	big := strings.Repeat("x", mailboxBytes-1)
	put(ack, big)
	put(hv, "xx")
	put(lv, "x")
	assert.EqualValues(t, 13, b.droppedCount())
	put(lv, "xx")
	assert.EqualValues(t, 14, b.droppedCount())
	assert.Equal(t, "x", string(b.take(2)[1].payload))
	assert.Zero(t, b.bytes)
}

// A message of those that the broker retains that found no room is had again by a
// reconnect, now and then.
func TestResync(t *testing.T) {
	inWorld(t, func(w *world) {
		overflow := func() {
			w.mu.Lock() // so that nothing is taken
			for range mailboxSize + 300 {
				w.mail.put(mail{address: address{kind: anAck, name: "hv"}, payload: []byte(`{`)})
			}
			w.bus.handler(bus.Message{Topic: "/hv/state", Payload: []byte(stateOf("ready", "a"))})
			w.mu.Unlock()
			time.Sleep(3 * checkEvery)
			synctest.Wait()
		}
		overflow()
		overflow()
		time.Sleep(resyncEvery / 2)
		assert.Len(t, w.bus.reasons(), 1)
		time.Sleep(resyncEvery)
		assert.Len(t, w.bus.reasons(), 2, "and no more often than once a minute")
		time.Sleep(resyncEvery * 2)
		assert.Len(t, w.bus.reasons(), 2)
		assert.Positive(t, w.metric("mailbox_dropped_total"))
	})
}
