package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

// lab is a broker with a driver, a supply and a sink that speak the real
// topics, and run control among them.
type lab struct {
	t      *testing.T
	broker *brokertest.Broker
	client *bus.Client
	ear    *bustest.Listener
	dir    string
	db     configurations

	mu      sync.Mutex
	starts  []wire.RunCommand
	report  wire.Report
	has     map[string]bool // results, by uid
	records map[int64]wire.Run
	quiet   bool // the supply accepts and does not finish
	volts   wire.Value

	end func() // of run control
}

const root = wire.Root("lab")

// stored are configurations as in a database.
type stored map[string]wire.Configuration

func (s stored) Configuration(_ context.Context, name string) (wire.Configuration, error) {
	c, has := s[name]
	if !has {
		return c, fmt.Errorf("reading %s: %w", name, errNotFoundForTest)
	}
	return c, nil
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, broker: brokertest.New(t, mqttd.Options{}), dir: t.TempDir(), has: make(map[string]bool), records: make(map[int64]wire.Run), db: stored{}}
	l.ear = bustest.Listen(t, l.broker.URL(), string(root)+"/run/#", root.ServiceState("+"), root.State("+"))
	c, err := bus.New(bus.Options{Broker: l.broker.URL(), ClientID: "lab"})
	require.NoError(t, err)
	l.client = c
	c.Subscribe(string(root)+"/ph2acf/cmd/#", 1, l.driver)
	c.Subscribe(string(root)+"/hv/cmd/#", 1, l.supply)
	c.Subscribe(root.RunRecord(), 1, l.sink)
	c.OnConnect(l.introduce)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.Run(ctx) })
	wg.Go(func() { l.measure(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	for _, topic := range []string{root.Meta("ph2acf"), root.State("ph2acf"), root.State("hv"), root.ServiceState("calibration"), root.Kept("calibration")} {
		bustest.AwaitRetained(t, l.broker.URL(), topic)
	}
	return l
}

func (l *lab) say(topic string, retained bool, payload any) {
	l.client.Send(bus.Message{Topic: topic, QoS: 1, Retained: retained, Payload: wire.Encode(payload)}, nil)
}

func (l *lab) introduce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.say(root.Meta("ph2acf"), true, wire.Meta{Kind: wire.KindCalibration, Period: 1, Procedures: map[string]wire.MetaProcedure{"calibration": {}}})
	l.say(root.Meta("hv"), true, wire.Meta{Kind: wire.KindPSU, Period: 0.2})
	for _, dev := range []string{"hv", "ph2acf"} {
		l.say(root.State(dev), true, wire.State{State: wire.Ready, Boot: "1"})
	}
	l.say(root.ServiceState("calibration"), true, wire.State{State: wire.Ready, Boot: "1"})
	l.say(root.Kept("calibration"), true, wire.Kept{Highest: 41, Known: true, Boot: "1"})
	if l.report.Run != 0 {
		l.say(root.Report("ph2acf"), true, l.report)
	}
}

// driver executes runs.
func (l *lab) driver(m bus.Message) {
	op, _, _ := root.CutCommand("ph2acf", m.Topic)
	c, err := wire.ParseRunCommand(op, m.Payload)
	if err != nil {
		l.t.Errorf("the driver gets %s: %v", m.Payload, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := wire.Ack{Time: time.Now(), Boot: "1", ID: c.ID, Op: op, Phase: wire.Accepted, Code: wire.OK, Run: c.Run}
	switch {
	case c.Dry && c.Parameters["module"] == nil:
		a.Phase, a.Code, a.Message = wire.Rejected, wire.BadValue, `parameter "module" is missing`
	case c.Dry:
		a.Code = wire.Dry
	case op == wire.Start && l.report.UID == c.UID: // known: answered and not executed again
	case op == wire.Start:
		l.starts = append(l.starts, c)
		l.report = wire.Report{Run: c.Run, UID: c.UID, State: wire.RunRunning, Boot: "1", Start: time.Now().UTC(), Procedure: c.Procedure}
		l.say(root.Report("ph2acf"), true, l.report)
	case op == wire.Abort:
		l.ends(wire.RunAborted)
	}
	l.say(root.Ack("ph2acf"), false, a)
}

// ends ends the program; mu is held.
func (l *lab) ends(state string) {
	exit := 0
	l.report.State, l.report.End, l.report.Exit = state, time.Now().UTC(), &exit
	l.has[l.report.UID] = true
	l.say(root.Report("ph2acf"), true, l.report)
}

func (l *lab) programEnds(state string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends(state)
}

func (l *lab) progress(p float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Progress, l.report.Phase = wire.Known(p), "scanning"
	l.say(root.Report("ph2acf"), true, l.report)
}

// supply takes setpoints.
func (l *lab) supply(m bus.Message) {
	op, channel, _ := root.CutCommand("hv", m.Topic)
	c, err := wire.ParseCommand(op, channel, m.Payload)
	if err != nil || c.Expires.IsZero() || c.User == "" {
		l.t.Errorf("the supply gets %s: %v", m.Payload, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := wire.Ack{ID: c.ID, Op: op, Channel: c.Channel, Value: c.Value(), Phase: wire.Accepted, Code: wire.OK}
	l.say(root.Ack("hv"), false, a)
	if l.quiet {
		return
	}
	a.Phase = wire.Done
	l.say(root.Ack("hv"), false, a)
	l.volts = wire.Known(c.Number)
}

// measure is the supply's status, until ctx ends.
func (l *lab) measure(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			l.mu.Lock()
			l.say(root.Status("hv"), false, []wire.Channel{{Number: 0, VMon: l.volts, Time: now, Seq: 1}})
			l.mu.Unlock()
		}
	}
}

// sink keeps records.
func (l *lab) sink(m bus.Message) {
	var r wire.Run
	if err := json.Unmarshal(m.Payload, &r); err != nil {
		l.t.Error(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records[r.Run] = r
	receipt := wire.RecordReceipt{Run: r.Run, UID: r.UID, Boot: "1", State: r.State, Results: r.Results}
	if l.has[r.UID] {
		receipt.Results = wire.ResultsStored
	}
	l.say(root.RecordReceipts("calibration"), false, receipt)
}

// up starts run control and waits until it is ready.
func (l *lab) up() {
	l.t.Helper()
	mark := l.ear.Mark()
	l.begin()
	l.ear.Await(mark, "run control", func(m bus.Message) bool {
		return m.Topic == root.ServiceState("runcontrol") && state(m) == wire.Ready
	})
}

func (l *lab) begin() {
	l.t.Helper()
	env := servicetest.Env(l.t, "runcontrol", "runcontrol")
	env.DataDir = l.dir
	cfg := &config{Bus: service.Bus{Broker: l.broker.URL(), Root: root}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- control(ctx, env, cfg, l.db) }()
	l.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			l.t.Error(err)
		}
	})
	l.t.Cleanup(l.end)
}

func state(m bus.Message) string {
	var s wire.State
	_ = json.Unmarshal(m.Payload, &s)
	return s.State
}

// awaitRun waits until the state topic says so of a run.
func (l *lab) awaitRun(mark int, run int64, state string) (r wire.Run) {
	l.t.Helper()
	l.ear.Await(mark, fmt.Sprintf("run %d %s", run, state), func(m bus.Message) bool {
		r = wire.Run{}
		return m.Topic == root.RunState() && json.Unmarshal(m.Payload, &r) == nil && r.Run == run && r.State == state
	})
	return r
}

// insist sends a command until it is answered: nobody keeps it for a run
// control that is away.
func (l *lab) insist(topic, id, payload string) {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		for _, m := range l.ear.Heard(root.RunAck()) {
			var a wire.Ack
			if json.Unmarshal(m.Payload, &a) == nil && a.ID == id {
				return true
			}
		}
		l.ear.Say(topic, payload)
		return false
	}, bustest.Patience, 300*time.Millisecond)
}

// awaitAck waits for the answer to a command.
func (l *lab) awaitAck(mark int, id, phase string) (a wire.Ack) {
	l.t.Helper()
	l.ear.Await(mark, phase+" of "+id, func(m bus.Message) bool {
		a = wire.Ack{}
		return m.Topic == root.RunAck() && json.Unmarshal(m.Payload, &a) == nil && a.ID == id && a.Phase == phase
	})
	return a
}
