package main

import (
	"errors"

	"trackerdcs/pkg/wire"
)

// The events of the machine. The time at which they happened goes with them.
type (
	// Connected says that a connection to the broker stands and that all
	// subscriptions are granted.
	Connected struct{}
	// Disconnected says that it has ended.
	Disconnected struct{}
	// Received is a command about runs. Err is what wire.ParseRunCommand said.
	Received struct {
		Command  wire.RunCommand
		Err      error
		Payload  []byte
		Retained bool
	}
	// Described is a device's meta.
	Described struct {
		Device string
		Meta   wire.Meta
	}
	// DeviceState is what a device says of itself.
	DeviceState struct {
		Device string
		State  wire.State
	}
	// Reported is what a driver says of its run.
	Reported struct {
		Device string
		Report wire.Report
	}
	// Measured is a status as it came.
	Measured struct {
		Device  string
		Payload []byte
	}
	// Acked is what became of a command to a device.
	Acked struct {
		Device string
		Ack    wire.Ack
	}
	// ServiceState is what a service says of itself.
	ServiceState struct {
		Service string
		State   wire.State
	}
	// Keeps is what a sink says of all runs.
	Keeps struct {
		Sink string
		Kept wire.Kept
	}
	// Receipted is what a sink says of a record.
	Receipted struct {
		Sink    string
		Receipt wire.RecordReceipt
	}
	// Stands is what stands on the state topic of runs.
	Stands struct{ Payload []byte }
	// Fetched are the configurations that were asked for.
	Fetched struct {
		Ask   int
		Found map[string]wire.Configuration
		Name  string // the first that could not be had
		Err   error  // and why; errNoConfiguration when there is none
	}
	// Saved tells whether the book is on disk.
	Saved struct{ Err error }
	// Tick lets time pass.
	Tick struct{}
)

// errNoConfiguration says that the database has no configuration of that name.
var errNoConfiguration = errors.New("there is no such configuration")

// Effects is what an event brings about.
type Effects struct {
	Out   []any  // to be sent, in order: the types below
	Save  *Save  // to be written to disk, then a Saved; the next Save comes after that
	Fetch *Fetch // to be fetched, then a Fetched
	Log   []string
}

// What goes out.
type (
	// Answer is an ack to a command about runs.
	Answer struct{ Ack wire.Ack }
	// SayState is the record for the retained topic.
	SayState struct {
		Run     wire.Run
		Payload []byte // Run as it goes out, by which its echo is known
	}
	// SayRecord is the record for the sink.
	SayRecord struct{ Run wire.Run }
	// SayKept is an ended record that is on disk only.
	SayKept struct{ Ref Ref }
	// Annotate marks the run in the archive.
	Annotate struct{ Annotation wire.Annotation }
	// Order is a command to a supply.
	Order struct {
		Device  string
		Command wire.Command
	}
	// OrderRun is a command to a driver that executes runs.
	OrderRun struct {
		Device  string
		Command wire.RunCommand
	}
)

// Save is what is to be on disk.
type Save struct {
	Book   Book
	Keep   []wire.Run // ended records, each in a file of its own
	Forget []Ref      // of those: the sink has them
}

// Fetch asks for configurations by name.
type Fetch struct {
	Ask   int
	Names []string
}
