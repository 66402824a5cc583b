package psu

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/ids"
	"trackerdcs/pkg/wire"
)

// walker holds a machine against what must be so whatever happens. It keeps its
// own books: what the machine was told, what it answered, what it wrote.
type walker struct {
	m      *Machine
	supply *supply
	now    time.Time
	mode   byte
	common bool
	limits Limits

	linked  bool
	read1   map[int]Reading    // as last read
	fresh   map[int]bool       // since the connection was made
	written map[int]wire.Value // setpoint written since then
	pending *Write
	locked  map[int]bool
	readAt  map[int]int // the event with which a channel was read

	seq      int                 // of the command received last
	open     map[string]*walked  // accepted, without an end
	acked    map[string]wire.Ack // the latest ack of an id
	known    map[string]Received // by id, what was sent with it
	ackedAt  map[string]time.Time
	off      [3]int // the last off received for a channel
	offDone  [3]int // the last off that was written to it
	lastByOp map[string]int

	ids     int
	last    Received
	tell    bool // keep a log
	log     []string
	figures walkFigures
}

// walked is a command that was accepted.
type walked struct {
	seq      int
	op, word string
	channels []int
	expires  time.Time
	wrote    map[int]int
	wroteAt  map[int]int // the event
	lost     bool
}

func (c *walked) isOff() bool { return c.word == wire.Off }

// walkFigures is what walks came to.
type walkFigures struct {
	events, commands, writes, busy, lost, joined, repeated, superseded, done int
	codes                                                                    map[wire.Code]int
}

func (f *walkFigures) add(o walkFigures) {
	f.events += o.events
	f.commands += o.commands
	f.writes += o.writes
	f.busy += o.busy
	f.lost += o.lost
	f.joined += o.joined
	f.repeated += o.repeated
	f.superseded += o.superseded
	f.done += o.done
	if f.codes == nil {
		f.codes = make(map[wire.Code]int)
	}
	for c, n := range o.codes {
		f.codes[c] += n
	}
}

func (f walkFigures) String() string {
	return fmt.Sprintf("%d events, %d commands, %d writes, %d lost, %d joined, %d repeated, %d superseded, %d done, %v",
		f.events, f.commands, f.writes, f.lost, f.joined, f.repeated, f.superseded, f.done, f.codes)
}

func newWalker(mode byte) *walker {
	w := &walker{
		supply: newSupply(), now: noon, mode: mode,
		limits: Limits{0: {0, 500}, 1: {-10, 120}},
		read1:  make(map[int]Reading), fresh: make(map[int]bool), written: make(map[int]wire.Value), locked: make(map[int]bool), readAt: make(map[int]int),
		open: make(map[string]*walked), acked: make(map[string]wire.Ack), known: make(map[string]Received), ackedAt: make(map[string]time.Time),
		lastByOp: make(map[string]int),
		figures:  walkFigures{codes: make(map[wire.Code]int)},
	}
	if mode&8 != 0 {
		w.common = true
		common(w.supply)
	}
	cfg := Config{Boot: "b00", Limits: w.limits}
	if mode&16 != 0 {
		w.locked[2] = true
		cfg.Locks = map[int]wire.LockTag{2: {Reason: "work"}}
	}
	w.m = NewMachine(cfg)
	return w
}

func (w *walker) note(format string, args ...any) {
	if !w.tell {
		return
	}
	w.log = append(w.log, w.now.Format("15:04:05.0 ")+fmt.Sprintf(format, args...))
}

// event hands an event to the machine and checks what comes of it.
func (w *walker) event(ev any) error {
	w.figures.events++
	w.before(ev)
	task := w.m.current // whose write ends, if one does
	if _, ok := ev.(Written); ok && task != nil && w.open[task.cmd.ID] != nil {
		c := w.open[task.cmd.ID]
		for n := range c.wroteAt {
			c.wroteAt[n] = w.figures.events
		}
	}
	e := w.m.Handle(w.now, ev)
	w.noteEvent(ev, e)
	if lost, ok := ev.(Written); ok && lost.Err != nil && !errors.Is(lost.Err, ErrRefused) && task != nil {
		if c := w.open[task.cmd.ID]; c != nil {
			c.lost = true
			w.figures.lost++
		}
	}
	if err := w.checkAcks(ev, e); err != nil {
		return err
	}
	if e.Write != nil {
		if err := w.checkWrite(*e.Write); err != nil {
			return fmt.Errorf("%s: %w", writeText(*e.Write), err)
		}
		w.pending = e.Write
		w.figures.writes++
	}
	return w.checkState(ev, e)
}

