package psu

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"trackerdcs/pkg/ids"
	"trackerdcs/pkg/wire"
)

// MaxWaiting is how many commands may wait in a driver; more are BUSY.
const MaxWaiting = 100

// Machine is the rules of docs/contract.md, sections 3 and 4, as a state
// machine: it is handed events with the time at which they happened, and
// answers with what is to be done about them. It touches no instrument, no bus
// and no clock. It is not safe for concurrent use.
//
// One write is under way at a time: after an Effects with a Write comes a
// Written event, and meanwhile the machine keeps what follows. A Read event
// tells of a reading that was made after all writes of which the machine has
// been told.
type Machine struct {
	cfg      Config
	info     Info
	ops      map[string]bool
	common   bool // one ramp speed for all channels
	known    bool // the instrument has been seen
	linked   bool // it can be written to
	channels map[int]*channel
	numbers  []int // of the channels, in order

	queue    []*task // waiting, in the order of their writes
	current  *task   // whose write is under way
	writing  Write   // that write
	awaiting []*task // written, and not yet seen to have had their effect
	saving   []*task // lock and unlock that are to be kept on disk
	kept     []*task // those that are being kept
	locks    map[int]wire.LockTag
	ids      *ids.Book
	made     int          // ids made up
	stamper  wire.Stamper // of readings
	ackTimes wire.Stamper // no two acks have the same time: the archive tells them apart by it
}

// Config is what a machine starts from.
type Config struct {
	Boot   string
	Limits map[int]Limit        // the operator's, by channel
	Locks  map[int]wire.LockTag // as they stood at the last end
}

// Limit is a range of volts, signed, both ends included.
type Limit struct{ Min, Max float64 }

// channel is what is known of one channel.
type channel struct {
	ChannelInfo
	Reading
	fresh  bool       // read since the connection was made
	time   time.Time  // of the reading
	target wire.Value // what was last written, until it is read back
	paced  wire.Value // the ramp speed by which deadlines are reckoned, V/s

	written bool // since the reading
}

// Write is one action on the instrument.
type Write struct {
	Op      string // setv, seti, ramp, switch or clear
	Channel wire.ChannelID
	Value   float64
	On      bool
}

// Effects is what an event brings about.
type Effects struct {
	Acks   []wire.Ack // to be published, in order
	Write  *Write     // to be started now
	Status bool       // read the instrument and publish a status, now
	Save   bool       // keep Locks on disk, then hand in Saved; the next Save comes after that
}

// The events.
type (
	// Opened says that the instrument has been connected to. Ops are the
	// commands that it can take.
	Opened struct {
		Info Info
		Ops  Ops
	}
	// Broken says that the connection to the instrument is of no more use and
	// is being made anew.
	Broken struct{}
	// Gone says that the instrument cannot be reached.
	Gone struct{}
	// Read tells of channels that were read.
	Read struct{ Readings []Reading }
	// Written tells how the write under way ended: well, refused (ErrRefused),
	// or with a connection lost on the way, so that nobody knows.
	Written struct{ Err error }
	// Received is a command. Err is what wire.ParseCommand said of it.
	Received struct {
		Command  wire.Command
		Err      error
		Payload  []byte
		Retained bool
	}
	// Saved tells whether the locks are on disk.
	Saved struct{ Err error }
	// Tick lets time pass.
	Tick struct{}
)

// Ops are the commands that an instrument can take on top of setv and switch.
type Ops struct {
	SetI, Ramp, CommonRamp, Clear bool
}

// OpsOf asks an instrument for its capabilities.
func OpsOf(i Instrument) Ops {
	var o Ops
	_, o.SetI = i.(CurrentLimiter)
	_, o.Ramp = i.(Ramper)
	_, o.CommonRamp = i.(CommonRamper)
	_, o.Clear = i.(TripClearer)
	return o
}

// NewMachine makes a machine that has not seen its instrument yet.
func NewMachine(cfg Config) *Machine {
	m := &Machine{cfg: cfg, locks: maps.Clone(cfg.Locks), channels: make(map[int]*channel), ids: ids.New()}
	if m.locks == nil {
		m.locks = make(map[int]wire.LockTag)
	}
	return m
}

// Locks are the locks as they stand.
func (m *Machine) Locks() map[int]wire.LockTag { return maps.Clone(m.locks) }

// Handle takes one event. now must not go back (its monotonic part counts);
// its wall clock is what a command's expires is held against.
func (m *Machine) Handle(now time.Time, event any) Effects {
	var e Effects
	switch ev := event.(type) {
	case Opened:
		m.opened(now, &e, ev)
	case Broken:
		m.broken(now, &e)
	case Gone:
		m.broken(now, &e)
		m.giveUp(now, &e, func(*task) bool { return true })
	case Read:
		m.read(now, &e, ev.Readings)
	case Written:
		m.written(now, &e, ev.Err)
	case Received:
		m.received(now, &e, ev)
	case Saved:
		m.saved(now, &e, ev.Err)
	case Tick:
	default:
		panic(fmt.Sprintf("psu: unknown event %T", event))
	}
	m.timeouts(now, &e)
	m.startNext(now, &e)
	m.startSaving(&e)
	return e
}

