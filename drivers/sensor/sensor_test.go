package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	simdht "trackerdcs/drivers/sim/dht"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/bus/bustest"
	"trackerdcs/pkg/device"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/service/servicetest"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
)

// bench is a sensor's driver and somebody who listens.
type bench struct {
	*bustest.Listener
	env *service.Env
}

// drive runs the driver for a sensor until the test ends.
func drive(t *testing.T, dev, model, address, legacy string) *bench {
	t.Helper()
	url := brokertest.Start(t)
	b := &bench{Listener: bustest.Listen(t, url, "/#"), env: servicetest.Env(t, "sensor", dev)}
	cfg := &config{Legacy: legacy, Instrument: device.Instrument{Model: model, Address: address}, Settings: device.Settings{
		Device: service.Device{Device: dev}, Bus: service.Bus{Broker: url},
		Period: 50 * time.Millisecond, Backlog: time.Hour,
	}}
	require.NoError(t, cfg.Validate())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, b.env, cfg) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return b
}

func (b *bench) awaitState(t *testing.T, mark int, state string) {
	t.Helper()
	b.Await(mark, "state "+state, func(m bus.Message) bool {
		return m.Topic == "/"+b.env.Name+"/state" && strings.Contains(string(m.Payload), `"state":"`+state+`"`)
	})
}

// awaitSaid waits for the status with a number. What was read before the driver
// had a connection is not live: it comes again.
func (b *bench) awaitSaid(t *testing.T, seq float64) map[string]any {
	t.Helper()
	var found map[string]any
	b.Await(0, fmt.Sprint("status ", seq), func(m bus.Message) bool {
		if m.Topic != "/"+b.env.Name+"/status" && m.Topic != "/"+b.env.Name+"/replay" {
			return false
		}
		found = nil
		require.NoError(t, json.Unmarshal(m.Payload, &found))
		return found["seq"] == seq
	})
	return found
}

// awaitStatus waits for a status with all of the fields.
func (b *bench) awaitStatus(t *testing.T, mark int, fields ...string) map[string]any {
	t.Helper()
	var found map[string]any
	b.Await(mark, "a status with "+strings.Join(fields, " "), func(m bus.Message) bool {
		if m.Topic != "/"+b.env.Name+"/status" {
			return false
		}
		found = nil
		require.NoError(t, json.Unmarshal(m.Payload, &found))
		for _, f := range fields {
			if _, ok := found[f]; !ok {
				return false
			}
		}
		return true
	})
	return found
}

func serveTCP(t *testing.T, s *simdht.Instrument) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	inBackground(t, func(ctx context.Context) error { return s.Serve(ctx, l) })
	return "tcp://" + l.Addr().String()
}

func inBackground(t *testing.T, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			<-ended
		}
	}
	t.Cleanup(stop)
	return stop
}

func TestSine(t *testing.T) {
	b := drive(t, "sensor_1", "sine", "", "bench_1")
	s := b.awaitStatus(t, 0, "meas1", "meas2", "time", "seq", "boot")
	assert.InDelta(t, s["meas2"], max(s["meas1"].(float64), -s["meas1"].(float64)), 1e-9)
	assert.Equal(t, b.env.Boot, s["boot"])
	b.awaitState(t, 0, wire.Ready)
	var meta wire.Meta
	m := b.Await(0, "the meta", func(m bus.Message) bool { return m.Topic == "/sensor_1/meta" })
	require.NoError(t, json.Unmarshal(m.Payload, &meta))
	assert.Equal(t, wire.KindSensor, meta.Kind)
	assert.GreaterOrEqual(t, meta.Period, 0.05, "as asked for, or what a busy machine has made of it")

	m = b.Await(0, "the original's topic", func(m bus.Message) bool { return m.Topic == "/sensor/bench_1/meas1" })
	var old map[string]any
	require.NoError(t, json.Unmarshal(m.Payload, &old))
	assert.Equal(t, "/sensor/bench_1/meas1", old["topic"])
	assert.Equal(t, "bench_1", old["sensor"])
	assert.Equal(t, "meas1", old["measurement"])
	assert.IsType(t, 0.0, old["value"])
}

// The original's reader lost all but the first temperature of a sketch that
// does not end its second line.
func TestStreamWithoutLineEnds(t *testing.T) {
	board := simdht.New(simdht.Options{Period: 100 * time.Millisecond})
	b := drive(t, "dht_room", "dht", serveTCP(t, board), "")
	b.awaitStatus(t, 0, "temperature", "humidity")
	mark := b.Mark()
	board.FailHumidity(1 << 30)
	for {
		s := b.awaitStatus(t, mark, "temperature")
		if _, ok := s["humidity"]; !ok {
			break // the field that could not be read is absent
		}
		mark = b.Mark()
	}
	board.FailHumidity(0)
	b.awaitStatus(t, b.Mark(), "temperature", "humidity")
}

// The serial cable is pulled and put back: unreachable, no value in between,
// and the stream goes on by itself.
func TestFault22SerialCableOutAndIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "board")
	board := simdht.New(simdht.Options{Period: 100 * time.Millisecond})
	pull := inBackground(t, func(ctx context.Context) error { return board.ServePTY(ctx, path) })
	b := drive(t, "dht_room", "dht", "serial://"+path+"?baud=9600", "")
	b.awaitStatus(t, 0, "temperature", "humidity")

	mark := b.Mark()
	pull()
	b.awaitState(t, mark, wire.Unreachable)
	out := b.Mark()
	b.Say("/other/status", "{}") // everything said before this has been heard after it
	b.Await(out, "the marker", func(m bus.Message) bool { return m.Topic == "/other/status" })
	statuses := b.Heard("/dht_room/status")
	var before map[string]any
	require.NoError(t, json.Unmarshal(statuses[len(statuses)-1].Payload, &before))

	inBackground(t, func(ctx context.Context) error { return board.ServePTY(ctx, path) })
	b.awaitState(t, out, wire.Ready)
	s := b.awaitStatus(t, out, "temperature")
	assert.Equal(t, before["seq"].(float64)+1, s["seq"], "nothing was said while the cable was out")
}

func TestConfigNamesEveryWrongSetting(t *testing.T) {
	c := config{Legacy: "a/b", Instrument: device.Instrument{Model: "dht"}, Settings: device.Settings{Period: time.Second, Bus: service.Bus{Broker: "tcp://x:1"}}}
	err := c.Validate()
	assert.ErrorContains(t, err, "DCS_ADDRESS")
	assert.ErrorContains(t, err, "DCS_LEGACY_SENSOR")
	c = config{Instrument: device.Instrument{Model: "dht22"}, Settings: device.Settings{Period: time.Second, Bus: service.Bus{Broker: "tcp://x:1"}}}
	assert.ErrorContains(t, c.Validate(), "choose one of dht, sine")
	c.Model, c.Address = "dht", "/dev/ttyUSB0"
	assert.ErrorContains(t, c.Validate(), "DCS_ADDRESS")
	c.Address = "serial:///dev/ttyUSB0?baud=9600"
	assert.NoError(t, c.Validate())
	c.Model, c.Address = "sine", "nowhere"
	assert.NoError(t, c.Validate(), "has no address")
}
