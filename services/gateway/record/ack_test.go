package record

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

func TestParseAckBoundsWhatItTakes(t *testing.T) {
	long := strings.Repeat("ä", 10_000)
	a := wire.Ack{
		Time: time.Now(), Boot: long, ID: long, Op: long, Channel: wire.ParseChannel(long), Value: long, User: long,
		Phase: wire.Rejected, Code: wire.BadOp, Message: long,
	}
	b := wire.Encode(a)
	_, err := parseAck("hv", b)
	require.ErrorContains(t, err, "want 1 to 65536 bytes")
	a.Value = nil
	a.Message = strings.Repeat("m", 3000)
	a.ID = long[:2000]
	a.Boot = "b"
	a.Channel = wire.ParseChannel("x" + long[:2000])
	e, err := parseAck("hv", wire.Encode(a))
	require.NoError(t, err)
	assert.Len(t, e.ID, wire.MaxID)
	assert.Len(t, e.User, wire.MaxUser)
	assert.Len(t, e.Op, maxWord)
	assert.Len(t, e.Message, maxMessage)
	assert.True(t, utf8.ValidString(e.Channel))
	assert.LessOrEqual(t, len(e.Channel), maxWord)
	assert.Nil(t, e.Value)
	a.Value = map[string]any{"a": long[:600]}
	e, err = parseAck("hv", wire.Encode(a))
	require.NoError(t, err)
	assert.Len(t, e.Value, maxValue)
}

func TestRecentForgetsTheOldest(t *testing.T) {
	r := newRecent[int](3)
	for i := range 5 {
		r.add(fmt.Sprint(i), i)
		r.add(fmt.Sprint(i), 10*i) // again: takes no other's place
	}
	for i := range 5 {
		v, ok := r.get(fmt.Sprint(i))
		assert.Equal(t, i >= 2, ok, i)
		if ok {
			assert.Equal(t, 10*i, v)
		}
	}
	assert.Len(t, r.values, 3)
}

func TestInboxIsBounded(t *testing.T) {
	b := newInbox()
	for range inboxMessages + 10 {
		b.put(bus.Message{Payload: make([]byte, wire.MaxCommand)})
	}
	assert.Equal(t, inboxBytes/wire.MaxCommand, b.waiting())
	n := 0
	for {
		batch, lost := b.take()
		if len(batch) == 0 {
			assert.True(t, lost)
			break
		}
		assert.LessOrEqual(t, len(batch), batchSize)
		n += len(batch)
	}
	_, lost := b.take()
	assert.False(t, lost, "it is said once")
	assert.Zero(t, b.bytes)
	b.put(bus.Message{Payload: make([]byte, wire.MaxCommand+1)})
	batch, _ := b.take()
	assert.Empty(t, batch[0].Payload)
}

func FuzzParseAck(f *testing.F) {
	f.Add(wire.Encode(wire.Ack{Time: time.Now(), Channel: wire.One(3), Value: 100.0, Phase: wire.Done, Code: wire.OK, Closest: wire.Known(3)}))
	f.Add([]byte(`{"phase":"done","value":[1,{"a":null}],"channel":"\udfff","time":"9999-12-31T23:59:59-01:00"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := parseAck("hv", payload)
		if err != nil {
			return
		}
		b, err := json.Marshal(e)
		require.NoError(t, err, "what is taken can be written")
		assert.Less(t, len(b), 32<<10)
		var back auditlog.Entry
		require.NoError(t, json.Unmarshal(b, &back))
		assert.Equal(t, keyOf(e), keyOf(back), "it is known again after a restart")
		assert.Equal(t, valueOf(e), valueOf(back))
	})
}
