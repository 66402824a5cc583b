package main

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"trackerdcs/drivers/ph2acfsim/physics"
)

// Settings of the procedures.
const (
	highestVcth  = 1023 // of the threshold DAC, 10 bits
	coarseEvents = 20   // at each point of the first, coarse scan
	workingPoint = 30.0 // Vcth above the chip's mean threshold, at which data is taken
	noiseEvents  = 100  // times the events of an S-curve's point
	particles    = 4.0  // in a raw event, mean
	firstLatency = 80   // of the scan, in units of 25 ns
	lastLatency  = 120
)

// aRun is a run in its making.
type aRun struct {
	*config
	printer
	pace   *pacer
	module *physics.Module
	rng    *rand.Rand // of what happens in this run
	bias   float64    // V, as last read
	scan   physics.Scan
	counts []uint16 // of the S-curves, channel by channel
	fits   []physics.Fit
	out    summary
}

func newRun(c *config, p printer) *aRun {
	seed := c.seed()
	return &aRun{
		config: c, printer: p, pace: newPacer(p, c.Duration),
		module: physics.New(seed, c.Channels),
		rng:    rand.New(rand.NewPCG(seed, uint64(c.Run))),
		out:    newSummary(c, time.Now()),
	}
}

// phases are what a procedure does before it writes.
func (r *aRun) phases() []func(context.Context) error {
	list := []func(context.Context) error{r.configure, r.pedestal, r.scurves, r.noise}
	switch r.Procedure {
	case "calibration":
		list = append(list, r.gain)
	case "latency":
		list = append(list, r.latency)
	}
	return list
}

// read asks for the bias voltage.
func (r *aRun) read(ctx context.Context, when string) (float64, error) {
	v, err := r.volts(ctx)
	if err != nil {
		return 0, err
	}
	r.bias = v
	r.info("[hv] %s: %.3f V (%s)", when, v, r.out.HV.Source)
	return v, nil
}

func (r *aRun) configure(ctx context.Context) (err error) {
	r.pace.begin("configuring", 0.05, "module %s, %d chips, %d channels, procedure %s", r.Module, r.module.Chips(), r.Channels, r.Procedure)
	if r.out.HV.Start, err = r.read(ctx, "start"); err != nil {
		return err
	}
	for chip := range r.module.Chips() {
		if err := r.pace.done(ctx, float64(chip+1)/float64(r.module.Chips())); err != nil {
			return err
		}
	}
	return nil
}

// take measures one threshold on all channels.
func (r *aRun) take(s physics.Scan, at, events int, free float64, counts []uint16) {
	threshold := float64(s.At(at))
	for ch := range r.Channels {
		p := r.module.Occupancy(ch, threshold, r.bias, free)
		counts[ch*s.N+at] = uint16(physics.Binomial(r.rng, events, p))
	}
}

func (r *aRun) fit(s physics.Scan, counts []uint16, events int) []physics.Fit {
	fits := make([]physics.Fit, r.Channels)
	for ch := range fits {
		fits[ch] = physics.FitCounts(s, counts[ch*s.N:][:s.N], events)
	}
	return fits
}

// pedestal finds with few events where the edges are, and so what to scan.
func (r *aRun) pedestal(ctx context.Context) error {
	coarse := physics.Scan{First: 400, Step: 10, N: 41}
	r.pace.begin("pedestal", 0.15, "%d to %d Vcth in steps of %d", coarse.First, coarse.At(coarse.N-1), coarse.Step)
	counts := make([]uint16, r.Channels*coarse.N)
	for i := range coarse.N {
		r.take(coarse, i, coarseEvents, 0, counts)
		if err := r.pace.done(ctx, float64(i+1)/float64(coarse.N)); err != nil {
			return err
		}
	}
	var means, widths []float64
	for _, f := range r.fit(coarse, counts, coarseEvents) {
		if f.Complete {
			means, widths = append(means, f.Threshold), append(widths, math.Max(f.Noise, 3))
		}
	}
	r.scan = around(means, widths)
	r.info("pedestal %.1f Vcth, S-curves from %d to %d", median(means), r.scan.First, r.scan.At(r.scan.N-1))
	return nil
}

// around is the scan that has the edges of 98 % of the channels in it, in a
// hundred points or less where one Vcth a point would be more.
func around(means, widths []float64) physics.Scan {
	if len(means) == 0 {
		return physics.Scan{First: 400, Step: 4, N: 101}
	}
	slices.Sort(means)
	reach := 5 * median(widths)
	lowest := math.Max(0, means[len(means)/100]-reach)
	highest := math.Min(highestVcth, means[len(means)-1-len(means)/100]+reach)
	s := physics.Scan{First: int(lowest)}
	s.Step = max(1, int(math.Ceil((highest-lowest)/100)))
	s.N = int(highest-lowest)/s.Step + 1
	return s
}

