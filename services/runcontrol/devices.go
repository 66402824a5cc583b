package main

import (
	"bytes"
	"time"

	"trackerdcs/pkg/wire"
)

// device is what is known of one device.
type device struct {
	meta    *wire.Meta
	state   wire.State
	since   time.Time // when it was first heard to be in this state
	heard   bool      // the state, in this connection
	report  *wire.Report
	status  []byte
	arrived time.Time // the status
	touched time.Time // when anything was heard of it
}

func (d *device) ready() bool { return d != nil && d.state.State == wire.Ready }

// device finds a device, or makes room for it.
func (m *Machine) device(name string) *device {
	d := m.devices[name]
	if d == nil && (len(m.devices) < maxDevices || m.evict()) {
		d = new(device)
		m.devices[name] = d
	}
	if d != nil {
		d.touched = m.now
	}
	return d
}

// evict makes room where a device has not said both what it is and that it is
// ready: of those the one that was silent for longest.
func (m *Machine) evict() bool {
	oldest := ""
	for name, d := range m.devices {
		if l := m.life(); d.meta != nil && d.ready() || l != nil && l.Run.Device == name {
			continue
		}
		if oldest == "" || d.touched.Before(m.devices[oldest].touched) {
			oldest = name
		}
	}
	delete(m.devices, oldest)
	return oldest != ""
}

func (m *Machine) deviceState(ev DeviceState) {
	d := m.device(ev.Device)
	if d == nil {
		return
	}
	if d.state.State != ev.State.State || d.state.Boot != ev.State.Boot {
		d.since = m.now
	}
	d.state, d.heard = ev.State, true
}

func (m *Machine) measured(ev Measured) {
	if len(ev.Payload) > maxStatus {
		return
	}
	d := m.device(ev.Device)
	if d == nil || bytes.Equal(d.status, ev.Payload) { // a status has its number: an equal one is the same
		return
	}
	d.status, d.arrived = ev.Payload, m.now
}
