package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// Timing of the loop.
const (
	checkEvery  = 100 * time.Millisecond // whether the bus is alive
	tickEvery   = 500 * time.Millisecond
	gather      = 20 * time.Millisecond // how long events wait for others
	gatherBytes = 256 << 10             // that do not wait
	mailAtOnce  = 256
	resyncEvery = time.Minute // a reconnect at most, to hear again what was missed
	complain    = time.Minute // a line in the log at most, of messages that are ignored
)

// Config says where a Live is.
type Config struct {
	Root    wire.Root
	Name    string // the service's name on the bus
	Boot    string // new at each start
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil for none
	Now     func() time.Time      // nil for time.Now
	Wait    time.Duration         // how long an ack is waited for; 2 s when 0

	// Ended, which may be nil, is told of a command that was accepted, and of which
	// nothing more will be said because the driver has ended. Of one that somebody still
	// waits for he is told in its stead, by Do. It must not block.
	Ended func(device string, o Outcome)
}

// Live knows what is on the bus now.
type Live struct {
	c       Config
	member  Member
	mail    *mailbox
	book    *book
	hub     *hub
	metrics *metrics
	stands  atomic.Bool // a connection, as far as its hooks have said

	mu    sync.Mutex // the model and the pulse are changed by Run alone, and read by others
	model *model
	pulse pulse

	// What follows is Run's.
	events     []event
	size       int      // of events
	ended      []ending // that Config.Ended has not been told of yet
	ticked     time.Time
	beaten     time.Time
	connection int
	since      time.Time // when the connection was made
	resynced   time.Time
	complained time.Time
	ignored    int // since then
	full       bool
}

// New makes a Live that knows nothing yet.
func New(c Config) *Live {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Wait == 0 {
		c.Wait = defaultWait
	}
	l := &Live{c: c, mail: newMailbox(), book: newBook(), hub: newHub(), model: newModel()}
	l.pulse.boot = c.Boot
	l.pulse.bus(c.Now())
	l.model.emit = l.emit
	l.metrics = newMetrics(c.Metrics, l)
	return l
}

// Attach subscribes to all that is followed. It is called before the bus runs.
func (l *Live) Attach(m Member) {
	l.member = m
	m.SubscribeAll(newest(l.c.Root, l.c.Name), 0, l.take)
	m.SubscribeAll(confirmed(l.c.Root), 1, l.take)
	m.OnConnect(func() {
		l.stands.Store(true)
		l.mail.stands(l.c.Now())
	})
	m.OnLost(func(error) {
		l.stands.Store(false)
		l.mail.ended(l.c.Now())
	})
}

// take is the handler of the bus: it enqueues.
func (l *Live) take(msg bus.Message) {
	a, ok := route(l.c.Root, msg.Topic)
	switch {
	case !ok:
		return
	case a.kind == aBeat && (a.name != l.c.Name || !bytes.Contains(msg.Payload, []byte(l.c.Boot))):
		return
	}
	m := mail{address: a, payload: msg.Payload, retained: msg.Retained, arrival: l.c.Now()}
	if len(m.payload) > a.kind.limit() {
		m.payload = bytes.Clone(m.payload[:a.kind.limit()+1]) // enough of it to be refused
	}
	l.mail.put(m)
}

// Run follows the bus until ctx ends, and with it all streams. An error says that
// there is no bus.
func (l *Live) Run(ctx context.Context) error {
	defer l.hub.end()
	if l.member == nil {
		return errors.New("following the bus: there is none")
	}
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	wait := time.NewTimer(time.Hour)
	wait.Stop()
	waiting := false
	for {
		send := false
		select {
		case <-ctx.Done():
			return nil
		case <-l.mail.wake:
			l.apply()
		case <-l.hub.wake:
			send = !waiting
		case <-check.C:
			l.check()
		case <-wait.C:
			waiting = false
			l.flush()
		}
		if !waiting && (send || l.size > 0) {
			wait.Reset(gather)
			waiting = true
		}
	}
}

// apply takes some of what has come.
func (l *Live) apply() {
	for _, m := range l.mail.take(mailAtOnce) {
		l.mu.Lock()
		err := l.one(m)
		l.mu.Unlock()
		if err != nil {
			l.refuse(m, err)
		}
		l.tellEnded()
		if l.size > gatherBytes {
			l.flush()
		}
	}
}

// one takes one message; it is called with mu held.
func (l *Live) one(m *mail) error {
	switch m.kind {
	case itStands:
		l.pulse.connect()
		l.connection, l.since, l.beaten = m.connection, m.arrival, time.Time{}
	case itEnded:
		l.pulse.disconnect()
		l.since = time.Time{}
	case aBeat:
		l.pulse.hear(m.payload)
	case itsOutcome:
		// An ack may have come before it.
		if o, ok := l.book.find(m.ended.ID); ok && o.Phase == PhaseUnanswered {
			l.sayEnded(OutcomeOf{m.ended.Device, o})
		}
		return nil
	default:
		if err := l.model.apply(m); err != nil {
			return err
		}
		l.follow(m)
		return nil
	}
	l.tick(false)
	return nil
}

