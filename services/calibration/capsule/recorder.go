package capsule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"trackerdcs/pkg/spool"
)

// Run takes what Put has enqueued to the journal, or to memory while no run is
// recorded, and acknowledges it, until ctx ends. It then keeps one more batch;
// what is left is not acknowledged, and the broker sends it again. It always
// returns nil.
func (r *Recorder) Run(ctx context.Context) error {
	var batch []entry
	for last := false; !last; {
		batch = r.queue.take(ctx, batch, r.recording())
		last = ctx.Err() != nil
		if len(batch) == 0 {
			break
		}
		r.keep(batch)
		if r.synced != nil {
			r.synced()
		}
		for i := range batch {
			batch[i].bus.Ack()
		}
		dropped, again := r.queue.done(batch)
		r.lose(dropped)
		if again && r.again != nil {
			r.again()
		}
	}
	return nil
}

func (r *Recorder) recording() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.index.Runs) > 0
}

// keep takes note of a batch.
func (r *Recorder) keep(batch []entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	records, n := r.records[:0], int64(0)
	for i := range batch {
		m := &batch[i].message
		k, name := r.track.target(m.topic)
		if k == noTopic {
			continue
		}
		r.metrics.messages.Inc()
		if !r.track.take(k, name, m, now) {
			r.metrics.unreadable.Inc()
		}
		if k == metaTopic || k == stateTopic {
			r.latest.add(*m)
		}
		r.ring.add(*m, now)
		if len(r.index.Runs) > 0 {
			records = m.append(records)
			n++
		}
	}
	r.records = records
	if cap(r.records) > 1<<20 {
		r.records = nil // it was a large one
	}
	r.write(records, n)
	r.mark(now)
}

// write appends n messages to the journal. What finds no room there is counted.
func (r *Recorder) write(records []byte, n int64) {
	if n == 0 {
		return
	}
	err := r.journal.Append(records)
	if err != nil && !errors.Is(err, spool.ErrFull) {
		r.log.Warn("the journal of measurements: trying once more", "error", err)
		err = r.journal.Append(records) // in a new file
	}
	if err != nil {
		if !r.full {
			r.log.Error("measurements are not kept: the capsules of the runs under way will lack them, and say how many", "error", err)
		}
		r.full = true
		r.drop(n)
		return
	}
	if r.full {
		r.log.Info("measurements are kept again")
	}
	r.full = false
}

// drop counts messages that found no room, on disk before they are
// acknowledged.
func (r *Recorder) drop(n int64) {
	r.metrics.dropped.Add(float64(n))
	for _, x := range r.index.Runs {
		x.Dropped += n
	}
	if len(r.index.Runs) == 0 {
		return
	}
	if err := r.index.save(r.dir); err != nil {
		r.log.Error("how many measurements were dropped is not on disk", "error", err)
	}
}

// lose counts messages that found no room in the queue.
func (r *Recorder) lose(n int64) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(n)
}

// mark keeps in mind where the journal ended a minute ago: a run that begins
// while another is recorded begins there.
func (r *Recorder) mark(now time.Time) {
	if len(r.index.Runs) == 0 {
		return
	}
	n := len(r.marks)
	if n == 0 || now.Sub(r.marks[n-1].at) >= markEvery {
		r.marks = append(r.marks, mark{now, r.journal.End()})
	}
	for len(r.marks) > 1 && now.Sub(r.marks[1].at) > before {
		r.marks = slices.Delete(r.marks, 0, 1)
	}
}

// Begin keeps what is said on disk from now on, and what was said in the last
// minute; so does the next process, until End. A run that is recorded already
// goes on. On an error the run is recorded all the same, but a process that is
// started now would not know of it.
func (r *Recorder) Begin(run int64) error {
	if run < 1 {
		return fmt.Errorf("record run %d: runs are numbered from 1", run)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.index.find(run) != nil {
		return nil
	}
	now := time.Now()
	n := &recorded{Run: run, From: r.journal.End(), Begun: now}
	recording := len(r.index.Runs) > 0
	r.mark(now)
	if len(r.marks) > 0 {
		n.From = r.marks[0].pos
	}
	r.index.Runs = append(r.index.Runs, n)
	r.ring.trim(now)
	said := make([]message, 0, len(r.latest.said))
	for _, m := range r.latest.said {
		said = append(said, m)
	}
	r.writeAll(said)
	if !recording {
		n.Dropped += r.ring.lost
		said = said[:0]
		for i := range r.ring.entries {
			said = append(said, r.ring.entries[i].message)
		}
		r.writeAll(said)
		r.marks = append(r.marks, mark{now, n.From})
	}
	return r.index.save(r.dir)
}

// writeAll appends messages in pieces of a bounded size.
func (r *Recorder) writeAll(messages []message) {
	var records []byte
	n := int64(0)
	for i := range messages {
		records = messages[i].append(records)
		n++
		if len(records) >= 1<<20 {
			r.write(records, n)
			records, n = records[:0], 0
		}
	}
	r.write(records, n)
}

// End releases what only this run needed: its capsule is safe elsewhere.
func (r *Recorder) End(run int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.index.Runs, func(n *recorded) bool { return n.Run == run })
	if i < 0 {
		return nil
	}
	r.index.Runs = slices.Delete(r.index.Runs, i, i+1)
	if err := r.index.save(r.dir); err != nil {
		return err
	}
	r.release()
	return nil
}

// release removes what no run needs of the journal.
func (r *Recorder) release() {
	pending := spool.Ranges{{From: r.index.from(), To: spool.Forever}}
	if len(r.index.Runs) == 0 {
		r.marks = nil
		pending[0].From = r.journal.End()
		_ = r.journal.Close() // all of it is synced; and an open file is not removed
	}
	if err := r.journal.Release(pending); err != nil {
		r.log.Warn("a part of the journal that is done with cannot be removed", "error", err)
	}
}

// Recorded is the runs that are recorded, in the order in which they began.
func (r *Recorder) Recorded() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.index.numbers()
}
