package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
)

// maxHead is how long a head is that is read.
const maxHead = 512

// hear takes the head that the broker holds. It was published before this start, by
// the gateway as it was then: the broker hands it over before it takes a new one.
func (r *Recorder) hear(m bus.Message) {
	if !m.Retained {
		return // our own, as it was published
	}
	h, err := parseHead(m.Payload)
	r.mu.Lock()
	asked := r.asked
	r.asked = true
	if !asked && err == nil {
		r.held = &h
	}
	r.mu.Unlock()
	switch {
	case asked:
		return
	case err != nil:
		r.log.Warn("the broker holds a head of the audit log that cannot be read: the log is not compared with it", "error", err)
	}
	r.inbox.nudge()
}

// parseHead reads a head as it is published.
func parseHead(payload []byte) (auditlog.Head, error) {
	if len(payload) > maxHead {
		return auditlog.Head{}, fmt.Errorf("it has %d bytes, at most %d are read", len(payload), maxHead)
	}
	var h auditlog.Head
	if err := json.Unmarshal(payload, &h); err != nil {
		return auditlog.Head{}, err
	}
	return auditlog.ParseHead(h.String())
}

// compare looks for the head that the broker held at the start. A log that does not
// have it was cut off or written anew while the gateway was away: an entry says so,
// since the head is about to be replaced by that of the log as it is.
func (r *Recorder) compare(ctx context.Context) error {
	r.mu.Lock()
	held := r.held
	r.mu.Unlock()
	if held == nil {
		return nil
	}
	there, err := r.has(ctx, *held)
	if err == nil && !there {
		err = r.append(ctx, []auditlog.Entry{{
			Kind: auditlog.Gap, Boot: r.conf.Boot,
			Message: fmt.Sprintf("the log does not have entry %s, which the broker holds as its last: it was cut off or written anew while the gateway was away", held),
		}})
		if err == nil {
			r.log.Error("the audit log was cut off or written anew while the gateway was away", "held by the broker", held.String())
		}
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.held = nil
	r.mu.Unlock()
	r.mayAnchor()
	return nil
}

// comparing reports whether what the broker holds has not been compared yet: until
// then it is not replaced.
func (r *Recorder) comparing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held != nil
}

// has reports whether the log has an entry with that number and hash.
func (r *Recorder) has(ctx context.Context, h auditlog.Head) (bool, error) {
	if h.Seq > r.Head().Seq {
		return false, nil
	}
	f := auditlog.Filter{Before: h.Seq + 1, Limit: 1}
	for {
		entries, next, err := r.audit.List(ctx, f)
		switch {
		case err != nil:
			return false, errors.Join(errors.New("comparing the audit log with what the broker holds"), err)
		case len(entries) > 0:
			return entries[0].Seq == h.Seq && entries[0].Hash == h.Hash, nil
		case next == 0:
			return false, nil
		}
		f.Before = next
	}
}
