package main

import "context"

type backupCmd struct {
	Dir string `arg:"" optional:""`
}

// Run makes a backup.
func (*backupCmd) Run(ctx context.Context) error { return ctx.Err() }
