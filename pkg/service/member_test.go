package service

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/health"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

const topic = "/service/loader/state"

// program is a program that runs and is told to end, or to fail.
type program struct {
	*Member
	t   *testing.T
	env *Env
	log *logOf
	end func(error)
}

// launch starts a program with the id dcs-loader.
func launch(t *testing.T, url string, opts ...func(*bus.Options, *Member)) *program {
	t.Helper()
	p := &program{t: t, log: &logOf{}}
	p.env = &Env{
		Program: "loader", Name: "loader", Boot: NewBoot(), Metrics: prometheus.NewRegistry(), Health: &Health{},
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(p.log, t.Output()), nil)),
	}
	o := Bus{Broker: url}.Options("dcs-loader")
	for _, f := range opts {
		f(&o, nil)
	}
	m, err := p.env.Join(o, topic)
	require.NoError(t, err)
	p.Member = m
	for _, f := range opts {
		f(&bus.Options{}, m)
	}
	stop, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		_ = m.Run(context.WithoutCancel(t.Context()), func(context.Context) error { return <-stop })
	}()
	done := false
	p.end = func(err error) {
		t.Helper()
		if done {
			return
		}
		done = true
		stop <- err
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	}
	t.Cleanup(func() { p.end(nil) })
	return p
}

func stateOf(t *testing.T, m bus.Message) (s wire.State) {
	t.Helper()
	require.NoError(t, json.Unmarshal(m.Payload, &s), "%q", m.Payload)
	return s
}

func awaitState(l *bustest.Listener, mark int, state, boot string) bus.Message {
	return l.Await(mark, "state "+state, func(m bus.Message) bool {
		var s wire.State
		return m.Topic == topic && json.Unmarshal(m.Payload, &s) == nil && s.State == state && (boot == "" || s.Boot == boot)
	})
}

// words are the states said on the topic by a boot, in order.
func words(l *bustest.Listener, boot string) (out []string) {
	for _, m := range l.Heard(topic) {
		var s wire.State
		if json.Unmarshal(m.Payload, &s) == nil && s.Boot == boot {
			out = append(out, s.State)
		}
	}
	return out
}

// once has a program say what it says once, also on a machine that is so slow that
// it would say it again.
func once(_ *bus.Options, m *Member) {
	if m != nil {
		m.gap = time.Hour
	}
}

func TestStates(t *testing.T) {
	url := brokertest.Start(t)
	l := bustest.Listen(t, url, topic)
	p := launch(t, url, once)
	m := awaitState(l, 0, wire.Starting, p.env.Boot)
	s := stateOf(t, m)
	assert.False(t, s.Since.IsZero())
	assert.False(t, s.Time.Before(s.Since))

	p.Set(wire.Ready, "")
	p.Set(wire.Ready, "")
	awaitState(l, 0, wire.Ready, p.env.Boot)
	since := p.State().Since
	p.Set(wire.Unreachable, "no answer")
	awaitState(l, 0, wire.Unreachable, p.env.Boot)
	p.Set(wire.Unreachable, "no answer at all")
	m = l.Await(0, "the new reason", func(m bus.Message) bool { return strings.Contains(string(m.Payload), "at all") })
	assert.True(t, stateOf(t, m).Since.After(since))
	assert.Equal(t, p.State().Since, stateOf(t, m).Since, "the state is as old as it was")
	p.end(nil)
	awaitState(l, 0, wire.Stopped, p.env.Boot)
	l.Say(topic, "mark")
	l.Await(0, "the mark", func(m bus.Message) bool { return string(m.Payload) == "mark" })
	assert.Equal(t, []string{wire.Starting, wire.Ready, wire.Unreachable, wire.Unreachable, wire.Stopped}, words(l, p.env.Boot), "each said once, and no last will")
	assert.Equal(t, wire.Stopped, p.State().State)
}

