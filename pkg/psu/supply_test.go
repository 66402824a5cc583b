package psu

import (
	"math"
	"time"

	"trackerdcs/pkg/wire"
)

// supply is a power supply that executes writes at once and ramps when it is
// told that time has passed.
type supply struct {
	info     Info
	ops      Ops
	channels []Reading
	load     map[int]float64 // the voltage at which the current limit holds a channel
	deaf     bool            // it takes writes and does nothing
	late     bool            // what was written does not read back
}

// newSupply is an HV supply with channels 0 to 2 of 0 to 1000 V at 10 V/s.
func newSupply() *supply {
	s := &supply{
		info: Info{
			Model: "HV3", Serial: "17", Firmware: "1.0",
			Resolution: Resolution{Volts: 0.01, Amps: 1e-6, Ramp: 0.01}, Tolerance: 0.5, Residual: 5,
		},
		ops:  Ops{SetI: true, Ramp: true, Clear: true},
		load: make(map[int]float64),
	}
	for n := range 3 {
		s.info.Channels = append(s.info.Channels, ChannelInfo{Number: n, Max: 1000, MaxAmps: 0.01, MinRamp: 1, MaxRamp: 100})
		s.channels = append(s.channels, Reading{
			Number: n, On: wire.No, Ramping: wire.No, Limited: wire.No, Trip: wire.No, Interlock: wire.No,
			VReq: wire.Known(0), IReq: wire.Known(0.001), VMon: wire.Known(0), IMon: wire.Known(0), Ramp: wire.Known(10),
		})
	}
	return s
}

func (s *supply) opened() Opened { return Opened{s.info, s.ops} }

func (s *supply) read() Read { return Read{append([]Reading(nil), s.channels...)} }

// write executes a write, as the hardware would: without a look at any limit.
func (s *supply) write(w Write) {
	if s.deaf {
		return
	}
	for i := range s.channels {
		c := &s.channels[i]
		if w.Channel != wire.All() && w.Channel != wire.One(c.Number) {
			continue
		}
		switch w.Op {
		case wire.SetV:
			if !s.late {
				c.VReq = wire.Known(w.Value)
			}
		case wire.SetI:
			c.IReq = wire.Known(w.Value)
		case wire.Ramp:
			c.Ramp = wire.Known(w.Value)
		case wire.Switch:
			c.On = wire.FlagOf(w.On)
		case wire.Clear:
			c.Trip = wire.No
		}
	}
}

func (s *supply) trip(n int) {
	c := &s.channels[n]
	c.Trip, c.On = wire.Yes, wire.No
}

func (s *supply) openInterlock(n int) {
	c := &s.channels[n]
	c.Interlock, c.On = wire.Yes, wire.No
}

// step lets voltages move for d.
func (s *supply) step(d time.Duration) {
	for i := range s.channels {
		c := &s.channels[i]
		goal := 0.0
		if c.On == wire.Yes {
			goal = c.VReq.V
		}
		most, held := s.load[c.Number]
		held = held && goal > most
		if held {
			goal = most
		}
		way := goal - c.VMon.V
		if reach := c.Ramp.V * d.Seconds(); math.Abs(way) > reach {
			way = math.Copysign(reach, way)
		}
		c.VMon.V += way
		c.Limited = wire.FlagOf(held && c.VMon.V == most)
		c.Ramping = wire.FlagOf(c.VMon.V != goal)
	}
}
