package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"trackerdcs/pkg/ids"
	"trackerdcs/pkg/wire"
)

// TestWalk lets chance choose what happens to run control and all that it
// meets. DCS_WALKS is how many walks.
func TestWalk(t *testing.T) {
	walks := 150
	if testing.Short() {
		walks = 50
	}
	if n, err := strconv.Atoi(os.Getenv("DCS_WALKS")); err == nil {
		walks = n
	}
	sum := make(map[string]int)
	for seed := range uint64(walks) {
		k := newWalker(seed)
		if err := k.walk(250); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(k.log[max(0, len(k.log)-60):], "\n"))
		}
		for name, n := range k.figures {
			sum[name] += n
		}
	}
	t.Logf("%d walks: %v", walks, sum)
	for _, name := range []string{
		wire.RunFinished, wire.RunFailed, wire.RunAborted, wire.RunInterrupted, "restarts", "lost disks", "repeats",
		"rejected BUSY", "switched on", "taken down", "rejected UNREACHABLE", "rejected HARDWARE", "results missing",
	} {
		if sum[name] == 0 && walks >= 50 {
			t.Errorf("the walks never came to %s", name)
		}
	}
}

// walker holds the machine against what must be so whatever happens.
type walker struct {
	*world
	r       *rand.Rand
	err     error
	log     []string
	figures map[string]int

	n       int                 // ids made
	sent    map[string]int      // starts and aborts by id: under which start of run control
	open    map[string]wire.Ack // accepted, without an end
	last    map[string]wire.Ack // acks that were final
	runs    map[int64]string    // uid by number, as accepted
	highest int64
	aborted map[int64]bool // somebody asked for its end
	hurt    map[int64]bool // something died or fell silent in it
	bereft  map[int64]bool // the disk was lost in it

	sentOrders map[string]bool // by id
	bootOf     map[string]int  // of the supply that a channel was switched on by, by id
}

func newWalker(seed uint64) *walker {
	k := &walker{
		world: newWorld(), r: rand.New(rand.NewPCG(seed, 5)), figures: make(map[string]int),
		sent: make(map[string]int), open: make(map[string]wire.Ack), last: make(map[string]wire.Ack), runs: make(map[int64]string),
		aborted: make(map[int64]bool), hurt: make(map[int64]bool), bereft: make(map[int64]bool),
		sentOrders: make(map[string]bool), bootOf: make(map[string]int),
	}
	k.check = k.inspect
	return k
}

func (k *walker) fail(format string, a ...any) {
	if k.err == nil {
		k.err = fmt.Errorf(format, a...)
	}
}

// inspect looks at what an event brought about, before the world hears of it.
func (k *walker) inspect(event any, e Effects) {
	if _, tick := event.(Tick); !tick || len(e.Out) > 0 || e.Save != nil {
		k.log = append(k.log, fmt.Sprintf("%v %s", k.now.Sub(epoch).Round(time.Millisecond), brief(event)))
	}
	for _, out := range e.Out {
		k.log = append(k.log, "    -> "+brief(out))
		switch o := out.(type) {
		case Answer:
			k.answered(o.Ack)
		case Order:
			if k.noDisk || k.disk.Life == nil || !strings.HasPrefix(o.Command.ID, "run"+k.disk.Life.Run.UID+"-") || k.disk.Life.Step == stepEnded {
				k.fail("%s is commanded for a run that is not on disk", o.Command.ID)
			}
			k.ordered(&o.Command)
		case OrderRun:
			if c := o.Command; c.Op == wire.Start && !c.Dry && (k.noDisk || k.disk.Life == nil || k.disk.Life.Run.UID != c.UID || k.disk.Life.Step != stepAsking) {
				k.fail("run %d is started, which is not on disk", c.Run)
			}
		case SayState:
			k.stated(&o.Run)
		case SayRecord:
			if wire.RunEnded(o.Run.State) {
				k.figures[o.Run.State]++
				k.endedAs(&o.Run)
				k.tookDown(&o.Run)
			}
		}
	}
	if l := k.m.book.Life; l != nil {
		at := wire.RunIdle
		for _, t := range l.Run.Transitions {
			if t.From != at {
				k.fail("run %d goes from %s, and was %s", l.Run.Run, t.From, at)
			}
			at = t.To
		}
		if at != l.Run.State {
			k.fail("run %d is %s, and its last transition leads to %s", l.Run.Run, l.Run.State, at)
		}
	}
	for n, times := range k.driver.started {
		if times > 1 {
			k.fail("run %d was executed %d times", n, times)
		}
	}
	for _, s := range k.invalid {
		k.fail("%s", s)
	}
}

