package auditlog

import (
	"context"
	"time"
)

// Report is what Verify found.
type Report struct {
	Entries     int64
	Segments    int
	First, Last time.Time
	Head        Head
	Problems    []Problem // the first ones, in the order of the files
}

// Problem is a place where the chain is broken.
type Problem struct {
	File string
	Line int
	Seq  int64
	What string
}

// Verify checks all of the log in dir.
func Verify(ctx context.Context, dir string, known ...Head) (Report, error) { return Report{}, nil }
