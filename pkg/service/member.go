package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// Bus is embedded in the settings of a program that is on the bus.
type Bus struct {
	Broker       string    `env:"DCS_BROKER" envDefault:"tcp://127.0.0.1:1883" doc:"the MQTT broker: tcp://, ssl://, ws:// or wss://"`
	BrokerUser   string    `env:"DCS_BROKER_USER" doc:"login at the broker"`
	PasswordFile string    `env:"DCS_BROKER_PASSWORD_FILE" doc:"file with the login's password"`
	CAFile       string    `env:"DCS_BROKER_CA_FILE" doc:"file with the CA that signed the broker's certificate"`
	Root         wire.Root `env:"DCS_TOPIC_ROOT" doc:"goes before every topic: lab1 gives lab1/hv/status"`
}

// Options are the bus's options for these settings.
func (b Bus) Options(clientID string) bus.Options {
	return bus.Options{Broker: b.Broker, User: b.BrokerUser, PasswordFile: b.PasswordFile, CAFile: b.CAFile, ClientID: clientID}
}

// ValidateBus reports what is wrong with the settings of the bus; a program's
// Validate joins it to its own.
func (b Bus) ValidateBus() error {
	var errs []error
	if err := bus.CheckAddress(b.Broker); err != nil {
		errs = append(errs, Bad("DCS_BROKER", "%v", err))
	}
	if b.PasswordFile != "" {
		if b.BrokerUser == "" {
			errs = append(errs, Bad("DCS_BROKER_PASSWORD_FILE", "needs DCS_BROKER_USER"))
		}
		if _, err := os.ReadFile(b.PasswordFile); err != nil {
			errs = append(errs, Bad("DCS_BROKER_PASSWORD_FILE", "%v", err))
		}
	}
	if b.CAFile != "" {
		if err := bus.CheckCA(b.CAFile); err != nil {
			errs = append(errs, Bad("DCS_BROKER_CA_FILE", "%v", err))
		}
	}
	if err := wire.CheckRoot(b.Root); err != nil {
		errs = append(errs, Bad("DCS_TOPIC_ROOT", "%v", err))
	}
	return errors.Join(errs...)
}

// Taking over: when a program with our name has taken our place this often
// within takeOverWindow, we stay away for takeOverPause.
const (
	takeOverLimit  = 2
	takeOverWindow = time.Minute
	takeOverPause  = time.Minute

	// correctionGap keeps two programs that correct each other from doing only that.
	correctionGap = 500 * time.Millisecond

	// saidKept is how many of its own states a program knows again. The echo of
	// an older one is put right as a stranger's is, which does no harm.
	saidKept = 32
)

// Member is a program on the bus: its connection and its retained state.
type Member struct {
	*bus.Client
	env   *Env
	topic string

	mu        sync.Mutex
	state     wire.State
	dials     int  // attempts to connect so far
	stood     int  // the first of them that led to a connection, or 0
	announced bool // the state was said in this connection
	away      bool // another program is given way: this connection says no more
	takeovers []time.Time
	corrected time.Time
	said      [][]byte // the payloads said last, whose echoes come back

	pause time.Duration // takeOverPause, but for tests
	gap   time.Duration // correctionGap, but for tests
}

// Join makes the program a member whose state stands on topic. It does not
// connect: Run does.
func (e *Env) Join(opts bus.Options, topic string) (*Member, error) {
	m := &Member{env: e, topic: topic, pause: takeOverPause, gap: correctionGap}
	m.state = wire.State{State: wire.Starting, Since: now(), Boot: e.Boot}
	opts.Log = e.Log
	opts.Will = &bus.Message{
		Topic: topic, QoS: 1, Retained: true,
		Payload: wire.Encode(wire.State{State: wire.Lost, Boot: e.Boot, Error: "the connection to the broker was lost"}),
	}
	c, err := bus.New(opts)
	if err != nil {
		return nil, err
	}
	m.Client = c
	c.Subscribe(topic, 1, m.watch)
	c.OnDial(m.dialling)
	c.OnConnect(m.announce)
	c.OnLost(func(error) { e.Health.SetOffline(true) })
	e.Health.SetOffline(true)
	e.Health.SetReady(false, wire.Starting)
	e.Metrics.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "dcs_bus_connected", Help: "1 while connected to the broker."},
			func() float64 {
				if c.Connected() {
					return 1
				}
				return 0
			}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "dcs_bus_dropped_total", Help: "Messages to be kept that found no room."},
			func() float64 { return float64(c.Dropped()) }),
	)
	return m, nil
}

// Run keeps the program on the bus while f runs, and says goodbye after it:
// state stopped, then a clean disconnect, so that the last will does not fire.
func (m *Member) Run(ctx context.Context, f func(context.Context) error) error {
	busCtx, leave := context.WithCancel(context.WithoutCancel(ctx))
	left := make(chan struct{})
	go func() {
		defer close(left)
		_ = m.Client.Run(busCtx)
	}()
	err := f(ctx)
	if err != nil && ctx.Err() == nil {
		m.Set(wire.Stopped, err.Error())
	} else {
		m.Set(wire.Stopped, "")
	}
	leave()
	<-left
	return err
}

