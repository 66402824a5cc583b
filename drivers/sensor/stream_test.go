package main

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	simdht "trackerdcs/drivers/sim/dht"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/sensor"
	"trackerdcs/pkg/wire"
)

// The values are those of the board, whether its sketch ends its lines or not;
// what it cannot read is absent, and both failing is no status at all.
func TestBoardsValuesAndErrorTexts(t *testing.T) {
	for name, ends := range map[string]bool{"the original's sketch": false, "a well-behaved one": true} {
		t.Run(name, func(t *testing.T) {
			board := simdht.New(simdht.Options{Period: 50 * time.Millisecond, EndLines: ends})
			board.Freeze(true)
			board.FailTemperature(1 << 30)
			b := drive(t, "dht_room", "dht", serveTCP(t, board), "")
			first := b.awaitSaid(t, 1)
			assert.NotContains(t, first, "temperature")
			assert.Equal(t, 40.2, first["humidity"])
			board.FailTemperature(0)
			s := b.awaitStatus(t, 0, "temperature", "humidity")
			assert.Equal(t, 21.3, s["temperature"])
			assert.Equal(t, 40.2, s["humidity"])

			board.FailTemperature(4)
			board.FailHumidity(4)
			mark := b.Mark()
			for range 5 {
				s = b.awaitStatus(t, mark)
				mark = b.Mark()
			}
			for seq := 1.0; seq <= s["seq"].(float64); seq++ {
				said := b.awaitSaid(t, seq)
				assert.Greater(t, len(said), 3, "a status has a measurement: %v", said)
			}
		})
	}
}

// meta says the period of a stream that is slower than what was asked for.
func TestPeriodOfAStream(t *testing.T) {
	board := simdht.New(simdht.Options{Period: 200 * time.Millisecond})
	b := drive(t, "dht_room", "dht", serveTCP(t, board), "")
	b.Await(0, "the stream's period in the description", func(m bus.Message) bool {
		var meta wire.Meta
		return m.Topic == "/dht_room/meta" && json.Unmarshal(m.Payload, &meta) == nil && math.Abs(meta.Period-0.2) < 0.05
	})
}

func TestPace(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name string
		gaps []time.Duration
		want time.Duration
	}{
		{"as asked for", []time.Duration{s, s * 11 / 10, s * 9 / 10}, s},
		{"slower", []time.Duration{2 * s, 2 * s}, 2 * s},
		{"not whole seconds", []time.Duration{2500 * time.Millisecond, 2500 * time.Millisecond}, 2500 * time.Millisecond},
		{"one that fails to come", []time.Duration{s, 2 * s, s, s, 3 * s, s}, s},
		{"slower, with one that fails to come", []time.Duration{2 * s, 2 * s, 4 * s, 2 * s}, 2 * s},
		{"slower and back", []time.Duration{2 * s, 2 * s, 2 * s, s, s}, s},
		{"one alone", []time.Duration{2 * s}, s},
		{"a break", []time.Duration{2 * s, 0, 2 * s}, s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, now := pace{period: s}, time.Now()
			p.tick(now)
			for _, gap := range tt.gaps {
				now = now.Add(gap)
				if gap == 0 {
					p.pause()
				}
				p.tick(now)
			}
			assert.Equal(t, tt.want, p.period)
		})
	}
}

// script is a sensor that gives what it is told to.
type script struct {
	readings chan sensor.Reading // nil: the reading fails
	closed   chan struct{}
}

func (s *script) Info() sensor.Info { return sensor.Info{Model: "script", Streams: true} }

func (s *script) Close() error { close(s.closed); return nil }

func (s *script) Read(ctx context.Context) (sensor.Reading, error) {
	select {
	case r := <-s.readings:
		if r == nil {
			return nil, errors.New("no measurement")
		}
		return r, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// What is no number never leaves, on no topic; after an error the sensor is
// closed and opened anew.
func TestNoNumbersAndErrors(t *testing.T) {
	readings := make(chan sensor.Reading, 100)
	opened := make(chan *script, 100)
	instruments["script"] = func(context.Context, string) (sensor.Sensor, error) {
		s := &script{readings, make(chan struct{})}
		opened <- s
		return s, nil
	}
	t.Cleanup(func() { delete(instruments, "script") })
	b := drive(t, "x", "script", "tcp://x:1", "old")
	b.awaitState(t, 0, wire.Starting) // connected: the original's topics know no replay
	readings <- sensor.Reading{"a": math.NaN(), "b": math.Inf(1), "c": 9.91e37, "d": 1}
	b.Await(0, "the legacy topic", func(m bus.Message) bool { return m.Topic == "/sensor/old/d" })
	assert.Equal(t, 1.0, b.awaitStatus(t, 0, "d")["d"])

	mark := b.Mark()
	readings <- nil
	b.Await(mark, "the reason", func(m bus.Message) bool { // the state before it may be said once more
		return m.Topic == "/x/state" && strings.Contains(string(m.Payload), `"unreachable"`) && strings.Contains(string(m.Payload), "reading: no measurement")
	})
	<-(<-opened).closed
	readings <- sensor.Reading{"a": 2, "d": 2}
	b.awaitState(t, mark, wire.Ready)
	b.Await(mark, "the value after it", func(m bus.Message) bool { return m.Topic == "/sensor/old/a" })
	for _, topic := range []string{"/sensor/old/b", "/sensor/old/c"} {
		assert.Empty(t, b.Heard(topic))
	}
	for _, m := range b.Heard("/x/status") {
		assert.NotContains(t, string(m.Payload), `"b"`)
	}
}
