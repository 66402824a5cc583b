package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

// setpoints is a configuration that takes a channel up.
func setpoints(volts float64) wire.Configuration {
	return wire.Configuration{Setpoints: []wire.Setpoint{
		{Device: "hv", Channel: 0., Op: wire.SetV, Value: volts},
		{Device: "hv", Channel: 0., Op: wire.Switch, Value: wire.On},
		{Device: "hv", Channel: 1., Op: wire.SetV, Value: volts},
	}}
}

func inline(transition string, c wire.Configuration) map[string]wire.ConfigurationOrName {
	return map[string]wire.ConfigurationOrName{transition: {Inline: &c}}
}

// phases writes acks in short.
func phases(acks []wire.Ack) (out []string) {
	for _, a := range acks {
		out = append(out, a.Phase+" "+string(a.Code))
	}
	return out
}

// path writes the transitions of a run in short.
func path(r wire.Run) (out []string) {
	for _, t := range r.Transitions {
		out = append(out, t.Name+":"+t.To)
	}
	return out
}

func settled(t *testing.T) *world {
	t.Helper()
	w := newWorld()
	w.settle()
	state, why := w.m.Standing()
	require.Equal(t, wire.Ready, state, why)
	t.Cleanup(func() { assert.Empty(t, w.invalid) })
	return w
}

func TestRunFinishes(t *testing.T) {
	w := settled(t)
	w.start("a", nil)
	require.Equal(t, wire.RunRunning, w.run().State)
	w.wait(3 * time.Second)
	w.programEnds(wire.RunFinished)
	w.deliver()
	w.wait(6 * time.Second)
	r := w.run()
	assert.Equal(t, wire.RunFinished, r.State)
	assert.Equal(t, wire.ResultsReceived, r.Results)
	assert.Equal(t, []string{"configure:configuring", "run:running", "finish:finishing", "end:finished"}, path(r))
	assert.Equal(t, []string{"accepted OK", "done OK"}, phases(w.acks("a")))
	assert.EqualValues(t, 1, w.acks("a")[0].Run)
	assert.Equal(t, "M12", r.Module)
	assert.Empty(t, w.kept, "the sink has confirmed it")
	assert.Equal(t, wire.RunFinished, w.state.State)
	assert.Equal(t, w.sink.records[1].State, wire.RunFinished)
	notes := 0
	for _, o := range w.outs {
		if a, is := o.(Annotate); is {
			notes++
			assert.Equal(t, r.Start, a.Annotation.Start)
		}
	}
	assert.Equal(t, 2, notes)

	w.start("b", nil)
	assert.EqualValues(t, 2, w.run().Run)
	w.start("c", nil)
	assert.Equal(t, []string{"rejected BUSY"}, phases(w.acks("c")))
	w.start("a", nil)
	assert.Equal(t, []string{"accepted OK", "done OK", "done OK"}, phases(w.acks("a")))
}

