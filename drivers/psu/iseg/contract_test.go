package iseg

import (
	"context"
	"testing"
	"time"

	"trackerdcs/drivers/sim/iseg"
	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/psu/psutest"
	"trackerdcs/pkg/scpi"
)

func harness(o iseg.Options, sign float64) psutest.Harness {
	o.Ramp, o.Speed = 200, 1000 // V/s of an accelerated clock
	return psutest.Harness{
		New: func() psutest.Simulator { return iseg.New(o) },
		Open: func(ctx context.Context, address string, timeout time.Duration) (psu.Instrument, error) {
			return open(ctx, address, scpi.Options{Send: "\r\n", Timeout: timeout, Quiet: time.Millisecond})
		},
		Volts:     []float64{sign * 100, sign * 250.5, sign * 333.33, sign * 750},
		Amps:      []float64{1e-3, 2.5e-3, 1.25e-3, 4e-3},
		Speed:     12.5,
		TooHigh:   sign * 1001,
		NoChannel: 4,
		Trip:      func(sim psutest.Simulator, channel int) { sim.(*iseg.Instrument).Trip(channel) },
	}
}

func TestContract(t *testing.T) { psutest.Run(t, harness(iseg.Options{}, 1)) }

func TestContractNegative(t *testing.T) { psutest.Run(t, harness(iseg.Options{Negative: true}, -1)) }

func TestContractOldRegisters(t *testing.T) {
	psutest.Run(t, harness(iseg.Options{Registers16: true}, 1))
}

func BenchmarkRead(b *testing.B) { psutest.BenchmarkRead(b, harness(iseg.Options{}, 1)) }
