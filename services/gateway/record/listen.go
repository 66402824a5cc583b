package record

import (
	"context"
	"time"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
)

// listen records acks, and commands that had none, until ctx ends.
func (r *Recorder) listen(ctx context.Context) {
	for {
		_ = r.sayGap(ctx) // when the disk refuses, with what comes next
		_ = r.compare(ctx)
		r.saySilence(ctx)
		batch, lost := r.inbox.take()
		if len(batch) > 0 {
			r.record(ctx, batch)
			continue
		}
		if lost {
			r.bus.Hold(0, "acks found no room here: the broker has to send them again")
			continue
		}
		select {
		case <-r.inbox.wake:
		case <-ctx.Done():
			return
		}
	}
}

// record brings a batch of acks to the disk and confirms them to the broker. It
// tries until it succeeds or ctx ends: then the broker keeps them.
func (r *Recorder) record(ctx context.Context, batch []bus.Message) {
	var entries []auditlog.Entry
	var keys []string
	within := map[string]bool{}
	for _, m := range batch {
		e, err := r.entryOf(m)
		switch {
		case err != nil:
			r.metrics.malformed.Inc()
			r.complain.Do(func() { r.log.Warn("an ack that cannot be recorded", "topic", cut(m.Topic, 128), "error", err) })
			continue
		case m.Retained: // left there by somebody: it was heard when it was said
			continue
		}
		key := keyOf(e)
		if within[key] || r.wasSeen(key) {
			r.metrics.duplicates.Inc()
			continue
		}
		within[key] = true
		r.attribute(&e)
		entries, keys = append(entries, e), append(keys, key)
	}
	if !r.keep(ctx, entries) {
		return
	}
	r.mu.Lock()
	for _, key := range keys {
		r.seen.add(key, struct{}{})
	}
	r.mu.Unlock()
	for _, m := range batch {
		m.Ack()
	}
}

// keep appends entries; it reports false when ctx has ended before that.
func (r *Recorder) keep(ctx context.Context, entries []auditlog.Entry) bool {
	if len(entries) == 0 {
		return true
	}
	for retry := r.retry0; ; retry = min(2*retry, lastRetry) {
		if r.append(ctx, entries) == nil {
			return true
		}
		timer := time.NewTimer(retry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}
