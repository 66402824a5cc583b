package main

import (
	"context"
	"fmt"
	"net"

	"trackerdcs/pkg/service"
)

// instrument is what the folders below offer.
type instrument interface {
	Serve(ctx context.Context, l net.Listener) error
}

// run is an instrument until the context ends. An instrument is not on the bus.
func run(ctx context.Context, env *service.Env, cfg *config) error {
	plan, err := cfg.plan()
	if err != nil {
		return fmt.Errorf("settings changed since they were checked: %w", err)
	}
	ready := func(address string) {
		env.Log.Info("serving", "model", cfg.Model, "address", address)
		env.Health.SetReady(true, "")
	}
	env.Health.SetReady(false, "starting")
	defer env.Health.SetReady(false, "ending")
	in := models[cfg.Model](plan)
	if plan.pty != "" {
		ready(cfg.Address)
		return in.(terminal).ServePTY(ctx, plan.pty)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", plan.listen)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("DCS_ADDRESS: %w: choose another port or end what holds it", err)
	}
	ready("tcp://" + l.Addr().String())
	return in.Serve(ctx, l)
}

// terminal is an instrument that can be on a pseudo-terminal.
type terminal interface {
	ServePTY(ctx context.Context, path string) error
}
