package main

import "context"

type restoreCmd struct {
	Backup string `arg:""`
}

// Run restores a backup.
func (*restoreCmd) Run(ctx context.Context) error { return ctx.Err() }
