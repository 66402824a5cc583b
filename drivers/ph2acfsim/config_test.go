package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parsed(t *testing.T, args ...string) (*config, error) {
	t.Helper()
	return parse(args, io.Discard, io.Discard, func(int) { t.Error("kong wants to exit") })
}

func TestBadArguments(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, `--module: "" is not 1 to 64 letters, digits, dots, _ or -`},
		{[]string{"--module", ""}, `--module: "" is not 1 to 64 letters, digits, dots, _ or -`},
		{[]string{"--module", "M 12"}, `--module: "M 12" is not 1 to 64 letters, digits, dots, _ or -`},
		{[]string{"--module", "../M12"}, `--module: "../M12" is not 1 to 64 letters, digits, dots, _ or -`},
		{[]string{"--module=M", "--procedure", "dance"}, `--procedure must be one of "calibration","noise","latency" but got "dance"`},
		{[]string{"--module=M", "--fault", "fire"}, `--fault must be one of "none","fail","hang","crash","ignore-term","orphan" but got "fire"`},
		{[]string{"--module=M", "--vcal", "256"}, "--vcal: 256 is not 0 to 255"},
		{[]string{"--module=M", "--vcal=-1"}, "--vcal: -1 is not 0 to 255"},
		{[]string{"--module=M", "--vcal", "many"}, `--vcal: expected a valid 64 bit int but got "many"`},
		{[]string{"--module=M", "--duration=-1s"}, "--duration: -1s is not 0s to 24h"},
		{[]string{"--module=M", "--duration=25h"}, "--duration: 25h0m0s is not 0s to 24h"},
		{[]string{"--module=M", "--duration=20"}, `--duration: expected duration but got "20": time: missing unit in duration "20"`},
		{[]string{"--module=M", "--channels=0"}, "--channels: 0 is not 1 to 16384"},
		{[]string{"--module=M", "--channels=16385"}, "--channels: 16385 is not 1 to 16384"},
		{[]string{"--module=M", "--hv=here"}, `--hv: address "here": it does not begin with tcp:// or serial://; write for instance tcp://10.0.0.7:5025 or serial:///dev/ttyUSB0?baud=9600&data=8&parity=none&stop=1`},
		{[]string{"--module=M", "--hv-channel=-1"}, "--hv-channel: -1 is not 0 to 63"},
		{[]string{"--module=M", "--bias=NaN"}, "--bias: NaN is not -2000 to 2000 V"},
		{[]string{"--module=M", "--megabytes=2001"}, "--megabytes: 2001 is not 0 to 2000"},
		{[]string{"--module=M", "--events=0"}, "--events: 0 is not 1 to 10000"},
		{[]string{"--module=M", "--seed=9007199254740992"}, "--seed: 9007199254740992 is more than 9007199254740991"},
		{[]string{"--module=M", "--run=-1"}, "--run: -1 is not 0 to 9007199254740991"},
		{[]string{"--module=M", "--fail-at=1.1"}, "--fail-at: 1.1 is not 0 to 1"},
		{[]string{"--module=M", "--vcal=300", "--events=0"}, "--vcal: 300 is not 0 to 255\n--events: 0 is not 1 to 10000"},
		{[]string{"--module=M", "--wire"}, "unknown flag --wire"},
		{[]string{"--module=M", "more"}, "unexpected argument more"},
	} {
		_, err := parsed(t, tt.args...)
		assert.EqualError(t, err, tt.want, "%v", tt.args)
	}
}

func TestDefaults(t *testing.T) {
	c, err := parsed(t, "--module", "M12")
	require.NoError(t, err)
	assert.Equal(t, &config{Module: "M12", Procedure: "calibration", Vcal: 200, Duration: 20 * time.Second, Channels: 2032,
		Bias: 300, Megabytes: 20, Events: 100, Fault: "none", FailAt: 0.5}, c)

	other, err := parsed(t, "--module", "M13")
	require.NoError(t, err)
	assert.NotEqual(t, c.seed(), other.seed())
	assert.LessOrEqual(t, c.seed(), uint64(largest))
	other.Seed = 7
	assert.Equal(t, uint64(7), other.seed())
}

func TestUsageOnStandardError(t *testing.T) {
	var out, err bytes.Buffer
	assert.Equal(t, exitUsage, start([]string{"--module=M", "--vcal=300"}, &out, &err))
	assert.Empty(t, out.String())
	assert.Regexp(t, `^\S+Z ERROR --vcal: 300 is not 0 to 255\n$`, err.String())
}