// before takes down what an event says.
func (w *walker) before(ev any) {
	switch ev := ev.(type) {
	case Opened:
		w.linked = true
	case Broken, Gone:
		w.cutOff()
	case Written:
		if ev.Err != nil && !errors.Is(ev.Err, ErrRefused) {
			w.cutOff()
		}
	case Read:
		if !w.linked {
			return
		}
		for _, r := range ev.Readings {
			w.read1[r.Number], w.fresh[r.Number] = r, true
			if w.pending == nil || w.pending.Channel != wire.One(r.Number) && w.pending.Channel != wire.All() {
				delete(w.written, r.Number) // else the reading may be from before the write
			}
			w.readAt[r.Number] = w.figures.events
		}
	case Received:
		w.seq++
	}
}

func (w *walker) cutOff() {
	w.linked = false
	clear(w.fresh)
	clear(w.written)
}

func (w *walker) noteEvent(ev any, e Effects) {
	if !w.tell {
		return
	}
	switch ev := ev.(type) {
	case Received:
		r := ""
		if ev.Retained {
			r = "retained "
		}
		w.note("%s%s/%s %s", r, ev.Command.Op, ev.Command.Channel, ev.Payload)
	case Read:
		s := ""
		for _, r := range ev.Readings {
			s += fmt.Sprintf(" %d:%v vreq %v vmon %v trip %v", r.Number, r.On, r.VReq, r.VMon, r.Trip)
		}
		w.note("Read%s", s)
	case Opened:
		w.note("Opened")
	default:
		w.note("%T %+v", ev, ev)
	}
	for _, a := range e.Acks {
		w.log = append(w.log, "    "+ackText(a)+": "+a.Message)
	}
	if e.Write != nil {
		w.log = append(w.log, "    writes "+writeText(*e.Write))
	}
}

