package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"trackerdcs/pkg/wire"
)

// Limits on payloads, in bytes.
const (
	maxPayload = 256 << 10
	maxState   = 16 << 10
	maxAck     = 16 << 10
	maxReading = 4 << 10
)

// limit is how long a payload of a kind may be.
func (k kind) limit() int {
	switch k {
	case aState, aService:
		return maxState
	case anAck, aRunAck:
		return maxAck
	case aSensor, aBeat:
		return maxReading
	}
	return maxPayload
}

// maxDepth is how deep a payload may be nested: what reads it on a page may not be
// made for more.
const maxDepth = 32

var (
	errUTF8 = errors.New("it is not UTF-8")
	errDeep = fmt.Errorf("it is nested more than %d deep", maxDepth)
)

// readable reports why a payload is not even looked at.
func readable(payload []byte) error {
	if !utf8.Valid(payload) {
		return errUTF8
	}
	depth, quoted := 0, false
	for i := 0; i < len(payload); i++ {
		switch c := payload[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		}
		if depth > maxDepth {
			return errDeep
		}
	}
	return nil
}

// decode reads a payload into a type of the contract, and makes sure that it can
// be written again.
func decode[T any](payload []byte) (v T, err error) {
	if err := readable(payload); err != nil {
		return v, err
	}
	if err := json.Unmarshal(payload, &v); err != nil {
		return v, err
	}
	_, err = json.Marshal(v)
	return v, err
}

// measurement is what is read of a status.
type measurement struct {
	json json.RawMessage // in one line
	boot string
	seq  uint64
	time time.Time // of the newest channel; zero where there is none
}

// origin is what of a channel or a sensor's status says when and by whom it was
// made. What cannot be read of it is taken for not being there: it is of a
// program that is not ours.
type origin struct {
	Time json.RawMessage `json:"time"`
	Seq  json.RawMessage `json:"seq"`
	Boot json.RawMessage `json:"boot"`
}

func (o origin) into(m *measurement) {
	var at time.Time
	if json.Unmarshal(o.Time, &at) == nil && at.After(m.time) {
		m.time = at
	}
	var seq uint64
	if json.Unmarshal(o.Seq, &seq) == nil {
		m.seq = max(m.seq, seq)
	}
	if m.boot == "" {
		_ = json.Unmarshal(o.Boot, &m.boot)
	}
}

// parseStatus reads a status: a list of channels, or an object.
func parseStatus(payload []byte) (m measurement, err error) {
	if err := readable(payload); err != nil {
		return m, err
	}
	var line bytes.Buffer
	line.Grow(len(payload))
	if err := json.Compact(&line, payload); err != nil {
		return m, err
	}
	m.json = line.Bytes()
	switch line.Bytes()[0] {
	case '[':
		var channels []*origin
		if err := json.Unmarshal(m.json, &channels); err != nil {
			return m, err
		}
		for i, o := range channels {
			if o == nil {
				return m, fmt.Errorf("entry %d is no channel", i)
			}
			o.into(&m)
		}
	case '{':
		var o origin
		if err := json.Unmarshal(m.json, &o); err != nil {
			return m, err
		}
		o.into(&m)
	default:
		return m, errors.New("it is neither a list of channels nor an object")
	}
	return m, nil
}

func parseState(payload []byte) (wire.State, error) {
	s, err := decode[wire.State](payload)
	if err == nil && s.State == "" {
		err = errors.New("it has no state")
	}
	return s, err
}

func parseMeta(payload []byte) (*wire.Meta, error) {
	m, err := decode[*wire.Meta](payload)
	switch {
	case err != nil:
		return nil, err
	case m == nil || m.Kind == "":
		return nil, errors.New("it has no kind")
	}
	if m.Fields == nil {
		m.Fields = map[string]wire.MetaField{}
	}
	return m, nil
}

func parseLocks(payload []byte) (map[string]wire.LockTag, error) {
	locks, err := decode[map[string]wire.LockTag](payload)
	if err != nil {
		return nil, err
	}
	for channel := range locks {
		if wire.ParseChannel(channel).Kind != wire.OneChannel {
			return nil, fmt.Errorf("%q is not the number of a channel", wire.Echo(channel))
		}
	}
	if locks == nil {
		locks = map[string]wire.LockTag{}
	}
	return locks, nil
}

func parseAck(payload []byte) (wire.Ack, error) {
	a, err := decode[wire.Ack](payload)
	switch {
	case err != nil:
		return a, err
	case a.ID == "":
		return a, errors.New("it has no id")
	}
	switch a.Phase {
	case wire.Rejected, wire.Accepted, wire.Done, wire.Failed, wire.Superseded:
		return a, nil
	}
	return a, fmt.Errorf("phase %q is not known", wire.Echo(a.Phase))
}

func parseReport(payload []byte) (*wire.Report, error) {
	r, err := decode[*wire.Report](payload)
	if err == nil && (r == nil || r.State == "") {
		err = errors.New("it has no state")
	}
	return r, err
}

func parseRun(payload []byte) (*wire.Run, error) {
	r, err := decode[*wire.Run](payload)
	if err == nil && (r == nil || r.State == "") {
		err = errors.New("it has no state")
	}
	return r, err
}

func parseLog(payload []byte) (wire.LogBatch, error) {
	b, err := decode[wire.LogBatch](payload)
	if err == nil && b.Lines == nil {
		err = errors.New("it has no lines")
	}
	return b, err
}

// parseReading reads a value from outside: an object with a value, or a bare
// number.
func parseReading(payload []byte) (float64, error) {
	if err := readable(payload); err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(payload))
	if strings.HasPrefix(text, "{") {
		var o struct {
			Value json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			return 0, err
		}
		text = string(o.Value)
		var quoted string
		if strings.HasPrefix(text, `"`) && json.Unmarshal(o.Value, &quoted) == nil {
			text = strings.TrimSpace(quoted)
		}
	}
	// No hexadecimal numbers, no "nan" and "inf", which ParseFloat takes too.
	if strings.Trim(text, "0123456789+-.eE") != "" {
		return 0, fmt.Errorf("%q is not a number", wire.Echo(text))
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !wire.Known(x).Valid {
		return 0, fmt.Errorf("%q is not a number", wire.Echo(text))
	}
	return x, nil
}
