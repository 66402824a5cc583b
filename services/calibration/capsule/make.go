package capsule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/spool"
	"trackerdcs/pkg/wire"
)

// Make reads the journal and makes the capsule of a run out of what was
// measured from from to to, both included. It can be called again. Errors are
// that the run is not recorded, that the journal cannot be read, or ctx's.
func (r *Recorder) Make(ctx context.Context, run int64, from, to time.Time) (runs.Capsule, error) {
	r.mu.Lock()
	n := r.index.find(run)
	if n == nil {
		r.mu.Unlock()
		return runs.Capsule{}, fmt.Errorf("the capsule of run %d: it is not recorded", run)
	}
	at, end, dropped := n.From, r.journal.End(), n.Dropped
	r.mu.Unlock()

	m := newMaker(r.root, from, to)
	count := 0
	damaged, err := r.read(at, end, func(msg *message) error {
		m.take(msg)
		if count++; count%1024 == 0 {
			return ctx.Err()
		}
		return nil
	})
	if err != nil {
		return runs.Capsule{}, fmt.Errorf("the capsule of run %d: %w", run, err)
	}
	if damaged > 0 {
		r.log.Error("the journal is damaged: check the disk", "run", run, "places", damaged)
	}
	m.dropped = dropped + damaged
	return m.capsule(), nil
}

// read gives the messages of a stretch of the journal to f, and tells at how
// many places it is damaged. f's error ends it.
func (r *Recorder) read(from, to spool.Pos, f func(*message) error) (damaged int64, err error) {
	in := r.journal.NewReader(from)
	defer in.Close()
	topics := make(names)
	for in.Pos() < to {
		body, err := in.Next()
		if d := (*spool.Damage)(nil); errors.As(err, &d) {
			damaged++
			continue
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return damaged, err
		}
		m, err := readRecord(body, topics)
		if err != nil {
			damaged++
			continue
		}
		if err := f(&m); err != nil {
			return damaged, err
		}
	}
	return damaged, nil
}

// maker makes a capsule of messages. Its memory is bounded, whatever comes.
type maker struct {
	root     wire.Root
	from, to int64 // ns since 1970
	dec      decoder
	topics   map[string]*heardOn
	devices  map[string]*device
	series   int // for how many there is room
	boots    int // the same
	stamp    uint64
	refused  []runs.Refusal
	acks     map[uint64]struct{} // those that were seen
	more     int64
	dropped  int64
}

// heardOn is a topic.
type heardOn struct {
	kind   topicKind
	device *device // nil: there are too many
	key    []byte  // what a foreign sensor measures
}

func newMaker(root wire.Root, from, to time.Time) *maker {
	return &maker{
		root: root, from: from.UnixNano(), to: to.UnixNano(), series: maxSeries, boots: maxAllBoots,
		topics: make(map[string]*heardOn), devices: make(map[string]*device), acks: make(map[uint64]struct{}),
	}
}

func (m *maker) topic(name string) *heardOn {
	if x := m.topics[name]; x != nil {
		return x
	}
	if len(m.topics) >= maxTopics {
		clear(m.topics)
	}
	x := new(heardOn)
	var of string
	if x.kind, of = classify(m.root, name); x.kind != noTopic {
		x.device = m.devices[of]
		if x.device == nil && len(m.devices) < maxDevices {
			x.device = &device{name: of, foreign: x.kind == sensorTopic}
			m.devices[of] = x.device
		}
	}
	if x.kind == sensorTopic {
		x.key = []byte(measurement(name))
	}
	m.topics[name] = x
	return x
}

// take takes a message. What cannot be read is passed over: it was counted when
// it came, and its number is missing.
func (m *maker) take(msg *message) {
	on := m.topic(msg.topic)
	switch {
	case on.kind == noTopic:
	case on.device == nil:
		if on.kind == statusTopic || on.kind == sensorTopic {
			m.more++
		}
	case on.kind == statusTopic || on.kind == replayTopic:
		if m.dec.status(msg.payload) == nil {
			m.status(on.device, msg)
		}
	case on.kind == sensorTopic && !msg.retained: // nobody knows how old that is
		if x, ok, err := m.dec.sensor(msg.payload); err == nil && ok {
			m.sensor(on, msg.arrival, x)
		}
	case on.kind == stateTopic:
		m.state(on.device, msg)
	case on.kind == metaTopic:
		m.meta(on.device, msg)
	case on.kind == ackTopic:
		m.ack(on.device, msg)
	}
}

