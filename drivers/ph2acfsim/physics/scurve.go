package physics

import (
	"math"
	"math/rand/v2"
)

// Edge is the S-curve: the probability that a Gaussian signal is above the threshold.
func Edge(threshold, mean, sigma float64) float64 {
	return math.Erfc((threshold-mean)/(sigma*math.Sqrt2)) / 2
}

// Binomial draws how many of n events have a hit when each has it with
// probability p. Few expected hits are drawn by inversion of the distribution;
// from 30 on, hits and misses both, a Gaussian is as good.
func Binomial(rng *rand.Rand, n int, p float64) int {
	if p > 0.5 {
		return n - Binomial(rng, n, 1-p)
	}
	if p <= 0 || n <= 0 {
		return 0
	}
	mean := float64(n) * p
	if mean > 30 {
		k := math.Round(mean + rng.NormFloat64()*math.Sqrt(mean*(1-p)))
		return int(math.Min(math.Max(k, 0), float64(n)))
	}
	term := math.Exp(float64(n) * math.Log1p(-p)) // of no hit
	odds := p / (1 - p)
	u := rng.Float64()
	k := 0
	for ; u > term && k < n; k++ {
		u -= term
		term *= odds * float64(n-k) / float64(k+1)
	}
	return k
}

// Scan is the thresholds of an S-curve in Vcth: N of them from First, Step apart.
type Scan struct{ First, Step, N int }

// At is threshold number i in Vcth.
func (s Scan) At(i int) int { return s.First + i*s.Step }

// Fit is what an S-curve says of its channel.
type Fit struct {
	Threshold float64 // Vcth at which half of the events have a hit
	Noise     float64 // Vcth, the width of the edge
	Chi2      float64 // by degree of freedom; 0 when there is none
	Hits      int     // in all events of all thresholds
	Complete  bool    // the scan goes from nearly all to nearly no hits
}

// FitCounts finds threshold and noise from the hits at each threshold out of
// events. The differences of neighbouring points are a Gaussian, whose mean
// and variance are its moments; the width of the steps adds step²/12 to the
// variance (Sheppard), which is taken off.
func FitCounts(s Scan, counts []uint16, events int) Fit {
	var f Fit
	if len(counts) < 2 || events <= 0 {
		return f
	}
	for _, n := range counts {
		f.Hits += int(n)
	}
	first, last := float64(counts[0]), float64(counts[len(counts)-1])
	f.Complete = first >= 0.95*float64(events) && last <= 0.05*float64(events)
	total := first - last
	if total <= 0 {
		return f
	}
	middle := func(i int) float64 { return float64(s.First) + (float64(i)+0.5)*float64(s.Step) }
	drop := func(i int) float64 { return float64(counts[i]) - float64(counts[i+1]) }
	for i := range len(counts) - 1 {
		f.Threshold += middle(i) * drop(i) / total
	}
	variance := -float64(s.Step*s.Step) / 12
	for i := range len(counts) - 1 {
		d := middle(i) - f.Threshold
		variance += d * d * drop(i) / total
	}
	f.Noise = math.Sqrt(math.Max(variance, 0))
	f.Chi2 = chi2(s, counts, events, f)
	return f
}

// chi2 compares the counts with the fit, where there are enough for a Gaussian error.
func chi2(s Scan, counts []uint16, events int, f Fit) float64 {
	if f.Noise <= 0 {
		return 0
	}
	sum, n := 0.0, -2 // parameters
	for i, c := range counts {
		p := Edge(float64(s.At(i)), f.Threshold, f.Noise)
		variance := float64(events) * p * (1 - p)
		if variance < 2 {
			continue
		}
		d := float64(c) - float64(events)*p
		sum += d * d / variance
		n++
	}
	if n <= 0 {
		return 0
	}
	return sum / float64(n)
}
