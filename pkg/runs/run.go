// Package runs keeps calibration runs in MongoDB and reads them again: one
// document a run in dcs.runs, its files in GridFS, and the configurations that
// transitions fetch by name in dcs.configurations.
package runs

import (
	"time"

	"trackerdcs/pkg/wire"
)

// Collections of the database.
const (
	DefaultDatabase = "dcs"
	Collection      = "runs"
	Configurations  = "configurations"
	Bucket          = "fs" // of GridFS
)

// Run is the document of a run: what years later tells what was run, with which
// settings, at which voltages and temperatures, with which result. Times are in
// UTC; MongoDB keeps them to the millisecond.
type Run struct {
	Number int64  `bson:"_id" json:"run"`
	UID    string `bson:"uid" json:"uid"`
	State  string `bson:"state" json:"state"` // wire.RunFinished … once all of it is stored
	Error  string `bson:"error,omitempty" json:"error,omitempty"`

	Procedure  string         `bson:"procedure" json:"procedure"`
	Module     string         `bson:"module,omitempty" json:"module,omitempty"`
	Parameters map[string]any `bson:"parameters,omitempty" json:"parameters,omitempty"` // with the defaults, once the driver has said them
	User       string         `bson:"user,omitempty" json:"user,omitempty"`             // who asked, as the sender said
	ID         string         `bson:"id,omitempty" json:"id,omitempty"`                 // of the command
	Device     string         `bson:"device,omitempty" json:"device,omitempty"`         // that executed it

	Asked    time.Time `bson:"asked,omitempty" json:"asked,omitzero"`
	Start    time.Time `bson:"start,omitempty" json:"start,omitzero"`
	End      time.Time `bson:"end,omitempty" json:"end,omitzero"`
	Duration float64   `bson:"duration,omitempty" json:"duration,omitempty"` // s, Start to End
	Stored   time.Time `bson:"stored,omitempty" json:"stored,omitzero"`      // when the document was complete

	Configurations map[string]wire.Configuration `bson:"configurations,omitempty" json:"configurations,omitempty"`
	Transitions    []Transition                  `bson:"transitions,omitempty" json:"transitions,omitempty"`

	Program   string            `bson:"program,omitempty" json:"program,omitempty"`
	Arguments []string          `bson:"arguments,omitempty" json:"arguments,omitempty"`
	Exit      *int              `bson:"exit,omitempty" json:"exit,omitempty"`
	Signal    string            `bson:"signal,omitempty" json:"signal,omitempty"`
	Versions  map[string]string `bson:"versions,omitempty" json:"versions,omitempty"` // by part

	Log     []LogLine      `bson:"log,omitempty" json:"log,omitempty"`           // the first and the last lines
	LogCut  int64          `bson:"log_cut,omitempty" json:"log_cut,omitempty"`   // lines between them that only the file has
	Outcome string         `bson:"results_state" json:"results_state"`           // wire.ResultsStored, ResultsNone, ResultsMissing …
	Results map[string]any `bson:"results,omitempty" json:"results,omitempty"`   // by file: a JSON file as it is, a CSV file as its summary
	Files   []File         `bson:"files,omitempty" json:"files,omitempty"`       // all files, in GridFS
	Left    []string       `bson:"left_out,omitempty" json:"left_out,omitempty"` // why files are not in it

	Capsule *Capsule `bson:"capsule,omitempty" json:"capsule,omitempty"`
	Influx  *Range   `bson:"influx,omitempty" json:"influx,omitempty"`
}

// Transition is a step in a run's life.
type Transition struct {
	Name   string    `bson:"name" json:"name"`
	From   string    `bson:"from" json:"from"`
	To     string    `bson:"to" json:"to"`
	Time   time.Time `bson:"time" json:"time"`
	Reason string    `bson:"reason,omitempty" json:"reason,omitempty"`
}

// LogLine is a line that the program printed.
type LogLine struct {
	Time   time.Time `bson:"time" json:"time"`
	Stream string    `bson:"stream" json:"stream"` // out, err
	Text   string    `bson:"text" json:"text"`
}

