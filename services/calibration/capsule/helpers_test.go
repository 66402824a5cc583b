package capsule

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/runs"
)

// t0 is when the windows of the tests begin.
var t0 = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func after(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

// stamp is a time as in a payload.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// psu is a status of a supply with one channel.
func psu(boot string, seq int, t time.Time, vmon float64, trip int) string {
	return fmt.Sprintf(`[{"number":0,"on":1,"vreq":100,"vmon":%g,"trip":%d,"time":%q,"seq":%d,"boot":%q}]`, vmon, trip, stamp(t), seq, boot)
}

// made takes messages to a capsule without a journal.
type made struct {
	m       *maker
	arrival time.Time
}

func newMade(from, to time.Time) *made { return &made{m: newMaker("", from, to), arrival: from} }

func (x *made) say(topic, payload string) {
	x.m.take(&message{topic: topic, payload: []byte(payload), arrival: x.arrival.UnixNano()})
}

// open opens a recorder in dir.
func open(t testing.TB, dir string, o Options) *Recorder {
	t.Helper()
	o.Dir = dir
	r, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// put takes messages through Put and Run.
func put(t testing.TB, r *Recorder, messages ...bus.Message) {
	t.Helper()
	for len(messages) > 0 {
		n := min(len(messages), batchMessages)
		for _, m := range messages[:n] {
			r.Put(m)
		}
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		require.NoError(t, r.Run(ended)) // one batch
		messages = messages[n:]
	}
}

func msg(topic, payload string) bus.Message {
	return bus.Message{Topic: topic, Payload: []byte(payload), QoS: 1}
}

func capsuleOf(t testing.TB, r *Recorder, run int64, from, to time.Time) runs.Capsule {
	t.Helper()
	c, err := r.Make(context.Background(), run, from, to)
	require.NoError(t, err)
	return c
}

// wide is a status of four channels with ten fields each.
func wide(seq int, t time.Time) string {
	var b strings.Builder
	b.WriteByte('[')
	for c := range 4 {
		if c > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"number":%d,"on":1,"vreq":100,"ireq":0.008,"vmon":%.3f,"imon":4.9%de-7,"ramp":10,"ramping":0,"limited":0,"trip":0,"interlock":0,"locked":0,"time":%q,"seq":%d,"boot":"6c885afb1f"}`,
			c, 99.9+float64(seq%100)/1000, seq%10, stamp(t), seq)
	}
	b.WriteByte(']')
	return b.String()
}
