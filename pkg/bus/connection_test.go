package bus

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRedialsAtMostTenSecondsApart(t *testing.T) {
	b := &fakeBroker{away: true}
	inBubble(t, b, nil, func(t *testing.T, c *Client, log *logBuffer) {
		time.Sleep(time.Minute)
		synctest.Wait()
		var gaps []time.Duration
		b.hold(func() {
			for i, at := range b.dials[1:] {
				gaps = append(gaps, at.Sub(b.dials[i]))
			}
			b.away = false
		})
		want := []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second}
		assert.Equal(t, want, gaps[:len(want)])
		assert.Equal(t, 1, count(log, "waiting for the broker"), "said once: %s", log)
		time.Sleep(lastRetry)
		synctest.Wait()
		assert.True(t, c.Connected())
	})
}

// A broker that is restarted is found again at once; one that ends each
// connection at once is not hammered.
func TestPauseGrowsOnlyWhenConnectionsAreShort(t *testing.T) {
	b := &fakeBroker{}
	inBubble(t, b, nil, func(t *testing.T, c *Client, _ *logBuffer) {
		gap := func(stands time.Duration) time.Duration {
			synctest.Wait()
			require.True(t, c.Connected())
			time.Sleep(stands)
			at := time.Now()
			n := 0
			b.hold(func() { n = len(b.dials) })
			b.cut()
			time.Sleep(lastRetry)
			synctest.Wait()
			d := time.Duration(0)
			b.hold(func() { d = b.dials[n].Sub(at) })
			return d
		}
		assert.Equal(t, 250*time.Millisecond, gap(time.Minute))
		assert.Equal(t, 250*time.Millisecond, gap(time.Minute))
	})
	b = &fakeBroker{}
	b.answer = func(n int, p packets.ControlPacket) []packets.ControlPacket {
		if _, ok := p.(*packets.SubscribePacket); ok {
			go b.cut()
		}
		return obliging(n, p)
	}
	inBubble(t, b, subscribe, func(t *testing.T, _ *Client, _ *logBuffer) {
		time.Sleep(time.Minute)
		synctest.Wait()
		b.hold(func() { assert.Less(t, len(b.dials), 12) })
	})
}

func subscribe(_ *testing.T, c *Client, _ *logBuffer) { c.Subscribe("/a", 1, func(Message) {}) }

// Fault 18: a half-open connection. The broker takes everything and says
// nothing any more.
func TestFault18HalfOpenConnectionIsNoticed(t *testing.T) {
	var mute atomic.Bool
	b := &fakeBroker{}
	b.answer = func(n int, p packets.ControlPacket) []packets.ControlPacket {
		if mute.Load() {
			return nil
		}
		return obliging(n, p)
	}
	var lost []error
	prepare := func(_ *testing.T, c *Client, _ *logBuffer) {
		c.OnLost(func(err error) { b.hold(func() { lost = append(lost, err) }) })
	}
	inBubble(t, b, prepare, func(t *testing.T, c *Client, _ *logBuffer) {
		time.Sleep(time.Hour)
		synctest.Wait()
		b.hold(func() { require.Empty(t, lost) }) // an idle connection is kept alive by pings
		mute.Store(true)
		time.Sleep(silence)
		synctest.Wait()
		b.hold(func() { require.Len(t, lost, 1) })
		mute.Store(false)
		time.Sleep(2 * lastRetry)
		synctest.Wait()
		assert.True(t, c.Connected())
	})
}

// The same with a broker that does not even read: a write finds no room.
func TestFault18WriteThatFindsNoRoom(t *testing.T) {
	b := &fakeBroker{}
	var block chan struct{} // made in the bubble
	b.answer = func(n int, p packets.ControlPacket) []packets.ControlPacket {
		if _, ok := p.(*packets.PublishPacket); ok && n == 1 {
			<-block
		}
		return obliging(n, p)
	}
	prepare := func(*testing.T, *Client, *logBuffer) { block = make(chan struct{}) }
	inBubble(t, b, prepare, func(t *testing.T, c *Client, _ *logBuffer) {
		began := time.Now()
		for range 3 {
			c.Keep(Message{Topic: "/a", QoS: 1, Payload: []byte("x")})
		}
		var err error
		for err == nil {
			err = c.Publish(t.Context(), Message{Topic: "/b", QoS: 1})
		}
		assert.ErrorIs(t, err, ErrOffline)
		assert.LessOrEqual(t, time.Since(began), 2*writeTimeout)
		close(block)
		time.Sleep(2 * lastRetry)
		synctest.Wait()
		assert.True(t, c.Connected())
		assert.Zero(t, waiting(c))
	})
}