// File is a file in GridFS.
type File struct {
	ID     string `bson:"id" json:"id"` // of the GridFS file: "42/scurves.csv"
	Name   string `bson:"name" json:"name"`
	Size   int64  `bson:"size" json:"size"` // bytes
	SHA256 string `bson:"sha256" json:"sha256"`
	Read   string `bson:"read" json:"read"` // wire.ReadJSON …
	Error  string `bson:"error,omitempty" json:"error,omitempty"`
}

// Range is the stretch of the archive of measurements that belongs to a run.
type Range struct {
	Bucket string    `bson:"bucket" json:"bucket"`
	From   time.Time `bson:"from" json:"from"`
	To     time.Time `bson:"to" json:"to"`
}

// Capsule is what all devices measured and were told while a run lasted.
type Capsule struct {
	From    time.Time         `bson:"from" json:"from"`
	To      time.Time         `bson:"to" json:"to"`
	Devices map[string]Device `bson:"devices" json:"devices"`
	Refused []Refusal         `bson:"refused,omitempty" json:"refused,omitempty"`
	// More is how many refusals and events were too many to be listed.
	More    int64 `bson:"more,omitempty" json:"more,omitempty"`
	Missing int64 `bson:"missing" json:"missing"` // statuses that are known to lack, of all devices
	Dropped int64 `bson:"dropped" json:"dropped"` // messages that found no room
}

// Device is the part of a capsule about one device.
type Device struct {
	Kind     string    `bson:"kind,omitempty" json:"kind,omitempty"`
	Model    string    `bson:"model,omitempty" json:"model,omitempty"`
	Serial   string    `bson:"serial,omitempty" json:"serial,omitempty"`
	Firmware string    `bson:"firmware,omitempty" json:"firmware,omitempty"`
	Driver   string    `bson:"driver,omitempty" json:"driver,omitempty"`
	Statuses int64     `bson:"statuses" json:"statuses"`
	Missing  int64     `bson:"missing" json:"missing"`                // statuses that are known to lack
	First    time.Time `bson:"first,omitempty" json:"first,omitzero"` // time of its first status in the run
	Last     time.Time `bson:"last,omitempty" json:"last,omitzero"`   // and of its last
	Boots    []string  `bson:"boots,omitempty" json:"boots,omitempty"`
	Channels []Channel `bson:"channels" json:"channels"`
	States   []Event   `bson:"states,omitempty" json:"states,omitempty"` // that it entered
}

// Channel is one channel of a device; a sensor has one without a number.
type Channel struct {
	Number *int               `bson:"number,omitempty" json:"number,omitempty"`
	Label  string             `bson:"label,omitempty" json:"label,omitempty"`
	Before map[string]float64 `bson:"at_start,omitempty" json:"at_start,omitempty"` // the last reading before the start: setpoints and all else
	At     time.Time          `bson:"at_start_time,omitempty" json:"at_start_time,omitzero"`
	Fields map[string]Field   `bson:"fields" json:"fields"`
	Trips  []Event            `bson:"trips,omitempty" json:"trips,omitempty"`
}

// Field is what became of one quantity over a run.
type Field struct {
	First float64 `bson:"first" json:"first"`
	Last  float64 `bson:"last" json:"last"`
	Min   float64 `bson:"min" json:"min"`
	Max   float64 `bson:"max" json:"max"`
	Mean  float64 `bson:"mean" json:"mean"` // of the readings, which are about equally far apart
	Count int64   `bson:"count" json:"count"`
	Unit  string  `bson:"unit,omitempty" json:"unit,omitempty"`
}

// Event is something that happened at a time.
type Event struct {
	Time time.Time `bson:"time" json:"time"`
	What string    `bson:"what" json:"what"`
}

// Refusal is a command that was refused or failed.
type Refusal struct {
	Time    time.Time `bson:"time" json:"time"`
	Device  string    `bson:"device" json:"device"`
	Channel string    `bson:"channel,omitempty" json:"channel,omitempty"`
	Op      string    `bson:"op" json:"op"`
	Value   string    `bson:"value,omitempty" json:"value,omitempty"`
	User    string    `bson:"user,omitempty" json:"user,omitempty"`
	Phase   string    `bson:"phase" json:"phase"`
	Code    string    `bson:"code" json:"code"`
	Message string    `bson:"message,omitempty" json:"message,omitempty"`
}
