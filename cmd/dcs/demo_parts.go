package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"trackerdcs/cmd/dcs/supervise"
	"trackerdcs/pkg/wire"
)

// Ports of the demonstrator; PORT_OFFSET is added to each.
const (
	mqttPort    = 1883
	influxPort  = 8086
	mongoPort   = 27017
	nodeRedPort = 1880
	gatewayPort = 8443
)

// The order in which parts end: who commands first, the broker last.
const (
	stageUsers = iota
	stageDrivers
	stageServers
	stageBroker
)

// simulator is a simulated instrument and the device that it is on the bus.
type simulator struct {
	device, model, title, driver string
	port                         int
}

var simulators = []simulator{
	{"hv", "iseg", "iseg HV supply", "psu", 10001},
	{"lv", "hmp4040", "HMP4040 LV supply", "psu", 10002},
	{"dht_room", "dht", "DHT sensor", "sensor", 10003},
}

func (d *demo) port(p int) int { return p + d.offset }

func (d *demo) address(p int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port(p))) }

func (d *demo) broker() string { return "tcp://" + d.address(mqttPort) }

func (d *demo) mongo() string { return "mongodb://" + d.address(mongoPort) }

func (d *demo) influx() string { return "http://" + d.address(influxPort) }

// parts are the programs of the demonstrator. They are started at once: each
// waits for what it needs.
func (d *demo) parts(s *states) []supervise.Part {
	root := wire.Root("")
	parts := []supervise.Part{
		d.program("broker", "broker", stageBroker, connects(d.address(mqttPort)), "DCS_LISTEN="+d.broker()),
		d.influxd(),
		d.program("loader", "loader", stageDrivers, s.ready(root.ServiceState("loader")),
			"DCS_INFLUX_URL="+d.influx(), "DCS_INFLUX_BUCKET=dcs/autogen"),
		d.program("sensor_1", "sensor", stageDrivers, s.ready(root.State("sensor_1")),
			"DCS_DEVICE=sensor_1", "DCS_MODEL=sine"),
		d.nodeRed(),
		d.gateway(),
		d.ferretdb(),
		d.program("runcontrol", "runcontrol", stageDrivers, s.ready(root.ServiceState("runcontrol")), "DCS_MONGO_URI="+d.mongo()),
		d.program("calibration", "calibration", stageDrivers, s.ready(root.ServiceState("calibration")),
			"DCS_MONGO_URI="+d.mongo(), "DCS_INFLUX_BUCKET=dcs/autogen"),
		d.program("ph2acf", "ph2acf", stageDrivers, s.ready(root.State("ph2acf")),
			"DCS_DEVICE=ph2acf", "DCS_PROCEDURES="+d.procedures()),
	}
	for _, i := range simulators {
		listen := "tcp://" + d.address(i.port)
		parts = append(parts,
			d.program("sim-"+i.device, "sim", stageServers, connects(d.address(i.port)), "DCS_NAME=sim-"+i.device, "DCS_MODEL="+i.model, "DCS_ADDRESS="+listen),
			d.program(i.device, i.driver, stageDrivers, s.ready(root.State(i.device)), "DCS_DEVICE="+i.device, "DCS_MODEL="+i.model, "DCS_ADDRESS="+listen))
	}
	return parts
}

// withoutSettings is an environment without the settings of our programs, of the
// databases and of Node-RED: those that somebody has exported are of another
// installation.
func withoutSettings(environ []string) []string {
	var out []string
	for _, e := range environ {
		if !strings.HasPrefix(e, "DCS_") && !strings.HasPrefix(e, "INFLUXDB_") && !strings.HasPrefix(e, "NODERED_") && !strings.HasPrefix(e, "FERRETDB_") {
			out = append(out, e)
		}
	}
	return out
}

func (d *demo) bin(name string) string { return filepath.Join(d.tree, "bin", name) }

// program is one of our own.
func (d *demo) program(name, binary string, stage int, ready func(context.Context) error, env ...string) supervise.Part {
	return supervise.Part{
		Name: name, Path: d.bin(binary), Dir: d.tree, Stage: stage, Ready: ready,
		Env: append([]string{"DCS_BROKER=" + d.broker(), "DCS_DATA_DIR=" + filepath.Join(d.data, name)}, env...),
	}
}

