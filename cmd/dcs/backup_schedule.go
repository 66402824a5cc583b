package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"trackerdcs/pkg/backup"
	"trackerdcs/pkg/health"
)

// schedule makes one backup after another until a signal ends it.
func (c *backupCmd) schedule(ctx context.Context, log *slog.Logger, source backup.Source, o backup.Options) error {
	o.Scheduled = true
	s := &backup.Schedule{
		Dir: c.Dir, Every: c.Every, Keep: c.Keep, Log: log, Health: new(health.Health), Metrics: new(health.Figures),
		Make: func(ctx context.Context) (string, *backup.Manifest, error) { return backup.Make(ctx, source, o) },
	}
	s.Metrics.AddProcess()
	log.Info("backups are made", "folder", c.Dir, "every", c.Every, "keep", c.Keep)
	g, ctx := errgroup.WithContext(ctx)
	if c.HTTP != "" {
		g.Go(func() error { return health.Serve(ctx, c.HTTP, s.Handler(), log) })
	}
	g.Go(func() error { return s.Run(ctx) })
	return g.Wait()
}

// health asks the one that runs how it is.
func (c *backupCmd) health(ctx context.Context, con console) error {
	if c.HTTP == "" {
		return errors.New("--healthcheck needs DCS_HTTP, the address where the other serves health")
	}
	said, err := health.Check(ctx, c.HTTP)
	if err != nil {
		return err
	}
	fmt.Fprintln(con.out, said)
	return nil
}