// follow tells the book of commands what it has to know of a message; it is called
// with mu held.
func (l *Live) follow(m *mail) {
	switch m.kind {
	case anAck, aRunAck:
		l.book.note(m.name, l.model.acks[len(l.model.acks)-1].Ack, m.n)
	case aState:
	default:
		return
	}
	// Also after an ack: a state that came after it has been taken before it when it took
	// the place of one that waited.
	d := l.model.devices[m.name]
	if d == nil || d.shown.State == nil {
		return
	}
	for _, e := range l.book.restarted(m.name, *d.shown.State, d.stated, d.kept) {
		l.sayEnded(e.OutcomeOf)
		l.ended = append(l.ended, e)
	}
}

// sayEnded says to the readers that a command has ended without an ack.
func (l *Live) sayEnded(o OutcomeOf) {
	device := o.Device
	if device == runControl {
		device = "" // runs are everybody's
	}
	l.emit(EventOutcome, device, o)
}

// tellEnded tells Config.Ended; it is called without any lock.
func (l *Live) tellEnded() {
	for _, e := range l.ended {
		if l.c.Ended != nil && !e.awaited {
			l.c.Ended(e.Device, e.Outcome)
		}
	}
	l.ended = nil
}

// refuse counts a message that is not taken, and says so now and then.
func (l *Live) refuse(m *mail, err error) {
	l.metrics.ignored.WithLabelValues(string(m.kind)).Inc()
	l.ignored++
	now := l.c.Now()
	switch {
	case errors.Is(err, errFull):
		if !l.full {
			l.c.Log.Error("the bus has more than is followed: look for who makes up names", "kind", string(m.kind), "name", m.name, "error", err)
		}
		l.full = true
	case now.Sub(l.complained) >= complain:
		l.c.Log.Warn("a message is ignored", "kind", string(m.kind), "name", m.name, "error", err, "ignored", l.ignored)
		l.complained, l.ignored = now, 0
	}
}

// check does what is to be done now and then.
func (l *Live) check() {
	now := l.c.Now()
	l.mu.Lock()
	var say []byte
	if l.pulse.connected && now.Sub(l.beaten) >= beatEvery {
		l.beaten = now
		say = l.pulse.next(now)
	}
	l.tick(now.Sub(l.ticked) >= tickEvery)
	if !l.since.IsZero() {
		l.model.sweep(l.connection, now.Sub(l.since))
	}
	l.metrics.follow(l)
	l.mu.Unlock()
	if say != nil {
		l.member.Send(bus.Message{Topic: beatTopic(l.c.Root, l.c.Name), Payload: say}, nil)
	}
	if now.Sub(l.resynced) >= resyncEvery && !l.since.IsZero() && l.mail.missedSome() {
		l.resynced = now
		l.member.Hold(0, "more came than could be taken: reading again what is retained")
	}
}

// tick says the time and how the bus is, if it is time or there is news; it is called
// with mu held.
func (l *Live) tick(due bool) {
	now := l.c.Now()
	bus, news := l.pulse.bus(now)
	if due || news {
		l.ticked = now
		l.emit(EventTick, "", Tick{now.UnixMilli(), bus})
	}
}

// emit adds an event for the readers, if there are any.
func (l *Live) emit(name, device string, data any) {
	if l.hub.count() == 0 {
		return
	}
	frame, err := encode(name, data)
	if err != nil {
		l.c.Log.Error("an event cannot be written", "event", name, "device", device, "error", err)
		return
	}
	l.events = append(l.events, event{device, frame})
	l.size += len(frame)
}

// encode writes an event as in the HTML standard, 9.2.5. JSON has no ends of lines.
func encode(name string, data any) ([]byte, error) {
	b, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	frame := make([]byte, 0, len(name)+len(b)+16)
	frame = append(frame, "event: "...)
	frame = append(frame, name...)
	frame = append(frame, "\ndata: "...)
	frame = append(frame, b...)
	return append(frame, "\n\n"...), nil
}

// flush gives the readers what has gathered, and those that are new all that is
// known, which is the same moment for both.
func (l *Live) flush() {
	dropped, joining := l.hub.send(newBatch(l.events, l.size), l.c.Now())
	l.events, l.size = nil, 0
	l.metrics.dropped.Add(float64(dropped))
	var all *batch
	for _, r := range joining {
		if r.filter == nil && all != nil {
			r.first(all)
			continue
		}
		frame, err := encode(EventHello, l.snapshot(r.filter.takes))
		if err != nil {
			l.c.Log.Error("what is known cannot be written", "error", err)
			continue
		}
		b := newBatch([]event{{frame: frame}}, len(frame))
		if r.filter == nil {
			all = b
		}
		r.first(b)
	}
}

// Snapshot is all that is known now. What it points to is shared: it must not be
// changed.
func (l *Live) Snapshot() Snapshot { return l.snapshot(func(string) bool { return true }) }

func (l *Live) snapshot(of func(device string) bool) Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.c.Now()
	s := l.model.snapshot(now, of)
	s.Bus = l.pulse.said
	return s
}

// Device is what is known of a device now.
func (l *Live) Device(name string) (Device, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.model.devices[name]
	if d == nil {
		return Device{}, false
	}
	return d.view(l.c.Now()), true
}
