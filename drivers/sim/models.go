package main

import (
	"maps"
	"slices"

	"trackerdcs/drivers/sim/dht"
	"trackerdcs/drivers/sim/hmp4040"
	"trackerdcs/drivers/sim/iseg"
)

// models are the instruments, each in a folder of its own.
var models = map[string]func(plan) instrument{
	"hmp4040": newHMP4040,
	"iseg":    newISEG,
	"dht":     newDHT,
}

func modelNames() []string { return slices.Sorted(maps.Keys(models)) }

// The noise of the real meters, V and A, that DCS_SIM_NOISE multiplies [?].
const (
	hmpNoiseV, hmpNoiseI   = 0.5e-3, 0.1e-3
	isegNoiseV, isegNoiseI = 5e-3, 0.3e-9
	sensorLeakage          = 40e-9 // A/sqrt(V): 1 uA at 600 V, an unirradiated strip sensor
)

// hmpLoad are modules that draw 0.5 to 1.5 A at a few volts, in ohm.
var hmpLoad = map[int]float64{1: 8, 2: 10, 3: 2.5, 4: 20}

func newHMP4040(p plan) instrument {
	in := hmp4040.New(hmp4040.Options{
		Channels: p.Channels, Load: p.load.or(hmpLoad), Leakage: p.Leakage.or(0), Delay: p.Delay,
		NoiseV: p.Noise * hmpNoiseV, NoiseI: p.Noise * hmpNoiseI, Seed: p.Seed, Speed: p.Speed,
	})
	for ch, v := range p.start {
		in.SetVoltage(ch, v)
		in.SetArmed(ch, true)
		in.SetMaster(true)
	}
	return in
}

func newISEG(p plan) instrument {
	in := iseg.New(iseg.Options{
		Channels: p.Channels, Nominal: p.Voltage, Current: p.Current, Negative: p.Negative, Ramp: p.Ramp.or(0),
		Load: p.load.or(nil), Leakage: p.Leakage.or(sensorLeakage), Delay: p.Delay,
		NoiseV: p.Noise * isegNoiseV, NoiseI: p.Noise * isegNoiseI, Seed: p.Seed, Speed: p.Speed,
	})
	for ch, v := range p.start {
		in.SetVoltage(ch, v)
		in.SetOn(ch, true)
	}
	return in
}

func newDHT(p plan) instrument {
	return dht.New(dht.Options{
		Period: p.Period, EndLines: p.EndLines, FailEvery: p.FailEvery, Seed: p.Seed, Speed: p.Speed,
	})
}
