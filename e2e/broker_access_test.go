//go:build e2e

package e2e

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"trackerdcs/pkg/brokerauth"
)

// onTheBus are topics of every kind, to be tried by everybody. What begins
// with a slash is the stack's own.
var onTheBus = strings.Fields(`
	/hv/status /hv/replay /hv/ack /hv/state /hv/meta /hv/locks /hv/cmd/setv/0 /hv/cmd/setv /hv/results/1/manifest /hv
	/lv/status /lv/replay /lv/ack /lv/state /lv/meta /lv/locks /lv/cmd/switch/0
	/ph2acf/status /ph2acf/state /ph2acf/meta /ph2acf/ack /ph2acf/run /ph2acf/log /ph2acf/cmd/start /ph2acf/results/1/manifest /ph2acf/results/1/0/0
	/run/cmd/start /run/cmd/abort /run/ack /run/state /run/record /run/annotation
	/service/loader/state /service/loader/ledger/hv /service/runcontrol/state /service/nodered/state
	/service/gateway/state /service/gateway/audit /service/gateway/beat
	/service/calibration/state /service/calibration/results/ph2acf /service/calibration/results/hv /service/calibration/record /service/calibration/runs
	/sensor/cleanroom/temperature /sensor/pump/power /sensor/old_dht/temperature /sensor/nodered/dew_point /sensor/hv/x
	/alice/status /alice/state /bob/status /mallory/status /alarm/x /x
	shellies/pump/relay/0 shellies/pump/relay/0/command shellies/fan/relay/0 hv/status $SYS/broker/uptime
`)

// member is an account with all that it may do: everything else of onTheBus is
// forbidden.
type member struct {
	brokerauth.Account
	writes, reads string
}

const allCommands = "/hv/cmd/setv/0 /hv/cmd/setv /lv/cmd/switch/0 /ph2acf/cmd/start /run/cmd/start /run/cmd/abort "

// all is everything but the broker's own figures, which it publishes itself.
var all = strings.Join(onTheBus[:len(onTheBus)-1], " ")

