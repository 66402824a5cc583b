package live

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// Timing of commands.
const (
	expiry      = 10 * time.Second // docs/contract.md, section 3, rule 3
	defaultWait = 2 * time.Second
)

// Do sends a command to a device and waits for its end, for Config.Wait at most.
// What is known then is the outcome: that it was accepted, or PhaseUnanswered
// when nobody has answered. The command gets an id and an end where it has none.
//
// The error wraps bus.ErrOffline when there is no connection to the broker, and
// then nothing was sent. Other errors say that the command cannot be written, and
// ctx's that the caller has left while it was under way.
func (l *Live) Do(ctx context.Context, device string, c wire.Command) (Outcome, error) {
	switch {
	case wire.CheckDevice(device) != nil:
		return Outcome{}, fmt.Errorf("a command to a device: %w", wire.CheckDevice(device))
	case wire.CheckName(c.Op) != nil:
		return Outcome{}, fmt.Errorf("a command to %s: %q is not an op", device, wire.Echo(c.Op))
	case c.Channel.Kind == wire.BadChannel:
		return Outcome{}, fmt.Errorf(`a command to %s: %q is not a channel: give its number, or "all"`, device, wire.Echo(c.Channel.Text))
	case math.IsNaN(c.Number) || math.IsInf(c.Number, 0):
		return Outcome{}, fmt.Errorf("a command to %s: its value is not a number", device)
	}
	c.ID, c.Expires = l.complete(c.ID, c.Expires)
	q := request{device: device, id: c.ID, op: c.Op, ch: c.Channel.String(), value: c.Value()}
	return l.send(ctx, q, l.c.Root.Command(device, c.Op, c.Channel.String()), c.Payload())
}

// DoRun sends a command to run control and waits as Do does.
func (l *Live) DoRun(ctx context.Context, c wire.RunCommand) (Outcome, error) {
	if wire.CheckName(c.Op) != nil {
		return Outcome{}, fmt.Errorf("a command about runs: %q is not an op", wire.Echo(c.Op))
	}
	if _, err := json.Marshal(c.Parameters); err != nil {
		return Outcome{}, fmt.Errorf("a command about runs: its parameters: %w", err)
	}
	if _, err := json.Marshal(c.Configurations); err != nil {
		return Outcome{}, fmt.Errorf("a command about runs: its configurations: %w", err)
	}
	c.ID, c.Expires = l.complete(c.ID, c.Expires)
	return l.send(ctx, request{device: runControl, id: c.ID, op: c.Op}, l.c.Root.RunCommand(c.Op), c.Payload())
}

// complete gives a command an id and an end where it has none.
func (l *Live) complete(id string, expires time.Time) (string, time.Time) {
	if id == "" {
		id = "gw-" + rand.Text()
	}
	if expires.IsZero() {
		expires = l.c.Now().Add(expiry)
	}
	return id, expires
}

// Outcome is what is known of one of the last thousand commands. An ack that came
// too late to be waited for is in it.
func (l *Live) Outcome(id string) (Outcome, bool) { return l.book.find(id) }

// send publishes a command and waits for its end.
func (l *Live) send(ctx context.Context, q request, topic string, payload []byte) (Outcome, error) {
	device := q.device
	if err := ctx.Err(); err != nil {
		return Outcome{}, fmt.Errorf("a command to %s: %w", device, err)
	}
	if l.member == nil {
		return Outcome{}, fmt.Errorf("a command to %s: %w", device, bus.ErrOffline)
	}
	if len(payload) > wire.MaxCommand {
		return Outcome{}, fmt.Errorf("a command to %s: it has %d bytes, at most %d are read", device, len(payload), wire.MaxCommand)
	}
	e := l.book.open(q)
	if !l.publish(bus.Message{Topic: topic, Payload: payload, QoS: 1}) {
		l.book.cancel(e)
		return Outcome{}, fmt.Errorf("a command to %s: %w", device, bus.ErrOffline)
	}
	err := l.await(ctx, e)
	o, gaveUp := l.book.close(e)
	if gaveUp {
		l.mail.gaveUp(OutcomeOf{device, o})
	}
	return o, err
}

// await waits for the end of a command.
func (l *Live) await(ctx context.Context, e *entry) error {
	timer := time.NewTimer(l.c.Wait)
	defer timer.Stop()
	for {
		o, changed := l.book.look(e)
		if o.settled() {
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting for the ack of %s to %s: %w", e.id, e.device, ctx.Err())
		}
	}
}

// publish hands a message to the connection and reports whether it may have been
// sent. That none of it was is certain only when there was no connection before, and
// the answer came at once: a connection that ends meanwhile may have carried it.
func (l *Live) publish(m bus.Message) bool {
	stood := l.stands.Load()
	var handing, offline atomic.Bool
	handing.Store(true)
	l.member.Send(m, func(err error) {
		if handing.Load() && errors.Is(err, bus.ErrOffline) {
			offline.Store(true)
		}
	})
	handing.Store(false)
	return stood || !offline.Load()
}
