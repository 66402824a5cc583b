package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/live"
)

// maxValue is how long a command's value may be, in bytes, when it is a text.
const maxValue = 64

// parseCommand reads the body of a command. It refuses what cannot be made into
// one; whether the device has the op, the channel and the value is the driver's
// to say.
func parseCommand(body []byte) (wire.Command, error) {
	var c wire.Command
	var value, reason json.RawMessage
	var channel bool
	err := object(body, keys{
		"op": func(raw json.RawMessage) error {
			if err := text(&c.Op, 1, 32)(raw); err != nil {
				return err
			}
			if strings.Trim(c.Op, "abcdefghijklmnopqrstuvwxyz") != "" {
				return errors.New("is not a word of small letters")
			}
			return nil
		},
		"channel": func(raw json.RawMessage) error {
			channel = true
			return setChannel(&c.Channel, raw)
		},
		"value":  func(raw json.RawMessage) error { value = raw; return nil },
		"reason": func(raw json.RawMessage) error { reason = raw; return text(&c.Reason, 1, wire.MaxReason)(raw) },
		"dry":    yes(&c.Dry),
	})
	switch {
	case err != nil:
		return c, err
	case c.Op == "":
		return c, errors.New(`"op" is missing: setv, seti, switch, ramp, clear, lock or unlock`)
	case !channel && ofSupplies(c.Op):
		return c, errors.New(`"channel" is missing: a number, or "all"`)
	case reason != nil && c.Op != wire.Lock:
		return c, fmt.Errorf(`%s takes no "reason"`, c.Op)
	case reason == nil && c.Op == wire.Lock:
		return c, errors.New(`a lock needs its "reason"`)
	}
	return c, setValue(&c, value)
}

// ofSupplies reports whether op is one of a power supply.
func ofSupplies(op string) bool {
	switch op {
	case wire.SetV, wire.SetI, wire.Switch, wire.Ramp, wire.Clear, wire.Lock, wire.Unlock:
		return true
	}
	return false
}

func setChannel(into *wire.ChannelID, raw json.RawMessage) error {
	if string(raw) == `"all"` {
		*into = wire.All()
		return nil
	}
	*into = wire.ParseChannel(string(raw))
	if into.Kind != wire.OneChannel {
		return errors.New(`is neither a channel's number, 0 to 65535, nor "all"`)
	}
	return nil
}

// setValue puts the value where the op has it. Of an op that nobody knows here
// it goes to the driver as a text.
func setValue(c *wire.Command, raw json.RawMessage) (err error) {
	switch c.Op {
	case wire.SetV, wire.SetI, wire.Ramp:
		if raw == nil {
			return fmt.Errorf(`%s needs a "value"`, c.Op)
		}
		if c.Number, err = number(raw); err != nil {
			return fmt.Errorf(`"value" of %s %w`, c.Op, err)
		}
	case wire.Switch:
		if raw == nil {
			return errors.New(`switch needs a "value", "on" or "off"`)
		}
		if json.Unmarshal(raw, &c.Word) != nil || c.Word != wire.On && c.Word != wire.Off {
			return errors.New(`"value" of switch is neither "on" nor "off"`)
		}
	case wire.Clear, wire.Lock, wire.Unlock:
		if raw != nil {
			return fmt.Errorf(`%s takes no "value"`, c.Op)
		}
	default:
		if raw == nil {
			return nil
		}
		if _, err := number(raw); err == nil {
			c.Echo = wire.Echo(string(raw))
			return nil
		}
		if err := text(&c.Echo, 1, maxValue)(raw); err != nil {
			return fmt.Errorf(`"value" %w, and not a number either`, err)
		}
	}
	return nil
}

// leastFor is who may send a command: a current limit protects the detector,
// and a lock of somebody else protects somebody.
func leastFor(c wire.Command, d live.Device, user string) (least accounts.Role, what string) {
	switch c.Op {
	case wire.SetV, wire.Switch, wire.Ramp, wire.Clear, wire.Lock:
		return accounts.Operator, c.Op
	case wire.Unlock:
		if owner := lockedByOther(c.Channel, d, user); owner != "" {
			return accounts.Expert, "Unlocking what " + owner
		}
		return accounts.Operator, c.Op
	}
	return accounts.Expert, c.Op
}

// lockedByOther says whose lock an unlock of the channel would lift, or may
// lift; nothing when that is certain to be one of the user's own, or none.
func lockedByOther(channel wire.ChannelID, d live.Device, user string) string {
	all := channel.Kind == wire.AllChannels
	for number, tag := range d.Locks {
		switch {
		case !all && number != channel.String() || tag.User == user:
		case tag.User == "":
			return "somebody without a name has locked"
		default:
			return tag.User + " has locked"
		}
	}
	if _, own := d.Locks[channel.String()]; own {
		return ""
	}
	const unknown = "may be somebody else's lock, since " // the device has not said that it is not
	var channels []wire.Channel
	if status(d) == nil || json.Unmarshal(d.Status, &channels) != nil {
		return unknown + "the device has not said what is locked,"
	}
	found := all
	for _, ch := range channels {
		number := wire.One(ch.Number).String()
		if !all && number != channel.String() {
			continue
		}
		found = true
		if _, own := d.Locks[number]; own {
			continue
		}
		switch ch.Locked {
		case wire.Yes: // the device says that it is locked, and not by whom
			return "somebody else has locked"
		case wire.Unknown:
			return unknown + "the device has not said whether channel " + number + " is locked,"
		}
	}
	if !found {
		return unknown + "the device says nothing of channel " + channel.String() + ","
	}
	return ""
}

// isOff reports whether a command switches off: that is sent whatever is known.
func isOff(c wire.Command) bool { return c.Op == wire.Switch && c.Word == wire.Off && !c.Dry }

func (s *server) command(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, maxCommand, true)
	if err != nil {
		return err
	}
	c, err := parseCommand(body)
	if err != nil {
		return bad("The command cannot be read: %v.", err)
	}
	name := r.PathValue("device")
	d, err := s.known(name)
	if err != nil {
		if !isOff(c) || checkTarget(name) != nil {
			return err
		}
		d = live.Device{Name: name} // it may be there all the same
	}
	c.User = who.Signed()
	if least, what := leastFor(c, d, c.User); !who.Role.May(least) {
		return s.deny(r, who, commandEntry(who, name, c, auditlog.Denied), least, what)
	}
	out, err := s.send(r.Context(), who, name, c)
	if err != nil {
		return err
	}
	return answerOutcome(w, out, targetOf(d), c.Op)
}

func (s *server) outcome(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	out, ok := s.cfg.Live.Outcome(id)
	if !ok {
		return refuse(http.StatusNotFound, "no-such-command", "No command %q is remembered: it went another way than through this gateway, or long ago. The audit log and the archive have acks too.", wire.Echo(id))
	}
	return writeJSON(w, http.StatusOK, out)
}
