package wire

import "time"

// KindLocks is the topic below a supply's name that says who has tagged out what.
const KindLocks = "locks"

// LockTag is who locked a channel out, why and when.
type LockTag struct {
	User   string    `json:"user"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

// Locks is the retained topic of a supply's locks: an object of LockTag by
// channel number, empty when nothing is locked.
func (r Root) Locks(dev string) string { return r.device(dev, KindLocks) }

// Topic is the topic of that kind below a device's name.
func (r Root) Topic(dev, kind string) string { return r.device(dev, kind) }