// Set says the program's state; problem is empty or says what is wrong. Saying
// the same again does nothing.
func (m *Member) Set(state, problem string) {
	m.mu.Lock()
	if m.state.State == state && m.state.Error == problem {
		m.mu.Unlock()
		return
	}
	if m.state.State != state {
		m.state.Since = now()
	}
	m.state.State, m.state.Error = state, problem
	m.mu.Unlock()
	m.env.Health.SetReady(state == wire.Ready, strings.TrimSpace(state+" "+problem))
	if problem != "" {
		m.env.Log.Warn("state", "state", state, "error", problem)
	} else {
		m.env.Log.Info("state", "state", state)
	}
	m.publish()
	if state != wire.Stopped { // who subscribed in the same moment may have been given the one before
		time.AfterFunc(m.gap, m.publish)
	}
}

// Last says the number of the last status, which the state then carries.
func (m *Member) Last(seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Seq = seq
}

// State is what was last said.
func (m *Member) State() wire.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

func (m *Member) publish() {
	m.mu.Lock()
	defer m.mu.Unlock() // held while queueing, so that states leave in the order in which they were
	if m.away {
		return
	}
	m.state.Time = now()
	m.say(m.state, nil)
}

func (m *Member) say(s wire.State, done func(error)) {
	payload := wire.Encode(s)
	m.said = append(m.said, payload)
	m.said = m.said[max(0, len(m.said)-saidKept):]
	m.Send(bus.Message{Topic: m.topic, QoS: 1, Retained: true, Payload: payload}, done)
}

// isEcho reports whether a payload is one that we said ourselves. To carry our
// boot is not enough: the last will does, and anybody can write it.
func (m *Member) isEcho(payload []byte) bool {
	return slices.ContainsFunc(m.said, func(p []byte) bool { return bytes.Equal(p, payload) })
}

func (m *Member) dialling() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dials++
	m.announced, m.away = false, false
}

// announce says the state in a new connection.
func (m *Member) announce() {
	m.mu.Lock()
	if m.stood == 0 {
		m.stood = m.dials
	}
	m.announced = true
	m.mu.Unlock()
	m.env.Health.SetOffline(false)
	m.publish()
	// Who comes to the broker in the same moment, or comes back to it with us, may
	// be given the retained last will, or nothing, and miss what we just said.
	time.AfterFunc(m.gap, m.publish)
}

// watch sees what stands on the program's own topic. What is not its own is
// the late last will of an old connection, or a stranger's, and is put right;
// or, found on coming back, the state of a second program with the same name.
func (m *Member) watch(msg bus.Message) {
	defer msg.Ack()
	var s wire.State
	_ = json.Unmarshal(msg.Payload, &s) // what is not a state is not ours either
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.isEcho(msg.Payload) {
		return
	}
	other := s.Boot != "" && s.Boot != m.state.Boot
	alive := other && s.State != wire.Lost && s.State != wire.Stopped
	back := m.stood != 0 && m.dials > m.stood
	if back && msg.Retained && other {
		m.env.Log.Warn("another program with this name has taken our place on the bus", "other_boot", s.Boot, "its_state", s.State)
	}
	if back && msg.Retained && alive {
		if m.takenOver(time.Now()) {
			m.env.Log.Error("another program with this name is on the bus: end one of the two or rename it", "other_boot", s.Boot)
			m.giveWay()
			return
		}
	}
	if msg.Retained || !m.announced {
		return // older than what announce says in this connection
	}
	if time.Now().Before(m.corrected) {
		return // a correction is on its way
	}
	wait := max(0, time.Until(m.corrected.Add(m.gap)))
	m.corrected = time.Now().Add(wait)
	time.AfterFunc(wait, m.publish)
}

// giveWay leaves the name to the other program for a while. The state that is
// left behind is none of a living program: the other one would take it for a
// second takeover and stay away as well.
func (m *Member) giveWay() {
	m.away = true
	reason := "another program has the name " + m.env.Name
	leave := m.state
	leave.State, leave.Since, leave.Time, leave.Error = wire.Stopped, now(), now(), reason
	m.say(leave, func(error) { m.Hold(m.pause, reason) })
}

// takenOver counts a takeover and reports whether it is one too many.
func (m *Member) takenOver(t time.Time) bool {
	m.takeovers = append(m.takeovers, t)
	for t.Sub(m.takeovers[0]) > takeOverWindow {
		m.takeovers = m.takeovers[1:]
	}
	if len(m.takeovers) < takeOverLimit {
		return false
	}
	m.takeovers = nil
	return true
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