func (m *Machine) opened(now time.Time, e *Effects, ev Opened) {
	another := m.known && (ev.Info.Model != m.info.Model || ev.Info.Serial != m.info.Serial)
	m.info, m.known, m.linked = ev.Info, true, true
	m.common = ev.Ops.CommonRamp && !ev.Ops.Ramp
	m.ops = map[string]bool{
		wire.SetV: true, wire.Switch: true, wire.Lock: true, wire.Unlock: true,
		wire.SetI: ev.Ops.SetI, wire.Ramp: ev.Ops.Ramp || ev.Ops.CommonRamp, wire.Clear: ev.Ops.Clear,
	}
	before := m.channels
	m.channels = make(map[int]*channel)
	m.numbers = nil
	for _, ci := range ev.Info.Channels {
		c := &channel{ChannelInfo: ci}
		if old := before[ci.Number]; old != nil && !another {
			c.Reading, c.paced = old.Reading, old.paced
		}
		c.Reading.Number = ci.Number
		m.channels[ci.Number] = c
		m.numbers = append(m.numbers, ci.Number)
	}
	slices.Sort(m.numbers)
	m.dropStrangers(now, e, another)
}

// dropStrangers ends commands that were for another instrument than the one
// that answers at the address now, or for channels that are no more.
func (m *Machine) dropStrangers(now time.Time, e *Effects, another bool) {
	strange := func(t *task) bool {
		return another || slices.ContainsFunc(t.channels, func(n int) bool { return m.channels[n] == nil })
	}
	gone := m.takeWaiting(strange)
	m.awaiting = slices.DeleteFunc(m.awaiting, func(t *task) bool {
		if strange(t) {
			gone = append(gone, t)
			return true
		}
		return false
	})
	for _, t := range gone {
		m.end(now, e, t, wire.Failed, wire.CodeUnreachable, "another instrument answers at the address now")
	}
}

// broken forgets what is no longer known to be so, and ends what waits. An off
// or a lock that comes from now on is refused, so nothing that came before it
// may be written after the connection is back; offs alone are written then.
func (m *Machine) broken(now time.Time, e *Effects) {
	m.linked = false
	m.giveUp(now, e, func(t *task) bool { return !t.isOff() })
	if t := m.current; t != nil && !t.isOff() {
		t.writes = nil
	}
	for _, c := range m.channels {
		c.fresh = false
		c.target = wire.Value{}
	}
}

func (m *Machine) giveUp(now time.Time, e *Effects, which func(*task) bool) {
	for _, t := range m.takeWaiting(which) {
		m.end(now, e, t, wire.Failed, wire.CodeUnreachable, "the instrument does not answer: it was not written")
	}
}

// read takes readings in, and looks what they mean for the commands awaited.
func (m *Machine) read(now time.Time, e *Effects, readings []Reading) {
	if !m.linked {
		return // from before the connection was lost
	}
	stamp := m.stamper.Next(now)
	for _, r := range readings {
		c := m.channels[r.Number]
		if c == nil {
			continue // an instrument that answers for a channel which it has not: nothing of ours
		}
		if c.fresh && (c.Trip != r.Trip || c.Interlock != r.Interlock || c.On != r.On || c.Limited != r.Limited) {
			e.Status = true
		}
		c.Reading, c.time, c.fresh = r, stamp, true
		if m.current == nil || !m.current.touches(r.Number) {
			c.target = wire.Value{} // the readback is what stands
			c.written = false
		}
		if speed := c.Reading.Ramp; speed.Valid && !near(c.paced, speed.V, m.info.Resolution.Ramp) {
			c.paced = speed
			m.renewDeadlines(now, c)
		}
		m.settle(now, e, c)
	}
}

// Status is the status of all channels from their latest readings, without seq.
// It reports false while a channel has not been read since the connection was
// made: a stale value is never given as fresh.
func (m *Machine) Status() ([]wire.Channel, bool) {
	out := make([]wire.Channel, 0, len(m.numbers))
	for _, n := range m.numbers {
		c := m.channels[n]
		if !c.fresh {
			return nil, false
		}
		_, locked := m.locks[n]
		out = append(out, wire.Channel{
			Number: n, On: c.On, VReq: c.VReq, IReq: c.IReq, VMon: c.VMon, IMon: c.IMon, Ramp: c.Reading.Ramp,
			Ramping: c.Ramping, Limited: c.Limited, Trip: c.Trip, Interlock: c.Interlock,
			Locked: wire.FlagOf(locked), Time: c.time, Boot: m.cfg.Boot,
		})
	}
	return out, len(out) > 0
}

// Busy reports whether a command is on its way to its end, so that it is worth
// reading the instrument often.
func (m *Machine) Busy() bool { return len(m.awaiting) > 0 || len(m.queue) > 0 || m.current != nil }
