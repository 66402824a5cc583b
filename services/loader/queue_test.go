package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/spool"
)

// empty takes out what there is, as the keeper does.
func empty(t *testing.T, q *queue) (all []message) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // do not wait for more
	g := q.take(ctx)
	if g == nil {
		return nil
	}
	defer q.done(g)
	all = unpack(t, g.records)
	if len(all) != len(g.acks) {
		t.Errorf("%d records, %d acks", len(all), len(g.acks))
	}
	return all
}

// unpack reads the messages in records as the spool takes them.
func unpack(t *testing.T, records []byte) (all []message) {
	t.Helper()
	for len(records) > 0 {
		end := spool.RecordHeader + int(binary.LittleEndian.Uint32(records[4:]))
		m, err := readRecord(bytes.Clone(records[spool.RecordHeader:end]), make(names))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
		records = records[end:]
	}
	return all
}

func TestQueueIsBounded(t *testing.T) { synctest.Test(t, testQueueIsBounded) }

func testQueueIsBounded(t *testing.T) {
	payload := make([]byte, 1000)
	for _, tt := range []struct {
		name          string
		messages      int
		bytes         int64
		qos           byte
		want          int // of 100
		drops, defers uint64
	}{
		{"messages", 10, 1 << 30, 1, 10, 0, 90},
		{"messages, QoS 0", 10, 1 << 30, 0, 5, 95, 0},
		{"bytes", 1000, 10 * (1000 + 2 + perMessage), 1, 10, 0, 90},
		{"bytes, QoS 0", 1000, 10 * (1000 + 2 + perMessage), 0, 5, 95, 0},
	} {
		q := newQueue(tt.messages, tt.bytes)
		began := time.Now()
		for range 100 {
			q.put(bus.Message{Topic: "/a", QoS: tt.qos, Payload: payload})
		}
		if took := time.Since(began); took != time.Duration(tt.qos)*roomWait {
			t.Errorf("%s: put waited for %v", tt.name, took) // once, not for each message
		}
		messages, bytes, dropped, deferred := q.fill()
		if messages != tt.want || bytes > tt.bytes || dropped != tt.drops || deferred != tt.defers {
			t.Errorf("%s: %d messages, %d bytes, %d dropped, %d deferred", tt.name, messages, bytes, dropped, deferred)
		}
		if q.settle() {
			t.Errorf("%s: settles while it is full", tt.name)
		}
		last := int64(0)
		for _, m := range empty(t, q) {
			if m.arrived <= last {
				t.Errorf("%s: two messages arrived at %d", tt.name, last)
			}
			last = m.arrived
		}
		if _, bytes, _, _ := q.fill(); bytes != 0 {
			t.Errorf("%s: %d bytes are left in an empty queue", tt.name, bytes)
		}
		if owed := tt.qos > 0; q.settle() != owed || q.settle() {
			t.Errorf("%s: does not settle once", tt.name)
		}
	}
}

// QoS 0 in any amount leaves room for the others.
func TestQueueRoomForQoS1(t *testing.T) {
	q := newQueue(100, 1<<22)
	for range 1000 {
		q.put(bus.Message{Topic: "/a"})
	}
	for range 50 {
		q.put(bus.Message{Topic: "/b", QoS: 1})
	}
	if _, _, dropped, deferred := q.fill(); dropped != 950 || deferred != 0 {
		t.Errorf("%d dropped, %d deferred", dropped, deferred)
	}
}

// A message that is too large takes no room with it.
func TestQueueCutsWhatIsTooLarge(t *testing.T) {
	q := newQueue(10, 2*maxPayload)
	for range 5 {
		q.put(bus.Message{Topic: "/a", QoS: 1, Payload: make([]byte, maxPayload+1)})
	}
	if messages, bytes, _, _ := q.fill(); messages != 5 || bytes > 5000 {
		t.Errorf("%d messages, %d bytes", messages, bytes)
	}
	for _, m := range empty(t, q) {
		if m.length != maxPayload+1 {
			t.Errorf("length %d", m.length)
		}
	}
}

// Where room comes in time, nothing is let go.
func TestQueueWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(10, 1<<22)
		go func() {
			for range 100 {
				q.put(bus.Message{Topic: "/a", QoS: 1})
			}
		}()
		for got := 0; got < 100; {
			time.Sleep(roomWait - 1)
			n := len(empty(t, q))
			if n == 0 {
				t.Fatal("nothing there")
			}
			got += n
		}
		if _, _, dropped, deferred := q.fill(); dropped != 0 || deferred != 0 {
			t.Errorf("%d dropped, %d deferred", dropped, deferred)
		}
	})
}
