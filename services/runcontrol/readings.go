package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"trackerdcs/pkg/wire"
)

// stalePeriods is how many periods a reading may be old.
const stalePeriods = 1.5

// reading reports why a reading is not as it has to be, or nothing. It has to
// have come after that time.
func (m *Machine) reading(r *wire.Require, after time.Time) *failure {
	name := r.Device
	if r.Channel != nil {
		name += "/" + strconv.Itoa(*r.Channel)
	}
	name += " " + r.Field
	d := m.devices[r.Device]
	if d == nil || d.status == nil {
		return failed(wire.CodeUnreachable, "%s: no status of %s has come", name, r.Device)
	}
	switch {
	case !d.ready():
		return failed(wire.CodeUnreachable, "%s: %s", name, notReady(r.Device, d))
	case d.arrived.Before(after):
		return failed(wire.CodeUnreachable, "%s: no status of %s has come since the setpoints were reached", name, r.Device)
	}
	limit := time.Duration(r.MaxAge * float64(time.Second))
	if limit == 0 {
		if d.meta == nil || !(d.meta.Period > 0 && d.meta.Period < maxTimeout) {
			return failed(wire.CodeUnreachable, `%s: %s has not said its period: give "max_age"`, name, r.Device)
		}
		limit = time.Duration(d.meta.Period * stalePeriods * float64(time.Second))
	}
	if age := m.now.Sub(d.arrived); age > limit {
		return failed(wire.CodeUnreachable, "%s is stale: the last status came %.1f s ago, at most %.1f s are allowed", name, age.Seconds(), limit.Seconds())
	}
	x, why := value(d.status, r.Channel, r.Field)
	switch {
	case why != "":
		return failed(wire.CodeUnreachable, "%s: %s", name, why)
	case r.Min != nil && x < *r.Min:
		return failed(wire.OutOfRange, "%s is %g, below %g%s", name, x, *r.Min, d.unit(r.Field))
	case r.Max != nil && x > *r.Max:
		return failed(wire.OutOfRange, "%s is %g, above %g%s", name, x, *r.Max, d.unit(r.Field))
	}
	return nil
}

func (d *device) unit(field string) string {
	if d.meta == nil || d.meta.Fields[field].Unit == "" {
		return ""
	}
	return " " + d.meta.Fields[field].Unit
}

// value finds a reading in a status: of a supply, which is a list of channels,
// or of a sensor, which is one object.
func value(status []byte, channel *int, field string) (x float64, why string) {
	fields := make(map[string]any)
	if len(status) > 0 && status[0] == '[' {
		var list []map[string]any
		if json.Unmarshal(status, &list) != nil {
			return 0, "its status cannot be read"
		}
		if channel == nil {
			return 0, `it has channels: name one in "channel"`
		}
		fields = nil
		for _, one := range list {
			if n, is := one["number"].(float64); is && n == float64(*channel) {
				fields = one
			}
		}
		if fields == nil {
			return 0, "it has no such channel"
		}
	} else if json.Unmarshal(status, &fields) != nil {
		return 0, "its status cannot be read"
	} else if channel != nil {
		return 0, `it has no channels: leave "channel" out`
	}
	switch v := fields[field].(type) {
	case float64:
		return v, ""
	case nil:
		return 0, "its status does not have it"
	default:
		return 0, fmt.Sprintf("%v is no number", v)
	}
}

// runningRun is the number of the run that a driver's status names, or 0.
func (d *device) runningRun() int64 {
	var s struct {
		Run float64 `json:"run"`
	}
	if d.status == nil || json.Unmarshal(d.status, &s) != nil {
		return 0
	}
	return int64(s.Run)
}
