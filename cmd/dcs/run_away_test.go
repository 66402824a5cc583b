package main

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// unplugged is a session on no bus: a test puts in what comes. Its timers are
// those of the test's bubble.
func unplugged(t *testing.T) *session {
	t.Helper()
	c, err := bus.New(bus.Options{Broker: "tcp://127.0.0.1:1", ClientID: "x"})
	require.NoError(t, err)
	return &session{Client: c, inbox: inbox{wake: make(chan struct{}, 1)}}
}

func (s *session) says(topic string, payload any) {
	s.inbox.put(bus.Message{Topic: topic, Payload: wire.Encode(payload)})
}

func unpluggedFollower(t *testing.T, cmd *wire.RunCommand) (f *follower, out, errs *paper) {
	t.Helper()
	con, out, errs := printed()
	return &follower{
		flags: &busFlags{Output: "text"}, con: con, s: unplugged(t), view: &runView{con: con}, cmd: cmd, offers: make(offers), control: newController(""),
	}, out, errs
}

func startOf(configurations map[string]wire.ConfigurationOrName) *wire.RunCommand {
	return &wire.RunCommand{Op: wire.Start, ID: "x", Procedure: "calibration", Configurations: configurations}
}

// A run control with a name of its own is not seen, but what it says of runs is:
// then it gets the time that it may take.
func TestRunStartWaitsForARunControlOfAnotherName(t *testing.T) {
	for name, tt := range map[string]struct {
		topic string
		cmd   *wire.RunCommand
		want  time.Duration
	}{
		"silence":           {"", startOf(nil), 5 * time.Second},
		"a record":          {root.RunState(), startOf(nil), 15 * time.Second},
		"an ack":            {root.RunAck(), startOf(nil), 15 * time.Second},
		"readings to reach": {root.RunState(), startOf(map[string]wire.ConfigurationOrName{"configure": {Name: "quiet"}}), 75 * time.Second},
		"setpoints only":    {root.RunState(), startOf(map[string]wire.ConfigurationOrName{"run": {Name: "hv-on"}}), 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, _, errs := unpluggedFollower(t, tt.cmd)
				if tt.topic != "" {
					f.s.says(tt.topic, wire.Run{Run: 41, State: wire.RunFinished, Boot: "b7"})
				}
				began := time.Now()
				assert.Equal(t, 5, codeOf(t, f.follow(t.Context())))
				assert.Equal(t, tt.want, time.Since(began))
				assert.Contains(t, errs.String(), "it may be executed all the same")
				if tt.topic == "" {
					assert.Contains(t, errs.String(), "no run control is on this broker")
				} else {
					assert.NotContains(t, errs.String(), "no run control is on this broker")
				}
			})
		})
	}
}

// Its last word before the time is over counts.
func TestRunStartIsAcceptedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, out, _ := unpluggedFollower(t, startOf(map[string]wire.ConfigurationOrName{"configure": {Name: "quiet"}}))
		f.noWait = true
		f.s.says(root.RunState(), wire.Run{Run: 41, State: wire.RunFinished, Boot: "b7"})
		time.AfterFunc(69*time.Second, func() {
			f.s.says(root.RunAck(), wire.Ack{ID: "x", Op: wire.Start, Phase: wire.Accepted, Code: wire.OK, Run: 42})
		})
		assert.NoError(t, f.follow(t.Context()))
		assert.Contains(t, out.String(), "run 42 has its number")
	})
}

// The boot in what is said of runs tells which service run control is.
func TestRunControlIsKnownByItsBoot(t *testing.T) {
	record := wire.Run{Run: 42, State: wire.RunRunning, Boot: "b7"}
	synctest.Test(t, func(t *testing.T) {
		f, _, errs := unpluggedFollower(t, nil)
		f.s.says(root.ServiceState("loader"), wire.State{State: wire.Lost, Boot: "b1"})
		f.s.says(root.ServiceState("lab2"), wire.State{State: wire.Ready, Boot: "b7"})
		f.s.says(root.RunState(), record)
		time.AfterFunc(time.Hour, func() { f.s.says(root.ServiceState("lab2"), wire.State{State: wire.Lost, Boot: "b7"}) })
		began := time.Now()
		assert.Equal(t, 5, codeOf(t, f.follow(t.Context())))
		assert.Equal(t, time.Hour+lostTime, time.Since(began))
		assert.Contains(t, errs.String(), "run control is lost: waiting for it")
	})
}

