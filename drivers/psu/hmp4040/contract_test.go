package hmp4040

import (
	"context"
	"testing"
	"time"

	"trackerdcs/drivers/sim/hmp4040"
	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/psu/psutest"
	"trackerdcs/pkg/scpi"
)

var harness = psutest.Harness{
	New: func() psutest.Simulator { return hmp4040.New(hmp4040.Options{}) },
	Open: func(ctx context.Context, address string, timeout time.Duration) (psu.Instrument, error) {
		return open(ctx, address, scpi.Options{Timeout: timeout, Quiet: time.Millisecond})
	},
	Volts:     []float64{2.5, 3.75, 5.125, 7.001},
	Amps:      []float64{1.5, 2.25, 3.125, 4.5},
	TooHigh:   33,
	NoChannel: 0,
	Trip:      func(sim psutest.Simulator, channel int) { sim.(*hmp4040.Instrument).Trip(channel) },
}

func TestContract(t *testing.T) { psutest.Run(t, harness) }

func TestContractOVP(t *testing.T) {
	h := harness
	h.Trip = func(sim psutest.Simulator, channel int) { sim.(*hmp4040.Instrument).TripOVP(channel) }
	psutest.RunTrip(t, h)
}

func BenchmarkRead(b *testing.B) { psutest.BenchmarkRead(b, harness) }
