package psu

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"trackerdcs/pkg/wire"
)

// walkStep is how many bytes drive one event of a walk.
const walkStep = 6

// TestWalk lets chance choose the events. DCS_WALKS is how many walks.
func TestWalk(t *testing.T) {
	walks := 250
	if testing.Short() {
		walks = 50
	}
	if n, err := strconv.Atoi(os.Getenv("DCS_WALKS")); err == nil {
		walks = n
	}
	var sum walkFigures
	for seed := range uint64(walks) {
		data := walkBytes(seed, 600)
		w := newWalker(data[0])
		if err := w.run(data); err != nil {
			t.Fatalf("seed %d: %s", seed, shorten(data))
		}
		sum.add(w.figures)
	}
	t.Logf("%d walks: %v", walks, sum)
	for name, n := range map[string]int{
		"busy": sum.busy, "lost": sum.lost, "joined": sum.joined, "repeated": sum.repeated,
		"locked": sum.codes[wire.Locked], "superseded": sum.superseded, "timeouts": sum.codes[wire.Timeout],
		"tripped": sum.codes[wire.Tripped], "refused": sum.codes[wire.Hardware],
	} {
		if n == 0 && walks >= 50 {
			t.Errorf("the walks never came to %s", name)
		}
	}
}

// FuzzMachine lets the fuzzer choose them.
func FuzzMachine(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(walkBytes(seed, 60))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 2000*walkStep {
			return
		}
		if err := newWalker(data[0]).run(data); err != nil {
			t.Fatal(shorten(data))
		}
	})
}

func walkBytes(seed uint64, steps int) []byte {
	r := rand.New(rand.NewPCG(seed, 17))
	data := make([]byte, 0, 1+steps*walkStep)
	data = append(data, byte(r.Uint64()))
	for len(data) < cap(data) {
		data = append(data, byte(r.Uint64()))
	}
	return data
}

// shorten leaves out what a failing walk does not need and tells the rest.
func shorten(data []byte) string {
	steps := slices.Collect(slices.Chunk(data[1:], walkStep))
	join := func(steps [][]byte) []byte { return append([]byte{data[0]}, slices.Concat(steps...)...) }
	fails := func(steps [][]byte) bool {
		d := join(steps)
		return newWalker(d[0]).run(d) != nil
	}
	tries := 0
	for size := len(steps) / 2; size > 0; size /= 2 {
		for at := 0; at+size <= len(steps) && tries < 2000; tries++ {
			if fewer := slices.Concat(steps[:at], steps[at+size:]); fails(fewer) {
				steps = fewer
			} else {
				at += size
			}
		}
	}
	d := join(steps)
	w := newWalker(d[0])
	w.tell = true
	err := w.run(d)
	log := w.log
	if len(log) > 120 {
		log = append([]string{"…"}, log[len(log)-120:]...)
	}
	return fmt.Sprintf("%v\n  %s", err, strings.Join(log, "\n  "))
}

// run walks, lets time run out and reports the first thing that is not as it
// has to be.
func (w *walker) run(data []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if err := w.start(); err != nil {
		return err
	}
	for chunk := range slices.Chunk(data[1:], walkStep) {
		var b [walkStep]byte
		copy(b[:], chunk)
		if err := w.chance(b); err != nil {
			return err
		}
	}
	return w.end()
}

// start opens and reads an instrument in whatever state it is: nothing may be
// written.
func (w *walker) start() error {
	if w.mode&1 != 0 {
		w.supply.channels[0].On, w.supply.channels[0].VReq = wire.Yes, wire.Known(5000)
		w.supply.trip(1)
	}
	for _, ev := range []any{Tick{}, w.supply.opened(), w.supply.read(), Tick{}} {
		if err := w.event(ev); err != nil {
			return err
		}
		if w.pending != nil {
			return fmt.Errorf("a start wrote %s", writeText(*w.pending))
		}
	}
	return nil
}

