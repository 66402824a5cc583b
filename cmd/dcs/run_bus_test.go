package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

const root = wire.Root("")

// control is run control, as a test plays it.
type control struct {
	t *testing.T
	*bustest.Listener
	broker string
	seen   int
}

// newControl is on the bus, ready, and has a driver that has calibration.
func newControl(t *testing.T) *control {
	t.Helper()
	broker := brokertest.Start(t)
	c := &control{t: t, Listener: bustest.Listen(t, broker, root.RunCommands()), broker: broker}
	c.is(wire.Ready)
	c.Leave(root.Meta("ph2acf"), string(wire.Encode(wire.Meta{Kind: wire.KindCalibration, Procedures: map[string]wire.MetaProcedure{
		"calibration": {Parameters: map[string]wire.MetaParameter{
			"module": {Type: wire.TypeString, Required: true}, "vcal": {Type: wire.TypeInt}, "gain": {Type: wire.TypeFloat}, "fast": {Type: wire.TypeBool}, "version": {Type: wire.TypeString},
		}},
	}})))
	bustest.AwaitRetained(t, broker, root.Meta("ph2acf"))
	return c
}

func (c *control) is(state string) {
	c.Leave(root.ServiceState("runcontrol"), string(wire.Encode(wire.State{State: state, Boot: "b00", Error: "no disk"})))
}

// command waits for the next command.
func (c *control) command() wire.RunCommand {
	c.t.Helper()
	m := c.Await(c.seen, "a command", func(bus.Message) bool { return true })
	c.seen++
	op := m.Topic[strings.LastIndex(m.Topic, "/")+1:]
	cmd, err := wire.ParseRunCommand(op, m.Payload)
	require.NoError(c.t, err)
	return cmd
}

func (c *control) acks(cmd wire.RunCommand, a wire.Ack) {
	a.ID, a.Op = cmd.ID, cmd.Op
	if a.Code == "" {
		a.Code = wire.OK
	}
	c.Say(root.RunAck(), string(wire.Encode(a)))
}

// run says the record of a run, of which only what matters need be given.
func (c *control) run(r wire.Run) {
	c.Leave(root.RunState(), c.said(r))
}

func (*control) said(r wire.Run) string {
	if r.Run == 0 {
		r.Run = 42
	}
	r.Procedure, r.Boot, r.Asked, r.Since, r.Time = "calibration", "b00", runStart, runStart.Add(3*time.Second), runStart.Add(3*time.Second)
	return string(wire.Encode(r))
}

// kept says a record and waits until those who come to listen get it.
func (c *control) kept(r wire.Run) {
	c.t.Helper()
	c.run(r)
	bustest.AwaitRetainedAs(c.t, c.broker, root.RunState(), c.said(r))
}

// flags are those of somebody who waits for what is retained as long as it takes.
func (c *control) flags() busFlags {
	return busFlags{Broker: c.broker, Output: "text", settle: patience}
}

func (c *control) start() *runStartCmd {
	return &runStartCmd{commandFlags: commandFlags{busFlags: c.flags()}, Procedure: "calibration"}
}

// going runs a command until ended gives how it ended.
func going(t *testing.T, ctx context.Context, fn func(context.Context, console) error, con console) (ended func() int) { //nolint:revive // t first, as everywhere
	t.Helper()
	result := make(chan error, 1)
	go func() { result <- fn(ctx, con) }()
	return func() int {
		t.Helper()
		select {
		case err := <-result:
			return codeOf(t, err)
		case <-time.After(patience):
			require.Fail(t, "it does not end")
			return -1
		}
	}
}

