package auditlog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Head is the last entry of a log at some time. Written down elsewhere, in a
// logbook for instance, it proves later that nothing before it was changed,
// and that the log was not cut off before it.
type Head struct {
	Seq  int64     `json:"seq"` // 0 of a log without entries
	Hash string    `json:"hash"`
	Time time.Time `json:"time"` // of the entry
}

// String writes the head as it is written down: SEQ:HASH.
func (h Head) String() string { return strconv.FormatInt(h.Seq, 10) + ":" + h.Hash }

// ParseHead reads what String writes.
func ParseHead(s string) (Head, error) {
	number, hash, _ := strings.Cut(strings.TrimSpace(s), ":")
	seq, err := strconv.ParseInt(number, 10, 64)
	if err != nil || seq < 1 || !isHash(hash) {
		return Head{}, fmt.Errorf("head %q: want the number of an entry, a colon and its hash of %d hexadecimal digits, as dcs audit-log head prints it", s, hashLen)
	}
	return Head{Seq: seq, Hash: hash}, nil
}

// hashLen is how many digits a hash has.
const hashLen = 64

// isHash reports whether s is a SHA-256 in lower-case hexadecimal.
func isHash(s string) bool {
	return len(s) == hashLen && strings.Trim(s, "0123456789abcdef") == ""
}
