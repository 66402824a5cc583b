package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
	"trackerdcs/pkg/history"
	"trackerdcs/pkg/runs"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
	"trackerdcs/services/gateway/api"
	"trackerdcs/services/gateway/cert"
	"trackerdcs/services/gateway/door"
	"trackerdcs/services/gateway/live"
	"trackerdcs/services/gateway/proxy"
	"trackerdcs/services/gateway/record"
)

// answerTime is how long somebody who commands waits for the driver's word.
const answerTime = 2 * time.Second

// databaseTime is how long the databases may be silent: somebody is looking at
// an empty page meanwhile.
const databaseTime = 10 * time.Second

// run keeps the door open until ctx ends. Nothing that it does or fails to do
// touches a driver.
func run(ctx context.Context, env *service.Env, cfg *config) error {
	release, err := service.HoldDir(ctx, env.DataDir, env.Log)
	if err != nil || ctx.Err() != nil {
		return err
	}
	defer release()
	g, err := open(env, cfg)
	if err != nil {
		return err
	}
	defer g.close(env)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("DCS_LISTEN: %w", err)
	}
	server, err := g.server(env, cfg)
	if err != nil {
		_ = listener.Close()
		return err
	}
	env.Log.Info("the door is open", "address", listener.Addr().String(), "console", consoleText(), "ca", g.cert.CAFile(), "users", len(g.accounts.Users()))

	return g.member.Run(ctx, func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return g.live.Run(ctx) })
		group.Go(func() error { return g.record.Run(ctx) })
		group.Go(func() error { return g.door.Run(ctx) })
		group.Go(func() error { return g.cert.Run(ctx) })
		group.Go(func() error { return serve(ctx, server, listener) })
		g.member.Set(wire.Ready, "")
		_ = g.record.Append(ctx, auditlog.Entry{Kind: auditlog.Start, Message: "gateway " + service.Version(), Boot: env.Boot}) // a full disk keeps nobody out
		return group.Wait()
	})
}

// gateway is its parts.
type gateway struct {
	member   *service.Member
	accounts *accounts.Store
	door     *door.Door
	api      *api.API
	live     *live.Live
	record   *record.Recorder
	behind   *proxy.Proxy
	cert     *cert.Source
	history  *history.Client
	runs     *runs.Client
}

// open makes the parts; nothing runs yet.
func open(env *service.Env, cfg *config) (g *gateway, err error) {
	g = &gateway{}
	defer func() {
		if err != nil {
			g.close(env)
		}
	}()
	if g.cert, err = cert.Open(cert.Config{
		CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, Dir: filepath.Join(env.DataDir, "tls"), Hosts: cfg.Hosts, Log: env.Log, Metrics: env.Metrics,
	}); err != nil {
		return g, err
	}
	recordOptions := cfg.Options("dcs-" + env.Name + "-audit")
	if g.record, err = record.New(record.Config{
		Dir: filepath.Join(env.DataDir, "audit"), Root: cfg.Root, Name: env.Name, Boot: env.Boot, Options: recordOptions, Log: env.Log, Metrics: env.Metrics,
	}); err != nil {
		return g, err
	}
	if err = firstUsers(cfg.usersFile(), cfg.FirstUsers, env.Log); err != nil {
		return g, err
	}
	if g.accounts, err = accounts.Open(cfg.usersFile()); err != nil {
		return g, err
	}
	if g.door, err = door.New(door.Config{
		Accounts: g.accounts, Dir: env.DataDir, Idle: cfg.SessionIdle, Absolute: cfg.SessionMax, Log: env.Log, Metrics: env.Metrics, Links: links(cfg),
		Audit: func(ctx context.Context, e auditlog.Entry) error { return g.record.Append(ctx, e) },
	}); err != nil {
		return g, err
	}
	if g.history, err = history.New(history.Config{
		URL: cfg.InfluxURL, Org: cfg.InfluxOrg, Bucket: cfg.InfluxBucket, TokenFile: cfg.InfluxTokenFile, Timeout: databaseTime,
	}); err != nil {
		return g, err
	}
	if g.runs, err = runs.New(runs.Config{URI: cfg.MongoURI, URIFile: cfg.MongoURIFile, Database: cfg.MongoDatabase, Timeout: databaseTime}); err != nil {
		return g, err
	}
	if g.member, err = env.Join(cfg.Options("dcs-"+env.Name), cfg.Root.ServiceState(env.Name)); err != nil {
		return g, err
	}
	g.live = live.New(live.Config{
		Root: cfg.Root, Name: env.Name, Boot: env.Boot, Log: env.Log, Metrics: env.Metrics, Wait: answerTime,
		Ended: func(device string, o live.Outcome) { g.record.Silence(device, *o.Ack, o.Message) },
	})
	g.live.Attach(g.member)
	return g, nil
}

// close closes what has been opened.
func (g *gateway) close(env *service.Env) {
	var errs []error
	if g.runs != nil {
		ctx, cancel := context.WithTimeout(context.Background(), databaseTime)
		defer cancel()
		_ = g.runs.Close(ctx) // nothing is written over it
	}
	if g.history != nil {
		g.history.Close()
	}
	if g.api != nil {
		g.api.Close() // what it has not said yet goes into the audit log
	}
	if g.door != nil {
		errs = append(errs, g.door.Close())
	}
	if g.behind != nil {
		g.behind.Close() // it has entries for the record
	}
	if g.record != nil {
		errs = append(errs, g.record.Close())
	}
	if err := errors.Join(errs...); err != nil {
		env.Log.Error("closing", "error", err)
	}
}
