package dht

// Climate returns what the sensor measures now: °C and % relative humidity.
func (in *Instrument) Climate() (temperature, humidity float64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.read()
}

// SetClimate moves the room to a temperature in °C and a relative humidity in %.
func (in *Instrument) SetClimate(temperature, humidity float64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.climate.Advance(in.clock.Lap())
	in.climate.Set(temperature, humidity)
}

// FailTemperature makes the next n readings of the temperature print an error.
func (in *Instrument) FailTemperature(n int) { in.mu.Lock(); defer in.mu.Unlock(); in.badTemp = n }

// FailHumidity makes the next n readings of the humidity print an error.
func (in *Instrument) FailHumidity(n int) { in.mu.Lock(); defer in.mu.Unlock(); in.badHumid = n }

// Freeze makes the measured values stand still.
func (in *Instrument) Freeze(on bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.read()
	in.frozen = on
}

// Silence makes the board print nothing.
func (in *Instrument) Silence(on bool) { in.wire.Silence(on) }

// Garble turns the next n measurements into garbage.
func (in *Instrument) Garble(n int) { in.wire.Garble(n) }

// Truncate cuts the next n measurements in half.
func (in *Instrument) Truncate(n int) { in.wire.Truncate(n) }

// Drop closes all connections and the pseudo-terminal now; a new terminal takes
// its place under the same path.
func (in *Instrument) Drop() { in.wire.Drop() }

// Refuse closes new connections at once and makes no new pseudo-terminal. With
// Drop it is the cable pulled out; Refuse(false) plugs it in again.
func (in *Instrument) Refuse(on bool) { in.wire.Refuse(on) }

// Connections returns how many connections stand, the pseudo-terminal being one.
func (in *Instrument) Connections() int { return in.wire.Connections() }
