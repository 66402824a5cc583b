// Package hmp4040 is the Rohde & Schwarz (formerly HAMEG) HMP4040: four
// channels of 32.05 V and 10 A, 384 W together, after the HMP Series SCPI
// Programmers Manual (5800576002). What has not been verified with it is marked [?].
//
// The instrument is stateful: INST:NSEL selects the channel that all that
// follows is about, so selecting and acting are one operation here, and the
// selection is read back: before a write, and after the values of a channel.
//
// A channel delivers when it is armed (OUTP:SEL) and the master switch
// (OUTP:GEN) is on. The instrument does not ramp.
package hmp4040

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"trackerdcs/pkg/psu"
	"trackerdcs/pkg/scpi"
	"trackerdcs/pkg/wire"
)

// The ratings of a channel, V and A.
const (
	channels   = 4
	maxVoltage = 32.05
	maxCurrent = 10.0
)

// timeout of one exchange; about 0.1 s is normal.
const timeout = 2 * time.Second

// Supply is an HMP4040 at the other end of a connection.
type Supply struct {
	mu   sync.Mutex // selecting and acting are one
	conn *scpi.Conn
	info psu.Info
	mode bool // the instrument tells CC from CV
}

// Open connects, port 5025 over TCP, and makes sure that it is an HMP4040. It
// empties the error queue and alters nothing else. It is a psu.Opener.
func Open(ctx context.Context, address string) (psu.Instrument, error) {
	return open(ctx, address, scpi.Options{Timeout: timeout})
}

func open(ctx context.Context, address string, o scpi.Options) (psu.Instrument, error) {
	conn, err := scpi.Dial(ctx, address, o)
	if err != nil {
		return nil, fmt.Errorf("hmp4040: %w", err)
	}
	s, err := start(ctx, conn)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("hmp4040: open %s: %w", address, err)
	}
	return s, nil
}

// start learns what there is to know of the instrument.
func start(ctx context.Context, conn *scpi.Conn) (*Supply, error) {
	idn, err := conn.Sync(ctx, "*IDN?", scpi.IsIdentity)
	if err != nil {
		return nil, err
	}
	id, err := scpi.ParseIdentity(idn)
	if err != nil {
		return nil, err
	}
	maker := strings.ToUpper(id.Maker)
	if !strings.HasPrefix(maker, "HAMEG") && !strings.HasPrefix(maker, "ROHDE") || id.Model != "HMP4040" {
		return nil, fmt.Errorf("the instrument there is %.60q and not an HMP4040", id.Maker+" "+id.Model)
	}
	s := &Supply{conn: conn, info: psu.Info{
		Model: id.Model, Serial: id.Serial, Firmware: id.Firmware,
		OneByOne:   true,
		Resolution: psu.Resolution{Volts: 1e-3, Amps: 1e-3}, // below 1 A the current goes in 0.2 mA
		Tolerance:  0.05,
	}}
	for n := 1; n <= channels; n++ {
		s.info.Channels = append(s.info.Channels, psu.ChannelInfo{Number: n, Max: maxVoltage, MaxAmps: maxCurrent})
	}
	// [?] that all firmware has this register.
	answer, known, err := conn.Probe(ctx, "STAT:QUES:INST:ISUM1:COND?", "*IDN?", scpi.IsIdentity)
	if err != nil {
		return nil, err
	}
	if known {
		_, err := scpi.Register(answer)
		s.mode = err == nil
	}
	_, err = s.errors(ctx) // of others, and of the question above
	return s, err
}

// Info implements psu.Instrument.
func (s *Supply) Info() psu.Info { return s.info }

// Close implements psu.Instrument.
func (s *Supply) Close() error { return s.conn.Close() }

// SetVoltage implements psu.Instrument, with a resolution of 1 mV.
func (s *Supply) SetVoltage(ctx context.Context, channel int, volts float64) error {
	return s.set(ctx, channel, "VOLT", volts, 1000, 3)
}

// SetCurrent implements psu.CurrentLimiter, with a resolution of 0.2 mA below
// 1 A and of 1 mA above.
func (s *Supply) SetCurrent(ctx context.Context, channel int, amps float64) error {
	steps := 1000.0
	if math.Abs(amps) < 1 {
		steps = 5000
	}
	return s.set(ctx, channel, "CURR", amps, steps, 4)
}

