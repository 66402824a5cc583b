package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"trackerdcs/pkg/history"
)

// How long what is under way may take.
const (
	auditSettle = 2 * time.Second  // what is younger is not looked for
	auditQuiet  = 10 * time.Second // a device from which nothing came for so long is called silent
	auditOld    = time.Minute      // what is missing for so long is missing, also next to the window
)

type auditCmd struct {
	influxFlags
	Device string `arg:"" optional:"" help:"One device; all without it."`
	Since  string `help:"From when: how long ago (12h, 3d), a time (2026-11-20, 2026-11-20T12:00, RFC 3339), or a weekday (monday: the last one, 00:00)." default:"24h" placeholder:"WHEN"`
	Until  string `help:"To when, written like --since. Default, and at the latest, two seconds ago: what is under way is not missing." default:"now" placeholder:"WHEN"`
	Strict bool   `help:"Exit with 4 also when the end of a boot cannot be proved, or a device fell silent."`
	Output string `short:"o" help:"text, or json with one object a line." enum:"text,json" default:"text"`
}

// Help is what --help says behind the flags.
func (*auditCmd) Help() string {
	return "Each driver numbers its statuses from 1 on in each of its boots. A number that the archive does not have is a status that is missing.\n\n" +
		"Exit codes: 0 nothing is missing, 4 something is, 5 InfluxDB does not answer, 1 nothing can be proved, or wrong usage."
}

// influxFlags are the flags of every command that reads the archive.
type influxFlags struct {
	Influx     string        `help:"InfluxDB: http:// or https:// (default http://127.0.0.1:8086)." env:"DCS_INFLUX_URL" placeholder:"URL"`
	Org        string        `help:"Organisation of InfluxDB 2.x." env:"DCS_INFLUX_ORG" default:"dcs"`
	Bucket     string        `help:"Bucket; of InfluxDB 1.8 the database, or database/policy." env:"DCS_INFLUX_BUCKET" default:"dcs"`
	TokenFile  string        `help:"File with the token, or for InfluxDB 1.8 with user:password." env:"DCS_INFLUX_TOKEN_FILE" placeholder:"FILE"`
	Timeout    time.Duration `help:"Give up when InfluxDB is silent for this long." default:"1m" placeholder:"DURATION"`
	PortOffset int           `hidden:"" env:"PORT_OFFSET"` // the demonstrator's: it moves the default address
}

// address is InfluxDB's.
func (f *influxFlags) address() string {
	if f.Influx != "" {
		return f.Influx
	}
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(8086+f.PortOffset))
}

func (f *influxFlags) open() (*history.Client, error) {
	return history.New(history.Config{URL: f.address(), Org: f.Org, Bucket: f.Bucket, TokenFile: f.TokenFile, Timeout: f.Timeout})
}

// archive is what the audit asks; history.Client answers.
type archive interface {
	Devices(ctx context.Context) ([]string, error)
	Noted(ctx context.Context) ([]string, error)
	Statuses(ctx context.Context, device string, from, to time.Time, fn func(history.Status) error) error
	Before(ctx context.Context, device string, t time.Time) ([]history.Status, error)
	After(ctx context.Context, device string, t time.Time) ([]history.Status, error)
	Newest(ctx context.Context, device string, t time.Time) (time.Time, bool, error)
	States(ctx context.Context, from time.Time, fn func(history.State) error) error
	DeadLetters(ctx context.Context, device string, from time.Time, fn func(history.DeadLetter) error) error
	Ledgers(ctx context.Context, device string, from, to time.Time) ([]history.Ledger, error)
}

// Run reports what is missing.
func (c *auditCmd) Run(ctx context.Context) error {
	client, err := c.open()
	if err != nil {
		return err
	}
	defer client.Close()
	return c.run(ctx, terminal(), client, time.Now())
}

func (c *auditCmd) run(ctx context.Context, con console, a archive, now time.Time) error {
	w, err := c.window(now)
	if err != nil {
		return err
	}
	var p auditPrinter = &auditText{con: con}
	if c.Output == "json" {
		p = &auditJSON{con: con}
	}
	err = c.audit(ctx, p, a, w)
	switch {
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.Is(err, history.ErrNoAnswer):
		con.notef("%v", err)
		return exitNoAnswer
	}
	return err
}

// window is the time that is audited: from ≤ time < to.
type window struct {
	from, to time.Time
	settled  bool // nothing from then can still be under way
}

func (c *auditCmd) window(now time.Time) (window, error) {
	from, err := parseWhen(c.Since, now)
	if err != nil {
		return window{}, fmt.Errorf("--since: %w", err)
	}
	to, err := parseWhen(c.Until, now)
	if err != nil {
		return window{}, fmt.Errorf("--until: %w", err)
	}
	if limit := now.Add(-auditSettle); to.After(limit) {
		to = limit
	}
	if !from.Before(to) {
		return window{}, fmt.Errorf("there is nothing between %s and %s: --since has to be before --until", stamp(from), stamp(to))
	}
	return window{from: from, to: to, settled: now.Sub(to) >= auditOld}, nil
}

// audit audits one device after another and ends with the verdict.
func (c *auditCmd) audit(ctx context.Context, p auditPrinter, a archive, w window) error {
	devices, err := a.Devices(ctx)
	if err != nil {
		return err
	}
	ends := make(map[string]map[string]bootEnd)
	err = a.States(ctx, w.from, func(s history.State) error {
		if ends[s.Name] == nil {
			ends[s.Name] = make(map[string]bootEnd)
		}
		ends[s.Name][s.Boot] = ends[s.Name][s.Boot].then(s, w)
		return nil
	})
	if err != nil {
		return err
	}
	noted, err := a.Noted(ctx)
	if err != nil {
		return err
	}
	devices = withLost(append(devices, noted...), ends)
	if c.Device != "" {
		if !slices.Contains(devices, c.Device) {
			return unknownDevice(c.Device, c.Bucket, devices)
		}
		devices = []string{c.Device}
	}
	sum := auditSum{Since: w.from.UTC(), Until: w.to.UTC()}
	p.begin(devices, w)
	for _, name := range devices {
		r, err := auditDevice(ctx, a, name, w, ends[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		sum.add(r)
		p.device(r)
	}
	sum.decide()
	p.end(sum)
	if err := sum.exit(); err != nil || !c.Strict || sum.Open == 0 {
		return err
	}
	return exitFailed
}

// withLost adds the devices of which the archive has no status at all, although
// they said that they sent some.
func withLost(devices []string, ends map[string]map[string]bootEnd) []string {
	for name, boots := range ends {
		for _, e := range boots {
			if e.seq > 0 && !slices.Contains(devices, name) {
				devices = append(devices, name)
			}
		}
	}
	slices.Sort(devices)
	return slices.Compact(devices)
}

func unknownDevice(name, bucket string, devices []string) error {
	if len(devices) == 0 {
		return fmt.Errorf("no device %s: no device at all is in the archive %s", name, bucket)
	}
	return fmt.Errorf("no device %s in the archive: there are %s", name, strings.Join(devices, ", "))
}
