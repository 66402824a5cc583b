package live

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// ackOf writes an ack of a command that was sent.
func ackOf(t *testing.T, m bus.Message, phase, code, more string) string {
	t.Helper()
	c := commandOf(t, m)
	value, err := json.Marshal(c.Value())
	require.NoError(t, err)
	channel, err := json.Marshal(c.Channel)
	require.NoError(t, err)
	return fmt.Sprintf(`{"time":%q,"boot":"a","id":%q,"op":%q,"channel":%s,"value":%s,"user":%q,"phase":%q,"code":%q%s}`,
		time.Now().UTC().Format(time.RFC3339Nano), c.ID, c.Op, channel, value, c.User, phase, code, more)
}

func commandOf(t *testing.T, m bus.Message) wire.Command {
	t.Helper()
	l := strings.Split(m.Topic, "/")
	c, err := wire.ParseCommand(l[3], l[4], m.Payload)
	require.NoError(t, err, "%s", m.Payload)
	return c
}

func TestDo(t *testing.T) {
	setv := wire.Command{Op: wire.SetV, Channel: wire.One(0), Number: 100, User: "alice"}
	off := wire.Command{Op: wire.Switch, Channel: wire.All(), Word: wire.Off}
	dry := setv
	dry.Dry = true
	type ack struct {
		after             time.Duration
		phase, code, more string
	}
	for _, tt := range []struct {
		name  string
		c     wire.Command
		acks  []ack
		took  time.Duration
		phase string
		later string // what it is when all acks have come
	}{
		{"done", setv, []ack{{0, wire.Accepted, "OK", ""}, {300 * time.Millisecond, wire.Done, "OK", `,"readback":99.9`}}, 300 * time.Millisecond, wire.Done, wire.Done},
		{"refused", setv, []ack{{0, wire.Rejected, "OUT_OF_RANGE", `,"closest":50,"message":"too much"`}}, 0, wire.Rejected, wire.Rejected},
		{"under way", setv, []ack{{0, wire.Accepted, "OK", ""}, {5 * time.Second, wire.Done, "OK", ""}}, defaultWait, wire.Accepted, wire.Done},
		{"failed", off, []ack{{0, wire.Accepted, "OK", ""}, {time.Second, wire.Failed, "HARDWARE", ""}}, time.Second, wire.Failed, wire.Failed},
		{"superseded", setv, []ack{{0, wire.Accepted, "OK", ""}, {time.Second, wire.Superseded, "OK", ""}}, time.Second, wire.Superseded, wire.Superseded},
		{"dry", dry, []ack{{0, wire.Accepted, "DRY", ""}}, 0, wire.Accepted, wire.Accepted},
		{"no answer", setv, nil, defaultWait, PhaseUnanswered, PhaseUnanswered},
		{"an answer too late", setv, []ack{{3 * time.Second, wire.Rejected, "EXPIRED", ""}}, defaultWait, PhaseUnanswered, wire.Rejected},
		{"the end twice, and the beginning once more", setv, []ack{{0, wire.Done, "OK", ""}, {time.Second, wire.Accepted, "OK", ""}, {time.Second, wire.Done, "OK", ""}}, 0, wire.Done, wire.Done},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				p := w.open("")
				w.bus.set(func() {
					w.bus.answer = func(m bus.Message) {
						began := time.Now()
						for _, a := range tt.acks {
							time.Sleep(time.Until(began.Add(a.after)))
							w.bus.handler(bus.Message{Topic: "/hv/ack", Payload: []byte(ackOf(t, m, a.phase, a.code, a.more))})
						}
					}
				})
				began := time.Now()
				o, err := w.Do(w.t.Context(), "hv", tt.c)
				require.NoError(t, err)
				assert.Equal(t, tt.took, time.Since(began))
				assert.Equal(t, tt.phase, o.Phase)
				assert.NotEmpty(t, o.ID)
				assert.Equal(t, tt.phase != PhaseUnanswered, o.Ack != nil)
				time.Sleep(10 * time.Second)
				later, ok := w.Outcome(o.ID)
				require.True(t, ok)
				assert.Equal(t, tt.later, later.Phase)

				sent := w.bus.commands()
				require.Len(t, sent, 1, "it is not repeated")
				assert.Equal(t, "/hv/cmd/"+tt.c.Op+"/"+tt.c.Channel.String(), sent[0].Topic)
				assert.EqualValues(t, 1, sent[0].QoS)
				assert.False(t, sent[0].Retained)
				c := commandOf(t, sent[0])
				assert.Equal(t, o.ID, c.ID)
				assert.True(t, c.Expires.Equal(began.Add(expiry)))
				assert.Equal(t, tt.c.User, c.User)
				assert.Equal(t, tt.c.Value(), c.Value())
				n := 0
				for _, e := range p.all() {
					if e.name == EventAck {
						n++
					}
				}
				assert.Equal(t, len(tt.acks), n, "the stream has them too")
				p.close()
			})
		})
	}
}

