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
	kinds // how many there are
)

func (k kind) String() string {
	return [kinds]string{"unknown", "status", "replay", "ack", "state", "sensor"}[k]
}

// filters are the subscriptions under a root.
func filters(root wire.Root) []string {
	return []string{
		root.Status("+"), root.Replay("+"), root.Ack("+"), root.State("+"),
		root.ServiceState("+"), root.Sensor("+", "+"),
	}
}

// target is where the messages of one topic go.
type target struct {
	kind   kind
	prefix string // measurement and tags of a line, escaped
	err    error  // why nothing of this topic can be stored

	said uint64 // of a state topic: the hash of what was last said
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
		t = newTarget(e.root, topic)
		e.targets[topic] = t
	}
	return t
}

func newTarget(root wire.Root, topic string) *target {
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
		t.err = wire.CheckDevice(levels[0])
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
	}
	if t.kind == unknown {
		t.err = errors.New("a topic that the loader does not know")
	}
	return t
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
