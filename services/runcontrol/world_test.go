package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"trackerdcs/pkg/ids"
	"trackerdcs/pkg/wire"
)

// world is what run control meets on the bus, reduced to what it says: a
// driver, a supply, a sink, a disk. It answers the machine's outputs with events, which
// wait in a queue until somebody delivers them.
type world struct {
	m       *Machine
	now     time.Time
	boots   int
	uids    int
	queue   []any // events on their way to the machine
	outs    []any // all that the machine has said
	invalid []string

	disk     Book
	noDisk   bool
	diskFull bool
	kept     map[Ref]wire.Run
	saving   *Save
	manual   bool // saves wait for finishSave

	connected bool
	state     *wire.Run // as it stands on the bus
	driver    driverSim
	hv        supplySim
	sink      sinkSim
	truth     map[string]string // how programs ended, by uid
	configs   map[string]wire.Configuration
	check     func(event any, e Effects)
}

type driverSim struct {
	boot    int
	state   string
	ids     *ids.Book
	report  *wire.Report
	program bool // runs
	mute    bool // answers nothing
	refuse  wire.Code
	started map[int64]int // by run
	stuck   bool          // an abort is accepted and has no effect
}

type supplySim struct {
	boot    int
	state   string
	ids     *ids.Book
	refuse  wire.Code
	mute    bool
	slow    bool // done comes only with finish
	pending []wire.Ack
	orders  []wire.Command
}

type sinkSim struct {
	boot    int
	state   string
	known   bool
	highest int64
	records map[int64]wire.Run
	has     map[string]bool // results, by uid
	slow    bool            // results do not come by themselves
	refuse  string
}

var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func newWorld() *world {
	w := &world{
		now: epoch, kept: make(map[Ref]wire.Run), noDisk: true, truth: make(map[string]string),
		driver: driverSim{boot: 1, state: wire.Ready, ids: ids.New(), started: make(map[int64]int)},
		hv:     supplySim{boot: 1, state: wire.Ready, ids: ids.New()},
		sink:   sinkSim{boot: 1, state: wire.Ready, known: true, records: make(map[int64]wire.Run), has: make(map[string]bool)},
	}
	w.restart()
	return w
}

// restart makes a machine anew from what is on the disk: the former one was
// killed.
func (w *world) restart() {
	w.boots++
	cfg := Config{Boot: fmt.Sprintf("rc%d", w.boots), NewUID: func() string { w.uids++; return fmt.Sprintf("u%d", w.uids) }}
	if w.saving != nil && w.boots%2 == 0 { // it was on its way: it may be there or not
		w.store(w.saving)
	}
	w.saving = nil
	if !w.noDisk {
		cfg.Book = w.disk.clone()
		for r := range w.kept {
			cfg.Unconfirmed = append(cfg.Unconfirmed, r)
		}
		slices.SortFunc(cfg.Unconfirmed, func(a, b Ref) int { return int(a.Run - b.Run) })
	}
	w.m = NewMachine(cfg)
	w.queue, w.connected = nil, false
}

func (w *world) loseDisk() {
	w.noDisk, w.disk, w.kept = true, Book{}, make(map[Ref]wire.Run)
}

func (w *world) store(s *Save) {
	for _, r := range s.Keep {
		w.kept[Ref{r.Run, r.UID, r.State}] = r
	}
	w.disk, w.noDisk = s.Book, false
	for _, r := range s.Forget {
		delete(w.kept, r)
	}
}

// finishSave ends the write under way.
func (w *world) finishSave() {
	if w.saving == nil {
		return
	}
	s := w.saving
	w.saving = nil
	if w.diskFull {
		w.handle(Saved{errors.New("no space left on device")})
		return
	}
	w.store(s)
	w.handle(Saved{})
}

// handle hands an event to the machine and lets the world answer.
func (w *world) handle(event any) {
	w.now = w.now.Add(time.Microsecond)
	e := w.m.Handle(w.now, event)
	if w.check != nil {
		w.check(event, e)
	}
	for _, out := range e.Out {
		w.outs = append(w.outs, out)
		w.hear(out)
	}
	if e.Fetch != nil {
		f := Fetched{Ask: e.Fetch.Ask, Found: make(map[string]wire.Configuration)}
		for _, name := range e.Fetch.Names {
			c, has := w.configs[name]
			if !has {
				f.Name, f.Err = name, errNoConfiguration
				break
			}
			f.Found[name] = c
		}
		w.queue = append(w.queue, f)
	}
	if e.Save != nil {
		if w.saving != nil {
			w.invalid = append(w.invalid, "a save while another is under way")
		}
		w.saving = e.Save
		if !w.manual {
			w.finishSave()
		}
	}
}

// say puts an event on its way, if there is a connection.
func (w *world) say(event any) {
	if w.connected {
		w.queue = append(w.queue, event)
	}
}

