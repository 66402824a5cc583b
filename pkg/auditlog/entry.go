// Package auditlog keeps who did what, when, from where and with which outcome,
// in files that are only appended to and whose entries are chained by hashes: a
// change of the past breaks the chain.
package auditlog

import "time"

// Kinds of entry.
const (
	Login    = "login"    // somebody came in
	Denied   = "denied"   // a login that failed, or a request that the role does not allow
	Logout   = "logout"   // or the session's end
	Account  = "account"  // a password was changed
	Command  = "command"  // the gateway is about to send a command for somebody
	Outcome  = "outcome"  // an ack on the bus
	Silence  = "silence"  // a command of the gateway's that nobody answered in time
	Ingest   = "ingest"   // values from outside were published
	Download = "download" // a result was fetched
	Gap      = "gap"      // acks may be missing here; Message says why
	Start    = "start"    // of the gateway
)

// Entry is one line of the log. What does not apply is empty.
type Entry struct {
	Seq  int64     `json:"seq"` // from 1, without gaps
	Time time.Time `json:"time"`
	Kind string    `json:"kind"`

	User     string `json:"user,omitempty"`
	Role     string `json:"role,omitempty"`
	Verified bool   `json:"verified"`          // the gateway has checked who it was; else the sender said so
	Via      string `json:"via,omitempty"`     // session, token, bus
	Address  string `json:"address,omitempty"` // from where

	Device  string `json:"device,omitempty"` // "run" for run control
	Op      string `json:"op,omitempty"`
	Channel string `json:"channel,omitempty"` // a number, all
	Value   any    `json:"value,omitempty"`
	ID      string `json:"id,omitempty"` // of the command
	Boot    string `json:"boot,omitempty"`
	Run     int64  `json:"run,omitempty"`
	Dry     bool   `json:"dry,omitempty"`

	Phase   string   `json:"phase,omitempty"`
	Code    string   `json:"code,omitempty"`
	Closest *float64 `json:"closest,omitempty"`
	Message string   `json:"message,omitempty"`

	Said time.Time `json:"said,omitzero"` // the time in an ack: the device's clock, and earlier than Time by how long it was on its way

	Prev string `json:"prev"` // hash of the entry before, empty in the first
	Hash string `json:"hash"` // SHA-256 in hexadecimal, of this entry without it
}
