package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"trackerdcs/pkg/wire"
)

// kind is what a topic carries.
type kind uint8

const (
	unknown kind = iota
	status
	replay
	ack
	state
	sensor
	mapped     // by a rule of the mapping file
	runState   // the record of a run
	annotation // of a run
	own        // lines of the loader's own
	kinds      // how many there are
)

func (k kind) String() string {
	return [kinds]string{"unknown", "status", "replay", "ack", "state", "sensor", "mapped", "run_state", "annotation", "own"}[k]
}

// filters are the subscriptions: the stack's own topics under a root, and those
// of the mapping.
func filters(root wire.Root, m *mapping) []string {
	all := append(ownFilters(root), root.Sensor("+", "+"))
	if m != nil {
		for i := range m.rules {
			all = append(all, m.rules[i].filter)
		}
	}
	return widest(all)
}

// ownFilters are those of the stack's own topics that no rule can override.
func ownFilters(root wire.Root) []string {
	return []string{root.Status("+"), root.Replay("+"), root.Ack("+"), root.State("+"), root.ServiceState("+"), root.RunAnnotation()}
}

// target is where the messages of one topic go.
type target struct {
	kind   kind
	device string // whose topic it is, if a device's; a reserved name is none
	prefix string // measurement and tags of a line, escaped
	err    error  // why nothing of this topic can be stored
	rule   *rule  // of a mapped topic

	columns []column // the keys of its objects, in the order they came in
	next    int      // the column that is expected
	boot    said     // the last one
	state   uint64   // of a state topic, a run's too: the hash of what was last said
}

// said is a text of which the next message most likely says the same.
type said struct {
	raw   string // as it was written
	text  string // what that means
	field string // as it is stored
}

// What is kept of a topic is bounded.
const (
	maxColumns    = 64
	maxColumnName = 64 // bytes
	maxBoot       = 64 // bytes
)

// role is what a key is for.
type role uint8

const (
	nothing    role = iota // it is not stored
	aNumber                // a field
	aTime                  // when the reading was taken
	theChannel             // a tag in a list of channels, else a number
	theSeq                 // a field, and the number of the message
	theBoot                // a text, and what the number counts within
	aText                  // a text that is kept
	aWord                  // kept as a text also where it is a number: an ack's channel can be "all"
	aValue                 // a number, and under another name a text: a field has one type
	aReading               // the number of a foreign sensor, or a text that holds it
)

// column is a key of a topic's objects.
type column struct {
	quoted string // the key as it is written
	role   role
	field  string // how a field begins: comma, name, equals sign
	err    error  // why it cannot be a field
}

const (
	phaseField = ",phase="
	valueText  = ",value_text="
)

func newColumn(k kind, name string) column {
	c := column{role: roleOf(k, name)}
	if c.err = checkWord(name); c.err == nil {
		c.field = "," + escaped(name) + "="
	}
	return c
}

// roleOf says what a key is for. Texts that are not named here are dropped: in
// an archive of measurements they are noise, or a number whose driver has
// changed its mind.
func roleOf(k kind, key string) role {
	switch {
	case key == "time":
		return aTime
	case k == sensor && key == "value":
		return aReading
	case k == sensor:
		return nothing
	}
	if k == runState {
		return roleOfRun(key)
	}
	switch key {
	case "boot":
		return theBoot
	case "seq":
		return theSeq
	case "number":
		return theChannel
	case "channel":
		if k == ack {
			return aWord
		}
	case "value":
		if k == ack {
			return aValue
		}
	case "op", "phase", "code", "id", "user", "message":
		if k == ack {
			return aText
		}
	case "state", "error":
		if k == state {
			return aText
		}
	}
	return aNumber
}

// roleOfRun says what a key of a run's record is for. The rest of it, settings
// and progress, is kept in the document of the run.
func roleOfRun(key string) role {
	switch key {
	case "state", "error":
		return aText
	case "run":
		return aNumber
	}
	return nothing
}

// maxTargets bounds what is remembered of topics. Past it all are forgotten
// and learnt again.
const maxTargets = 4096

// target finds, or works out, where a topic's messages go.
func (e *encoder) target(topic string) *target {
	t := e.targets[topic]
	if t == nil {
		if len(e.targets) >= maxTargets {
			clear(e.targets)
		}
		t = newTarget(e.root, e.rules, topic)
		e.targets[topic] = t
	}
	return t
}

// newTarget works out where a topic's messages go: the stack's own topics
// first, then the mapping, and of what the mapping leaves the foreign sensors.
func newTarget(root wire.Root, rules *mapping, topic string) *target {
	t := ownTarget(root, topic)
	if t.kind == unknown || t.kind == sensor {
		if r := rules.find(topic); r != nil {
			return r.target(topic)
		}
	}
	return t
}

func ownTarget(root wire.Root, topic string) *target {
	if topic == ownTopic {
		return &target{kind: own}
	}
	t := new(target)
	levels, _ := root.Cut(topic)
	switch {
	case len(levels) == 3 && levels[0] == "sensor":
		t.kind = sensor
		t.prefix = "sensor,measurement=" + escaped(levels[2]) + ",sensor=" + escaped(levels[1])
		t.err = errors.Join(checkWord(levels[1]), checkWord(levels[2]))
	case len(levels) == 3 && levels[0] == "service" && levels[2] == wire.KindState:
		t.kind = state
		t.prefix = "state,device=" + levels[1]
		t.err = wire.CheckName(levels[1])
	case len(levels) == 2:
		if t.err = wire.CheckDevice(levels[0]); t.err == nil {
			t.device = levels[0]
		}
		switch levels[1] {
		case wire.KindStatus:
			t.kind, t.prefix = status, levels[0]
		case wire.KindReplay:
			t.kind, t.prefix = replay, levels[0]
		case wire.KindAck:
			t.kind, t.prefix = ack, "ack,device="+levels[0]
		case wire.KindState:
			t.kind, t.prefix = state, "state,device="+levels[0]
		}
		if levels[0] == "run" {
			t.ofRuns(levels[1])
		}
	}
	if t.kind == unknown {
		t.err = errors.New("a topic that the loader does not know: the mapping file (DCS_MAPPING_FILE) has no rule for it")
	}
	return t
}

// ofRuns makes it one of run control's topics, if that is what it is. They
// belong to no device.
func (t *target) ofRuns(level string) {
	switch level {
	case wire.KindAck:
		t.err = nil // as any other ack
	case wire.KindState:
		t.kind, t.err = runState, nil
	case "annotation":
		t.kind, t.prefix, t.err = annotation, "run,procedure=", nil
	}
}

// checkWord reports why w cannot be the value of a tag or the name of a field.
// Line protocol has no way to write these.
func checkWord(w string) error {
	switch {
	case w == "":
		return errors.New("an empty name")
	case !utf8.ValidString(w):
		return fmt.Errorf("name %q is not UTF-8", wire.Echo(w))
	case strings.ContainsFunc(w, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return fmt.Errorf("name %q has a backslash or a control character", wire.Echo(w))
	}
	return nil
}

var escaper = strings.NewReplacer(",", `\,`, "=", `\=`, " ", `\ `)

// escaped writes a tag's value or a field's name for line protocol.
func escaped(w string) string { return escaper.Replace(w) }
