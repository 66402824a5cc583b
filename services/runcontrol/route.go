package main

import (
	"encoding/json"
	"strings"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// filters are the topics that run control listens to.
func filters(root wire.Root) []string {
	return []string{
		root.RunCommands(), root.RunState(),
		root.State("+"), root.Meta("+"), root.Status("+"), root.Ack("+"), root.Report("+"),
		root.ServiceState("+"), root.Kept("+"), root.RecordReceipts("+"),
	}
}

// event makes the machine's event of a message, or nothing of one that says
// nothing.
func event(root wire.Root, m bus.Message) any {
	levels, ok := root.Cut(m.Topic)
	if !ok || len(levels) < 2 {
		return nil
	}
	switch {
	case levels[0] == "run" && levels[1] == wire.KindCmd:
		op := strings.Join(levels[2:], "/")
		c, err := wire.ParseRunCommand(op, m.Payload)
		return Received{Command: c, Err: err, Payload: m.Payload, Retained: m.Retained}
	case levels[0] == "run" && len(levels) == 2 && levels[1] == wire.KindState:
		return Stands{m.Payload}
	case levels[0] == "service" && len(levels) == 3:
		return serviceEvent(levels[1], levels[2], m.Payload)
	case len(levels) == 2 && wire.CheckDevice(levels[0]) == nil:
		return deviceEvent(levels[0], levels[1], m)
	}
	return nil
}

// read decodes a payload; an event is made of one that can be read.
func read[T any](payload []byte, make func(T) any) any {
	var v T
	if json.Unmarshal(payload, &v) != nil {
		return nil
	}
	return make(v)
}

func serviceEvent(name, kind string, payload []byte) any {
	if wire.CheckName(name) != nil {
		return nil
	}
	switch kind {
	case wire.KindState:
		return read(payload, func(s wire.State) any { return ServiceState{name, s} })
	case "runs":
		return read(payload, func(k wire.Kept) any { return Keeps{name, k} })
	case "record":
		return read(payload, func(r wire.RecordReceipt) any { return Receipted{name, r} })
	}
	return nil
}

func deviceEvent(dev, kind string, m bus.Message) any {
	switch kind {
	case wire.KindStatus:
		if m.Retained {
			return nil // old
		}
		return Measured{dev, m.Payload}
	case wire.KindState:
		return read(m.Payload, func(s wire.State) any { return DeviceState{dev, s} })
	case wire.KindMeta:
		return read(m.Payload, func(x wire.Meta) any { return Described{dev, x} })
	case wire.KindAck:
		return read(m.Payload, func(a wire.Ack) any { return Acked{dev, a} })
	case wire.KindRun:
		return read(m.Payload, func(r wire.Report) any { return Reported{dev, r} })
	}
	return nil
}
