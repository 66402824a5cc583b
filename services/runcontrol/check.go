package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"trackerdcs/pkg/wire"
)

// The transitions that can need a configuration.
const (
	transConfigure = "configure"
	transRun       = wire.RunTransition
	transFinish    = "finish"
	transEnd       = "end"
)

// check is a start that is being looked at: one at a time. First its
// configurations are fetched, then the driver is asked whether it takes the
// parameters, then the sensors of configure have to be in range.
type check struct {
	cmd      command
	c        *wire.RunCommand
	device   string
	configs  map[string]wire.Configuration
	missing  map[string][]string // transitions by the name that they need fetched
	ask      int                 // the fetch under way, or 0
	question string              // the id under which the driver is asked, or nothing
	uid      string
	deadline time.Time // of what is awaited
	sensors  *plan
}

// start judges a start and begins to check it.
func (m *Machine) start(cmd command, c *wire.RunCommand) {
	switch {
	case c.Run != 0:
		m.refuse(cmd, wire.BadValue, `"run" is not for a start: run control gives the number`)
		return
	case c.UID != "":
		m.refuse(cmd, wire.BadValue, `"uid" is not for a start: run control makes it`)
		return
	case m.expired(c.Expires):
		m.refuse(cmd, wire.Expired, "it expired at "+c.Expires.Format(time.RFC3339Nano)+": compare the clocks")
		return
	}
	k := &check{cmd: cmd, c: c, configs: make(map[string]wire.Configuration), missing: make(map[string][]string)}
	if err := k.inline(); err != nil {
		m.refuse(cmd, wire.BadValue, err.Error())
		return
	}
	if _, why := m.highest(); why != "" {
		m.refuse(cmd, wire.CodeUnreachable, why)
		return
	}
	if m.diskErr != nil {
		m.refuse(cmd, wire.Hardware, "run control cannot write its disk: "+m.diskErr.Error())
		return
	}
	device, code, why := m.choose(c)
	if code != wire.OK {
		m.refuse(cmd, code, why)
		return
	}
	k.device = device
	if l := m.life(); l != nil {
		m.refuse(cmd, wire.Busy, fmt.Sprintf("run %d is %s: one at a time, or abort it", l.Run.Run, l.Run.State))
		return
	}
	if m.owes() {
		m.refuse(cmd, wire.Busy, "the last run is still being written to disk: try again")
		return
	}
	if m.check != nil {
		m.refuse(cmd, wire.Busy, "another start is being checked: try again")
		return
	}
	m.check = k
	if len(k.missing) == 0 {
		m.question()
		return
	}
	m.asks++
	k.ask, k.deadline = m.asks, m.now.Add(fetchTime)
	m.e.Fetch = &Fetch{Ask: k.ask, Names: slices.Sorted(maps.Keys(k.missing))}
}

// inline takes the configurations that came with the command and notes which
// are to be fetched.
func (k *check) inline() error {
	for _, t := range slices.Sorted(maps.Keys(k.c.Configurations)) {
		given := k.c.Configurations[t]
		if err := checkTransition(t); err != nil {
			return err
		}
		if given.Inline == nil {
			k.missing[given.Name] = append(k.missing[given.Name], t)
			continue
		}
		cfg, err := checkConfiguration(t, *given.Inline)
		if err != nil {
			return fmt.Errorf("the configuration of %s: %w", t, err)
		}
		k.configs[t] = cfg
	}
	return nil
}

