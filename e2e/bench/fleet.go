package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"trackerdcs/pkg/device"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
)

// fleet is all devices as drivers put them on the bus, each on a connection of
// its own: they keep what the broker has not confirmed and replay it.
type fleet struct {
	begin chan struct{}  // closed when the load begins
	rate  float64        // of each device, in messages a second
	each  int            // how many messages a device makes
	run   sync.WaitGroup // the devices are on the bus
	made  sync.WaitGroup // the devices have made all their statuses
	leave context.CancelFunc
}

// connectFleet returns when all devices are connected.
func connectFleet(ctx context.Context, broker, dir string) (*fleet, error) {
	f := &fleet{begin: make(chan struct{})}
	ctx, f.leave = context.WithCancel(ctx)
	up := make(chan struct{}, devices)
	for i := range devices {
		name := deviceName(prefix, i)
		env := &service.Env{
			Program: "bench", Name: name, Boot: service.NewBoot(), DataDir: filepath.Join(dir, name),
			Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Health: &service.Health{},
		}
		d, err := device.New(env, &device.Settings{Bus: service.Bus{Broker: broker}, Backlog: time.Hour})
		if err != nil {
			f.leave()
			return nil, err
		}
		d.OnConnect(sync.OnceFunc(func() { up <- struct{}{} }))
		f.made.Add(1)
		f.run.Go(func() { _ = d.Run(ctx, func(ctx context.Context) error { f.drive(ctx, d, env.Boot); return nil }) })
	}
	for range devices {
		select {
		case <-up:
		case <-time.After(20 * time.Second):
			f.end()
			return nil, errors.New("not all devices reach the broker")
		}
	}
	return f, nil
}

// drive is what a driver does, without an instrument.
func (f *fleet) drive(ctx context.Context, d *device.Device, boot string) {
	d.Set(wire.Ready, "")
	select {
	case <-f.begin:
	case <-ctx.Done():
		f.made.Done()
		return
	}
	n := 0
	_ = pace(ctx, f.rate, func() error {
		if n == f.each {
			return errEnough // ends pace
		}
		now := time.Now()
		t := d.Stamp(now)
		d.Publish(now, func(seq uint64) []byte { return appendStatus(make([]byte, 0, 1200), t, seq, boot) })
		n++
		return nil
	})
	f.made.Done()
	<-ctx.Done() // what is not confirmed yet is still replayed
}

var errEnough = errors.New("all are made")

// work lets the devices together make rate statuses a second for so long, and
// returns how many that were.
func (f *fleet) work(rate int, load time.Duration) int {
	f.rate = float64(rate) / devices
	f.each = int(f.rate * load.Seconds())
	close(f.begin)
	f.made.Wait()
	return f.each * devices
}

// end takes the devices off the bus.
func (f *fleet) end() {
	f.leave()
	f.run.Wait()
}