// set writes a level with so many steps to the unit and so many decimals. It
// is not rounded away from zero: what was asked for may be the limit.
func (s *Supply) set(ctx context.Context, channel int, header string, x, steps float64, decimals int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return psu.Refused("channel %d: %s %v is not a number", channel, header, x)
	}
	x = math.Trunc(x*steps+math.Copysign(1e-6, x)) / steps // 0.3 may be 299.99… steps
	text := strconv.FormatFloat(x, 'f', decimals, 64)
	if f, err := strconv.ParseFloat(text, 64); err == nil && f == 0 {
		text = "0" // and not -0.000
	}
	return s.write(ctx, channel, header+" "+text)
}

// Switch implements psu.Instrument. Off disarms the channel and leaves the
// master switch as it is. On arms the channel and then turns the master switch
// on; it is refused when that would energise another channel that is armed.
func (s *Supply) Switch(ctx context.Context, channel int, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(channel); err != nil {
		return err
	}
	if !on {
		return s.write(ctx, channel, "OUTP:SEL 0")
	}
	master, err := s.yes(ctx, "OUTP:GEN?")
	if err != nil {
		return err
	}
	if !master {
		if err := s.aloneArmed(ctx, channel); err != nil {
			return err
		}
	}
	if err := s.write(ctx, channel, "OUTP:SEL 1"); err != nil {
		return err
	}
	if master {
		return nil
	}
	return s.command(ctx, fmt.Sprintf("channel %d", channel), "OUTP:GEN 1")
}

// aloneArmed refuses when another channel than this one is armed.
func (s *Supply) aloneArmed(ctx context.Context, channel int) error {
	for _, other := range s.info.Channels {
		if other.Number == channel {
			continue
		}
		armed, err := s.armed(ctx, other.Number)
		if err != nil {
			return err
		}
		if armed {
			return psu.Refused("channel %d is armed and the master switch is off: "+
				"switching channel %d on would energise channel %d too; switch it off first", other.Number, channel, other.Number)
		}
	}
	return nil
}

func (s *Supply) armed(ctx context.Context, channel int) (bool, error) {
	if err := s.selectChannel(ctx, channel); err != nil {
		return false, err
	}
	return s.yes(ctx, "OUTP:SEL?")
}

// ClearTrip implements psu.TripClearer, for the electronic fuse and the
// overvoltage protection. A tripped channel is disarmed first: clearing gives
// the output back its state of before, and must not energise.
func (s *Supply) ClearTrip(ctx context.Context, channel int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(channel); err != nil {
		return err
	}
	if err := s.selectChannel(ctx, channel); err != nil {
		return err
	}
	fuse, ovp, err := s.trips(ctx)
	if err != nil || !fuse && !ovp {
		return err
	}
	if err := s.write(ctx, channel, "OUTP:SEL 0"); err != nil { // for the fuse this is the reset
		return err
	}
	if ovp {
		if err := s.command(ctx, fmt.Sprintf("channel %d", channel), "VOLT:PROT:CLE"); err != nil {
			return err
		}
	}
	if fuse, ovp, err = s.trips(ctx); err != nil {
		return err
	}
	if fuse {
		return psu.Refused("channel %d: the electronic fuse stays tripped", channel)
	}
	if ovp {
		return psu.Refused("channel %d: the overvoltage protection stays tripped", channel)
	}
	return nil
}