func TestStateIsRetained(t *testing.T) {
	url := brokertest.Start(t)
	p := launch(t, url)
	require.Eventually(t, p.Connected, patience, time.Millisecond)
	p.Set(wire.Ready, "")
	p.end(errors.New("the store is corrupt"))
	s := stateOf(t, awaitState(bustest.Listen(t, url, topic), 0, wire.Stopped, p.env.Boot))
	assert.Equal(t, "the store is corrupt", s.Error, "why it ended")
}

// The last will carries the boot and no time; after the reconnect the state is
// said again.
func TestLostAndBack(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	l := bustest.Listen(t, b.URL(), topic)
	p := launch(t, b.URL())
	p.Set(wire.Ready, "")
	awaitState(l, 0, wire.Ready, p.env.Boot)
	mark := l.Mark()
	b.DropClients()
	awaitState(l, mark, wire.Ready, p.env.Boot)
	for _, m := range l.Heard(topic) {
		if s := stateOf(t, m); s.State == wire.Lost {
			assert.Equal(t, p.env.Boot, s.Boot)
			assert.True(t, s.Time.IsZero())
			assert.True(t, s.Since.IsZero())
		}
	}
}

// The state of the run before, or its last will, does not make a start say its
// own twice.
func TestStartOverAnOldStateSaysItsOwnOnce(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	l := bustest.Listen(t, b.URL(), topic)
	for _, old := range []string{`{"state":"lost","boot":"old"}`, `{"state":"ready","boot":"old"}`, "rubbish"} {
		l.Leave(topic, old)
		bustest.AwaitRetainedAs(t, b.URL(), topic, old)
		p := launch(t, b.URL(), once)
		awaitState(l, 0, wire.Starting, p.env.Boot)
		p.Set(wire.Ready, "")
		p.end(nil)
		awaitState(l, 0, wire.Stopped, p.env.Boot)
		assert.Equal(t, []string{wire.Starting, wire.Ready, wire.Stopped}, words(l, p.env.Boot), old)
	}
}

// Whoever writes our state, a late last will above all, is put right; two who
// do so all the time do not make us do only that.
func TestStateOfOthersIsPutRight(t *testing.T) {
	url := brokertest.Start(t)
	l := bustest.Listen(t, url, topic)
	p := launch(t, url)
	p.Set(wire.Ready, "")
	awaitState(l, 0, wire.Ready, p.env.Boot)
	for _, other := range []string{
		`{"state":"lost","boot":"old"}`, `{"state":"ready","boot":"other"}`, "", "rubbish",
		`{"state":"lost","boot":"` + p.env.Boot + `"}`, `{"state":"stopped","boot":"` + p.env.Boot + `"}`,
		`{"state":"ready","boot":"` + p.env.Boot + `","error":"no"}`,
	} {
		mark := l.Mark()
		l.Leave(topic, other)
		l.Await(mark, "our own state after "+other, func(m bus.Message) bool {
			var s wire.State
			return m.Topic == topic && json.Unmarshal(m.Payload, &s) == nil && s.State == wire.Ready && s.Boot == p.env.Boot && !s.Time.IsZero()
		})
	}
	mark := l.Mark()
	began := time.Now()
	for range 100 {
		l.Say(topic, "rubbish")
	}
	require.Eventually(t, func() bool {
		all, rubbish := l.Heard(topic), 0
		for _, m := range all[min(mark, len(all)):] {
			if string(m.Payload) == "rubbish" {
				rubbish++
			}
		}
		var s wire.State
		return rubbish == 100 && json.Unmarshal(all[len(all)-1].Payload, &s) == nil && s.State == wire.Ready && s.Boot == p.env.Boot
	}, patience, time.Millisecond, "the last word is ours")
	corrections := 0
	for _, m := range l.Heard(topic)[mark:] {
		var s wire.State
		if json.Unmarshal(m.Payload, &s) == nil && s.Boot == p.env.Boot {
			corrections++
		}
	}
	assert.LessOrEqual(t, corrections, 2+int(time.Since(began)/correctionGap))
}

