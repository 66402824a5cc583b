package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Sizes of the format, in bytes.
const (
	segmentHeader = 32
	// RecordHeader is what a record has before its body.
	RecordHeader = 16

	// MaxRecord is the largest body of a record. A length above it is damage.
	MaxRecord = 16 << 20
)

var (
	segmentMagic = [8]byte{'D', 'C', 'S', 'S', 'P', 'O', 'O', 'L'}
	recordMagic  = [4]byte{0xd5, 'r', 'e', 'c'}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

const version = 1

// Begin starts a record at the end of b: append the body, then call End.
func Begin(b []byte) []byte { return append(b, make([]byte, RecordHeader)...) }

// End ends the record that Begin started when b had begin bytes. The body may be
// empty, and have MaxRecord bytes at most.
func End(b []byte, begin int) {
	h, body := b[begin:begin+RecordHeader], b[begin+RecordHeader:]
	copy(h, recordMagic[:])
	binary.LittleEndian.PutUint32(h[4:], uint32(len(body)))
	binary.LittleEndian.PutUint32(h[8:], crc32.Checksum(body, castagnoli))
}

// headerSum is the checksum of the header of a record that stands at a place in
// its segment.
func headerSum(h []byte, at int64) uint32 { return crc32.Update(uint32(at), castagnoli, h[:12]) }

// seal completes the headers of records that will stand at a place.
func seal(records []byte, at int64) error {
	for b := records; len(b) > 0; {
		n := RecordHeader
		if len(b) >= n {
			n += int(binary.LittleEndian.Uint32(b[4:]))
		}
		if len(b) < n || n > RecordHeader+MaxRecord {
			return errors.New("bytes that Begin and End did not make")
		}
		binary.LittleEndian.PutUint32(b[12:], headerSum(b, at))
		b, at = b[n:], at+int64(n)
	}
	return nil
}

// verdict is what stands at the beginning of some bytes.
type verdict int

const (
	whole   verdict = iota // a record
	more                   // the beginning of a record: more bytes are needed
	damaged                // a record whose body is not what was written
	noise                  // no record
)

// examine looks at the beginning of b, which stands at a place in its segment.
// n is the record's length with its header, and for more how many bytes are
// needed to say.
func examine(b []byte, at int64) (v verdict, n int) {
	if len(b) < RecordHeader {
		return more, RecordHeader
	}
	if [4]byte(b) != recordMagic || binary.LittleEndian.Uint32(b[12:]) != headerSum(b, at) {
		return noise, 0
	}
	length := binary.LittleEndian.Uint32(b[4:])
	if length > MaxRecord {
		return noise, 0
	}
	n = RecordHeader + int(length)
	if len(b) < n {
		return more, n
	}
	if binary.LittleEndian.Uint32(b[8:]) != crc32.Checksum(b[RecordHeader:n], castagnoli) {
		return damaged, n
	}
	return whole, n
}

func makeHeader(base Pos) []byte {
	h := make([]byte, segmentHeader)
	copy(h, segmentMagic[:])
	binary.LittleEndian.PutUint32(h[8:], version)
	binary.LittleEndian.PutUint64(h[16:], uint64(base))
	binary.LittleEndian.PutUint32(h[24:], crc32.Checksum(h[:24], castagnoli))
	return h
}

// readHeader gives the version in a segment's header; ok is false when the
// header is damaged or of another segment.
func readHeader(h []byte, base Pos) (v uint32, ok bool) {
	if len(h) < segmentHeader || [8]byte(h) != segmentMagic ||
		binary.LittleEndian.Uint32(h[24:]) != crc32.Checksum(h[:24], castagnoli) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(h[8:]), Pos(binary.LittleEndian.Uint64(h[16:])) == base
}

// Prefix says how many bytes, and how many records, of the records that Begin
// and End have made fit into n bytes. The first one always does.
func Prefix(records []byte, n int) (bytes, count int) {
	for bytes < len(records) {
		size := RecordHeader + int(binary.LittleEndian.Uint32(records[bytes+4:]))
		if count > 0 && bytes+size > n {
			return bytes, count
		}
		bytes += size
		count++
	}
	return bytes, count
}
