package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/live"
	"trackerdcs/services/gateway/problem"
	"trackerdcs/services/gateway/ration"
)

const (
	lifetime   = 10 * time.Second       // after it a command that is still on its way is not executed
	patience   = 5 * time.Second        // for all of a command: live itself waits for 2 s
	auditDelay = 300 * time.Millisecond // that switching off waits for the audit log
)

// newID makes the id of a command.
func newID() string { return "gw-" + rand.Text()[:16] }

// entryOf is the beginning of an entry about somebody.
func entryOf(who door.Who, kind string) auditlog.Entry {
	return auditlog.Entry{Kind: kind, User: who.Signed(), Role: string(who.Role), Verified: true, Via: who.Via, Address: who.Address}
}

// commandEntry is an entry about a command.
func commandEntry(who door.Who, device string, c wire.Command, kind string) auditlog.Entry {
	e := entryOf(who, kind)
	e.Device, e.Op, e.Channel, e.Value, e.ID, e.Dry, e.Message = device, c.Op, c.Channel.String(), c.Value(), c.ID, c.Dry, c.Reason
	return e
}

// runEntry is an entry about a command to run control.
func runEntry(who door.Who, c wire.RunCommand, kind string) auditlog.Entry {
	e := entryOf(who, kind)
	e.Device, e.Op, e.Run, e.ID, e.Dry, e.Message = runControl, c.Op, c.Run, c.ID, c.Dry, c.Reason
	if c.Procedure != "" {
		e.Value = c.Procedure
	}
	return e
}

// runControl is who run commands go to, in the audit log and in acks.
const runControl = "run"

// note adds to the audit log what has happened already. It says it in the log
// that it could not. One that takes its time is not waited for, and is no error:
// what becomes of it is said when that is known.
func (s *server) note(ctx context.Context, e auditlog.Entry) error {
	missed := func(err error) {
		s.metrics.missed.WithLabelValues(e.Kind).Inc()
		s.cfg.Log.ErrorContext(ctx, "NOT IN THE AUDIT LOG", "kind", e.Kind, "user", e.User, "device", e.Device, "op", e.Op, "id", e.ID, "value", e.Value, "message", e.Message, "error", err)
	}
	err := s.appendSoon(ctx, e, func(err error) {
		if err != nil {
			missed(err)
		}
	})
	switch {
	case errors.Is(err, errLate):
		s.cfg.Log.WarnContext(ctx, "the audit log is slow: it is not waited for", "kind", e.Kind, "user", e.User, "device", e.Device, "op", e.Op, "id", e.ID, "value", e.Value, "message", e.Message)
		return nil
	case err != nil:
		missed(err)
	}
	return err
}

// more notes what of a kind has happened oftener than there are entries.
func (s *server) more(kind, what string) func([]ration.Refused[door.Who]) {
	return func(counts []ration.Refused[door.Who]) {
		for _, c := range counts {
			e := auditlog.Entry{Kind: kind, Verified: true}
			if !c.Others {
				e = entryOf(c.Key, kind)
			}
			e.Value, e.Message = c.Count, fmt.Sprintf("%d more %s", c.Count, what)
			if c.Others {
				e.Message += ", of many people or addresses"
			}
			_ = s.note(context.Background(), e)
		}
	}
}

// announce puts a command into the audit log before it is sent. What makes
// things safe is sent though the log does not take it, and does not wait for it
// long.
func (s *server) announce(ctx context.Context, e auditlog.Entry, safe bool) error {
	if safe {
		if err := s.appendSoon(ctx, e, func(error) {}); err != nil {
			s.metrics.missed.WithLabelValues(e.Kind).Inc()
			s.cfg.Log.ErrorContext(ctx, "SENT WITHOUT THE AUDIT LOG, which does not take it", "user", e.User, "role", e.Role, "address", e.Address, "device", e.Device, "op", e.Op, "channel", e.Channel, "run", e.Run, "id", e.ID, "error", err)
		}
		return nil
	}
	if err := s.cfg.Audit.Append(ctx, e); err != nil {
		s.cfg.Log.ErrorContext(ctx, "refused, as the audit log does not take it", "kind", e.Kind, "user", e.User, "device", e.Device, "op", e.Op, "error", err)
		return refuse(http.StatusServiceUnavailable, "audit", "Nothing was sent, as the audit log cannot be written: %v. Only switching off and aborting a run work until it can. Has the gateway's disk room?", err)
	}
	return nil
}

