package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/wire"
)

// Waiting for statuses.
const (
	statusTime = 10 * time.Second // or one and a half periods of a slow device
	goneTime   = 2 * time.Second  // for a device that is not there to correct a late last will
	settleTime = 700 * time.Millisecond
)

type getCmd struct {
	busFlags
	Path string `arg:"" optional:"" name:"device/channel/field" help:"What to read, as in hv, hv/0, hv/0/vmon or sensor_1/meas1; all devices without it."`
}

// Run prints the next status.
func (c *getCmd) Run(ctx context.Context) error { return c.run(ctx, terminal()) }

func (c *getCmd) run(ctx context.Context, con console) error {
	p, err := parsePath(c.Path)
	if err != nil {
		return err
	}
	m, err := c.collect(ctx, con, p)
	if err != nil {
		return err
	}
	if p.device == "" {
		return c.printAll(con, m)
	}
	d := m.devices[p.device]
	if d == nil || d.status == nil {
		con.notef("no status: %s", noStatus(p.device, d))
		return exitNoAnswer
	}
	return c.print(con, m, d, p)
}

// collect listens until all that is asked for has come, or will not come.
func (c *getCmd) collect(ctx context.Context, con console, p path) (*model, error) {
	filter := p.device
	if filter == "" {
		filter = "+"
	}
	s, err := c.join(c.Root.State(filter), c.Root.Meta(filter), c.Root.Status(filter))
	if err != nil {
		return nil, err
	}
	defer s.leave()
	if err := s.arrive(ctx); err != nil {
		con.notef("%v", err)
		return nil, noAnswerOr(ctx)
	}
	m, began := newModel(c.Root), time.Now()
	for {
		now := time.Now()
		wait := c.deadline(m, p, began).Sub(now)
		if wait <= 0 {
			return m, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.inbox.wake:
			events, _ := s.inbox.take()
			for _, e := range events {
				if e.msg.Topic != "" {
					m.apply(e.at, e.msg)
				}
			}
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, exitInterrupted
		}
		timer.Stop()
	}
}

// deadline is until when it is worth to wait, given what is known so far.
func (c *getCmd) deadline(m *model, p path, began time.Time) time.Time {
	if p.device != "" {
		return c.deadlineOf(m.devices[p.device], began)
	}
	last := began.Add(c.settles())
	for _, d := range m.devices {
		if t := c.deadlineOf(d, began); t.After(last) {
			last = t
		}
	}
	return last
}

func (c *getCmd) deadlineOf(d *device, began time.Time) time.Time {
	switch {
	case d != nil && d.status != nil:
		return time.Time{} // there it is
	case c.Timeout > 0:
		return began.Add(c.Timeout)
	case d == nil:
		return began.Add(statusTime)
	case d.gone(), d.state.State == "":
		return began.Add(goneTime)
	}
	return began.Add(max(statusTime, d.period()*3/2))
}

// noStatus says why a device sends nothing.
func noStatus(name string, d *device) string {
	switch {
	case d == nil:
		return fmt.Sprintf("nobody on this broker has ever been %s", name)
	case d.problem != "":
		return name + ": " + d.problem
	case d.state.State == "":
		return name + " has said no state and sends nothing"
	case d.state.Error != "":
		return fmt.Sprintf("%s is %s: %s", name, d.state.State, d.state.Error)
	}
	return fmt.Sprintf("%s is %s", name, d.state.State)
}

// deviceJSON is a device in the list of all.
type deviceJSON struct {
	Device string          `json:"device"`
	State  string          `json:"state"`
	Error  string          `json:"error,omitzero"`
	Status json.RawMessage `json:"status"` // null when none came
}

func (c *getCmd) printAll(con console, m *model) error {
	if len(m.devices) == 0 {
		con.notef("no device has ever been on this broker")
		return exitNoAnswer
	}
	if !c.json() {
		show(con, m)
		return nil
	}
	for _, name := range m.names() {
		d := m.devices[name]
		fmt.Fprintf(con.out, "%s\n", wire.Encode(deviceJSON{name, d.state.State, d.state.Error, d.status}))
	}
	return nil
}

// show prints the picture once.
func show(con console, m *model) {
	for _, l := range m.lines(time.Now(), 0) {
		fmt.Fprintln(con.out, con.paint(l.color, l.text))
	}
}

func (c *getCmd) print(con console, m *model, d *device, p path) error {
	if p.channel == "" && (p.field == "" || d.rows[0].channel != nil) {
		if p.field != "" {
			return fmt.Errorf("which channel? %s", channelsOf(d, p.field))
		}
		if c.json() {
			fmt.Fprintf(con.out, "%s\n", wire.Encode(d.status))
		} else {
			show(con, m)
		}
		return nil
	}
	r, ok := d.find(p.channel)
	switch {
	case !ok && d.rows[0].channel == nil:
		return fmt.Errorf("%s is a sensor and has no channels: leave /%s out", d.name, p.channel)
	case !ok:
		return fmt.Errorf("there is no channel %s: %s", p.channel, channelsOf(d, p.field))
	case p.field != "":
		raw, ok := r.fields[p.field]
		if !ok {
			return fmt.Errorf("%s does not tell %q: there are %s", d.name, p.field, strings.Join(slices.Sorted(maps.Keys(r.fields)), ", "))
		}
		fmt.Fprintln(con.out, bare(raw))
	case c.json():
		fmt.Fprintf(con.out, "%s\n", wire.Encode(r.raw))
	default:
		d.rows = []row{r}
		show(con, m)
	}
	return nil
}

// channelsOf lists what could have been asked for.
func channelsOf(d *device, field string) string {
	var names []string
	for _, r := range d.rows {
		name := fmt.Sprintf("%s/%d", d.name, r.channel.Number)
		if field != "" {
			name += "/" + field
		}
		names = append(names, name)
	}
	return "there are " + strings.Join(names, ", ")
}

// bare is a field for a script: a number as it was sent, a text without its
// quotation marks.
func bare(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