// Every way in which a start is refused.
func TestStartRefused(t *testing.T) {
	retained := func(w *world) {
		w.handle(Received{Command: wire.RunCommand{Op: wire.Start, ID: "x", Procedure: "calibration"}, Payload: []byte("{}"), Retained: true})
	}
	start := func(c wire.RunCommand) func(*world) {
		return func(w *world) {
			c.Op, c.ID = wire.Start, "x"
			if c.Procedure == "" {
				c.Procedure = "calibration"
			}
			w.command(c)
			w.wait(20 * time.Second)
		}
	}
	bad := func(transition string, c wire.Configuration) func(*world) {
		return start(wire.RunCommand{Configurations: inline(transition, c)})
	}
	for name, tt := range map[string]struct {
		do   func(*world)
		code wire.Code
		text string
	}{
		"retained": {retained, wire.Retained, "without the retain flag"},
		"op": {func(w *world) {
			w.handle(Received{Command: wire.RunCommand{Op: "stop/now", ID: "x"}, Payload: []byte("{}")})
		}, wire.BadOp, `"stop/now" is not a command about runs`},
		"malformed":  {func(w *world) { w.command(wire.RunCommand{Op: wire.Start, ID: "x"}) }, wire.BadValue, `"procedure" is missing`},
		"number":     {start(wire.RunCommand{Run: 7}), wire.BadValue, "run control gives the number"},
		"uid":        {start(wire.RunCommand{UID: "7"}), wire.BadValue, "run control makes it"},
		"expired":    {start(wire.RunCommand{Expires: epoch}), wire.Expired, "compare the clocks"},
		"procedure":  {start(wire.RunCommand{Procedure: "rm"}), wire.CodeUnreachable, `no driver offers "rm": ph2acf has calibration`},
		"not its":    {start(wire.RunCommand{Procedure: "rm", Device: "ph2acf"}), wire.BadValue, `ph2acf has no procedure "rm": it has calibration`},
		"no device":  {start(wire.RunCommand{Device: "nn"}), wire.CodeUnreachable, "no device nn has said what it is"},
		"not such":   {start(wire.RunCommand{Device: "hv"}), wire.BadValue, "hv does not execute runs: it is a psu"},
		"lost":       {func(w *world) { w.killDriver(); w.deliver(); start(wire.RunCommand{})(w) }, wire.CodeUnreachable, "ph2acf is lost: start its driver"},
		"refused":    {func(w *world) { w.driver.refuse = wire.BadValue; start(wire.RunCommand{})(w) }, wire.BadValue, "ph2acf: "},
		"mute":       {func(w *world) { w.driver.mute = true; start(wire.RunCommand{})(w) }, wire.CodeUnreachable, "ph2acf did not say within 3s whether"},
		"disk":       {func(w *world) { w.diskFull = true; start(wire.RunCommand{})(w) }, wire.Hardware, "cannot write its disk: no space left"},
		"name":       {start(wire.RunCommand{Configurations: map[string]wire.ConfigurationOrName{"run": {Name: "hv-on"}}}), wire.BadValue, `there is no configuration "hv-on": see dcs run config list`},
		"transition": {bad("go", wire.Configuration{}), wire.BadValue, `"go" is no transition that takes a configuration: there are configure, run, finish, end`},
		"configure":  {bad("configure", setpoints(1)), wire.BadValue, "it takes sensors only"},
		"setpoint":   {bad("run", wire.Configuration{Setpoints: []wire.Setpoint{{Device: "hv", Channel: 0., Op: "lock"}}}), wire.BadValue, `setpoint 1: "lock" cannot be a setpoint`},
		"no value":   {bad("run", wire.Configuration{Setpoints: []wire.Setpoint{{Device: "hv", Channel: 0., Op: "setv"}}}), wire.BadValue, `"value" of setv is not a number`},
		"no word":    {bad("run", wire.Configuration{Setpoints: []wire.Setpoint{{Device: "hv", Channel: 0., Op: "switch", Value: 1.}}}), wire.BadValue, `neither "on" nor "off"`},
		"all on":     {bad("run", wire.Configuration{Setpoints: []wire.Setpoint{{Device: "hv", Channel: "all", Op: "switch", Value: "on"}}}), wire.BadValue, "one by one"},
		"all setv":   {bad("run", wire.Configuration{Setpoints: []wire.Setpoint{{Device: "hv", Channel: "all", Op: "setv", Value: 1.}}}), wire.BadValue, "one channel at a time"},
		"channel":    {bad("run", wire.Configuration{Setpoints: []wire.Setpoint{{Device: "hv", Channel: 1.5, Op: "clear"}}}), wire.BadValue, `"channel" is 1.5`},
		"no channel": {bad("run", wire.Configuration{Setpoints: []wire.Setpoint{{Device: "hv", Op: "clear"}}}), wire.BadValue, `"channel" is <nil>`},
		"reserved":   {bad("run", wire.Configuration{Setpoints: []wire.Setpoint{{Device: "run", Channel: 1., Op: "clear"}}}), wire.BadValue, `name "run" is reserved`},
		"sensor":     {bad("run", wire.Configuration{Sensors: []wire.Require{{Device: "hv"}}}), wire.BadValue, "sensor 1: \"field\" has 0 bytes"},
		"range":      {bad("run", wire.Configuration{Sensors: []wire.Require{{Device: "hv", Field: "x", Min: at(2), Max: at(1)}}}), wire.BadValue, `"min" 2 is above "max" 1`},
		"timeout":    {bad("run", wire.Configuration{Timeout: -1}), wire.BadValue, `"timeout" is -1 s`},
		"wait":       {bad("configure", wire.Configuration{Wait: 61}), wire.BadValue, `"wait" is 61 s: choose 0 to 60`},
		"many":       {bad("run", wire.Configuration{Setpoints: make([]wire.Setpoint, 101)}), wire.BadValue, "it has 101 setpoints: at most 100"},
		"reading":    {bad("configure", wire.Configuration{Sensors: []wire.Require{{Device: "hv", Field: "vmon"}}}), wire.CodeUnreachable, "hv vmon: no status of hv has come"},
	} {
		t.Run(name, func(t *testing.T) {
			w := settled(t)
			tt.do(w)
			acks := w.acks("x")
			require.Len(t, acks, 1)
			assert.Equal(t, wire.Rejected, acks[0].Phase)
			assert.Equal(t, tt.code, acks[0].Code, acks[0].Message)
			assert.Contains(t, acks[0].Message, tt.text)
			assert.Equal(t, wire.RunIdle, w.state.State, "no number is used up")
			assert.Empty(t, w.driver.started)
		})
	}
}