var members = []member{
	{
		Account: brokerauth.Account{Name: "hv", Role: brokerauth.Driver},
		writes:  "/hv/status /hv/replay /hv/ack /hv/state /hv/meta /hv/locks /hv/cmd/setv/0 /hv/cmd/setv /hv/results/1/manifest /hv",
		reads: "/hv/status /hv/replay /hv/ack /hv/state /hv/meta /hv/locks /hv/cmd/setv/0 /hv/cmd/setv /hv/results/1/manifest /hv " +
			"/service/loader/state /service/runcontrol/state /service/nodered/state /service/gateway/state /service/calibration/state /service/calibration/results/hv",
	},
	{
		Account: brokerauth.Account{Name: "ph2acf", Role: brokerauth.Driver},
		writes: "/ph2acf/status /ph2acf/state /ph2acf/meta /ph2acf/ack /ph2acf/run /ph2acf/log /ph2acf/cmd/start " +
			"/ph2acf/results/1/manifest /ph2acf/results/1/0/0",
		reads: "/ph2acf/status /ph2acf/state /ph2acf/meta /ph2acf/ack /ph2acf/run /ph2acf/log /ph2acf/cmd/start /ph2acf/results/1/manifest /ph2acf/results/1/0/0 " +
			"/service/loader/state /service/runcontrol/state /service/nodered/state /service/gateway/state /service/calibration/state /service/calibration/results/ph2acf",
	},
	{ // with DCS_LEGACY_SENSOR
		Account: brokerauth.Account{Name: "dht", Role: brokerauth.Driver, Topics: []string{"/sensor/old_dht/#"}},
		writes:  "/sensor/old_dht/temperature",
		reads: "/sensor/old_dht/temperature /service/loader/state /service/runcontrol/state /service/nodered/state /service/gateway/state " +
			"/service/calibration/state",
	},
	{
		Account: brokerauth.Account{Name: "loader", Role: brokerauth.Loader},
		writes:  "/service/loader/state /service/loader/ledger/hv",
		reads:   all,
	},
	{
		Account: brokerauth.Account{Name: "calibration", Role: brokerauth.Sink},
		writes: "/service/calibration/state /service/calibration/results/ph2acf /service/calibration/results/hv " +
			"/service/calibration/record /service/calibration/runs",
		reads: "/service/calibration/state /service/calibration/results/ph2acf /service/calibration/results/hv " +
			"/service/calibration/record /service/calibration/runs /run/record /run/ack /run/state " +
			"/hv/status /hv/replay /hv/ack /hv/state /hv/meta /hv/results/1/manifest /lv/status /lv/replay /lv/ack /lv/state /lv/meta " +
			"/ph2acf/status /ph2acf/state /ph2acf/meta /ph2acf/ack /ph2acf/results/1/manifest /ph2acf/results/1/0/0 /alice/status /alice/state /bob/status /mallory/status " +
			"/sensor/cleanroom/temperature /sensor/pump/power /sensor/old_dht/temperature /sensor/nodered/dew_point /sensor/hv/x",
	},
	{
		Account: brokerauth.Account{Name: "runcontrol", Role: brokerauth.RunControl},
		writes:  allCommands + "/run/ack /run/state /run/record /run/annotation /service/runcontrol/state",
		reads: "/run/cmd/start /run/cmd/abort /run/ack /run/state /run/record /run/annotation " +
			"/service/loader/state /service/runcontrol/state /service/nodered/state /service/gateway/state /service/calibration/state " +
			"/service/calibration/record /service/calibration/runs /hv/status /hv/ack /hv/state /hv/meta /lv/status /lv/ack /lv/state /lv/meta " +
			"/ph2acf/status /ph2acf/state /ph2acf/meta /ph2acf/ack /ph2acf/run /alice/status /alice/state /bob/status /mallory/status",
	},
	{
		Account: brokerauth.Account{Name: "gateway", Role: brokerauth.Gateway},
		writes: allCommands + "/service/gateway/state /service/gateway/audit /service/gateway/beat " +
			"/sensor/cleanroom/temperature /sensor/pump/power /sensor/old_dht/temperature /sensor/nodered/dew_point /sensor/hv/x",
		reads: all,
	},
	{
		Account: brokerauth.Account{Name: "nodered", Role: brokerauth.NodeRED},
		writes:  allCommands + "/service/nodered/state /sensor/nodered/dew_point",
		reads:   all,
	},
	{Account: brokerauth.Account{Name: "alice", Role: brokerauth.Operator}, writes: allCommands, reads: all},
	{Account: brokerauth.Account{Name: "bob", Role: brokerauth.Viewer}, reads: all},
	{Account: brokerauth.Account{Name: "health", Role: brokerauth.Health}},
	{Account: brokerauth.Account{Name: "cleanroom", Role: brokerauth.Outside}, writes: "/sensor/cleanroom/temperature"},
	{
		Account: brokerauth.Account{Name: "pump", Role: brokerauth.Outside, Topics: []string{"shellies/pump/#"}},
		writes:  "/sensor/pump/power shellies/pump/relay/0 shellies/pump/relay/0/command",
		reads:   "shellies/pump/relay/0 shellies/pump/relay/0/command",
	},
}

// below puts a root before the stack's own topics.
func below(root string, topics []string) (moved []string) {
	for _, t := range topics {
		if strings.HasPrefix(t, "/") {
			t = root + t
		}
		moved = append(moved, t)
	}
	return moved
}

