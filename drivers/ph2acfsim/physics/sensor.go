// Package physics models a silicon strip module with binary readout: what the
// bias voltage does to the noise and the signal of its channels, and what a
// scan of the threshold shows of it.
//
// Noise and charge are in electrons (e) at the input of the amplifier and in
// units of the comparator's threshold DAC (Vcth) behind it. A higher threshold
// means fewer hits, as in the formulas of the books; the DAC of the CBC chip
// counts the other way round.
//
// Formulas: H. Spieler, Semiconductor Detector Systems (Oxford 2005), chapters
// 1, 2 and 4; Review of Particle Physics, "Low-noise electronics" and "Silicon
// semiconductor detectors". The numbers are of the size that is known of the
// 2S modules of the CMS Phase-2 tracker (CMS-TDR-014) and their CBC3 chips;
// they are no measurement of any of them.
package physics

import "math"

// The sensor: n strips in p bulk, 5 cm long at a pitch of 90 µm, at 20 °C.
const (
	thickness    = 290.0     // µm, the active part of 320 µm
	area         = 0.009 * 5 // cm² of one strip
	permittivity = 1.036     // pF/cm of silicon, 11.7 times that of the vacuum
	interstrip   = 5.0       // pF to the neighbours and stray: 1 pF/cm
	builtIn      = 0.6       // V that deplete the junction without bias
	charge       = 1.602e-19 // C
	perMicron    = 76.0      // e that a minimum ionising particle most probably sets free in 1 µm
	MIP          = perMicron * thickness
)

// The amplifier: ENC = white + slope·C, shaped in CR-RC form with a peaking
// time of 20 ns, for which the form factor of current noise is 0.924 (Spieler,
// section 4.3).
const (
	white      = 500.0 // e
	slope      = 70.0  // e/pF
	peaking    = 20e-9 // s
	formFactor = 0.924
)

// Sensor is what differs from sensor to sensor.
type Sensor struct {
	Depletion float64 // V at which it is depleted through
	Leakage   float64 // A of one strip when it is
}

// Depleted is the depleted part of the thickness, 0 to 1. It grows as the root
// of the voltage up to full depletion. Only the magnitude of v, in V, counts.
func (s Sensor) Depleted(v float64) float64 {
	return math.Min(1, math.Sqrt((math.Abs(v)+builtIn)/(s.Depletion+builtIn)))
}

// Capacitance of a strip in pF: a plate capacitor over the depleted width, and
// the neighbours.
func (s Sensor) Capacitance(v float64) float64 {
	width := thickness * 1e-4 * s.Depleted(v) // cm
	return interstrip + permittivity*area/width
}

// Current of a strip in A: generated in the depleted volume.
func (s Sensor) Current(v float64) float64 { return s.Leakage * s.Depleted(v) }

// Noise is the equivalent noise charge in e: the amplifier's, which rises with
// the capacitance, and the shot noise of the leakage current, (2·e·I·F·T)^½,
// are independent of each other.
func (s Sensor) Noise(v float64) float64 {
	amplifier := white + slope*s.Capacitance(v)
	shot := math.Sqrt(2 * charge * s.Current(v) * formFactor * peaking)
	return math.Hypot(amplifier, shot/charge)
}

// Collected is how much of the charge that a particle or a laser sets free over
// the whole thickness is collected, 0 to 1: that of the depleted part.
func (s Sensor) Collected(v float64) float64 { return s.Depleted(v) }
