package auditlog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
)

// Kinds are all kinds of entry.
var Kinds = [...]string{Login, Denied, Logout, Account, Command, Outcome, Silence, Ingest, Download, Proxy, Gap, Start}

// Filter says which entries. What is empty does not matter.
type Filter struct {
	Before int64 // entries with smaller numbers alone; 0: from the newest on
	Limit  int   // how many at most; default 100
	Device string
	User   string
	Kind   string   // this kind alone
	Kinds  []string // and only these: what somebody may see
}

// Bounds of one List.
const (
	defaultLimit = 100
	maxScan      = 20_000 // lines that are looked at
)

func (f *Filter) takes(e *Entry) bool {
	return (f.Device == "" || f.Device == e.Device) &&
		(f.User == "" || f.User == e.User) &&
		(f.Kind == "" || f.Kind == e.Kind) &&
		(len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind))
}

// errEnough ends reading.
var errEnough = errors.New("enough")

// List reads entries of the log in dir, the newest first. One call looks at
// 20 000 entries at most, so that there can be fewer than asked for, or none,
// though there are more: next is the Before that goes on, and 0 at the beginning
// of the log. Lines that are no entries are passed over: Verify reports them.
func List(ctx context.Context, dir string, f Filter) (entries []Entry, next int64, err error) {
	if f.Limit <= 0 {
		f.Limit = defaultLimit
	}
	if f.Before <= 0 {
		f.Before = math.MaxInt64
	}
	all, err := segments(dir)
	if err != nil {
		return nil, 0, err
	}
	before, scanned := f.Before, 0
	look := func(line []byte) error {
		if scanned++; scanned%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		e, err := readLine(line)
		if (err == nil || errors.Is(err, errChanged)) && e.Seq < before {
			before = e.Seq
			if f.takes(&e) {
				entries = append(entries, e)
			}
		}
		if len(entries) == f.Limit || scanned >= maxScan && before < f.Before {
			return errEnough
		}
		return nil
	}
	for _, s := range slices.Backward(all) {
		err := readBackwards(s, before, look)
		switch {
		case errors.Is(err, errEnough) && before > 1:
			return entries, before, nil
		case errors.Is(err, errEnough):
			return entries, 0, nil
		case errors.Is(err, os.ErrNotExist): // taken away just now
		case err != nil:
			return nil, 0, fmt.Errorf("reading the audit log: %w", err)
		}
	}
	return entries, 0, nil
}
