package physics

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

const sec = time.Second

func TestRampTakesItsTime(t *testing.T) {
	c := NewChannel(Config{RampUp: 10, RampDown: 20})
	c.SetVoltage(100)
	c.Advance(sec)
	assert.Zero(t, c.State().Voltage, "off")
	c.SwitchOn()
	c.Advance(4 * sec)
	s := c.State()
	assert.InDelta(t, 40, s.Voltage, 1e-6)
	assert.True(t, s.Ramping)
	c.Advance(time.Hour)
	s = c.State()
	assert.Equal(t, 100.0, s.Voltage)
	assert.False(t, s.Ramping)
	c.SwitchOff()
	c.Advance(2 * sec)
	s = c.State()
	assert.InDelta(t, 60, s.Voltage, 1e-6)
	assert.False(t, s.On)
	assert.True(t, s.Ramping)
}

func TestOneStepOrMany(t *testing.T) {
	for _, action := range []TripAction{Hold, Flag, RampOff, CutOff} {
		one, many := tripping(action), tripping(action)
		one.Advance(30 * sec)
		for range 30000 {
			many.Advance(time.Millisecond)
		}
		a, b := one.State(), many.State()
		assert.InDelta(t, a.Voltage, b.Voltage, 0.05, "action %d", action)
		a.Voltage, b.Voltage, a.Current, b.Current = 0, 0, 0, 0
		assert.Equal(t, a, b, "action %d", action)
	}
}

// tripping crosses its limit of 50 uA at 50 V, after 5 s, and trips 2 s later.
func tripping(a TripAction) *Channel {
	c := NewChannel(Config{RampUp: 10, Load: 1e6})
	c.SetVoltage(100)
	c.SetLimit(50e-6)
	c.SetTrip(a, 2*sec)
	c.SwitchOn()
	return c
}

func TestOvercurrent(t *testing.T) {
	tests := []struct {
		name    string
		action  TripAction
		after   time.Duration
		on      bool
		limited bool
		tripped bool
		volt    float64
	}{
		{"below the limit", CutOff, 4 * sec, true, false, false, 40},
		{"held down", Hold, 20 * sec, true, true, false, 50},
		{"over, not yet tripped", CutOff, 6900 * time.Millisecond, true, true, false, 50},
		{"cut off", CutOff, 8 * sec, false, false, true, 0},
		{"flagged", Flag, 8 * sec, true, true, true, 50},
		{"ramped off", RampOff, 9 * sec, false, false, true, 30},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tripping(tt.action)
			c.Advance(tt.after)
			s := c.State()
			assert.Equal(t, tt.on, s.On)
			assert.Equal(t, tt.limited, s.Limited)
			assert.Equal(t, tt.tripped, s.Tripped)
			assert.InDelta(t, tt.volt, s.Voltage, 1e-3)
		})
	}
}

func TestLeakageHoldsToo(t *testing.T) {
	for _, load := range []float64{0, 1e8} {
		c := NewChannel(Config{RampUp: 1000, Load: load, Leakage: 1e-7})
		c.SetVoltage(500)
		c.SetLimit(1e-6)
		c.SwitchOn()
		c.Advance(10 * sec)
		s := c.State()
		assert.True(t, s.Limited)
		assert.InDelta(t, 1e-6, s.Current, 1e-12)
	}
}

func TestSettlesFast(t *testing.T) {
	c := NewChannel(Config{Settle: 5 * time.Millisecond, Load: 10})
	c.SetVoltage(5)
	c.SwitchOn()
	c.Advance(5 * time.Millisecond)
	assert.InDelta(t, 5*(1-1/math.E), c.State().Voltage, 1e-6)
	c.Advance(sec)
	assert.Equal(t, 5.0, c.State().Voltage)
	assert.False(t, c.State().Ramping)
}

func TestOverVoltageCutsAndLatches(t *testing.T) {
	c := NewChannel(Config{})
	c.SetOverVoltage(6)
	c.SetVoltage(7)
	c.SwitchOn()
	c.Advance(sec)
	assert.True(t, c.State().OverV)
	assert.False(t, c.State().On)
	c.ClearTrips()
	assert.False(t, c.State().OverV)
	assert.False(t, c.State().On, "clearing never energises")
}

func TestCutNeedsNoRamp(t *testing.T) {
	c := NewChannel(Config{RampUp: 1})
	c.SetVoltage(10)
	c.SwitchOn()
	c.Advance(time.Minute)
	c.Cut()
	c.Advance(200 * time.Millisecond)
	assert.Zero(t, c.State().Voltage)
}

func TestNoiseIsSeeded(t *testing.T) {
	read := func(seed uint64) (v float64) {
		c := NewChannel(Config{NoiseV: 1, Seed: seed})
		v, _ = c.Measure()
		return v
	}
	assert.Equal(t, read(1), read(1))
	assert.NotEqual(t, read(1), read(2))
}

func TestClimateStaysInTheRoom(t *testing.T) {
	c := NewClimate(21, 40, 1)
	for range 7 * 24 {
		c.Advance(time.Hour)
		temp, hum := c.Read()
		assert.InDelta(t, 21, temp, 5)
		assert.True(t, hum >= 0 && hum <= 100)
	}
	before, _ := c.Read()
	c.Advance(2 * sec)
	after, _ := c.Read()
	assert.InDelta(t, before, after, 0.2, "slow")
	c.Set(-5.5, 90)
	temp, hum := c.Read()
	assert.Equal(t, []float64{-5.5, 90}, []float64{temp, hum})
}

func BenchmarkPollAfterOneSecond(b *testing.B) {
	c := NewChannel(Config{RampUp: 1, Load: 1e9, Leakage: 1e-8})
	c.SetVoltage(1e6)
	c.SwitchOn()
	for b.Loop() {
		c.Advance(sec)
	}
}