func at(x float64) *float64 { return &x }

func TestSeveralDrivers(t *testing.T) {
	w := settled(t)
	w.handle(Described{"b", wire.Meta{Kind: wire.KindCalibration, Procedures: map[string]wire.MetaProcedure{"calibration": {}}}})
	w.start("x", nil)
	require.Equal(t, []string{"rejected BAD_VALUE"}, phases(w.acks("x")))
	assert.Contains(t, w.acks("x")[0].Message, `name one of b, ph2acf in "device"`)
	w.command(wire.RunCommand{Op: wire.Start, ID: "y", Procedure: "calibration", Device: "ph2acf"})
	assert.Equal(t, []string{"accepted OK"}, phases(w.acks("y")))
}

func TestDry(t *testing.T) {
	w := settled(t)
	w.command(wire.RunCommand{Op: wire.Start, ID: "x", Procedure: "calibration", Dry: true})
	assert.Equal(t, []string{"accepted DRY"}, phases(w.acks("x")))
	assert.Empty(t, w.driver.started)
	w.command(wire.RunCommand{Op: wire.Abort, ID: "y", Dry: true})
	assert.Equal(t, []string{"rejected BAD_VALUE"}, phases(w.acks("y")))
}

func TestConfigurations(t *testing.T) {
	for name, tt := range map[string]struct {
		transition string
		prepare    func(*world)
		state      string
		reason     string
	}{
		"run":            {"run", func(*world) {}, wire.RunFinished, ""},
		"finish":         {"finish", func(*world) {}, wire.RunFinished, ""},
		"end":            {"end", func(*world) {}, wire.RunFinished, ""},
		"run refused":    {"run", func(w *world) { w.hv.refuse = wire.Locked }, wire.RunFailed, "hv/0 setv 100: rejected LOCKED"},
		"finish refused": {"finish", func(w *world) { w.hv.refuse = wire.Locked }, wire.RunFailed, "the program ended well, and what finish needs was not reached: hv/0 setv 100"},
		"end refused":    {"end", func(w *world) { w.hv.refuse = wire.Locked }, wire.RunFailed, "what end needs was not reached: hv/0 setv 100"},
		"mute":           {"run", func(w *world) { w.hv.mute = true }, wire.RunFailed, "hv/0 setv 100: no answer within 10s"},
		"lost":           {"run", func(w *world) { w.hv.state = wire.Lost; w.say(w.hvState()) }, wire.RunFailed, "hv/0 setv 100: hv is lost: start its driver"},
		"slow":           {"run", func(w *world) { w.hv.slow = true }, wire.RunFailed, "not reached within 600 s: waiting for hv/0 setv 100"},
	} {
		t.Run(name, func(t *testing.T) {
			w := settled(t)
			tt.prepare(w)
			w.start("a", inline(tt.transition, setpoints(100)))
			w.wait(2 * time.Second)
			if tt.transition != "run" || tt.state == wire.RunFinished {
				require.Equal(t, wire.RunRunning, w.run().State)
			}
			w.programEnds(wire.RunFinished)
			w.wait(610 * time.Second)
			assert.Equal(t, tt.state, w.run().State)
			assert.Contains(t, w.run().Error, tt.reason)
			if tt.state == wire.RunFinished {
				require.Len(t, w.hv.orders, 3)
				assert.Equal(t, "run 1 (alice)", w.hv.orders[0].User)
				assert.Equal(t, fmt.Sprintf("runu1-%d", 1+map[string]int{"run": 0, "finish": 100, "end": 200}[tt.transition]), w.hv.orders[0].ID)
				return
			}
			last := w.acks("a")[1]
			assert.Equal(t, wire.Failed, last.Phase)
			assert.Contains(t, last.Message, tt.reason)
			if tt.transition == "run" {
				assert.Empty(t, w.driver.started)
				assert.Equal(t, []string{"configure:configuring", "fail:failed"}, path(w.run()))
				assert.Equal(t, wire.ResultsNone, w.run().Results)
			}
		})
	}
}

