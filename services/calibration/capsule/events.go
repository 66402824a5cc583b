package capsule

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strconv"
	"time"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/wire"
)

// Bounds of events.
const (
	maxRefusals = 1000
	maxAcks     = 100_000 // that are known when they come again
	maxText     = 512     // bytes of a message
)

func cut(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return clean(s)
}

// state enters what a device says of itself. It is an event when the device
// entered the state, however often it says so: since, in the payload. A last
// will has no time: what counts is when it came, unless it had been left at the
// broker, which tells nothing of when.
func (m *maker) state(d *device, msg *message) {
	var s wire.State
	if json.Unmarshal(msg.payload, &s) != nil || s.State == "" {
		return
	}
	if s.Seq > 0 {
		if b := d.boot([]byte(s.Boot), &m.boots); b != nil {
			b.last, b.lastAt = s.Seq, s.Time.UnixNano()
		}
	}
	was := d.said
	d.said = s
	if was.State == s.State && was.Boot == s.Boot && was.Since.Equal(s.Since) {
		return
	}
	t := s.Since
	if t.IsZero() {
		t = s.Time
	}
	if t.IsZero() {
		if msg.retained {
			return
		}
		t = time.Unix(0, msg.arrival)
	}
	if !m.inside(t) {
		return
	}
	what := s.State
	if s.Error != "" {
		what += ": " + s.Error
	}
	e := runs.Event{Time: t.UTC(), What: cut(what)}
	for i := range d.states { // said before, and another one in between
		if d.states[i].Time.Equal(e.Time) && d.states[i].What == e.What {
			return
		}
	}
	if len(d.states) >= maxEvents {
		d.moreState++
		return
	}
	d.states = append(d.states, e)
}

func (m *maker) inside(t time.Time) bool {
	return !t.Before(time.Unix(0, m.from)) && !t.After(time.Unix(0, m.to))
}

var ackSeed = maphash.MakeSeed()

// ack enters a command that was refused or has failed.
func (m *maker) ack(d *device, msg *message) {
	var a wire.Ack
	if json.Unmarshal(msg.payload, &a) != nil || a.Phase != wire.Rejected && a.Phase != wire.Failed {
		return
	}
	if a.Time.IsZero() {
		a.Time = time.Unix(0, msg.arrival)
	}
	if !m.inside(a.Time) {
		return
	}
	key := maphash.Comparable(ackSeed, [5]string{d.name, a.Boot, a.ID, a.Phase, a.Time.UTC().Format(time.RFC3339Nano)})
	if _, known := m.acks[key]; known {
		return
	}
	if len(m.acks) < maxAcks {
		m.acks[key] = struct{}{}
	}
	if len(m.refused) >= maxRefusals {
		m.more++
		return
	}
	m.refused = append(m.refused, runs.Refusal{
		Time: a.Time.UTC(), Device: d.name, Channel: cut(a.Channel.String()), Op: cut(a.Op), Value: cut(word(a.Value)),
		User: cut(a.User), Phase: a.Phase, Code: cut(string(a.Code)), Message: cut(a.Message),
	})
}

// word writes the value of an ack.
func word(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return v
	}
	return fmt.Sprint(v)
}
