package record

import (
	"context"
	"encoding/json"
	"fmt"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/wire"
)

// remembered is how many commands, and how many acks, are told apart.
const remembered = 10_000

// lookBack is how many entries are read at the start, to remember them.
const lookBack = 40_000

// recent keeps the newest values by key.
type recent[V any] struct {
	values map[string]V
	order  []string // a ring
	next   int
}

func newRecent[V any](n int) *recent[V] {
	return &recent[V]{values: make(map[string]V), order: make([]string, 0, n)}
}

// add keeps a value; the oldest makes room for it. A key that is there already
// gets the new value and keeps its place.
func (r *recent[V]) add(key string, v V) {
	if _, ok := r.values[key]; ok {
		r.values[key] = v
		return
	}
	if len(r.order) < cap(r.order) {
		r.order = append(r.order, key)
	} else {
		delete(r.values, r.order[r.next])
		r.order[r.next] = key
		r.next = (r.next + 1) % len(r.order)
	}
	r.values[key] = v
}

func (r *recent[V]) get(key string) (V, bool) {
	v, ok := r.values[key]
	return v, ok
}

// command is what the gateway sent for somebody.
type command struct {
	device, op, channel, user, value string
	role, via, address               string
}

func commandOf(e auditlog.Entry) command {
	return command{
		device: e.Device, op: e.Op, channel: e.Channel, user: e.User, value: valueOf(e),
		role: e.Role, via: e.Via, address: e.Address,
	}
}

// valueOf is the value of a command whose acks repeat it, in one form.
func valueOf(e auditlog.Entry) string {
	switch e.Op {
	case wire.SetV, wire.SetI, wire.Ramp, wire.Switch:
	default:
		return ""
	}
	b, err := json.Marshal(e.Value)
	var v any
	if err != nil || json.Unmarshal(b, &v) != nil {
		return ""
	}
	b, err = json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// attribute says whose command an ack is about. Ids are seen by all on the bus:
// only an ack that repeats what the gateway sent is that of its command.
func (r *Recorder) attribute(e *auditlog.Entry) {
	r.mu.Lock()
	c, ok := r.known.get(e.ID)
	r.mu.Unlock()
	if !ok || c.device != e.Device || c.op != e.Op || c.channel != e.Channel || c.user != e.User || c.value != valueOf(*e) {
		return
	}
	e.Verified, e.Role, e.Via, e.Address = true, c.role, c.via, c.address
}

func (r *Recorder) wasSeen(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, seen := r.seen.get(key)
	return seen
}

// remember reads the end of the log: commands whose acks may still come, and
// acks that the broker may send again.
func (r *Recorder) remember(ctx context.Context) error {
	var commands, acks []auditlog.Entry
	f := auditlog.Filter{Limit: 5000, Kinds: []string{auditlog.Command, auditlog.Outcome}}
	oldest := r.audit.Head().Seq - lookBack
	for {
		page, next, err := r.audit.List(ctx, f)
		if err != nil {
			return fmt.Errorf("reading the end of the audit log: %w", err)
		}
		for _, e := range page {
			if e.Kind == auditlog.Command && len(commands) < remembered {
				commands = append(commands, e)
			} else if e.Kind == auditlog.Outcome && len(acks) < remembered {
				acks = append(acks, e)
			}
		}
		if f.Before = next; next == 0 || next <= oldest {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(commands) - 1; i >= 0; i-- {
		r.known.add(commands[i].ID, commandOf(commands[i]))
	}
	for i := len(acks) - 1; i >= 0; i-- {
		r.seen.add(keyOf(acks[i]), struct{}{})
	}
	return nil
}
