package live

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// acking has hv answer each command with acks of these phases, at once.
func (w *world) acking(phases ...string) {
	w.bus.set(func() {
		w.bus.answer = func(m bus.Message) {
			for _, phase := range phases {
				w.bus.handler(bus.Message{Topic: "/hv/ack", Payload: []byte(ackOf(w.t, m, phase, "OK", ""))})
			}
		}
	})
}

var setv100 = wire.Command{Op: wire.SetV, Channel: wire.One(0), Number: 100, User: "alice"}

// stateFrom is a state that was said that much before now, by the driver's clock.
func stateFrom(state, boot string, before time.Duration) string {
	return string(wire.Encode(wire.State{State: state, Boot: boot, Time: time.Now().UTC().Add(-before)}))
}

// What the book itself ends is told to the pages and to Config.Ended: no ack will.
func TestEndOfADriverIsToldOfItsCommands(t *testing.T) {
	inWorld(t, func(w *world) {
		var told []OutcomeOf
		w.c.Ended = func(device string, o Outcome) {
			_ = w.Snapshot() // no lock is held
			_, _ = w.Outcome(o.ID)
			told = append(told, OutcomeOf{device, o})
		}
		w.acking(wire.Accepted)
		p, lv := w.open("?device=hv"), w.open("?device=lv")
		o, err := w.Do(w.t.Context(), "hv", setv100)
		require.NoError(t, err)
		require.Equal(t, wire.Accepted, o.Phase)
		settle()
		p.news()
		w.say("/hv/state", stateOf("ready", "b"))
		w.say("/hv/state", stateOf("ready", "b"))
		settle()
		news := p.news()
		require.Equal(t, []string{EventState, EventOutcome, EventState}, names(news), "once")
		got := read[OutcomeOf](t, news[1])
		assert.Equal(t, "hv", got.Device)
		assert.Equal(t, o.ID, got.ID)
		assert.Equal(t, PhaseUnanswered, got.Phase)
		assert.Contains(t, got.Message, "the driver ended")
		assert.Equal(t, []string{EventHello}, names(lv.all()))
		require.Len(t, told, 1)
		assert.Equal(t, "hv", told[0].Device)
		assert.Equal(t, PhaseUnanswered, told[0].Phase)
		assert.Equal(t, "alice", told[0].Ack.User)
		p.close()
		lv.close()
	})
}

// Who waits for a command is told by Do, and the pages too: nobody else.
func TestEndOfADriverWhileSomebodyWaits(t *testing.T) {
	inWorld(t, func(w *world) {
		w.c.Ended = func(string, Outcome) { t.Error("it is told twice") }
		w.acking(wire.Accepted)
		p := w.open("")
		var group sync.WaitGroup
		group.Go(func() {
			o, err := w.Do(w.t.Context(), "hv", setv100)
			assert.NoError(t, err)
			assert.Equal(t, PhaseUnanswered, o.Phase)
		})
		settle()
		w.say("/hv/state", stateOf("ready", "b"))
		group.Wait()
		settle()
		assert.Equal(t, []string{EventHello, EventAck, EventState, EventOutcome}, names(p.all()))
		p.close()
	})
}

func TestNoAnswerIsToldToThePages(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.open("?device=lv")
		_, err := w.Do(w.t.Context(), "hv", setv100)
		require.NoError(t, err)
		_, err = w.Do(w.t.Context(), "lv", setv100)
		require.NoError(t, err)
		o, err := w.DoRun(w.t.Context(), wire.RunCommand{Op: wire.Abort, Run: 3})
		require.NoError(t, err)
		settle()
		all := p.all()
		require.Equal(t, []string{EventHello, EventOutcome, EventOutcome}, names(all), "runs are everybody's")
		assert.Equal(t, "lv", read[OutcomeOf](t, all[1]).Device)
		assert.Equal(t, "run", read[OutcomeOf](t, all[2]).Device)
		assert.Equal(t, o.ID, read[OutcomeOf](t, all[2]).ID)
		assert.Equal(t, PhaseUnanswered, read[OutcomeOf](t, all[2]).Phase)

		// It was given up, and then answered before that could be said.
		w.mu.Lock()
		w.mail.gaveUp(OutcomeOf{"run", o})
		w.book.note("run", wire.Ack{ID: o.ID, Op: wire.Abort, Phase: wire.Done}, 1)
		w.mu.Unlock()
		settle()
		assert.Len(t, p.all(), 3)
		p.close()
	})
}

