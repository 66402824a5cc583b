package capsule

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"trackerdcs/pkg/seqset"
	"trackerdcs/pkg/wire"
)

// Bounds and times of the tracker.
const (
	maxTracked    = 4096
	trackedBoots  = 4
	trackedSpans  = 64
	stalePeriods  = 5
	unknownPeriod = 5 * time.Second // of a device that has not said its own

	// A hole in the numbers may be filled by a replay that is about to begin, or
	// is under way.
	replayBegins = 10 * time.Second
	replayPauses = 3 * time.Second

	// NATS sends what a former connection did not acknowledge again after half a
	// minute, not at once.
	redelivery = 35 * time.Second

	// A broker hands out what it kept for us topic by topic: a last will may come
	// before statuses that are older.
	quiet = 2 * time.Second
)

// tracker knows how it stands with each device that counts its statuses.
type tracker struct {
	root    wire.Root
	dec     decoder
	targets map[string]target
	devices map[string]*tracked
}

type tracked struct {
	boots     []*trackedBoot // in the order in which they were first heard
	latest    int64          // time of the latest live status, ns since 1970
	boot      string         // of the last live status
	heard     time.Time      // when a status came last
	replayed  time.Time      // when an old one came last
	holed     time.Time      // when the last hole appeared
	period    time.Duration
	state     string
	stateBoot string
}

type trackedBoot struct {
	name string
	seen seqset.Set
}

func newTracker(root wire.Root) *tracker {
	return &tracker{root: root, targets: make(map[string]target), devices: make(map[string]*tracked)}
}

// target says what a topic carries.
func (t *tracker) target(topic string) (topicKind, string) {
	x, ok := t.targets[topic]
	if !ok {
		x.kind, x.name = classify(t.root, topic)
		if len(t.targets) >= maxTopics {
			clear(t.targets)
		}
		t.targets[topic] = x
	}
	return x.kind, x.name
}

// take takes note of a message and reports whether it can be read.
func (t *tracker) take(k topicKind, name string, m *message, now time.Time) bool {
	switch k {
	case statusTopic, replayTopic:
		if t.dec.status(m.payload) != nil {
			return false
		}
		if d := t.device(name); d != nil {
			d.status(t.dec.readings, k == replayTopic, now)
		}
	case sensorTopic:
		_, _, err := t.dec.sensor(m.payload)
		return err == nil
	case stateTopic:
		var s wire.State
		if json.Unmarshal(m.payload, &s) != nil {
			return len(m.payload) == 0 // a retained message that was cleared
		}
		if d := t.device(name); d != nil {
			d.state, d.stateBoot = s.State, s.Boot
		}
	case metaTopic:
		var x wire.Meta
		if json.Unmarshal(m.payload, &x) != nil {
			return len(m.payload) == 0
		}
		if d := t.device(name); d != nil && x.Period > 0 && x.Period < 1e6 {
			d.period = time.Duration(x.Period * float64(time.Second))
		}
	}
	return true
}

func (t *tracker) device(name string) *tracked {
	d := t.devices[name]
	if d == nil && len(t.devices) < maxTracked {
		d = &tracked{period: unknownPeriod}
		t.devices[name] = d
	}
	return d
}

func (d *tracked) status(readings []reading, replay bool, now time.Time) {
	for i := range readings {
		r := &readings[i]
		if r.seq == 0 {
			continue
		}
		d.heard = now
		switch {
		case replay:
			d.replayed = now
		case d.boot != string(r.boot): // its clock may have been set back
			d.boot, d.latest = string(r.boot), r.time
		default:
			d.latest = max(d.latest, r.time)
		}
		b := d.find(r.boot)
		last, _, ok := b.seen.Last()
		if b.seen.Add(r.seq, r.time) && ok && r.seq > last+1 {
			d.holed = now
		}
		return // the other channels have the same number
	}
}

func (d *tracked) find(name []byte) *trackedBoot {
	for i := len(d.boots) - 1; i >= 0; i-- {
		if d.boots[i].name == string(name) {
			return d.boots[i]
		}
	}
	b := &trackedBoot{name: string(name)}
	b.seen.Limit(trackedSpans)
	if len(d.boots) == trackedBoots {
		d.boots = slices.Delete(d.boots, 0, 1)
	}
	d.boots = append(d.boots, b)
	return b
}

// wait says what of a device is still to be waited for, or nothing. The window
// goes from from to to; up is since when the broker can be heard.
func (d *tracked) wait(from, to int64, up, now time.Time) string {
	if d.heard.IsZero() {
		return ""
	}
	if now.Sub(d.replayed) < replayPauses || now.Sub(d.holed) < replayBegins || !up.IsZero() && now.Sub(up) < redelivery {
		for _, b := range d.boots {
			for g := range b.seen.Gaps() {
				if g.Before >= from && g.After <= to {
					return fmt.Sprintf("its statuses %d to %d, which a replay may bring", g.From, g.To)
				}
			}
		}
	}
	silent := now.Sub(d.heard)
	if !up.IsZero() {
		silent = min(silent, now.Sub(up))
	}
	over := (d.state == wire.Stopped || d.state == wire.Lost) && d.stateBoot == d.boot && silent >= quiet
	if d.latest > to || over || silent > stalePeriods*d.period {
		return ""
	}
	return fmt.Sprintf("a status later than %s; the last one is of %s",
		time.Unix(0, to).UTC().Format(time.RFC3339Nano), time.Unix(0, d.latest).UTC().Format(time.RFC3339Nano))
}

// Settled reports whether all has come that will come of a run that lasted from
// from to to, and if not what is waited for. Each device that speaks must have sent a
// status that is later than to, unless it is stopped or lost or was silent for
// five periods; and no replay may be about to fill a hole in the run. A device
// whose clock is far behind is never settled: wait for 40 s at most, but count
// only those in which the broker is connected.
func (r *Recorder) Settled(run int64, from, to time.Time) (ok bool, waitFor string) {
	end := to.UnixNano()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.index.find(run)
	if n == nil {
		return true, ""
	}
	online, up := r.online()
	if !online {
		return false, "the broker, which may have kept messages"
	}
	if r.queue.has(end) {
		return false, "messages that have come and are not on disk yet"
	}
	now := time.Now()
	// It may have been heard of long after it began, and the broker has kept what was
	// said meanwhile.
	begin := min(from.UnixNano(), n.Begun.Add(-before).UnixNano())
	for _, name := range slices.Sorted(maps.Keys(r.track.devices)) {
		if what := r.track.devices[name].wait(begin, end, up, now); what != "" {
			return false, name + ": " + what
		}
	}
	return true, ""
}

// Connected tells the Recorder whether the broker can be heard, as a hook of
// the bus. One that is never told takes it that it can.
func (r *Recorder) Connected(is bool) {
	r.link.Lock()
	defer r.link.Unlock()
	r.offline, r.up = !is, time.Now()
}

// online reports whether the broker can be heard, and since when.
func (r *Recorder) online() (bool, time.Time) {
	r.link.Lock()
	defer r.link.Unlock()
	return !r.offline, r.up
}
