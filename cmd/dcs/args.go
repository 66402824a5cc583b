package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"trackerdcs/pkg/wire"
)

// target is one channel, or all channels, of a device: hv/0, hv/all.
type target struct{ device, channel string }

func (t target) String() string { return t.device + "/" + t.channel }

// Decode reads the argument.
func (t *target) Decode(ctx *kong.DecodeContext) error {
	var s string
	if err := ctx.Scan.PopValueInto("device/channel", &s); err != nil {
		return err
	}
	letNegative(ctx.Scan)
	var err error
	*t, err = parseTarget(s)
	return err
}

func parseTarget(s string) (target, error) {
	device, channel, ok := strings.Cut(strings.Trim(s, "/"), "/")
	if !ok {
		return target{}, fmt.Errorf("%q: want device/channel, as in hv/0", s)
	}
	if err := wire.CheckDevice(device); err != nil {
		return target{}, fmt.Errorf("%q: %w", s, err)
	}
	switch wire.ParseChannel(channel).Kind {
	case wire.OneChannel, wire.AllChannels:
		return target{device, channel}, nil
	}
	return target{}, fmt.Errorf("%q: a channel is a number or all, as in hv/0", s)
}

// opName is the name of an op, with which a value may follow.
type opName string

// Decode reads the argument.
func (o *opName) Decode(ctx *kong.DecodeContext) error {
	var s string
	if err := ctx.Scan.PopValueInto("op", &s); err != nil {
		return err
	}
	letNegative(ctx.Scan)
	*o = opName(s)
	return nil
}

var negativeRE = regexp.MustCompile(`^-[0-9.]`)

// letNegative makes a value of a negative number that comes next. Kong would
// look for a flag named 1 in -100.
func letNegative(s *kong.Scanner) {
	if next := s.Peek(); next.Type == kong.UntypedToken && negativeRE.MatchString(next.String()) {
		s.Pop()
		s.PushTyped(next.Value, kong.PositionalArgumentToken)
	}
}

// path is what get reads: nothing, a device, a channel or one field of it.
type path struct{ device, channel, field string }

func parsePath(s string) (path, error) {
	if s == "" {
		return path{}, nil
	}
	parts := strings.Split(s, "/")
	p := path{device: parts[0]}
	if err := wire.CheckDevice(p.device); err != nil {
		return path{}, err
	}
	rest := parts[1:]
	if len(rest) > 0 && wire.ParseChannel(rest[0]).Kind == wire.OneChannel {
		p.channel, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 { // a sensor has no channels: sensor_1/meas1
		p.field, rest = rest[0], rest[1:]
		if p.field == "" {
			return path{}, errors.New("nothing stands after the last slash")
		}
	}
	if len(rest) > 0 {
		return path{}, fmt.Errorf("%q: want device, device/channel or device/channel/field, as in hv/0/vmon", s)
	}
	return p, nil
}

// userName is who says that a command is theirs.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER") // a container without a password file
}