func TestRunStart(t *testing.T) {
	c := newControl(t)
	c.run(wire.Run{Run: 41, State: wire.RunFailed})
	cmd := c.start()
	cmd.Module, cmd.Set = "007", []string{"vcal=200", "gain=1", "fast=true", "version=5"}
	cmd.As, cmd.Device, cmd.Configuration = "alice", "ph2acf", []string{"hv-on", "end=hv-off"}
	con, out, errs := printed()
	before := time.Now()
	ended := going(t, t.Context(), cmd.run, con)
	got := c.command()
	assert.Equal(t, wire.Parameters{"module": "007", "vcal": 200., "gain": 1., "fast": true, "version": "5"}, got.Parameters)
	assert.Equal(t, "alice", got.User)
	assert.Equal(t, "ph2acf", got.Device)
	assert.Equal(t, "hv-on", got.Configurations[wire.RunTransition].Name)
	assert.Equal(t, "hv-off", got.Configurations["end"].Name)
	assert.WithinRange(t, got.Expires, before.Add(expiryTime-time.Second), time.Now().Add(expiryTime))
	c.acks(wire.RunCommand{ID: "another's"}, wire.Ack{Phase: wire.Rejected})
	c.acks(got, wire.Ack{Phase: wire.Accepted, Run: 42})
	c.acks(got, wire.Ack{Phase: wire.Accepted, Run: 42})
	c.run(wire.Run{State: wire.RunConfiguring})
	start := runStart.Add(time.Second)
	for _, p := range []float64{0, 0.04, 0.31, 0.34, 1} {
		c.run(wire.Run{State: wire.RunRunning, Start: start, Progress: wire.Known(p), Phase: "scan\x1b"})
	}
	c.run(wire.Run{State: wire.RunFinishing, Start: start})
	c.run(wire.Run{State: wire.RunFinished, Start: start, End: start.Add(8 * time.Second)})
	c.acks(got, wire.Ack{Phase: wire.Done, Run: 42})
	assert.Equal(t, 0, ended())
	lines := strings.Split(out.String(), "\n")
	require.Len(t, lines, 9, out.String())
	assert.Equal(t, "calibration: accepted: run 42 has its number", lines[0])
	assert.Regexp(t, `^run 42  configuring  [3-9]\.\d s$`, lines[1])
	assert.Regexp(t, `^run 42  running  scan     0 %  [2-9]\.\d s$`, lines[2])
	assert.Regexp(t, `^run 42  running  scan    31 %  [2-9]\.\d s$`, lines[3])
	assert.Regexp(t, `100 %`, lines[4])
	assert.Regexp(t, `finishing`, lines[5])
	assert.Equal(t, "run 42 finished after 8.0 s", lines[6])
	assert.Equal(t, "see dcs run show 42, dcs run log 42, dcs run files 42 --to DIR", lines[7])
	assert.NotContains(t, out.String(), "\x1b")
	assert.Empty(t, errs.String())
}

func TestRunStartEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		state, phase string
		code         int
	}{
		"failed":     {wire.RunFailed, wire.Failed, 4},
		"aborted":    {wire.RunAborted, wire.Superseded, 4},
		"ack late":   {wire.RunFinished, "", 0},
		"state late": {wire.RunRunning, wire.Done, 0},
		"fail late":  {wire.RunFailed, "", 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newControl(t)
			con, out, _ := printed()
			ended := going(t, t.Context(), c.start().run, con)
			got := c.command()
			c.acks(got, wire.Ack{Phase: wire.Accepted, Run: 42})
			c.run(wire.Run{State: tt.state, Error: "exit code\n1"})
			if tt.phase != "" {
				c.acks(got, wire.Ack{Phase: tt.phase, Run: 42, Message: "so it is"})
			}
			assert.Equal(t, tt.code, ended())
			if wire.RunEnded(tt.state) {
				assert.Contains(t, out.String(), "run 42 "+tt.state+", 3")
				assert.Contains(t, out.String(), "after it was asked for: exit code 1\n")
			} else {
				assert.Contains(t, out.String(), "run 42: done OK so it is")
			}
		})
	}
}

