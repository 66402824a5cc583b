package capsule

import (
	"strings"
	"unicode/utf8"

	"trackerdcs/pkg/wire"
)

// topicKind is what a topic carries.
type topicKind uint8

const (
	noTopic topicKind = iota // nothing for a capsule: run control's acks for instance
	statusTopic
	replayTopic
	ackTopic
	stateTopic
	metaTopic
	sensorTopic
)

// classify says what a topic carries, and of which device: foreign sensors are
// called sensor/<name>.
func classify(root wire.Root, topic string) (topicKind, string) {
	levels, _ := root.Cut(topic)
	switch {
	case len(levels) == 3 && levels[0] == "sensor":
		if name := levels[1]; name != "" && len(name) <= maxName && levels[2] != "" && len(levels[2]) <= maxKey &&
			utf8.ValidString(topic) {
			return sensorTopic, "sensor/" + name
		}
	case len(levels) == 2 && len(levels[0]) <= maxName && wire.CheckDevice(levels[0]) == nil:
		switch levels[1] {
		case wire.KindStatus:
			return statusTopic, levels[0]
		case wire.KindReplay:
			return replayTopic, levels[0]
		case wire.KindAck:
			return ackTopic, levels[0]
		case wire.KindState:
			return stateTopic, levels[0]
		case wire.KindMeta:
			return metaTopic, levels[0]
		}
	}
	return noTopic, ""
}

// measurement is the last level of a foreign sensor's topic.
func measurement(topic string) string { return topic[strings.LastIndexByte(topic, '/')+1:] }

// target is what classify said.
type target struct {
	kind topicKind
	name string
}