// connect makes a connection: what is retained comes with it.
func (w *world) connect() {
	w.connected = true
	w.handle(Connected{})
	w.say(Described{"ph2acf", wire.Meta{Kind: wire.KindCalibration, Period: 1, Procedures: map[string]wire.MetaProcedure{"calibration": {}}}})
	w.say(Described{"hv", wire.Meta{Kind: wire.KindPSU, Period: 1, Fields: map[string]wire.MetaField{"vmon": {Unit: "V"}}}})
	w.say(w.driverState())
	w.say(w.hvState())
	w.say(w.sinkState())
	w.say(w.keeps())
	if w.state != nil {
		w.say(Stands{wire.Encode(*w.state)})
	}
	if w.driver.report != nil {
		w.say(Reported{"ph2acf", *w.driver.report})
	}
}

func (w *world) disconnect() {
	w.connected, w.queue = false, nil
	w.handle(Disconnected{})
}

// settle connects and lets two seconds pass.
func (w *world) settle() {
	w.connect()
	w.deliver()
	w.wait(settleTime + time.Second)
}

// deliver hands over what is on its way, and what comes of that.
func (w *world) deliver() {
	for len(w.queue) > 0 {
		ev := w.queue[0]
		w.queue = w.queue[1:]
		w.handle(ev)
	}
}

// wait lets time pass.
func (w *world) wait(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(tickPeriod)
		w.handle(Tick{})
		w.deliver()
	}
}

// hear is how the world takes what the machine says.
func (w *world) hear(out any) {
	if !w.connected {
		if _, is := out.(Answer); !is {
			return // what is not kept is lost
		}
	}
	switch o := out.(type) {
	case SayState:
		r := o.Run
		w.state = &r
		w.say(Stands{o.Payload})
	case Order:
		w.hvTakes(o.Command)
	case OrderRun:
		w.driverTakes(o.Command)
	case SayRecord:
		w.sinkTakes(o.Run)
	case SayKept:
		if r, has := w.kept[o.Ref]; has {
			w.sinkTakes(r)
		} else {
			w.invalid = append(w.invalid, fmt.Sprintf("record %v is said and not on disk", o.Ref))
		}
	}
}

func boot(of string, n int) string { return fmt.Sprintf("%s%d", of, n) }

func (w *world) driverState() DeviceState {
	return DeviceState{"ph2acf", wire.State{State: w.driver.state, Boot: boot("d", w.driver.boot)}}
}

func (w *world) hvState() DeviceState {
	return DeviceState{"hv", wire.State{State: w.hv.state, Boot: boot("s", w.hv.boot)}}
}

func (w *world) sinkState() ServiceState {
	return ServiceState{"calibration", wire.State{State: w.sink.state, Boot: boot("k", w.sink.boot)}}
}

func (w *world) keeps() Keeps {
	return Keeps{"calibration", wire.Kept{Highest: w.sink.highest, Known: w.sink.known, Boot: boot("k", w.sink.boot)}}
}

// simAck answers a command, once for each id.
func simAck(now time.Time, book *ids.Book, id string, content ids.Content, code wire.Code, phases ...string) (acks []wire.Ack) {
	if old, was, known := book.Find(now, id); known {
		if was != content {
			return []wire.Ack{{ID: id, Phase: wire.Rejected, Code: wire.Duplicate}}
		}
		return []wire.Ack{old}
	}
	for _, p := range phases {
		a := wire.Ack{ID: id, Phase: p, Code: code}
		book.Note(now, id, content, a)
		acks = append(acks, a)
	}
	return acks
}

// driverTakes is a driver that executes runs.
func (w *world) driverTakes(c wire.RunCommand) {
	d := &w.driver
	if d.state != wire.Ready || d.mute {
		return
	}
	content := ids.ContentOfRun(c, nil, nil)
	_, _, known := d.ids.Find(w.now, c.ID)
	code, phase := wire.OK, wire.Accepted
	switch {
	case known:
	case d.refuse != "":
		code, phase = d.refuse, wire.Rejected
	case c.Dry:
		code = wire.Dry
	case c.Op == wire.Start && d.program:
		code, phase = wire.Busy, wire.Rejected
	case c.Op == wire.Start && d.report != nil && d.report.UID == c.UID:
		code, phase = wire.OK, wire.Done // the run that it has: answered and not executed again
	case c.Op == wire.Start:
		d.program = true
		d.started[c.Run]++
		d.report = &wire.Report{Run: c.Run, UID: c.UID, State: wire.RunRunning, Boot: boot("d", d.boot), Start: w.now, Procedure: c.Procedure}
		w.say(Reported{"ph2acf", *d.report})
	case d.report == nil || !d.program || d.report.Run != c.Run:
		code, phase = wire.BadValue, wire.Rejected
	case !d.stuck:
		w.programEnds(wire.RunAborted)
	}
	for _, a := range simAck(w.now, d.ids, c.ID, content, code, phase) {
		a.Boot = boot("d", d.boot)
		w.say(Acked{"ph2acf", a})
	}
}

