package main

import (
	"fmt"
	"slices"
	"time"

	"trackerdcs/pkg/ids"
	"trackerdcs/pkg/wire"
)

// Times of the machine.
const (
	settleTime  = 2 * time.Second         // after the first connection: what is retained has come by then
	askTime     = 10 * time.Second        // a command is answered in it
	askTimes    = 4                       // that a driver is asked the same
	flapTime    = 5 * time.Second         // a device that is not ready may be again
	resendEvery = 2500 * time.Millisecond // a setpoint that is not answered
	resendTime  = 5 * time.Minute         // a setpoint is sent again in it: drivers know an id twice as long
	reportTime  = 2 * time.Second         // between a driver's ack and its report
	goneTime    = 10 * time.Second        // a driver that is back has said by then what it knows
	silentTime  = 30 * time.Second        // a driver that is asked to abort and is lost
	recordEvery = 5 * time.Second         // a record that is not confirmed is said again
	sayEvery    = time.Second             // progress
	putRight    = 500 * time.Millisecond  // between two corrections of a stranger's state
	againTime   = 10 * time.Minute        // an end that is younger is told again after a restart
	saveAgain   = time.Second             // after the disk refused
	dryTime     = 3 * time.Second         // a driver checks parameters in it
	fetchTime   = 6 * time.Second         // for configurations, a little more than who fetches takes
	expiry      = 10 * time.Second        // of our own commands
)

// Bounds of the machine.
const (
	maxDevices = 1000
	maxSinks   = 100
	maxAborts  = 100
	maxKept    = 1000 // ended records that wait for the sink
	maxSaid    = 32
	maxNumber  = 1 << 53 // JSON's numbers are exact below
	maxJump    = 1e6     // over what the disk has
	maxHeld    = 1000    // outputs that wait for the disk
	maxStatus  = 64 << 10
)

// Config is what a machine starts from.
type Config struct {
	Boot        string
	NewUID      func() string // of a run
	Book        Book
	NoBook      string // why the book is empty, when that is worth a word
	Unconfirmed []Ref  // ended records that are on disk, the oldest first
}

// Machine is docs/contract.md, section 11, as a state machine: it is handed
// events with the time at which they happened and answers with what is to be
// done about them. It touches no bus, no disk and no clock, and is not safe for
// concurrent use.
//
// What the book says is on disk before anybody hears of it: outputs wait until
// the book is saved as it was when they were made. Only rejections, aborts of a
// driver and dry questions do not wait.
type Machine struct {
	cfg  Config
	book Book
	live live // what is known of the run under way and not kept on disk

	connected   bool
	connectedAt time.Time
	settleAt    time.Time
	settled     bool

	devices map[string]*device
	sinks   map[string]*sink
	found   *wire.Run // what stood on the state topic before we settled

	check *check // a start that is being looked at
	asks  int    // made so far: ids of questions, numbers of fetches
	ids   *ids.Book
	made  int // ids made up
	times wire.Stamper

	version   int // of the book
	saved     int // the version that is on disk
	saving    int // the version that is being written, or 0
	numbering int // the version with a number that is not on disk yet, or 0
	before    *Life
	saveAt    time.Time
	diskErr   error
	held      []heldOut
	keep      []wire.Run
	forget    []Ref
	writing   Save

	unconfirmed []Ref // ended records that no sink has confirmed
	next        int   // of them to be said
	sayAt       time.Time
	dropped     int  // records that found no room
	jumped      bool // a number was ignored, and the log says so

	said    [][]byte // states, whose echoes come back
	saidAt  time.Time
	stale   bool      // the state is to be said again
	strayAt time.Time // when a driver was told to end a run that has ended

	now time.Time
	e   *Effects
}

// heldOut is an output that waits for the disk.
type heldOut struct {
	version int
	out     any
}

// sink is what is known of a service that keeps runs.
type sink struct {
	state wire.State
	kept  *wire.Kept
}

// NewMachine makes a machine that has heard nothing yet.
func NewMachine(cfg Config) *Machine {
	m := &Machine{
		cfg: cfg, book: cfg.Book, unconfirmed: cfg.Unconfirmed,
		devices: make(map[string]*device), sinks: make(map[string]*sink),
		ids: ids.New(),
	}
	return m
}

// Handle takes one event. now must not go back; its monotonic part counts.
func (m *Machine) Handle(now time.Time, event any) Effects {
	e := Effects{}
	m.now, m.e = now, &e
	switch ev := event.(type) {
	case Connected:
		m.connect()
	case Disconnected:
		m.connected = false
		for _, d := range m.devices {
			d.heard = false
		}
	case Received:
		m.received(ev)
	case Described:
		if d := m.device(ev.Device); d != nil {
			d.meta = &ev.Meta
		}
	case DeviceState:
		m.deviceState(ev)
	case Reported:
		if d := m.device(ev.Device); d != nil {
			d.report = &ev.Report
			m.endStray(ev.Device, &ev.Report)
		}
	case Measured:
		m.measured(ev)
	case Acked:
		m.acked(ev)
	case ServiceState:
		m.serviceState(ev)
	case Keeps:
		if s := m.sink(ev.Sink); s != nil && ev.Kept.Highest >= 0 && ev.Kept.Highest < maxNumber {
			s.kept = &ev.Kept
		}
	case Receipted:
		m.receipted(ev)
	case Stands:
		m.stands(ev.Payload)
	case Fetched:
		m.fetched(ev)
	case Saved:
		m.savedBook(ev.Err)
	case Tick:
	default:
		panic(fmt.Sprintf("runcontrol: unknown event %T", event))
	}
	m.settle()
	m.advance()
	m.endStrays()
	m.look()
	m.speak()
	m.save()
	m.e = nil
	return e
}

