// Package device is what every driver has on the bus, whatever it owns:
// numbered statuses, their replay after a break, a description and answers.
package device

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
)

// Settings are those of every driver.
type Settings struct {
	service.Device
	service.Bus
	Period  time.Duration `env:"DCS_PERIOD" envDefault:"1s" doc:"poll period"`
	Backlog time.Duration `env:"DCS_BACKLOG" envDefault:"1h" doc:"for how long statuses are kept for replay while the bus is away"`
}

// Instrument are the settings of a driver that has an instrument of one of
// several models.
type Instrument struct {
	Model   string `env:"DCS_MODEL,required,notEmpty" doc:"the instrument's model"`
	Address string `env:"DCS_ADDRESS" doc:"where the instrument is: tcp://10.0.0.7:5025, serial:///dev/ttyUSB0?baud=9600"`
}

// Check reports what is wrong with the settings.
func (s *Settings) Check() error {
	errs := []error{s.ValidateBus()}
	if s.Period < 10*time.Millisecond || s.Period > time.Hour {
		errs = append(errs, service.Bad("DCS_PERIOD", "%v: choose 10ms to 1h", s.Period))
	}
	if s.Backlog < 0 || s.Backlog > 7*24*time.Hour {
		errs = append(errs, service.Bad("DCS_BACKLOG", "%v: choose 0 to 168h", s.Backlog))
	}
	return errors.Join(errs...)
}

// Device is a driver on the bus.
type Device struct {
	*service.Member
	env  *service.Env
	root wire.Root
	name string

	mu       sync.Mutex
	seq      uint64
	kept     backlog
	retained map[string][]byte // what stands on the device's retained topics, by kind
	services map[string]string // the last state of each service

	replay  chan struct{} // holds one token: send what is kept
	sent    prometheus.Counter
	resent  prometheus.Counter
	stamper wire.Stamper
}

// New makes the driver a member of the bus.
func New(env *service.Env, s *Settings) (*Device, error) {
	m, err := env.Join(s.Options("dcs-"+env.Name), s.Root.State(env.Name))
	if err != nil {
		return nil, err
	}
	d := &Device{
		Member: m, env: env, root: s.Root, name: env.Name,
		kept:     backlog{limit: s.Backlog},
		retained: make(map[string][]byte),
		services: make(map[string]string),
		replay:   make(chan struct{}, 1),
		sent:     prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_statuses_total", Help: "Statuses made."}),
		resent:   prometheus.NewCounter(prometheus.CounterOpts{Name: "dcs_statuses_replayed_total", Help: "Statuses sent once more."}),
	}
	env.Metrics.MustRegister(d.sent, d.resent,
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "dcs_statuses_dropped_total", Help: "Statuses given up before the broker had confirmed them: lost."},
			func() float64 {
				d.mu.Lock()
				defer d.mu.Unlock()
				return float64(d.kept.dropped)
			}))
	m.Subscribe(s.Root.ServiceState("+"), 1, d.watchServices)
	m.OnLost(func(error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.kept.away(time.Now())
		clear(d.services) // a service that is ready when we are back may have come after us
	})
	m.OnConnect(func() {
		d.sayRetained()
		time.AfterFunc(sayAgain, d.sayRetained)
		d.askReplay()
	})
	return d, nil
}

// Root is what goes before every topic.
func (d *Device) Root() wire.Root { return d.root }

// Run keeps the device on the bus while f runs.
func (d *Device) Run(ctx context.Context, f func(context.Context) error) error {
	return d.Member.Run(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			d.replayer(ctx)
		}()
		err := f(ctx)
		cancel()
		<-ended
		d.mu.Lock()
		defer d.mu.Unlock()
		d.Last(d.seq)
		return err
	})
}

// Stamp turns the time of a reading into the time of a status, which strictly
// increases whatever is done to the clock. It is for one goroutine.
func (d *Device) Stamp(now time.Time) time.Time { return d.stamper.Next(now) }

// Publish sends a status, which encode makes with its seq, and keeps it until
// the broker has confirmed it and for 30 s more.
func (d *Device) Publish(now time.Time, encode func(seq uint64) []byte) {
	d.mu.Lock()
	d.seq++
	e := d.kept.add(now, d.seq, encode(d.seq))
	d.mu.Unlock()
	d.sent.Inc()
	d.Send(bus.Message{Topic: d.root.Status(d.name), QoS: 1, Payload: e.payload}, func(err error) {
		if err == nil {
			d.confirm(e)
		}
	})
}

func (d *Device) confirm(e *entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e.confirm(time.Now())
}

// Answer sends an ack; one that cannot be sent now goes out after the reconnect.
func (d *Device) Answer(a wire.Ack) {
	d.Keep(bus.Message{Topic: d.root.Ack(d.name), QoS: 1, Payload: wire.Encode(a)})
}