// A driver that comes back with a clock that is behind has ended all the same. What
// is retained may have been said before.
func TestDriverComesBackWithAnOlderClock(t *testing.T) {
	for _, tt := range []struct {
		state, boot string
		before      time.Duration
		retained    bool
		want        string
	}{
		{wire.Ready, "b", time.Hour, false, PhaseUnanswered},
		{wire.Starting, "b", time.Hour, false, PhaseUnanswered},
		{wire.Unreachable, "b", time.Hour, false, PhaseUnanswered},
		{wire.Ready, "b", time.Hour, true, wire.Accepted},
		{wire.Ready, "b", -time.Minute, true, PhaseUnanswered},
		{wire.Lost, "b", time.Hour, false, wire.Accepted},
		{wire.Stopped, "b", time.Hour, false, wire.Accepted},
		{wire.Ready, "a", time.Hour, false, wire.Accepted},
		{wire.Stopped, "a", time.Hour, false, wire.Accepted},
		{wire.Stopped, "a", -time.Minute, true, PhaseUnanswered},
	} {
		inWorld(t, func(w *world) {
			w.acking(wire.Accepted)
			o, err := w.Do(w.t.Context(), "hv", setv100)
			require.NoError(t, err)
			w.hand("/hv/state", stateFrom(tt.state, tt.boot, tt.before), tt.retained)
			o, _ = w.Outcome(o.ID)
			assert.Equal(t, tt.want, o.Phase, "%+v", tt)
		})
	}
}

// The state of the boot before says nothing, however the states and acks waited.
func TestOrderOfStatesAndAcks(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after bool // another state, of the next boot, takes the place of one that came before the ack
		want  string
	}{{"before", false, wire.Accepted}, {"after", true, PhaseUnanswered}} {
		inWorld(t, func(w *world) {
			w.bus.set(func() {
				w.bus.answer = func(m bus.Message) {
					w.mu.Lock() // the loop takes nothing meanwhile
					defer w.mu.Unlock()
					say := func(topic, payload string) { w.bus.handler(bus.Message{Topic: topic, Payload: []byte(payload)}) }
					say("/lv/state", stateOf("ready", "x"))
					say("/hv/state", stateFrom("ready", "0", time.Hour))
					say("/hv/ack", ackOf(w.t, m, wire.Accepted, "OK", ""))
					if tt.after {
						say("/hv/state", stateFrom("ready", "b", time.Hour))
					}
				}
			})
			o, err := w.Do(w.t.Context(), "hv", setv100)
			require.NoError(t, err)
			assert.Equal(t, tt.want, o.Phase, tt.name)
		})
	}
}