// choose finds the driver that is to execute a run.
func (m *Machine) choose(c *wire.RunCommand) (string, wire.Code, string) {
	var offering, known []string
	for _, name := range slices.Sorted(maps.Keys(m.devices)) {
		meta := m.devices[name].meta
		if meta == nil || meta.Kind != wire.KindCalibration {
			continue
		}
		procedures := slices.Sorted(maps.Keys(meta.Procedures))
		known = append(known, name+" has "+orNone(procedures))
		if _, has := meta.Procedures[c.Procedure]; has {
			offering = append(offering, name)
		} else if name == c.Device {
			return "", wire.BadValue, fmt.Sprintf("%s has no procedure %q: it has %s", name, wire.Echo(c.Procedure), orNone(procedures))
		}
	}
	switch {
	case c.Device != "" && !slices.Contains(offering, c.Device):
		if d := m.devices[c.Device]; d != nil && d.meta != nil {
			return "", wire.BadValue, fmt.Sprintf("%s does not execute runs: it is a %s", c.Device, wire.Echo(d.meta.Kind))
		}
		return "", wire.CodeUnreachable, fmt.Sprintf("no device %s has said what it is: start its driver", c.Device)
	case c.Device != "":
		offering = []string{c.Device}
	case len(offering) == 0 && len(known) == 0:
		return "", wire.CodeUnreachable, fmt.Sprintf("no driver offers %q: none that executes runs is known", wire.Echo(c.Procedure))
	case len(offering) == 0:
		return "", wire.CodeUnreachable, fmt.Sprintf("no driver offers %q: %s", wire.Echo(c.Procedure), strings.Join(known, "; "))
	case len(offering) > 1:
		return "", wire.BadValue, fmt.Sprintf(`several drivers offer %q: name one of %s in "device"`, wire.Echo(c.Procedure), strings.Join(offering, ", "))
	}
	name := offering[0]
	if d := m.devices[name]; !d.ready() {
		return "", wire.CodeUnreachable, notReady(name, d)
	}
	return name, wire.OK, ""
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// notReady says what a device is instead of being ready.
func notReady(name string, d *device) string {
	switch {
	case d == nil || d.state.State == "":
		return name + " is not known: no driver of that name has said its state"
	case d.state.State == wire.Lost || d.state.State == wire.Stopped:
		return name + " is " + d.state.State + ": start its driver"
	}
	return name + " is " + stateText(d.state)
}

// fetched takes the configurations that were asked for.
func (m *Machine) fetched(ev Fetched) {
	k := m.check
	if k == nil || k.ask == 0 || k.ask != ev.Ask {
		return
	}
	k.ask = 0
	if ev.Err != nil {
		code, why := wire.CodeUnreachable, fmt.Sprintf("the configuration %q cannot be fetched: %v", ev.Name, ev.Err)
		if errors.Is(ev.Err, errNoConfiguration) {
			code, why = wire.BadValue, fmt.Sprintf("there is no configuration %q: see dcs run config list", ev.Name)
		}
		m.failCheck(code, why)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(k.missing)) {
		for _, t := range k.missing[name] {
			cfg, err := checkConfiguration(t, ev.Found[name])
			if err != nil {
				m.failCheck(wire.BadValue, fmt.Sprintf("the configuration %q, for %s: %v", name, t, err))
				return
			}
			cfg.Name = name
			k.configs[t] = cfg
		}
	}
	m.question()
}

// question asks the driver whether it would take the run: it knows best what
// its procedures take.
func (m *Machine) question() {
	k := m.check
	n, _ := m.highest()
	m.asks++
	k.uid = m.cfg.NewUID()
	k.question = "check" + m.cfg.Boot + "-" + strconv.Itoa(m.asks)
	k.deadline = m.now.Add(dryTime)
	m.atOnce(OrderRun{k.device, wire.RunCommand{
		Op: wire.Start, Run: n + 1, UID: k.uid, Procedure: k.c.Procedure, Parameters: k.c.Parameters,
		ID: k.question, User: orderUser(n+1, k.c.User), Expires: m.now.Add(expiry), Dry: true,
	}})
}

// orderUser is the user of commands that serve a run.
func orderUser(run int64, user string) string {
	s := "run " + strconv.FormatInt(run, 10)
	if user != "" {
		s += " (" + user + ")"
	}
	return s[:min(len(s), wire.MaxUser)]
}

// answered takes what the driver says to the question.
func (m *Machine) answered(device string, a wire.Ack) bool {
	k := m.check
	if k == nil || k.question == "" || a.ID != k.question || device != k.device {
		return false
	}
	switch {
	case a.Phase == wire.Rejected:
		m.failCheck(a.Code, k.device+": "+a.Message)
	case a.Code == wire.Dry:
		k.question = ""
		if cfg, has := k.configs[transConfigure]; has {
			k.sensors = newPlan(m.now, transConfigure, cfg, "", "")
			return true
		}
		m.number()
	}
	return true
}

// advanceCheck lets a check go on, or fail for want of an answer.
func (m *Machine) advanceCheck() {
	k := m.check
	switch {
	case k == nil:
	case k.sensors != nil:
		done, fail := k.sensors.step(m)
		switch {
		case fail != nil:
			m.failCheck(fail.code, fail.text)
		case done:
			m.number()
		}
	case m.now.Before(k.deadline):
	case k.ask != 0:
		m.failCheck(wire.CodeUnreachable, "the configurations could not be fetched in time: see whether MongoDB answers")
	default:
		m.failCheck(wire.CodeUnreachable, fmt.Sprintf("%s did not say within %v whether it takes the parameters: see its log", k.device, dryTime))
	}
}

func (m *Machine) failCheck(code wire.Code, why string) {
	k := m.check
	m.check = nil
	m.refuse(k.cmd, code, why)
}

// number gives a run its number. It is not said before it is on disk.
func (m *Machine) number() {
	k := m.check
	m.check = nil
	n, why := m.highest()
	switch {
	case k.c.Dry:
		m.answer(k.cmd, wire.Accepted, wire.Dry, "checked and not executed")
		return
	case why != "":
		m.refuse(k.cmd, wire.CodeUnreachable, why)
		return
	case m.expired(k.c.Expires):
		m.refuse(k.cmd, wire.Expired, "it expired at "+k.c.Expires.Format(time.RFC3339Nano)+" while it was checked")
		return
	}
	now := m.stamp()
	module := ""
	if p, has := k.c.Parameters["module"]; has {
		module = moduleName(p)
	}
	k.cmd.run = n + 1
	l := &Life{
		Step: stepReaching, Content: slices.Clone(k.cmd.content[:]),
		Run: wire.Run{
			Run: n + 1, UID: k.uid, State: wire.RunIdle, Procedure: k.c.Procedure, Device: k.device, Parameters: k.c.Parameters,
			Module: module, ID: k.cmd.id, User: k.c.User, Asked: now, Results: wire.ResultsNone,
		},
	}
	if len(k.configs) > 0 {
		l.Run.Configurations = k.configs
	}
	m.before, m.book.Life = m.book.Life, l
	m.book.Highest, m.book.Sure = n+1, true
	m.live = live{}
	m.touch()
	m.numbering = m.version
	l.Ack = m.ack(k.cmd, wire.Accepted, wire.OK, "")
	m.noteAck(l)
	m.emit(Answer{l.Ack})
	m.enter(transConfigure, wire.RunConfiguring, "")
	m.log("run %d: %s on %s for %s", l.Run.Run, l.Run.Procedure, l.Run.Device, k.cmd.user)
}