// Describe publishes the device's description when it has changed.
func (d *Device) Describe(m wire.Meta) { d.Retain(wire.KindMeta, m) }

// Retain publishes what stands on a retained topic of the device's, when it has
// changed, and again in each new connection.
func (d *Device) Retain(kind string, payload any) {
	b := wire.Encode(payload)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !bytes.Equal(b, d.retained[kind]) {
		d.retained[kind] = b
		d.sendRetained(kind)
		time.AfterFunc(sayAgain, d.sayRetained)
	}
}

// sayAgain is when what is retained is said once more in a new connection, and
// after a change: a subscriber that comes in the same moment may have missed it.
const sayAgain = 500 * time.Millisecond

func (d *Device) sayRetained() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for kind := range d.retained {
		d.sendRetained(kind)
	}
}

// sendRetained is called with mu held, so that the latest is the last to leave.
func (d *Device) sendRetained(kind string) {
	d.Send(bus.Message{Topic: d.root.Topic(d.name, kind), QoS: 1, Retained: true, Payload: d.retained[kind]}, nil)
}

// watchServices replays when a service turns ready: a loader that was away may
// lack what a killed broker has forgotten.
func (d *Device) watchServices(msg bus.Message) {
	levels, ok := d.root.Cut(msg.Topic)
	if !ok || len(levels) != 3 {
		return
	}
	var s wire.State
	if json.Unmarshal(msg.Payload, &s) != nil {
		return
	}
	now := s.State + " " + s.Boot
	d.mu.Lock()
	before, seen := d.services[levels[1]]
	d.services[levels[1]] = now
	d.mu.Unlock()
	// What is retained of a service that we hear of for the first time is old, and
	// the connection has asked for a replay by itself.
	if (seen || !msg.Retained) && before != now && s.State == wire.Ready {
		d.askReplay()
	}
}

func (d *Device) askReplay() {
	select {
	case d.replay <- struct{}{}:
	default:
	}
}

// Replaying goes at a pace. Its messages share the broker's queue for the archive
// with those of all others, and Mosquitto's default one overflows without a word.
const (
	replayWindow = 16 // replayed statuses on their way at a time, so that live ones and acks pass between them

	// What the broker never confirmed is the reason for a replay: a backlog is
	// to be there soon. Per second, and times the rate of the live ones.
	backlogPace, backlogTimes = 50, 4

	// What it did confirm is said again in case that it was forgotten, which is
	// rare, and then it is the latest: at the pace of the live ones, backwards.
	againPace, againTimes = 10, 1
)

// replayer sends what is kept on /replay whenever it is asked to.
func (d *Device) replayer(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.replay:
		}
		d.mu.Lock()
		todo := d.kept.again(time.Now())
		backlog, again := split(todo) // with mu held: a confirmation may come at any time
		d.mu.Unlock()
		if len(todo) == 0 {
			continue
		}
		d.env.Log.Info("replaying", "statuses", len(todo), "of_them_never_confirmed", len(backlog))
		free := make(chan struct{}, replayWindow)
		live := rate(todo)
		if d.send(ctx, backlog, free, max(backlogPace, backlogTimes*live)) {
			d.send(ctx, again, free, max(againPace, againTimes*live))
		}
	}
}

// split parts what was never confirmed from what was, the latest of it first.
func split(todo []*entry) (backlog, again []*entry) {
	for _, e := range todo {
		if e.once {
			again = append(again, e)
		} else {
			backlog = append(backlog, e)
		}
	}
	slices.Reverse(again)
	return backlog, again
}

// rate is how many statuses a second were made.
func rate(entries []*entry) float64 {
	n := len(entries)
	took := entries[n-1].time.Sub(entries[0].time)
	if n < 2 || took <= 0 {
		return 0
	}
	return float64(n-1) / took.Seconds()
}

// send publishes statuses on /replay, so many a second. It returns false when
// there is no use in going on: ctx or the connection has ended, or a new replay
// was asked for, which has all of them again.
func (d *Device) send(ctx context.Context, todo []*entry, free chan struct{}, pace float64) bool {
	gap := time.Duration(float64(time.Second) / pace)
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for _, e := range todo {
		timer.Reset(time.Until(next))
		next = next.Add(gap)
		select {
		case <-timer.C:
		case <-d.replay:
			d.askReplay()
			return false
		case <-ctx.Done():
			return false
		}
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return false
		}
		if !d.Connected() {
			return false // the next connection asks for a replay
		}
		d.Send(bus.Message{Topic: d.root.Replay(d.name), QoS: 1, Payload: e.payload}, func(err error) {
			if err == nil {
				d.confirm(e)
				d.resent.Inc()
			}
			<-free
		})
	}
	return true
}
