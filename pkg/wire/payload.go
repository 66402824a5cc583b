package wire

import (
	"encoding/json"
	"time"
)

// Channel is one channel of a power supply in a status. Voltages in V are
// signed as at the terminals, currents in A; what an instrument cannot tell is
// left out.
type Channel struct {
	Number int   `json:"number"`
	On     Flag  `json:"on,omitzero"`
	VReq   Value `json:"vreq,omitzero"` // setpoint as read back, V
	IReq   Value `json:"ireq,omitzero"` // current limit, A
	VMon   Value `json:"vmon,omitzero"` // measured voltage, V
	IMon   Value `json:"imon,omitzero"` // measured current, A
	Ramp   Value `json:"ramp,omitzero"` // speed, V/s, a magnitude

	Ramping   Flag `json:"ramping,omitzero"`
	Limited   Flag `json:"limited,omitzero"` // the current limit holds the voltage down
	Trip      Flag `json:"trip,omitzero"`    // latched until cleared
	Interlock Flag `json:"interlock,omitzero"`
	Locked    Flag `json:"locked,omitzero"` // tagged out

	Time time.Time `json:"time,omitzero"` // when the instrument was read
	Seq  uint64    `json:"seq,omitzero"`  // grows by one a status, from 1
	Boot string    `json:"boot,omitzero"` // new at each start of the driver
}

// The states of a device or a service.
const (
	Starting    = "starting"
	Ready       = "ready"
	Unreachable = "unreachable" // driver alive, instrument silent
	Stopped     = "stopped"     // left on purpose
	Lost        = "lost"        // the last will
)

// State is the retained payload of a state topic. The last will carries the
// boot and no time.
type State struct {
	State string    `json:"state"`
	Since time.Time `json:"since,omitzero"`
	Time  time.Time `json:"time,omitzero"`
	Boot  string    `json:"boot"`
	Error string    `json:"error"`

	// Seq is the number of the last status, in a driver's stopped: with it the
	// end of a boot can be proved, too.
	Seq uint64 `json:"seq,omitempty"`
}

// Kinds of device in Meta.
const (
	KindPSU         = "psu"
	KindSensor      = "sensor"
	KindCalibration = "calibration"
)

// Meta is a device's description of itself, retained on its meta topic.
type Meta struct {
	Kind     string               `json:"kind"`
	Model    string               `json:"model"`
	Serial   string               `json:"serial,omitzero"`
	Firmware string               `json:"firmware,omitzero"`
	Driver   string               `json:"driver"`
	Period   float64              `json:"period"` // s, the one that is achieved
	Channels []MetaChannel        `json:"channels,omitzero"`
	Fields   map[string]MetaField `json:"fields"`
	Commands map[string]MetaOp    `json:"commands,omitzero"`

	Procedures map[string]MetaProcedure `json:"procedures,omitzero"` // of a device that executes runs
}

// MetaProcedure describes what a device can execute.
type MetaProcedure struct {
	Title      string                   `json:"title,omitzero"`
	Limit      float64                  `json:"limit"` // s that it may take
	Parameters map[string]MetaParameter `json:"parameters,omitzero"`
}

// The types of parameters.
const (
	TypeString = "string"
	TypeInt    = "int"
	TypeFloat  = "float"
	TypeBool   = "bool"
)

// MetaParameter describes a parameter of a procedure.
type MetaParameter struct {
	Type     string `json:"type"`
	Title    string `json:"title,omitzero"`
	Unit     string `json:"unit,omitzero"`
	Pattern  string `json:"pattern,omitzero"` // of a string, RE2, the whole of it
	Min      Value  `json:"min,omitzero"`
	Max      Value  `json:"max,omitzero"`
	Values   []any  `json:"values,omitzero"`
	Default  any    `json:"default,omitzero"`
	Required bool   `json:"required,omitzero"`
}

// MetaChannel describes a channel; its own limits win over those of the ops.
type MetaChannel struct {
	Number int    `json:"number"`
	Label  string `json:"label,omitzero"`
	Min    Value  `json:"min,omitzero"` // V
	Max    Value  `json:"max,omitzero"` // V
}

// MetaField describes one key of a status. Tolerance says how far vmon may be
// from vreq and still agree.
type MetaField struct {
	Unit      string `json:"unit,omitzero"`
	Min       Value  `json:"min,omitzero"`
	Max       Value  `json:"max,omitzero"`
	Tolerance Value  `json:"tolerance,omitzero"`
}

// MetaOp describes a command: a range of numbers or a list of words.
type MetaOp struct {
	Unit   string   `json:"unit,omitzero"`
	Min    Value    `json:"min,omitzero"`
	Max    Value    `json:"max,omitzero"`
	Values []string `json:"values,omitzero"`
}

// Encode writes a payload. The payloads of this package always encode.
func Encode(payload any) []byte {
	b, err := json.Marshal(payload)
	if err != nil {
		panic("wire: " + err.Error()) // a payload type that cannot be JSON is a mistake in the program
	}
	return b
}
