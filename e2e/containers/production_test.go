//go:build e2e && linux

package containers

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where the parts listen, inside.
var listens = map[string][]int{
	"mosquitto": {1883, 8883}, "influxdb": {8086}, "mongo": {27017}, "nodered": {1880}, "gateway": {8443}, "grafana": {3000},
	"loader": {9100}, "runcontrol": {9100}, "calibration": {9100}, "backup": {9100}, "sine": {9100},
}

// Production, with an instrument of one's own: from instruments.yml to the
// archive, and one door.
func TestProduction(t *testing.T) {
	s := newStack(t, "docker-compose.yml")
	s.write("instruments.yml", "instruments:\n  sine: {driver: sensor, model: sine, address: \"sine://\"}\n")
	s.init()
	s.use("docker-compose.yml", "docker-compose.override.yml") // which it has made
	t.Logf("healthy %v after up -d", s.up().Round(time.Second))
	require.Contains(t, s.containers(), "sine")
	within(t, func() bool {
		a := s.audit(time.Now())
		return len(a) == 1 && a[0].Device == "sine" && a[0].Statuses > 3 && a[0].Missing == 0
	}, time.Second, "nothing of the instrument is in the archive")

	t.Run("OneDoor", func(t *testing.T) { s.t = t; oneDoor(t, s) })
	t.Run("NetworksApart", func(t *testing.T) { s.t = t; networksApart(t, s) })
	t.Run("Development", func(t *testing.T) { s.t = t; development(t, s) })
	t.Run("DeviceOutside", func(t *testing.T) { s.t = t; deviceOutside(t, s) })
	s.t = t
}

// development: the ports of all parts are open on loopback, and shut when
// production comes back; those who stay are still found by name.
func development(t *testing.T, s *stack) {
	open := func() (ports []int) {
		for _, port := range []int{1880, 1883, 8086, 8883, 9100, 9101, 9102, 9103, 9104, 27017} {
			c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 2*time.Second)
			if err == nil {
				require.NoError(t, c.Close())
				ports = append(ports, port)
			}
		}
		return ports
	}
	require.Empty(t, open(), "these ports are somebody else's on this machine")
	s.use("docker-compose.yml", "docker-compose.override.yml", "docker-compose.dev.yml")
	s.compose("config", "--quiet")
	s.up()
	assert.Len(t, open(), 10, "%v", open())

	s.use("docker-compose.yml", "docker-compose.override.yml")
	s.up()
	assert.Empty(t, open())
	before := s.audit(time.Now())
	require.NotEmpty(t, before)
	within(t, func() bool {
		a := s.audit(time.Now())
		return len(a) == 1 && a[0].Missing == 0 && a[0].Statuses > before[0].Statuses+3
	}, time.Second, "nothing new of the instrument is in the archive after production has come back")
}

// deviceOutside: an entry in instruments.yml opens 8883 for a device that is not
// ours, with TLS that it can check and a login of its own.
func deviceOutside(t *testing.T, s *stack) {
	s.write("instruments.yml", s.read("instruments.yml")+"outside: {cleanroom: {}}\n")
	s.init()
	s.up()
	publish := func(topic string) {
		_, err := output(t, s.dir, nil, "", "mosquitto_pub", "-h", "localhost", "-p", "8883", "--cafile", "secrets/ca_crt",
			"-u", "cleanroom", "-P", s.read("secrets/broker_cleanroom"), "-q", "1", "-r", "-t", topic, "-m", "21.5")
		require.NoError(t, err)
	}
	publish("/sensor/other/temperature") // what is denied looks as if it had been published
	publish("/sensor/cleanroom/temperature")
	// It listens for five seconds and then ends with an error, which is that time is
	// over: on a busy machine before it has heard anything.
	var said string
	within(t, func() bool {
		said, _ = s.try("", "exec", "-T", "mosquitto", "mosquitto_sub", "-u", "dcs", "-P", s.read("secrets/broker_dcs"), "-t", "/sensor/other/#", "-t", "/sensor/#", "-v", "-W", "5")
		return said != ""
	}, tick, "nothing is on the bus of what was published outside")
	assert.Equal(t, "/sensor/cleanroom/temperature 21.5", strings.TrimSpace(said))
}