func TestOutcomeSaysAll(t *testing.T) {
	inWorld(t, func(w *world) {
		w.bus.set(func() {
			w.bus.answer = func(m bus.Message) {
				w.bus.handler(bus.Message{Topic: "/hv/ack", Payload: []byte(ackOf(t, m, wire.Rejected, "OUT_OF_RANGE", `,"closest":0,"readback":3,"message":"too much","run":7`))})
			}
		})
		o, err := w.Do(w.t.Context(), "hv", wire.Command{Op: wire.SetV, Channel: wire.One(0), Number: 1e6, ID: "mine"})
		require.NoError(t, err)
		assert.Equal(t, "mine", o.ID)
		assert.Equal(t, "OUT_OF_RANGE", o.Code)
		assert.Equal(t, "too much", o.Message)
		assert.Equal(t, 0., *o.Closest)
		assert.Equal(t, 3., *o.Readback)
		assert.EqualValues(t, 7, o.Run)
		assert.Equal(t, "mine", o.Ack.ID)
	})
}

func TestDoOffline(t *testing.T) {
	inWorld(t, func(w *world) {
		setv := wire.Command{Op: wire.SetV, Channel: wire.One(0), ID: "x"}
		w.lose()
		_, err := w.Do(w.t.Context(), "hv", setv)
		require.ErrorIs(t, err, bus.ErrOffline)
		_, known := w.Outcome("x")
		assert.False(t, known)
		w.connect()
		w.bus.set(func() { w.bus.standing = false }) // it ends as the command is sent
		o, err := w.Do(w.t.Context(), "hv", setv)
		require.NoError(t, err, "it may have been sent")
		assert.Equal(t, PhaseUnanswered, o.Phase)
	})
	_, err := New(Config{}).Do(t.Context(), "hv", wire.Command{Op: wire.Clear, Channel: wire.All()})
	assert.ErrorIs(t, err, bus.ErrOffline)
}

func TestDoRefusesWhatIsNoTopic(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, tt := range []struct {
			device string
			c      wire.Command
			want   string
		}{
			{"", wire.Command{Op: "setv"}, "name"},
			{"a/b", wire.Command{Op: "setv"}, "a/b"},
			{"+", wire.Command{Op: "setv"}, "+"},
			{"run", wire.Command{Op: "setv"}, "reserved"},
			{"hv", wire.Command{Op: "se/tv"}, "op"},
			{"hv", wire.Command{Op: "#"}, "op"},
			{"hv", wire.Command{Op: ""}, "op"},
			{"hv", wire.Command{Op: "setv", Channel: wire.ParseChannel("#")}, "channel"},
			{"hv", wire.Command{Op: "setv", Number: math.NaN()}, "number"},
			{"hv", wire.Command{Op: "setv", Number: math.Inf(-1)}, "number"},
			{"hv", wire.Command{Op: "setv", User: strings.Repeat("x", wire.MaxCommand)}, "bytes"},
		} {
			_, err := w.Do(w.t.Context(), tt.device, tt.c)
			require.ErrorContains(t, err, tt.want, "%q %+v", tt.device, tt.c)
			assert.NotErrorIs(t, err, bus.ErrOffline)
		}
		_, err := w.DoRun(w.t.Context(), wire.RunCommand{Op: "a/b"})
		require.Error(t, err)
		_, err = w.DoRun(w.t.Context(), wire.RunCommand{Op: wire.Start, Parameters: wire.Parameters{"x": math.NaN()}})
		require.ErrorContains(t, err, "parameters")
		_, err = w.DoRun(w.t.Context(), wire.RunCommand{Op: wire.Start, Configurations: map[string]wire.ConfigurationOrName{"run": {Inline: &wire.Configuration{Wait: math.NaN()}}}})
		require.ErrorContains(t, err, "configurations")
		assert.Empty(t, w.bus.commands())
	})
}

func TestCallerLeaves(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		o, err := w.Do(ctx, "hv", wire.Command{Op: wire.Clear, Channel: wire.All()})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.NotEmpty(t, o.ID)
		_, err = w.Do(ctx, "hv", wire.Command{Op: wire.Clear, Channel: wire.All()})
		require.Error(t, err)
		assert.Len(t, w.bus.commands(), 1, "who has left already sends nothing")
		w.say("/hv/ack", `{"id":"`+o.ID+`","op":"clear","channel":"all","phase":"done","code":"OK"}`)
		o, _ = w.Outcome(o.ID)
		assert.Equal(t, wire.Done, o.Phase)
	})
}

func TestDoRun(t *testing.T) {
	inWorld(t, func(w *world) {
		w.bus.set(func() {
			w.bus.answer = func(m bus.Message) {
				c, err := wire.ParseRunCommand(wire.Start, m.Payload)
				assert.NoError(t, err)
				w.bus.handler(bus.Message{Topic: "/hv/ack", Payload: []byte(`{"id":"` + c.ID + `","op":"start","phase":"done"}`)})
				time.Sleep(time.Second)
				w.bus.handler(bus.Message{Topic: "/run/ack", Payload: []byte(`{"id":"` + c.ID + `","op":"start","channel":null,"phase":"accepted","code":"OK","run":42}`)})
			}
		})
		o, err := w.DoRun(w.t.Context(), wire.RunCommand{Op: wire.Start, Procedure: "calibration", User: "alice", Parameters: wire.Parameters{"vcal": 200.}})
		require.NoError(t, err)
		assert.Equal(t, wire.Accepted, o.Phase, "a device's ack with the same id is not run control's")
		assert.EqualValues(t, 42, o.Run)
		sent := w.bus.commands()
		assert.Equal(t, "/run/cmd/start", sent[0].Topic)
		w.say("/run/ack", `{"id":"`+o.ID+`","op":"start","channel":null,"phase":"superseded","code":"OK","run":42}`)
		o, _ = w.Outcome(o.ID)
		assert.Equal(t, wire.Superseded, o.Phase)
	})
}

// A new boot means that the outcome of older commands is not known.
func TestDriverEndsInACommand(t *testing.T) {
	for _, tt := range []struct {
		state, boot string
		want        string
	}{
		{"ready", "b", PhaseUnanswered},
		{"starting", "b", PhaseUnanswered},
		{"stopped", "a", PhaseUnanswered},
		{"unreachable", "a", wire.Accepted},
		{"ready", "a", wire.Accepted},
	} {
		inWorld(t, func(w *world) {
			w.bus.set(func() {
				w.bus.answer = func(m bus.Message) {
					w.bus.handler(bus.Message{Topic: "/hv/ack", Payload: []byte(ackOf(t, m, wire.Accepted, "OK", ""))})
					time.Sleep(time.Second)
					w.bus.handler(bus.Message{Topic: "/lv/state", Payload: []byte(stateOf("ready", "x"))})
					w.bus.handler(bus.Message{Topic: "/hv/state", Payload: []byte(`{"state":"lost","boot":"0","error":"an older will"}`)})
					w.bus.handler(bus.Message{Topic: "/hv/state", Payload: []byte(stateOf(tt.state, tt.boot))})
				}
			})
			began := time.Now()
			o, err := w.Do(w.t.Context(), "hv", wire.Command{Op: wire.Clear, Channel: wire.All()})
			require.NoError(t, err)
			assert.Equal(t, tt.want, o.Phase, "%s %s", tt.state, tt.boot)
			assert.Equal(t, tt.want == PhaseUnanswered, time.Since(began) < defaultWait)
			w.say("/hv/ack", `{"id":"`+o.ID+`","op":"clear","channel":"all","phase":"done","code":"OK"}`)
			o, _ = w.Outcome(o.ID)
			assert.Equal(t, wire.Done, o.Phase)
		})
	}
}

func TestBookRemembersAThousand(t *testing.T) {
	b := newBook()
	clear := func(device, id string) request { return request{device: device, id: id, op: wire.Clear, ch: "all"} }
	ended := func(device string) {
		b.note(device, wire.Ack{ID: "waiting", Op: wire.Clear, Channel: wire.All(), Phase: wire.Done}, 1)
	}
	waiting := b.open(clear("hv", "waiting"))
	for i := range keptCommands + 10 {
		b.close(b.open(clear("hv", fmt.Sprint(i))))
	}
	assert.Len(t, b.entries, keptCommands)
	assert.Len(t, b.order, keptCommands)
	_, ok := b.find("10")
	assert.False(t, ok)
	_, ok = b.find(fmt.Sprint(keptCommands))
	assert.True(t, ok)
	o, ok := b.find("waiting")
	assert.True(t, ok, "one that is waited for is not forgotten")
	assert.Equal(t, PhaseSent, o.Phase)
	b.close(waiting)
	again := b.open(clear("lv", "waiting"))
	ended("hv")
	o, _ = b.look(again)
	assert.Equal(t, PhaseSent, o.Phase, "another device's")
	ended("lv")
	o, _ = b.find("waiting")
	assert.Equal(t, wire.Done, o.Phase)
	assert.Len(t, b.order, keptCommands)
	b.cancel(waiting)
	_, ok = b.find("waiting")
	assert.True(t, ok, "it is not that one any more")
}
