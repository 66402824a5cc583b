package psu

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

// A scene is a play for a machine and a supply, in steps parted by semicolons,
// and what must come of it. A step is a command or an event:
//
//	a: setv/0 100     a command with the id a, its value; "a: setv/0 100 dry=1 in=5s user=x"
//	setv/0 100        the payload as it stands, with no envelope around it
//	retained setv/0 1 the same with the retained flag
//	hold, go          a write stays under way from now on; it ends well, and nothing is held from now on
//	refuse, lose      the write held is refused; the connection is lost and nothing was executed
//	lose done         the connection is lost after it was executed
//	break, gone, open connection lost, instrument away, and back without a reading
//	read              it is read
//	back              open and read
//	wait 10s          time passes, read every half second
//	sleep 10s         time passes, nothing is read
//	trip 0            and interlock 0, off 0 (by hand), knob 0 50 (VReq), max 0 50 (its own limit), speed 0 5, load 0 50
//	next              the write held ends well, the one after it is held too
//	blind             what is asked to be read at once waits for the next read
//	deaf, late        writes are taken without effect; VReq does not read back
//	saved, unsaved    the locks are on disk, or cannot be kept; until then they wait
//
// Acks are written "a accepted", "a rejected LOCKED", "b failed OUT_OF_RANGE
// closest=10"; writes "setv/0 100".
type scene struct {
	name, do, acks, writes string

	says    string             // somewhere in the last ack's message
	machine func(*Config)      // the configuration
	supply  func(*supply)      // the instrument
	also    func(*stage) error // more that must be so at the end
}

func (s scene) play(t *testing.T) *stage {
	t.Helper()
	g := newStage(s.machine, s.supply)
	for step := range strings.SplitSeq(s.do, ";") {
		require.NoError(t, g.step(strings.TrimSpace(step)), "step %q", step)
	}
	assert.Equal(t, list(s.acks), g.ackTexts(), "acks\n%s", g)
	assert.Equal(t, list(s.writes), g.writes, "writes\n%s", g)
	if s.says != "" && assert.NotEmpty(t, g.acks) {
		assert.Contains(t, g.acks[len(g.acks)-1].Message, s.says)
	}
	if s.also != nil {
		assert.NoError(t, s.also(g), "%s", g)
	}
	return g
}

func play(t *testing.T, scenes []scene) {
	t.Helper()
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) { s.play(t) })
	}
}

func list(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ";") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// stage is a machine, its supply and all that came of the events so far.
type stage struct {
	m      *Machine
	supply *supply
	now    time.Time

	acks     []wire.Ack
	writes   []string
	statuses int
	saves    int

	hold    bool
	blind   bool // a status asked for is not read at once
	pending *Write
	linked  bool
	log     []string
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// newStage is a machine that has opened and read its supply.
func newStage(machine func(*Config), change func(*supply)) *stage {
	cfg := Config{Boot: "b00"}
	if machine != nil {
		machine(&cfg)
	}
	g := &stage{m: NewMachine(cfg), supply: newSupply(), now: noon}
	if change != nil {
		change(g.supply)
	}
	g.handle(g.supply.opened())
	g.linked = true
	g.handle(g.supply.read())
	g.statuses = 0
	return g
}

func (g *stage) String() string { return "what happened:\n  " + strings.Join(g.log, "\n  ") }

func (g *stage) ackTexts() []string {
	var out []string
	for _, a := range g.acks {
		out = append(out, ackText(a))
	}
	return out
}

func ackText(a wire.Ack) string {
	s := a.ID + " " + a.Phase
	if a.Code != wire.OK {
		s += " " + string(a.Code)
	}
	if a.Closest.Valid {
		s += " closest=" + a.Closest.String()
	}
	return s
}

func writeText(w Write) string {
	s := w.Op + "/" + w.Channel.String()
	switch {
	case w.Op == wire.Switch && w.On:
		return s + " on"
	case w.Op == wire.Switch:
		return s + " off"
	case w.Op == wire.Clear:
		return s
	}
	return s + " " + strconv.FormatFloat(w.Value, 'g', -1, 64)
}

// handle gives an event to the machine and does what comes of it.
func (g *stage) handle(event any) {
	g.log = append(g.log, fmt.Sprintf("%s %T", g.now.Format("15:04:05.0"), event))
	status := false
	for event != nil {
		e := g.m.Handle(g.now, event)
		event = nil
		for _, a := range e.Acks {
			g.log = append(g.log, "    "+ackText(a)+" "+a.Message)
		}
		g.acks = append(g.acks, e.Acks...)
		if e.Status {
			g.statuses++
			status = true
		}
		if e.Save {
			g.saves++
		}
		if e.Write == nil {
			continue
		}
		g.log = append(g.log, "    writes "+writeText(*e.Write))
		g.writes = append(g.writes, writeText(*e.Write))
		if g.pending != nil {
			panic("a second write while one is under way\n" + g.String())
		}
		if g.hold {
			g.pending = e.Write
			continue
		}
		g.supply.write(*e.Write)
		event = Written{}
	}
	if status && g.linked && g.pending == nil && !g.blind {
		g.handle(g.supply.read())
	}
}

// done ends the write under way.
func (g *stage) done(execute bool, err error) error {
	if g.pending == nil {
		return errors.New("no write is under way")
	}
	if execute {
		g.supply.write(*g.pending)
	}
	g.pending = nil
	g.handle(Written{err})
	return nil
}

var errLost = errors.New("connection reset by peer")

func (g *stage) step(s string) error {
	verb, rest, _ := strings.Cut(s, " ")
	switch verb {
	case "":
		return nil
	case "hold":
		g.hold = true
	case "go":
		g.hold = false
		return g.done(true, nil)
	case "next":
		return g.done(true, nil)
	case "refuse":
		return g.done(false, Refused("no"))
	case "lose":
		g.hold, g.linked = false, false
		return g.done(rest == "done", errLost)
	case "break":
		g.linked = false
		g.handle(Broken{})
	case "gone":
		g.linked = false
		g.handle(Gone{})
	case "open", "back":
		g.linked = true
		g.handle(g.supply.opened())
		if verb == "back" {
			g.handle(g.supply.read())
		}
	case "read":
		g.handle(g.supply.read())
	case "saved":
		g.handle(Saved{})
	case "unsaved":
		g.handle(Saved{errors.New("disk full")})
	case "wait", "sleep":
		return g.wait(rest, verb == "wait")
	case "blind":
		g.blind = true
	case "deaf":
		g.supply.deaf = true
	case "late":
		g.supply.late = true
	case "trip", "interlock", "off", "knob", "max", "speed", "load":
		return g.turn(verb, rest)
	default:
		return g.send(s)
	}
	return nil
}

func (g *stage) wait(text string, read bool) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	for end := g.now.Add(d); g.now.Before(end); {
		g.now = g.now.Add(time.Second / 2)
		g.supply.step(time.Second / 2)
		if read && g.linked && g.pending == nil {
			g.handle(g.supply.read())
		} else {
			g.handle(Tick{})
		}
	}
	return nil
}

