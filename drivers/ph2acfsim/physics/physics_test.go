package physics

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestVoltageMakesSensorsBetter(t *testing.T) {
	for seed := range uint64(50) {
		m := New(seed, 1)
		require.GreaterOrEqual(t, m.Depletion, 250.0)
		require.LessOrEqual(t, m.Depletion, 300.0)
		for v := 5.0; v <= m.Depletion; v += 5 {
			assert.Less(t, m.Capacitance(v), m.Capacitance(v-5), "%v V", v)
			assert.Less(t, m.Noise(v), m.Noise(v-5), "%v V", v)
			assert.Greater(t, m.Collected(v), m.Collected(v-5), "%v V", v)
			assert.Greater(t, m.Current(v), m.Current(v-5), "%v V", v)
		}
		assert.Equal(t, m.Noise(300), m.Noise(600), "depleted is depleted")
		assert.Equal(t, m.Noise(100), m.Noise(-100), "polarity")
		assert.Equal(t, 1.0, m.Collected(400))
	}
}

func TestNumbersAreThoseOfAModule(t *testing.T) {
	s := Sensor{Depletion: 270, Leakage: 0.5e-9}
	assert.InDelta(t, 6.6, s.Capacitance(300), 0.1, "pF")
	assert.InDelta(t, 960, s.Noise(300), 20, "e")
	assert.Greater(t, s.Noise(0), 2.5*s.Noise(300))
	assert.Less(t, s.Collected(0), 0.06)
	assert.InDelta(t, 22000, MIP, 500, "e")

	// The shot noise of 1 µA over 20 ns: sqrt(2·1e-6·0.924·20e-9/1.6e-19) e.
	irradiated := Sensor{Depletion: 270, Leakage: 1e-6}
	shot := math.Sqrt(math.Pow(irradiated.Noise(300), 2) - math.Pow(s.Noise(300), 2))
	assert.InDelta(t, 480, shot, 5, "e")
}

func TestModules(t *testing.T) {
	a, again, b := New(1, 16384), New(1, 16384), New(2, 16384)
	assert.Equal(t, a, again)
	assert.NotEqual(t, a.Depletion, b.Depletion)
	assert.Equal(t, 65, a.Chips())
	assert.Equal(t, a.channels[:254], New(1, 254).channels, "the chips that there are do not depend on how many there are")
	dead, noisy := 0, 0
	for ch := range a.Channels() {
		if a.Dead(ch) {
			dead++
			assert.Zero(t, a.Occupancy(ch, 0, 300, 0))
		}
		if a.Noisy(ch) {
			noisy++
			assert.Greater(t, a.Sigma(ch, 300), 15.0)
		}
	}
	assert.InDelta(t, 33, dead, 25)
	assert.InDelta(t, 49, noisy, 30)
}

func TestPulse(t *testing.T) {
	m := New(3, 1)
	best := 0
	for l := range 200 {
		if m.Pulse(0, l) > m.Pulse(0, best) {
			best = l
		}
	}
	assert.InDelta(t, 100, best, 2)
	thr := m.Pedestal(0) + 30
	assert.Greater(t, m.Occupancy(0, thr, 300, 200*PerUnit), 0.99)
	assert.Less(t, m.Occupancy(0, thr, 0, 200*PerUnit), 0.3, "without voltage the charge is lost")
	assert.Less(t, m.Occupancy(0, thr, 300, 0), 1e-4)
}

func TestBinomial(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const draws = 20000
	for _, tt := range []struct {
		n int
		p float64
	}{{1, 0.5}, {10, 0.01}, {100, 0.5}, {100, 0.97}, {100, 0.2}, {65535, 1e-4}, {65535, 0.3}} {
		sum, squares := 0.0, 0.0
		for range draws {
			k := Binomial(rng, tt.n, tt.p)
			require.GreaterOrEqual(t, k, 0)
			require.LessOrEqual(t, k, tt.n)
			sum += float64(k)
			squares += float64(k) * float64(k)
		}
		mean, variance := float64(tt.n)*tt.p, float64(tt.n)*tt.p*(1-tt.p)
		got := sum / draws
		assert.InDelta(t, mean, got, 5*math.Sqrt(variance/draws), "%v", tt)
		assert.InEpsilon(t, variance, squares/draws-got*got, 0.06, "%v", tt)
	}
	assert.Equal(t, 7, Binomial(rng, 7, 1))
	assert.Zero(t, Binomial(rng, 7, 0))
	assert.Zero(t, Binomial(rng, 0, 0.5))
}

// take makes the counts of an S-curve.
func take(rng *rand.Rand, s Scan, events int, mean, sigma float64) []uint16 {
	counts := make([]uint16, s.N)
	for i := range counts {
		counts[i] = uint16(Binomial(rng, events, Edge(float64(s.At(i)), mean, sigma)))
	}
	return counts
}

func TestFitFindsWhatWasPutIn(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const events, curves = 100, 400
	for _, tt := range []struct{ mean, sigma float64 }{{600, 6}, {590.3, 6.2}, {611.7, 20}, {605, 3}} {
		s := Scan{First: 490, Step: 2, N: 111}
		var thr, noise, chi float64
		// What the moments can know: the variance of each is a sum over the points.
		var varMean, varWidth float64
		for i := range s.N {
			p, d := Edge(float64(s.At(i)), tt.mean, tt.sigma), float64(s.At(i))-tt.mean
			varMean += 4 * p * (1 - p) / events
			varWidth += 4 * d * d / (tt.sigma * tt.sigma) * p * (1 - p) / events
		}
		for range curves {
			f := FitCounts(s, take(rng, s, events, tt.mean, tt.sigma), events)
			assert.True(t, f.Complete)
			assert.InDelta(t, tt.mean, f.Threshold, 6*math.Sqrt(varMean), "%v", tt)
			assert.InDelta(t, tt.sigma, f.Noise, 6*math.Sqrt(varWidth), "%v", tt)
			thr += f.Threshold / curves
			noise += f.Noise / curves
			chi += f.Chi2 / curves
		}
		// On the average the fit is not off by more than the mean's own error.
		assert.InDelta(t, tt.mean, thr, 5*math.Sqrt(varMean/curves), "%v", tt)
		assert.InDelta(t, tt.sigma, noise, 5*math.Sqrt(varWidth/curves)+0.02*tt.sigma, "%v", tt)
		assert.InDelta(t, 1, chi, 0.25, "%v", tt)
	}
}

func TestFitOfWhatIsNoEdge(t *testing.T) {
	s := Scan{First: 0, Step: 1, N: 3}
	assert.Equal(t, Fit{}, FitCounts(s, []uint16{0, 0, 0}, 10), "dead")
	assert.Equal(t, Fit{Hits: 30}, FitCounts(s, []uint16{10, 10, 10}, 10), "always on")
	assert.Equal(t, Fit{Hits: 6}, FitCounts(s, []uint16{1, 2, 3}, 10), "upside down")
	assert.Equal(t, Fit{}, FitCounts(s, nil, 10))
	f := FitCounts(s, []uint16{10, 0, 0}, 10)
	assert.Equal(t, 0.5, f.Threshold)
	assert.Equal(t, 0.0, f.Noise)
}
