package hmp4040

// The methods of this file are hands on the instrument, not on its wire; those
// of the wire (Silence, Drop, Refuse, Garble …) come with the embedded server.
// Channels are 1 to 4; a channel that does not exist is left alone.

func (in *Instrument) hand(ch int, do func(c *channel)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if ch < 1 || ch > len(in.chans) {
		return
	}
	in.advance()
	do(in.chans[ch-1])
	in.apply()
}

// Channel returns what a channel does now, without noise.
func (in *Instrument) Channel(ch int) (s State) {
	in.hand(ch, func(c *channel) {
		s = State{
			State: c.State(), Armed: c.armed, FuseTripped: c.fuseTripped, OVPTripped: c.ovpTripped, OVP: c.ovp,
		}
		s.Limit = c.curr // as set, not as the power leaves it
	})
	return s
}

// Master returns the state of the master switch, OUTP:GEN.
func (in *Instrument) Master() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.master
}

// Selected returns the channel that INST:NSEL has selected.
func (in *Instrument) Selected() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.selected + 1
}

// Trip makes the electronic fuse of a channel trip: the channel drops out.
func (in *Instrument) Trip(ch int) { in.hand(ch, func(c *channel) { c.Trip() }) }

// TripOVP makes the overvoltage protection of a channel trip.
func (in *Instrument) TripOVP(ch int) {
	in.hand(ch, func(c *channel) {
		c.SetOverVoltage(-1)
		if !c.State().OverV { // it was off
			c.ovpTripped, c.armed = true, false
		}
	})
}

// SetVoltage turns the knob of the front panel: the setpoint in V.
func (in *Instrument) SetVoltage(ch int, v float64) { in.hand(ch, func(c *channel) { c.volt = v }) }

// SetCurrent turns the knob of the front panel: the current limit in A.
func (in *Instrument) SetCurrent(ch int, i float64) { in.hand(ch, func(c *channel) { c.curr = i }) }

// SetArmed presses the channel's key on the front panel.
func (in *Instrument) SetArmed(ch int, on bool) { in.hand(ch, func(c *channel) { _ = c.arm(on) }) }

// SetMaster presses the OUTPUT key of the front panel.
func (in *Instrument) SetMaster(on bool) {
	in.hand(1, func(*channel) { in.master = on })
}

// SetLoad changes what hangs on a channel: ohm (0: nothing) and A/sqrt(V).
func (in *Instrument) SetLoad(ch int, ohm, leakage float64) {
	in.hand(ch, func(c *channel) { c.Channel.SetLoad(ohm, leakage) })
}

// Freeze makes the measured values stand still.
func (in *Instrument) Freeze(on bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.advance()
	for _, c := range in.chans {
		in.measure(c)
	}
	in.frozen = on
}
