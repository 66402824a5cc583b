// Package psu is what a power supply is to this project: the interfaces that
// instruments implement, and the command rules of docs/contract.md as one pure
// state machine.
package psu

import (
	"context"
	"errors"
	"fmt"

	"trackerdcs/pkg/wire"
)

// Instrument is one power supply at the other end of a connection. Its methods
// are never called at the same time. An error that is not ErrRefused means
// that the connection is of no more use: the caller closes the instrument and
// opens it anew.
//
// Opening and reading alter nothing in the hardware.
type Instrument interface {
	// Info tells what was learnt at opening.
	Info() Info
	// Read reads the channels with these numbers, in that order. What the
	// instrument does not tell is left unknown; a stale value is never given.
	Read(ctx context.Context, channels []int) ([]Reading, error)
	// SetVoltage writes the setpoint of a channel, V, signed as at the terminals.
	SetVoltage(ctx context.Context, channel int, volts float64) error
	// Switch switches a channel on or off in its ordinary way.
	Switch(ctx context.Context, channel int, on bool) error
	// Close ends the connection. The hardware keeps doing what it did.
	Close() error
}

// CurrentLimiter is an instrument whose current limit can be set, A.
type CurrentLimiter interface {
	SetCurrent(ctx context.Context, channel int, amps float64) error
}

// Ramper is an instrument with a ramp speed for each channel, V/s, a magnitude.
type Ramper interface {
	SetRamp(ctx context.Context, channel int, speed float64) error
}

// CommonRamper is an instrument with one ramp speed for all channels, V/s. The
// command is then /<dev>/cmd/ramp/all.
type CommonRamper interface {
	SetCommonRamp(ctx context.Context, speed float64) error
}

// TripClearer is an instrument that latches trips. Clearing never energises.
type TripClearer interface {
	ClearTrip(ctx context.Context, channel int) error
}

// Info describes an instrument.
type Info struct {
	Model    string
	Serial   string
	Firmware string
	Channels []ChannelInfo // in order of number

	// OneByOne is for instruments whose channels are slow to read: they are
	// read one at a time, so that a command need not wait for all.
	OneByOne bool

	// How close a readback is to what was written, and vmon to vreq when they
	// agree. V, A, V/s.
	Resolution Resolution
	Tolerance  float64 // V
	// Residual is how far from zero vmon may stand on a channel that is off, V.
	// Zero means Tolerance.
	Residual float64
}

// Resolution is how far a readback may be from what was written.
type Resolution struct{ Volts, Amps, Ramp float64 }

// ChannelInfo is what the model allows on a channel. Min and Max are signed
// volts at the terminals.
type ChannelInfo struct {
	Number   int
	Min, Max float64 // V
	MaxAmps  float64 // A; 0 when not known
	MinRamp  float64 // V/s
	MaxRamp  float64 // V/s; 0 when there is none
}

// Reading is one channel as read from the instrument.
type Reading struct {
	Number    int
	On        wire.Flag
	Ramping   wire.Flag
	Limited   wire.Flag
	Trip      wire.Flag // latched in the instrument
	Interlock wire.Flag
	VReq      wire.Value // V, as read back
	IReq      wire.Value // A
	VMon      wire.Value // V
	IMon      wire.Value // A
	Ramp      wire.Value // V/s

	// The instrument's own limits as they stand now (a front-panel or
	// potentiometer limit), V signed and A; unknown where it has none.
	Min, Max wire.Value
	MaxAmps  wire.Value
}

// ErrRefused is matched by errors of instruments that have understood and
// refused: the connection is good, the command failed.
var ErrRefused = errors.New("refused by the instrument")

// Refused makes an error that matches ErrRefused and says why.
func Refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// Opener connects to an instrument at an address such as tcp://10.0.0.7:5025
// or serial:///dev/ttyUSB0?baud=9600 and makes sure that it is the right model.
type Opener func(ctx context.Context, address string) (Instrument, error)