// ordered looks at a command to the supply: one that is known to nobody but a
// supply that has ended is not sent to the next.
func (k *walker) ordered(c *wire.Command) {
	k.sentOrders[c.ID] = true
	if c.Op != wire.Switch || c.Word != wire.On || !k.connected || k.hv.state != wire.Ready || k.hv.mute {
		return
	}
	k.figures["switched on"]++
	if old, has := k.bootOf[c.ID]; has && old != k.hv.boot && !k.bereft[k.m.book.Life.Run.Run] {
		k.fail("%s: %s %s goes to the supply %d and before to %d", c.ID, c.Op, c.Word, k.hv.boot, old)
	}
	k.bootOf[c.ID] = k.hv.boot
}

// tookDown looks whether all that a run needed at its end was tried.
func (k *walker) tookDown(r *wire.Run) {
	for i, s := range r.Configurations[transEnd].Setpoints {
		text := fmt.Sprintf("%s/%v %s %v", s.Device, s.Channel, s.Op, s.Value)
		if id := fmt.Sprintf("run%s-%d", r.UID, 2*maxSetpoints+i+1); !k.sentOrders[id] && !strings.Contains(r.Error, text) {
			k.fail("run %d ended without %s, and says %q", r.Run, text, r.Error)
		}
		k.figures["taken down"]++
	}
}

func brief(v any) string {
	b, err := json.Marshal(v)
	return fmt.Sprintf("%T %.400s %v", v, b, err)
}

func (k *walker) answered(a wire.Ack) {
	if a.Phase == wire.Rejected {
		k.figures["rejected "+string(a.Code)]++
	}
	if old, ended := k.last[a.ID]; ended {
		switch {
		case reflect.DeepEqual(old, a):
			k.figures["repeats"]++
		case a.Code != wire.Duplicate:
			k.fail("id %s is answered %s %s after its last ack, %s %s", a.ID, a.Phase, a.Code, old.Phase, old.Code)
		}
		return
	}
	first, accepted := k.open[a.ID]
	switch {
	case a.Final() && a.Phase != wire.Rejected && !accepted && k.sent[a.ID] == k.boots && a.Code != wire.Dry:
		k.fail("id %s is %s and was not accepted", a.ID, a.Phase)
	case a.Final() && a.Phase == wire.Rejected && accepted && a.Code != wire.Duplicate:
		k.fail("id %s is rejected and was accepted", a.ID)
	case a.Final():
		delete(k.open, a.ID)
		k.last[a.ID] = a
	case accepted && !reflect.DeepEqual(first, a):
		k.fail("id %s is accepted twice", a.ID)
	case !accepted:
		k.open[a.ID] = a
		if a.Op == wire.Abort {
			k.aborted[a.Run] = true
			return
		}
		if a.Run <= k.highest {
			k.fail("number %d comes after %d", a.Run, k.highest)
		}
		k.highest = a.Run
		if k.noDisk || k.disk.Highest < a.Run {
			k.fail("number %d is given and not on disk", a.Run)
		}
	}
}

// stated looks at what is said on the retained topic.
func (k *walker) stated(r *wire.Run) {
	if r.State == wire.RunIdle {
		return
	}
	d := k.disk.Life
	if k.noDisk || d == nil || d.Run.UID != r.UID || len(d.Run.Transitions) < len(r.Transitions) {
		k.fail("run %d is said to be %s, and that is not on disk", r.Run, r.State)
	}
}

