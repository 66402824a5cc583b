package main

import (
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/wire"
)

// commandLine is dcs without the demonstrator.
type commandLine struct {
	Watch  watchCmd  `cmd:""`
	Get    getCmd    `cmd:""`
	Set    setCmd    `cmd:""`
	Switch switchCmd `cmd:""`
	Send   sendCmd   `cmd:""`
}

func parse(t *testing.T, args ...string) (*commandLine, error) {
	t.Helper()
	var c commandLine
	k, err := kong.New(&c, kong.Name("dcs"), kong.Exit(func(int) { t.Error("kong wants to exit") }))
	require.NoError(t, err)
	_, err = k.Parse(args)
	return &c, err
}

func TestNegativeVoltages(t *testing.T) {
	for _, args := range [][]string{
		{"set", "hv/1", "-100", "--no-wait"},
		{"set", "--no-wait", "hv/1", "-100"},
		{"set", "--no-wait", "--", "hv/1", "-100"},
		{"set", "--no-wait", "-o", "text", "hv/1", "-100"},
	} {
		c, err := parse(t, args...)
		require.NoError(t, err, args)
		assert.Equal(t, target{"hv", "1"}, c.Set.Target)
		assert.Equal(t, "-100", c.Set.Volts)
		assert.True(t, c.Set.NoWait)
	}
	c, err := parse(t, "send", "hv/1", "setv", "-.5e2", "--dry")
	require.NoError(t, err)
	assert.Equal(t, "-.5e2", c.Send.Value)
	assert.True(t, c.Send.Dry)
}

func TestBadArguments(t *testing.T) {
	for _, tt := range []struct {
		want string
		args []string
	}{
		{`"hv": want device/channel, as in hv/0`, []string{"set", "hv", "100"}},
		{`"hv": want device/channel, as in hv/0`, []string{"set", "hv", "-100"}},
		{`"hv/": want device/channel, as in hv/0`, []string{"set", "hv/", "100"}},
		{`"hv/x": a channel is a number or all`, []string{"set", "hv/x", "100"}},
		{`"hv/-1": a channel is a number or all`, []string{"set", "hv/-1", "100"}},
		{`"hv/0/vmon": a channel is a number or all`, []string{"set", "hv/0/vmon", "100"}},
		{"use letters, digits, _ and - only", []string{"set", "h+v/0", "100"}},
		{"reserved", []string{"set", "alarm/0", "100"}},
		{`expected "<volts>"`, []string{"set", "hv/0"}},
		{"must be one of", []string{"switch", "hv/0", "up"}},
		{"must be one of", []string{"get", "-o", "xml"}},
		{"unknown flag", []string{"set", "hv/0", "100", "--wait"}},
		{"unexpected argument", []string{"set", "hv/0", "100", "200"}},
	} {
		_, err := parse(t, tt.args...)
		assert.ErrorContains(t, err, tt.want, tt.args)
	}
}

func TestBadPaths(t *testing.T) {
	for _, s := range []string{"/", "h v", "sensor/0", "hv/0/", "hv//", "hv/0/vmon/x", "hv/vmon/0"} {
		_, err := parsePath(s)
		assert.Error(t, err, s)
	}
	for s, want := range map[string]path{
		"":           {},
		"hv":         {device: "hv"},
		"hv/0":       {device: "hv", channel: "0"},
		"hv/0/vmon":  {device: "hv", channel: "0", field: "vmon"},
		"room/meas1": {device: "room", field: "meas1"},
	} {
		got, err := parsePath(s)
		require.NoError(t, err, s)
		assert.Equal(t, want, got, s)
	}
}

func TestNewCommand(t *testing.T) {
	hv := target{"hv", "0"}
	for _, tt := range []struct{ op, value, reason, want string }{
		{"setv", "nan", "", "not a number"},
		{"setv", "0x10", "", "not a number"},
		{"setv", "", "", "needs a value"},
		{"switch", "up", "", "neither on nor off"},
		{"lock", "", "", "add --reason"},
		{"lock", "1", "hands inside", "takes no value"},
		{"clear", "1", "", "takes no value"},
		{"setv", "1", "because", "takes no reason"},
		{"fire", "1", "", "not an op"},
	} {
		_, err := newCommand(hv, tt.op, tt.value, tt.reason)
		assert.ErrorContains(t, err, tt.want)
	}
	c, err := newCommand(hv, "lock", "", `a "hand"`)
	require.NoError(t, err)
	assert.Equal(t, `a "hand"`, c.Reason)
	c, err = newCommand(target{"hv", "all"}, "switch", "off", "")
	require.NoError(t, err)
	assert.Equal(t, wire.All(), c.Channel)
}

func TestBroker(t *testing.T) {
	t.Setenv("DCS_BROKER", "")
	t.Setenv("PORT_OFFSET", "100")
	c, err := parse(t, "get", "--timeout=3s")
	require.NoError(t, err)
	assert.Equal(t, "tcp://127.0.0.1:1983", c.Get.broker())
	assert.Equal(t, 3*time.Second, c.Get.Timeout)

	t.Setenv("DCS_BROKER", "ssl://lab:8883")
	c, err = parse(t, "get")
	require.NoError(t, err)
	assert.Equal(t, "ssl://lab:8883", c.Get.broker(), "an address that is given is not moved")
}