// scurves takes the S-curves. Half way it looks at the voltage again: what has
// become of it shows in the rest.
func (r *aRun) scurves(ctx context.Context) (err error) {
	s := r.scan
	r.pace.begin("scurves", 0.6, "%d thresholds, %d events each", s.N, r.Events)
	r.counts = make([]uint16, r.Channels*s.N)
	for i := range s.N {
		if i == s.N/2 {
			if r.out.HV.Middle, err = r.read(ctx, "middle"); err != nil {
				return err
			}
		}
		r.take(s, i, r.Events, 0, r.counts)
		if err := r.pace.done(ctx, float64(i+1)/float64(s.N)); err != nil {
			return err
		}
	}
	r.fits = r.fit(s, r.counts, r.Events)
	r.out.fits(r.scan, r.fits)
	r.info("threshold %.2f ± %.2f Vcth, noise %.2f ± %.2f Vcth, %d channels dead, %d noisy",
		r.out.Threshold.Mean, r.out.Threshold.RMS, r.out.Noise.Mean, r.out.Noise.RMS, len(r.out.Dead), len(r.out.Noisy))
	return nil
}

// threshold at which data is taken, of a channel's chip.
func (r *aRun) threshold(ch int) float64 {
	mean := r.out.Threshold.Mean
	if chip := r.out.Chips[ch/physics.ChannelsPerChip]; chip.Threshold.Channels > 0 {
		mean = chip.Threshold.Mean
	}
	return mean + workingPoint
}

// noise counts the hits without a signal at the working point.
func (r *aRun) noise(ctx context.Context) error {
	events := r.Events * noiseEvents
	r.pace.begin("noise", 0.7, "%d events %.0f Vcth above the pedestals", events, workingPoint)
	sum := 0.0
	for i := range r.out.Chips {
		chip := &r.out.Chips[i]
		hits := 0
		for ch := chip.first; ch < chip.end; ch++ {
			hits += physics.Binomial(r.rng, events, r.module.Occupancy(ch, r.threshold(ch), r.bias, 0))
		}
		sum += float64(hits)
		chip.Occupancy = float64(hits) / float64(events) / float64(chip.end-chip.first)
		if err := r.pace.done(ctx, float64(i+1)/float64(len(r.out.Chips))); err != nil {
			return err
		}
	}
	r.out.Occupancy = sum / float64(events) / float64(r.Channels)
	r.info("noise occupancy %.2e", r.out.Occupancy)
	return nil
}

// gain takes S-curves with a pulse. How much higher they are than those
// without is the signal.
func (r *aRun) gain(ctx context.Context) error {
	free := float64(r.Vcal) * physics.PerUnit
	s := physics.Scan{First: r.scan.First, Step: 4}
	last := r.scan.At(r.scan.N-1) + int(free/140)
	s.N = (min(last, highestVcth)-s.First)/s.Step + 1
	r.pace.begin("gain", 0.75, "%d thresholds, pulse of %d units, %.0f electrons", s.N, r.Vcal, free)
	counts := make([]uint16, r.Channels*s.N)
	for i := range s.N {
		r.take(s, i, coarseEvents, free, counts)
		if err := r.pace.done(ctx, float64(i+1)/float64(s.N)); err != nil {
			return err
		}
	}
	r.out.signal(r.fits, r.fit(s, counts, coarseEvents))
	r.info("signal %.2f ± %.2f Vcth", r.out.Signal.Mean, r.out.Signal.RMS)
	return nil
}

// latency finds the trigger latency at which a pulse is seen most often.
func (r *aRun) latency(ctx context.Context) error {
	r.pace.begin("latency", 0.75, "%d to %d units of 25 ns, pulse of %d units", firstLatency, lastLatency, r.Vcal)
	out := latencyScan{Unit: "25 ns"}
	for l := firstLatency; l <= lastLatency; l++ {
		hits := 0
		for ch := range r.Channels {
			free := float64(r.Vcal) * physics.PerUnit * r.module.Pulse(ch, l)
			hits += physics.Binomial(r.rng, r.Events, r.module.Occupancy(ch, r.threshold(ch), r.bias, free))
		}
		out.add(l, float64(hits)/float64(r.Events)/float64(r.Channels))
		if err := r.pace.done(ctx, float64(l-firstLatency+1)/(lastLatency-firstLatency+1)); err != nil {
			return err
		}
	}
	r.out.Latency = &out
	r.info("latency %d, efficiency %.3f", out.Best, out.Efficiency)
	return nil
}
