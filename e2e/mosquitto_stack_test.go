//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/brokerauth"
	"trackerdcs/pkg/wire"
)

// program runs one of our binaries until the test ends; kill ends it at once.
func program(t *testing.T, binary string, env ...string) (kill func()) {
	t.Helper()
	cmd := exec.Command(filepath.Join(root(t), "bin", binary))
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = t.Output()
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	kill = func() {
		_ = cmd.Process.Kill()
		<-ended
	}
	t.Cleanup(kill)
	return kill
}

// heard collects messages by topic, with "retained" in front where the flag is set.
type heard struct{ ch chan mqtt.Message }

func (h heard) await(t *testing.T, what string, wanted func(mqtt.Message) bool) mqtt.Message {
	t.Helper()
	var found mqtt.Message
	eventually(t, what, func() bool {
		for {
			select {
			case m := <-h.ch:
				if wanted(m) {
					found = m
					return true
				}
			default:
				return false
			}
		}
	})
	return found
}

// A driver and a person on the broker of production, with its configuration and
// an account each: a command, a command left behind, the last will.
func TestDriverOnMosquitto(t *testing.T) {
	b := startBroker(t, newAccess(t, "", brokerauth.Account{Name: "hv", Role: brokerauth.Driver}, brokerauth.Account{Name: "alice", Role: brokerauth.Operator}))
	instrument := "tcp://" + freeAddr(t)
	program(t, "sim", "DCS_MODEL=iseg", "DCS_ADDRESS="+instrument, "DCS_SIM_RAMP=50") // 6 s in which to see it in a ramp, and to kill it

	h := heard{make(chan mqtt.Message, 10000)}
	c := mqtt.NewClient(b.options("alice", "mosquitto_pub").SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { h.ch <- m }))
	require.NoError(t, await(t, c.Connect()))
	defer c.Disconnect(250)
	require.NoError(t, await(t, c.Publish("/hv/cmd/setv/1", 1, true, "200")))
	require.NoError(t, await(t, c.Subscribe("/hv/#", 1, nil)))

	env := append(b.env(b.url, "hv"), "DCS_DEVICE=hv", "DCS_MODEL=iseg", "DCS_ADDRESS="+instrument, "DCS_LIMITS=0=0:500", "DCS_PERIOD=200ms")
	kill := program(t, "psu", env...)

	m := h.await(t, "the refusal of what was left behind", func(m mqtt.Message) bool { return m.Topic() == "/hv/ack" })
	assert.Contains(t, string(m.Payload()), `"code":"RETAINED"`)
	h.await(t, "its clearing", func(m mqtt.Message) bool { return m.Topic() == "/hv/cmd/setv/1" && len(m.Payload()) == 0 })
	h.await(t, "a status", func(m mqtt.Message) bool { return m.Topic() == "/hv/status" })

	for _, s := range []struct {
		op, payload, phase string
		code               wire.Code
	}{
		{"setv", "100.", wire.Done, wire.OK},
		{"setv", "501", wire.Rejected, wire.OutOfRange},
		{"switch", "on", wire.Done, wire.OK},
		{"switch", "off", wire.Done, wire.OK},
	} {
		require.NoError(t, await(t, c.Publish("/hv/cmd/"+s.op+"/0", 1, false, s.payload)))
		h.await(t, fmt.Sprint(s), func(m mqtt.Message) bool {
			var a wire.Ack
			return m.Topic() == "/hv/ack" && json.Unmarshal(m.Payload(), &a) == nil && a.Op == s.op && a.Phase == s.phase && a.Code == s.code
		})
	}

	// Fault 24: killed in a ramp, the hardware goes on to its setpoint.
	status := func(wanted func(wire.Channel) bool) func(mqtt.Message) bool {
		return func(m mqtt.Message) bool {
			var list []wire.Channel
			return m.Topic() == "/hv/status" && json.Unmarshal(m.Payload(), &list) == nil && wanted(list[0])
		}
	}
	require.NoError(t, await(t, c.Publish("/hv/cmd/setv/0", 1, false, "400")))
	require.NoError(t, await(t, c.Publish("/hv/cmd/switch/0", 1, false, "on")))
	h.await(t, "the ramp", status(func(c wire.Channel) bool { return c.VMon.V > 50 && c.VMon.V < 350 }))
	kill()
	h.await(t, "the last will", func(m mqtt.Message) bool {
		return m.Topic() == "/hv/state" && strings.Contains(string(m.Payload()), `"state":"lost"`) && !strings.Contains(string(m.Payload()), `"time"`)
	})
	program(t, "psu", env...)
	h.await(t, "the driver is back", func(m mqtt.Message) bool {
		return m.Topic() == "/hv/state" && strings.Contains(string(m.Payload()), `"state":"ready"`)
	})
	h.await(t, "the setpoint reached", status(func(c wire.Channel) bool {
		return c.Seq > 0 && c.On == wire.Yes && c.VReq.V == 400 && c.VMon.V > 399
	}))
}
