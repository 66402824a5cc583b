package live

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"trackerdcs/pkg/wire"
)

// kind is what a message is about.
type kind string

// The kinds of message that are followed.
const (
	aStatus  kind = "status"
	aState   kind = "state"
	aMeta    kind = "meta"
	anAck    kind = "ack"
	aLocks   kind = "locks"
	aReport  kind = "report"
	aLog     kind = "log"
	aSensor  kind = "sensor"
	aService kind = "service"
	aRunAck  kind = "run_ack"
	aRun     kind = "run"
	aBeat    kind = "beat"
)

// runControl is whose acks those of run control are.
const runControl = "run"

// beatLevel is below a service's name.
const beatLevel = "beat"

// maxName is how long a name may be, bytes.
const maxName = 128

// address is where a message was.
type address struct {
	kind kind
	name string // of the device, the service or the sensor
	of   string // a sensor's measurement
}

// latest reports whether only the last message at an address counts.
func (a address) latest() bool { return a.kind != anAck && a.kind != aRunAck && a.kind != aLog }

// isRetained reports whether the broker keeps what is said there, so that what was
// missed can be had again.
func (a address) isRetained() bool {
	switch a.kind {
	case aState, aMeta, aLocks, aReport, aService, aRun:
		return true
	}
	return false
}

// deviceKinds are the kinds below a device's name.
var deviceKinds = map[string]kind{
	wire.KindStatus: aStatus, wire.KindState: aState, wire.KindMeta: aMeta, wire.KindAck: anAck,
	wire.KindLocks: aLocks, wire.KindRun: aReport, wire.KindLog: aLog,
}

// route reads a topic. It reports false for what is not followed.
func route(root wire.Root, topic string) (address, bool) {
	l, ok := root.Cut(topic)
	if !ok {
		return address{}, false
	}
	switch {
	case len(l) == 2 && l[0] == runControl:
		switch l[1] {
		case wire.KindAck:
			return address{kind: aRunAck, name: runControl}, true
		case wire.KindState:
			return address{kind: aRun, name: runControl}, true
		}
	case len(l) == 2:
		k, known := deviceKinds[l[1]]
		return address{kind: k, name: l[0]}, known && len(l[0]) <= maxName && wire.CheckDevice(l[0]) == nil
	case len(l) == 3 && l[0] == "sensor":
		return address{kind: aSensor, name: l[1], of: l[2]}, isText(l[1]) && isText(l[2])
	case len(l) == 3 && l[0] == "service" && len(l[1]) <= maxName && wire.CheckName(l[1]) == nil:
		switch l[2] {
		case wire.KindState:
			return address{kind: aService, name: l[1]}, true
		case beatLevel:
			return address{kind: aBeat, name: l[1]}, true
		}
	}
	return address{}, false
}

// isText reports whether a sensor may be called so: outside devices do not know
// our rules.
func isText(s string) bool {
	return s != "" && len(s) <= maxName && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// The filters that are subscribed to. Those of run control are among those of
// devices: overlapping ones would bring a message twice. What only its newest
// counts of comes with QoS 0, which costs a broker less.
func newest(root wire.Root, name string) []string {
	return []string{root.Status("+"), root.Sensor("+", "+"), root.Log("+"), beatTopic(root, name)}
}

func confirmed(root wire.Root) []string {
	return []string{root.State("+"), root.Meta("+"), root.Ack("+"), root.Locks("+"), root.Report("+"), root.ServiceState("+")}
}

func beatTopic(root wire.Root, name string) string {
	return string(root) + "/service/" + name + "/" + beatLevel
}
