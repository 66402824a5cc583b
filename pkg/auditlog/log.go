package auditlog

import (
	"context"
	"log/slog"
)

// Options of a log.
type Options struct {
	SegmentBytes int64 // a segment that is this long is closed; default 16 MiB
	Log          *slog.Logger
}

// Log is an open log.
type Log struct{}

// Open opens the log in dir.
func Open(dir string, o Options) (*Log, error) { return &Log{}, nil }

// Append adds entries.
func (l *Log) Append(ctx context.Context, entries ...Entry) error { return nil }

// List gives entries.
func (l *Log) List(ctx context.Context, f Filter) (entries []Entry, next int64, err error) {
	return nil, 0, nil
}

// Head is the last entry.
func (l *Log) Head() Head { return Head{} }

// Close ends the log.
func (l *Log) Close() error { return nil }
