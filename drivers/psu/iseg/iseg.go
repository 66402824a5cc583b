// Package iseg is the high-voltage supplies of iseg that speak SCPI (NHS, NHR,
// SHR and relatives), after the iseg SCPI general instruction set, programmers
// guide of 2020-11-10. What has not been verified with it is marked [?].
//
// Channels are numbered from 0. All channels are read with one query for each
// quantity, by a channel list such as (@0-3). What only some models know is
// asked once at opening; on a model that does not know it the value stays
// unknown. The serial interface echoes commands by default, which is noticed.
//
// Voltages go over the wire as magnitudes; their sign is the polarity of the
// output.
package iseg

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

// timeout of one exchange. A list of 16 channels with its echo takes 0.3 s at
// 9600 baud.
const timeout = 2 * time.Second

// maxChannels is more than any module has.
const maxChannels = 64

// Supply is an iseg module at the other end of a connection. What Open returns
// can set its ramp too, in the way that the module has.
type Supply struct {
	mu     sync.Mutex
	conn   *scpi.Conn
	info   psu.Info
	knows  knowledge
	limits map[limitOf]bool // which limits have been numbers
}

// limitOf names a limit of a channel: its voltage's (V) or its current's (A).
type limitOf struct {
	channel int
	unit    string
}

// knowledge is what a module answers of what not every one does.
type knowledge struct {
	polarity     bool // :CONF:OUTP:POL? (@…), p or n
	voltLimit    bool // :READ:VOLT:LIM? (@…), V
	currLimit    bool // :READ:CURR:LIM? (@…), A
	channelSpeed bool // :READ:RAMP:VOLT? (@…), V/s
	moduleSpeed  bool // :READ:RAMP:VOLT?, %/s of the nominal voltage
	eventMask    bool // :READ:CHAN:EV:MASK? (@…)
	control      bool // :READ:CHAN:CONT? (@…)
	module       bool // :READ:MOD:STAT?
	moduleEvent  bool // :READ:MOD:EV:STAT?
}

// Open connects, port 10001 over TCP [?], and makes sure that it is an iseg
// module. It only asks. It is a psu.Opener; the instrument is a psu.Ramper or a
// psu.CommonRamper as the module is.
func Open(ctx context.Context, address string) (psu.Instrument, error) {
	return open(ctx, address, scpi.Options{Send: "\r\n", Timeout: timeout})
}

func open(ctx context.Context, address string, o scpi.Options) (psu.Instrument, error) {
	conn, err := scpi.Dial(ctx, address, o)
	if err != nil {
		return nil, fmt.Errorf("iseg: %w", err)
	}
	s, err := start(ctx, conn)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("iseg: open %s: %w", address, err)
	}
	return s, nil
}

// start learns what there is to know of the module.
func start(ctx context.Context, conn *scpi.Conn) (psu.Instrument, error) {
	idn, err := conn.Sync(ctx, "*IDN?", scpi.IsIdentity)
	if err != nil {
		return nil, err
	}
	id, err := scpi.ParseIdentity(idn)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(strings.ToLower(id.Maker), "iseg") {
		return nil, fmt.Errorf("the instrument there is %.60q and not of iseg", id.Maker+" "+id.Model)
	}
	n, err := scpi.Ask(ctx, conn, ":READ:MOD:CHANNELNUMBER?", scpi.Register)
	if err != nil {
		return nil, err
	}
	if n < 1 || n > maxChannels {
		return nil, fmt.Errorf("a module with %d channels", n)
	}
	s := &Supply{conn: conn, info: psu.Info{Model: id.Model, Serial: id.Serial, Firmware: id.Firmware}}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	if err := s.learnChannels(ctx, all); err != nil {
		return nil, err
	}
	return s.learnRamp(ctx, all)
}

// Info implements psu.Instrument.
func (s *Supply) Info() psu.Info { return s.info }

// Close implements psu.Instrument.
func (s *Supply) Close() error { return s.conn.Close() }

// list writes a channel list: (@0-2,5).
func list(channels []int) string {
	var b strings.Builder
	b.WriteString("(@")
	for i := 0; i < len(channels); {
		last := i
		for last+1 < len(channels) && channels[last+1] == channels[last]+1 {
			last++
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(channels[i]))
		if last > i {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(channels[last]))
		}
		i = last + 1
	}
	b.WriteByte(')')
	return b.String()
}

// one is the list of one channel.
func one(channel int) string { return list([]int{channel}) }

func (s *Supply) check(channel int) error {
	if channel < 0 || channel >= len(s.info.Channels) {
		return psu.Refused("no channel %d: the module has 0 to %d", channel, len(s.info.Channels)-1)
	}
	return nil
}

// numbers asks for a quantity of channels, in the unit.
func (s *Supply) numbers(ctx context.Context, header, unit string, channels []int) ([]wire.Value, error) {
	return scpi.Ask(ctx, s.conn, header+" "+list(channels), func(answer string) ([]wire.Value, error) {
		return scpi.Numbers(answer, len(channels), unit)
	})
}

// registers asks for a status register of channels.
func (s *Supply) registers(ctx context.Context, header string, channels []int) ([]uint32, error) {
	return scpi.Ask(ctx, s.conn, header+" "+list(channels), func(answer string) ([]uint32, error) {
		return scpi.Registers(answer, len(channels))
	})
}

// polarities reads an answer of p (positive) and n (negative).
func polarities(answer string, n int) ([]bool, error) {
	items, err := scpi.List(answer, n)
	if err != nil {
		return nil, err
	}
	negative := make([]bool, n)
	for i, item := range items {
		switch item {
		case "p", "P":
		case "n", "N":
			negative[i] = true
		default:
			return nil, fmt.Errorf("item %d of %.60q is neither p nor n", i+1, answer)
		}
	}
	return negative, nil
}

// signed gives a magnitude the sign of the output. Some firmware answers with
// the sign already there [?].
func signed(v wire.Value, negative bool) wire.Value {
	if negative && v.Valid && v.V != 0 {
		v.V = -math.Abs(v.V)
	}
	return v
}

// format writes a number with 7 digits, more than a module resolves.
func format(x float64) string { return strconv.FormatFloat(x, 'G', 7, 64) }
