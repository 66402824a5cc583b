package main

import (
	"context"
	"fmt"
	"net"

	"trackerdcs/pkg/service"
	"trackerdcs/services/broker/mqttd"
)

// run serves until the context ends. The broker is not on the bus itself, so
// that it has no state there: whoever is connected knows that it runs.
func run(ctx context.Context, env *service.Env, cfg *config) error {
	opts, err := cfg.options()
	if err != nil {
		return fmt.Errorf("settings changed since they were checked: %w", err)
	}
	opts.DataDir, opts.Log = env.DataDir, env.Log

	env.Health.SetReady(false, "starting")
	s, err := mqttd.Start(ctx, opts)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer s.Stop()
	env.Log.Info("serving MQTT", "url", s.URL(), "data", opts.DataDir)
	if opts.User == "" && !loopback(opts.Host) {
		env.Log.Warn("anyone on the network can command the hardware: set DCS_BROKER_USER and DCS_BROKER_PASSWORD_FILE")
	}
	env.Health.SetReady(true, "")
	<-ctx.Done()
	env.Health.SetReady(false, "ending")
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
