package physics

import (
	"math"
	"math/rand/v2"
	"time"
)

// Climate is the air of a room: a daily swing of the temperature and a slow
// random walk on top, drawn back to the mean. It is not safe for concurrent use.
type Climate struct {
	rng         *rand.Rand
	mean, humid float64 // °C, % relative humidity
	age         time.Duration
	walkT       float64
	walkH       float64
}

// climateStep is the resolution of the walk.
const climateStep = 10 * time.Second

// NewClimate returns a room around the given temperature in °C and relative humidity in %.
func NewClimate(temperature, humidity float64, seed uint64) *Climate {
	return &Climate{rng: rand.New(rand.NewPCG(seed, 1)), mean: temperature, humid: humidity}
}

// Advance lets time pass. A gap of more than a day is walked for one day only.
func (c *Climate) Advance(d time.Duration) {
	if d <= 0 {
		return
	}
	steps := (c.age+d)/climateStep - c.age/climateStep
	c.age += d
	for range min(steps, 24*time.Hour/climateStep) {
		c.walkT += 0.02*c.rng.NormFloat64() - 0.003*c.walkT
		c.walkH += 0.08*c.rng.NormFloat64() - 0.003*c.walkH
	}
}

// Set moves the room to a temperature in °C and a relative humidity in %.
func (c *Climate) Set(temperature, humidity float64) {
	c.mean, c.humid, c.walkT, c.walkH = temperature, humidity, 0, 0
	c.age = 0
}

// Read returns the temperature in °C and the relative humidity in %.
func (c *Climate) Read() (temperature, humidity float64) {
	day := math.Sin(2 * math.Pi * c.age.Hours() / 24)
	temperature = c.mean + 1.5*day + c.walkT
	// Warmer air of the same water content is drier.
	humidity = c.humid - 2.5*(temperature-c.mean) + c.walkH
	return temperature, math.Min(math.Max(humidity, 0), 100)
}