// checkAcks holds the acks against rules 2, 3, 5 and section 4: one first ack
// for what was received, one last for what was accepted.
func (w *walker) checkAcks(ev any, e Effects) error {
	acks := e.Acks
	if ev, ok := ev.(Received); ok && len(ev.Payload) > 0 {
		w.figures.commands++
		if len(acks) == 0 {
			return errors.New("a command was not acknowledged")
		}
		first := acks[0]
		acks = acks[1:]
		if err := w.checkFirst(ev, first); err != nil {
			return err
		}
	} else if ok && len(acks) > 0 && acks[0].Phase != wire.Failed {
		return errors.New("an empty payload was acknowledged")
	}
	for _, a := range acks {
		if err := w.checkFinal(a); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) checkFirst(ev Received, a wire.Ack) error {
	c := ev.Command
	if c.ID != "" && a.ID != c.ID {
		return fmt.Errorf("the first ack is for %s", a.ID)
	}
	if before, ok := w.known[c.ID]; ok && c.ID != "" && (w.open[c.ID] != nil || w.now.Sub(w.ackedAt[c.ID]) <= ids.KeptFor) {
		same := before.Command.Value() == c.Value()
		switch {
		case ev.Retained && a.Code == wire.Retained:
		case !ev.Retained && !same && a.Code == wire.Duplicate:
		case !ev.Retained && same && reflect.DeepEqual(a, w.acked[c.ID]):
			w.figures.repeated++
		default:
			return fmt.Errorf("a repeated id is answered %s", ackText(a))
		}
		return nil
	}
	off := c.Op == wire.Switch && c.Word == wire.Off
	w.known[a.ID] = ev
	w.noted(a)
	switch a.Phase {
	case wire.Rejected:
		w.figures.codes[a.Code]++
		if a.Code == wire.Busy && off {
			return errors.New("a switch off is refused for lack of room")
		}
		if a.Code == wire.CodeUnreachable && (off || c.Op == wire.Lock) { // refused, and its sender's last word all the same
			for n := range w.supply.channels {
				if c.Channel.Kind == wire.AllChannels || c.Channel.Number == n {
					w.off[n] = w.seq
				}
			}
		}
		return nil
	case wire.Accepted:
	default:
		return fmt.Errorf("the first ack is %s", ackText(a))
	}
	switch {
	case ev.Err != nil:
		return errors.New("accepted, and malformed")
	case ev.Retained:
		return errors.New("accepted, and retained")
	case !off && !c.Expires.IsZero() && w.now.After(c.Expires):
		return errors.New("accepted, and expired")
	case !w.linked:
		return errors.New("accepted while the instrument is unreachable")
	case (a.Code == wire.Dry) != c.Dry:
		return errors.New("dry and not dry are mixed up")
	case c.Dry:
		return nil
	case w.open[a.ID] != nil:
		return errors.New("accepted twice")
	}
	return w.checkAccepted(a, c)
}

func (w *walker) checkAccepted(a wire.Ack, c wire.Command) error {
	o := &walked{seq: w.seq, op: c.Op, word: c.Word, expires: c.Expires, wrote: make(map[int]int), wroteAt: make(map[int]int)}
	for n := range w.supply.channels {
		if c.Channel.Kind == wire.AllChannels || c.Channel.Number == n {
			o.channels = append(o.channels, n)
		}
	}
	w.open[a.ID] = o
	for _, n := range o.channels {
		allowed := o.isOff() || c.Op == wire.Clear || c.Op == wire.Unlock || c.Op == wire.Lock && c.Channel.Kind == wire.AllChannels
		if w.locked[n] && !allowed {
			return fmt.Errorf("accepted on channel %d, which is locked", n)
		}
		switch {
		case c.Op == wire.Lock:
			w.locked[n] = true
		case c.Op == wire.Unlock:
			delete(w.locked, n)
		case o.isOff():
			w.off[n] = w.seq
		}
	}
	return nil
}

// checkFinal holds the end of a command against what is known of it.
func (w *walker) checkFinal(a wire.Ack) error {
	c := w.open[a.ID]
	switch {
	case a.Phase == wire.Accepted || a.Phase == wire.Rejected:
		return fmt.Errorf("%s, and nothing was received", ackText(a))
	case c == nil:
		return fmt.Errorf("%s, and it has ended or was never accepted", ackText(a))
	}
	delete(w.open, a.ID)
	w.noted(a)
	w.figures.codes[a.Code]++
	switch a.Phase {
	case wire.Superseded:
		w.figures.superseded++
		by := a.Message[strings.LastIndex(a.Message, " ")+1:]
		if _, ok := w.known[by]; !ok || by == a.ID || a.Code != wire.OK {
			return fmt.Errorf("%s does not say by whom: %q", ackText(a), a.Message)
		}
		if o := w.known[by].Command; c.isOff() && len(c.channels) > 1 && o.Word == wire.Off && o.Channel.Kind != wire.AllChannels {
			return fmt.Errorf("the off of all %s is superseded by that of one channel", a.ID)
		}
	case wire.Done:
		w.figures.done++
		if len(c.wrote) == 0 && c.op == wire.SetV {
			w.figures.joined++
		}
		return w.checkDone(a, c)
	case wire.Failed:
		if a.Code == wire.OK || a.Message == "" {
			return fmt.Errorf("%s does not say why: %q", ackText(a), a.Message)
		}
	}
	return nil
}

func (w *walker) noted(a wire.Ack) {
	w.acked[a.ID], w.ackedAt[a.ID] = a, w.now
}

// checkDone holds "done" against the last reading.
func (w *walker) checkDone(a wire.Ack, c *walked) error {
	value, _ := a.Value.(float64)
	for _, n := range c.channels {
		r := w.read1[n]
		ok := true
		if strings.Contains(a.Message, "superseded by") { // of several, and some were left to others
			by := a.Message[strings.LastIndex(a.Message, " ")+1:]
			if w.known[by].Command.Op == "" {
				return fmt.Errorf("%s does not say to whom it left a channel: %q", ackText(a), a.Message)
			}
			continue
		}
		if c.wrote[n] > 0 && w.readAt[n] <= c.wroteAt[n] {
			return fmt.Errorf("%s, and channel %d has not been read since it was written", ackText(a), n)
		}
		switch {
		case c.op == wire.SetV:
			ok = math.Abs(r.VReq.V-value) <= 0.0101 && (r.On == wire.No || math.Abs(r.VMon.V-value) <= 0.5101)
		case c.op == wire.SetI:
			ok = math.Abs(r.IReq.V-value) <= 1.01e-6
		case c.op == wire.Ramp:
			ok = math.Abs(r.Ramp.V-value) <= 0.0101
		case c.isOff():
			ok = r.On == wire.No && math.Abs(r.VMon.V) <= 5.001
		case c.op == wire.Switch:
			ok = r.On == wire.Yes && math.Abs(r.VMon.V-r.VReq.V) <= 0.501
		case c.op == wire.Clear:
			ok = r.Trip == wire.No
		}
		if !ok && len(c.channels) == 1 { // of several, the others may have been seen earlier
			return fmt.Errorf("%s, and channel %d reads %+v", ackText(a), n, r)
		}
	}
	return nil
}

// checkWrite holds a write that starts against the safety rules.
func (w *walker) checkWrite(p Write) error {
	id := w.m.current.cmd.ID
	c := w.open[id]
	switch {
	case w.pending != nil:
		return errors.New("another write is under way")
	case !w.linked:
		return errors.New("there is no connection")
	case c == nil:
		return fmt.Errorf("its command %s was not accepted or has ended", id)
	case p.Op != c.op || p.Op == wire.Switch && p.On == c.isOff():
		return fmt.Errorf("its command %s is a %s %s", id, c.op, c.word)
	case !c.isOff() && slices.ContainsFunc(w.m.queue, (*task).isOff):
		return errors.New("a switch off waits")
	case c.lost && !c.isOff(): // an off goes on with the channels that were not begun
		return fmt.Errorf("the outcome of %s was unknown: it is repeated", id)
	case !c.isOff() && len(c.wrote) == 0 && !c.expires.IsZero() && w.now.After(c.expires):
		return fmt.Errorf("%s has expired", id)
	}
	channels := []int{p.Channel.Number}
	if p.Channel.Kind == wire.AllChannels {
		channels = c.channels
	}
	for _, n := range channels {
		if err := w.checkChannel(p, c, n); err != nil {
			return fmt.Errorf("channel %d, command %s: %w", n, id, err)
		}
	}
	return nil
}

func (w *walker) checkChannel(p Write, c *walked, n int) error {
	place := fmt.Sprint(p.Op, p.On, n)
	c.wrote[n]++
	c.wroteAt[n] = w.figures.events
	switch {
	case c.wrote[n] > 1:
		return errors.New("it is written twice")
	case c.isOff() && c.seq < w.offDone[n]:
		return errors.New("a later off is written already")
	case !c.isOff() && c.seq < w.off[n]:
		return errors.New("it was received before an off")
	case w.locked[n] && !c.isOff() && p.Op != wire.Clear:
		return errors.New("it is locked")
	case c.seq < w.lastByOp[place]:
		return errors.New("out of order")
	}
	w.lastByOp[place] = c.seq
	if c.isOff() {
		w.offDone[n] = c.seq
		return nil
	}
	if !w.fresh[n] {
		return errors.New("it has not been read since the connection was made")
	}
	return w.checkRange(p, n)
}

func (w *walker) checkRange(p Write, n int) error {
	r := w.read1[n]
	lo, hi := 0.0, 1000.0
	if r.Max.Valid {
		hi = min(hi, r.Max.V)
	}
	if l, ok := w.limits[n]; ok {
		lo, hi = max(lo, l.Min), min(hi, l.Max)
	}
	x := p.Value
	switch {
	case p.Op == wire.SetI:
		lo, hi = 0, 0.01
	case p.Op == wire.Ramp:
		lo, hi = 1, 100
	case p.Op == wire.Clear:
		return nil
	case p.Op == wire.Switch:
		x = r.VReq.V
		if v, ok := w.written[n]; ok {
			x = v.V
		}
		lo, hi = lo-0.0101, hi+0.0101
		if r.Trip == wire.Yes || r.Interlock == wire.Yes {
			return errors.New("it is tripped or its interlock is open")
		}
	}
	if x < lo || x > hi {
		return fmt.Errorf("%g is outside %g to %g", x, lo, hi)
	}
	return nil
}

// checkState holds against the rules what the machine keeps.
func (w *walker) checkState(ev any, e Effects) error {
	offs := 0
	for _, t := range w.m.queue {
		if t.isOff() {
			offs++
			continue
		}
		for _, n := range t.channels {
			if w.locked[n] && t.lockable() {
				return fmt.Errorf("%s waits on channel %d, which is locked", t.name(), n)
			}
		}
	}
	switch n := w.m.waiting() - offs; {
	case n > MaxWaiting:
		return fmt.Errorf("%d commands wait", n)
	case n == MaxWaiting:
		w.figures.busy++
	}
	if offs > len(w.supply.channels)+1 {
		return fmt.Errorf("%d offs wait", offs)
	}
	if len(w.m.awaiting) > 40 {
		return fmt.Errorf("%d commands are awaited", len(w.m.awaiting))
	}
	for n := range w.supply.channels {
		if _, is := w.m.Locks()[n]; is != w.locked[n] {
			return fmt.Errorf("the lock of channel %d is %v", n, is)
		}
	}
	if _, fresh := w.m.Status(); fresh != (w.linked && len(w.fresh) == len(w.supply.channels)) {
		return fmt.Errorf("a status is given: %v, linked: %v, read: %v", fresh, w.linked, w.fresh)
	}
	if r, ok := ev.(Received); ok && e.Status && r.Command.Op != wire.Lock && r.Command.Op != wire.Unlock {
		return errors.New("a command that has changed nothing yet asks for a status")
	}
	return nil
}
