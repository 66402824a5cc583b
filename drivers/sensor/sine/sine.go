// Package sine is a sensor that needs no hardware, for trying things out:
// meas1 is a sine of time and meas2 its absolute value, as in the dummy sensor
// of the original stack.
package sine

import (
	"context"
	"fmt"
	"math"
	"time"

	"trackerdcs/pkg/sensor"
)

// Period is how long one turn of the sine takes.
const Period = time.Minute

// Sensor is the sine. It is measured whenever it is asked.
type Sensor struct {
	now    func() time.Time
	period time.Duration
}

// Open makes a sine of Period; the address does not matter. It is a sensor.Opener.
func Open(ctx context.Context, address string) (sensor.Sensor, error) {
	return New(time.Now, Period), nil
}

// New makes a sine of a period over the clock now, zero at the Unix epoch.
func New(now func() time.Time, period time.Duration) *Sensor {
	return &Sensor{now: now, period: period}
}

// Info implements sensor.Sensor.
func (s *Sensor) Info() sensor.Info {
	return sensor.Info{Model: "sine", Fields: map[string]sensor.Field{
		"meas1": {Min: -1, Max: 1},
		"meas2": {Min: 0, Max: 1},
	}}
}

// Read implements sensor.Sensor.
func (s *Sensor) Read(ctx context.Context) (sensor.Reading, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sine: %w", err)
	}
	// Of the turn that has begun, so that no digits are lost to the past.
	turn := time.Duration(s.now().UnixNano()) % s.period
	x := math.Sin(2 * math.Pi * float64(turn) / float64(s.period))
	return sensor.Reading{"meas1": x, "meas2": math.Abs(x)}, nil
}

// Close implements sensor.Sensor.
func (s *Sensor) Close() error { return nil }