// Everybody tries to write every topic, and to read it: what arrives is what is
// allowed, no more and no less. With a root the topics without it are tried too.
func TestBrokerAccess(t *testing.T) {
	for _, root := range []string{"", "lab1", "site/lab 2"} {
		t.Run("root "+root, func(t *testing.T) {
			var list []brokerauth.Account
			for _, m := range members {
				list = append(list, m.Account)
			}
			b := startBroker(t, newAccess(t, root, list...))
			topics := below(root, onTheBus)
			if root != "" {
				for _, topic := range onTheBus {
					if strings.HasPrefix(topic, "/") {
						topics = append(topics, topic, "lab10"+topic)
					}
				}
			}
			seer, own := b.client(everybody), b.clientAs(credentials{id: "own", user: everybody, password: b.passwords[everybody]})
			seer.subscribe("#", "$SYS/broker/uptime/#", "$other/#")
			for _, m := range members {
				c := b.client(m.Name)
				for _, topic := range topics {
					c.publish(topic, m.Name+" writes "+topic, true)
				}
				c.publish("$other/x", m.Name+" writes $other/x", true)
				own.publish("marker", "marker", false)
				var want []string
				for _, topic := range below(root, strings.Fields(m.writes)) {
					want = append(want, m.Name+" writes "+topic)
				}
				var came []string
				for _, text := range seer.heard() {
					if strings.Contains(text, " writes ") {
						came = append(came, text)
					}
				}
				assert.ElementsMatch(t, want, came, "what %s (%s) has published", m.Name, m.Role)
			}

			for _, topic := range topics { // nobody is to hear what was retained
				own.publish(topic, "", true)
			}
			readers := map[string]*wireClient{}
			for _, m := range members {
				c := b.clientAs(credentials{id: "reads-" + m.Name, user: m.Name, password: b.passwords[m.Name]})
				c.subscribe("#", "+/#", "/+/cmd/#", root+"/hv/status", "$SYS/broker/version")
				figures := 0
				for _, text := range c.heard() {
					assert.Contains(t, text, "mosquitto version", m.Name)
					figures++
				}
				// Overlapping filters bring one message once; the version is retained.
				assert.Equal(t, m.Role == brokerauth.Health || strings.Contains(m.reads, "/alarm/x"), figures > 0, "%s reads the broker's figures", m.Name)
				readers[m.Name] = c
			}
			for _, topic := range topics {
				own.publish(topic, "read "+topic, false)
			}
			for _, m := range members {
				var want, came []string
				for _, topic := range below(root, strings.Fields(m.reads)) {
					want = append(want, "read "+topic)
				}
				if m.reads == all && root != "" { // foreign topics, as they see it
					for _, topic := range topics[len(onTheBus):] {
						want = append(want, "read "+topic)
					}
				}
				for _, text := range readers[m.Name].heard() {
					if !slices.Contains(came, text) {
						came = append(came, text)
					}
				}
				assert.ElementsMatch(t, want, came, "what came to %s (%s)", m.Name, m.Role)
			}
		})
	}
}

// What was retained by an account that may is there for who subscribes later;
// one that reads nothing gets nothing of it.
func TestBrokerRetained(t *testing.T) {
	b := startBroker(t, newAccess(t, "", members[0].Account, members[3].Account, members[len(members)-2].Account))
	b.client("hv").publish("/hv/state", "ready", true)
	b.client("hv").publish("/lv/state", "of another", true)
	for account, want := range map[string][]string{"loader": {"ready"}, "cleanroom": nil} {
		c := b.client(account)
		c.subscribe("/#")
		assert.Equal(t, want, c.heard(), account)
	}
}

// A last will is a message like others: one that says another is lost does not
// go out.
func TestBrokerWills(t *testing.T) {
	b := startBroker(t, newAccess(t, "", members[0].Account))
	seer := b.client(everybody)
	seer.subscribe("#")
	for _, topic := range []string{"/lv/state", "/service/loader/state", "/lv/cmd/switch/all", "/hv/state"} {
		conn, err := net.Dial("tcp", b.plain)
		require.NoError(t, err)
		_, _, err = dialWire(t, conn, credentials{id: "x", user: "hv", password: b.passwords["hv"], will: topic})
		if topic == "/hv/state" {
			require.NoError(t, err)
		}
		require.NoError(t, conn.Close()) // without a word: the will is due
	}
	var came []string
	eventually(t, "its own will", func() bool {
		came = append(came, seer.heard()...)
		return slices.Contains(came, "will /hv/state")
	})
	assert.Equal(t, []string{"will /hv/state"}, came)
}