// chance makes one event out of some bytes.
func (w *walker) chance(b [walkStep]byte) error {
	n := int(b[1]) % 3
	c := &w.supply.channels[n]
	switch k := b[0] % 64; {
	case k > 36 && !w.linked && w.pending == nil:
		if err := w.event(w.supply.opened()); err != nil || b[2]&1 == 0 {
			return err
		}
		return w.read()
	case k < 26 || k == 27:
		return w.command(b)
	case k == 26: // a burst
		for i := range int(b[3]) / 2 {
			if err := w.command([walkStep]byte{0, b[1] + byte(i%2), 2, 200, byte(i), b[5] &^ 3}); err != nil {
				return err
			}
		}
		return nil
	case k < 44 && w.pending != nil:
		return w.endWrite(b)
	case k < 48:
		return w.pass(time.Duration(b[2])*40*time.Millisecond, true)
	case k < 49:
		return w.pass(time.Duration(b[2])*time.Second, b[3]&1 == 0)
	case k < 50:
		return w.pass(time.Duration(b[2])*5*time.Second, true)
	case k < 52:
		return w.event(Tick{})
	case k < 54:
		return w.event(Saved{[]error{nil, nil, nil, errors.New("disk full")}[b[2]%4]})
	case k < 55:
		return w.event(Broken{})
	case k < 56:
		return w.event([]any{Broken{}, Gone{}}[b[2]&1])
	case k < 58:
		return w.event(w.supply.read()) // be it while a write is under way, or after the connection was lost
	case k == 58:
		w.note("trip %d", n)
		w.supply.trip(n)
	case k == 59:
		w.note("interlock %d", n)
		if w.supply.openInterlock(n); b[2]&3 != 0 {
			c.Interlock = wire.No
		}
	case k == 60:
		c.VReq = wire.Known(float64(b[2]) * 5)
		w.note("knob %d %g", n, c.VReq.V)
	case k == 61:
		c.Max = wire.Known(float64(b[2]) * 5)
		w.note("max %d %g", n, c.Max.V)
	case k == 62:
		w.supply.deaf = b[2]&7 == 0
		w.supply.late = b[2]&7 == 1
		w.note("deaf %v, late %v", w.supply.deaf, w.supply.late)
	default:
		if w.supply.load = map[int]float64{}; b[2]&1 == 0 {
			w.supply.load[n] = float64(b[3])
		}
		w.note("load %v", w.supply.load)
	}
	return nil
}

// pass lets time pass.
func (w *walker) pass(d time.Duration, read bool) error {
	w.now = w.now.Add(d)
	w.supply.step(d)
	w.note("%v later", d)
	if read && w.linked {
		return w.read()
	}
	return w.event(Tick{})
}

// read reads all channels, or one by one.
func (w *walker) read() error {
	if w.mode&2 == 0 {
		return w.event(w.supply.read())
	}
	for _, r := range w.supply.channels {
		if err := w.event(Read{[]Reading{r}}); err != nil {
			return err
		}
	}
	return nil
}

// endWrite ends the write under way in one of the ways there are.
func (w *walker) endWrite(b [walkStep]byte) error {
	p := *w.pending
	w.pending = nil
	executed, err := true, error(nil)
	switch k := b[2] % 16; {
	case k == 0:
		executed, err = false, Refused("no")
	case k <= 2 || !w.linked && k < 12:
		executed, err = b[3]&1 == 0, errLost
	}
	if executed {
		w.supply.write(p)
	}
	if err == nil && p.Op == wire.SetV {
		w.written[p.Channel.Number] = wire.Known(p.Value)
	}
	return w.event(Written{err})
}

var walkBad = []string{"", "nan", "0x10", "on", `{"value":"1"}`, `{"value":5,"dri":1}`, `{"value":5`, `{}`, "1e999", "\xff"}

