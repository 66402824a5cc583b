package live

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/wire"
)

// Bounds of what is known. Strangers may say anything on a bus.
const (
	maxDevices  = 1000
	maxServices = 200
	maxSensors  = 5000
	maxKept     = 32 << 20 // bytes of payloads
	keptAcks    = 100
)

// Why a message is not taken.
var (
	errFull     = errors.New("there is no room for more")
	errRetained = errors.New("a status is retained, so nobody knows how old it is: clear it from the broker")
	errNoNews   = errors.New("it is retained, so it was heard when it was said: clear it from the broker")
	errEmpty    = errors.New("it is empty")
)

// model is what is known. It is changed by one goroutine, and what it has given
// out is replaced and never changed.
type model struct {
	devices  map[string]*device
	services map[string]*member
	sensors  map[address]Reading
	run      *wire.Run
	acks     []AckOf

	bytes   int       // of payloads that are kept
	cleaned time.Time // when room was last looked for

	emit func(event, device string, data any)
}

// part is what is kept of a device, each from a topic of its own.
type part int

const (
	itsState part = iota
	itsMeta
	itsLocks
	itsReport
	itsStatus
	parts
)

// device is what is known of a device.
type device struct {
	shown    Device
	measured time.Time // of the status
	boot     string    // of the status
	seq      uint64    // of the status
	clock    clock
	stated   uint64 // the number of the message with its state
	kept     bool   // that message was retained

	size  [parts]int
	heard [parts]int // number of the connection in which it was last said, from 1; 0 when it was not
	last  time.Time  // when anything came
}

// member is what is known of a service.
type member struct {
	state *wire.State
	heard int
}

func newModel() *model {
	return &model{
		devices: make(map[string]*device), services: make(map[string]*member), sensors: make(map[address]Reading),
		emit: func(string, string, any) {},
	}
}

// apply takes a message. An error says why it was not taken.
func (m *model) apply(in *mail) error {
	switch {
	case len(in.payload) > in.kind.limit():
		return fmt.Errorf("it has %d bytes, at most %d are read", len(in.payload), in.kind.limit())
	case len(in.payload) == 0 && in.isRetained():
		m.clear(in)
		return nil
	case len(in.payload) == 0 && in.kind != aSensor:
		return errEmpty
	}
	switch in.kind {
	case aStatus:
		return m.status(in)
	case aState, aMeta, aLocks, aReport:
		return m.described(in)
	case aService:
		return m.service(in)
	case anAck, aRunAck:
		return m.ack(in)
	case aRun:
		return m.runState(in)
	case aLog:
		return m.log(in)
	case aSensor:
		return m.reading(in)
	}
	return nil
}

// get finds a device, or makes one where there is room.
func (m *model) get(in *mail, p part) (*device, error) {
	d := m.devices[in.name]
	before := 0
	if d != nil {
		before = d.size[p]
	}
	if p != itsState && m.bytes-before+len(in.payload) > maxKept { // that one is lost is always heard
		return nil, errFull
	}
	if d == nil {
		if len(m.devices) >= maxDevices && !m.makeRoom(in.arrival) {
			return nil, errFull
		}
		d = &device{shown: Device{Name: in.name, Freshness: Never, Locks: map[string]wire.LockTag{}}}
		m.devices[in.name] = d
	}
	m.bytes += len(in.payload) - before
	d.size[p], d.heard[p], d.last = len(in.payload), in.connection+1, in.arrival
	return d, nil
}

// status takes measurements. Those that are older than what is shown are not: a
// broker that was frozen may deliver them after newer ones.
func (m *model) status(in *mail) error {
	if in.retained {
		return errRetained
	}
	s, err := parseStatus(in.payload)
	if err != nil {
		return err
	}
	d, err := m.get(in, itsStatus)
	if err != nil {
		return err
	}
	if s.boot != "" && s.boot == d.boot && s.seq > 0 && s.seq <= d.seq {
		return nil
	}
	at := in.arrival.Add(-d.clock.late(s.boot, in.arrival, s.time))
	if d.shown.Status != nil && at.Before(d.measured) {
		return nil
	}
	d.measured, d.boot, d.seq = at, s.boot, s.seq
	d.shown.Status, d.shown.At = s.json, at.UnixMilli()
	m.emit(EventStatus, in.name, StatusOf{in.name, d.shown.At, s.json})
	return nil
}