// oneDoor: the gateway's port is published and answers, and nothing else is to be
// had from a place on none of the networks.
func oneDoor(t *testing.T, s *stack) {
	published := make(map[string][]string)
	var targets []string
	for name, c := range s.containers() {
		for port, hosts := range c.NetworkSettings.Ports {
			for _, h := range hosts {
				published[name] = append(published[name], fmt.Sprintf("%s on %s", port, h.HostPort))
			}
		}
		for _, n := range c.NetworkSettings.Networks {
			for _, port := range listens[name] {
				targets = append(targets, fmt.Sprintf("%s:%d", n.IPAddress, port))
			}
		}
	}
	assert.Equal(t, []string{"gateway"}, slices.Collect(maps.Keys(published)), "%v", published)

	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: patience} //nolint:gosec // its certificate is its own
	res, err := client.Get(s.url() + "/healthz")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusOK, res.StatusCode)

	slices.Sort(targets)
	require.Greater(t, len(targets), 8)
	assert.Empty(t, s.reached("bridge", targets), "from outside")
}

// networksApart: on the bus nobody reaches a database, nor Grafana; and nobody
// beside the databases reaches the bus.
func networksApart(t *testing.T, s *stack) {
	all := s.containers()
	at := func(name, network string) []string {
		n, ok := all[name].NetworkSettings.Networks[s.project+"_"+network]
		if !ok {
			return nil
		}
		var addresses []string
		for _, port := range listens[name] {
			addresses = append(addresses, fmt.Sprintf("%s:%d", n.IPAddress, port))
		}
		return addresses
	}
	databases := slices.Concat(at("influxdb", "archive"), at("mongo", "runs"), at("grafana", "archive"))
	bus := at("mosquitto", "default")
	require.GreaterOrEqual(t, len(databases), 2)
	flows := at("nodered", "flows")
	require.NotEmpty(t, flows)
	influxdb, mongo := at("influxdb", "archive"), at("mongo", "runs")
	// reaches asks until all are reached that should be: one that answers too late
	// on a busy machine is asked again. No other one may ever be.
	reaches := func(network string, want, others []string) {
		within(t, func() bool {
			got := s.reached(s.project+"_"+network, slices.Concat(want, others))
			for _, a := range got {
				require.Contains(t, want, a, "from %s", network)
			}
			return len(got) == len(want)
		}, tick, "from %s not all of %v are reached", network, want)
	}
	reaches("default", bus, slices.Concat(flows, databases))
	reaches("archive", influxdb, slices.Concat(bus, mongo))
	reaches("runs", mongo, slices.Concat(bus, influxdb))
	for _, network := range []string{"archive", "runs"} {
		assert.Equal(t, "true", strings.TrimSpace(docker(t, "network", "inspect", "-f", "{{.Internal}}", s.project+"_"+network)), network)
	}
}

// reached are those of some addresses that a container on a network reaches.
func (s *stack) reached(network string, addresses []string) []string {
	s.t.Helper()
	list, err := json.Marshal(addresses)
	require.NoError(s.t, err)
	script := `const net = require('net')
		const reach = (a) => new Promise((done) => {
			const [host, port] = a.split(':')
			const c = net.connect({ host, port: Number(port), timeout: 5000 }, () => { c.destroy(); done(a) })
			c.on('timeout', () => { c.destroy(); done() }).on('error', () => done())
		})
		Promise.all(` + string(list) + `.map(reach)).then((r) => console.log(JSON.stringify(r.filter(Boolean))))`
	out := docker(s.t, "run", "--rm", "--network", network, "--entrypoint", "node", s.containers()["nodered"].Config.Image, "-e", script)
	return decode[[]string](s.t, out)
}
