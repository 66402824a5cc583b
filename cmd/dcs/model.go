package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// model is what is known of the devices on the bus.
type model struct {
	root     wire.Root
	devices  map[string]*device
	services map[string]wire.State
}

// device is what is known of one device. Outside sensors are devices too,
// named sensor/<name>: they have neither state nor description.
type device struct {
	name    string
	state   wire.State // empty when it has said none
	meta    *wire.Meta
	status  json.RawMessage // the last one as it came; nil before the first
	rows    []row
	arrived time.Time // when it came, by our clock: theirs may be wrong
	problem string    // what is wrong with what it sends
}

// row is a channel of a supply, or all of a sensor.
type row struct {
	raw     json.RawMessage
	fields  map[string]json.RawMessage
	channel *wire.Channel // nil for a sensor
}

func newModel(root wire.Root) *model {
	return &model{root: root, devices: make(map[string]*device), services: make(map[string]wire.State)}
}

// apply takes a message that arrived at a time, and reports whether it says
// anything.
func (m *model) apply(at time.Time, msg bus.Message) bool {
	levels, ok := m.root.Cut(msg.Topic)
	switch {
	case !ok:
		return false
	case len(levels) == 2:
		return m.applyDevice(at, levels[0], levels[1], msg)
	case len(levels) != 3:
		return false
	case levels[0] == "service" && levels[2] == wire.KindState:
		var s wire.State
		if len(msg.Payload) == 0 {
			delete(m.services, levels[1])
			return true
		}
		if json.Unmarshal(msg.Payload, &s) != nil {
			return false
		}
		m.services[levels[1]] = s
		return true
	case levels[0] == "sensor":
		return m.applyOutside(at, levels[1], levels[2], msg.Payload)
	}
	return false
}

func (m *model) device(name string) *device {
	d := m.devices[name]
	if d == nil {
		d = &device{name: name}
		m.devices[name] = d
	}
	return d
}

func (m *model) applyDevice(at time.Time, name, kind string, msg bus.Message) bool {
	if wire.CheckDevice(name) != nil {
		return false
	}
	var err error
	switch kind {
	case wire.KindState:
		if len(msg.Payload) == 0 { // somebody has tidied up
			delete(m.devices, name)
			return true
		}
		var s wire.State
		if err = json.Unmarshal(msg.Payload, &s); err == nil {
			m.device(name).state = s
		}
	case wire.KindMeta:
		var meta wire.Meta
		if len(msg.Payload) == 0 {
			m.device(name).meta = nil
			return true
		}
		if err = json.Unmarshal(msg.Payload, &meta); err == nil {
			m.device(name).meta = &meta
		}
	case wire.KindStatus:
		if msg.Retained { // a status is never retained: this is somebody's past
			return false
		}
		var rows []row
		if rows, err = parseStatus(msg.Payload); err == nil {
			d := m.device(name)
			d.status, d.rows, d.arrived, d.problem = msg.Payload, rows, at, ""
		}
	default:
		return false
	}
	if err != nil {
		m.device(name).problem = "its " + kind + " cannot be read: " + err.Error()
	}
	return true
}

// parseStatus reads the list of a power supply or the object of a sensor.
func parseStatus(payload []byte) ([]row, error) {
	var list []json.RawMessage
	if strings.HasPrefix(strings.TrimSpace(string(payload)), "[") {
		if err := json.Unmarshal(payload, &list); err != nil {
			return nil, err
		}
		rows := make([]row, 0, len(list))
		for _, raw := range list {
			r := row{raw: raw, channel: new(wire.Channel)}
			if err := errors.Join(json.Unmarshal(raw, &r.fields), json.Unmarshal(raw, r.channel)); err != nil {
				return nil, err
			}
			rows = append(rows, r)
		}
		return dropPadding(rows), nil
	}
	r := row{raw: payload}
	if err := json.Unmarshal(payload, &r.fields); err != nil {
		return nil, err
	}
	return []row{r}, nil
}

// dropPadding drops channels that only fill the list up for flows that index
// it: those without a seq where others have one.
func dropPadding(rows []row) []row {
	numbered := func(r row) bool { return r.channel.Seq != 0 }
	if !slices.ContainsFunc(rows, numbered) {
		return rows
	}
	return slices.DeleteFunc(rows, func(r row) bool { return !numbered(r) })
}

// applyOutside takes one measurement of a sensor outside the stack: an object
// with a value, or a bare number.
func (m *model) applyOutside(at time.Time, name, measurement string, payload []byte) bool {
	var o struct{ Value json.Number }
	if json.Unmarshal(payload, &o.Value) != nil && json.Unmarshal(payload, &o) != nil || o.Value == "" {
		return false
	}
	d := m.device("sensor/" + name)
	if d.rows == nil {
		d.rows = []row{{fields: make(map[string]json.RawMessage)}}
	}
	d.rows[0].fields[measurement] = json.RawMessage(o.Value)
	d.rows[0].raw = wire.Encode(d.rows[0].fields)
	d.status, d.arrived = d.rows[0].raw, at
	return true
}

// names are the devices in order.
func (m *model) names() []string {
	names := make([]string, 0, len(m.devices))
	for name := range m.devices {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// freshness is how far a status can be relied on.
type freshness int

const (
	fresh   freshness = iota
	stale             // older than 1.5 periods
	invalid           // past 5
)

// period is how often the device says that it sends a status, or 0.
func (d *device) period() time.Duration {
	if d.meta == nil || d.meta.Period <= 0 || d.meta.Period > 1e6 {
		return 0
	}
	return time.Duration(d.meta.Period * float64(time.Second))
}

// freshness judges the last status by when it arrived. Of a device that does
// not tell its period nothing can be said.
func (d *device) freshness(now time.Time) freshness {
	age, period := now.Sub(d.arrived), d.period()
	switch {
	case period == 0:
		return fresh
	case age > 5*period:
		return invalid
	case age > 3*period/2:
		return stale
	}
	return fresh
}

// gone reports whether no status can come while the state is what it is.
func (d *device) gone() bool {
	return d.state.State == wire.Lost || d.state.State == wire.Stopped || d.state.State == wire.Unreachable
}

// find returns the row of a channel, or of a sensor.
func (d *device) find(channel string) (row, bool) {
	for _, r := range d.rows {
		if r.channel == nil && channel == "" || r.channel != nil && strconv.Itoa(r.channel.Number) == channel {
			return r, true
		}
	}
	return row{}, false
}

// unit is the unit of a field, if the device tells it.
func (d *device) unit(field string) string {
	if d.meta == nil {
		return ""
	}
	return d.meta.Fields[field].Unit
}

// label is a channel's name for people.
func (d *device) label(number int) string {
	if d.meta != nil {
		for _, c := range d.meta.Channels {
			if c.Number == number {
				return c.Label
			}
		}
	}
	return ""
}
