package main

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/spool"
)

const (
	// keepRetry is how far apart attempts to write to the spool are that failed.
	keepRetry = time.Second

	// smallPiece is how many bytes are tried then.
	smallPiece = 64 << 10
)

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

	kept, bytes atomic.Uint64 // of messages on disk, since the start
}

// messagesIn is how many messages so many bytes of the spool hold, by the size of
// those that were kept.
func (k *keeper) messagesIn(bytes uint64) float64 {
	size := float64(usualRecord)
	if n := k.kept.Load(); n > 0 {
		size = float64(k.bytes.Load()) / float64(n)
	}
	return math.Ceil(float64(bytes)/size - 1e-9)
}

// run works until ctx ends, and then keeps what has come once more; what comes
// after that is not acknowledged, and sent again. A disk that takes
// nothing, because it is full or broken, is waited for: nothing is acknowledged
// meanwhile, the queue fills, and what finds no room in it stays with the
// broker.
func (k *keeper) run(ctx context.Context) {
	for last := false; !last; {
		g := k.queue.take(ctx)
		last = ctx.Err() != nil
		if g == nil || !k.keep(ctx, g) {
			return
		}
		k.queue.done(g)
		if k.queue.settle() {
			k.again()
		}
	}
}

// keep repeats until the group is on disk and acknowledged, or ctx has ended.
// What is too large for a disk that is nearly full goes in pieces. A failure
// that is over at once is only counted: each time the state turns ready,
// drivers replay.
func (k *keeper) keep(ctx context.Context, g *group) bool {
	records, acks := g.records, g.acks
	piece := len(records)
	first, told := time.Now(), false
	for len(records) > 0 {
		size, count := spool.Prefix(records, piece)
		began := time.Now()
		err := k.spool.Append(records[:size])
		if err == nil {
			k.metrics.synced(time.Since(began))
			k.kept.Add(uint64(count))
			k.bytes.Add(uint64(size))
			k.acknowledge(acks[:count])
			records, acks = records[size:], acks[count:]
			piece = 2 * size
			continue
		}
		piece = smallPiece
		k.metrics.spoolErrors.Inc()
		k.queue.owe() // a broker may have given up waiting by then
		if !told && time.Since(first) >= patience {
			told = true
			k.log.Error("the spool takes no messages, nothing is acknowledged to the broker until it does", "error", err)
			k.tell(err)
		}
		if pause(ctx, keepRetry) != nil {
			return false
		}
	}
	if told {
		k.log.Info("the spool takes messages again")
		k.tell(nil)
	}
	return true
}

func (k *keeper) acknowledge(messages []bus.Message) {
	k.queue.synced()
	if k.synced != nil {
		k.synced()
	}
	for _, m := range messages {
		m.Ack()
	}
}
