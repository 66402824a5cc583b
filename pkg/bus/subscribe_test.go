package bus

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

// obligingWithUnsuback also answers UNSUBSCRIBE.
func obligingWithUnsuback(n int, p packets.ControlPacket) []packets.ControlPacket {
	if u, ok := p.(*packets.UnsubscribePacket); ok {
		a := packets.NewControlPacket(packets.Unsuback).(*packets.UnsubackPacket)
		a.MessageID = u.MessageID
		return list(a)
	}
	return obliging(n, p)
}

// Former filters are taken out of the session before the present ones are
// asked for, in each connection; those that are wanted again are left alone.
func TestUnsubscribe(t *testing.T) {
	b := &fakeBroker{answer: obligingWithUnsuback}
	up := 0
	inBubble(t, b, func(_ *testing.T, c *Client, _ *logBuffer) {
		c.SubscribeAll([]string{"/+/status", "/+/ack"}, 1, func(Message) {})
		c.Unsubscribe("lab1/+/status", "/+/ack", "lab1/+/ack")
		c.OnConnect(func() { up++ })
	}, func(t *testing.T, c *Client, _ *logBuffer) {
		b.cut()
		time.Sleep(time.Second)
		synctest.Wait()
		if up != 2 {
			t.Errorf("%d connections", up)
		}
		var said []string
		b.hold(func() {
			for _, p := range b.got {
				switch p := p.(type) {
				case *packets.UnsubscribePacket:
					said = append(said, fmt.Sprint("without ", p.Topics))
				case *packets.SubscribePacket:
					slices.Sort(p.Topics)
					said = append(said, fmt.Sprint("with ", p.Topics))
				}
			}
		})
		one := []string{"without [lab1/+/status lab1/+/ack]", "with [/+/ack /+/status]"}
		if !slices.Equal(said, append(one, one...)) {
			t.Errorf("said %q", said)
		}
	})
}

// Where there is nothing to take out, nothing is said of it.
func TestUnsubscribeNothing(t *testing.T) {
	b := &fakeBroker{answer: obligingWithUnsuback}
	inBubble(t, b, func(_ *testing.T, c *Client, _ *logBuffer) {
		c.SubscribeAll([]string{"/+/status"}, 1, func(Message) {})
		c.Unsubscribe("/+/status")
		c.Unsubscribe()
	}, func(t *testing.T, c *Client, _ *logBuffer) {
		if n := b.took(packets.NewControlPacket(packets.Unsubscribe)); n != 0 || !c.Connected() {
			t.Errorf("%d times, connected %v", n, c.Connected())
		}
	})
}

// A broker that does not answer UNSUBSCRIBE is no connection.
func TestUnsubscribeWithoutAnswer(t *testing.T) {
	b := &fakeBroker{} // obliging, but for that
	inBubble(t, b, func(_ *testing.T, c *Client, _ *logBuffer) {
		c.SubscribeAll([]string{"/+/status"}, 1, func(Message) {})
		c.Unsubscribe("/old")
	}, func(t *testing.T, c *Client, log *logBuffer) {
		time.Sleep(answerTimeout + time.Second)
		synctest.Wait()
		if c.Connected() || count(log, "unsubscribing: no answer") == 0 {
			t.Errorf("connected %v, log %s", c.Connected(), log)
		}
	})
}

// A message that several filters of one subscription take is handed over once,
// at the highest QoS asked for, and one acknowledgement confirms it.
func TestSubscribeAll(t *testing.T) {
	b := &fakeBroker{}
	b.answer = func(n int, p packets.ControlPacket) []packets.ControlPacket {
		out := obliging(n, p)
		if s, ok := p.(*packets.SubscribePacket); ok {
			for i, f := range s.Topics {
				if want := map[string]byte{"/+/status": 1, "/hv/#": 1, "/other": 0}[f]; s.Qoss[i] != want {
					t.Errorf("%s at QoS %d", f, s.Qoss[i])
				}
			}
			for i, topic := range []string{"/hv/status", "/hv/ack", "/other", "/nobody"} {
				m := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
				m.TopicName, m.Qos, m.MessageID = topic, 1, uint16(i+1)
				out = append(out, m)
			}
		}
		return out
	}
	var got []string
	var first Message
	inBubble(t, b, func(_ *testing.T, c *Client, _ *logBuffer) {
		c.opts.ManualAck = true
		c.SubscribeAll([]string{"/+/status", "/hv/#"}, 1, func(m Message) {
			got = append(got, m.Topic)
			if m.Topic == "/hv/status" {
				first = m
			}
		})
		c.SubscribeAll([]string{"/other"}, 0, func(m Message) { got = append(got, "other "+m.Topic); m.Ack() })
		c.SubscribeAll(nil, 1, func(Message) { t.Error("handed to a subscription to nothing") })
	}, func(t *testing.T, c *Client, _ *logBuffer) {
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []string{"/hv/status", "/hv/ack", "other /other"}; !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
		acked := func() (ids []uint16) {
			b.hold(func() {
				for _, p := range b.got {
					if a, ok := p.(*packets.PubackPacket); ok {
						ids = append(ids, a.MessageID)
					}
				}
			})
			slices.Sort(ids)
			return ids
		}
		if ids := acked(); !slices.Equal(ids, []uint16{3, 4}) { // /nobody is nobody's
			t.Errorf("confirmed %d", ids)
		}
		first.Ack()
		first.Ack()
		time.Sleep(time.Second)
		synctest.Wait()
		if ids := acked(); !slices.Contains(ids, 1) || slices.Contains(ids, 2) {
			t.Errorf("confirmed %d", ids)
		}
	})
}

// With a real broker: what a session was told to forget does not come, not even
// to a client that would know what to do with it.
func TestUnsubscribeForGood(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	run := func(prepare func(*Client)) {
		c, err := New(Options{Broker: b.URL(), ClientID: "loader", Persistent: true})
		if err != nil {
			t.Fatal(err)
		}
		prepare(c)
		up := make(chan struct{}, 10)
		c.OnConnect(func() { up <- struct{}{} })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = c.Run(ctx) }()
		select {
		case <-up:
		case <-time.After(time.Minute):
			t.Fatal("no connection")
		}
		cancel()
		<-ended
	}
	run(func(c *Client) { c.SubscribeAll([]string{"/old/status", "/both/status"}, 1, func(Message) {}) })
	run(func(c *Client) {
		c.SubscribeAll([]string{"/new/status", "/both/status"}, 1, func(Message) {})
		c.Unsubscribe("/old/status", "/both/status")
	})
	got := make(chan string, 10)
	o := mqtt.NewClientOptions().AddBroker(b.URL()).SetClientID("loader").SetCleanSession(false).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { got <- m.Topic() })
	raw := mqtt.NewClient(o)
	for began := time.Now(); ; { // a broker that still has the one before sends us away once
		tok := raw.Connect()
		if tok.WaitTimeout(time.Minute) && tok.Error() == nil {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal(tok.Error())
		}
	}
	defer raw.Disconnect(0)
	for _, topic := range []string{"/old/status", "/both/status", "/new/status"} {
		if tok := raw.Publish(topic, 1, false, "x"); !tok.WaitTimeout(time.Minute) || tok.Error() != nil {
			t.Fatal(tok.Error())
		}
	}
	for _, want := range []string{"/both/status", "/new/status"} {
		select {
		case topic := <-got:
			if topic != want {
				t.Errorf("%s came, want %s", topic, want)
			}
		case <-time.After(time.Minute):
			t.Fatal("waited in vain for ", want)
		}
	}
}
