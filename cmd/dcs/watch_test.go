package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
	"trackerdcs/services/broker/mqttd"
)

// watching runs watch until the test calls stop, which returns how it ended.
func watching(t *testing.T, c *watchCmd, con console) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.run(ctx, con) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func TestWatchLines(t *testing.T) {
	broker := brokertest.Start(t)
	hv := newFake(t, broker, "hv")
	hv.saysState(wire.Ready, "")
	con, out, _ := printed()
	stop := watching(t, &watchCmd{busFlags: busFlags{Broker: broker, Output: "text"}}, con)
	out.await(t, "hv ready\n")
	hv.keepsSaying(hvStatus)
	out.await(t, "Z hv/0 on vmon 0.000 V vreq 100.00 V imon 1.200 µA ireq 1.000 mA ramp 5 V/s ramping\n")
	out.await(t, "Z hv/1 off vmon 12.346 V vreq 1000.00 V TRIP, locked\n")
	hv.says("/sensor/box/dew", false, 1.5)
	out.await(t, "Z sensor/box dew 1.5\n")
	hv.says("/service/loader/state", true, wire.State{State: wire.Unreachable, Error: "no disk"})
	out.await(t, "Z service/loader unreachable no disk\n")
	assert.NoError(t, stop())
}

func TestWatchJSON(t *testing.T) {
	broker := brokertest.Start(t)
	newFake(t, broker, "lv").saysState(wire.Ready, "")
	hv := newFake(t, broker, "hv")
	hv.saysState(wire.Ready, "")
	con, out, _ := printed()
	stop := watching(t, &watchCmd{busFlags: busFlags{Broker: broker, Output: "json"}, Device: "hv"}, con)
	out.await(t, "/hv/state")
	require.NoError(t, hv.Publish(t.Context(), bus.Message{Topic: "/hv/status", QoS: 1, Payload: []byte(hvStatus)}))
	out.await(t, "/hv/status")
	require.NoError(t, stop())
	lines := jsonLines(t, out.String())
	require.Len(t, lines, 2, "lv was not asked for")
	assert.Equal(t, true, lines[0]["retained"])
	assert.Equal(t, "ready", lines[0]["payload"].(map[string]any)["state"])
	assert.Len(t, lines[1]["payload"], 2)
}

func TestWatchPicture(t *testing.T) {
	b := brokertest.New(t, mqttd.Options{})
	hv := newFake(t, b.URL(), "hv")
	hv.saysState(wire.Ready, "")
	hv.keepsSaying(hvStatus)
	out := newPaper()
	con := console{out: out, err: newPaper(), color: true, size: func() (int, int, bool) { return 100, 30, true }}
	stop := watching(t, &watchCmd{busFlags: busFlags{Broker: b.URL(), Output: "text"}}, con)
	out.await(t, "\x1b[31m   1  off  12.346 V  1000.00 V                             TRIP, locked\x1b[0m\x1b[K")
	b.Stop()
	out.await(t, "NO BROKER")
	require.NoError(t, stop())
	text := out.String()
	assert.True(t, strings.HasPrefix(text, enterScreen+home))
	assert.True(t, strings.HasSuffix(text, leaveScreen), "the terminal is left as it was")
}

func TestFrameFits(t *testing.T) {
	m := filled(t, "")
	for height := 2; height < 25; height++ {
		out := newPaper()
		con := console{out: out, size: func() (int, int, bool) { return 30, height, true }}
		new(watchCmd).frame(con, m, t0, "")
		assert.LessOrEqual(t, strings.Count(out.String(), "\r\n"), height-1)
		assert.Equal(t, height < 18, strings.Contains(out.String(), "more lines"), height)
	}
}

// TestWatchEndsWithItsReader ends when what it prints is not read any more.
func TestWatchEndsWithItsReader(t *testing.T) {
	con := console{out: broken{}, err: newPaper()}
	e := event{at: t0, msg: bus.Message{Topic: "/hv/status", Payload: []byte(hvStatus)}}
	for _, output := range []string{"text", "json"} {
		c := &watchCmd{busFlags: busFlags{Output: output}}
		assert.ErrorContains(t, c.listEvent(con, newModel(""), e), "printing: gone")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }
