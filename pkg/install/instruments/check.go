package instruments

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/brokerauth"
	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/scpi"
	"trackerdcs/pkg/wire"
)

var settingRE = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// maxName is what a name in Docker's network may have.
const maxName = 63

// parts are the compose services of the installation's own.
var parts = []string{
	"mosquitto", "influxdb", "archive_accounts", "mongo", "runs_accounts", "grafana", "nodered", "gateway",
	"loader", "runcontrol", "calibration", "backup", "restore", "init", "dcs",
}

// services are all names that these have, also on the bus, or as volumes.
var services = append([]string{"influxdb-config", "mongo-config", "health", "provision", "broker", "localhost"}, parts...)

// checkName reports why nobody can have a name.
func checkName(name string) error {
	if err := wire.CheckDevice(name); err != nil {
		return err
	}
	lower := strings.ToLower(name)
	switch {
	case name == wire.KindCmd:
		return fmt.Errorf("name %q is reserved: choose another", name)
	case slices.Contains(services, lower), strings.HasPrefix(lower, "tokens_"), strings.HasPrefix(lower, "sim_"):
		return fmt.Errorf("name %q is that of a part of the stack: choose another", name)
	case strings.HasPrefix(name, "-"):
		return fmt.Errorf("name %q would look like an option: begin it with a letter", name)
	case len(name) > maxName:
		return fmt.Errorf("the name has %d characters: at most %d", len(name), maxName)
	}
	return nil
}

// fits compares an entry with what its driver takes.
func (r *reader) fits(i *Instrument, d driver, line int, lines map[string]int, found map[string]bool) {
	r.model(i, d, line, lines, found)
	if i.Base != "" && !d.programs {
		r.Bad(lines["base"], "base: %s starts no programs of yours: leave it out", i.Driver)
	}
	allowed := slices.Concat(d.settings, common)
	var names []string
	for _, s := range allowed {
		names = append(names, keyName(s))
	}
	for _, env := range slices.Sorted(maps.Keys(i.Settings)) {
		value, at := i.Settings[env], lines["settings "+env]
		why, ours := own[env]
		switch {
		case ours:
			r.Bad(at, "setting %s: %s", keyName(env), why)
		case !slices.Contains(allowed, env):
			r.Bad(at, "unknown setting %q: %s has %s", keyName(env), i.Driver, strings.Join(names, ", "))
		case value != "":
			if err := checkValue(env, value); err != nil {
				r.Bad(at, "setting %s: %v", keyName(env), err)
			}
		}
	}
	for _, env := range d.required {
		if _, ok := i.Settings[env]; !ok {
			r.Bad(line, "setting %s is missing: settings: {%s: …}, drivers/%s/README.md says what it is", keyName(env), keyName(env), i.Driver)
		}
	}
	r.legacy(i, lines)
}

// accountAlone refuses what would not be heeded.
func (r *reader) accountAlone(i *Instrument, lines map[string]int, found map[string]bool) {
	for _, key := range []string{"model", "address", "base", "files", "docker"} {
		if found[key] {
			r.Bad(lines[key], "%s: with compose: false nothing is started from here: say it in the compose file that starts the driver", key)
		}
	}
	for _, env := range slices.Sorted(maps.Keys(i.Settings)) {
		if env != "DCS_LEGACY_SENSOR" {
			r.Bad(lines["settings "+env], "setting %s: with compose: false only legacy_sensor counts: say it in the compose file that starts the driver", keyName(env))
		}
	}
	r.legacy(i, lines)
}

// legacy looks at the further topics of a sensor.
func (r *reader) legacy(i *Instrument, lines map[string]int) {
	if legacy := i.Settings["DCS_LEGACY_SENSOR"]; legacy != "" && wire.CheckName(legacy) == nil {
		r.account(lines["settings DCS_LEGACY_SENSOR"], brokerauth.Account{Name: i.Name, Role: brokerauth.Driver, Topics: []string{"/sensor/" + legacy + "/#"}})
	}
}

// model looks at the model and the address.
func (r *reader) model(i *Instrument, d driver, line int, lines map[string]int, found map[string]bool) {
	if len(d.models) == 0 {
		for _, key := range []string{"model", "address"} {
			if found[key] {
				r.Bad(lines[key], "%s: %s has none: leave it out", key, i.Driver)
			}
		}
		return
	}
	switch {
	case !found["model"]:
		r.Bad(line, "model is missing: %s has %s", i.Driver, strings.Join(d.models, ", "))
	case i.Model != "" && !slices.Contains(d.models, i.Model):
		r.Bad(lines["model"], "unknown model %q: %s has %s", i.Model, i.Driver, strings.Join(d.models, ", "))
	}
	switch {
	case slices.Contains(d.noAddr, i.Model):
	case !found["address"]:
		r.Bad(line, `address is missing: where the instrument is, as in "tcp://10.0.0.7:5025" or "serial:///dev/ttyUSB0?baud=9600"`)
	case i.Address != "":
		if err := checkAddress(i.Address); err != nil {
			r.Bad(lines["address"], "%v", err)
			return
		}
		r.hosts = append(r.hosts, host{i.Address, lines["address"], r.Where()})
	}
}

// host is an address whose host is looked at when all entries are known.
type host struct {
	address string
	line    int
	where   string
}

// checkHosts refuses names that are a container's in Docker's network: the driver
// would talk to that, or to itself, and never to the instrument.
func (r *reader) checkHosts(f *File) {
	containers := slices.Clone(parts)
	for _, i := range f.Instruments {
		containers = append(containers, strings.ToLower(i.Name))
	}
	for _, h := range r.hosts {
		u, err := url.Parse(h.address)
		if err != nil || u.Scheme != "tcp" {
			continue
		}
		name := strings.ToLower(u.Hostname())
		ip := net.ParseIP(name)
		switch {
		case slices.Contains(containers, name):
			r.In(h.where, func() {
				r.Bad(h.line, "address %q: in Docker's network %s is the name of a container and not of the instrument: use its address or full name, as in tcp://10.0.0.7:5025", h.address, u.Hostname())
			})
		case name == "localhost", ip != nil && ip.IsLoopback():
			r.In(h.where, func() {
				r.Bad(h.line, "address %q: in its container %s is the driver itself: use the instrument's address, or that of this machine on the network", h.address, u.Hostname())
			})
		}
	}
}

func checkAddress(address string) error {
	if err := scpi.CheckAddress(address); err != nil {
		return err
	}
	switch device, ok := serialDevice(address); {
	case !ok:
	case !strings.HasPrefix(device, "/dev/"):
		return fmt.Errorf("address %q: a serial line is below /dev/", address)
	case strings.Contains(device, ":"): // Docker would take it apart there
		return fmt.Errorf("address %q: Docker cannot pass on a device with a colon in its name: take the name below /dev/serial/by-id/ or /dev/tty…", address)
	}
	return nil
}

// serialDevice is the device file of a serial line.
func serialDevice(address string) (string, bool) {
	device, ok := strings.CutPrefix(address, "serial://")
	device, _, _ = strings.Cut(device, "?")
	return device, ok
}

// checkValue looks at values that can be looked at without the driver.
func checkValue(env, value string) error {
	switch env {
	case "DCS_LIMITS":
		var l psu.Limits
		return l.UnmarshalText([]byte(value))
	case "DCS_PERIOD", "DCS_BACKLOG":
		if d, err := time.ParseDuration(value); err != nil || d <= 0 {
			return fmt.Errorf("%q is not a time, as 1s or 500ms", value)
		}
	case "DCS_PAD_CHANNELS":
		if value != "true" && value != "false" {
			return fmt.Errorf("%q is neither true nor false", value)
		}
	case "DCS_LOG_LEVEL":
		if !slices.Contains([]string{"debug", "info", "warn", "error"}, value) {
			return fmt.Errorf("%q is not debug, info, warn or error", value)
		}
	case "DCS_LOG_FORMAT":
		if value != "text" && value != "json" {
			return fmt.Errorf("%q is neither text nor json", value)
		}
	case "DCS_LEGACY_SENSOR", "DCS_SINK":
		return wire.CheckName(value)
	}
	return nil
}
