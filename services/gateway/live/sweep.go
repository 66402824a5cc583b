package live

import (
	"time"

	"trackerdcs/pkg/wire"
)

// What is not heard of any more.
const (
	partsWait  = time.Minute      // in a connection, for what a device retains
	deviceWait = 10 * time.Minute // in a connection, for a device or service of which nothing is said
	roomEvery  = 10 * time.Second // how often room is looked for
	quiet      = 10 * time.Minute // of what has no description, and gives way when there is no room
)

// clear takes away what a retained message that is empty takes away.
func (m *model) clear(in *mail) {
	switch in.kind {
	case aService:
		if m.services[in.name] != nil {
			delete(m.services, in.name)
			m.emit(EventRemoved, "", Removed{Service: in.name})
		}
		return
	case aRun:
		if m.run != nil {
			m.run = nil
			m.emit(EventRun, "", wire.Run{State: wire.RunIdle})
		}
		return
	}
	if d := m.devices[in.name]; d != nil {
		p := map[kind]part{aState: itsState, aMeta: itsMeta, aLocks: itsLocks, aReport: itsReport}[in.kind]
		m.drop(d, p)
	}
}

// drop takes parts of a device away. With neither a state nor a description left
// it is gone: if it lives, its next status brings it back. Of what is left all is
// said again, since there is no event for a part that is gone.
func (m *model) drop(d *device, gone ...part) {
	changed := false
	for _, p := range gone {
		changed = changed || d.has(p)
		m.bytes -= d.size[p]
		d.size[p], d.heard[p] = 0, 0
		switch p {
		case itsState:
			d.shown.State = nil
		case itsMeta:
			d.shown.Meta = nil
		case itsLocks:
			d.shown.Locks = map[string]wire.LockTag{}
		case itsReport:
			d.shown.Report = nil
		}
	}
	switch {
	case d.shown.State == nil && d.shown.Meta == nil:
		m.forget(d)
	case changed:
		m.emit(EventRemoved, d.shown.Name, Removed{Device: d.shown.Name})
		m.announce(d)
	}
}

// has reports whether a part is there.
func (d *device) has(p part) bool { return d.heard[p] > 0 }

// forget takes a device away.
func (m *model) forget(d *device) {
	for _, n := range d.size {
		m.bytes -= n
	}
	delete(m.devices, d.shown.Name)
	m.emit(EventRemoved, d.shown.Name, Removed{Device: d.shown.Name})
}

// announce says all that is known of a device.
func (m *model) announce(d *device) {
	name := d.shown.Name
	if d.shown.Meta != nil {
		m.emit(EventMeta, name, MetaOf{name, *d.shown.Meta})
	}
	if d.shown.State != nil {
		m.emit(EventState, name, StateOf{Device: name, State: *d.shown.State})
	}
	if len(d.shown.Locks) > 0 {
		m.emit(EventLocks, name, LocksOf{name, d.shown.Locks})
	}
	if d.shown.Report != nil {
		m.emit(EventReport, name, ReportOf{name, *d.shown.Report})
	}
	if d.shown.Status != nil {
		m.emit(EventStatus, name, StatusOf{name, d.shown.At, d.shown.Status})
	}
}

// sweep takes away what was retained once and has not come again in a connection
// that has stood for that long.
//
// What was cleared while we were away is not said to us, so it has to be missed. A
// device that has said its state in this connection has said all else too, and
// what has not come is gone. But a device of which nothing came may be one whose
// last will an emptied broker has forgotten: it is kept for a while, because
// nobody else knows any more that it was there.
func (m *model) sweep(connection int, stood time.Duration) {
	for _, d := range m.devices {
		newest := 0
		for _, h := range d.heard {
			newest = max(newest, h)
		}
		switch {
		case newest <= connection && stood > deviceWait:
			m.forget(d)
		case d.heard[itsState] > connection && stood > partsWait:
			var gone []part
			for _, p := range []part{itsMeta, itsLocks, itsReport} {
				if d.has(p) && d.heard[p] <= connection {
					gone = append(gone, p)
				}
			}
			if len(gone) > 0 {
				m.drop(d, gone...)
			}
		}
	}
	for name, s := range m.services {
		if s.heard <= connection && stood > deviceWait {
			delete(m.services, name)
			m.emit(EventRemoved, "", Removed{Service: name})
		}
	}
}

// makeRoom takes away what nobody describes and what has been quiet for long, and
// reports whether there was such.
func (m *model) makeRoom(now time.Time) bool {
	if now.Sub(m.cleaned) < roomEvery {
		return false
	}
	m.cleaned = now
	found := false
	for _, d := range m.devices {
		if d.shown.State == nil && d.shown.Meta == nil && now.Sub(d.last) > quiet {
			m.forget(d)
			found = true
		}
	}
	before := now.Add(-quiet).UnixMilli()
	for a, r := range m.sensors {
		if r.At < before {
			delete(m.sensors, a)
			found = true
		}
	}
	return found
}