// endedAs looks whether the end of a run is the truth.
func (k *walker) endedAs(r *wire.Run) {
	truth := k.truth[r.UID]
	if r.Results == wire.ResultsMissing {
		k.figures["results missing"]++
	}
	switch r.State {
	case wire.RunFinished:
		if truth != wire.RunFinished {
			k.fail("run %d is finished, and its program %q", r.Run, truth)
		}
		if r.Results != wire.ResultsReceived && !k.aborted[r.Run] && !k.hurt[r.Run] {
			k.fail("run %d is finished, and its results are %s", r.Run, r.Results)
		}
	case wire.RunAborted:
		if !k.aborted[r.Run] && truth != wire.RunAborted {
			k.fail("run %d is aborted, and nobody asked for it", r.Run)
		}
	case wire.RunInterrupted:
		if !k.hurt[r.Run] {
			k.fail("run %d is interrupted, and nothing died in it: %s", r.Run, r.Error)
		}
	case wire.RunFailed:
		if r.Error == "" {
			k.fail("run %d failed, and does not say why", r.Run)
		}
	}
	if !wire.RunEnded(r.State) || r.End.Before(r.Start) {
		k.fail("run %d ended at %v and started at %v", r.Run, r.End, r.Start)
	}
}

func (k *walker) hurts() {
	if k.m.book.Life != nil {
		k.hurt[k.m.book.Life.Run.Run] = true
	}
	k.hurt[k.highest+1] = true // it may be on its way to its number
}

func (k *walker) walk(steps int) error {
	defer func() {
		if r := recover(); r != nil {
			k.fail("panic: %v", r)
			panic(fmt.Sprintf("%v\n%s", r, strings.Join(k.log[max(0, len(k.log)-40):], "\n")))
		}
	}()
	k.settle()
	for range steps {
		k.chance()
		if k.err != nil {
			return k.err
		}
	}
	return k.heal()
}

// chance lets something happen.
func (k *walker) chance() {
	switch p := k.r.IntN(100); {
	case p < 25:
		k.wait(time.Duration(k.r.IntN(3000)) * time.Millisecond)
	case p < 30:
		k.wait(time.Duration(k.r.IntN(60)) * time.Second)
	case p < 50 && !k.connected:
		k.connect()
	case p < 45:
		k.sendStart()
	case p < 50:
		k.n++
		k.sent[fmt.Sprint("b", k.n)] = k.boots
		k.abort(fmt.Sprint("b", k.n))
	case p < 60:
		k.programEnds([]string{wire.RunFinished, wire.RunFinished, wire.RunFailed, wire.RunAborted}[k.r.IntN(4)])
	case p < 64:
		if k.driver.state == wire.Ready {
			k.hurts()
			k.killDriver()
		} else {
			k.startDriver(chance(k.r, 70))
		}
	case p < 66:
		k.driver.mute = !k.driver.mute && chance(k.r, 50)
		k.hurts()
	case p < 68:
		k.driver.stuck = !k.driver.stuck
		k.hurts()
	case p < 71:
		k.sinkTurns()
	case p < 74:
		k.sink.slow = !k.sink.slow
	case p < 77:
		if k.driver.report != nil {
			k.resultsArrive(k.driver.report.UID)
		}
	case p < 82:
		k.hvTurns()
	case p < 88:
		if k.connected {
			k.disconnect()
			k.hurts() // what it says meanwhile is not heard
		} else {
			k.connect()
		}
	case p < 91:
		k.figures["restarts"]++
		k.hurts()
		k.restart()
		k.connect()
	case p < 93:
		k.diskTurns()
	case p < 96:
		k.manual = !k.manual
		k.finishSave()
	default:
		k.deliver()
	}
	if k.manual && chance(k.r, 40) {
		k.finishSave()
	}
	if chance(k.r, 10) { // what is broken is mended, or nothing would ever run
		k.diskFull, k.driver.mute, k.hv.mute, k.hv.refuse = false, false, false, ""
		if k.driver.state != wire.Ready {
			k.startDriver(chance(k.r, 70))
		}
		if k.sink.state != wire.Ready {
			k.sinkTurns()
		}
		if k.hv.state != wire.Ready {
			k.hv.state = wire.Ready
			k.say(k.hvState())
		}
	}
	if chance(k.r, 50) {
		k.deliver()
	}
}

func (k *walker) sendStart() {
	k.n++
	cfgs := make(map[string]wire.ConfigurationOrName)
	for _, t := range []string{"run", "finish", "end"} {
		if chance(k.r, 30) {
			c := setpoints(float64(k.r.IntN(100)))
			cfgs[t] = wire.ConfigurationOrName{Inline: &c}
		}
	}
	id := fmt.Sprint("a", k.n)
	k.sent[id] = k.boots
	k.start(id, cfgs)
	if chance(k.r, 20) {
		k.start(id, cfgs)
	}
}

