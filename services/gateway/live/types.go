// Package live knows what is on the bus now: each device's description, state
// and last status with its age, what the gateway's commands have come to, and
// the stream of all that for browsers.
package live

import (
	"encoding/json"
	"time"

	"trackerdcs/pkg/wire"
)

// Bus is what the gateway says of its own connection to the broker.
type Bus struct {
	Connected bool      `json:"connected"`
	Alive     bool      `json:"alive"` // a message of its own came back within the last two seconds
	Since     time.Time `json:"since"` // of both being true; else when something was last heard, or the start
}

// How old a device's last status is, docs/contract.md, section 5.
const (
	Fresh   = "live"    // at most 1.5 periods
	Stale   = "stale"   // older
	Invalid = "invalid" // older than 5 periods
	Never   = "none"    // there was none since the gateway started
)

// Device is what is known of a device.
type Device struct {
	Name      string                  `json:"name"`
	Meta      *wire.Meta              `json:"meta"`
	State     *wire.State             `json:"state"`
	Status    json.RawMessage         `json:"status"` // as it was on the bus; null when there was none
	At        int64                   `json:"at"`     // when it was measured, ms since 1970 of the gateway's clock; 0 when there was none
	Freshness string                  `json:"freshness"`
	Locks     map[string]wire.LockTag `json:"locks"`            // by channel number
	Report    *wire.Report            `json:"report,omitempty"` // of a device that executes runs
}

// Service is what is known of a service.
type Service struct {
	Name  string      `json:"name"`
	State *wire.State `json:"state"`
}

// Reading is a value of an outside sensor.
type Reading struct {
	Sensor      string  `json:"sensor"`
	Measurement string  `json:"measurement"`
	Value       float64 `json:"value"`
	At          int64   `json:"at"` // when it came, ms since 1970; 0 when it was retained, since nobody knows then
}

// Snapshot is all of it.
type Snapshot struct {
	Now      int64     `json:"now"` // ms since 1970
	Bus      Bus       `json:"bus"`
	Devices  []Device  `json:"devices"`  // in order of their names
	Services []Service `json:"services"` // in order of their names
	Sensors  []Reading `json:"sensors"`
	Run      *wire.Run `json:"run"`  // under way, or the last
	Acks     []AckOf   `json:"acks"` // the last 100, the oldest first
}

// AckOf is an ack and whose it is: a device's, or "run" for run control's.
type AckOf struct {
	Device string   `json:"device"`
	Ack    wire.Ack `json:"ack"`
	At     int64    `json:"at"` // when it came, ms since 1970
}

// PhaseSent and PhaseUnanswered are what the gateway itself says of a command;
// the other phases are those of acks.
const (
	PhaseSent       = "sent"       // no ack yet
	PhaseUnanswered = "unanswered" // and none came in time: what became of it is not known
)

// Outcome is what is known of a command that went through the gateway.
type Outcome struct {
	ID       string    `json:"id"`
	Phase    string    `json:"phase"`
	Code     string    `json:"code"`
	Message  string    `json:"message"`
	Closest  *float64  `json:"closest"`
	Readback *float64  `json:"readback"`
	Run      int64     `json:"run,omitempty"`
	Ack      *wire.Ack `json:"ack"` // the latest
}

// Kinds of event in the stream.
const (
	EventHello   = "hello"   // Snapshot, first
	EventTick    = "tick"    // Tick, every half second
	EventStatus  = "status"  // StatusOf
	EventState   = "state"   // StateOf
	EventMeta    = "meta"    // MetaOf
	EventLocks   = "locks"   // LocksOf
	EventAck     = "ack"     // AckOf
	EventOutcome = "outcome" // OutcomeOf: the gateway itself ends a command
	EventRun     = "run"     // wire.Run
	EventReport  = "report"  // ReportOf
	EventLog     = "log"     // LogOf
	EventSensor  = "sensor"  // Reading
	EventRemoved = "removed" // Removed
	EventBye     = "bye"     // Bye, last: the session has ended
)

// The data of events.
type (
	// Tick says the time and how the bus is.
	Tick struct {
		Now int64 `json:"now"`
		Bus Bus   `json:"bus"`
	}
	// StatusOf is a device's new status.
	StatusOf struct {
		Device string          `json:"device"`
		At     int64           `json:"at"`
		Status json.RawMessage `json:"status"`
	}
	// StateOf is the new state of a device or of a service.
	StateOf struct {
		Device  string     `json:"device,omitempty"`
		Service string     `json:"service,omitempty"`
		State   wire.State `json:"state"`
	}
	// MetaOf is a device's new description.
	MetaOf struct {
		Device string    `json:"device"`
		Meta   wire.Meta `json:"meta"`
	}
	// LocksOf is who has tagged out what of a device.
	LocksOf struct {
		Device string                  `json:"device"`
		Locks  map[string]wire.LockTag `json:"locks"`
	}
	// OutcomeOf is what is known of a command to a device, or to run control, "run".
	OutcomeOf struct {
		Device string `json:"device"`
		Outcome
	}
	// ReportOf is a device's new report of its run.
	ReportOf struct {
		Device string      `json:"device"`
		Report wire.Report `json:"report"`
	}
	// LogOf are lines that a device's program has printed.
	LogOf struct {
		Device string        `json:"device"`
		Log    wire.LogBatch `json:"log"`
	}
	// Removed is a device or a service that is gone. If something of it is left it is said again after that.
	Removed struct {
		Device  string `json:"device,omitempty"`
		Service string `json:"service,omitempty"`
	}
	// Bye says why the stream ends.
	Bye struct {
		Reason string `json:"reason"`
	}
)