// Under ManualAck the member confirms what it has seen of its own topic.
func TestOwnStateIsConfirmed(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{AckWait: 200 * time.Millisecond, MaxInflight: 2})
	l := bustest.Listen(t, b.URL(), topic)
	p := launch(t, b.URL(), func(o *bus.Options, _ *Member) { o.Persistent, o.ManualAck = true, true })
	for i := range 20 { // more than the broker would leave unconfirmed
		state := []string{wire.Ready, wire.Unreachable}[i%2]
		mark := l.Mark()
		p.Set(state, "")
		awaitState(l, mark, state, p.env.Boot)
	}
	mark := l.Mark()
	l.Say(topic, "rubbish")
	awaitState(l, mark, wire.Unreachable, p.env.Boot)
}

// Fault 20: two programs with one name take the connection from each other.
// The first to lose it twice in a minute stays away and says so.
func TestFault20SecondProgramWithTheSameName(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{Log: slog.New(slog.DiscardHandler)})
	t.Parallel()
	const pause = 12 * time.Second // far above what follows takes
	short := func(_ *bus.Options, m *Member) {
		if m != nil {
			m.pause = pause
		}
	}
	l := bustest.Listen(t, b.URL(), topic)
	one := launch(t, b.URL(), short)
	require.Eventually(t, one.Connected, patience, time.Millisecond)
	two := launch(t, b.URL(), short)
	var away *program
	require.Eventually(t, func() bool {
		for _, p := range []*program{one, two} {
			if strings.Contains(p.log.String(), "staying away from the broker") {
				away = p
			}
		}
		return away != nil
	}, patience, time.Millisecond)
	other := one
	if away == one {
		other = two
	}
	assert.Contains(t, away.log.String(), "has taken our place")
	assert.Contains(t, away.log.String(), "end one of the two or rename it")
	assert.Contains(t, away.log.String(), "other_boot="+other.env.Boot)
	require.Eventually(t, other.Connected, pause-time.Second, time.Millisecond)
	mark := l.Mark()
	require.Never(t, func() bool { return away.Connected() || !other.Connected() }, time.Second/2, time.Millisecond, "left in peace")
	other.end(nil)
	awaitState(l, mark, wire.Starting, away.env.Boot)
}

func metric(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.Metric[0].GetGauge().GetValue() + f.Metric[0].GetCounter().GetValue()
		}
	}
	t.Fatal("no metric ", name)
	return 0
}

func TestReadinessNeedsTheBus(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	p := launch(t, b.URL())
	readyz := func() string {
		w := httptest.NewRecorder()
		health.Handler(p.env.Health, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		return w.Body.String()
	}
	require.Eventually(t, p.Connected, patience, time.Millisecond)
	p.Set(wire.Ready, "")
	require.Eventually(t, func() bool { return readyz() == "ok\n" }, patience, time.Millisecond)
	assert.Equal(t, 1.0, metric(t, p.env.Metrics, "dcs_bus_connected"))
	assert.Equal(t, 0.0, metric(t, p.env.Metrics, "dcs_bus_dropped_total"))
	b.Stop()
	require.Eventually(t, func() bool { return readyz() == "not ready: no connection to the broker\n" }, patience, time.Millisecond)
	b.Start()
	require.Eventually(t, func() bool { return readyz() == "ok\n" }, patience, time.Millisecond)
	p.Set(wire.Unreachable, "no answer")
	assert.Equal(t, "not ready: unreachable no answer\n", readyz())
}

// A program whose broker never comes ends all the same.
func TestEndWithoutABroker(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	b.Stop()
	quickest := time.Hour
	for range 5 { // a machine that does other things makes some slow
		p := launch(t, b.URL())
		p.Set(wire.Ready, "")
		began := time.Now()
		p.end(nil)
		quickest = min(quickest, time.Since(began))
	}
	assert.Less(t, quickest, time.Second)
}