// described takes what a device says on its retained topics.
func (m *model) described(in *mail) error {
	var change func(*device)
	var p part
	switch in.kind {
	case aState:
		s, err := parseState(in.payload)
		if err != nil {
			return err
		}
		p = itsState
		change = func(d *device) {
			d.shown.State, d.stated, d.kept = &s, in.n, in.retained
			m.emit(EventState, in.name, StateOf{Device: in.name, State: s})
		}
	case aMeta:
		meta, err := parseMeta(in.payload)
		if err != nil {
			return err
		}
		p = itsMeta
		change = func(d *device) {
			d.shown.Meta = meta
			m.emit(EventMeta, in.name, MetaOf{in.name, *meta})
		}
	case aLocks:
		locks, err := parseLocks(in.payload)
		if err != nil {
			return err
		}
		p = itsLocks
		change = func(d *device) {
			d.shown.Locks = locks
			m.emit(EventLocks, in.name, LocksOf{in.name, locks})
		}
	case aReport:
		r, err := parseReport(in.payload)
		if err != nil {
			return err
		}
		p = itsReport
		change = func(d *device) {
			d.shown.Report = r
			m.emit(EventReport, in.name, ReportOf{in.name, *r})
		}
	}
	d, err := m.get(in, p)
	if err != nil {
		return err
	}
	change(d)
	return nil
}

func (m *model) service(in *mail) error {
	s, err := parseState(in.payload)
	if err != nil {
		return err
	}
	if m.services[in.name] == nil && len(m.services) >= maxServices {
		return errFull
	}
	m.services[in.name] = &member{&s, in.connection + 1}
	m.emit(EventState, "", StateOf{Service: in.name, State: s})
	return nil
}

// ack takes an ack. One that somebody has left on the topic is no news: it would
// come again in each connection.
func (m *model) ack(in *mail) error {
	if in.retained {
		return errNoNews
	}
	a, err := parseAck(in.payload)
	if err != nil {
		return err
	}
	of := AckOf{in.name, a, in.arrival.UnixMilli()}
	if len(m.acks) == keptAcks {
		m.acks = slices.Delete(m.acks, 0, 1)
	}
	m.acks = append(m.acks, of)
	device := in.name
	if in.kind == aRunAck {
		device = "" // runs are everybody's
	}
	m.emit(EventAck, device, of)
	return nil
}

func (m *model) runState(in *mail) error {
	r, err := parseRun(in.payload)
	if err != nil {
		return err
	}
	m.run = r
	m.emit(EventRun, "", *r)
	return nil
}

func (m *model) log(in *mail) error {
	if in.retained {
		return errNoNews
	}
	b, err := parseLog(in.payload)
	if err != nil {
		return err
	}
	m.emit(EventLog, in.name, LogOf{in.name, b})
	return nil
}

// reading takes a value from outside. Of one that was retained nobody knows when
// it was measured.
func (m *model) reading(in *mail) error {
	old, known := m.sensors[in.address]
	if len(in.payload) == 0 {
		delete(m.sensors, in.address)
		return nil
	}
	x, err := parseReading(in.payload)
	switch {
	case err != nil:
		return err
	case !known && len(m.sensors) >= maxSensors && !m.makeRoom(in.arrival):
		return errFull
	}
	r := Reading{Sensor: in.name, Measurement: in.of, Value: x, At: in.arrival.UnixMilli()}
	if in.retained {
		r.At = 0
		if known && old.Value == x {
			r.At = old.At
		}
	}
	m.sensors[in.address] = r
	m.emit(EventSensor, in.name, r)
	return nil
}

// snapshot is all that is known. What it points to is not changed any more.
func (m *model) snapshot(now time.Time, of func(device string) bool) Snapshot {
	s := Snapshot{Now: now.UnixMilli(), Run: m.run, Devices: []Device{}, Services: []Service{}, Sensors: []Reading{}, Acks: []AckOf{}}
	for _, name := range slices.Sorted(maps.Keys(m.devices)) {
		if of(name) {
			s.Devices = append(s.Devices, m.devices[name].view(now))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.services)) {
		s.Services = append(s.Services, Service{name, m.services[name].state})
	}
	for _, r := range m.sensors {
		if of(r.Sensor) {
			s.Sensors = append(s.Sensors, r)
		}
	}
	slices.SortFunc(s.Sensors, func(a, b Reading) int {
		if c := strings.Compare(a.Sensor, b.Sensor); c != 0 {
			return c
		}
		return strings.Compare(a.Measurement, b.Measurement)
	})
	for _, a := range m.acks {
		if a.Device == runControl || of(a.Device) {
			s.Acks = append(s.Acks, a)
		}
	}
	return s
}

// view is the device as it is now.
func (d *device) view(now time.Time) Device {
	v := d.shown
	if v.Status != nil {
		v.Freshness = freshness(now.Sub(d.measured), period(v.Meta), v.State)
	}
	return v
}