// command makes a command.
func (w *walker) command(b [walkStep]byte) error {
	ops := []string{wire.SetV, wire.SetV, wire.SetI, wire.Switch, wire.Ramp, wire.Clear, wire.Lock, wire.Unlock}
	op := ops[b[2]%8]
	channel := strconv.Itoa(int(b[1]) % 3)
	switch {
	case op == wire.Lock && b[3]&7 != 0: // locks are rare, or nothing else happens
		op = wire.Unlock
	case op == wire.Ramp && w.common && b[3]&7 != 0:
		channel = "all"
	case b[1]%16 == 15 || op == wire.Unlock && b[1]&1 == 0:
		channel = "all"
	case b[1] == 7:
		channel = []string{"3", "x", "", "0/1"}[b[3]%4]
	}
	if b[1] == 77 {
		op = "boil"
	}
	payload := ""
	switch f := b[5]; {
	case f == 255:
		payload = walkBad[b[3]%byte(len(walkBad))]
	case f&3 == 3 && w.last.Payload != nil: // what was sent before, once more
		ev := w.last
		if f&4 == 0 {
			ev.Command.Number++
		}
		ev.Retained = f&0xf8 == 0x10
		return w.event(ev)
	default:
		payload = w.envelope(op, b)
	}
	ev := received(op+"/"+channel, payload, b[5]&0xf8 == 0x10)
	if ev.Err == nil && ev.Command.ID != "" {
		w.last = ev
	}
	return w.event(ev)
}

func (w *walker) envelope(op string, b [walkStep]byte) string {
	var fields []string
	switch op {
	case wire.SetV:
		v := float64(b[4]%4) * 20
		if b[4] >= 224 {
			v = float64(b[3])*8 - 100
		}
		fields = append(fields, fmt.Sprintf(`"value":%g`, v))
	case wire.SetI:
		fields = append(fields, fmt.Sprintf(`"value":%g`, float64(b[4]%12)*0.001-0.0005))
	case wire.Ramp:
		fields = append(fields, fmt.Sprintf(`"value":%d`, int(b[4])%105))
	case wire.Switch:
		fields = append(fields, fmt.Sprintf(`"value":%q`, []string{"on", "on", "off"}[b[4]%3]))
	case wire.Lock:
		fields = append(fields, `"reason":"work"`)
	}
	if b[5]&0x40 == 0 {
		w.ids++
		fields = append(fields, fmt.Sprintf(`"id":"n%d"`, w.ids))
	}
	switch b[5] & 0x30 {
	case 0x20:
		d := time.Duration(int(b[3])-20) * 100 * time.Millisecond
		fields = append(fields, fmt.Sprintf(`"expires":%q`, w.now.Add(d).Format(time.RFC3339Nano)))
	case 0x30:
		if b[3]&1 == 0 {
			fields = append(fields, `"dry":1`)
		}
	}
	return "{" + strings.Join(fields, ",") + "}"
}

// end brings everything back, or nothing, and lets time run out: no command may
// be left without its end.
func (w *walker) end() error {
	w.note("the end")
	back := w.mode&4 == 0
	for i := 0; w.pending != nil || back && len(w.fresh) < len(w.supply.channels); i++ {
		var err error
		switch {
		case w.pending != nil:
			err = w.endWrite([walkStep]byte{2: 15})
		case w.linked:
			err = w.read()
		default:
			err = w.event(w.supply.opened())
		}
		if err != nil {
			return err
		}
		if i > 1000 {
			return errors.New("the writes have no end")
		}
	}
	w.supply.deaf, w.supply.late = false, false
	if !back {
		if err := w.event(Gone{}); err != nil {
			return err
		}
	}
	for range 2 { // the one under way, and what came meanwhile
		if err := w.event(Saved{}); err != nil {
			return err
		}
	}
	for range 60 {
		if err := w.pass(5*time.Minute, true); err != nil {
			return err
		}
		if back && w.pending != nil {
			return fmt.Errorf("a write comes after the end")
		}
	}
	for id, c := range w.open {
		return fmt.Errorf("%s %s has no final ack", c.op, id)
	}
	if w.m.Busy() || w.m.waiting() > 0 || len(w.m.saving)+len(w.m.kept) > 0 {
		return errors.New("the machine is busy with nothing")
	}
	return nil
}
