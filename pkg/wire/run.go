package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The ops of run control and of the drivers that execute runs.
const (
	Start = "start"
	Abort = "abort"
)

// The states of a run, docs/contract.md, section 11. Run control says all of
// them; a driver, which only executes, says RunRunning and the last four.
const (
	RunIdle        = "idle"        // there has been no run yet
	RunConfiguring = "configuring" // it has its number; setpoints are being reached
	RunRunning     = "running"     // the driver executes it
	RunFinishing   = "finishing"   // the program has ended; its results are on their way
	RunFinished    = "finished"
	RunFailed      = "failed"
	RunAborted     = "aborted"     // somebody asked for its end
	RunInterrupted = "interrupted" // a part of the stack died in it
)

// RunEnded reports whether a run in that state has ended.
func RunEnded(state string) bool {
	switch state {
	case RunFinished, RunFailed, RunAborted, RunInterrupted:
		return true
	}
	return false
}

// What is known of a run's results.
const (
	ResultsNone      = "none"      // there are none and none will come
	ResultsExpected  = "expected"  // the driver has them, or will
	ResultsReceived  = "received"  // the sink has them on its disk
	ResultsStored    = "stored"    // they are in the database
	ResultsMissing   = "missing"   // given up: nobody knows where they are
	ResultsReceiving = "receiving" // the sink has some of them
)

// Parameters are those of a procedure: strings, numbers (float64) and booleans
// by name.
type Parameters map[string]any

// Run is the record of a run, as run control keeps it: on the retained state
// topic of runs, and on the record topic, where the sink reads it.
type Run struct {
	Run   int64     `json:"run"`            // from 1; 0 when there has been none
	UID   string    `json:"uid,omitzero"`   // tells two runs apart that were given the same number
	State string    `json:"state"`          // RunIdle …
	Since time.Time `json:"since,omitzero"` // of the state
	Time  time.Time `json:"time,omitzero"`  // of this message
	Boot  string    `json:"boot"`
	Error string    `json:"error"` // what is wrong, or why it ended as it did

	Procedure  string     `json:"procedure,omitzero"`
	Device     string     `json:"device,omitzero"` // that executes it
	Parameters Parameters `json:"parameters,omitzero"`
	Module     string     `json:"module,omitzero"` // the parameter of that name
	ID         string     `json:"id,omitzero"`     // of the command that asked for it
	User       string     `json:"user,omitzero"`
	Asked      time.Time  `json:"asked,omitzero"` // when it got its number
	Start      time.Time  `json:"start,omitzero"` // when the driver started the program
	End        time.Time  `json:"end,omitzero"`   // when the program ended
	Exit       *int       `json:"exit,omitzero"`  // the program's exit code

	Configurations map[string]Configuration `json:"configurations,omitzero"` // by transition
	Transitions    []Transition             `json:"transitions,omitzero"`
	Results        string                   `json:"results,omitzero"` // ResultsNone …

	Progress Value  `json:"progress,omitzero"` // 0 to 1
	Phase    string `json:"phase,omitzero"`    // what the program says it is doing
}

// Transition is a step in a run's life.
type Transition struct {
	Name   string    `json:"name"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason,omitzero"`
}

// Configuration is what a transition needs: setpoints that are reached by
// commands in their order (those of different channels at the same time), then
// readings that are fresh and in range.
type Configuration struct {
	Name      string     `json:"name,omitzero" bson:"name,omitempty"` // under which it was fetched
	Setpoints []Setpoint `json:"setpoints,omitzero" bson:"setpoints,omitempty"`
	Sensors   []Require  `json:"sensors,omitzero" bson:"sensors,omitempty"`
	Timeout   float64    `json:"timeout,omitzero" bson:"timeout,omitempty"` // s, for all of it; default 600
	Wait      float64    `json:"wait,omitzero" bson:"wait,omitempty"`       // s, for readings to come into range; default 10
}

// Setpoint is one command to a supply.
type Setpoint struct {
	Device  string `json:"device" bson:"device"`
	Channel any    `json:"channel" bson:"channel"` // a number, or "all"
	Op      string `json:"op" bson:"op"`           // setv, seti, ramp, switch, clear
	Value   any    `json:"value,omitzero" bson:"value,omitempty"`
}

