package physics

import (
	"math"
	"math/rand/v2"
)

// ChannelsPerChip is the number of channels of a CBC.
const ChannelsPerChip = 254

// PerUnit is what one unit of a pulse amplitude means: e that the calibration
// laser sets free in the sensor. 200 units are about one particle.
const PerUnit = 100.0

// vcth is what one step of the threshold DAC means, in e.
const vcth = 156.0

// Module is a sensor with its chips, each channel of which has its own
// pedestal, gain and noise.
type Module struct {
	Sensor
	chips    []chip
	channels []channel
}

type chip struct {
	pedestal float64 // Vcth
	gain     float64 // Vcth/e
	latency  int     // of the trigger, in units of 25 ns, at which a pulse is seen best
}

type channel struct {
	pedestal float64 // Vcth
	noise    float64 // relative to the sensor's
	dead     bool
	noisy    bool
}

// New makes a module; the same seed makes the same one again.
func New(seed uint64, channels int) *Module {
	rng := rand.New(rand.NewPCG(seed, 0x6d6f64756c65))
	m := &Module{Sensor: Sensor{
		Depletion: 250 + 50*rng.Float64(),
		Leakage:   (0.2 + 0.6*rng.Float64()) * 1e-9,
	}}
	common := 600 + 6*rng.NormFloat64()
	latency := 98 + rng.IntN(5)
	for len(m.channels) < channels {
		c := chip{
			pedestal: common + 5*rng.NormFloat64(),
			gain:     (1 + 0.03*rng.NormFloat64()) / vcth,
			latency:  latency,
		}
		m.chips = append(m.chips, c)
		for i := 0; i < ChannelsPerChip && len(m.channels) < channels; i++ {
			ch := channel{
				pedestal: c.pedestal + 2*rng.NormFloat64(), // after trimming
				noise:    math.Max(0.7, 1+0.04*rng.NormFloat64()),
			}
			// The first of each chip is sound, so that there is a mean.
			switch luck := rng.Float64(); {
			case i == 0:
			case luck < 0.002:
				ch.dead = true
			case luck < 0.005:
				ch.noisy = true
				ch.noise *= 3 + 3*rng.Float64()
			}
			m.channels = append(m.channels, ch)
		}
	}
	return m
}

// Channels is the number of channels.
func (m *Module) Channels() int { return len(m.channels) }

// Chips is the number of chips.
func (m *Module) Chips() int { return len(m.chips) }

// Dead says whether a channel never fires.
func (m *Module) Dead(ch int) bool { return m.channels[ch].dead }

// Noisy says whether a channel has several times the noise of the others.
func (m *Module) Noisy(ch int) bool { return m.channels[ch].noisy }

// Pedestal of a channel in Vcth, on which neither voltage nor time have a say.
func (m *Module) Pedestal(ch int) float64 { return m.channels[ch].pedestal }

// Gain of a channel in Vcth/e.
func (m *Module) Gain(ch int) float64 { return m.chips[ch/ChannelsPerChip].gain }

// Sigma is the noise of a channel in Vcth at v V of bias.
func (m *Module) Sigma(ch int, v float64) float64 {
	return m.Noise(v) * m.channels[ch].noise * m.Gain(ch)
}

// Occupancy is the probability of a hit when free e are set free in the sensor
// over a channel, at a threshold in Vcth and v V of bias: ½·erfc(x/(σ·√2)) of
// the distance x from the threshold to the signal's mean.
func (m *Module) Occupancy(ch int, threshold, v, free float64) float64 {
	if m.channels[ch].dead {
		return 0
	}
	mean := m.Pedestal(ch) + free*m.Collected(v)*m.Gain(ch)
	return Edge(threshold, mean, m.Sigma(ch, v))
}

// Pulse is how much of a pulse is left for the comparator of a channel when the
// trigger latency is set to so many units of 25 ns: the pulse rises within one
// and falls over three.
func (m *Module) Pulse(ch, latency int) float64 {
	switch latency - m.chips[ch/ChannelsPerChip].latency {
	case -1:
		return 0.35
	case 0:
		return 1
	case 1:
		return 0.6
	case 2:
		return 0.2
	}
	return 0
}
