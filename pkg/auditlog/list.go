package auditlog

import "context"

// Filter says which entries. What is empty does not matter.
type Filter struct {
	Before int64 // entries with smaller numbers alone; 0 for the newest
	Limit  int   // how many at most; 100 when it is 0
	Device string
	User   string
	Kind   string   // one kind
	Kinds  []string // and one of these
}

// List reads entries of the log in dir, the newest first.
func List(ctx context.Context, dir string, f Filter) (entries []Entry, next int64, err error) {
	return nil, 0, nil
}