// programEnds ends the program under way.
func (w *world) programEnds(state string) {
	d := &w.driver
	if !d.program {
		return
	}
	d.program = false
	r := *d.report
	r.State, r.End, r.Progress = state, w.now, wire.Known(1)
	d.report = &r
	w.truth[r.UID] = state
	w.say(Reported{"ph2acf", r})
	if !w.sink.slow && w.sink.state == wire.Ready {
		w.resultsArrive(r.UID)
	}
}

func (w *world) resultsArrive(uid string) { w.sink.has[uid] = true }

// killDriver ends the driver; its program goes with it.
func (w *world) killDriver() {
	w.driver.state = wire.Lost
	w.driver.ids = ids.New()
	w.say(w.driverState())
}

func (w *world) startDriver(knows bool) {
	d := &w.driver
	d.boot++
	d.state = wire.Ready
	if d.report != nil && wire.RunEnded(d.report.State) && knows {
		r := *d.report
		r.Boot = boot("d", d.boot)
		d.report = &r
		w.say(Reported{"ph2acf", r})
	}
	if d.program {
		d.program = false
		if knows {
			r := *d.report
			r.State, r.Boot, r.Error = wire.RunInterrupted, boot("d", d.boot), "the driver was killed"
			d.report = &r
			w.say(Reported{"ph2acf", r})
			w.resultsArrive(r.UID)
		}
	}
	w.say(w.driverState())
}

// hvTakes is a supply.
func (w *world) hvTakes(c wire.Command) {
	s := &w.hv
	if s.state != wire.Ready || s.mute {
		return
	}
	s.orders = append(s.orders, c)
	code, phases := wire.OK, []string{wire.Accepted, wire.Done}
	switch {
	case s.refuse != "":
		code, phases = s.refuse, []string{wire.Rejected}
	case s.slow:
		phases = phases[:1]
	}
	d := c
	d.Expires = time.Time{}
	for _, a := range simAck(w.now, s.ids, c.ID, ids.ContentOf(d.Payload()), code, phases...) {
		w.say(Acked{"hv", a})
		if a.Phase == wire.Accepted {
			s.pending = append(s.pending, a)
		}
	}
}

// hvFinishes ends what the supply has accepted.
func (w *world) hvFinishes(phase string, code wire.Code) {
	for _, a := range w.hv.pending {
		if old, content, known := w.hv.ids.Find(w.now, a.ID); known && !old.Final() {
			a.Phase, a.Code = phase, code
			w.hv.ids.Note(w.now, a.ID, content, a)
			w.say(Acked{"hv", a})
		}
	}
	w.hv.pending = nil
}

// measures is a status of the supply.
func (w *world) measures(volts float64) {
	w.say(Measured{"hv", wire.Encode([]wire.Channel{{Number: 0, VMon: wire.Known(volts), Time: w.now}})})
}

// sinkTakes is the sink.
func (w *world) sinkTakes(r wire.Run) {
	s := &w.sink
	if s.state != wire.Ready {
		return
	}
	receipt := wire.RecordReceipt{Run: r.Run, UID: r.UID, State: r.State, Results: r.Results, Error: s.refuse, Boot: boot("k", s.boot)}
	if old, has := s.records[r.Run]; has && old.UID != r.UID {
		w.invalid = append(w.invalid, fmt.Sprintf("number %d was given twice", r.Run))
		return
	}
	if s.refuse == "" {
		if old := s.records[r.Run]; !wire.RunEnded(old.State) {
			s.records[r.Run] = r
		}
		s.highest = max(s.highest, r.Run)
	}
	if s.has[r.UID] {
		receipt.Results = wire.ResultsReceived
	}
	w.say(Receipted{"calibration", receipt})
}

// command sends a command about runs.
func (w *world) command(c wire.RunCommand) {
	payload := c.Payload()
	parsed, err := wire.ParseRunCommand(c.Op, payload)
	w.handle(Received{Command: parsed, Err: err, Payload: payload})
	w.deliver()
}

func (w *world) start(id string, cfgs map[string]wire.ConfigurationOrName) {
	w.command(wire.RunCommand{Op: wire.Start, Procedure: "calibration", ID: id, User: "alice", Configurations: cfgs, Parameters: wire.Parameters{"module": "M12"}})
}

func (w *world) abort(id string) {
	w.command(wire.RunCommand{Op: wire.Abort, ID: id, User: "bob", Reason: "wrong module"})
}

// acks are the answers to an id.
func (w *world) acks(id string) (out []wire.Ack) {
	for _, o := range w.outs {
		if a, is := o.(Answer); is && a.Ack.ID == id {
			out = append(out, a.Ack)
		}
	}
	return out
}

// run is the run as the machine has it.
func (w *world) run() wire.Run {
	if w.m.book.Life == nil {
		return wire.Run{State: wire.RunIdle}
	}
	return w.m.book.Life.Run
}

func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }
