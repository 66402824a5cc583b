// Package brokerauth says who may do what on the broker: the roles of the
// programs and of people, the access list that Mosquitto reads, and its
// password file.
package brokerauth

import (
	"fmt"
	"slices"
)

// Role is what an account is for. It decides what the account may read and
// write.
type Role string

// The roles.
const (
	Driver     Role = "driver"     // a driver of ours, with its device's name
	Loader     Role = "loader"     // archives what is said
	Sink       Role = "sink"       // stores runs and their results
	RunControl Role = "runcontrol" // numbers runs and commands what they need
	Gateway    Role = "gateway"    // the door for people
	NodeRED    Role = "nodered"    // flows
	Outside    Role = "outside"    // a device that is not ours
	Operator   Role = "operator"   // a person who commands
	Viewer     Role = "viewer"     // a person who looks
	Health     Role = "health"     // the broker's own health check
)

// access is what Mosquitto writes before a topic.
type access string

const (
	read      access = "read"
	write     access = "write"
	readWrite access = "readwrite"
)

// name stands in a grant for the account's name. No topic of ours has it.
const name = "<name>"

// grant lets an account read or write what a filter matches. A filter that
// begins with a slash gets DCS_TOPIC_ROOT before it.
type grant struct {
	access access
	filter string
}

// role is what there is to know of a Role.
type role struct {
	role   Role
	who    string
	grants []grant
	topics bool // may be given more in Account.Topics
}

// everything is what those read who show or archive whatever is on the bus,
// foreign topics and the broker's own figures included.
func everything(more ...grant) []grant {
	return append([]grant{{read, "#"}, {read, "$SYS/broker/#"}}, more...)
}

// roles are all roles with what each needs and nothing else, as the programs
// subscribe and publish. A program that needs another topic gets it here.
func roles() []role {
	return []role{
		{Driver, "a driver; its commands are below its name, so that it can clear one that was left there", []grant{
			{readWrite, "/<name>/#"},
			{read, "/service/+/state"}, // of a loader: replay; of the sink: send results
			{read, "/service/+/results/<name>"},
		}, true},
		{Loader, "the loader. Rules for foreign topics can name any, so it reads all", everything(
			grant{write, "/service/<name>/#"},
		), false},
		{Sink, "the sink, `calibration`", []grant{
			{read, "/run/record"},
			{read, "/+/status"}, {read, "/+/replay"}, {read, "/+/ack"}, {read, "/+/state"}, {read, "/+/meta"}, {read, "/sensor/+/+"},
			{read, "/+/results/#"},
			{readWrite, "/service/<name>/#"},
		}, false},
		{RunControl, "run control", []grant{
			{read, "/+/status"}, {read, "/+/ack"}, {read, "/+/state"}, {read, "/+/meta"}, {read, "/+/run"},
			{read, "/service/+/state"}, {read, "/service/+/runs"}, {read, "/service/+/record"},
			{readWrite, "/run/#"},
			{write, "/+/cmd/#"},
			{readWrite, "/service/<name>/#"},
		}, false},
		{Gateway, "the gateway; `/sensor/…` for values that come through its API", everything(
			grant{write, "/+/cmd/#"},
			grant{write, "/sensor/#"},
			grant{write, "/service/<name>/#"},
		), false},
		{NodeRED, "Node-RED: its page and your flows", everything(
			grant{write, "/+/cmd/#"},
			grant{write, "/sensor/<name>/#"},
			grant{write, "/service/<name>/#"},
		), true},
		{Outside, "a device that is not ours", []grant{
			{write, "/sensor/<name>/#"},
		}, true},
		{Operator, "a person who commands, with `dcs` or any MQTT program", everything(
			grant{write, "/+/cmd/#"},
		), false},
		{Viewer, "a person who looks", everything(), false},
		{Health, "the broker's health check", []grant{{read, "$SYS/broker/#"}}, false},
	}
}

// find returns what there is to know of r.
func find(r Role) (role, error) {
	all := roles()
	i := slices.IndexFunc(all, func(x role) bool { return x.role == r })
	if i < 0 {
		return role{}, fmt.Errorf("role %q: choose one of %v", r, Roles())
	}
	return all[i], nil
}

// Roles are all roles.
func Roles() []Role {
	var names []Role
	for _, r := range roles() {
		names = append(names, r.role)
	}
	return names
}
