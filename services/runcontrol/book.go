package main

import (
	"maps"
	"slices"
	"time"

	"trackerdcs/pkg/wire"
)

// Book is what run control knows of runs over its own end. It is on disk
// before anybody hears of it.
type Book struct {
	Highest int64     `json:"highest"` // number given
	Sure    bool      `json:"sure"`    // nothing higher is elsewhere: a sink has been asked, then or before
	Life    *Life     `json:"life,omitempty"`
	GivenUp []GivenUp `json:"given_up,omitempty"` // the latest maxGivenUp
}

// maxGivenUp is how many runs are remembered that a driver may still execute
// although nobody waits for them.
const maxGivenUp = 100

// GivenUp is a run that ended for us while its driver could not be asked: when
// the driver turns up with it, it is told to end it.
type GivenUp struct {
	Run    int64  `json:"run"`
	UID    string `json:"uid"`
	Device string `json:"device"`
}

// Life is the run under way, or else the last.
type Life struct {
	Run  wire.Run `json:"run"`
	Step string   `json:"step"` // what is being done in it: stepReaching …

	StepAt time.Time         `json:"step_at,omitzero"` // when it began, but for steps in which time does not count
	Boots  map[string]string `json:"boots,omitempty"`  // of the supplies commanded in it: they are not asked the same anew

	// Who asked for it, to be told how it ended. The ack is the latest answer.
	Content []byte   `json:"content,omitempty"`
	Ack     wire.Ack `json:"ack"`

	// Who asked for its end, and how often the driver was asked.
	Aborts []Asker `json:"aborts,omitempty"`
	Round  int     `json:"round,omitempty"` // of asking the driver to end it
	Told   []Asker `json:"told,omitempty"`  // those who have their last ack, the latest maxAborts

	DriverBoot string `json:"driver_boot,omitempty"` // of the driver that took it

	Doubt string `json:"doubt,omitempty"` // what was left out when it was taken over from the bus

	// How it will end, once that is known.
	Outcome string    `json:"outcome,omitempty"`
	Code    wire.Code `json:"code,omitempty"`
	Reason  string    `json:"reason,omitempty"`
}

// Asker is an abort that awaits the end of its run.
type Asker struct {
	Ack     wire.Ack `json:"ack"`
	Reason  string   `json:"reason,omitempty"`
	Content []byte   `json:"content,omitempty"`
	Step    string   `json:"step"` // in which it came: from stepWrapping on it ends a wait and no program
}

// The steps of a life. Those of one state follow each other in it.
const (
	stepReaching   = "reaching"   // configuring: what the transition run needs
	stepAsking     = "asking"     // configuring: the driver is asked to start
	stepRunning    = "running"    // running: the program
	stepWrapping   = "wrapping"   // running: the program has ended, what finish needs
	stepEnding     = "ending"     // finishing: what end needs
	stepDelivering = "delivering" // finishing: results on their way
	stepEnded      = "ended"
)

// clone makes a copy that does not change with the book.
func (b *Book) clone() Book {
	out := Book{Highest: b.Highest, Sure: b.Sure, GivenUp: slices.Clone(b.GivenUp)}
	if b.Life != nil {
		l := *b.Life
		l.Aborts, l.Told = slices.Clone(l.Aborts), slices.Clone(l.Told)
		l.Run, l.Boots = cloneRun(l.Run), maps.Clone(l.Boots)
		out.Life = &l
	}
	return out
}

// cloneRun copies what changes in a record.
func cloneRun(r wire.Run) wire.Run {
	r.Transitions = slices.Clone(r.Transitions)
	r.Parameters = maps.Clone(r.Parameters)
	r.Configurations = maps.Clone(r.Configurations)
	return r
}

// Ref names an ended record that the sink has not confirmed.
type Ref struct {
	Run   int64  `json:"run"`
	UID   string `json:"uid"`
	State string `json:"state"`
}
