// Package sensor is what a sensor, gauge or chiller that only measures is to
// this project: the interface that instruments implement.
package sensor

import "context"

// Sensor is one sensor at the other end of a connection. Its methods are never
// called at the same time. After an error the caller closes it and opens it
// anew.
type Sensor interface {
	// Info tells what the sensor measures.
	Info() Info
	// Read waits for the next measurement, at most until ctx ends: a sensor
	// that sends by itself sets the pace. A field that could not be read is
	// absent; a measurement is never given twice.
	Read(ctx context.Context) (Reading, error)
	// Close ends the connection.
	Close() error
}

// Reading is one measurement by field, in SI units.
type Reading map[string]float64

// Info describes a sensor.
type Info struct {
	Model    string
	Serial   string
	Firmware string
	Fields   map[string]Field
	// Streams is for sensors that send by themselves: they are read all the
	// time, so that no measurement waits in a buffer and is taken for new.
	Streams bool
}

// Field describes what is measured; Min and Max are what the sensor can say,
// both zero when there is no such range.
type Field struct {
	Unit     string // V, A, s, °C, %, Pa; empty for a plain number
	Min, Max float64
}

// Opener connects to a sensor at an address such as serial:///dev/ttyUSB0?baud=9600.
type Opener func(ctx context.Context, address string) (Sensor, error)