func TestRunStartRejected(t *testing.T) {
	c := newControl(t)
	con, out, _ := printed()
	ended := going(t, t.Context(), c.start().run, con)
	c.acks(c.command(), wire.Ack{Phase: wire.Rejected, Code: wire.Busy, Message: "run 41 is\x1b running"})
	assert.Equal(t, 3, ended())
	assert.Equal(t, "calibration: rejected BUSY: run 41 is  running\n", out.String())

	con, out, _ = printed()
	cmd := c.start()
	cmd.Dry = true
	ended = going(t, t.Context(), cmd.run, con)
	got := c.command()
	assert.True(t, got.Dry)
	c.acks(got, wire.Ack{Phase: wire.Accepted, Code: wire.Dry, Message: "checked"})
	assert.Equal(t, 0, ended())
	assert.Equal(t, "calibration: accepted DRY: checked\n", out.String())

	con, out, _ = printed()
	cmd = c.start()
	cmd.NoWait, cmd.Output = true, "json"
	ended = going(t, t.Context(), cmd.run, con)
	c.acks(c.command(), wire.Ack{Phase: wire.Accepted, Run: 42})
	assert.Equal(t, 0, ended())
	assert.EqualValues(t, 42, jsonLines(t, out.String())[0]["run"])
}

// What the descriptions of drivers rule out is not sent.
func TestRunStartRefuses(t *testing.T) {
	c := newControl(t)
	file := filepath.Join(t.TempDir(), "c.yml")
	require.NoError(t, os.WriteFile(file, []byte("wiat: 1"), 0o600))
	for want, change := range map[string]func(*runStartCmd){
		`no procedure "scan": ph2acf has calibration`: func(s *runStartCmd) { s.Procedure, s.settle = "scan", 5*time.Second }, // it is waited for
		`takes no parameter vacl: it takes fast (bool), gain (float), module (string, required), vcal (int), version (string)`: func(s *runStartCmd) { s.Set = []string{"vacl=1"} },
		`parameter vcal: "1.5" is no whole number`:            func(s *runStartCmd) { s.Set = []string{"vcal=1.5"} },
		`parameter gain: "much" is no number`:                 func(s *runStartCmd) { s.Set = []string{"gain=much"} },
		`parameter fast: "1" is neither true nor false`:       func(s *runStartCmd) { s.Set = []string{"fast=1"} },
		`--set vcal: want name=value`:                         func(s *runStartCmd) { s.Set = []string{"vcal"} },
		`parameter module is given twice`:                     func(s *runStartCmd) { s.Module, s.Set = "M1", []string{"module=M2"} },
		`--configuration: ` + file + `: unknown field "wiat"`: func(s *runStartCmd) { s.Configuration = []string{"@" + file} },
		"5000 bytes": func(s *runStartCmd) { s.Module = strings.Repeat("M", 5000) },
	} {
		cmd := c.start()
		change(cmd)
		con, _, _ := printed()
		assert.ErrorContains(t, cmd.run(t.Context(), con), want)
	}
	assert.Zero(t, c.Mark())
}

