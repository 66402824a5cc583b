package main

import (
	"encoding/binary"
	"errors"

	"trackerdcs/pkg/spool"
)

// A message in the spool, little-endian:
//
//	 0  1  version, 1
//	 1  1  QoS in bits 0 and 1; bit 2: it was retained
//	 2  8  time of arrival, ns since 1970
//	10  4  length of the payload as it came
//	14  2  length of the topic
//	16     topic, payload
const (
	recordVersion = 1
	recordPrefix  = 16
	retainedFlag  = 1 << 2
)

var errRecord = errors.New("not a record of this version")

// appendRecord appends a message as the spool takes it.
func appendRecord(dst []byte, m *message) []byte {
	begin := len(dst)
	dst = spool.Begin(dst)
	flags := m.QoS & 3
	if m.Retained {
		flags |= retainedFlag
	}
	dst = append(dst, recordVersion, flags)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.arrived))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.length))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(m.Topic))) // MQTT has no longer ones
	dst = append(append(dst, m.Topic...), m.Payload...)
	spool.End(dst, begin)
	return dst
}

// names keeps one copy of each topic, so that reading a record costs no
// allocation.
type names map[string]string

func (n names) of(topic []byte) string {
	if s, ok := n[string(topic)]; ok { // does not allocate
		return s
	}
	if len(n) >= maxTargets {
		clear(n)
	}
	s := string(topic)
	n[s] = s
	return s
}

// readRecord takes a message from a record's body. The payload is part of it.
func readRecord(b []byte, topics names) (m message, err error) {
	if len(b) < recordPrefix || b[0] != recordVersion {
		return m, errRecord
	}
	topic := int(binary.LittleEndian.Uint16(b[14:]))
	if len(b) < recordPrefix+topic {
		return m, errRecord
	}
	m.QoS, m.Retained = b[1]&3, b[1]&retainedFlag != 0
	m.arrived = int64(binary.LittleEndian.Uint64(b[2:]))
	m.length = int(binary.LittleEndian.Uint32(b[10:]))
	m.Topic = topics.of(b[recordPrefix : recordPrefix+topic])
	m.Payload = b[recordPrefix+topic:]
	return m, nil
}
