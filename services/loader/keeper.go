package main

import (
	"context"
	"log/slog"
	"time"
)

// keepRetry is how far apart attempts to write to the spool are that failed.
const keepRetry = time.Second

// records is the spool as the keeper sees it.
type records interface {
	Append(records []byte) error // returns when they are on disk
}

// keeper takes messages from the queue to disk, and acknowledges them when they
// are there.
type keeper struct {
	queue   *queue
	spool   records
	log     *slog.Logger
	metrics *metrics
	tell    func(error) // how it stands with the disk: nil is well
	again   func()      // make a new connection, so that the broker sends again what is not acknowledged
	synced  func()      // between the disk and the acks; a test's
}

// run works until ctx ends, and then keeps what has come. A disk that takes
// nothing, because it is full or broken, is waited for: nothing is acknowledged
// meanwhile, the queue fills, and what finds no room in it stays with the
// broker.
func (k *keeper) run(ctx context.Context) {
	for {
		g := k.queue.take(ctx)
		if g == nil {
			return
		}
		if !k.write(ctx, g) {
			return
		}
		k.queue.synced()
		if k.synced != nil {
			k.synced()
		}
		for _, m := range g.acks {
			m.Ack()
		}
		k.queue.done(g)
		if k.queue.settle() {
			k.again()
		}
	}
}

// write repeats until the group is on disk, or ctx has ended.
func (k *keeper) write(ctx context.Context, g *group) bool {
	failed := false
	for {
		began := time.Now()
		err := k.spool.Append(g.records)
		if err == nil {
			k.metrics.synced(time.Since(began))
			if failed {
				k.log.Info("the spool takes messages again")
				k.tell(nil)
			}
			return true
		}
		k.metrics.spoolErrors.Inc()
		if !failed {
			failed = true
			k.log.Error("the spool takes no messages, nothing is acknowledged to the broker until it does", "error", err)
			k.tell(err)
			k.queue.owe() // a broker may have given up waiting by then
		}
		if pause(ctx, keepRetry) != nil {
			return false
		}
	}
}
