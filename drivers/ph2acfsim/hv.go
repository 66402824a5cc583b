package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"trackerdcs/pkg/scpi"
)

// supplyTimeout is how long a reading of the voltage may take, all told.
const supplyTimeout = 3 * time.Second

// errSupply is matched when the supply has not told its voltage.
var errSupply = errors.New("no voltage from the supply")

// volts is the bias voltage now, in V, as the supply measures it. Each reading
// has a connection of its own: real modules take few at a time, and a
// calibration lasts.
func (c *config) volts(ctx context.Context) (float64, error) {
	if c.HV == "" {
		return c.Bias, nil
	}
	limited, cancel := context.WithTimeout(ctx, supplyTimeout)
	defer cancel()
	v, err := measure(limited, c.HV, c.HVChannel)
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case err != nil:
		return 0, fmt.Errorf("%w: %w", errSupply, err)
	}
	return v, nil
}

func measure(ctx context.Context, address string, channel int) (float64, error) {
	conn, err := scpi.Dial(ctx, address, scpi.Options{Send: "\r\n", Timeout: 2 * time.Second, Quiet: 20 * time.Millisecond})
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }() // it has told all it had to
	// It also finds out whether the supply echoes commands.
	if _, err := conn.Sync(ctx, "*IDN?", scpi.IsIdentity); err != nil {
		return 0, fmt.Errorf("%s: %w", address, err)
	}
	v, err := scpi.Ask(ctx, conn, fmt.Sprintf(":MEAS:VOLT? (@%d)", channel), func(answer string) (float64, error) {
		v, err := scpi.Number(answer, "V")
		if err == nil && !v.Valid {
			err = errors.New("it measures none")
		}
		return v.V, err
	})
	if err != nil {
		return 0, fmt.Errorf("%s: channel %d: %w", address, channel, err)
	}
	return math.Round(v*1000) / 1000, nil
}
