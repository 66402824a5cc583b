package main

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"trackerdcs/pkg/bus"
)

const (
	// figuresEvery is how far apart the loader's own figures are in the archive.
	figuresEvery = 10 * time.Second

	// echoTime is how long a message of the loader's own may be under way.
	echoTime = 2 * time.Second

	// usualRecord is how large a message in the spool is taken for before there
	// was one, in bytes.
	usualRecord = 300
)

// onBus is the loader's connection as its figures see it.
type onBus struct {
	connected func() bool
	send      func(bus.Message)
	echo      *echo
	arrivals  atomic.Uint64 // how often the connection stood
}

// figures are written every now and then until ctx ends. They go the way of all
// messages, through the spool, so that they are there after an outage too; but they
// are nobody's status, and enter neither the ledger nor the delays.
func (l *loader) figures(ctx context.Context) {
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		rtt, known := l.listen(ctx)
		now := time.Now()
		l.queue.own(ownTopic, l.appendFigures(nil, now, rtt, known))
	}
}

// listen says something on the bus and waits until it is heard.
func (l *loader) listen(ctx context.Context) (rtt time.Duration, known bool) {
	if l.bus == nil || !l.bus.connected() {
		return 0, false
	}
	m, took := l.bus.echo.next()
	l.bus.send(m)
	limit := time.NewTimer(min(echoTime, l.every))
	defer limit.Stop()
	select {
	case rtt = <-took:
		return rtt, true
	case <-limit.C:
	case <-ctx.Done():
	}
	return 0, false
}

// appendFigures appends the figures as a line for the archive.
func (l *loader) appendFigures(dst []byte, now time.Time, rtt time.Duration, heard bool) []byte {
	dst = append(dst, "service,record=loader,service="...)
	dst = append(dst, escaped(l.name)...)
	first := byte(' ')
	add := func(name string, v float64) {
		dst = append(append(append(dst, first), name...), '=')
		dst = strconv.AppendFloat(dst, v, 'f', -1, 64) // without a suffix it is a float
		first = ','
	}
	messages, _, _, _ := l.queue.fill()
	received, devices := l.queue.heard(l.isStatus)
	waiting := l.storer.waiting()
	add("received", float64(received))
	add("written", float64(l.metrics.lines.total()))
	add("bad", float64(l.metrics.bad.total()))
	add("refused", float64(l.metrics.refused.total()))
	add("duplicates", float64(l.ledger.duplicates()))
	add("waiting", float64(messages)+l.keeper.messagesIn(waiting))
	add("spool_bytes", float64(waiting))
	add("dead_letters", float64(l.metrics.dead.total()))
	add("devices", float64(devices))
	if l.bus != nil {
		add("connected", float64(b2i(l.bus.connected())))
		add("reconnects", float64(max(l.bus.arrivals.Load(), 1)-1))
	}
	if heard {
		add("broker_rtt", rtt.Seconds())
	}
	if d := l.metrics.delays.read(); d.known {
		add("delay_p50", d.p50)
		add("delay_p99", d.p99)
		add("delay_max", d.longest)
	}
	if bytes, ok := resident(); ok {
		add("memory", float64(bytes))
	}
	if s, ok := processorTime(); ok {
		add("cpu", s.Seconds())
	}
	dst = strconv.AppendInt(append(dst, ' '), now.UnixNano(), 10)
	return append(dst, '\n')
}

// isStatus reports whether a topic is a device's live status. Who ends on the
// same word elsewhere is none.
func (l *loader) isStatus(topic string) bool {
	t := ownTarget(l.cfg.Root, topic)
	return t.kind == status && t.device != ""
}

// statusEnd is how the topic of a status ends.
const statusEnd = "/status"

// maxHeard bounds the topics of which it is kept that something came.
const maxHeard = 4096

// hear takes note of a message that has come. It is called with mu held, for each.
func (q *queue) hear(topic string) {
	q.received++
	if !strings.HasSuffix(topic, statusEnd) {
		return
	}
	if _, known := q.topics[topic]; known || len(q.topics) < maxHeard {
		q.topics[topic] = struct{}{}
	}
}

// heard is how many messages have come since the start, and on how many topics
// that count since it was last asked.
func (q *queue) heard(counts func(topic string) bool) (received uint64, topics int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for topic := range q.topics {
		if counts(topic) {
			topics++
		}
	}
	clear(q.topics)
	return q.received, topics
}

// ownTopic is that of lines of the loader's own in the spool. No message on the
// bus can have it.
const ownTopic = "#own"

// own takes lines of the loader's own over, if there is room: they are the last
// that is worth waiting for.
func (q *queue) own(topic string, lines []byte) {
	m := message{Message: bus.Message{Topic: topic, Payload: lines}, length: len(lines)}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.messages < q.maxMessages/2 && q.bytes+m.size() <= q.maxBytes/2 {
		q.add(&m)
	}
}
