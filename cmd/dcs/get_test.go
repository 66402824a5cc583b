package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
	"trackerdcs/services/broker/brokertest"
)

func getFrom(broker, path, output string) *getCmd {
	return &getCmd{busFlags: busFlags{Broker: broker, Output: output, Timeout: patience}, Path: path}
}

func TestGet(t *testing.T) {
	broker := brokertest.Start(t)
	hv, sensor := newFake(t, broker, "hv"), newFake(t, broker, "room")
	for _, f := range []*fake{hv, sensor} {
		f.saysState(wire.Ready, "")
	}
	hv.says("/hv/meta", true, wire.Meta{Kind: wire.KindPSU, Model: "EHS", Period: 1})
	hv.keepsSaying(hvStatus)
	sensor.keepsSaying(room)

	for path, want := range map[string]string{
		"hv/0/imon":        "1.2e-6\n",
		"hv/0/boot":        "b00\n",
		"hv/1/extra":       "7\n",
		"room/temperature": "21.3\n",
	} {
		con, out, _ := printed()
		require.NoError(t, getFrom(broker, path, "text").run(t.Context(), con), path)
		assert.Equal(t, want, out.String(), path)
	}
	for path, want := range map[string]string{
		"hv/2":      "there is no channel 2: there are hv/0, hv/1",
		"hv/vmon":   "which channel? there are hv/0/vmon, hv/1/vmon",
		"hv/1/imon": `hv does not tell "imon"`,
		"room/0":    "room is a sensor and has no channels",
		"hv/0/":     "nothing stands after the last slash",
	} {
		con, _, _ := printed()
		assert.ErrorContains(t, getFrom(broker, path, "text").run(t.Context(), con), want, path)
	}

	con, out, _ := printed()
	require.NoError(t, getFrom(broker, "hv/1", "text").run(t.Context(), con))
	assert.Contains(t, out.String(), "12.346 V")
	assert.NotContains(t, out.String(), "ramping", "that is channel 0")

	con, out, _ = printed()
	require.NoError(t, getFrom(broker, "hv/1", "json").run(t.Context(), con))
	assert.EqualValues(t, 12.3456, jsonLines(t, out.String())[0]["vmon"])

	con, out, _ = printed()
	require.NoError(t, getFrom(broker, "hv", "json").run(t.Context(), con))
	assert.JSONEq(t, hvStatus, out.String())
	assert.Equal(t, 1, strings.Count(out.String(), "\n"), "one line")

	// All that there are: how long the retained ones take is the machine's.
	everything := func(output string) (text string) {
		t.Helper()
		c := getFrom(broker, "", output)
		for c.settle = time.Second; c.settle < patience; c.settle *= 3 {
			con, out, _ := printed()
			require.NoError(t, c.run(t.Context(), con))
			if text = out.String(); strings.Contains(text, "hv") && strings.Contains(text, "room") {
				break
			}
		}
		return text
	}
	all := jsonLines(t, everything("json"))
	require.Len(t, all, 2)
	assert.Equal(t, "hv", all[0]["device"])
	assert.Len(t, all[0]["status"], 2)
	assert.Equal(t, "room", all[1]["device"])

	text := everything("text")
	assert.Contains(t, text, "hv  ready")
	assert.Contains(t, text, "temperature  21.3")
}

func TestGetNothing(t *testing.T) {
	t.Parallel()
	broker := brokertest.Start(t)
	hv := newFake(t, broker, "hv")
	hv.saysState(wire.Unreachable, "no route")
	for path, want := range map[string]string{
		"hv":   "dcs: no status: hv is unreachable: no route\n",
		"gone": "dcs: no status: nobody on this broker has ever been gone\n",
	} {
		con, out, errs := printed()
		c := getFrom(broker, path, "text")
		c.Timeout = 4 * time.Second
		assert.Equal(t, 5, codeOf(t, c.run(t.Context(), con)))
		assert.Empty(t, out.String())
		assert.Equal(t, want, errs.String())
	}
	con, out, _ := printed()
	c := getFrom(broker, "", "text")
	c.Timeout = 4 * time.Second
	require.NoError(t, c.run(t.Context(), con))
	assert.Equal(t, "hv  unreachable: no route\n", out.String())
}

// TestPatience waits as long as it is worth to wait.
func TestPatience(t *testing.T) {
	ready := &device{state: wire.State{State: wire.Ready}}
	slow := &device{state: wire.State{State: wire.Ready}, meta: &wire.Meta{Period: 60}}
	lost := &device{state: wire.State{State: wire.Lost}}
	there := &device{state: wire.State{State: wire.Ready}, status: []byte("[]")}
	for _, tt := range []struct {
		d       *device
		timeout time.Duration
		want    time.Duration
	}{
		{nil, 0, 10 * time.Second},
		{ready, 0, 10 * time.Second},
		{slow, 0, 90 * time.Second},
		{slow, time.Second, time.Second},
		{lost, 0, 2 * time.Second},
		{lost, time.Minute, time.Minute},
	} {
		c := &getCmd{busFlags: busFlags{Timeout: tt.timeout}}
		assert.Equal(t, t0.Add(tt.want), c.deadlineOf(tt.d, t0))
	}
	c := &getCmd{}
	assert.True(t, c.deadlineOf(there, t0).IsZero())
	m := &model{devices: map[string]*device{"a": there, "b": lost}}
	assert.Equal(t, t0.Add(2*time.Second), c.deadline(m, path{}, t0))
	delete(m.devices, "b")
	assert.Equal(t, t0.Add(settleTime), c.deadline(m, path{}, t0))
}
