package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

var (
	accepted = wire.Ack{Phase: wire.Accepted}
	done     = wire.Ack{Phase: wire.Done, Readback: wire.Known(99.98)}
)

func flagsFor(broker string) *commandFlags {
	return &commandFlags{busFlags: busFlags{Broker: broker, Output: "text", Timeout: patience}}
}

func TestExitCodes(t *testing.T) {
	broker := brokertest.Start(t)
	hv := newFake(t, broker, "hv")
	for _, tt := range []struct {
		name  string
		acks  []wire.Ack
		code  int
		lines []string
	}{
		{"done", []wire.Ack{accepted, done}, 0, []string{"hv/0 setv -100 V: accepted", "hv/0 setv -100 V: done, reads 99.980 V"}},
		{"accepted twice", []wire.Ack{accepted, accepted, done}, 0, []string{"hv/0 setv -100 V: accepted", "hv/0 setv -100 V: done, reads 99.980 V"}},
		{"no accepted", []wire.Ack{done}, 0, []string{"hv/0 setv -100 V: done, reads 99.980 V"}},
		{"another's", []wire.Ack{{ID: "x", Phase: wire.Rejected}, accepted, done}, 0, nil},
		{"dry", []wire.Ack{{Phase: wire.Accepted, Code: wire.Dry, Message: "checked"}}, 0, []string{"hv/0 setv -100 V: accepted DRY: checked"}},
		{"rejected", []wire.Ack{{Phase: wire.Rejected, Code: wire.OutOfRange, Message: "too much\x1b[2J", Closest: wire.Known(-50)}}, 3,
			[]string{"hv/0 setv -100 V: rejected OUT_OF_RANGE: too much [2J (closest valid value: -50 V)"}},
		{"failed", []wire.Ack{accepted, {Phase: wire.Failed, Code: wire.Timeout, Message: "held"}}, 4,
			[]string{"hv/0 setv -100 V: accepted", "hv/0 setv -100 V: failed TIMEOUT: held"}},
		{"superseded", []wire.Ack{accepted, {Phase: wire.Superseded, Message: "by bob"}}, 4, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hv.answers(tt.acks...)
			con, out, _ := printed()
			err := flagsFor(broker).order(t.Context(), con, target{"hv", "0"}, wire.SetV, "-100", "")
			assert.Equal(t, tt.code, codeOf(t, err))
			if tt.lines != nil {
				assert.Equal(t, strings.Join(tt.lines, "\n")+"\n", out.String())
			}
		})
	}
}

func TestEnvelope(t *testing.T) {
	broker := brokertest.Start(t)
	hv := newFake(t, broker, "hv")
	hv.answers(done)
	con, _, _ := printed()
	before := time.Now()
	f := flagsFor(broker)
	f.Dry = true
	require.NoError(t, f.order(t.Context(), con, target{"hv", "all"}, wire.Switch, "off", ""))
	f.Dry = false
	require.NoError(t, f.order(t.Context(), con, target{"hv", "3"}, wire.Lock, "", "hands inside"))
	got := hv.commands()
	require.Len(t, got, 2)
	off := got[0]
	assert.Equal(t, wire.All(), off.Channel)
	assert.Equal(t, wire.Off, off.Word)
	assert.Equal(t, userName(), off.User)
	assert.True(t, off.Dry)
	assert.WithinRange(t, off.Expires, before.Add(10*time.Second), time.Now().Add(10*time.Second))
	assert.Equal(t, "hands inside", got[1].Reason)
	assert.False(t, got[1].Dry)
	assert.NotEqual(t, off.ID, got[1].ID)
}

func TestNoWait(t *testing.T) {
	broker := brokertest.Start(t)
	newFake(t, broker, "hv").answers(accepted)
	con, out, _ := printed()
	f := flagsFor(broker)
	f.NoWait = true
	require.NoError(t, f.order(t.Context(), con, target{"hv", "0"}, wire.Switch, "on", ""))
	assert.Equal(t, "hv/0 switch on: accepted\n", out.String())
}

func TestJSONAcks(t *testing.T) {
	broker := brokertest.Start(t)
	newFake(t, broker, "hv").answers(accepted, done)
	con, out, _ := printed()
	f := flagsFor(broker)
	f.Output = "json"
	require.NoError(t, f.order(t.Context(), con, target{"hv", "0"}, wire.SetV, "100.", ""))
	acks := jsonLines(t, out.String())
	require.Len(t, acks, 2)
	assert.Equal(t, "accepted", acks[0]["phase"])
	assert.Equal(t, "done", acks[1]["phase"])
	assert.EqualValues(t, 99.98, acks[1]["readback"])
	assert.EqualValues(t, 100, acks[1]["value"])
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	broker := brokertest.Start(t)
	newFake(t, broker, "hv").saysState(wire.Lost, "")
	con, out, errs := printed()
	f := flagsFor(broker)
	f.Timeout = 4 * time.Second
	err := f.order(t.Context(), con, target{"hv", "0"}, wire.SetV, "100", "")
	assert.Equal(t, 5, codeOf(t, err))
	assert.Empty(t, out.String())
	assert.Equal(t, "dcs: no answer to hv/0 setv 100 V within 4s: hv is lost: its driver has died, or has no connection to the broker\n", errs.String())
}

func TestNoLastWord(t *testing.T) {
	t.Parallel()
	broker := brokertest.Start(t)
	newFake(t, broker, "hv").answers(accepted)
	con, _, errs := printed()
	f := flagsFor(broker)
	f.Timeout = 4 * time.Second
	assert.Equal(t, 5, codeOf(t, f.order(t.Context(), con, target{"hv", "0"}, wire.SetV, "100", "")))
	assert.Contains(t, errs.String(), "no last word on hv/0 setv 100 V within 4s: it goes on")
}