// Outside devices: encrypted, our CA, TLS 1.2 at least, an account.
func TestBrokerTLS(t *testing.T) {
	var list []brokerauth.Account
	for _, m := range members {
		list = append(list, m.Account)
	}
	b := startBroker(t, newAccess(t, "", list...))
	ours, other := b.trust(), newAccess(t, "")

	for name, conf := range map[string]*tls.Config{
		"another CA":   {RootCAs: other.trust()},
		"another name": {RootCAs: ours, ServerName: "hv.example.org"},
		"TLS 1.1":      {RootCAs: ours, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"TLS 1.0":      {RootCAs: ours, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
	} {
		_, err := b.encrypted(conf)
		assert.Error(t, err, name)
	}
	plain, err := net.Dial("tcp", b.tls)
	require.NoError(t, err)
	defer plain.Close()
	_, _, err = dialWire(t, plain, credentials{id: "x", user: "cleanroom", password: b.passwords["cleanroom"]})
	assert.Error(t, err, "without encryption")

	for name, cred := range map[string]credentials{
		"anonymous":      {id: "x"},
		"wrong password": {id: "x", user: "cleanroom", password: "x"},
		"of another":     {id: "x", user: "cleanroom", password: b.passwords["pump"]},
	} {
		conn, err := b.encrypted(&tls.Config{RootCAs: ours})
		require.NoError(t, err)
		_, code, err := dialWire(t, conn, cred)
		assert.True(t, err != nil || code == 5, "%s: let in", name)
	}

	// The session of a driver is not to be had for its client id.
	hv := b.clientAs(credentials{id: "dcs-hv", user: "hv", password: b.passwords["hv"]})
	seer := b.client(everybody)
	seer.subscribe("#")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conn, err := b.encrypted(&tls.Config{RootCAs: ours, MinVersion: version, MaxVersion: version})
		require.NoError(t, err)
		c, code, err := dialWire(t, conn, credentials{id: "dcs-hv", user: "cleanroom", password: b.passwords["cleanroom"]})
		require.NoError(t, err)
		require.Zero(t, code)
		c.publish("/hv/status", "a lie", false)
		c.publish("/hv/cmd/setv/0", "1000", true)
		c.publish("/sensor/cleanroom/temperature", "21.5", false)
		assert.Equal(t, []string{"21.5"}, seer.heard())
		assert.Empty(t, c.heard())
	}
	require.NoError(t, hv.ping(), "it is connected still")
}

// New accounts, the end of old ones, and a new certificate come with a SIGHUP;
// who is connected stays so.
func TestBrokerReload(t *testing.T) {
	b := startBroker(t, newAccess(t, "", members[0].Account, brokerauth.Account{Name: "mallory", Role: brokerauth.Operator}))
	hv, mallory, seer := b.client("hv"), b.client("mallory"), b.client(everybody)
	seer.subscribe("#")
	mallory.publish("/hv/cmd/setv/0", "1", false)
	require.Equal(t, []string{"1"}, seer.heard())

	b.remove("mallory")
	b.add(brokerauth.Account{Name: "lv", Role: brokerauth.Driver}, brokerauth.Account{Name: "alice", Role: brokerauth.Operator})
	before := b.trust()
	certify(t, b.dir)
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGHUP))
	eventually(t, "the end of the one that is gone", mallory.ended)
	b.client("lv").publish("/lv/status", "2", false)
	b.client("lv").publish("/hv/status", "3", false)
	b.client("alice").publish("/lv/cmd/setv/1", "4", false)
	hv.publish("/hv/status", "5", false)
	hv.publish("/lv/status", "6", false)
	assert.Equal(t, []string{"2", "4", "5"}, seer.heard())
	_, err := b.encrypted(&tls.Config{RootCAs: b.trust()})
	require.NoError(t, err, "the new certificate")
	_, err = b.encrypted(&tls.Config{RootCAs: before})
	require.Error(t, err, "the old one")
}