// What is retained comes in any order, and a run that is said to be running is not
// followed for ever.
func TestRunWatchEndsWhenRunControlWasLostBefore(t *testing.T) {
	says := []func(*session){
		func(s *session) {
			s.says(root.ServiceState(runControl), wire.State{State: wire.Lost, Boot: "b7"})
		},
		func(s *session) { s.says(root.RunState(), wire.Run{Run: 42, State: wire.RunRunning, Boot: "b7"}) },
	}
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			f, _, errs := unpluggedFollower(t, nil)
			for i, n := range order {
				time.AfterFunc(time.Duration(i)*time.Millisecond, func() { says[n](f.s) })
			}
			assert.Equal(t, 5, codeOf(t, f.follow(t.Context())))
			assert.Contains(t, errs.String(), "run control is lost: waiting for it")
			assert.Contains(t, errs.String(), "run control has been lost for 1m0s: what became of run 42 is not known")
		})
	}
}

func TestRunLogFollowEndsWhenNobodyIsThereToSayMore(t *testing.T) {
	lost := func(topic string) (string, wire.State) { return topic, wire.State{State: wire.Lost, Boot: "b7"} }
	for name, tt := range map[string]struct {
		topic string
		back  bool
		want  string
	}{
		"run control":      {root.ServiceState(runControl), false, "run control is lost, for 1m0s now: how run 42 goes on is not known"},
		"its driver":       {root.State("ph2acf"), false, "ph2acf is lost, for 1m0s now: how run 42 goes on is not known"},
		"the driver back":  {root.State("ph2acf"), true, ""},
		"another's driver": {root.State("hv"), true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := unplugged(t)
				con, _, errs := printed()
				l := (&runLogCmd{busFlags: busFlags{Output: "text"}}).newLogFollower(con)
				s.says(lost(tt.topic))
				s.says(root.RunState(), wire.Run{Run: 42, State: wire.RunRunning, Boot: "b7", Device: "ph2acf"})
				if tt.back {
					time.AfterFunc(lostTime-time.Second, func() { s.says(tt.topic, wire.State{State: wire.Ready, Boot: "b8"}) })
					time.AfterFunc(time.Hour, func() { s.says(root.RunState(), wire.Run{Run: 42, State: wire.RunFailed, Boot: "b7"}) })
				}
				began := time.Now()
				_, err := l.follow(t.Context(), s)
				if tt.want == "" {
					assert.NoError(t, err)
					assert.Equal(t, time.Hour, time.Since(began))
					assert.Contains(t, errs.String(), "run 42 is failed")
					return
				}
				assert.Equal(t, 5, codeOf(t, err))
				assert.Equal(t, lostTime, time.Since(began))
				assert.Contains(t, errs.String(), tt.want)
			})
		})
	}
}

// For programs each record is a line, the last one of a run that has ended too.
func TestRunWatchPrintsRecordsAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, out, _ := unpluggedFollower(t, nil)
		f.flags.Output, f.view.silent = "json", true
		for i, state := range []string{wire.RunRunning, wire.RunFinishing, wire.RunFinished} {
			time.AfterFunc(time.Duration(i)*time.Second/2, func() { f.s.says(root.RunState(), wire.Run{Run: 42, State: state}) })
		}
		assert.NoError(t, f.follow(t.Context()))
		lines := jsonLines(t, out.String())
		require.Len(t, lines, 3)
		assert.Equal(t, "running", lines[0]["state"])
		assert.Equal(t, "finished", lines[2]["state"])

		f, out, _ = unpluggedFollower(t, nil)
		f.flags.Output, f.view.silent = "json", true
		f.s.says(root.RunState(), wire.Run{Run: 42, State: wire.RunFailed})
		assert.ErrorIs(t, f.follow(t.Context()), errNothingUnderWay)
		require.Len(t, jsonLines(t, out.String()), 1)
		assert.Equal(t, "failed", jsonLines(t, out.String())[0]["state"])
	})
}

// Ctrl-C is Ctrl-C, also while a broker does not answer.
func TestInterruptedWhileTheBrokerIsSilent(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	flags := busFlags{Broker: "tcp://" + silent.Addr().String(), Output: "text"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, fn := range map[string]func(context.Context, console) error{
		"start": (&runStartCmd{commandFlags: commandFlags{busFlags: flags}, Procedure: "x"}).run,
		"abort": (&runAbortCmd{commandFlags: commandFlags{busFlags: flags}}).run,
		"watch": (&runWatchCmd{flags}).run,
		"get":   (&getCmd{busFlags: flags}).run,
		"log": func(ctx context.Context, con console) error {
			_, err := (&runLogCmd{busFlags: flags}).follow(ctx, con)
			return err
		},
	} {
		con, _, _ := printed()
		assert.Equal(t, 130, codeOf(t, fn(ctx, con)), name)
	}
}