func TestSilence(t *testing.T) {
	w := &waiter{to: target{"hv", "0"}, flags: flagsFor("")}
	assert.Contains(t, w.silence(), "nobody on this broker has ever been hv")
	for state, want := range map[string]string{
		wire.Lost:        "hv is lost",
		wire.Stopped:     "start its driver",
		wire.Unreachable: "does not reach its instrument: no route",
		wire.Ready:       "access list",
		wire.Starting:    "hv is starting",
	} {
		end, _ := w.takeState(wire.Encode(wire.State{State: state, Error: "no route"}))
		assert.False(t, end, state)
		assert.Contains(t, w.silence(), want)
	}
}

func TestNoBroker(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	b.Stop() // its port is free again, and nobody answers there
	con, _, errs := printed()
	err := flagsFor(b.URL()).order(t.Context(), con, target{"hv", "0"}, wire.SetV, "100", "")
	assert.Equal(t, 5, codeOf(t, err))
	assert.Contains(t, errs.String(), "hv/0 setv 100 V was not sent: no broker at "+b.URL())

	err = flagsFor("http://nowhere").order(t.Context(), con, target{"hv", "0"}, wire.SetV, "100", "")
	assert.ErrorContains(t, err, "begin with tcp://")
	f := flagsFor(b.URL())
	f.Root = "lab#"
	assert.ErrorContains(t, f.order(t.Context(), con, target{"hv", "0"}, wire.SetV, "100", ""), "wildcards")
}

func TestInterrupted(t *testing.T) {
	broker := brokertest.Start(t)
	newFake(t, broker, "hv").answers(accepted)
	con, out, errs := printed()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- flagsFor(broker).order(ctx, con, target{"hv", "0"}, wire.SetV, "100", "") }()
	out.await(t, "accepted")
	cancel()
	assert.Equal(t, 130, codeOf(t, <-ended))
	assert.Contains(t, errs.String(), "hv/0 setv 100 V goes on")
}

// TestDriverRestarts ends the wait for a driver that knows nothing any more of
// what it had accepted.
func TestDriverRestarts(t *testing.T) {
	broker := brokertest.Start(t)
	hv := newFake(t, broker, "hv")
	hv.saysState(wire.Ready, "")
	hv.answers(accepted)
	con, out, errs := printed()
	ended := make(chan error)
	go func() {
		ended <- flagsFor(broker).order(t.Context(), con, target{"hv", "0"}, wire.SetV, "100", "")
	}()
	out.await(t, "accepted")
	hv.saysState(wire.Lost, "")
	errs.await(t, "hv is lost: waiting for it")
	hv.boot = "b01"
	hv.saysState(wire.Starting, "")
	assert.Equal(t, 5, codeOf(t, <-ended))
	assert.Contains(t, errs.String(), "the driver of hv has started anew: what became of hv/0 setv 100 V is not known")
}

// TestStates tells the states that end the wait from those that do not.
func TestStates(t *testing.T) {
	for _, tt := range []struct {
		state, boot string
		end         bool
	}{
		{wire.Ready, "b00", false},
		{wire.Unreachable, "b00", false},
		{wire.Lost, "b00", false},
		{wire.Lost, "old", false}, // the late last will of an old connection
		{wire.Stopped, "old", false},
		{wire.Stopped, "b00", true},
		{wire.Starting, "new", true},
	} {
		con, _, _ := printed()
		w := &waiter{to: target{"hv", "0"}, con: con, flags: flagsFor(""), accepted: true, boot: "b00"}
		end, err := w.takeState(wire.Encode(wire.State{State: tt.state, Boot: tt.boot}))
		assert.Equal(t, tt.end, end, tt)
		assert.Equal(t, tt.end, codeOf(t, err) == 5, tt)
		assert.Equal(t, tt.state == wire.Lost && tt.boot == "b00", w.lost != nil, tt)
	}
}

// TestBreakDuringOff: an off does not expire, so it is not sent a second time.
func TestBreakDuringOff(t *testing.T) {
	con, _, errs := printed()
	w := &waiter{to: target{"hv", "0"}, con: con, flags: flagsFor(""), accepted: true, boot: "b00"} // no session: sending would panic
	w.cmd = wire.Command{Op: wire.Switch, ID: "1", Word: wire.Off, Expires: time.Now().Add(-time.Minute)}
	end, err := w.askAgain()
	assert.True(t, end)
	assert.Equal(t, 5, codeOf(t, err))
	assert.Contains(t, errs.String(), "what became of it is not known")
}

// TestBreakOfOurs asks again after a break, and only once the command has
// expired: a driver that does not know it must not execute it.
func TestBreakOfOurs(t *testing.T) {
	con, out, errs := printed()
	w := &waiter{to: target{"hv", "0"}, con: con, flags: flagsFor(""), accepted: true, boot: "b00"}
	w.cmd = wire.Command{Op: wire.SetV, ID: "1", Number: 100, Expires: time.Now().Add(-time.Minute)}
	end, _ := w.take(event{lost: fmt.Errorf("cable")})
	require.False(t, end)
	assert.Contains(t, errs.String(), "lost the broker (cable)")
	end, _ = w.take(event{})
	require.False(t, end)
	select {
	case <-w.ask:
	case <-time.After(patience):
		require.Fail(t, "it does not ask")
	}
	end, err := w.takeAck(wire.Encode(wire.Ack{ID: "1", Phase: wire.Rejected, Code: wire.Expired}))
	assert.True(t, end)
	assert.Equal(t, 5, codeOf(t, err), "accepted once, it cannot be called rejected")
	assert.Empty(t, out.String())
}