// status enters what the decoder has read.
func (m *maker) status(d *device, msg *message) {
	inside, counted := false, false
	var b *boot
	var at int64    // of the status
	var last uint64 // number that was entered
	fresh := false
	for i := range m.dec.readings {
		r := &m.dec.readings[i]
		if !r.timed {
			if msg.retained { // nobody knows how old it is
				continue
			}
			r.time = msg.arrival
		}
		switch {
		case r.seq == 0:
			fresh = !r.timed || !d.repeated(r.time)
		case b == nil || last != r.seq || b.name != string(r.boot):
			if b = d.boot(r.boot, &m.boots); b == nil {
				if m.in(r.time) && !counted {
					counted = true
					d.over++
				}
				continue
			}
			last, fresh = r.seq, b.seen.Add(r.seq, r.time)
		}
		if !fresh {
			continue
		}
		if m.enter(d, b, r, i) && !inside {
			inside, at = true, r.time
			if b != nil {
				b.inside = true
			}
		}
	}
	if inside {
		d.span(at)
	}
}

func (m *maker) in(t int64) bool { return t >= m.from && t <= m.to }

// enter enters a reading and reports whether it is in the window.
func (m *maker) enter(d *device, b *boot, r *reading, hint int) bool {
	c := d.channel(r.number, r.numbered, hint)
	if c == nil {
		if m.in(r.time) {
			m.more++
		}
		return false
	}
	if b != nil {
		m.flags(b, c, r)
	}
	inside := m.in(r.time)
	earlier := r.time <= m.from && r.time >= m.from-int64(before) && r.time > c.beforeAt
	if !inside && !earlier {
		return false
	}
	if earlier {
		c.beforeAt = r.time
	}
	if inside && (c.firstAt == never || r.time < c.firstAt) {
		c.firstAt = r.time
	}
	m.stamp++
	c.expect = 0
	for _, f := range m.dec.fields[r.lo:r.hi] {
		s := c.find(f.key, &m.series)
		if s == nil {
			m.more++
			continue
		}
		if s.stamp == m.stamp { // the key stands twice
			continue
		}
		s.stamp = m.stamp
		if inside {
			s.take(r.time, f.x)
		}
		if earlier {
			s.before, s.beforeAt = f.x, r.time
		}
	}
	return inside
}

// flags looks for trips and interlocks.
func (m *maker) flags(b *boot, c *channel, r *reading) {
	for _, f := range m.dec.fields[r.lo:r.hi] {
		for i := range flagNames {
			if string(f.key) == flagNames[i].key {
				b.flag(c, i, m.from, m.to).add(r.seq, r.time, f.x != 0)
			}
		}
	}
}

// sensor enters a reading of a foreign sensor, whose time is that of arrival.
func (m *maker) sensor(on *heardOn, t int64, x float64) {
	inside, earlier := m.in(t), t <= m.from && t >= m.from-int64(before)
	if !inside && !earlier {
		return
	}
	d := on.device
	c := d.channel(0, false, 0)
	s := c.find(on.key, &m.series)
	if s == nil {
		m.more++
		return
	}
	if inside {
		s.take(t, x)
		d.span(t)
	}
	if earlier && t >= s.beforeAt {
		s.before, s.beforeAt = x, t
	}
}

// meta keeps the last description that came in the window, or else the first
// one after it.
func (m *maker) meta(d *device, msg *message) {
	if d.metaAt != 0 && (msg.arrival > m.to || msg.arrival < d.metaAt) {
		return
	}
	var x wire.Meta
	if json.Unmarshal(msg.payload, &x) == nil {
		x.Commands, x.Procedures = nil, nil // they may be large
		d.meta, d.metaAt = x, msg.arrival
	}
}