func waiting(c *Client) int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return len(c.out.queue) + c.out.flying
}

// A broker that accepts and never answers is given up, and tried again.
func TestBlackHoleIsGivenUp(t *testing.T) {
	b := &fakeBroker{answer: func(n int, p packets.ControlPacket) []packets.ControlPacket {
		if n == 1 {
			return nil
		}
		return obliging(n, p)
	}}
	inBubble(t, b, nil, func(t *testing.T, c *Client, log *logBuffer) {
		time.Sleep(answerTimeout + firstRetry)
		synctest.Wait()
		assert.True(t, c.Connected())
		assert.Equal(t, 1, count(log, "no answer from the broker within"), log.String())
	})
}

// While it waits for an answer, Run ends at once and leaves nothing behind.
func TestRunEndsInTheMiddleOfConnecting(t *testing.T) {
	b := &fakeBroker{answer: func(int, packets.ControlPacket) []packets.ControlPacket { return nil }}
	inBubble(t, b, nil, func(*testing.T, *Client, *logBuffer) {})
}

func TestRefusedSubscription(t *testing.T) {
	var refuse atomic.Bool
	refuse.Store(true)
	b := &fakeBroker{}
	b.answer = func(n int, p packets.ControlPacket) []packets.ControlPacket {
		out := obliging(n, p)
		if a, ok := append(out, nil)[0].(*packets.SubackPacket); ok && refuse.Load() {
			a.ReturnCodes = []byte{0x80}
		}
		return out
	}
	inBubble(t, b, subscribe, func(t *testing.T, c *Client, log *logBuffer) {
		assert.False(t, c.Connected())
		assert.Contains(t, log.String(), "the broker refuses the subscription to /a: check its access list")
		refuse.Store(false)
		time.Sleep(lastRetry)
		synctest.Wait()
		assert.True(t, c.Connected())
	})
}

func TestKeptMessagesGoOutInOrderAndAgain(t *testing.T) {
	b := &fakeBroker{away: true}
	var silent atomic.Bool
	b.answer = func(n int, p packets.ControlPacket) []packets.ControlPacket {
		if _, ok := p.(*packets.PublishPacket); ok && silent.Load() {
			return nil
		}
		return obliging(n, p)
	}
	keep := func(c *Client, from, to int) (want []string) {
		for i := from; i < to; i++ {
			c.Keep(Message{Topic: "/hv/ack", QoS: 1, Payload: fmt.Append(nil, i)})
			want = append(want, fmt.Sprint(i))
		}
		return want
	}
	inBubble(t, b, nil, func(t *testing.T, c *Client, _ *logBuffer) {
		want := keep(c, 0, 20) // while there is no broker
		err := c.Publish(t.Context(), Message{Topic: "/hv/status", QoS: 1})
		assert.ErrorIs(t, err, ErrOffline)
		b.hold(func() { b.away = false })
		time.Sleep(lastRetry)
		synctest.Wait()
		assert.Equal(t, want, b.published())
		assert.Zero(t, waiting(c))

		silent.Store(true)
		b.hold(func() { b.got = nil })
		failed := make(chan error, 1)
		want = keep(c, 20, 30)
		c.Send(Message{Topic: "/hv/status", QoS: 1, Payload: []byte("live")}, func(err error) { failed <- err })
		synctest.Wait()
		require.Equal(t, append(want, "live"), b.published())
		silent.Store(false)
		b.hold(func() { b.got = nil })
		b.cut()
		assert.ErrorIs(t, <-failed, ErrOffline, "what was not confirmed did not leave")
		want = append(want, keep(c, 30, 35)...)
		time.Sleep(lastRetry)
		synctest.Wait()
		assert.Equal(t, want, b.published(), "again what was not confirmed, first")
		assert.Zero(t, waiting(c))
	})
}

// One late confirmation does not hold the others back.
func TestConfirmationsComeInAnyOrder(t *testing.T) {
	b := &fakeBroker{}
	b.answer = func(n int, p packets.ControlPacket) []packets.ControlPacket {
		if m, ok := p.(*packets.PublishPacket); ok && string(m.Payload) == "first" {
			return nil
		}
		return obliging(n, p)
	}
	inBubble(t, b, nil, func(t *testing.T, c *Client, _ *logBuffer) {
		c.Send(Message{Topic: "/a", QoS: 1, Payload: []byte("first")}, nil)
		for range window + 10 {
			c.Send(Message{Topic: "/a", QoS: 1}, nil)
		}
		synctest.Wait()
		assert.LessOrEqual(t, len(b.published()), window+2, "no more than the window is on its way")
		assert.GreaterOrEqual(t, len(b.published()), window)
	})
}

