package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"trackerdcs/pkg/history"
	"trackerdcs/pkg/wire"
)

type atCmd struct {
	influxFlags
	Time   string        `arg:"" optional:"" name:"time" help:"RFC 3339 with or without seconds (2026-11-20T12:00Z), local without a zone, or how long ago (-10m, 3d)."`
	Device string        `arg:"" optional:"" help:"One device; all without it."`
	Number int64         `name:"run" help:"At the start of that run, instead of a time." placeholder:"N"`
	Within time.Duration `help:"How far back values are looked for." default:"5m" placeholder:"DURATION"`
	Output string        `short:"o" help:"text, or json with one object a line." enum:"text,json" default:"text"`
}

// Help is what --help says behind the flags.
func (*atCmd) Help() string {
	return "Each value is the last one that the archive has at or before that time. A value older than one and a half periods of its device is stale " +
		"and stands in parentheses with its age: what it was at that time is not known. So it is where the period cannot be told.\n\n" +
		"Exit codes: 0 there are values, 4 there are none, 5 InfluxDB does not answer, 1 wrong usage."
}

// moments is what dcs at asks; history.Client answers.
type moments interface {
	Devices(ctx context.Context) ([]string, error)
	At(ctx context.Context, device string, t time.Time, within time.Duration) ([]history.Snapshot, error)
	Newest(ctx context.Context, device string, t time.Time) (time.Time, bool, error)
	StatesAt(ctx context.Context, t time.Time) ([]history.State, error)
	RunAt(ctx context.Context, t time.Time) (history.RunMark, bool, error)
	RunNumber(ctx context.Context, number int64) (history.RunMark, bool, error)
}

// Run prints what was at a time.
func (c *atCmd) Run(ctx context.Context) error {
	client, err := c.open()
	if err != nil {
		return err
	}
	defer client.Close()
	return c.run(ctx, terminal(), client, time.Now())
}

func (c *atCmd) run(ctx context.Context, con console, a moments, now time.Time) error {
	p, err := c.picture(ctx, a, now)
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, history.ErrNoAnswer):
		con.notef("%v", err)
		return exitNoAnswer
	case err != nil:
		return err
	}
	if c.Output == "json" {
		err = p.printJSON(con)
	} else {
		p.print(con)
	}
	if err == nil && !p.any() {
		con.notef("no value within %v before %s: ask for more with --within, or see with dcs audit what the archive has", c.Within, stamp(p.at))
		return exitFailed
	}
	return err
}

// outside is the measurement of all sensors that are not ours.
const outside = "sensor"

// picture asks for all that was at the time.
func (c *atCmd) picture(ctx context.Context, a moments, now time.Time) (*picture, error) {
	if c.Within <= 0 {
		return nil, fmt.Errorf("--within %v: choose more than nothing", c.Within)
	}
	p := &picture{now: now, states: make(map[string]history.State)}
	device, err := c.when(ctx, a, p, now)
	if err != nil {
		return nil, err
	}
	if p.run == nil {
		mark, ok, err := a.RunAt(ctx, p.at)
		if err != nil {
			return nil, err
		}
		if ok {
			p.run = &mark
		}
	}
	states, err := a.StatesAt(ctx, p.at)
	if err != nil {
		return nil, err
	}
	for _, s := range states {
		p.states[s.Name] = s
	}
	names, err := a.Devices(ctx)
	if err != nil {
		return nil, err
	}
	names = append(names, outside)
	if device != "" {
		if _, said := p.states[device]; !said && !slices.Contains(names, device) {
			return nil, unknownDevice(device, c.Bucket, names[:len(names)-1])
		}
		names, p.one = []string{device}, true
	}
	for _, name := range names {
		d := deviceAt{name: name}
		if d.rows, err = a.At(ctx, name, p.at, c.Within); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(d.rows) == 0 {
			if d.newest, _, err = a.Newest(ctx, name, p.at); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		p.devices = append(p.devices, d)
	}
	return p, nil
}

// when finds the time that is meant, and the device.
func (c *atCmd) when(ctx context.Context, a moments, p *picture, now time.Time) (device string, err error) {
	switch {
	case c.Number < 0:
		return "", fmt.Errorf("--run %d: runs are numbered from 1", c.Number)
	case c.Number == 0 && c.Time == "":
		return "", errors.New("which time? 2026-11-20T12:00Z, or -10m, or --run 42 for the start of that run")
	case c.Number == 0:
		p.at, err = parseMoment(c.Time, now)
		return c.Device, err
	case c.Device != "":
		return "", fmt.Errorf("a time (%s) and --run %d cannot both be given", c.Time, c.Number)
	}
	mark, ok, err := a.RunNumber(ctx, c.Number)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", fmt.Errorf("run %d is not in the archive %s: dcs run show %d knows when it was, if it was", c.Number, c.Bucket, c.Number)
	}
	p.run, p.at = &mark, mark.Start
	return c.Time, nil
}

// picture is all that was at a time.
type picture struct {
	at      time.Time
	now     time.Time
	run     *history.RunMark // in which the time lies, or may lie: unsure
	states  map[string]history.State
	devices []deviceAt
	one     bool // device was asked for
}

type deviceAt struct {
	name   string
	rows   []history.Snapshot
	newest time.Time // of a device without rows: its last point, if it has any
}

// unsure reports whether the time may be after the end of its run, which is not in
// the archive.
func (p *picture) unsure() bool {
	return p.run != nil && p.at.After(p.run.Start) && p.run.EndMissing(p.now)
}

func (p *picture) any() bool {
	return slices.ContainsFunc(p.devices, func(d deviceAt) bool { return len(d.rows) > 0 })
}

// currency is how far a value tells what was at the time.
type currency string

const (
	current    currency = "current"
	staleThen  currency = "stale"   // older than 1.5 periods
	unknowable currency = "unknown" // the period cannot be told
)

func currencyOf(age, period time.Duration) currency {
	switch {
	case age <= 0:
		return current
	case period <= 0:
		return unknowable
	case age > 3*period/2:
		return staleThen
	}
	return current
}

// agedText is an age, more exact than ageText below a minute.
func agedText(d time.Duration) string {
	if d < time.Minute {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	return ageText(d)
}

// archiveUnits are the units of what the contract names; the archive keeps none.
var archiveUnits = map[string]string{
	"vreq": "V", "vmon": "V", "ireq": "A", "imon": "A", "ramp": "V/s", "temperature": "°C", "humidity": "%", "pressure": "Pa",
}

// sampleText is a value for people.
func sampleText(field string, s history.Sample) string {
	switch {
	case s.Text != "":
		return s.Text
	case field == "on":
		return wire.FlagOf(s.Value == 1).String()
	}
	return quantity(s.Value, archiveUnits[field])
}