func (m *Machine) sink(name string) *sink {
	s := m.sinks[name]
	if s == nil && len(m.sinks) < maxSinks {
		s = new(sink)
		m.sinks[name] = s
	}
	return s
}

// connect says anew what may have been lost with the last connection.
func (m *Machine) connect() {
	m.connected, m.connectedAt = true, m.now
	if m.settleAt.IsZero() {
		m.settleAt = m.now.Add(settleTime)
	}
	for _, d := range m.devices {
		d.since = m.now // time did not count while nothing could be heard
	}
	m.live.resume()
	if m.settled {
		m.sayAgain()
	}
}

// life is the run under way, or nil.
func (m *Machine) life() *Life {
	if l := m.book.Life; l != nil && l.Step != stepEnded {
		return l
	}
	return nil
}

// touch says that the book has changed.
func (m *Machine) touch() { m.version++ }

// behind reports whether the disk has not yet all that was decided.
func (m *Machine) behind() bool { return m.version > m.saved || len(m.held) > 0 }

// emit sends something once the book is on disk as it is now.
func (m *Machine) emit(out any) {
	if !m.behind() {
		m.e.Out = append(m.e.Out, out)
		return
	}
	if _, is := out.(SayState); is { // only the latest is worth waiting for
		kept := m.held[:0]
		for _, h := range m.held {
			if _, old := h.out.(SayState); !old {
				kept = append(kept, h)
			}
		}
		m.held = kept
	}
	m.held = append(m.held, heldOut{m.version, out})
}

// atOnce sends something that does not wait for the disk.
func (m *Machine) atOnce(out any) { m.e.Out = append(m.e.Out, out) }

// save hands the book to the disk when it has changed and the disk is free.
func (m *Machine) save() {
	if m.version <= m.saved || m.saving != 0 || m.now.Before(m.saveAt) {
		return
	}
	m.saving = m.version
	m.writing = Save{Book: m.book.clone(), Keep: m.keep, Forget: m.forget}
	m.keep, m.forget = nil, nil
	w := m.writing
	m.e.Save = &w
}

// savedBook lets go what waited for the disk.
func (m *Machine) savedBook(err error) {
	version := m.saving
	m.saving = 0
	if err != nil {
		m.diskErr, m.saveAt = err, m.now.Add(saveAgain)
		m.keep = append(m.writing.Keep, m.keep...)
		m.forget = append(m.writing.Forget, m.forget...)
		m.unnumber(err)
		return
	}
	m.diskErr, m.saved = nil, version
	if m.numbering != 0 && m.numbering <= version {
		m.numbering = 0
		m.before = nil
	}
	n := 0
	for n < len(m.held) && m.held[n].version <= version {
		if k, is := m.held[n].out.(SayKept); !is || slices.Contains(m.unconfirmed, k.Ref) {
			m.e.Out = append(m.e.Out, m.held[n].out)
		}
		n++
	}
	m.held = append(m.held[:0:0], m.held[n:]...)
}

// unnumber takes a run back whose number could not be written. Nobody has heard
// of it; the number is not given again.
func (m *Machine) unnumber(err error) {
	if m.numbering == 0 {
		return
	}
	kept := m.held[:0]
	for _, h := range m.held {
		if h.version < m.numbering {
			kept = append(kept, h)
		}
	}
	m.held = kept
	l := m.book.Life
	m.numbering = 0
	m.book.Life, m.before = m.before, nil
	m.live = live{}
	m.touch()
	m.refuse(command{id: l.Ack.ID, op: wire.Start, user: l.Ack.User, value: l.Ack.Value}, wire.Hardware,
		"run control cannot write its disk: "+err.Error())
	m.stale = true
}

// owes reports whether somebody's answer waits for the disk. The next run takes
// the last one's place there, and after a crash nobody would know of it.
func (m *Machine) owes() bool {
	return slices.ContainsFunc(m.held, func(h heldOut) bool {
		_, is := h.out.(Answer)
		return is
	})
}

// dropOrders takes back what a driver was to be told and what waits for the
// disk. It reports whether there was something.
func (m *Machine) dropOrders() (dropped bool) {
	kept := m.held[:0]
	for _, h := range m.held {
		if _, is := h.out.(OrderRun); is {
			dropped = true
			continue
		}
		kept = append(kept, h)
	}
	m.held = kept
	return dropped
}

// log is a line for the log.
func (m *Machine) log(format string, a ...any) { m.e.Log = append(m.e.Log, fmt.Sprintf(format, a...)) }

// stamp is the time, as it is said.
func (m *Machine) stamp() time.Time { return m.times.Next(m.now) }

// Standing is the state of run control itself.
func (m *Machine) Standing() (state, problem string) {
	switch {
	case m.diskErr != nil:
		return wire.Unreachable, "the disk cannot be written: " + m.diskErr.Error()
	case !m.settled:
		return wire.Starting, ""
	}
	if _, why := m.highest(); why != "" {
		return wire.Unreachable, why
	}
	return wire.Ready, ""
}