func TestDroppedCountsWhatFindsNoRoom(t *testing.T) {
	c, err := New(Options{Broker: "tcp://127.0.0.1"})
	require.NoError(t, err)
	for range maxKept + 3 {
		c.Keep(Message{Topic: "/a"})
	}
	assert.EqualValues(t, 3, c.Dropped())
}

// A reconnect on purpose says goodbye, warns of nothing, and does not grow the
// pause before it.
func TestHoldForAMoment(t *testing.T) {
	b := &fakeBroker{}
	inBubble(t, b, nil, func(t *testing.T, c *Client, log *logBuffer) {
		for i := range 20 {
			require.True(t, c.Connected())
			at := time.Now()
			c.Hold(0, "asking for messages again")
			time.Sleep(2 * firstRetry)
			synctest.Wait()
			b.hold(func() { assert.Equal(t, firstRetry, b.dials[i+1].Sub(at)) })
		}
		assert.Equal(t, 20, b.took(packets.NewControlPacket(packets.Disconnect)), "the last will does not fire")
		assert.Zero(t, count(log, "level=WARN"), log.String())
		assert.Equal(t, 20, count(log, `reason="asking for messages again"`))
	})
}

func TestHoldForAWhile(t *testing.T) {
	b := &fakeBroker{}
	var connects atomic.Int32
	prepare := func(_ *testing.T, c *Client, _ *logBuffer) { c.OnConnect(func() { connects.Add(1) }) }
	inBubble(t, b, prepare, func(t *testing.T, c *Client, log *logBuffer) {
		c.Hold(time.Minute, "two of us")
		time.Sleep(59 * time.Second)
		synctest.Wait()
		assert.False(t, c.Connected())
		b.hold(func() { assert.Len(t, b.dials, 1) })
		assert.Contains(t, log.String(), "two of us")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.True(t, c.Connected())
		assert.EqualValues(t, 2, connects.Load())
	})
}

// What makes us stay away may come before the subscriptions are granted.
func TestHoldInTheMiddleOfConnecting(t *testing.T) {
	b := &fakeBroker{}
	var connects atomic.Int32
	prepare := func(t *testing.T, c *Client, _ *logBuffer) {
		c.OnConnect(func() { connects.Add(1) })
		b.answer = func(n int, p packets.ControlPacket) []packets.ControlPacket {
			if _, ok := p.(*packets.ConnectPacket); ok && n == 1 {
				c.Hold(time.Minute, "two of us")
			}
			return obliging(n, p)
		}
	}
	inBubble(t, b, prepare, func(t *testing.T, c *Client, _ *logBuffer) {
		time.Sleep(time.Second)
		synctest.Wait()
		assert.False(t, c.Connected())
		assert.Zero(t, connects.Load())
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.True(t, c.Connected())
	})
}

// A new connection that is asked for while one is being made is made, too: the
// messages of a persistent session come before there is a connection to leave.
func TestHoldForAMomentInTheMiddleOfConnecting(t *testing.T) {
	b := &fakeBroker{}
	var connects atomic.Int32
	prepare := func(t *testing.T, c *Client, _ *logBuffer) {
		b.answer = func(n int, p packets.ControlPacket) []packets.ControlPacket {
			if _, ok := p.(*packets.ConnectPacket); ok {
				connects.Store(int32(n))
				if n == 1 {
					c.Hold(0, "asking again")
				}
			}
			return obliging(n, p)
		}
	}
	inBubble(t, b, prepare, func(t *testing.T, c *Client, _ *logBuffer) {
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.True(t, c.Connected())
		assert.EqualValues(t, 2, connects.Load(), "once more, and once only")
	})
}

// The end gives what is queued time to leave.
func TestRunSendsWhatIsQueuedBeforeItEnds(t *testing.T) {
	b := &fakeBroker{}
	b.answer = func(n int, p packets.ControlPacket) []packets.ControlPacket {
		if _, ok := p.(*packets.PublishPacket); ok {
			time.Sleep(10 * time.Millisecond)
		}
		return obliging(n, p)
	}
	inBubble(t, b, nil, func(t *testing.T, c *Client, _ *logBuffer) {
		for i := range 50 {
			c.Send(Message{Topic: "/a", QoS: 1, Payload: fmt.Append(nil, i)}, nil)
		}
	})
	assert.Len(t, b.published(), 50)
	assert.Equal(t, 1, b.took(packets.NewControlPacket(packets.Disconnect)))
}

func TestAfterTheEndNothingIsSent(t *testing.T) {
	c, err := New(Options{Broker: "tcp://127.0.0.1:1"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, c.Run(ctx))
	assert.ErrorIs(t, c.Publish(t.Context(), Message{Topic: "/a"}), ErrOffline)
}
