package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/device"
	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
)

// tickPeriod is how often the machine looks at the clock: for time-outs, which
// are counted in seconds.
const tickPeriod = 250 * time.Millisecond

// run drives the supply until ctx ends. The hardware keeps doing what it did.
func run(ctx context.Context, env *service.Env, cfg *config) error {
	release, err := service.HoldDir(ctx, env.DataDir, env.Log)
	if err != nil || ctx.Err() != nil {
		return err
	}
	defer release()
	locks := lockFile{filepath.Join(env.DataDir, "locks.json")}
	locked, err := locks.load()
	if err != nil {
		return err
	}
	dev, err := device.New(env, &cfg.Settings)
	if err != nil {
		return err
	}
	d := &driver{
		Device: dev, env: env, cfg: cfg, locks: locks,
		machine:  psu.NewMachine(psu.Config{Boot: env.Boot, Limits: cfg.Limits, Locks: locked}),
		commands: newMailbox(),
		saved:    make(chan error, 1),
		link:     newLink(instruments[cfg.Model], cfg.Address, cfg.Period),
		acks:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dcs_acks_total", Help: "Answers to commands."}, []string{"phase", "code"}),
	}
	env.Metrics.MustRegister(d.acks, prometheus.NewCounterFunc(
		prometheus.CounterOpts{Name: "dcs_commands_dropped_total", Help: "Commands that found no room in the mailbox."}, d.commands.lostCount))
	dev.Retain(wire.KindLocks, d.machine.Locks())
	dev.Subscribe(cfg.Root.Commands(env.Name), 2, d.commands.put)
	return dev.Run(ctx, d.loop)
}

// driver is the state of one supply's driver; loop alone touches it.
type driver struct {
	*device.Device
	env      *service.Env
	cfg      *config
	locks    lockFile
	machine  *psu.Machine
	commands *mailbox
	link     *link
	acks     *prometheus.CounterVec
	saved    chan error // how keeping the locks on disk ended; one at a time is under way
	saving   bool

	due    time.Time     // when the next status is due
	wanted bool          // a status is wanted before that
	took   time.Duration // what reading all channels takes

	complaint string // what is wrong with the settings, seen with the instrument
}

func (d *driver) loop(ctx context.Context) error {
	linkCtx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.link.run(linkCtx)
	}()
	defer func() {
		cancel()
		<-ended
		for d.saving { // the ack of a lock is owed
			d.saving = false
			d.handle(psu.Saved{Err: <-d.saved})
		}
	}()
	tick := time.NewTicker(tickPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.commands.wake:
			if m, ok := d.commands.take(); ok {
				d.command(m)
			}
		case err := <-d.saved:
			d.saving = false
			d.handle(psu.Saved{Err: err})
		case ev := <-d.link.events:
			d.event(ev)
		case <-tick.C:
			d.handle(psu.Tick{})
		}
	}
}

// command hands a message to the machine as a command.
func (d *driver) command(m bus.Message) {
	op, channel, ok := d.Root().CutCommand(d.env.Name, m.Topic)
	if !ok || len(m.Payload) == 0 {
		return
	}
	cmd, err := wire.ParseCommand(op, channel, m.Payload)
	d.handle(psu.Received{Command: cmd, Err: err, Payload: m.Payload, Retained: m.Retained})
	if m.Retained { // an empty retained message takes it off the broker
		d.Keep(bus.Message{Topic: m.Topic, QoS: 1, Retained: true})
	}
}

// event takes what the link tells.
func (d *driver) event(ev any) {
	switch ev := ev.(type) {
	case gone:
		d.handle(psu.Gone{})
		d.Set(wire.Unreachable, ev.err.Error())
	case swept:
		d.took = max(ev.took, d.took*7/8)
		d.Set(wire.Ready, d.complaint)
		d.status()
	case psu.Opened:
		d.handle(ev)
		d.complaint = misnamed(d.cfg.Limits, ev.Info)
	default:
		d.handle(ev)
	}
}

// misnamed says which limits of the operator's hold for no channel: the limit
// that was meant does not hold either, which must be seen.
func misnamed(limits psu.Limits, info psu.Info) string {
	for _, n := range slices.Sorted(maps.Keys(limits)) {
		if !slices.ContainsFunc(info.Channels, func(c psu.ChannelInfo) bool { return c.Number == n }) {
			return fmt.Sprintf("DCS_LIMITS names channel %d, which the instrument has not: correct it, the limit holds for nothing", n)
		}
	}
	return ""
}

// handle hands an event to the machine and does what comes of it.
func (d *driver) handle(event any) {
	e := d.machine.Handle(time.Now(), event)
	for _, a := range e.Acks {
		d.acks.WithLabelValues(a.Phase, string(a.Code)).Inc()
		d.env.Log.Info("command", "op", a.Op, "channel", a.Channel.String(), "value", a.Value, "user", a.User, "id", a.ID, "phase", a.Phase, "code", a.Code, "message", a.Message)
		d.Answer(a)
	}
	if e.Write != nil {
		d.link.writes <- *e.Write // there is room: the machine has one write under way at a time
	}
	if e.Status {
		d.wanted = true
		d.link.askSweep()
	}
	if e.Save {
		d.saving = true
		locks := d.machine.Locks()
		d.Retain(wire.KindLocks, locks)
		go func() { d.saved <- d.locks.save(locks) }() // ends with the disk's answer, which loop takes
	}
}

// status publishes what was read, when it is due or wanted.
func (d *driver) status() {
	now := time.Now()
	// Sweeps come twice a period or oftener: half of the distance to the next
	// one decides which is nearest to the due time.
	slack := min(d.cfg.Period, slowestPoll) / 2
	if !d.wanted && now.Add(slack).Before(d.due) {
		return
	}
	channels, ok := d.machine.Status()
	if !ok {
		return
	}
	if !now.Add(slack).Before(d.due) {
		d.due = d.due.Add(d.cfg.Period)
		if d.due.Before(now) {
			d.due = now.Add(d.cfg.Period)
		}
	}
	d.wanted = false
	d.describe()
	d.Publish(now, func(seq uint64) []byte {
		for i := range channels {
			channels[i].Seq = seq
		}
		if d.cfg.PadChannels && channels[0].Number != 0 {
			channels = append([]wire.Channel{{Number: 0, On: wire.No, VReq: wire.Known(0)}}, channels...)
		}
		return wire.Encode(channels)
	})
}

// describe publishes what the supply is, when something of it has changed.
func (d *driver) describe() {
	m, ok := d.machine.Meta()
	if !ok {
		return
	}
	for i, c := range m.Channels {
		m.Channels[i].Label = d.cfg.Labels[c.Number]
	}
	m.Driver = fmt.Sprintf("%s %s", d.env.Program, service.Version())
	m.Period = d.cfg.Period.Seconds()
	if d.took > d.cfg.Period { // rounded up to halves, so that it does not change all the time
		m.Period = math.Ceil(2*d.took.Seconds()) / 2
	}
	d.Describe(m)
}