// Require is a reading that must be fresh and in range.
type Require struct {
	Device  string   `json:"device" bson:"device"`
	Channel *int     `json:"channel,omitzero" bson:"channel,omitempty"` // of a supply
	Field   string   `json:"field" bson:"field"`                        // vmon, temperature
	Min     *float64 `json:"min,omitzero" bson:"min,omitempty"`
	Max     *float64 `json:"max,omitzero" bson:"max,omitempty"`
	MaxAge  float64  `json:"max_age,omitzero" bson:"max_age,omitempty"` // s; default one and a half periods
}

// Report is what a driver says of the run that it executes or executed last,
// retained on its run topic.
type Report struct {
	Run        int64      `json:"run"`
	UID        string     `json:"uid,omitzero"`
	ID         string     `json:"id,omitzero"`
	User       string     `json:"user,omitzero"`
	State      string     `json:"state"` // RunRunning, RunFinished, RunFailed, RunAborted, RunInterrupted
	Time       time.Time  `json:"time"`
	Boot       string     `json:"boot"`
	Procedure  string     `json:"procedure"`
	Parameters Parameters `json:"parameters,omitzero"` // defaults filled in
	Start      time.Time  `json:"start,omitzero"`
	End        time.Time  `json:"end,omitzero"`
	Exit       *int       `json:"exit,omitzero"`
	Signal     string     `json:"signal,omitzero"` // that ended the program
	Error      string     `json:"error"`
	Progress   Value      `json:"progress,omitzero"` // 0 to 1
	Phase      string     `json:"phase,omitzero"`
	Lines      int64      `json:"lines,omitzero"` // of the log so far
}

// Manifest is what a driver offers to the sink: the report of a run that has
// ended, how it was executed, and its files in the order in which they come.
type Manifest struct {
	Report
	Program   string            `json:"program"`
	Arguments []string          `json:"arguments,omitzero"`
	Versions  map[string]string `json:"versions,omitzero"`
	Files     []File            `json:"files"`
	Left      []string          `json:"left,omitzero"` // why files are not in it
}

// How a result is read.
const (
	ReadJSON = "json" // becomes part of the run's document
	ReadCSV  = "csv"  // columns with a summary of each
	ReadRaw  = "raw"  // kept as it is
	ReadLog  = "log"  // the program's output, one line each
)

// File is one result.
type File struct {
	Name   string `json:"name"` // relative, with slashes
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
	Read   string `json:"read"` // ReadJSON …
}

// LogBatch are lines of the program's output, on the driver's log topic.
// Whoever needs all of them reads the log among the results.
type LogBatch struct {
	Run     int64     `json:"run"`
	Boot    string    `json:"boot"`
	First   int64     `json:"first"` // number of the first line, from 1
	Lines   []LogLine `json:"lines"`
	Dropped int64     `json:"dropped,omitzero"` // lines before First that were too many to be sent
}

// LogLine is one line.
type LogLine struct {
	Time   time.Time `json:"time"`
	Stream string    `json:"stream"` // out, err
	Text   string    `json:"text"`
}

// Receipt is what a sink says to a driver of the results of one run: all
// before chunk Chunk of file File are on its disk.
type Receipt struct {
	Run   int64  `json:"run"`
	UID   string `json:"uid"`
	Boot  string `json:"boot"`  // of the sink
	State string `json:"state"` // ResultsReceiving, ResultsReceived, ResultsStored
	File  int    `json:"file"`
	Chunk int64  `json:"chunk"`
	Again Flag   `json:"again,omitzero"` // something is missing: go on from here
	Error string `json:"error,omitzero"` // why nothing goes on; ask again later
}

// RecordReceipt is what a sink says to run control: it has the record in this
// state on its disk, and of the results what Results says.
type RecordReceipt struct {
	Run     int64  `json:"run"`
	UID     string `json:"uid"`
	Boot    string `json:"boot"`
	State   string `json:"state"`
	Results string `json:"results,omitzero"`
	Error   string `json:"error,omitzero"`
}

// Kept is what a sink says of all runs, retained: run control numbers the next
// one higher.
type Kept struct {
	Highest int64     `json:"highest"`
	Time    time.Time `json:"time"`
	Boot    string    `json:"boot"`
	Waiting int       `json:"waiting"` // runs that are not yet in the database
	Known   bool      `json:"known"`   // the database has been asked
}

