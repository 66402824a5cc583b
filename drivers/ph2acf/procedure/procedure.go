// Package procedure is the file that says what a driver may execute: programs,
// their arguments and the parameters in them. Nothing outside of it can be run,
// no shell is in between, and every value that comes from outside has passed
// the check that the file gives for it.
package procedure

import (
	"maps"
	"regexp"
	"slices"
	"time"

	"trackerdcs/pkg/wire"
)

// Limits where the file says nothing else.
const (
	DefaultLimit  = time.Hour
	DefaultGrace  = 10 * time.Second
	DefaultLength = 256 // bytes of a string
)

// Procedures are those of a file, by name.
type Procedures map[string]*Procedure

// Procedure is one program that can be executed.
type Procedure struct {
	Name        string
	Title       string
	Program     string // a path, or a name that is looked up
	Arguments   []string
	Directory   string            // where it is executed; empty: a fresh folder for each run
	Environment map[string]string // besides what every program gets
	Limit       time.Duration     // that it may take
	Grace       time.Duration     // from SIGTERM to SIGKILL
	Parameters  map[string]*Parameter
	Progress    *regexp.Regexp // groups percent, or done and total; phase
	Phase       *regexp.Regexp // group phase
	Version     []string       // arguments that make it print its version; nil: none do
	Files       []File
}

// File is what a program leaves.
type File struct {
	Glob     string // relative to the directory; {run} is replaced
	Read     string // wire.ReadJSON, wire.ReadCSV, wire.ReadRaw
	Required bool   // without it the run has failed
}

// Parameter is a value that a sender gives.
type Parameter struct {
	Type      string // wire.TypeString …
	Title     string
	Unit      string
	Pattern   string // of a string: RE2, the whole of it
	Length    int    // of a string, bytes
	AllowDash bool   // a string may begin with -, where it stands alone as an argument
	Min, Max  wire.Value
	Values    []any // those that it can have: strings, or float64
	Default   any   // string, float64 or bool
	Required  bool

	whole *regexp.Regexp // Pattern, anchored
	line  int
}

// Meta describes the procedures on the bus.
func (ps Procedures) Meta() map[string]wire.MetaProcedure {
	out := make(map[string]wire.MetaProcedure, len(ps))
	for name, p := range ps {
		m := wire.MetaProcedure{Title: p.Title, Limit: p.Limit.Seconds()}
		if len(p.Parameters) > 0 {
			m.Parameters = make(map[string]wire.MetaParameter, len(p.Parameters))
		}
		for name, q := range p.Parameters {
			m.Parameters[name] = wire.MetaParameter{
				Type: q.Type, Title: q.Title, Unit: q.Unit, Pattern: q.Pattern, Min: q.Min, Max: q.Max,
				Values: q.Values, Default: q.Default, Required: q.Required,
			}
		}
		out[name] = m
	}
	return out
}

// Names lists the procedures in order.
func (ps Procedures) Names() []string { return slices.Sorted(maps.Keys(ps)) }
