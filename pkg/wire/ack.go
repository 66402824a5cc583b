package wire

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// Phases of a command: rejected; or accepted and then one of the others.
const (
	Rejected   = "rejected"
	Accepted   = "accepted"
	Done       = "done"
	Failed     = "failed"
	Superseded = "superseded"
)

// Code says why a command ended as it did.
type Code string

// The codes of docs/contract.md, section 4.
const (
	OK              Code = "OK"
	BadOp           Code = "BAD_OP"
	NoChannel       Code = "NO_CHANNEL"
	BadValue        Code = "BAD_VALUE"
	OutOfRange      Code = "OUT_OF_RANGE"
	Locked          Code = "LOCKED"
	Tripped         Code = "TRIPPED"
	Interlocked     Code = "INTERLOCK"
	CodeUnreachable Code = "UNREACHABLE"
	Expired         Code = "EXPIRED"
	Retained        Code = "RETAINED"
	Duplicate       Code = "DUPLICATE"
	Busy            Code = "BUSY"
	Hardware        Code = "HARDWARE"
	Timeout         Code = "TIMEOUT"
	Dry             Code = "DRY"
)

// EchoLen is how many bytes of what cannot be understood are echoed.
const EchoLen = 64

// Ack says what became of a command.
type Ack struct {
	Time     time.Time `json:"time"`
	Boot     string    `json:"boot"`
	ID       string    `json:"id"`
	Op       string    `json:"op"`
	Channel  ChannelID `json:"channel"`
	Value    any       `json:"value"` // a number, a word, or null
	User     string    `json:"user"`
	Phase    string    `json:"phase"`
	Code     Code      `json:"code"`
	Message  string    `json:"message"`
	Closest  Value     `json:"closest"`  // the closest valid value, where one would do
	Readback Value     `json:"readback"` // vmon in V; for seti ireq in A, for ramp V/s

	Run int64 `json:"run,omitempty"` // of a command about runs
}

// Final reports whether nothing more will be said of the command.
func (a Ack) Final() bool { return a.Phase != Accepted || a.Code == Dry }

// ChannelID is the channel of a command: a number, all channels, or what could
// not be understood. The zero ChannelID is none, null on the bus.
type ChannelID struct {
	Kind   ChannelKind
	Number int
	Text   string // for BadChannel: what the topic said
}

// ChannelKind tells what a ChannelID is.
type ChannelKind uint8

// The kinds of ChannelID.
const (
	NoneChannel ChannelKind = iota
	OneChannel
	AllChannels
	BadChannel
)

// One is the channel with that number.
func One(number int) ChannelID { return ChannelID{Kind: OneChannel, Number: number} }

// All is every channel of the instrument.
func All() ChannelID { return ChannelID{Kind: AllChannels} }

// ParseChannel reads the channel level of a command's topic.
func ParseChannel(s string) ChannelID {
	switch s {
	case "":
		return ChannelID{}
	case "all":
		return All()
	}
	if n, err := strconv.ParseUint(s, 10, 16); err == nil && (s == "0" || s[0] != '0') {
		return One(int(n))
	}
	return ChannelID{Kind: BadChannel, Text: Echo(s)}
}

// String writes the channel as in a topic.
func (c ChannelID) String() string {
	switch c.Kind {
	case OneChannel:
		return strconv.Itoa(c.Number)
	case AllChannels:
		return "all"
	}
	return c.Text
}

// MarshalJSON writes a number, "all", the text that was not understood, or null.
func (c ChannelID) MarshalJSON() ([]byte, error) {
	switch c.Kind {
	case NoneChannel:
		return []byte("null"), nil
	case OneChannel:
		return strconv.AppendInt(nil, int64(c.Number), 10), nil
	}
	return json.Marshal(c.String())
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *ChannelID) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*c = ChannelID{}
		return nil
	}
	var s string
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*c = ParseChannel(s)
		return nil
	}
	var n int
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*c = One(n)
	return nil
}

// Echo cuts what a stranger sent to at most EchoLen bytes of valid UTF-8.
func Echo(s string) string {
	if len(s) > 4*EchoLen {
		s = s[:4*EchoLen]
	}
	out := make([]rune, 0, EchoLen)
	n := 0
	for _, r := range s {
		n += utf8.RuneLen(r)
		if n > EchoLen {
			break
		}
		out = append(out, r)
	}
	return string(out)
}