// Annotation marks a run in the archive of measurements. It is said when the
// run starts and, with the same start, when it ends.
type Annotation struct {
	Run       int64     `json:"run"`
	UID       string    `json:"uid"`
	Procedure string    `json:"procedure"`
	Module    string    `json:"module,omitzero"`
	User      string    `json:"user,omitzero"`
	State     string    `json:"state"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end,omitzero"`
	Time      time.Time `json:"time"`
	Boot      string    `json:"boot"`
}

// Results travel in chunks. A chunk is the CRC-32C (Castagnoli) of its data in
// four bytes, the highest first, and then the data: ChunkSize bytes but for the
// last of a file. An empty file has no chunk. ChunkWindow chunks at most are on
// their way without a receipt. Chunks are published with QoS 0: a broker must not
// keep what its sender keeps.
const (
	ChunkSize   = 255 << 10 // as in GridFS
	ChunkSum    = 4
	ChunkWindow = 8
)

// RunCommand is a command to run control (start, abort) or to a driver that
// executes runs, its form checked and its meaning not.
type RunCommand struct {
	Op         string
	Run        int64  // to a driver: the run; with abort to run control: the run meant, or 0
	UID        string // to a driver, and with abort of the run meant
	Procedure  string
	Device     string // to run control: the driver that is to execute it
	Parameters Parameters
	// Configurations are given by the transition that needs them: text is the
	// name of one in the database.
	Configurations map[string]ConfigurationOrName
	Reason         string // of abort
	ID             string
	User           string
	Expires        time.Time
	Dry            bool
	Echo           string // of a command that cannot be understood: what it said
}

// ConfigurationOrName is a configuration given inline, or the name of one.
type ConfigurationOrName struct {
	Name   string
	Inline *Configuration
}

// MarshalJSON writes the name, or the configuration.
func (c ConfigurationOrName) MarshalJSON() ([]byte, error) {
	if c.Inline != nil {
		return json.Marshal(c.Inline)
	}
	return json.Marshal(c.Name)
}

// UnmarshalJSON reads a name, or a configuration without unknown keys.
func (c *ConfigurationOrName) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		if err := json.Unmarshal(b, &c.Name); err != nil {
			return err
		}
		if c.Name == "" || len(c.Name) > MaxID {
			return fmt.Errorf("the name of a configuration has 1 to %d bytes", MaxID)
		}
		return nil
	}
	if b[0] != '{' {
		return errors.New("a configuration is an object, or the name of one")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	c.Inline = new(Configuration)
	return dec.Decode(c.Inline)
}

// RunTransition is the transition whose configuration the key "configuration"
// of a start is: configuring to running.
const RunTransition = "run"

// Limits on parameters.
const (
	MaxParameters = 100
	MaxParameter  = 4096 // bytes of a string
)

// runEnvelope is the JSON form of a RunCommand.
type runEnvelope struct {
	Run            int64                          `json:"run,omitzero"`
	UID            string                         `json:"uid,omitzero"`
	Procedure      string                         `json:"procedure,omitzero"`
	Device         string                         `json:"device,omitzero"`
	Parameters     Parameters                     `json:"parameters,omitzero"`
	Configurations map[string]ConfigurationOrName `json:"configurations,omitzero"`
	Reason         string                         `json:"reason,omitzero"`
	ID             string                         `json:"id,omitzero"`
	User           string                         `json:"user,omitzero"`
	Expires        time.Time                      `json:"expires,omitzero"`
	Dry            int                            `json:"dry,omitzero"`
}

// Payload writes the command.
func (c RunCommand) Payload() []byte {
	e := runEnvelope{
		Run: c.Run, UID: c.UID, Procedure: c.Procedure, Device: c.Device, Parameters: c.Parameters,
		Configurations: c.Configurations, Reason: c.Reason, ID: c.ID, User: c.User,
	}
	if !c.Expires.IsZero() {
		e.Expires = c.Expires.UTC()
	}
	if c.Dry {
		e.Dry = 1
	}
	return Encode(e)
}