// Ids are seen by all. What another command with our id is told is not about ours.
func TestAnotherSenderWithOurID(t *testing.T) {
	ack := func(m bus.Message, change func(*wire.Ack)) string {
		a := wire.Ack{Time: time.Now().UTC(), Boot: "a", Op: wire.SetV, Channel: wire.One(0), Value: 100., Phase: wire.Rejected, Code: wire.Duplicate}
		var c struct{ ID string }
		_ = json.Unmarshal(m.Payload, &c)
		a.ID = c.ID
		change(&a)
		return string(wire.Encode(a))
	}
	for i, tt := range []struct {
		phases []string // of our command
		change func(*wire.Ack)
		want   string
	}{
		{[]string{wire.Accepted}, func(*wire.Ack) {}, wire.Accepted},
		{[]string{wire.Accepted, wire.Done}, func(*wire.Ack) {}, wire.Done},
		{[]string{wire.Accepted, wire.Done}, func(a *wire.Ack) { a.Phase = wire.Failed }, wire.Done},
		{nil, func(a *wire.Ack) { a.Op = wire.SetI }, PhaseUnanswered},
		{nil, func(a *wire.Ack) { a.Channel = wire.One(1) }, PhaseUnanswered},
		{nil, func(a *wire.Ack) { a.Channel = wire.All() }, PhaseUnanswered},
		{nil, func(a *wire.Ack) { a.Value = 101. }, PhaseUnanswered},
		{nil, func(a *wire.Ack) { a.Value = "100" }, PhaseUnanswered},
		{nil, func(a *wire.Ack) { a.Value = []any{100.} }, PhaseUnanswered},
		{nil, func(a *wire.Ack) { a.Value = nil }, PhaseUnanswered},
		{nil, func(*wire.Ack) {}, wire.Rejected},
		{nil, func(a *wire.Ack) { a.Code, a.Channel, a.Value = wire.BadOp, wire.ChannelID{}, nil }, wire.Rejected}, // it has no channels
		{nil, func(a *wire.Ack) { a.Phase, a.Channel = wire.Done, wire.ChannelID{} }, PhaseUnanswered},
	} {
		inWorld(t, func(w *world) {
			w.bus.set(func() {
				w.bus.answer = func(m bus.Message) {
					for _, phase := range tt.phases {
						w.bus.handler(bus.Message{Topic: "/hv/ack", Payload: []byte(ackOf(t, m, phase, "OK", ""))})
					}
					w.bus.handler(bus.Message{Topic: "/hv/ack", Payload: []byte(ack(m, tt.change))})
				}
			})
			o, err := w.Do(w.t.Context(), "hv", setv100)
			require.NoError(t, err)
			synctest.Wait()
			o, _ = w.Outcome(o.ID)
			assert.Equal(t, tt.want, o.Phase, "%d", i)
		})
	}
}

// What was left on the topics of acks and logs comes again in each connection: it is
// no news.
func TestRetainedAcksAndLogsAreNoNews(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.open("")
		for range 2 {
			w.leave("/hv/ack", `{"id":"1","op":"setv","channel":0,"value":3,"phase":"done","code":"OK"}`)
			w.leave("/run/ack", `{"id":"2","op":"start","channel":null,"phase":"done","code":"OK"}`)
			w.leave("/hv/log", `{"run":4,"lines":[{"text":"x"}]}`)
			w.lose()
			w.connect()
		}
		settle()
		assert.Equal(t, []string{EventHello}, names(p.all()))
		assert.Empty(t, w.Snapshot().Acks)
		assert.Equal(t, "2 2 2", fmt.Sprint(w.ignored(anAck), " ", w.ignored(aRunAck), " ", w.ignored(aLog)))
		p.close()
	})
}

// A page that lags does so by no more than queueAge, however little happens.
func TestReaderThatIsBehind(t *testing.T) {
	began := time.Now()
	at := func(d time.Duration) time.Time { return began.Add(d) }
	r := &reader{wake: make(chan struct{}, 1), gone: make(chan struct{})}
	b := newBatch([]event{{frame: []byte("x")}}, 1)
	r.first(b)
	r.take()
	assert.True(t, r.put(b, at(0)))
	assert.True(t, r.put(b, at(2*queueAge)), "it is still reading what a stream begins with")
	r.wrote(at(2 * queueAge))
	assert.True(t, r.put(b, at(3*queueAge)), "it could not begin with it before")
	assert.False(t, r.put(b, at(3*queueAge+1)))
	r.take()
	assert.False(t, r.put(b, at(3*queueAge+1)), "taken is not written")
	r.wrote(at(4 * queueAge))
	assert.True(t, r.put(b, at(9*queueAge)), "it had all there was")
	r.take()
	r.wrote(at(9 * queueAge))
	assert.True(t, r.put(b, at(20*queueAge)))
}