// turn is what happens at the instrument itself.
func (g *stage) turn(verb, rest string) error {
	var n int
	var x float64
	if _, err := fmt.Sscanf(rest+" 0", "%d %g", &n, &x); err != nil {
		return err
	}
	c := &g.supply.channels[n]
	switch verb {
	case "trip":
		g.supply.trip(n)
	case "interlock":
		g.supply.openInterlock(n)
	case "off":
		c.On = wire.No
	case "knob":
		c.VReq = wire.Known(x)
	case "max":
		c.Max = wire.Known(x)
	case "speed":
		c.Ramp = wire.Known(x)
	case "load":
		g.supply.load[n] = x
	}
	return nil
}

// send is a command.
func (g *stage) send(s string) error {
	rest, retained := strings.CutPrefix(s, "retained ")
	id, rest2, named := strings.Cut(rest, ": ")
	if named && !strings.ContainsAny(id, "/{") {
		rest = rest2
	} else {
		id = ""
	}
	topic, payload, _ := strings.Cut(rest, " ")
	if id != "" {
		payload = g.envelope(id, topic, payload)
	}
	g.log = append(g.log, topic+" "+payload)
	g.handle(received(topic, payload, retained))
	return nil
}

// received is a command as the driver hands it in.
func received(topic, payload string, retained bool) Received {
	op, channel, _ := strings.Cut(topic, "/")
	c, err := wire.ParseCommand(op, channel, []byte(payload))
	return Received{Command: c, Err: err, Payload: []byte(payload), Retained: retained}
}

func (g *stage) envelope(id, topic, words string) string {
	fields := []string{fmt.Sprintf("%q:%q", "id", id)}
	for word := range strings.FieldsSeq(words) {
		key, value, ok := strings.Cut(word, "=")
		switch {
		case !ok && strings.HasPrefix(topic, "lock"):
			fields = append(fields, fmt.Sprintf("%q:%q", "reason", word))
		case !ok && (word == "on" || word == "off"):
			fields = append(fields, fmt.Sprintf("%q:%q", "value", word))
		case !ok:
			fields = append(fields, fmt.Sprintf("%q:%s", "value", word))
		case key == "in":
			d, err := time.ParseDuration(value)
			if err != nil {
				panic(err)
			}
			fields = append(fields, fmt.Sprintf("%q:%q", "expires", g.now.Add(d).Format(time.RFC3339Nano)))
		case key == "user":
			fields = append(fields, fmt.Sprintf("%q:%q", "user", value))
		default:
			fields = append(fields, fmt.Sprintf("%q:%s", key, value))
		}
	}
	return "{" + strings.Join(fields, ",") + "}"
}