// errLate says that the audit log goes on with an entry that is not waited for.
var errLate = errors.New("it has not answered in time")

// appendSoon adds to the audit log, and waits for that no longer than auditDelay:
// then it gives errLate, and the answer goes to later.
func (s *server) appendSoon(ctx context.Context, e auditlog.Entry, later func(error)) error {
	var mu sync.Mutex // of left: who comes second sees that the other has come
	left := false
	written := make(chan error, 1)
	go func() { // it ends when the log has answered
		err := s.cfg.Audit.Append(context.WithoutCancel(ctx), e)
		mu.Lock()
		defer mu.Unlock()
		if left {
			later(err)
		}
		written <- err
	}()
	late := time.NewTimer(s.auditDelay)
	defer late.Stop()
	select {
	case err := <-written:
		return err
	case <-late.C:
	}
	mu.Lock()
	defer mu.Unlock()
	select {
	case err := <-written: // on a busy machine both may have come
		return err
	default:
		left = true
		return fmt.Errorf("%w: %v", errLate, s.auditDelay)
	}
}

// send sends a command that somebody may send, and waits for what becomes of it.
// That goes on when the asker has gone away: what the audit log says of it is so.
func (s *server) send(ctx context.Context, who door.Who, device string, c wire.Command) (live.Outcome, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	c.ID, c.User, c.Expires = newID(), who.Signed(), s.cfg.Now().Add(lifetime)
	off := c.Op == wire.Switch && c.Word == wire.Off
	if err := s.announce(ctx, commandEntry(who, device, c, auditlog.Command), off); err != nil {
		return live.Outcome{}, err
	}
	out, err := s.cfg.Live.Do(ctx, device, c)
	return s.concluded(ctx, out, err, commandEntry(who, device, c, auditlog.Silence))
}

// sendRun does the same with a command to run control.
func (s *server) sendRun(ctx context.Context, who door.Who, c wire.RunCommand) (live.Outcome, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	c.ID, c.User, c.Expires = newID(), who.Signed(), s.cfg.Now().Add(lifetime)
	if err := s.announce(ctx, runEntry(who, c, auditlog.Command), c.Op == wire.Abort); err != nil {
		return live.Outcome{}, err
	}
	out, err := s.cfg.Live.DoRun(ctx, c)
	return s.concluded(ctx, out, err, runEntry(who, c, auditlog.Silence))
}

// concluded notes that nobody has answered. Acks are noted by who hears them on the bus.
func (s *server) concluded(ctx context.Context, out live.Outcome, err error, silence auditlog.Entry) (live.Outcome, error) {
	out.ID = silence.ID
	silence.Phase = live.PhaseUnanswered
	switch {
	case errors.Is(err, bus.ErrOffline):
		silence.Message = "not sent: no connection to the broker"
		_ = s.note(ctx, silence)
		return out, &refusal{problem.Problem{
			Status: http.StatusServiceUnavailable, Slug: "offline", More: map[string]any{"id": silence.ID},
			Detail: "The command has not reached the broker: the gateway has no connection to it. Send it again when it has one.",
		}}
	case err != nil && ctx.Err() == nil:
		silence.Message = err.Error()
		_ = s.note(ctx, silence)
		return out, fmt.Errorf("sending %s to %s: %w", silence.Op, silence.Device, err)
	case err != nil || out.Phase == live.PhaseSent || out.Phase == "":
		out.Phase = live.PhaseUnanswered
	}
	if out.Phase == live.PhaseUnanswered {
		silence.Message = out.Message
		_ = s.note(ctx, silence)
	}
	return out, nil
}
