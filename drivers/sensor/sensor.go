package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/device"
	"trackerdcs/pkg/sensor"
	"trackerdcs/pkg/service"
	"trackerdcs/pkg/wire"
)

// Timing of the connection to the sensor.
const (
	openTimeout = 10 * time.Second
	silence     = 10 * time.Second // or five periods: what sends nothing for so long is gone
	firstRetry  = 250 * time.Millisecond
	lastRetry   = 10 * time.Second
)

// run drives the sensor until ctx ends.
func run(ctx context.Context, env *service.Env, cfg *config) error {
	dev, err := device.New(env, &cfg.Settings)
	if err != nil {
		return err
	}
	d := &driver{Device: dev, env: env, cfg: cfg}
	return dev.Run(ctx, d.loop)
}

// driver is the state of one sensor's driver.
type driver struct {
	*device.Device
	env *service.Env
	cfg *config
	due time.Time // when the next status is due
	gap time.Duration
}

// loop connects to the sensor, again and again, until ctx ends.
func (d *driver) loop(ctx context.Context) error {
	retry := firstRetry
	for {
		read, err := d.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		d.Set(wire.Unreachable, err.Error())
		if read {
			retry = firstRetry
		}
		sleep(ctx, retry)
		retry = min(2*retry, lastRetry)
	}
}

// once opens the sensor and publishes what it measures until the connection is
// of no more use. It reports whether anything could be read.
func (d *driver) once(ctx context.Context) (read bool, err error) {
	openCtx, cancel := context.WithTimeout(ctx, openTimeout)
	s, err := instruments[d.cfg.Model](openCtx, d.cfg.Address)
	cancel()
	if err != nil {
		return false, err
	}
	defer func() { _ = s.Close() }()
	info := s.Info()
	for last := (time.Time{}); ; {
		if !info.Streams {
			sleep(ctx, time.Until(d.due))
		}
		readCtx, cancel := context.WithTimeout(ctx, max(silence, 5*d.cfg.Period))
		r, err := s.Read(readCtx)
		cancel()
		if err != nil {
			return read, fmt.Errorf("reading: %w", err)
		}
		now := time.Now()
		if read {
			d.gap = now.Sub(last)
		}
		read, last = true, now
		// A stream that comes about as often as asked for is published whole.
		if info.Streams && now.Add(d.cfg.Period/4).Before(d.due) {
			continue
		}
		if d.due = d.due.Add(d.cfg.Period); d.due.Before(now) {
			d.due = now.Add(d.cfg.Period)
		}
		d.Set(wire.Ready, "")
		d.describe(info)
		d.publish(now, r)
	}
}

// describe publishes what the sensor is. The period is the stream's own where
// that is longer than what was asked for.
func (d *driver) describe(info sensor.Info) {
	m := wire.Meta{
		Kind: wire.KindSensor, Model: info.Model, Serial: info.Serial, Firmware: info.Firmware,
		Driver: fmt.Sprintf("%s %s", d.env.Program, service.Version()),
		Period: d.cfg.Period.Seconds(), Fields: make(map[string]wire.MetaField),
	}
	if gap := d.gap.Round(time.Second).Seconds(); info.Streams && gap > m.Period {
		m.Period = gap
	}
	for name, f := range info.Fields {
		mf := wire.MetaField{Unit: f.Unit}
		if f.Min != 0 || f.Max != 0 {
			mf.Min, mf.Max = wire.Known(f.Min), wire.Known(f.Max)
		}
		m.Fields[name] = mf
	}
	d.Describe(m)
}

// publish sends a status: one object of the measurements with its time, seq
// and boot.
func (d *driver) publish(now time.Time, r sensor.Reading) {
	status := make(map[string]any, len(r)+3)
	for name, x := range r {
		if v := wire.Known(x); v.Valid {
			status[name] = v
		}
	}
	status["time"], status["boot"] = d.Stamp(now), d.env.Boot
	d.Publish(now, func(seq uint64) []byte {
		status["seq"] = seq
		return wire.Encode(status)
	})
	if d.cfg.Legacy == "" {
		return
	}
	for name, x := range r {
		d.Send(bus.Message{Topic: d.Root().Sensor(d.cfg.Legacy, name), QoS: 1, Payload: d.legacy(name, x)}, nil)
	}
}

// legacy is a measurement as the original stack's reader published it.
func (d *driver) legacy(measurement string, value float64) []byte {
	b, err := json.Marshal(struct {
		Topic       string     `json:"topic"`
		Sensor      string     `json:"sensor"`
		Measurement string     `json:"measurement"`
		Value       wire.Value `json:"value"`
	}{d.Root().Sensor(d.cfg.Legacy, measurement), d.cfg.Legacy, measurement, wire.Known(value)})
	if err != nil {
		panic("sensor: " + err.Error()) // strings and a number always encode
	}
	return b
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