// Setpoints of one channel follow each other, those of two do not.
func TestOrder(t *testing.T) {
	w := settled(t)
	w.hv.slow = true
	w.start("a", inline("run", setpoints(100)))
	text := func() (out []string) {
		for _, o := range w.hv.orders {
			out = append(out, o.Channel.String()+" "+o.Op)
		}
		return out
	}
	assert.Equal(t, []string{"0 setv", "1 setv"}, text())
	assert.Equal(t, "setpoint 1 of 3: hv/0 setv 100", w.run().Phase)
	w.hvFinishes(wire.Done, wire.OK)
	w.deliver()
	assert.Equal(t, []string{"0 setv", "1 setv", "0 switch"}, text())
	w.disconnect()
	w.wait(time.Minute)
	w.connect()
	w.deliver()
	w.wait(time.Second)
	assert.Equal(t, "0 switch", text()[3], "asked again, with the same id")
	assert.Equal(t, w.hv.orders[2].ID, w.hv.orders[3].ID)
	w.hvFinishes(wire.Done, wire.OK)
	w.wait(time.Second)
	assert.Equal(t, wire.RunRunning, w.run().State)
}

func TestSensors(t *testing.T) {
	zero := 0
	sensors := wire.Configuration{Sensors: []wire.Require{{Device: "hv", Channel: &zero, Field: "vmon", Min: at(95), Max: at(105)}}}
	for _, tt := range []struct {
		volts float64
		age   time.Duration
		want  string // of the error, or running
	}{
		{volts: 100},
		{volts: 94, want: "hv/0 vmon is 94, below 95 V"},
		{volts: 106, want: "hv/0 vmon is 106, above 105 V"},
		{volts: 100, age: 2 * time.Second, want: "hv/0 vmon is stale: the last status came 1"},
	} {
		w := settled(t)
		w.measures(tt.volts)
		w.deliver()
		if tt.age > 0 {
			w.wait(tt.age)
		}
		w.start("a", inline("run", sensors))
		if tt.want == "" {
			w.wait(time.Second)
			assert.Equal(t, wire.RunRunning, w.run().State)
			continue
		}
		for range 10 {
			assert.Equal(t, wire.RunConfiguring, w.run().State, tt.want)
			if tt.age == 0 {
				w.measures(tt.volts)
			}
			w.wait(time.Second)
		}
		w.wait(time.Second)
		assert.Equal(t, wire.RunFailed, w.run().State)
		assert.Contains(t, w.run().Error, tt.want)
	}
}

func TestConfigureSensors(t *testing.T) {
	w := settled(t)
	zero := 0
	w.start("a", inline("configure", wire.Configuration{Sensors: []wire.Require{{Device: "hv", Channel: &zero, Field: "vmon", Max: at(5)}}}))
	w.start("b", nil)
	assert.Equal(t, []string{"rejected BUSY"}, phases(w.acks("b")))
	w.start("a", inline("configure", wire.Configuration{Sensors: []wire.Require{{Device: "hv", Channel: &zero, Field: "vmon", Max: at(5)}}}))
	assert.Empty(t, w.acks("a"), "it is being checked")
	w.measures(4)
	w.wait(time.Second)
	assert.Equal(t, []string{"accepted OK"}, phases(w.acks("a")))
}
