package wire

import (
	"fmt"
	"regexp"
	"strings"
)

// Kinds of topic below a device's name.
const (
	KindStatus = "status"
	KindReplay = "replay"
	KindAck    = "ack"
	KindState  = "state"
	KindMeta   = "meta"
	KindCmd    = "cmd"
)

var nameRE = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// reserved names cannot be devices: a topic of theirs means something else.
var reserved = map[string]bool{
	"alarm": true, "run": true, "service": true, "sensor": true, "ack": true, "state": true,
}

// CheckName reports why name cannot be a device's or a service's name.
func CheckName(name string) error {
	if !nameRE.MatchString(name) {
		return fmt.Errorf("name %q: use letters, digits, _ and - only", name)
	}
	return nil
}

// CheckDevice reports why name cannot be a device's name: on top of CheckName
// some names are reserved by the contract.
func CheckDevice(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if reserved[name] {
		return fmt.Errorf("name %q is reserved: choose another", name)
	}
	return nil
}

// Root is what goes before every topic (DCS_TOPIC_ROOT), empty by default.
type Root string

// CheckRoot reports why r cannot stand before topics.
func CheckRoot(r Root) error {
	if strings.ContainsAny(string(r), "+#\x00") || strings.HasSuffix(string(r), "/") || strings.HasPrefix(string(r), "$") {
		return fmt.Errorf("topic root %q: no wildcards, no $ in front and no slash at the end", string(r))
	}
	return nil
}

// Status is the topic of a device's live measurements.
func (r Root) Status(dev string) string { return r.device(dev, KindStatus) }

// Replay is the topic of statuses that are sent once more after a break.
func (r Root) Replay(dev string) string { return r.device(dev, KindReplay) }

// Ack is the topic on which a device says what became of a command.
func (r Root) Ack(dev string) string { return r.device(dev, KindAck) }

// State is the retained topic of a device's state, and of its last will.
func (r Root) State(dev string) string { return r.device(dev, KindState) }

// Meta is the retained topic of a device's description of itself.
func (r Root) Meta(dev string) string { return r.device(dev, KindMeta) }

// Commands is the filter of all commands to a device, malformed ones included.
func (r Root) Commands(dev string) string { return r.device(dev, KindCmd) + "/#" }

// Command is the topic of one command; channel is a number or "all".
func (r Root) Command(dev, op, channel string) string {
	return r.device(dev, KindCmd) + "/" + op + "/" + channel
}

// ServiceState is the retained topic of a service's state.
func (r Root) ServiceState(name string) string { return string(r) + "/service/" + name + "/state" }

// ServiceLedger is the topic of a loader's account of one device.
func (r Root) ServiceLedger(name, dev string) string {
	return string(r) + "/service/" + name + "/ledger/" + dev
}

// Sensor is the topic on which outside devices report one measurement.
func (r Root) Sensor(name, measurement string) string {
	return string(r) + "/sensor/" + name + "/" + measurement
}

func (r Root) device(dev, kind string) string { return string(r) + "/" + dev + "/" + kind }

// Cut takes the root off a topic and returns its levels:
// "lab1/hv/status" gives ["hv", "status"] under the root "lab1".
// It reports false for a topic that is not under the root.
func (r Root) Cut(topic string) ([]string, bool) {
	rest, ok := strings.CutPrefix(topic, string(r)+"/")
	if !ok {
		return nil, false
	}
	return strings.Split(rest, "/"), true
}

// CutCommand splits the topic of a command to dev into its op and channel.
// Levels that are missing are empty; what follows a channel stays in it, so
// that a malformed topic can be refused with what it said.
func (r Root) CutCommand(dev, topic string) (op, channel string, ok bool) {
	prefix := r.device(dev, KindCmd)
	if topic == prefix {
		return "", "", true
	}
	rest, ok := strings.CutPrefix(topic, prefix+"/")
	if !ok {
		return "", "", false
	}
	op, channel, _ = strings.Cut(rest, "/")
	return op, channel, true
}
