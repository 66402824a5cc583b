package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"trackerdcs/pkg/bus"
	"trackerdcs/pkg/wire"
)

// redrawEvery is the shortest time between two pictures: more than the eye
// takes in is a waste of a slow connection.
const redrawEvery = 200 * time.Millisecond

type watchCmd struct {
	busFlags
	Device string `arg:"" optional:"" help:"One device; all without it."`
}

// Run shows the devices until the context ends, or the time-out.
func (c *watchCmd) Run(ctx context.Context) error { return c.run(ctx, terminal()) }

func (c *watchCmd) run(ctx context.Context, con console) error {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	filters, err := c.filters()
	if err != nil {
		return err
	}
	s, err := c.join(filters...)
	if err != nil {
		return err
	}
	defer s.leave()
	if _, _, is := con.size(); is && !c.json() {
		return c.draw(ctx, con, s)
	}
	return c.list(ctx, con, s)
}

func (c *watchCmd) filters() ([]string, error) {
	if name := c.Device; name != "" {
		if err := wire.CheckDevice(name); err != nil {
			return nil, err
		}
		return []string{c.Root.State(name), c.Root.Meta(name), c.Root.Status(name)}, nil
	}
	return []string{
		c.Root.State("+"), c.Root.Meta("+"), c.Root.Status("+"),
		c.Root.ServiceState("+"), c.Root.Sensor("+", "+"),
	}, nil
}

// list prints a line for each message.
func (c *watchCmd) list(ctx context.Context, con console, s *session) error {
	m := newModel(c.Root)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.inbox.wake:
		}
		events, dropped := s.inbox.take()
		for _, e := range events {
			if err := c.listEvent(con, m, e); err != nil {
				return err
			}
		}
		if dropped > 0 {
			con.notef("%d messages left out: they came faster than they were read", dropped)
		}
	}
}

func (c *watchCmd) listEvent(con console, m *model, e event) (err error) {
	switch {
	case e.lost != nil:
		con.notef("no broker at %s (%v): waiting for it", c.broker(), e.lost)
	case e.msg.Topic == "" || !m.apply(e.at, e.msg):
	case c.json():
		_, err = fmt.Fprintf(con.out, "%s\n", messageJSON(e.at, e.msg))
	default:
		for _, l := range m.tell(e) {
			if _, err = fmt.Fprintln(con.out, l); err != nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("printing: %w", err) // the reader of a pipe has gone
	}
	return nil
}

// messageJSON is a message in one line.
func messageJSON(at time.Time, msg bus.Message) []byte {
	payload := json.RawMessage(msg.Payload)
	if !json.Valid(payload) {
		payload = wire.Encode(string(msg.Payload))
	}
	return wire.Encode(struct {
		Received time.Time       `json:"received"`
		Topic    string          `json:"topic"`
		Retained bool            `json:"retained"`
		Payload  json.RawMessage `json:"payload"`
	}{at.UTC(), msg.Topic, msg.Retained, payload})
}

// tell says in lines what a message has told: one for each channel.
func (m *model) tell(e event) []string {
	stamp := e.at.UTC().Format("2006-01-02T15:04:05.000Z") + " "
	levels, _ := m.root.Cut(e.msg.Topic)
	name := levels[0]
	if len(levels) == 3 {
		name += "/" + levels[1]
	}
	if s, ok := m.services[strings.TrimPrefix(name, "service/")]; ok && levels[0] == "service" {
		return []string{stamp + name + " " + strings.TrimSpace(s.State+" "+oneLine(s.Error))}
	}
	d := m.devices[name]
	if d == nil {
		return nil // forgotten
	}
	switch kind := levels[len(levels)-1]; {
	case d.problem != "":
		return []string{stamp + name + " " + oneLine(d.problem)}
	case levels[0] != "sensor" && kind == wire.KindState:
		return []string{stamp + name + " " + strings.TrimSpace(d.state.State+" "+oneLine(d.state.Error))}
	case levels[0] != "sensor" && kind == wire.KindMeta:
		return nil // it is for the units of others
	}
	var out []string
	for _, r := range d.rows {
		out = append(out, oneLine(stamp+name+d.inWords(r, e.at)))
	}
	return out
}

// inWords is a row in one line: the keys with their values, then the notes.
func (d *device) inWords(r row, now time.Time) string {
	var b strings.Builder
	if r.channel == nil {
		for _, l := range d.fieldLines(r, now, plain) {
			b.WriteString(" " + strings.Join(strings.Fields(l.text), " "))
		}
		return b.String()
	}
	for i, c := range d.cells(r, now) {
		switch head := columns[i].head; {
		case c == "":
		case head == "ch":
			b.WriteString("/" + c)
		case head == "on" || head == "":
			b.WriteString(" " + c)
		default:
			b.WriteString(" " + head + " " + c)
		}
	}
	return b.String()
}

// Control sequences of a terminal (ECMA-48, and xterm's alternate screen).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the cursor hides
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// draw redraws the picture in place.
func (c *watchCmd) draw(ctx context.Context, con console, s *session) error {
	m := newModel(c.Root)
	link := "waiting for the broker"
	fmt.Fprint(con.out, enterScreen)
	defer fmt.Fprint(con.out, leaveScreen)
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		c.frame(con, m, time.Now(), link)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		events, _ := s.inbox.take()
		for _, e := range events {
			switch {
			case e.lost != nil:
				link = "NO BROKER: " + e.lost.Error()
			case e.msg.Topic == "":
				link = ""
			default:
				m.apply(e.at, e.msg)
			}
		}
	}
}

// frame draws one picture, as much of it as fits.
func (c *watchCmd) frame(con console, m *model, now time.Time, link string) {
	width, height, ok := con.size()
	if !ok {
		return
	}
	title := line{"dcs watch  " + now.Format("15:04:05") + "  " + c.broker(), dim}
	if link != "" {
		title = line{title.text + "  " + link, red}
	}
	title.text = cut(oneLine(title.text), width)
	lines := slices.Concat([]line{title, {}}, m.lines(now, width))
	if len(m.devices) == 0 && link == "" {
		lines = append(lines, line{"no device has said anything yet", plain})
	}
	if len(lines) > height {
		more := len(lines) - height + 1
		lines = append(lines[:height-1:height-1], line{cut(fmt.Sprintf("… %d more lines", more), width), dim})
	}
	var b strings.Builder
	b.WriteString(home)
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(con.paint(l.color, l.text) + clearLine)
	}
	b.WriteString(clearBelow)
	_, _ = io.WriteString(con.out, b.String())
}
