package record

import (
	"context"
	"time"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// publishTime is how long one attempt to publish the head may take.
const publishTime = 5 * time.Second

// anchorTopic is where the head of the log is published, retained. Whoever keeps
// what is said there holds a proof against a log that was written anew.
func anchorTopic(root wire.Root, name string) string {
	return string(root) + "/service/" + name + "/audit"
}

// mayAnchor has the head published.
func (r *Recorder) mayAnchor() {
	select {
	case r.up <- struct{}{}:
	default:
	}
}

// anchor publishes the head of the log until ctx ends: when a connection stands,
// and when it has changed, but once a minute at most.
func (r *Recorder) anchor(ctx context.Context) {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	var said auditlog.Head
	var last time.Time
	for {
		select {
		case <-tick.C:
		case <-r.up:
			said = auditlog.Head{} // a broker may have forgotten it
		case <-ctx.Done():
			return
		}
		head := r.Head()
		if head.Seq == 0 || head == said || !last.IsZero() && time.Since(last) < r.every-r.every/10 || !r.bus.Connected() || r.comparing() {
			continue
		}
		attempt, cancel := context.WithTimeout(ctx, publishTime)
		err := r.bus.Publish(attempt, bus.Message{
			Topic: anchorTopic(r.conf.Root, r.conf.Name), QoS: 1, Retained: true, Payload: wire.Encode(head),
		})
		cancel()
		if err == nil {
			said, last = head, time.Now()
		}
	}
}