// Where no driver has said what it can do, types are guessed.
func TestRunStartGuesses(t *testing.T) {
	t.Parallel()
	broker := brokertest.Start(t)
	c := &control{t: t, Listener: bustest.Listen(t, broker, root.RunCommands()), broker: broker}
	file := filepath.Join(t.TempDir(), "c.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"sensors":[{"device":"hv","field":"vmon","channel":0}]}`), 0o600))
	cmd := c.start()
	cmd.settle = 0 // nothing is retained
	cmd.Module, cmd.Set, cmd.Configuration = "12", []string{"a=1e3", "b=007", "c=-1.5", "d=false", "e=NaN", "f=x=y", "g="}, []string{"@" + file}
	con, _, errs := printed()
	ended := going(t, t.Context(), cmd.run, con)
	got := c.command()
	assert.Equal(t, wire.Parameters{"module": "12", "a": "1e3", "b": "007", "c": -1.5, "d": false, "e": "NaN", "f": "x=y", "g": ""}, got.Parameters)
	assert.Equal(t, "vmon", got.Configurations[wire.RunTransition].Inline.Sensors[0].Field)
	assert.Equal(t, userName(), got.User)
	assert.Equal(t, 5, ended())
	assert.Contains(t, errs.String(), "no answer to the start of calibration within 5s, it may be executed all the same: no run control is on this broker (nothing on /service/runcontrol/state)")
}

func TestRunSilence(t *testing.T) {
	for state, want := range map[string]string{
		"": "start it, or compare the broker", wire.Lost: "lost: its program has died", wire.Stopped: "stopped: start it",
		wire.Ready: "send to /run/cmd/start, and read /run/ack?", wire.Unreachable: "unreachable (/service/runcontrol/state): no disk",
	} {
		f := &follower{flags: &busFlags{}, cmd: &wire.RunCommand{Op: wire.Start}, control: &controller{name: runControl, state: wire.State{State: state, Error: "no disk"}}}
		assert.Contains(t, f.silence(), want)
	}
	f := &follower{flags: &busFlags{}, control: &controller{name: runControl, state: wire.State{State: wire.Ready}}}
	assert.Contains(t, f.silence(), "read /run/state?")
}

func TestRunNoBroker(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	b.Stop()
	flags := busFlags{Broker: b.URL(), Output: "text"}
	for name, fn := range map[string]func(context.Context, console) error{
		"start": (&runStartCmd{commandFlags: commandFlags{busFlags: flags}, Procedure: "x"}).run,
		"abort": (&runAbortCmd{commandFlags: commandFlags{busFlags: flags}}).run,
		"watch": (&runWatchCmd{flags}).run,
		"log": func(ctx context.Context, con console) error {
			_, err := (&runLogCmd{busFlags: flags}).follow(ctx, con)
			return err
		},
	} {
		con, _, errs := printed()
		assert.Equal(t, 5, codeOf(t, fn(t.Context(), con)), name)
		assert.Contains(t, errs.String(), "no broker at "+b.URL(), name)
	}
}

func TestRunInterrupted(t *testing.T) {
	c := newControl(t)
	con, out, errs := printed()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := going(t, ctx, c.start().run, con)
	got := c.command()
	c.acks(got, wire.Ack{Phase: wire.Accepted, Run: 42})
	out.await(t, "has its number")
	c.is(wire.Lost)
	errs.await(t, "run control is lost: waiting for it")
	c.is(wire.Ready)
	cancel()
	assert.Equal(t, 130, ended())
	assert.Contains(t, errs.String(), "run 42 goes on: dcs run watch follows it, dcs run abort 42 ends it")

	con, _, errs = printed()
	ctx, cancel = context.WithCancel(t.Context())
	ended = going(t, ctx, c.start().run, con)
	c.command()
	cancel()
	assert.Equal(t, 130, ended())
	assert.Contains(t, errs.String(), "the start of calibration was sent and may be executed")
}

func TestRunAbort(t *testing.T) {
	c := newControl(t)
	c.kept(wire.Run{State: wire.RunRunning})
	cmd := &runAbortCmd{commandFlags: commandFlags{busFlags: c.flags()}, Number: 42, Reason: "wrong module"}
	con, out, _ := printed()
	ended := going(t, t.Context(), cmd.run, con)
	got := c.command()
	assert.EqualValues(t, 42, got.Run)
	assert.Equal(t, "wrong module", got.Reason)
	c.acks(got, wire.Ack{Phase: wire.Accepted, Run: 42})
	c.run(wire.Run{State: wire.RunAborted, Error: "aborted by alice: wrong module"})
	c.acks(got, wire.Ack{Phase: wire.Done, Run: 42})
	assert.Equal(t, 0, ended())
	assert.Contains(t, out.String(), "abort: accepted: run 42 is being ended\n")
	assert.Contains(t, out.String(), "run 42 aborted, 3")

	con, out, _ = printed()
	cmd.Number = 0
	ended = going(t, t.Context(), cmd.run, con)
	c.acks(c.command(), wire.Ack{Phase: wire.Rejected, Code: wire.BadValue, Message: "no run is under way"})
	assert.Equal(t, 3, ended())
	assert.Equal(t, "abort: rejected BAD_VALUE: no run is under way\n", out.String())
	cmd.Number = -3
	assert.ErrorContains(t, cmd.run(t.Context(), con), "not the number of a run")
}

func TestRunWatch(t *testing.T) {
	c := newControl(t)
	watch := (&runWatchCmd{c.flags()}).run
	c.kept(wire.Run{State: wire.RunRunning, Progress: wire.Known(0.5)})
	con, out, _ := printed()
	ended := going(t, t.Context(), watch, con)
	out.await(t, "run 42  running   50 %")
	c.run(wire.Run{State: wire.RunInterrupted})
	assert.Equal(t, 4, ended())
	c.kept(wire.Run{State: wire.RunInterrupted})
	con, _, errs := printed()
	assert.Equal(t, 0, codeOf(t, watch(t.Context(), con)))
	assert.Contains(t, errs.String(), "no run is under way: the last one, run 42, is interrupted")

	c.kept(wire.Run{Run: 43, State: wire.RunRunning})
	con, out, errs = printed()
	ended = going(t, t.Context(), watch, con)
	out.await(t, "run 43  running")
	c.run(wire.Run{Run: 44, State: wire.RunRunning}) // its end has passed
	assert.Equal(t, 5, ended())
	assert.Contains(t, errs.String(), "run 43 has ended meanwhile, and run 44 is running: see dcs run show 43")

	c.Leave("lab1/run/state", `{"run":0,"state":"idle"}`)
	bustest.AwaitRetained(t, c.broker, "lab1/run/state")
	con, _, errs = printed()
	f := c.flags()
	f.Root = "lab1"
	assert.Equal(t, 0, codeOf(t, (&runWatchCmd{f}).run(t.Context(), con)))
	assert.Contains(t, errs.String(), "there has been no run yet")
	con, _, errs = printed()
	f.Root, f.settle = "lab2", 0
	assert.Equal(t, 5, codeOf(t, (&runWatchCmd{f}).run(t.Context(), con)))
	assert.Contains(t, errs.String(), "no answer to dcs run watch within 700ms")
}

// A break of ours: the state says what the ack would have said, and a command
// is asked for only when it cannot be executed twice.
func TestRunBreak(t *testing.T) {
	con, out, errs := printed()
	flags := &busFlags{}
	f := &follower{flags: flags, con: con, view: &runView{con: con}, control: newController(""), cmd: &wire.RunCommand{Op: wire.Start, ID: "x", Procedure: "p", Expires: time.Now().Add(-time.Minute)}}
	end, _ := f.take(event{lost: context.Canceled})
	assert.False(t, end)
	assert.Contains(t, errs.String(), "lost the broker")
	end, _ = f.take(event{})
	assert.False(t, end)
	assert.NotNil(t, f.ask)
	record := func(r wire.Run) event {
		return event{at: time.Now(), msg: bus.Message{Topic: root.RunState(), Payload: wire.Encode(r)}}
	}
	end, _ = f.take(record(wire.Run{Run: 7, ID: "x", State: wire.RunRunning}))
	assert.False(t, end)
	assert.True(t, f.accepted)
	end, _ = f.askAgain() // without a session it would panic
	assert.False(t, end)
	end, _ = f.take(record(wire.Run{Run: 7, ID: "x", State: wire.RunFinished}))
	assert.False(t, end, "the ack may still come")
	assert.NotNil(t, f.grace)
	assert.NoError(t, f.conclude())
	assert.Contains(t, out.String(), "run 7 finished")
	end, err := f.take(event{msg: bus.Message{Topic: root.RunAck(), Payload: wire.Encode(wire.Ack{ID: "x", Phase: wire.Rejected, Code: wire.Expired})}})
	assert.True(t, end)
	assert.Equal(t, 5, codeOf(t, err), "accepted once, it cannot be called rejected")

	f = &follower{flags: flags, con: con, view: &runView{con: con}, control: newController(""), cmd: &wire.RunCommand{Op: wire.Abort}}
	end, err = f.askAgain()
	assert.True(t, end)
	assert.Equal(t, 5, codeOf(t, err), "an abort of whatever runs could end the next run")
}
