package iseg

// The methods of this file are hands on the instrument, not on its wire; those
// of the wire (Silence, Drop, Refuse, Garble …) come with the embedded server.
// Channels count from 0; a channel that does not exist is left alone.

func (in *Instrument) hand(ch int, do func(c *channel)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if ch < 0 || ch >= len(in.chans) {
		return
	}
	in.advance()
	do(in.chans[ch])
	in.apply()
	in.latch()
}

// Channel returns what a channel does now, without noise.
func (in *Instrument) Channel(ch int) (s State) {
	in.hand(ch, func(c *channel) {
		up, _ := c.Ramp()
		s = State{
			State: c.State(), Status: in.status(c), Events: c.events,
			Emergency: c.emergency, Inhibited: c.inhibit, Ramp: up,
		}
	})
	return s
}

// Trip makes the overcurrent protection of a channel trip: it is cut off and the trip latches.
func (in *Instrument) Trip(ch int) { in.hand(ch, func(c *channel) { c.Channel.Trip() }) }

// Interlock opens or closes the safety loop. Open, it shuts all channels at once, without ramp;
// closed again, it leaves them off, and the module event keeps them so until it is cleared.
func (in *Instrument) Interlock(open bool) {
	in.hand(0, func(*channel) {
		in.loopOpen = open
		if open {
			in.cutAll()
		}
	})
}

// Inhibit makes the external inhibit signal of a channel active or not.
// What it does is up to :CONF:INHP:ACTION.
func (in *Instrument) Inhibit(ch int, active bool) {
	in.hand(ch, func(c *channel) {
		c.inhibit = active
		if !active {
			return
		}
		switch c.inhibitAction {
		case actRamp:
			c.SwitchOff()
		case actCut:
			c.Cut()
		case actModule:
			in.cutAll()
		}
	})
}

// SetVoltage sets the setpoint at the front panel: a magnitude in V, refused past the limit.
func (in *Instrument) SetVoltage(ch int, v float64) {
	in.hand(ch, func(c *channel) { _ = in.setVoltage(c, v) })
}

// SetCurrent sets the current limit in A at the front panel.
func (in *Instrument) SetCurrent(ch int, i float64) { in.hand(ch, func(c *channel) { c.curr = i }) }

// SetOn switches a channel at the front panel, under the same conditions as :VOLT ON.
func (in *Instrument) SetOn(ch int, on bool) {
	in.hand(ch, func(c *channel) {
		if on {
			_ = in.switchOn(c)
		} else {
			c.SwitchOff()
		}
	})
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