// Read implements psu.Instrument.
func (s *Supply) Read(ctx context.Context, channels []int) ([]psu.Reading, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range channels {
		if err := s.check(n); err != nil {
			return nil, err
		}
	}
	master, err := s.yes(ctx, "OUTP:GEN?")
	if err != nil {
		return nil, err
	}
	out := make([]psu.Reading, 0, len(channels))
	for _, n := range channels {
		r, err := s.read(ctx, n, master)
		if err != nil {
			return nil, fmt.Errorf("hmp4040: read channel %d: %w", n, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// Bits of STAT:QUES:INST:ISUM<n>:COND?.
const inCC = 1 << 0 // "voltage": it is not the setpoint, because the current is limited

// read reads one channel, and at the end makes sure that all of it was of that
// channel: somebody else may speak to the instrument too.
func (s *Supply) read(ctx context.Context, n int, master bool) (psu.Reading, error) {
	r := psu.Reading{Number: n}
	if err := s.conn.Write(ctx, fmt.Sprintf("INST:NSEL %d", n)); err != nil {
		return r, err
	}
	armed, err := s.yes(ctx, "OUTP:SEL?")
	if err != nil {
		return r, err
	}
	for _, q := range []struct {
		query string
		value *wire.Value
	}{{"VOLT?", &r.VReq}, {"CURR?", &r.IReq}, {"MEAS:VOLT?", &r.VMon}, {"MEAS:CURR?", &r.IMon}} {
		if *q.value, err = s.number(ctx, q.query); err != nil {
			return r, err
		}
	}
	fuse, ovp, err := s.trips(ctx)
	if err != nil {
		return r, err
	}
	on := armed && master && !fuse && !ovp
	limited := wire.No
	switch {
	case on && s.mode:
		cond, err := s.register(ctx, fmt.Sprintf("STAT:QUES:INST:ISUM%d:COND?", n))
		if err != nil {
			return r, err
		}
		limited = wire.FlagOf(cond&inCC != 0)
	case on:
		limited = wire.Unknown
	}
	if err := s.selected(ctx, n); err != nil {
		return r, err
	}
	r.On, r.Trip, r.Limited = wire.FlagOf(on), wire.FlagOf(fuse || ovp), limited
	return r, nil
}

// trips asks for the latches of the selected channel.
func (s *Supply) trips(ctx context.Context) (fuse, ovp bool, err error) {
	if fuse, err = s.yes(ctx, "FUSE:TRIP?"); err == nil {
		ovp, err = s.yes(ctx, "VOLT:PROT:TRIP?")
	}
	return fuse, ovp, err
}

func (s *Supply) check(channel int) error {
	if channel < 1 || channel > channels {
		return psu.Refused("no channel %d: an HMP4040 has 1 to %d", channel, channels)
	}
	return nil
}

// write selects a channel, makes sure of it, and executes a command on it. What
// others left in the error queue is taken away first: it is not ours.
func (s *Supply) write(ctx context.Context, channel int, cmd string) error {
	if err := s.check(channel); err != nil {
		return err
	}
	if _, err := s.errors(ctx); err != nil {
		return fmt.Errorf("hmp4040: channel %d: before %q: %w", channel, cmd, err)
	}
	if err := s.selectChannel(ctx, channel); err != nil {
		return err
	}
	return s.command(ctx, fmt.Sprintf("channel %d", channel), cmd)
}

// command executes a command and asks whether it was taken.
func (s *Supply) command(ctx context.Context, what, cmd string) error {
	if err := s.conn.Write(ctx, cmd); err != nil {
		return fmt.Errorf("hmp4040: %s: %w", what, err)
	}
	entries, err := s.errors(ctx)
	if err != nil {
		return fmt.Errorf("hmp4040: %s: after %q: %w", what, cmd, err)
	}
	if len(entries) > 0 {
		return psu.Refused("%s: %s: %s", what, cmd, strings.Join(entries, "; "))
	}
	return nil
}

// selectChannel selects a channel and reads the selection back.
func (s *Supply) selectChannel(ctx context.Context, n int) error {
	err := s.conn.Write(ctx, fmt.Sprintf("INST:NSEL %d", n))
	if err == nil {
		err = s.selected(ctx, n)
	}
	if err != nil {
		return fmt.Errorf("hmp4040: select channel %d: %w", n, err)
	}
	return nil
}

// selected makes sure that a channel is selected.
func (s *Supply) selected(ctx context.Context, n int) error {
	got, err := s.register(ctx, "INST:NSEL?")
	if err != nil {
		return err
	}
	if got != uint32(n) {
		return s.conn.Fail(fmt.Errorf("channel %d is selected: is somebody else connected to the instrument?", got))
	}
	return nil
}

// maxErrors is more than the error queue holds [?].
const maxErrors = 40

// errors empties the error queue and returns what was in it.
func (s *Supply) errors(ctx context.Context) ([]string, error) {
	var entries []string
	for range maxErrors {
		answer, err := s.conn.Query(ctx, "SYST:ERR?")
		if err != nil {
			return nil, err
		}
		code, text, err := scpi.ParseError(answer)
		if err != nil {
			return nil, s.conn.Fail(err)
		}
		if code == 0 {
			return entries, nil
		}
		entries = append(entries, fmt.Sprintf("%d %s", code, text))
	}
	return nil, s.conn.Fail(fmt.Errorf("the error queue does not end: %s", entries[0]))
}

func (s *Supply) yes(ctx context.Context, query string) (bool, error) {
	return scpi.Ask(ctx, s.conn, query, scpi.Bool)
}

func (s *Supply) number(ctx context.Context, query string) (wire.Value, error) {
	return scpi.Ask(ctx, s.conn, query, func(answer string) (wire.Value, error) { return scpi.Number(answer, "") })
}

func (s *Supply) register(ctx context.Context, query string) (uint32, error) {
	return scpi.Ask(ctx, s.conn, query, scpi.Register)
}