func (k *walker) sinkTurns() {
	if k.sink.state == wire.Ready {
		k.sink.state = wire.Lost
		k.say(k.sinkState())
		return
	}
	k.sink.boot++
	k.sink.state = wire.Ready
	k.say(k.sinkState())
	k.say(k.keeps())
}

func (k *walker) hvTurns() {
	switch k.r.IntN(5) {
	case 0:
		k.hv.refuse = [...]wire.Code{"", "", wire.Locked, wire.Tripped}[k.r.IntN(4)]
	case 1:
		k.hv.mute = !k.hv.mute
	case 2:
		k.hv.slow = !k.hv.slow
	case 3:
		k.hv.state = [...]string{wire.Ready, wire.Ready, wire.Lost, wire.Unreachable}[k.r.IntN(4)]
		if k.deliver(); chance(k.r, 30) {
			k.hv.boot++
			k.hv.ids = ids.New()
		}
		k.say(k.hvState())
		k.deliver() // what is sent before it is heard cannot be helped
	case 4:
		k.hvFinishes(wire.Done, wire.OK)
	}
}

// diskTurns fills the disk, or loses it when the bus or the sink know all that
// was on it.
func (k *walker) diskTurns() {
	if chance(k.r, 60) {
		k.diskFull = !k.diskFull
		return
	}
	known := k.sink.highest
	if k.state != nil {
		known = max(known, k.state.Run)
	}
	if k.connected && known >= k.m.book.Highest && len(k.kept) == 0 && len(k.open) == 0 {
		k.figures["lost disks"]++
		k.hurts()
		if k.m.book.Life != nil {
			k.bereft[k.m.book.Life.Run.Run] = true
		}
		k.loseDisk()
		k.saving = nil
		k.restart()
		k.connect()
	}
}

// heal mends all that is broken; then every run has to end and everything has
// to be said.
func (k *walker) heal() error {
	k.manual, k.diskFull = false, false
	k.finishSave()
	k.deliver()
	k.hv = supplySim{boot: k.hv.boot + 1, state: wire.Ready, ids: ids.New()}
	k.driver.mute, k.driver.stuck, k.sink.slow = false, false, false
	if !k.connected {
		k.connect()
	}
	k.say(k.hvState())
	k.deliver()
	if k.driver.state != wire.Ready {
		k.startDriver(true)
	}
	if k.sink.state != wire.Ready {
		k.sinkTurns()
	}
	k.wait(time.Minute)
	k.programEnds(wire.RunFinished)
	if k.driver.report != nil {
		k.resultsArrive(k.driver.report.UID)
	}
	k.wait(time.Minute)
	if k.err == nil && k.m.life() != nil && k.m.life().Step == stepDelivering {
		k.abort("last") // its results may never come
	}
	k.wait(15 * time.Second)
	if k.err != nil {
		return k.err
	}
	l := k.m.book.Life
	switch {
	case l != nil && l.Step != stepEnded:
		return fmt.Errorf("run %d did not end: %s, %s, %q", l.Run.Run, l.Run.State, l.Step, l.Run.Error)
	case len(k.open) > 0:
		return fmt.Errorf("without a last ack: %v", k.open)
	case len(k.kept) > 0 || len(k.m.unconfirmed) > 0:
		return fmt.Errorf("the sink has not confirmed %v, %v", k.kept, k.m.unconfirmed)
	case l != nil && (k.state.Run != l.Run.Run || k.state.State != l.Run.State || k.state.Error != l.Run.Error):
		return fmt.Errorf("the bus has %+v, and it is %+v", *k.state, l.Run)
	case l != nil && (k.disk.Life == nil || k.disk.Life.Run.State != l.Run.State):
		return fmt.Errorf("the disk is behind")
	case k.driver.program && k.driver.report.Run <= k.highest:
		return fmt.Errorf("the driver still executes run %d", k.driver.report.Run)
	}
	for id, boots := range k.sent {
		if _, answered := k.last[id]; !answered && boots == k.boots {
			return fmt.Errorf("%s was never answered", id)
		}
	}
	for n, r := range k.sink.records {
		if !wire.RunEnded(r.State) {
			return fmt.Errorf("the sink has run %d as %s", n, r.State)
		}
	}
	return nil
}