// ParseRunCommand reads a command about runs. It is as strict as ParseCommand,
// and on an error the command still carries what could be read of run, id and
// user.
func ParseRunCommand(op string, payload []byte) (RunCommand, error) {
	c := RunCommand{Op: op}
	fail := func(format string, a ...any) (RunCommand, error) {
		c.Echo = Echo(string(payload[:min(len(payload), 4*EchoLen)]))
		return c, fmt.Errorf(format, a...)
	}
	switch {
	case len(payload) > MaxCommand:
		return fail("the payload has %d bytes: send at most %d", len(payload), MaxCommand)
	case !utf8.Valid(payload):
		return fail("the payload is not UTF-8")
	}
	body := strings.TrimSpace(string(payload))
	if !strings.HasPrefix(body, "{") {
		return fail(`%s takes an object: send {"procedure":"…","parameters":{…}}`, Echo(op))
	}
	fields, err := objectFields(body)
	seen := make(map[string]bool)
	for _, f := range fields {
		switch {
		case seen[f.key]:
			err = first(err, fmt.Errorf("key %q stands twice", Echo(f.key)))
		default:
			err = first(err, c.setField(f))
		}
		seen[f.key] = true
	}
	if err == nil && op == Start && c.Procedure == "" {
		err = errors.New(`"procedure" is missing: the procedures are in the driver's meta`)
	}
	if err == nil && seen["configuration"] && seen["configurations"] {
		err = errors.New(`"configuration" and "configurations" cannot both be given`)
	}
	if err != nil {
		return fail("%w", err)
	}
	return c, nil
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// takenBy says which keys belong to start alone, and which to abort.
var takenBy = map[string]string{
	"procedure": Start, "parameters": Start, "device": Start, "configuration": Start, "configurations": Start,
	"reason": Abort,
}

func (c *RunCommand) setField(f field) (err error) {
	if op := takenBy[f.key]; op != "" && op != c.Op {
		return fmt.Errorf("%s takes no %q", Echo(c.Op), f.key)
	}
	switch f.key {
	case "run":
		if json.Unmarshal(f.raw, &c.Run) != nil || c.Run < 1 || f.raw[0] == 'n' {
			c.Run = 0
			return errors.New(`"run" is not the number of a run`)
		}
	case "uid":
		c.UID, err = text(f, 1, MaxID)
	case "procedure":
		c.Procedure, err = text(f, 1, MaxID)
	case "device":
		if c.Device, err = text(f, 1, MaxID); err == nil {
			err = CheckDevice(c.Device)
		}
	case "parameters":
		c.Parameters, err = parameters(f.raw)
	case "configuration":
		var one ConfigurationOrName
		if err := json.Unmarshal(f.raw, &one); err != nil {
			return fmt.Errorf(`"configuration": %w`, err)
		}
		c.Configurations = map[string]ConfigurationOrName{RunTransition: one}
	case "configurations":
		if f.raw[0] != '{' {
			return errors.New(`"configurations" is not an object`)
		}
		if err := json.Unmarshal(f.raw, &c.Configurations); err != nil {
			return fmt.Errorf(`"configurations": %w`, err)
		}
	case "reason":
		c.Reason, err = text(f, 0, MaxReason)
	case "id":
		c.ID, err = text(f, 1, MaxID)
	case "user":
		c.User, err = text(f, 0, MaxUser)
	case "expires":
		c.Expires, err = instant(f)
	case "dry":
		c.Dry, err = flag(f)
	default:
		err = fmt.Errorf("unknown key %q", Echo(f.key))
	}
	return err
}

// parameters reads an object of strings, numbers and booleans.
func parameters(raw json.RawMessage) (Parameters, error) {
	if raw[0] != '{' {
		return nil, errors.New(`"parameters" is not an object`)
	}
	fields, err := objectFields(string(raw))
	if err != nil {
		return nil, fmt.Errorf(`"parameters": %w`, err)
	}
	if len(fields) > MaxParameters {
		return nil, fmt.Errorf(`"parameters" has %d keys: send at most %d`, len(fields), MaxParameters)
	}
	p := make(Parameters, len(fields))
	for _, f := range fields {
		if _, twice := p[f.key]; twice {
			return nil, fmt.Errorf("parameter %q stands twice", Echo(f.key))
		}
		var v any
		if err := json.Unmarshal(f.raw, &v); err != nil {
			return nil, fmt.Errorf("parameter %q: %w", Echo(f.key), err)
		}
		switch x := v.(type) {
		case float64, bool:
		case string:
			if len(x) > MaxParameter {
				return nil, fmt.Errorf("parameter %q has %d bytes: send at most %d", Echo(f.key), len(x), MaxParameter)
			}
		default:
			return nil, fmt.Errorf("parameter %q is neither a string nor a number nor true or false", Echo(f.key))
		}
		p[f.key] = v
	}
	return p, nil
}
