package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The ops of a power supply.
const (
	SetV   = "setv"   // V
	SetI   = "seti"   // current limit, A
	Switch = "switch" // on, off
	Ramp   = "ramp"   // V/s
	Clear  = "clear"  // latched trips
	Lock   = "lock"   // tag out, with a reason
	Unlock = "unlock"
)

// The words of Switch.
const (
	On  = "on"
	Off = "off"
)

// Limits on what a sender may write, in bytes.
const (
	MaxCommand = 64 << 10
	MaxID      = 128
	MaxUser    = 128
	MaxReason  = 256
)

// Command is a command as its sender wrote it, its form checked and its
// meaning not: whether a channel exists and a value is allowed is the driver's
// to say.
type Command struct {
	Op      string
	Channel ChannelID
	Number  float64 // of setv, seti, ramp
	Word    string  // of switch
	Reason  string  // of lock
	ID      string  // empty when the sender gave none
	User    string  // who the sender says it is
	Expires time.Time
	Dry     bool   // check and answer, do nothing
	Echo    string // of a bad value: what it said
}

// Value is what acks echo: a number, a word, a text that was not understood,
// or nil.
func (c Command) Value() any {
	switch {
	case c.Echo != "":
		return c.Echo
	case c.Word != "":
		return c.Word
	case takesNumber(c.Op):
		return c.Number
	}
	return nil
}

func takesNumber(op string) bool { return op == SetV || op == SetI || op == Ramp }

// envelope is the JSON form of a command.
type envelope struct {
	Value   any    `json:"value,omitempty"`
	Reason  string `json:"reason,omitempty"`
	ID      string `json:"id,omitempty"`
	User    string `json:"user,omitempty"`
	Expires string `json:"expires,omitempty"`
	Dry     int    `json:"dry,omitempty"`
}

// Payload writes the command as an envelope.
func (c Command) Payload() []byte {
	e := envelope{Value: c.Value(), Reason: c.Reason, ID: c.ID, User: c.User}
	if !c.Expires.IsZero() {
		e.Expires = c.Expires.UTC().Format(time.RFC3339Nano)
	}
	if c.Dry {
		e.Dry = 1
	}
	return Encode(e)
}

// ParseCommand reads the payload of a command: a bare value as the original
// stack sent it ("100.", "on"), or an envelope. It is strict: unknown or
// repeated keys and wrong types are errors, because a misspelt "dry" must not
// execute. On an error the command still carries whatever could be read of id
// and user, so that its sender can be told, and Echo for the ack.
func ParseCommand(op, channel string, payload []byte) (Command, error) {
	c := Command{Op: op, Channel: ParseChannel(channel)}
	if len(payload) > MaxCommand {
		c.Echo = Echo(string(payload[:EchoLen]))
		return c, fmt.Errorf("the payload has %d bytes: send at most %d", len(payload), MaxCommand)
	}
	if !utf8.Valid(payload) {
		c.Echo = Echo(string(payload))
		return c, errors.New("the payload is not UTF-8")
	}
	text := strings.TrimSpace(string(payload))
	if strings.HasPrefix(text, "{") {
		return c, c.parseEnvelope(text)
	}
	if err := c.setBare(text); err != nil {
		c.Number, c.Echo = 0, Echo(text)
		if text == "" {
			c.Echo = Echo(string(payload)) // blanks: without them the ack would echo the number 0
		}
		return c, err
	}
	return c, nil
}

// setBare takes the value of a plain payload.
func (c *Command) setBare(text string) error {
	switch {
	case takesNumber(c.Op):
		return c.setNumber(text)
	case c.Op == Switch:
		return c.setWord(text)
	case c.Op == Lock:
		return errors.New(`a lock needs its reason: send {"reason":"…"}`)
	case c.Op == Clear || c.Op == Unlock:
		return fmt.Errorf("%s takes no value: send {}", c.Op)
	}
	return nil // an op that is not known: the driver refuses it by name
}

func (c *Command) parseEnvelope(text string) error {
	var first error
	fail := func(err error) {
		if first == nil {
			first = err
		}
	}
	fields, err := objectFields(text)
	if err != nil {
		fail(err)
	}
	seen := make(map[string]bool)
	for _, f := range fields {
		if seen[f.key] {
			fail(fmt.Errorf("key %q stands twice", Echo(f.key)))
			continue
		}
		seen[f.key] = true
		if err := c.setField(f); err != nil {
			fail(err)
		}
	}
	if first == nil {
		first = c.complete(seen)
	}
	if first != nil && c.Echo == "" {
		c.Word, c.Number = "", 0
		c.Echo = Echo(valueText(fields))
		if c.Echo == "" {
			c.Echo = Echo(text)
		}
	}
	return first
}