func (d *demo) influxd() supervise.Part {
	data := filepath.Join(d.data, "influxd")
	return supervise.Part{
		Name: "influxd", Path: d.bin("influxd"), Dir: d.tree, Stage: stageServers,
		Args: []string{"run", "-config", filepath.Join(d.tree, "tools", "influxd", "influxd.conf")},
		Env: []string{
			"INFLUXDB_HTTP_BIND_ADDRESS=" + d.address(influxPort),
			"INFLUXDB_META_DIR=" + filepath.Join(data, "meta"),
			"INFLUXDB_DATA_DIR=" + filepath.Join(data, "data"),
			"INFLUXDB_DATA_WAL_DIR=" + filepath.Join(data, "wal"),
		},
		Ready: d.makeDatabase,
	}
}

// makeDatabase waits for InfluxDB and sets its database up; one that is there
// is left as it is. Its default retention policy keeps points for ever.
func (d *demo) makeDatabase(ctx context.Context) error {
	query := url.Values{"q": {`CREATE DATABASE "dcs" WITH NAME "autogen"`}}
	return until(ctx, func() error {
		return fetch(ctx, http.MethodPost, d.influx()+"/query?"+query.Encode())
	})
}

// ferretdb is the demonstrator's MongoDB.
func (d *demo) ferretdb() supervise.Part {
	return supervise.Part{
		Name: "ferretdb", Path: d.bin("ferretdb"), Dir: d.tree, Stage: stageServers,
		Env:   []string{"FERRETDB_LISTEN=" + d.address(mongoPort), "FERRETDB_DIR=" + filepath.Join(d.data, "ferretdb")},
		Ready: connects(d.address(mongoPort)),
	}
}

func (d *demo) procedures() string { return filepath.Join(d.data, "procedures.yml") }

// writeProcedures writes the file of procedures with the address that the
// simulated HV supply has here.
func (d *demo) writeProcedures() error {
	b, err := os.ReadFile(filepath.Join(d.tree, "drivers", "ph2acfsim", "procedures.yml"))
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(string(b), "sim_hv:10001", d.address(simulators[0].port))
	return os.WriteFile(d.procedures(), []byte(text), 0o640)
}

func (d *demo) nodeRed() supervise.Part {
	return supervise.Part{
		Name: "nodered", Path: "node", Args: []string{filepath.Join(d.tree, "nodered", "start.js")},
		Dir: d.tree, Stage: stageUsers,
		Env: []string{
			"DCS_BROKER=" + d.broker(),
			"NODERED_HOST=127.0.0.1",
			"NODERED_PORT=" + strconv.Itoa(d.port(nodeRedPort)),
			"NODERED_USER_DIR=" + filepath.Join(d.data, "nodered"),
		},
		Ready: func(ctx context.Context) error {
			return until(ctx, func() error {
				return fetch(ctx, http.MethodGet, "http://"+d.address(nodeRedPort)+"/nodered/dashboard/power")
			})
		},
	}
}

// gateway is the one door. Its users are made before it starts.
func (d *demo) gateway() supervise.Part {
	return supervise.Part{
		Name: "gateway", Path: d.bin("gateway"), Dir: d.tree, Stage: stageUsers,
		Env: []string{
			"DCS_BROKER=" + d.broker(),
			"DCS_DATA_DIR=" + filepath.Join(d.data, "gateway"),
			"DCS_LISTEN=" + d.address(gatewayPort),
			"DCS_NODERED_URL=http://" + d.address(nodeRedPort),
			"DCS_INFLUX_URL=" + d.influx(),
			"DCS_INFLUX_BUCKET=dcs/autogen",
			"DCS_MONGO_URI=" + d.mongo(),
		},
		Ready: connects(d.address(gatewayPort)),
	}
}

// connects waits until something listens at an address.
func connects(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		return until(ctx, func() error {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			return conn.Close()
		})
	}
}

// until tries again and again; when ctx ends it says what was wrong last.
func until(ctx context.Context, try func() error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

func fetch(ctx context.Context, method, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, res.Status)
	}
	return nil
}
