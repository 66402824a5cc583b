package capsule

import (
	"encoding/binary"
	"errors"

	"trackerdcs/pkg/spool"
)

const (
	recordVersion = 1
	recordPrefix  = 12
	retainedFlag  = 1
)

var errRecord = errors.New("not a record of this version")

// message is what came, and when.
type message struct {
	topic    string
	payload  []byte
	arrival  int64 // ns since 1970
	retained bool  // it had been left at the broker before
}

// append appends the message as the journal takes it; see the package comment.
func (m *message) append(dst []byte) []byte {
	begin := len(dst)
	dst = spool.Begin(dst)
	flags := byte(0)
	if m.retained {
		flags = retainedFlag
	}
	dst = append(dst, recordVersion, flags)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.arrival))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(m.topic))) // MQTT has no longer ones
	dst = append(append(dst, m.topic...), m.payload...)
	spool.End(dst, begin)
	return dst
}

// names keeps one copy of each topic.
type names map[string]string

const maxTopics = 8192

func (n names) of(b []byte) string {
	if s, ok := n[string(b)]; ok { // does not allocate
		return s
	}
	if len(n) >= maxTopics {
		clear(n)
	}
	s := string(b)
	n[s] = s
	return s
}

// readRecord takes a message from the body of a record. The payload is part of
// it.
func readRecord(b []byte, topics names) (m message, err error) {
	if len(b) < recordPrefix || b[0] != recordVersion {
		return m, errRecord
	}
	n := recordPrefix + int(binary.LittleEndian.Uint16(b[10:]))
	if len(b) < n {
		return m, errRecord
	}
	m.retained = b[1]&retainedFlag != 0
	m.arrival = int64(binary.LittleEndian.Uint64(b[2:]))
	m.topic, m.payload = topics.of(b[recordPrefix:n]), b[n:]
	return m, nil
}