// complete reports what an envelope lacks.
func (c *Command) complete(seen map[string]bool) error {
	switch {
	case (takesNumber(c.Op) || c.Op == Switch) && !seen["value"]:
		return errors.New(`the envelope has no "value"`)
	case c.Op == Lock && !seen["reason"]:
		return errors.New(`a lock needs its reason: send {"reason":"…"}`)
	}
	return nil
}

// field is a key of an envelope with its value as written.
type field struct {
	key string
	raw json.RawMessage
}

// objectFields reads one JSON object and nothing after it, in order, repeated
// keys included: encoding/json would take the last of them in silence, and
// match keys whatever their case.
func objectFields(text string) ([]field, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("the envelope is not JSON: %w", err)
	}
	var fields []field
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return fields, fmt.Errorf("the envelope is not JSON: %w", err)
		}
		f := field{key: key.(string)} // inside an object a token before a value is its key
		if err := dec.Decode(&f.raw); err != nil {
			return fields, fmt.Errorf("the envelope is not JSON: %w", err)
		}
		fields = append(fields, f)
	}
	if _, err := dec.Token(); err != nil {
		return fields, fmt.Errorf("the envelope is not JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fields, errors.New("there is more after the envelope")
	}
	return fields, nil
}

func valueText(fields []field) string {
	for _, f := range fields {
		if f.key != "value" {
			continue
		}
		var s string
		if f.raw[0] == '"' && json.Unmarshal(f.raw, &s) == nil {
			return s
		}
		return string(f.raw)
	}
	return ""
}

func (c *Command) setField(f field) (err error) {
	switch f.key {
	case "value":
		return c.setValue(f.raw)
	case "id":
		c.ID, err = text(f, 1, MaxID)
	case "user":
		c.User, err = text(f, 0, MaxUser)
	case "expires":
		c.Expires, err = instant(f)
	case "dry":
		c.Dry, err = flag(f)
	case "reason":
		if c.Op != Lock {
			return fmt.Errorf(`%s takes no "reason"`, Echo(c.Op))
		}
		c.Reason, err = text(f, 1, MaxReason)
	default:
		err = fmt.Errorf("unknown key %q", Echo(f.key))
	}
	return err
}

func (c *Command) setValue(raw json.RawMessage) error {
	switch {
	case takesNumber(c.Op):
		if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
			return errors.New(`"value" is not a number`)
		}
		return c.setNumber(string(raw))
	case c.Op == Switch:
		var word string
		if raw[0] != '"' || json.Unmarshal(raw, &word) != nil {
			return errors.New(`"value" is neither "on" nor "off"`)
		}
		return c.setWord(word)
	case c.Op == Clear || c.Op == Lock || c.Op == Unlock:
		return fmt.Errorf(`%s takes no "value"`, c.Op)
	}
	return nil
}

// numberRE is a decimal number as the original's senders write it: "100." and
// ".5" are numbers, hexadecimal floats, "inf" and "nan" are not.
var numberRE = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

func (c *Command) setNumber(s string) error {
	if !numberRE.MatchString(s) {
		return fmt.Errorf("%q is not a number", Echo(s))
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return fmt.Errorf("%q is too large for a number", Echo(s))
	}
	c.Number = x + 0 // "-0" is 0
	return nil
}

func (c *Command) setWord(s string) error {
	if s != On && s != Off {
		return fmt.Errorf("%q is neither on nor off", Echo(s))
	}
	c.Word = s
	return nil
}

func text(f field, least, most int) (string, error) {
	var s string
	if !bytes.HasPrefix(f.raw, []byte{'"'}) || json.Unmarshal(f.raw, &s) != nil {
		return "", fmt.Errorf("%q is not a string", f.key)
	}
	if len(s) < least || len(s) > most {
		return "", fmt.Errorf("%q has %d bytes: write %d to %d", f.key, len(s), least, most)
	}
	return s, nil
}

// flag reads a yes or no, which is 1 or 0.
func flag(f field) (bool, error) {
	switch string(f.raw) {
	case "0", "1":
		return f.raw[0] == '1', nil
	}
	return false, fmt.Errorf("%q is 0 or 1", f.key)
}

func instant(f field) (time.Time, error) {
	s, err := text(f, 1, 64)
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf(`"expires" is not an RFC 3339 time: %q`, Echo(s))
	}
	return t.UTC(), nil
}
