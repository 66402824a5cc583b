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
	d := &driver{Device: dev, env: env, cfg: cfg, pace: pace{period: cfg.Period}}
	return dev.Run(ctx, d.loop)
}

// driver is the state of one sensor's driver.
type driver struct {
	*device.Device
	env *service.Env
	cfg *config
	due time.Time // when the next status is due
	pace
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
	d.pause()
	for {
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
		read = true
		// A stream that comes about as often as asked for is published whole.
		if info.Streams && now.Add(d.cfg.Period/4).Before(d.due) {
			continue
		}
		if d.due = d.due.Add(d.cfg.Period); d.due.Before(now) {
			d.due = now.Add(d.cfg.Period)
		}
		d.tick(now)
		d.Set(wire.Ready, "")
		d.describe(info)
		d.publish(now, r)
	}
}

// describe publishes what the sensor is. The period is the one that is
// achieved: a sensor may be slower than what was asked for.
func (d *driver) describe(info sensor.Info) {
	m := wire.Meta{
		Kind: wire.KindSensor, Model: info.Model, Serial: info.Serial, Firmware: info.Firmware,
		Driver: fmt.Sprintf("%s %s", d.env.Program, service.Version()),
		Period: max(d.period, d.cfg.Period).Seconds(), Fields: make(map[string]wire.MetaField),
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
		if v := wire.Known(x); v.Valid {
			d.Send(bus.Message{Topic: d.Root().Sensor(d.cfg.Legacy, name), QoS: 1, Payload: d.legacy(name, v)}, nil)
		}
	}
}

// legacy is a measurement as the original stack's reader published it.
func (d *driver) legacy(measurement string, value wire.Value) []byte {
	b, err := json.Marshal(struct {
		Topic       string     `json:"topic"`
		Sensor      string     `json:"sensor"`
		Measurement string     `json:"measurement"`
		Value       wire.Value `json:"value"`
	}{d.Root().Sensor(d.cfg.Legacy, measurement), d.cfg.Legacy, measurement, value})
	if err != nil {
		panic("sensor: " + err.Error()) // strings and a number always encode
	}
	return b
}

// pace finds out how far apart statuses are.
type pace struct {
	period time.Duration
	last   time.Time // the last status; zero after a break
	gap    time.Duration
}

// tick takes note of a status. One that fails to come changes nothing yet: the
// period is another one when two gaps in a row say so.
func (p *pace) tick(now time.Time) {
	if p.last.IsZero() {
		p.last = now
		return
	}
	gap := now.Sub(p.last)
	if p.gap != 0 && p.off(gap) && p.off(p.gap) {
		p.period = ((gap + p.gap) / 2).Round(10 * time.Millisecond)
	}
	p.gap, p.last = gap, now
}

// off reports whether a gap is a quarter or more from the period.
func (p *pace) off(gap time.Duration) bool { return 4*(gap-p.period).Abs() >= p.period }

// pause says that the time up to the next status means nothing.
func (p *pace) pause() { p.last, p.gap = time.Time{}, 0 }

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
