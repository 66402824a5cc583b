package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
)

// tickPeriod is how often the machine looks at the clock.
const tickPeriod = 200 * time.Millisecond

// run leads runs through their life until ctx ends. A run that is under way goes
// on, and is found again at the next start.
func run(ctx context.Context, env *service.Env, cfg *config) error {
	db, err := runs.New(runs.Config{URI: cfg.MongoURI, URIFile: cfg.MongoURIFile, Database: cfg.MongoDatabase})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchLimit)
		defer cancel()
		_ = db.Close(ctx) // nothing is written over it
	}()
	return control(ctx, env, cfg, db)
}

// control is run with a database handed in.
func control(ctx context.Context, env *service.Env, cfg *config, db configurations) error {
	release, err := service.HoldDir(ctx, env.DataDir, env.Log)
	if err != nil || ctx.Err() != nil {
		return err
	}
	defer release()
	disk := shelf{env.DataDir}
	book, why, refs, err := disk.load(env.Log)
	if err != nil {
		return err
	}
	member, err := env.Join(cfg.Options("dcs-"+env.Name), cfg.Root.ServiceState(env.Name))
	if err != nil {
		return err
	}
	c := &controller{
		Member: member, env: env, root: cfg.Root, disk: disk, db: db, mail: newMailbox(),
		saved: make(chan error, 1), fetched: make(chan Fetched),
		machine: NewMachine(Config{Boot: env.Boot, NewUID: newUID, Book: book, NoBook: why, Unconfirmed: refs}),
	}
	c.metrics = newMetrics(env.Metrics, c.mail)
	member.SubscribeAll(filters(cfg.Root), 1, c.mail.put)
	member.OnConnect(func() { c.mail.tell(Connected{}) })
	member.OnLost(func(error) { c.mail.tell(Disconnected{}) })
	return member.Run(ctx, c.loop)
}

// newUID makes what tells two runs apart that were given the same number.
func newUID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: it crashes the program instead
	return hex.EncodeToString(b[:])
}

// controller is the machine's hands and ears; loop alone touches it.
type controller struct {
	*service.Member
	env     *service.Env
	root    wire.Root
	disk    shelf
	db      configurations
	machine *Machine
	mail    *mailbox
	metrics *metrics

	saving   bool
	saved    chan error // how writing the book ended; one write at a time is under way
	fetching sync.WaitGroup
	fetched  chan Fetched
}

func (c *controller) loop(ctx context.Context) error {
	tick := time.NewTicker(tickPeriod)
	defer tick.Stop()
	defer func() {
		c.fetching.Wait() // ends with ctx
		for c.saving {    // what waits for the disk is owed
			c.saving = false
			c.handle(ctx, Saved{<-c.saved})
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.mail.wake:
			if e := c.mail.take(); e != nil {
				c.receive(ctx, e)
			}
		case err := <-c.saved:
			c.saving = false
			c.handle(ctx, Saved{err})
		case f := <-c.fetched:
			c.handle(ctx, f)
		case <-tick.C:
			c.handle(ctx, Tick{})
		}
	}
}

// receive hands a message to the machine.
func (c *controller) receive(ctx context.Context, e *mail) {
	if e.event != nil {
		c.handle(ctx, e.event)
		return
	}
	ev := event(c.root, e.msg)
	if ev == nil {
		return
	}
	c.handle(ctx, ev)
	if r, is := ev.(Received); is && r.Retained && len(r.Payload) > 0 { // an empty retained message takes it off the broker
		c.Keep(bus.Message{Topic: e.msg.Topic, QoS: 1, Retained: true})
	}
}

// handle hands an event to the machine and does what comes of it.
func (c *controller) handle(ctx context.Context, ev any) {
	e := c.machine.Handle(time.Now(), ev)
	for _, line := range e.Log {
		c.env.Log.Info(line)
	}
	for _, out := range e.Out {
		c.send(out)
	}
	if e.Save != nil {
		c.saving = true
		go func() { c.saved <- c.disk.save(*e.Save) }() // ends with the disk's answer, which loop takes
	}
	if e.Fetch != nil {
		c.fetching.Go(func() {
			select {
			case c.fetched <- fetch(ctx, c.db, *e.Fetch):
			case <-ctx.Done():
			}
		})
	}
	c.metrics.unconfirmed.Set(float64(len(c.machine.unconfirmed)))
	c.metrics.dropped.Set(float64(c.machine.dropped))
	if ctx.Err() == nil {
		c.Set(c.machine.Standing())
	}
}

// send says what the machine wants said.
func (c *controller) send(out any) {
	switch o := out.(type) {
	case Answer:
		a := o.Ack
		c.metrics.acks.WithLabelValues(a.Phase, string(a.Code)).Inc()
		c.env.Log.Info("command", "op", a.Op, "run", a.Run, "user", a.User, "id", a.ID, "phase", a.Phase, "code", a.Code, "message", a.Message)
		c.Keep(bus.Message{Topic: c.root.RunAck(), QoS: 1, Payload: wire.Encode(a)})
	case SayState:
		c.metrics.said(&o.Run)
		c.Send(bus.Message{Topic: c.root.RunState(), QoS: 1, Retained: true, Payload: o.Payload}, nil)
	case SayRecord:
		if wire.RunEnded(o.Run.State) { // said once: later ones come from the disk
			c.metrics.ended.WithLabelValues(o.Run.State).Inc()
		}
		c.Send(bus.Message{Topic: c.root.RunRecord(), QoS: 1, Payload: wire.Encode(o.Run)}, nil)
	case SayKept:
		payload, err := c.disk.read(o.Ref)
		if err != nil {
			c.env.Log.Error("the record of an ended run cannot be told to the sink", "run", o.Ref.Run, "error", err)
			return
		}
		c.Send(bus.Message{Topic: c.root.RunRecord(), QoS: 1, Payload: payload}, nil)
	case Annotate:
		c.Keep(bus.Message{Topic: c.root.RunAnnotation(), QoS: 1, Payload: wire.Encode(o.Annotation)})
	case Order:
		c.env.Log.Info("setpoint", "device", o.Device, "op", o.Command.Op, "channel", o.Command.Channel.String(), "value", o.Command.Value(), "id", o.Command.ID)
		c.Send(bus.Message{Topic: c.root.Command(o.Device, o.Command.Op, o.Command.Channel.String()), QoS: 1, Payload: o.Command.Payload()}, nil)
	case OrderRun:
		c.env.Log.Info("driver", "device", o.Device, "op", o.Command.Op, "run", o.Command.Run, "dry", o.Command.Dry, "id", o.Command.ID)
		c.Send(bus.Message{Topic: c.root.RunOp(o.Device, o.Command.Op), QoS: 1, Payload: o.Command.Payload()}, nil)
	}
}
