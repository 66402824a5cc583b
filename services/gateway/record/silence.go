package record

import (
	"context"
	"slices"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/wire"
)

// Bounds of what waits to be written, and what such an entry says.
const (
	maxSilent  = 1000
	unanswered = "unanswered"
)

// Silence records that nothing more will be said of a command that was accepted:
// last is its last ack, and message says why. It does not wait: Run writes it, or
// else Close, since who says it may end later than Run.
func (r *Recorder) Silence(device string, last wire.Ack, message string) {
	e, err := ofAck(device, &last)
	if err != nil {
		r.log.Error("NOT IN THE AUDIT LOG: a command that nobody has answered", "device", device, "id", cut(last.ID, wire.MaxID), "error", err)
		return
	}
	e.Kind, e.Phase, e.Message, e.Code = auditlog.Silence, unanswered, cut(message, maxMessage), ""
	r.attribute(&e)
	r.mu.Lock()
	full := len(r.silent) >= maxSilent
	if !full {
		r.silent = append(r.silent, e)
	}
	r.mu.Unlock()
	if full {
		r.lost(e)
	}
	r.inbox.nudge()
}

// saySilence writes what waits; when ctx ends before that it waits on.
func (r *Recorder) saySilence(ctx context.Context) {
	r.mu.Lock()
	entries := slices.Clone(r.silent) // writing fills them in, while others are added
	r.mu.Unlock()
	if r.keep(ctx, entries) {
		r.mu.Lock()
		r.silent = slices.Delete(r.silent, 0, len(entries))
		r.mu.Unlock()
	}
}

// endSilence tries once more to write what waits. What the disk still refuses is
// lost, and the program's log says so.
func (r *Recorder) endSilence() {
	r.mu.Lock()
	entries := r.silent
	r.silent = nil
	r.mu.Unlock()
	if len(entries) > 0 && r.append(context.Background(), entries) != nil {
		r.lost(entries...)
	}
}

// lost says what is not in the audit log.
func (r *Recorder) lost(entries ...auditlog.Entry) {
	for _, e := range entries {
		r.log.Error("NOT IN THE AUDIT LOG", "kind", e.Kind, "user", e.User, "device", e.Device, "op", e.Op, "id", e.ID, "message", e.Message)
	}
}
