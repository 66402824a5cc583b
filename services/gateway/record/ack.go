package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// runDevice is whose run control's acks are.
const runDevice = "run"

// Bounds of what an entry takes over from a stranger, in bytes.
const (
	maxWord    = 64
	maxValue   = 256
	maxMessage = 2048
)

// entryOf makes an entry of an ack; whose it is, is not known yet.
func (r *Recorder) entryOf(m bus.Message) (auditlog.Entry, error) {
	levels, ok := r.conf.Root.Cut(m.Topic)
	if !ok || len(levels) != 2 || levels[1] != wire.KindAck {
		return auditlog.Entry{}, errors.New("the topic is not that of acks")
	}
	device := levels[0]
	if device != runDevice {
		if err := wire.CheckDevice(device); err != nil {
			return auditlog.Entry{}, err
		}
	}
	if len(device) > wire.MaxID {
		return auditlog.Entry{}, errors.New("the device's name is too long")
	}
	return parseAck(device, m.Payload)
}

func parseAck(device string, payload []byte) (auditlog.Entry, error) {
	if len(payload) == 0 || len(payload) > wire.MaxCommand {
		return auditlog.Entry{}, fmt.Errorf("want 1 to %d bytes", wire.MaxCommand)
	}
	var a wire.Ack
	if err := json.Unmarshal(payload, &a); err != nil {
		return auditlog.Entry{}, fmt.Errorf("it is no ack: %w", err)
	}
	switch a.Phase {
	case wire.Rejected, wire.Accepted, wire.Done, wire.Failed, wire.Superseded:
	default:
		return auditlog.Entry{}, fmt.Errorf("phase %q is none of an ack", wire.Echo(a.Phase))
	}
	return ofAck(device, &a)
}

// ofAck makes an entry of an ack.
func ofAck(device string, a *wire.Ack) (auditlog.Entry, error) {
	if y := a.Time.UTC().Year(); y < 0 || y > 9999 {
		return auditlog.Entry{}, errors.New("its time cannot be written")
	}
	e := auditlog.Entry{
		Kind: auditlog.Outcome, Via: "bus",
		Device: device, Op: cut(a.Op, maxWord), Channel: cut(a.Channel.String(), maxWord), Value: plain(a.Value),
		User: cut(a.User, wire.MaxUser), ID: cut(a.ID, wire.MaxID), Boot: cut(a.Boot, maxWord), Run: a.Run,
		Phase: a.Phase, Code: cut(string(a.Code), maxWord), Message: cut(a.Message, maxMessage),
		Dry: a.Code == wire.Dry, Said: a.Time.UTC(),
	}
	if a.Closest.Valid {
		e.Closest = &a.Closest.V
	}
	return e, nil
}

// plain is a value as acks have it: a number, a word, or nothing.
func plain(v any) any {
	switch v := v.(type) {
	case nil, float64, bool:
		return v
	case string:
		return cut(v, maxValue)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return cut(string(b), maxValue)
}

// cut shortens s to at most n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// keyOf is the same for what a broker sends twice, and for nothing else: no two
// acks of a boot have the same time.
func keyOf(e auditlog.Entry) string {
	return strings.Join([]string{e.Device, e.Boot, e.ID, e.Phase, e.Said.UTC().Format(time.RFC3339Nano)}, "\n")
}
