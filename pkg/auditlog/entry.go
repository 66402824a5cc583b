// Package auditlog keeps who did what, when, from where and with which outcome,
// in files that are only appended to and whose entries are chained by hashes: a
// change of the past breaks the chain.
//
// # Format
//
// A folder holds segments, audit-000001.jsonl and so on. A segment has one entry
// a line, as JSON without spaces, and is followed by the next one when it has
// about 16 MiB. The entries are numbered from 1 without gaps; "prev" is the hash
// of the entry before, also across segments, and "" in the first.
//
// "hash" is the last key of each line. It is the SHA-256, in lower-case
// hexadecimal, of the line without that key: of the bytes of the line from the
// brace that opens it up to the comma before "hash", and a brace that closes
// it. These bytes have the number, the time, what happened and "prev", so that
// each hash stands for all that was written before. Nothing has to be encoded
// anew to verify a log; sed, sha256sum and jq do:
//
//	f=audit-000001.jsonl
//	sed -E 's/,"hash":"[0-9a-f]{64}"}$/}/' $f | while IFS= read -r line; do
//	    printf %s "$line" | sha256sum | cut -c1-64; done | diff - <(jq -r .hash $f)
//	diff <(jq -r .hash $f | sed '$d') <(jq -r .prev $f | sed 1d)
//
// Both print nothing when all is well. Whoever can write the files can change an
// entry and give new hashes to all that follow. What that cannot change is a
// Head that was written down elsewhere: Verify takes it, and finds a log that
// was rewritten or cut off.
//
// # Damage
//
// A line that was not yet whole when the machine lost its power was never
// confirmed to anybody. Open puts it aside, into a file torn-…, cuts it off, and
// says so in an entry of the kind Gap. Where the chain of the last segment is
// broken, Open begins a new segment with a Gap that says where. It changes
// nothing of what is there, so that Verify goes on reporting it.
package auditlog

import "time"

// Kinds of entry.
const (
	Login    = "login"    // somebody came in
	Denied   = "denied"   // a login that failed, or a request that the role does not allow
	Logout   = "logout"   // or the session's end
	Account  = "account"  // a password was changed, or somebody in the file of users
	Command  = "command"  // the gateway is about to send a command for somebody
	Outcome  = "outcome"  // an ack on the bus
	Silence  = "silence"  // a command of the gateway's that nobody answered in time
	Ingest   = "ingest"   // values from outside were published
	Download = "download" // a result was fetched
	Proxy    = "proxy"    // a request that changes something behind the gateway: in Node-RED, in Grafana
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
	Via      string `json:"via,omitempty"`     // session, token, bus, file
	Address  string `json:"address,omitempty"` // from where

	Device  string `json:"device,omitempty"` // "run" for run control; nodered and grafana for what is behind the gateway
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
